//! What was published, against what was heard: gaps, repetitions, order.
//!
//! A message goes to whoever is subscribed when it is published, and is kept for nobody: at most once. So whatever was
//! acknowledged has to arrive by every subscription that stood at the time, and what was published while a subscriber
//! was away is lost to it. What is indeterminate may arrive or not.
//!
//! Repetition and order are a subscription's affair. Each node gets a message of an ordinary channel by a link of its
//! own (`clusterSendPublish`), sooner or later than others: a subscriber that goes from one node to another may get
//! there once more what it has had already.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use super::{Judgement, seconds};
use crate::{
    evidence::{At, End, Listened, Outcome, Publish, Published, Subscription, Traffic},
    ids::NodeId,
    verdict::Verdict,
};

/// What makes subscriptions end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// A node was lost.
    Lost(NodeId),
    /// A slot went to another owner.
    Moved,
}

/// When subscriptions had a reason to end, and which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upheaval {
    /// Why.
    pub cause: Cause,
    /// It took effect after this …
    pub from: At,
    /// … and by this.
    pub in_effect: At,
    /// A busy node needs this long to pass on what it acknowledged: threads wait for a processor.
    pub passing_on: Duration,
}

impl Upheaval {
    /// Whether a subscription ended for this reason.
    fn explains(&self, subscription: &Subscription) -> bool {
        let Some((at, how)) = subscription.ended else { return false };
        let of_the_lost = matches!(&self.cause, Cause::Lost(node) if node == &subscription.node);
        at >= self.from && (how == End::Told || of_the_lost)
    }

    /// Until when a subscription was one for certain: the subscriber learns of its end later.
    ///
    /// Whoever gets a slot owns it before the other owner is told, and so before that one tells its subscribers.
    /// Where a node is lost its successor tells them in the moment in which it takes over.
    fn stood_until(&self, at: At, how: End) -> At {
        let end = match (&self.cause, how) {
            (Cause::Lost(_), End::Told) => at,
            _ => at.min(self.from),
        };
        At(end.0.saturating_sub(self.passing_on))
    }

    /// Whether a message was published in the moment itself. The lost node may have acknowledged it, and not have
    /// passed it on to any other any more.
    fn spans(&self, message: &Publish) -> bool {
        message.answered.0 + self.passing_on >= self.from.0 && message.asked <= self.in_effect
    }
}

/// A run of acknowledged messages that did not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The first one's number.
    pub first: u64,
    /// The last one's.
    pub last: u64,
    /// How many.
    pub count: usize,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count {
            1 => write!(f, "{}", self.first),
            _ => write!(f, "{}–{}", self.first, self.last),
        }
    }
}

/// What became of one publisher's messages at one subscriber.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The subscriber.
    pub subscriber: String,
    /// The publisher.
    pub publisher: u32,
    /// Messages that were acknowledged, and asked for after the subscriber was first subscribed.
    pub due: usize,
    /// Runs of them that did not arrive.
    pub gaps: Vec<Gap>,
    /// How many of those were published while a subscription stood.
    pub inexcusable: usize,
    /// Arrived again by another subscription.
    pub again: usize,
}

impl Account {
    /// Holds a publisher's messages against what a subscriber heard.
    pub fn of(published: &Published, listened: &Listened, upheaval: Option<&Upheaval>) -> Self {
        let heard = listened.received().filter(|received| received.publisher == published.publisher);
        let heard: Vec<u64> = heard.map(|received| received.sequence).collect();
        let arrived: BTreeSet<u64> = heard.iter().copied().collect();
        let begins = listened.subscriptions.first().map(|subscription| subscription.confirmed);
        let due: Vec<&Publish> = published
            .messages
            .iter()
            .filter(|message| message.outcome == Outcome::Acknowledged)
            .filter(|message| begins.is_some_and(|begins| message.asked >= begins))
            .collect();
        let missing = due.iter().filter(|message| !arrived.contains(&message.sequence));
        let inexcusable = missing.filter(|message| stood(listened, message, upheaval)).count();
        Self {
            subscriber: listened.subscriber.clone(),
            publisher: published.publisher,
            due: due.len(),
            gaps: gaps(&due, &arrived),
            inexcusable,
            again: heard.len() - arrived.len(),
        }
    }

    /// Messages that did not arrive.
    pub fn missing(&self) -> usize {
        self.gaps.iter().map(|gap| gap.count).sum()
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subscriber, publisher, due, gaps, again, .. } = self;
        write!(f, "{subscriber}: {} of {due} messages of publisher {publisher} are missing", self.missing())?;
        let runs: Vec<String> = gaps.iter().map(Gap::to_string).collect();
        if !runs.is_empty() {
            write!(f, ": {}", runs.join(", "))?;
        }
        if *again > 0 {
            write!(f, "; {again} arrived again")?;
        }
        Ok(())
    }
}

/// Whether a subscription stood from before the message was asked for until after it was answered.
fn stood(listened: &Listened, message: &Publish, upheaval: Option<&Upheaval>) -> bool {
    let until = |subscription: &Subscription| match (subscription.ended, upheaval) {
        (None, _) => true,
        (Some((at, how)), Some(upheaval)) => message.answered <= upheaval.stood_until(at, how),
        (Some((at, _)), None) => message.answered <= at,
    };
    !upheaval.is_some_and(|upheaval| upheaval.spans(message))
        && listened
            .subscriptions
            .iter()
            .any(|subscription| subscription.confirmed <= message.asked && until(subscription))
}

fn gaps(due: &[&Publish], arrived: &BTreeSet<u64>) -> Vec<Gap> {
    let mut gaps: Vec<Gap> = Vec::new();
    let mut open = false;
    for message in due {
        let missing = !arrived.contains(&message.sequence);
        match gaps.last_mut() {
            Some(gap) if missing && open => {
                gap.last = message.sequence;
                gap.count += 1;
            }
            _ if missing => {
                gaps.push(Gap { first: message.sequence, last: message.sequence, count: 1 });
            }
            _ => {}
        }
        open = missing;
    }
    gaps
}

/// The accounts of every publisher with every subscriber of its channel.
fn accounts(traffic: &[Traffic], upheaval: Option<&Upheaval>) -> Vec<Account> {
    let of = |channel: &Traffic| -> Vec<Account> {
        let pairs = channel
            .listened
            .iter()
            .flat_map(|listened| channel.published.iter().map(move |published| (published, listened)));
        pairs.map(|(published, listened)| Account::of(published, listened, upheaval)).collect()
    };
    traffic.iter().flat_map(of).collect()
}

fn told(judgement: Judgement, accounts: &[Account]) -> Judgement {
    accounts.iter().fold(judgement, |judgement, account| judgement.evidence(account.to_string()))
}

/// Every message was acknowledged. Unknown if there was none.
pub fn all_acknowledged(expected: &str, published: &[Published]) -> Judgement {
    let all = || published.iter().flat_map(|published| &published.messages);
    if all().next().is_none() {
        return Judgement::unknown(expected, "nothing was published");
    }
    let errors: BTreeSet<&str> = all().filter_map(|message| message.error.as_deref()).collect();
    let observed = match errors.is_empty() {
        true => expected.to_owned(),
        false => {
            format!("not acknowledged: {}", errors.into_iter().collect::<Vec<_>>().join(", "))
        }
    };
    published.iter().fold(Judgement::equal(expected, observed), |judgement, published| {
        let messages = &published.messages;
        let of = |outcome| messages.iter().filter(|message| message.outcome == outcome).count();
        let unheard = messages.iter().filter(|message| message.receivers == Some(0)).count();
        judgement.evidence(format!(
            "publisher {}: {} of {} acknowledged, {unheard} of them by a node with no subscriber; {} indeterminate",
            published.publisher,
            of(Outcome::Acknowledged),
            messages.len(),
            of(Outcome::Indeterminate),
        ))
    })
}

/// Every message was acknowledged; and while it mattered, between the two instants, not to nobody. Unknown if whoever
/// had them then passed none on to anybody.
pub fn all_passed_on(expected: &str, published: &[Published], (from, until): (At, At)) -> Judgement {
    let of_then = |message: &&Publish| message.asked >= from && message.answered <= until;
    let then: Vec<&Publish> =
        published.iter().flat_map(|published| &published.messages).filter(of_then).collect();
    let passed_on = then.iter().filter(|message| message.receivers.is_some_and(|heard| heard > 0)).count();
    let judgement = all_acknowledged(expected, published)
        .evidence(format!("{passed_on} of {} were passed on to a subscriber while it mattered", then.len()));
    match (judgement.verdict, passed_on) {
        (Verdict::Pass, 0) => {
            let observed = "nobody was subscribed where they were published".to_owned();
            Judgement { verdict: Verdict::Unknown, observed, ..judgement }
        }
        _ => judgement,
    }
}

/// Every message was acknowledged, and arrived at every subscriber: nothing is any of their business. Unknown if
/// there was a publisher of whom nothing was due.
pub fn complete(expected: &str, traffic: &[Traffic]) -> Judgement {
    let accounts = accounts(traffic, None);
    if accounts.is_empty() || accounts.iter().any(|account| account.due == 0) {
        return told(Judgement::unknown(expected, "nothing was acknowledged"), &accounts);
    }
    let published: Vec<Published> = traffic.iter().flat_map(|channel| channel.published.clone()).collect();
    let acknowledged = all_acknowledged(expected, &published);
    let missing: usize = accounts.iter().map(Account::missing).sum();
    let observed = match (acknowledged.verdict, missing) {
        (Verdict::Pass, 0) => expected.to_owned(),
        (Verdict::Pass, _) => "acknowledged messages are missing".to_owned(),
        _ => acknowledged.observed,
    };
    told(Judgement::equal(expected, observed), &accounts)
}

/// Subscriptions ended for the one reason that there was, and what is missing was published in that moment or while
/// the subscriber was away. Unknown if nobody was away, or somebody has not come back.
pub fn lost_only_while_away(traffic: &[Traffic], upheaval: &Upheaval) -> Judgement {
    let expected = "nothing is missing but what was published while they were away";
    let accounts = accounts(traffic, Some(upheaval));
    let everybody = || traffic.iter().flat_map(|channel| &channel.listened);
    let ended = || {
        everybody()
            .flat_map(|listened| &listened.subscriptions)
            .filter(|subscription| subscription.ended.is_some())
    };
    let judgement = if let Some(other) = ended().find(|subscription| !upheaval.explains(subscription)) {
        Judgement::of(false, expected, format!("a subscription at {} ended for another reason", other.node))
    } else if accounts.iter().any(|account| account.inexcusable > 0) {
        Judgement::of(false, expected, "messages are missing that were published while they were subscribed")
    } else if ended().next().is_none() {
        Judgement::unknown(expected, "nobody was away")
    } else if everybody().any(|listened| listened.lasting().is_none()) {
        Judgement::unknown(expected, "not everybody is back")
    } else {
        Judgement::of(true, expected, expected)
    };
    let judgement = everybody().fold(judgement, |judgement, listened| {
        away(listened).into_iter().fold(judgement, Judgement::evidence)
    });
    told(judgement, &accounts)
}

/// When a subscriber was away, and why, in words.
fn away(listened: &Listened) -> Vec<String> {
    let pairs = listened.subscriptions.windows(2);
    let line = |pair: &[Subscription]| {
        let (at, how) = pair[0].ended?;
        let (from, to, took) = (&pair[0].node, &pair[1].node, seconds(pair[1].confirmed.since(at)));
        let subscriber = &listened.subscriber;
        Some(format!("{subscriber}: subscribed at {from} until {how}, and {took} later at {to}"))
    };
    pairs.filter_map(line).collect()
}

/// By no subscription did anything arrive twice, or later than what came after it. Unknown if some subscriber heard
/// nothing.
pub fn at_most_once(traffic: &[Traffic]) -> Judgement {
    let expected = "nothing twice and nothing out of order, by any subscription";
    let (mut heard, mut twice, mut late) = (0, 0, 0);
    for channel in traffic {
        for listened in &channel.listened {
            if listened.received().next().is_none() {
                let nothing = format!("{} heard nothing", listened.subscriber);
                return Judgement::unknown(expected, nothing);
            }
            for subscription in &listened.subscriptions {
                heard += subscription.received.len();
                let disorder = Disorder::of(subscription, &channel.published);
                twice += disorder.twice;
                late += disorder.late;
            }
        }
    }
    let observed = match (twice, late) {
        (0, 0) if heard == 0 => return Judgement::unknown(expected, "nothing was heard"),
        (0, 0) => expected.to_owned(),
        (0, _) => "messages arrived out of order".to_owned(),
        _ => "messages arrived twice".to_owned(),
    };
    Judgement::equal(expected, observed)
        .evidence(format!("of {heard} messages {twice} arrived twice, {late} out of order"))
}

/// What is wrong with the order of one subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Disorder {
    /// Arrived before.
    twice: usize,
    /// Acknowledged ones that arrived after one that was asked for later.
    late: usize,
}

impl Disorder {
    fn of(subscription: &Subscription, published: &[Published]) -> Self {
        let acknowledged: BTreeMap<u32, BTreeSet<u64>> = published
            .iter()
            .map(|published| {
                let messages = published.messages.iter();
                let messages = messages.filter(|message| message.outcome == Outcome::Acknowledged);
                (published.publisher, messages.map(|message| message.sequence).collect())
            })
            .collect();
        let (mut disorder, mut seen, mut last) = (Self::default(), BTreeSet::new(), BTreeMap::new());
        for received in &subscription.received {
            let (publisher, sequence) = (received.publisher, received.sequence);
            if !seen.insert((publisher, sequence)) {
                disorder.twice += 1;
            } else if acknowledged.get(&publisher).is_some_and(|them| them.contains(&sequence)) {
                let last = last.entry(publisher).or_insert(sequence);
                disorder.late += usize::from(sequence < *last);
                *last = sequence.max(*last);
            }
        }
        disorder
    }
}

#[cfg(test)]
mod tests;

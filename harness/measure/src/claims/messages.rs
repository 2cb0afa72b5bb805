//! What became of messages: who heard them, and who was away.

use std::{collections::BTreeSet, time::Duration};

use lab_history::{Action, History, Moment, Outcome, Value};
use lab_report::judge::{Judgement, Limits};

use super::{Failover, LAG};

/// A message that was acknowledged, and when: asked for, and acknowledged.
struct Published {
    value: Value,
    asked: Moment,
    acknowledged: Moment,
}

fn published(history: &History) -> impl Iterator<Item = Published> {
    history.operations.iter().filter_map(|operation| match operation.action {
        Action::Publish { value, outcome: Outcome::Ok(()), .. } => {
            let (asked, acknowledged) = (operation.timing.invoked(), operation.timing.completed());
            Some(Published { value, asked, acknowledged })
        }
        _ => None,
    })
}

/// What a subscriber saw.
#[derive(Default)]
struct Heard {
    /// When each of its subscriptions was there.
    subscribed: Vec<Moment>,
    received: BTreeSet<Value>,
    /// Until when it listened.
    until: Moment,
}

impl Heard {
    fn by(history: &History, who: &str) -> Self {
        let mut heard = Self::default();
        for operation in &history.operations {
            if history.names.of_client(operation.process.client()) != who {
                continue;
            }
            match operation.action {
                Action::Subscribe { outcome: Outcome::Ok(()), .. } => {
                    heard.subscribed.push(operation.timing.completed());
                }
                Action::Receive { value, .. } => {
                    heard.received.insert(value);
                }
                Action::Unsubscribe { .. } => heard.until = operation.timing.invoked(),
                _ => {}
            }
        }
        heard
    }

    /// Messages that were acknowledged while it wanted to listen, and that it never heard.
    fn missed(&self, history: &History) -> Vec<Published> {
        let Some(from) = self.subscribed.iter().min().copied() else { return Vec::new() };
        let wanted = |message: &Published| {
            message.asked > from
                && message.acknowledged < self.until
                && !self.received.contains(&message.value)
        };
        published(history).filter(wanted).collect()
    }

    /// When it was subscribed again after a fault.
    fn again(&self, failover: &Failover) -> Option<Moment> {
        self.subscribed.iter().copied().filter(|at| *at >= failover.in_effect).min()
    }
}

/// How many acknowledged messages a subscriber never heard.
pub fn missed_by(history: &History, who: &str) -> usize {
    Heard::by(history, who).missed(history).len()
}

/// Of what was published after the failover a subscriber heard nothing: it is lost to it.
pub fn deaf(history: &History, who: &str) -> Judgement {
    let expected = "everything that was published after the failover is lost to it";
    let Some(Failover { promoted: Some(promoted), .. }) = Failover::read(history) else {
        return Judgement::unknown(expected, "there was no failover");
    };
    let heard = Heard::by(history, who);
    let after: Vec<Published> = published(history).filter(|message| message.asked >= promoted).collect();
    let received = after.iter().filter(|message| heard.received.contains(&message.value)).count();
    let judged = match (heard.subscribed.is_empty(), after.len(), received) {
        (true, ..) => Judgement::unknown(expected, "it never listened"),
        (_, 0, _) => Judgement::unknown(expected, "nothing was published after it"),
        (.., 0) => Judgement::of(true, expected, expected),
        _ => Judgement::of(false, expected, "it hears what is published"),
    };
    judged.evidence(format!(
        "of {} messages that were acknowledged after it, {received} were heard",
        after.len()
    ))
}

/// From a fault until a subscriber was subscribed again.
pub fn subscribed_again(history: &History, who: &str, limits: Limits) -> Judgement {
    let Some(failover) = Failover::read(history).filter(|failover| failover.promoted.is_some()) else {
        return Judgement::unknown("it subscribes again", "there was no failover");
    };
    let again = Heard::by(history, who).again(&failover).map(|at| at.since(failover.from).into());
    Judgement::within(Limits { resolution: failover.uncertainty(), ..limits }, again)
}

/// What a subscriber missed was published while it was away: from the fault until it had subscribed again.
pub fn heard_but_while_away(history: &History, who: &str, scheduling: Duration) -> Judgement {
    let expected = "all that it missed was published while it was away";
    let Some(failover) = Failover::read(history).filter(|failover| failover.promoted.is_some()) else {
        return Judgement::unknown(expected, "there was no failover");
    };
    let heard = Heard::by(history, who);
    if heard.received.is_empty() {
        return Judgement::unknown(expected, "it heard nothing");
    }
    let back = heard.again(&failover).unwrap_or(Moment::NEVER);
    let missed = heard.missed(history);
    let outside = |message: &&Published| {
        let before: Duration = failover.from.since(message.acknowledged).into();
        before > LAG + scheduling || message.asked > back
    };
    let observed = match missed.iter().filter(outside).count() {
        0 => expected,
        _ => "it missed others as well",
    };
    Judgement::equal(expected, observed).evidence(format!("{} messages were missed", missed.len()))
}

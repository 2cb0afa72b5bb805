//! Channels with people who publish on them and people who listen, and what comes of both.

use std::time::Duration;

use failover_lab::{
    Clusters, Lab, StepError,
    pubsub::{Publisher, Subscriber},
    topology::clusters::Listening,
    wait::Seen,
    writer::KEYS,
};
use lab_report::{
    Slot, Slots,
    evidence::{At, Listened, Traffic},
    judge::{Account, Habits},
};

use super::slot_failover::STAGE;

/// A second of messages: more than are excused for the moment in which something happens.
const MANY: usize = 100;
/// Far more than a message takes.
const ARRIVAL: Duration = Duration::from_secs(2);

/// A channel's publishers and subscribers.
pub(super) struct Hall {
    pub(super) publishers: Vec<Publisher>,
    pub(super) subscribers: Vec<Subscriber>,
}

impl Hall {
    /// Whether every subscriber is subscribed, and has heard so many messages of every publisher that were published
    /// after these.
    fn has_heard(&self, many: usize, after: &[Option<u64>]) -> bool {
        let enough = |listened: &Listened| {
            self.publishers.iter().zip(after).all(|(publisher, after)| {
                let of = listened.received().filter(|received| received.publisher == publisher.number());
                of.filter(|received| Some(received.sequence) > *after).count() >= many
            })
        };
        let hears = |listened: &Listened| listened.lasting().is_some() && enough(listened);
        self.subscribers.iter().all(|subscriber| subscriber.look(hears))
    }

    fn last(&self) -> Vec<Option<u64>> {
        self.publishers.iter().map(Publisher::last).collect()
    }

    /// The subscriber with this name is subscribed, by another subscription than before `from`.
    fn is_back(&self, name: &str, from: At) -> bool {
        let back = |listened: &Listened| {
            listened.subscriber == name
                && listened.lasting().is_some_and(|subscription| subscription.confirmed > from)
        };
        self.subscribers.iter().any(|subscriber| subscriber.look(back))
    }
}

/// Waits until everybody has heard a second of messages of everybody, from here on.
pub(super) async fn everybody_hears(lab: &Lab<Clusters>, halls: &[&Hall]) -> Result<(), StepError> {
    let after: Vec<Vec<Option<u64>>> = halls.iter().map(|hall| hall.last()).collect();
    let heard = lab.wait("every subscriber to hear every publisher", STAGE, async || {
        match halls.iter().zip(&after).all(|(hall, after)| hall.has_heard(MANY, after)) {
            true => Seen::Ready(()),
            false => Seen::NotYet("somebody does not".to_owned()),
        }
    });
    Ok(heard.await?)
}

/// Waits until these subscribers are subscribed again, and everybody hears everybody. When they were, and what they
/// missed, is for the checkers to say.
pub(super) async fn everybody_is_back(
    lab: &Lab<Clusters>,
    whom: &[(&Hall, &str)],
    from: At,
    halls: &[&Hall],
) -> Result<(), StepError> {
    let back = lab.wait("the subscribers to be back", STAGE, async || {
        match whom.iter().find(|(hall, name)| !hall.is_back(name, from)) {
            None => Seen::Ready(()),
            Some((_, name)) => Seen::NotYet(format!("not the one {name}")),
        }
    });
    match back.await {
        Ok(()) => everybody_hears(lab, halls).await,
        Err(_) => Ok(()),
    }
}

/// Has everybody stop to publish, and waits until the last messages have arrived. Whether all have is for a checker
/// to say.
pub(super) async fn close<const N: usize>(lab: &Lab<Clusters>, mut halls: [Hall; N]) -> [Traffic; N] {
    for publisher in halls.iter_mut().flat_map(|hall| &mut hall.publishers) {
        publisher.stop().await;
    }
    let but_last = |last: Option<u64>| last.and_then(|last| last.checked_sub(1));
    let after = halls.each_ref().map(|hall| hall.last().into_iter().map(but_last).collect::<Vec<_>>());
    let arrived = lab.wait("the last messages to arrive", ARRIVAL, async || {
        match halls.iter().zip(&after).all(|(hall, after)| hall.has_heard(1, after)) {
            true => Seen::Ready(()),
            false => Seen::NotYet("somebody has not heard the last one".to_owned()),
        }
    });
    let _ = arrived.await;
    halls.map(|hall| Traffic {
        published: hall.publishers.iter().map(Publisher::so_far).collect(),
        listened: hall.subscribers.iter().map(Subscriber::so_far).collect(),
    })
}

/// The habits of a sound subscriber.
pub(super) fn habits(sound: &Clusters) -> Habits {
    let Listening { ping, patience, pause } = sound.application.listening;
    Habits { ping, patience, pause }
}

/// The name of a channel in the first of these slots that some number has, but for those that are `taken`.
pub(super) fn name_in(slots: &Slots, taken: &[Slot]) -> String {
    let names = (0..).map(|number: u32| format!("{KEYS}{{{number}}}:news"));
    let mut free = names.filter(|name| slots.contains(Slot::of(name)) && !taken.contains(&Slot::of(name)));
    free.next().expect("some number is in every share")
}

/// Puts on record for how long a subscriber was without a subscription, and what it missed.
pub(super) fn measure(lab: &mut Lab<Clusters>, traffic: &Traffic, subscriber: &str, from: At) {
    let heard = traffic.heard_by(&[subscriber]);
    if let Some((ended, Some(next))) = heard.listened[0].renewed_after(from)
        && let Some((at, _)) = ended.ended
    {
        let note = "from the end of its subscription, as it saw it, to the next one";
        let took = next.confirmed.since(at).as_secs_f64() * 1000.0;
        lab.measure(&format!("{subscriber}: away"), took, "ms", note);
    }
    for published in &heard.published {
        let account = Account::of(published, &heard.listened[0], None);
        let name = format!("{subscriber}: missed of publisher {}", account.publisher);
        let note = format!("of {} acknowledged; gaps: {}", account.due, account.gaps.len());
        lab.measure(&name, account.missing() as f64, "messages", &note);
    }
}

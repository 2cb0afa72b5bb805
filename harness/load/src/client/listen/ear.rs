//! What a subscriber hears, on its way to the tape.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Instant,
};

use lab_history::{
    Action, Client as ClientId, Object, Operation, Outcome, Process, Refusal, Timing, note::Did,
};

use super::{Channels, Diary};
use crate::workload::value_in;

/// Takes down what a subscriber hears. Clones are the same subscriber's.
#[derive(Clone)]
pub(super) struct Ear(Arc<Inner>);

struct Inner {
    process: Process,
    diary: Diary,
    channels: BTreeMap<String, Object>,
    subscriptions: Mutex<Subscriptions>,
}

impl Ear {
    /// A subscriber that wants its channels from now on.
    pub(super) fn of(who: ClientId, channels: &Channels, diary: Diary) -> Self {
        let process = who.worker(0).expect("it is the first");
        let objects = channels.all.iter().map(|(_, object)| *object);
        let subscriptions = Mutex::new(Subscriptions::wanted(objects, Instant::now()));
        let channels = channels.all.iter().cloned().collect();
        Self(Arc::new(Inner { process, diary, channels, subscriptions }))
    }

    /// A message came in.
    pub(super) fn heard(&self, channel: &str, payload: &[u8]) {
        // Held until it is written down: what comes after the last is not for this subscriber.
        let subscriptions = self.subscriptions();
        let value = std::str::from_utf8(payload).ok().and_then(value_in);
        if let (Some(object), Some(value), false) = (self.channel(channel), value, subscriptions.have_ceased)
        {
            self.record(Action::Receive { object, value }, None);
        }
    }

    /// The server, or the library, says that a channel is subscribed to.
    pub(super) fn subscribed(&self, channel: &str) {
        let mut subscriptions = self.subscriptions();
        let Some(object) = self.channel(channel) else { return };
        let Some(since) = subscriptions.made(object, Instant::now()) else { return };
        if std::mem::take(&mut subscriptions.is_cut_off) {
            self.0.diary.note(Did::Connected);
        }
        self.record(Action::Subscribe { object, outcome: Outcome::Ok(()) }, Some(since));
    }

    /// All of them.
    pub(super) fn subscribed_to_all(&self) {
        self.0.channels.keys().for_each(|channel| self.subscribed(channel));
    }

    /// The server says that a channel is subscribed to no more.
    pub(super) fn dropped(&self, channel: &str) {
        if let Some(object) = self.channel(channel) {
            self.subscriptions().lost(object, Instant::now());
        }
    }

    /// The one connection is gone, and every subscription with it.
    pub(super) fn cut_off(&self) {
        let mut subscriptions = self.subscriptions();
        for object in self.0.channels.values() {
            subscriptions.lost(*object, Instant::now());
        }
        self.disconnected(subscriptions);
    }

    /// One of several connections is gone, and nobody says whose subscriptions went with it.
    pub(super) fn shaken(&self) {
        let mut subscriptions = self.subscriptions();
        subscriptions.shaken = Some(Instant::now());
        self.disconnected(subscriptions);
    }

    /// It tried in vain to subscribe, and tries again.
    pub(super) fn tried(&self) {
        self.0.diary.note(Did::Retried);
    }

    /// It asked who the primary is.
    pub(super) fn looked_around(&self) {
        self.0.diary.note(Did::Refreshed);
    }

    /// Nothing is for this subscriber any more.
    pub(super) fn cease(&self) {
        let mut subscriptions = self.subscriptions();
        subscriptions.have_ceased = true;
        for object in self.0.channels.values().copied() {
            if let Some(since) = subscriptions.wanted_since(object) {
                let outcome = Outcome::Failed(Refusal::NotSent);
                self.record(Action::Subscribe { object, outcome }, Some(since));
            }
            self.record(Action::Unsubscribe { object }, None);
        }
    }

    fn disconnected(&self, mut subscriptions: MutexGuard<'_, Subscriptions>) {
        if !std::mem::replace(&mut subscriptions.is_cut_off, true) {
            self.0.diary.note(Did::Disconnected);
        }
    }

    /// Now; and if somebody wanted it for some time, since then.
    fn record(&self, action: Action, since: Option<Instant>) {
        let tape = &self.0.diary.tape;
        let now = tape.now();
        let timing = match since.map(|since| tape.moment(since)) {
            Some(since) => {
                Timing::new(since, since, now).expect("it was wanted before, and not an hour before")
            }
            None => Timing::at(now),
        };
        tape.record(&Operation { process: self.0.process, node: None, timing, action });
    }

    fn channel(&self, name: &str) -> Option<Object> {
        self.0.channels.get(name).copied()
    }

    fn subscriptions(&self) -> MutexGuard<'_, Subscriptions> {
        self.0.subscriptions.lock().expect("no panic while held")
    }
}

/// How a subscriber stands with its channels.
#[derive(Debug, Default)]
struct Subscriptions {
    standing: BTreeMap<Object, Standing>,
    /// When one of several connections was lost last.
    shaken: Option<Instant>,
    /// A connection was lost, and nothing was subscribed to since.
    is_cut_off: bool,
    have_ceased: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    WantedSince(Instant),
    MadeAt(Instant),
}

impl Subscriptions {
    fn wanted(objects: impl Iterator<Item = Object>, since: Instant) -> Self {
        let standing = objects.map(|object| (object, Standing::WantedSince(since))).collect();
        Self { standing, is_cut_off: true, ..Self::default() }
    }

    /// A subscription was made: since when it was wanted. None if it was there already: libraries subscribe once more to
    /// be sure.
    fn made(&mut self, object: Object, now: Instant) -> Option<Instant> {
        let before = self.standing.insert(object, Standing::MadeAt(now));
        match before {
            _ if self.have_ceased => None,
            Some(Standing::WantedSince(since)) => Some(since),
            Some(Standing::MadeAt(before)) => self.shaken.filter(|shaken| *shaken > before),
            None => None,
        }
    }

    fn lost(&mut self, object: Object, now: Instant) {
        let standing = self.standing.entry(object).or_insert(Standing::WantedSince(now));
        if let Standing::MadeAt(_) = standing {
            *standing = Standing::WantedSince(now);
        }
    }

    fn wanted_since(&self, object: Object) -> Option<Instant> {
        match self.standing.get(&object) {
            Some(Standing::WantedSince(since)) => Some(*since),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lab_history::{
        Length, Names, Value,
        judge::channels::{Channels as Figures, channels},
    };

    use super::*;
    use crate::{client::listen::Kind, tape::Tape, tape::tests::history_of};

    fn at(millis: u64) -> Instant {
        use std::sync::LazyLock;
        static ZERO: LazyLock<Instant> = LazyLock::new(Instant::now);
        *ZERO + Duration::from_millis(millis)
    }

    fn two() -> [Object; 2] {
        let mut names = Names::default();
        ["a", "b"].map(|name| names.object(name))
    }

    #[test]
    fn a_subscription_lasts_from_being_wanted_until_it_is_there() {
        let [a, b] = two();
        let mut subscriptions = Subscriptions::wanted([a, b].into_iter(), at(0));
        assert_eq!(subscriptions.made(a, at(5)), Some(at(0)));
        subscriptions.lost(a, at(10));
        subscriptions.lost(a, at(20));
        assert_eq!(subscriptions.wanted_since(a), Some(at(10)), "it was gone already");
        assert_eq!(subscriptions.made(a, at(30)), Some(at(10)));
        assert_eq!((subscriptions.wanted_since(a), subscriptions.wanted_since(b)), (None, Some(at(0))));
    }

    #[test]
    fn what_is_there_already_is_not_made_again() {
        let [a, _] = two();
        let mut subscriptions = Subscriptions::wanted([a].into_iter(), at(0));
        subscriptions.made(a, at(5));
        assert_eq!(subscriptions.made(a, at(6)), None);
    }

    /// Of several connections one was lost: whatever is subscribed to again was on it.
    #[test]
    fn after_a_loss_somewhere_a_subscription_is_a_new_one_once() {
        let [a, b] = two();
        let mut subscriptions = Subscriptions::wanted([a, b].into_iter(), at(0));
        subscriptions.made(a, at(5));
        subscriptions.made(b, at(5));
        subscriptions.shaken = Some(at(10));
        assert_eq!(subscriptions.made(a, at(20)), Some(at(10)));
        assert_eq!(subscriptions.made(a, at(30)), None);
        assert_eq!(subscriptions.wanted_since(b), None, "nobody knows that it was on the lost one");
    }

    #[test]
    fn whoever_has_ceased_subscribes_no_more() {
        let [a, _] = two();
        let mut subscriptions = Subscriptions::wanted([a].into_iter(), at(0));
        subscriptions.have_ceased = true;
        assert_eq!(subscriptions.made(a, at(5)), None);
    }

    /// An acknowledged message, of which `ear` hears if it is there.
    async fn publish(tape: &Tape, (name, object): &(String, Object), sequence: u32, ear: Option<&Ear>) {
        let publisher = tape.client("publisher").worker(0).unwrap();
        let value = Value { writer: 0, sequence };
        let before = tape.now();
        crate::schedule::pass(Duration::from_millis(2)).await;
        if let Some(ear) = ear {
            ear.heard(name, format!("{value}:xxx").as_bytes());
        }
        let timing = Timing::new(before, before, tape.now()).unwrap();
        let action = Action::Publish { object: *object, value, outcome: Outcome::Ok(()) };
        tape.record(&Operation { process: publisher, node: None, timing, action });
        crate::schedule::pass(Duration::from_millis(2)).await;
    }

    #[tokio::test]
    async fn what_was_published_while_a_subscriber_was_cut_off_is_missed() {
        let history = history_of(async |tape| {
            let channel = ("news".to_owned(), tape.object("news"));
            let channels = Channels { kind: Kind::Ordinary, all: vec![channel.clone()] };
            let diary = Diary { name: "subscriber".into(), tape: tape.clone() };
            let ear = Ear::of(tape.client("subscriber"), &channels, diary);
            ear.heard("rumours", b"0.7");
            ear.subscribed_to_all();
            crate::schedule::pass(Duration::from_millis(2)).await;
            publish(tape, &channel, 1, Some(&ear)).await;
            ear.cut_off();
            publish(tape, &channel, 2, None).await;
            ear.subscribed("news");
            ear.subscribed("news");
            crate::schedule::pass(Duration::from_millis(2)).await;
            publish(tape, &channel, 3, Some(&ear)).await;
            ear.cease();
            crate::schedule::pass(Duration::from_millis(2)).await;
            publish(tape, &channel, 4, Some(&ear)).await;
        })
        .await;
        let Figures { missed, received, expected, resubscribed, phantom, outage, .. } =
            channels(&history).figures;
        assert_eq!((missed, received, expected, resubscribed, phantom), (1, 2, 3, 1, 0));
        assert!(outage.max_us > Length::from_millis(2), "{outage:?}");
    }

    #[tokio::test]
    async fn a_subscriber_that_never_came_back_was_refused_in_the_end() {
        let history = history_of(async |tape| {
            let channels =
                Channels { kind: Kind::Ordinary, all: vec![("news".to_owned(), tape.object("news"))] };
            let diary = Diary { name: "subscriber".into(), tape: tape.clone() };
            let ear = Ear::of(tape.client("subscriber"), &channels, diary);
            ear.subscribed_to_all();
            ear.cut_off();
            ear.cease();
        })
        .await;
        let outcomes: Vec<_> =
            history.operations.iter().map(|operation| operation.action.outcome()).collect();
        assert_eq!(outcomes, [Outcome::Ok(()), Outcome::Failed(Refusal::NotSent), Outcome::Ok(())]);
    }
}

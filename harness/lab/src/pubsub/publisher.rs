//! A publisher: numbered messages, one after the other.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use lab_report::evidence::{Outcome, Publish, Published};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

use super::{Channel, message};
use crate::{record::Recorder, writer::Through};

/// Publishes its numbers on a fixed schedule until stopped.
///
/// Unlike a [`Writer`](crate::writer::Writer) it has one message under way at a time: which of two that are under way
/// comes first is anybody's guess, and nothing could be said about their order. Messages that would have been due
/// meanwhile are left out, not made up for.
pub struct Publisher {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    published: Arc<Mutex<Published>>,
}

impl Publisher {
    /// Between two messages.
    pub const EVERY: Duration = Duration::from_millis(10);

    /// Begins to publish on `channel`, as the publisher with this number.
    pub fn start(number: u32, through: impl Into<Through>, channel: &Channel, recorder: &Recorder) -> Self {
        let published = Arc::new(Mutex::new(Published { publisher: number, messages: Vec::new() }));
        let (stop, stopped) = watch::channel(false);
        let mouth = Mouth {
            number,
            through: through.into(),
            channel: channel.clone(),
            recorder: recorder.clone(),
            published: Arc::clone(&published),
        };
        let task = tokio::spawn(mouth.speak(stopped));
        Self { stop, task, published }
    }

    /// Its number.
    pub fn number(&self) -> u32 {
        self.published().publisher
    }

    /// The number of its last message that was acknowledged.
    pub fn last(&self) -> Option<u64> {
        let acknowledged = |message: &&Publish| message.outcome == Outcome::Acknowledged;
        self.published().messages.iter().rfind(acknowledged).map(|message| message.sequence)
    }

    /// Stops, once what is under way is done.
    pub async fn stop(&mut self) {
        self.stop.send_replace(true);
        let _ = (&mut self.task).await;
    }

    /// What it has published so far.
    pub fn so_far(&self) -> Published {
        self.published().clone()
    }

    fn published(&self) -> MutexGuard<'_, Published> {
        self.published.lock().expect("no panic while held")
    }
}

/// What publishes, and where.
struct Mouth {
    number: u32,
    through: Through,
    channel: Channel,
    recorder: Recorder,
    published: Arc<Mutex<Published>>,
}

impl Mouth {
    async fn speak(self, mut stopped: watch::Receiver<bool>) {
        let mut ticks = interval(Publisher::EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        for sequence in 0.. {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = stopped.changed() => return,
            }
            let published = self.publish(sequence).await;
            self.published.lock().expect("no panic while held").messages.push(published);
        }
    }

    async fn publish(&self, sequence: u64) -> Publish {
        let asked = self.recorder.now();
        let text = message(self.number, sequence);
        let answer = self.through.ask::<u64>(&[self.channel.publish(), &self.channel.name, &text]).await;
        let answered = self.recorder.now();
        match answer {
            Ok(receivers) => Publish {
                sequence,
                asked,
                answered,
                outcome: Outcome::Acknowledged,
                receivers: Some(receivers),
                error: None,
            },
            Err(error) => Publish {
                sequence,
                asked,
                answered,
                outcome: error.outcome(),
                receivers: None,
                error: Some(error.class()),
            },
        }
    }
}

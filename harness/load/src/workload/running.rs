//! A workload that runs, whatever its sort: who consumes, who produces, and what is read in the end.

use std::{sync::Arc, time::Duration};

use lab_history::{Event, Names, Object};
use tokio::{sync::watch, task::JoinSet, time::Instant};

use super::{Keyed, Plan, Sort, streams};
use crate::{
    client::{
        Channels, Client, ClientError, Kind, Library, Listening, Settled, Unanswered, connect, listen,
        settle, settle_subscriber,
    },
    drive::{Driven, drive, one_by_one},
    profile::{Profile, Trouble},
    schedule::{Schedule, pass},
    tape::Tape,
    target::Target,
};

/// A final read is waited for: what is read slowly is there all the same.
const FINAL: Duration = Duration::from_secs(10);
/// What is under way to a subscriber when everything was published, and nothing is broken, comes within this.
const UNDER_WAY: Duration = Duration::from_millis(500);
/// Consumers that are not dead have worked off what there is within this, beyond the time that something has to be left
/// before it is taken over.
const CATCH_UP: Duration = Duration::from_secs(5);

/// What an application is: a library with its settings, before a target.
pub struct Application<'a> {
    /// What it is called in the record.
    pub who: &'a str,
    /// Of several on one tape each has a number of its own: what it writes begins with it.
    pub writer: u32,
    /// The library.
    pub library: Library,
    /// Its settings.
    pub profile: &'a Profile,
    /// What it stands before.
    pub target: &'a Target,
}

/// A workload that could not be started.
#[derive(Debug, thiserror::Error)]
pub enum NotStarted {
    /// A client could not be made.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// More of them than a record can tell apart.
    #[error("{wanted} consumers are too many: a record names {most} at most")]
    TooMany {
        /// Each of every stream, or of all channels.
        wanted: u64,
        /// What there is room for.
        most: u64,
    },
    /// A stream's group could not be made.
    #[error("the group of `{stream}` could not be made: {why}")]
    NoGroup {
        /// Which stream.
        stream: String,
        /// What became of it, in a word.
        why: String,
    },
}

/// A workload that runs, until it is finished or dropped.
pub struct Running {
    work: Keyed,
    settled: Settled,
    consumers: Consumers,
    producer: JoinSet<Driven>,
    /// When the schedule is over.
    over: Instant,
    /// Whether nothing more is to be asked for.
    enough: watch::Sender<bool>,
    /// After how long something that was left is taken over.
    claim_every: Duration,
    target: Target,
    tape: Tape,
}

enum Consumers {
    Nobody,
    Subscribers(Vec<Listening>),
    Groups(JoinSet<()>),
}

impl Running {
    /// Starts those who consume, and then who produces: at the schedule's first operation every subscription and every
    /// group is there.
    ///
    /// # Errors
    /// A client does not connect, or is not made for this; or there are too many.
    pub async fn start(
        plan: &Plan,
        schedule: Schedule,
        application: &Application<'_>,
        tape: &Tape,
    ) -> Result<Self, NotStarted> {
        let work = Keyed::new(plan, application.writer, tape);
        let (enough, mut told) = watch::channel(false);
        let consumers = match plan.part.consumes() {
            // Boxed, as the next: the futures of clients are deep, and whoever awaits this has come a long way.
            true => Box::pin(consumers(plan, work.keys(), application, tape)).await?,
            false => Consumers::Nobody,
        };
        let mut producer = JoinSet::new();
        if is_driven(plan) {
            let Application { who, library, profile, target, .. } = application;
            let client = Box::pin(connect(*library, profile, target, who, tape)).await?;
            let (work, deadline) = (work.clone(), plan.deadline);
            let (who, tape) = ((*who).to_owned(), tape.clone());
            producer.spawn(async move {
                // Whoever could say so is gone: then it is enough as well.
                let enough = async { drop(told.wait_for(|enough| *enough).await) };
                drive(schedule, deadline, work, client, (&who, &tape), enough).await
            });
        }
        Ok(Self {
            work,
            settled: settled(plan, application),
            consumers,
            producer,
            over: Instant::now() + schedule.duration,
            enough,
            claim_every: plan.consuming.claim_every,
            target: application.target.clone(),
            tape: tape.clone(),
        })
    }

    /// What became of the profile.
    pub fn settled(&self) -> &Settled {
        &self.settled
    }

    /// One more consumer of each stream, which is called `name`: it takes something, and dies with it in its hands.
    ///
    /// # Errors
    /// It does not connect.
    pub async fn lose_a_consumer(
        &self,
        plan: &Plan,
        application: &Application<'_>,
        name: &str,
    ) -> Result<(), ClientError> {
        for key in self.work.keys() {
            let name = (name.to_owned(), false);
            let consumer = Box::pin(consumer(plan, key, name, application, &self.tape)).await?;
            Box::pin(consumer.die_with_hands_full()).await;
        }
        Ok(())
    }

    /// What is there in the end is asked for somewhere else.
    pub fn read_at(&mut self, target: &Target) {
        self.target = target.clone();
    }

    /// Nothing more is to be asked for: the schedule is over.
    pub fn enough(&mut self) {
        self.enough.send_replace(true);
        self.over = Instant::now();
    }

    /// Waits until the schedule is over, and everything that was asked for by it is done or given up. The producer's
    /// client is gone then; consumers go on.
    ///
    /// # Panics
    /// The producer did.
    pub async fn driven(&mut self) -> Driven {
        match self.producer.join_next().await {
            Some(driven) => driven.expect("nobody ends it, and it does not panic"),
            None => {
                pass(self.over.saturating_duration_since(Instant::now())).await;
                Driven::default()
            }
        }
    }

    /// Everything has settled: consumers get what is left, and end; then everything is read for the last time.
    ///
    /// # Errors
    /// Whoever reads does not connect.
    pub async fn finish(self) -> Result<(), ClientError> {
        let Self { work, consumers, target, tape, claim_every, .. } = self;
        let reader = Box::pin(reader(&target, &tape)).await?;
        match consumers {
            Consumers::Nobody => {}
            Consumers::Subscribers(subscribers) => {
                pass(UNDER_WAY).await;
                subscribers.into_iter().for_each(Listening::cease);
            }
            Consumers::Groups(consumers) => {
                // Who takes over less often than that takes nothing over.
                let limit = CATCH_UP + claim_every.min(FINAL);
                Box::pin(streams::catch_up(work.keys(), &*reader, limit, FINAL)).await;
                drop(consumers);
            }
        }
        tape.note(Event::Settled);
        let who = tape.client(READER);
        Box::pin(one_by_one(work.reads(), FINAL, &*reader, who, &tape)).await;
        if work.sort() == Sort::Streams {
            let process = who.worker(0).expect("it is the first");
            Box::pin(streams::read_back(work.keys(), &*reader, FINAL, process, &tape)).await;
        }
        Ok(())
    }
}

/// What whoever reads in the end is called.
pub const READER: &str = "final reads";

async fn reader(target: &Target, tape: &Tape) -> Result<Arc<dyn Client>, ClientError> {
    let patient = Profile {
        name: READER.to_owned(),
        response_timeout: Some(FINAL),
        connect_timeout: Some(FINAL),
        reconnect_on: Some([Trouble::Broken, Trouble::Silent, Trouble::ReadOnly].into()),
        retries: Some(3),
        ..Profile::default()
    };
    connect(Library::Redis, &patient, target, READER, tape).await
}

/// Whether something is asked for by the schedule: keys are read by it, too.
fn is_driven(plan: &Plan) -> bool {
    plan.part.produces() || kind(plan.sort).is_none() && plan.sort != Sort::Streams
}

/// The kind of channels that a workload is about, if it is about channels.
fn kind(sort: Sort) -> Option<Kind> {
    match sort {
        Sort::PubSub => Some(Kind::Ordinary),
        Sort::ShardedPubSub => Some(Kind::Sharded),
        Sort::Registers | Sort::Sets | Sort::Counters | Sort::Streams => None,
    }
}

fn settled(plan: &Plan, application: &Application<'_>) -> Settled {
    let Application { library, profile, target, .. } = application;
    let as_asked = || settle(*library, profile, &target.place);
    match (kind(plan.sort).is_some() && plan.part.consumes(), plan.part.produces()) {
        (false, _) => as_asked(),
        (true, produces) => {
            let subscribed = settle_subscriber(*library, profile, &target.place);
            if produces { as_asked().and_of_the_subscriber(&subscribed) } else { subscribed }
        }
    }
}

async fn consumers(
    plan: &Plan,
    keys: &[(String, Object)],
    application: &Application<'_>,
    tape: &Tape,
) -> Result<Consumers, NotStarted> {
    let count = plan.consuming.consumers;
    let streams = if plan.sort == Sort::Streams { keys.len() as u64 } else { 1 };
    let (wanted, most) = (u64::from(count) * streams, ROOM);
    if wanted > most {
        return Err(NotStarted::TooMany { wanted, most });
    }
    match (kind(plan.sort), plan.sort) {
        (Some(kind), _) => {
            let channels = Channels { kind, all: keys.to_vec() };
            Ok(Consumers::Subscribers(subscribers(count, &channels, application, tape).await?))
        }
        (None, Sort::Streams) => Ok(Consumers::Groups(groups(plan, keys, application, tape).await?)),
        // Whoever reads keys is driven by the schedule.
        (None, _) => Ok(Consumers::Nobody),
    }
}

/// The names that are left beside the producer's and the reader's.
const ROOM: u64 = Names::CLIENTS as u64 - 2;

async fn subscribers(
    count: u32,
    channels: &Channels,
    application: &Application<'_>,
    tape: &Tape,
) -> Result<Vec<Listening>, ClientError> {
    let Application { who, library, profile, target, .. } = application;
    let mut all = Vec::new();
    for number in 1..=count {
        let name = format!("{who} subscriber {number}");
        let who = (name.as_str(), tape.client(&name));
        all.push(listen(*library, profile, target, channels, who, tape).await?);
    }
    Ok(all)
}

async fn groups(
    plan: &Plan,
    keys: &[(String, Object)],
    application: &Application<'_>,
    tape: &Tape,
) -> Result<JoinSet<()>, NotStarted> {
    let mut all = JoinSet::new();
    for (place, key) in (1..).zip(keys) {
        for number in 1..=plan.consuming.consumers {
            let name = format!("{} consumer {place}.{number}", application.who);
            let consumer = consumer(plan, key, (name, number == 1), application, tape).await?;
            if number == 1 {
                let stream = &key.0;
                let made = streams::found(&*consumer.client, stream, FINAL).await;
                made.map_err(|unanswered| {
                    let why = match unanswered {
                        Unanswered::Failed(why) => why.word(),
                        Unanswered::Indeterminate(why) => why.word(),
                    };
                    NotStarted::NoGroup { stream: stream.clone(), why }
                })?;
            }
            all.spawn(consumer.consume());
        }
    }
    Ok(all)
}

/// A consumer of a stream, which may be the one that looks how the group is.
async fn consumer(
    plan: &Plan,
    (stream, object): &(String, Object),
    (name, looks): (String, bool),
    application: &Application<'_>,
    tape: &Tape,
) -> Result<streams::Consumer, ClientError> {
    let Application { library, profile, target, .. } = application;
    let client = connect(*library, profile, target, &name, tape).await?;
    Ok(streams::Consumer {
        process: tape.client(&name).worker(0).expect("it is the first"),
        name,
        stream: stream.clone(),
        object: *object,
        client,
        profile: (*profile).clone(),
        consuming: plan.consuming.clone(),
        deadline: plan.deadline,
        looks,
        tape: tape.clone(),
    })
}

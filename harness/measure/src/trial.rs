//! A trial: applications under load before servers that run, all of them on one tape.

use std::{collections::BTreeMap, fs::File, io, io::BufReader, path::PathBuf, sync::Arc, time::Duration};

use failover_lab::{
    Lab, StepError,
    docker::{Node, Split},
    session::now_utc,
};
use lab_history::{Header, History, Length};
use lab_load::{
    Driven, Profile, Tape, Target,
    client::{Library, Settled},
    workload::{Application, Running},
};

use crate::{
    cell::{Load, TopologyName},
    chaos::{self, Happened},
    profiles,
    scenario::{Harm, Inflicted, Notes},
    stage::{self, Stage},
};

/// An application: a library with its settings, and what it asks for.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// What it is called in the record.
    pub who: &'a str,
    /// The library.
    pub library: Library,
    /// Its settings.
    pub profile: &'a Profile,
    /// What it asks for.
    pub load: &'a Load,
}

/// Applications that run, and what is put on record of them.
pub struct Trial {
    path: PathBuf,
    seed: u64,
    /// What happens beside the load.
    pub(crate) notes: Notes,
    running: Vec<Running>,
    /// How many faults have been injected.
    faults: u32,
}

impl Trial {
    /// Nobody runs yet. The history is in the file at `path`, and `ran` says of what it is.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn begin<T: Stage>(
        lab: &Lab<T>,
        path: PathBuf,
        deadline: Length,
        ran: BTreeMap<String, String>,
    ) -> io::Result<Self> {
        let session = lab.session();
        let header = Header {
            began: Some(now_utc()),
            deadline: Some(deadline),
            ran,
            ..Header::new(session.run.to_string(), session.seed)
        };
        let tape = Tape::begin(&path, &header)?;
        let notes = Notes::on(&tape, lab);
        Ok(Self { path, seed: session.seed, notes, running: Vec::new(), faults: 0 })
    }

    /// The same for a step: its history is `history.bin` among its evidence.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn of_a_step<T: Stage>(lab: &Lab<T>) -> io::Result<Self> {
        let said = [("step", lab.name().to_owned()), ("engine", lab.session().engine.to_string())];
        let ran = said.into_iter().map(|(label, what)| (label.to_owned(), what)).collect();
        let deadline = lab_load::tape::length(Load::default().deadline);
        Self::begin(lab, lab.evidence("history.bin")?, deadline, ran)
    }

    /// One more application begins. Says what its library made of its settings.
    ///
    /// # Errors
    /// It does not connect, or is not made for this.
    pub async fn add<T: Stage>(
        &mut self,
        lab: &Lab<T>,
        caller: Caller<'_>,
        target: &Target,
    ) -> Result<Settled, StepError> {
        let Caller { who, library, profile, load } = caller;
        lab.doing(&format!("{who}: {} operations a second by {library}, {}", load.rate, profile.name));
        let plan = load.plan(T::homes(lab), self.seed);
        let writer = u32::try_from(self.running.len())?;
        let application = Application { who, writer, library, profile, target };
        let running = Running::start(&plan, load.schedule(), &application, &self.notes.tape).await?;
        let settled = running.settled().clone();
        self.running.push(running);
        Ok(settled)
    }

    /// Does harm to a node.
    ///
    /// # Errors
    /// The environment has no such fault, or the container engine refused.
    pub async fn inflict<T: Stage>(
        &mut self,
        harm: Harm,
        victim: &Arc<Node>,
        lab: &Lab<T>,
    ) -> Result<Inflicted, StepError> {
        self.faults += 1;
        harm.inflict(self.faults - 1, victim, lab, &self.notes).await
    }

    /// Cuts links, to the harm of a node.
    ///
    /// # Errors
    /// The environment has no partitions, or the container engine refused.
    pub async fn cut<T: Stage>(
        &mut self,
        split: &Split,
        victim: &Node,
        lab: &Lab<T>,
    ) -> Result<Inflicted, StepError> {
        self.faults += 1;
        Inflicted::cut(self.faults - 1, (split, victim), lab, &self.notes).await
    }

    /// Has a healthy primary replaced, as an operator would.
    ///
    /// # Errors
    /// It is refused.
    pub async fn fail_over<T: Stage>(&mut self, lab: &Lab<T>) -> Result<(), StepError> {
        let at = self.notes.tape.now();
        T::fail_over(lab).await?;
        self.notes.injected(self.faults, "failover", &T::victim(lab), at, self.notes.tape.now());
        self.faults += 1;
        Ok(())
    }

    /// Lets random faults happen for so long: see [`chaos`](crate::chaos::chaos).
    ///
    /// # Errors
    /// The container engine refused something.
    pub async fn chaos<T: Stage>(
        &mut self,
        lab: &mut Lab<T>,
        topology: TopologyName,
        duration: Duration,
    ) -> Result<Vec<Happened>, StepError> {
        let happened = chaos::go_through((topology, duration, self.faults), lab, &self.notes).await?;
        self.faults += u32::try_from(happened.len())?;
        Ok(happened)
    }

    /// One more consumer of each stream of an application takes something, and dies with it in its hands. In the record it
    /// is called `name`.
    ///
    /// # Errors
    /// There is no such application, or the consumer does not connect.
    pub async fn lose_a_consumer<T: Stage>(
        &self,
        lab: &Lab<T>,
        caller: Caller<'_>,
        target: &Target,
        name: &str,
    ) -> Result<(), StepError> {
        lab.doing("a consumer dies with its hands full");
        let Caller { who, library, profile, load } = caller;
        let running = self.running.first().ok_or("nobody consumes")?;
        let application = Application { who, writer: 0, library, profile, target };
        Ok(running.lose_a_consumer(&load.plan(T::homes(lab), self.seed), &application, name).await?)
    }

    /// What is there in the end is asked for here, and not where the applications are.
    pub fn read_at(&mut self, target: &Target) {
        self.running.iter_mut().for_each(|running| running.read_at(target));
    }

    /// Undoes it, as far as nobody else has.
    ///
    /// # Errors
    /// The container engine refused, or the server does not answer.
    pub async fn heal<T: Stage>(&self, harm: Inflicted, lab: &Lab<T>) -> Result<(), StepError> {
        harm.heal(lab, &self.notes).await
    }

    /// Nothing more is to be asked for.
    pub fn enough(&mut self) {
        self.running.iter_mut().for_each(Running::enough);
    }

    /// Waits until everything that was asked for is done or given up, and says how well the first application was driven.
    pub async fn driven(&mut self) -> Driven {
        let mut first = None;
        for running in &mut self.running {
            let driven = running.driven().await;
            first.get_or_insert(driven);
        }
        first.unwrap_or_default()
    }

    /// Waits until everything has settled, reads everything back, and hands over the history.
    ///
    /// # Errors
    /// Nothing settled, whoever reads does not connect, or the file cannot be written.
    pub async fn end<T: Stage>(mut self, lab: &Lab<T>) -> Result<History, StepError> {
        self.driven().await;
        stage::settled(lab).await?;
        self.notes.timeline(&lab.timeline());
        lab.doing("reading everything back");
        for running in self.running {
            running.finish().await?;
        }
        self.notes.tape.finish()?;
        Ok(History::open(BufReader::new(File::open(&self.path)?))?)
    }
}

/// The profile of the client that a step calls so: the one with this name, unless the topology names another.
///
/// # Errors
/// There is none, or it makes no sense.
pub fn profile_of<T: Stage>(lab: &Lab<T>, client: &str, usual: &str) -> Result<Profile, profiles::NoProfile> {
    profiles::profile(T::clients(lab).get(client).map_or(usual, String::as_str))
}

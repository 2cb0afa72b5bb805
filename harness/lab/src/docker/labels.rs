//! Labels: whose a container, network or volume is, so that nothing of a dead run stays and nothing of a
//! live one is touched.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
};

use lab_report::RunId;
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// The run that something belongs to.
pub const RUN_LABEL: &str = "failover-lab.run";
/// The lab within the run: one step, with its own network.
pub const LAB_LABEL: &str = "failover-lab.lab";
/// The process that looks after it.
pub const OWNER_LABEL: &str = "failover-lab.owner";

/// What everything that a lab makes is labelled with.
#[derive(Debug, Clone)]
pub struct Labels {
    /// The run.
    pub run: RunId,
    /// The lab: also the stem of every name.
    pub lab: String,
    /// The process that looks after it.
    pub owner: Owner,
}

impl Labels {
    /// Labels of a new lab of this process.
    pub fn new(run: RunId) -> Self {
        // Of the system's own chance: processes that start in one instant are not to agree on a name.
        let number = RandomState::new().hash_one(std::process::id()) as u32;
        let lab = format!("failover-lab-{number:08x}");
        Self { run, lab, owner: Owner::this_process() }
    }

    /// As the container engine takes them.
    pub fn to_map(&self) -> HashMap<String, String> {
        [
            (RUN_LABEL, self.run.to_string()),
            (LAB_LABEL, self.lab.clone()),
            (OWNER_LABEL, self.owner.to_string()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }
}

/// A process: where it runs, its id, and its start time, because ids are used again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    place: Place,
    pid: u32,
    started: u64,
}

/// What a process id means something in. Not a host name: that changes with the network that a laptop is
/// in, and what was made before would count as another machine's for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    /// The installation; the host's name where it has no id.
    machine: String,
    /// This start of it; empty where the kernel does not say.
    boot: String,
    /// The space of process ids: a container has one of its own, on the same machine. Empty likewise.
    ids: String,
}

impl Place {
    fn here() -> Self {
        let machine = word("/etc/machine-id");
        let ids = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        Self {
            machine: if machine.is_empty() { host_name() } else { machine },
            boot: word("/proc/sys/kernel/random/boot_id"),
            ids: ids.to_string_lossy().chars().filter(char::is_ascii_digit).collect(),
        }
    }

    /// No process of it lives: the machine has been started again since.
    fn is_over(&self, here: &Self) -> bool {
        self.machine == here.machine && self.boot != here.boot
    }
}

/// What a file holds; nothing if there is none. Never a separator.
fn word(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().replace('/', "-")
}

impl Owner {
    /// This process.
    pub fn this_process() -> Self {
        Self::of_process(std::process::id())
    }

    /// Another process of this machine.
    pub fn of_process(pid: u32) -> Self {
        Self { place: Place::here(), pid, started: start_time(pid).unwrap_or(0) }
    }

    /// As written in a label; none if it was written by something else.
    pub fn parse(label: &str) -> Option<Self> {
        let mut parts = label.rsplitn(5, '/');
        let started = parts.next()?.parse().ok()?;
        let pid = parts.next()?.parse().ok()?;
        let (ids, boot) = (parts.next()?.to_owned(), parts.next()?.to_owned());
        Some(Self { place: Place { machine: parts.next()?.to_owned(), boot, ids }, pid, started })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Asks the process to end, if it is of this machine and still the one that it was.
    pub fn terminate(&self) {
        if self.place == Place::here() && start_time(self.pid) == Some(self.started) {
            terminate(self.pid);
        }
    }

    /// False only if it is known to have ended: a process of another machine, or of another container, may
    /// well be alive.
    pub fn may_be_alive(&self) -> bool {
        let here = Place::here();
        match self.place == here {
            true => start_time(self.pid) == Some(self.started),
            false => !self.place.is_over(&here),
        }
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Place { machine, boot, ids } = &self.place;
        write!(f, "{machine}/{boot}/{ids}/{}/{}", self.pid, self.started)
    }
}

fn terminate(pid: u32) {
    let pid = Pid::from_u32(pid);
    let mut system = System::new();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, ProcessRefreshKind::nothing());
    if let Some(process) = system.process(pid) {
        process.kill_with(sysinfo::Signal::Term);
    }
}

fn host_name() -> String {
    System::host_name().unwrap_or_else(|| "unknown".to_owned())
}

/// Seconds since the epoch; none if there is no such process, or only its zombie.
fn start_time(pid: u32) -> Option<u64> {
    let pid = Pid::from_u32(pid);
    let mut system = System::new();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, ProcessRefreshKind::nothing());
    let process = system.process(pid)?;
    (process.status() != sysinfo::ProcessStatus::Zombie).then(|| process.start_time())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_survives_its_label_and_is_alive_while_it_runs() {
        let owner = Owner::this_process();
        let read = Owner::parse(&owner.to_string()).unwrap();
        assert_eq!(read, owner);
        assert!(read.may_be_alive());
    }

    #[test]
    fn a_process_id_used_again_is_not_the_owner() {
        let mut owner = Owner::this_process();
        owner.started += 1;
        assert!(!owner.may_be_alive());
    }

    #[test]
    fn a_process_that_ended_is_dead() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let owner =
            Owner { place: Place::here(), pid: child.id(), started: start_time(child.id()).unwrap_or(1) };
        child.wait().unwrap();
        assert!(!owner.may_be_alive());
    }

    /// No process of these has this id and start.
    fn nobody(place: Place) -> Owner {
        Owner { place, pid: u32::MAX, started: 1 }
    }

    #[test]
    fn a_process_of_another_machine_or_container_is_left_alone() {
        let elsewhere = Place { machine: "elsewhere".to_owned(), ..Place::here() };
        assert!(nobody(elsewhere).may_be_alive());
        let contained = Place { ids: "1".to_owned(), ..Place::here() };
        assert!(nobody(contained).may_be_alive());
        assert!(!nobody(Place::here()).may_be_alive());
    }

    #[test]
    fn nothing_outlives_its_machine() {
        let before = Place { boot: "the last one".to_owned(), ..Place::here() };
        assert!(!nobody(before).may_be_alive());
    }
}

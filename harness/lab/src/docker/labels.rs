//! Labels: whose a container, network or volume is, so that nothing of a dead run stays and nothing of a
//! live one is touched.

use std::collections::HashMap;

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
        let lab = format!("failover-lab-{:08x}", fastrand::u32(..));
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

/// A process: host, id and start time, because ids are used again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    host: String,
    pid: u32,
    started: u64,
}

impl Owner {
    /// This process.
    pub fn this_process() -> Self {
        Self::of_process(std::process::id())
    }

    /// Another process of this host.
    pub fn of_process(pid: u32) -> Self {
        Self { host: host_name(), pid, started: start_time(pid).unwrap_or(0) }
    }

    /// As written in a label; none if it was written by something else.
    pub fn parse(label: &str) -> Option<Self> {
        let mut parts = label.rsplitn(3, '/');
        let started = parts.next()?.parse().ok()?;
        let pid = parts.next()?.parse().ok()?;
        Some(Self { host: parts.next()?.to_owned(), pid, started })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Asks the process to end, if it is on this host and still the one that it was.
    pub fn terminate(&self) {
        if self.host == host_name() && start_time(self.pid) == Some(self.started) {
            terminate(self.pid);
        }
    }

    /// False only if it is known to have ended: a process of another host may well be alive.
    pub fn may_be_alive(&self) -> bool {
        self.host != host_name() || start_time(self.pid) == Some(self.started)
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.host, self.pid, self.started)
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
            Owner { host: host_name(), pid: child.id(), started: start_time(child.id()).unwrap_or(1) };
        child.wait().unwrap();
        assert!(!owner.may_be_alive());
    }

    #[test]
    fn a_process_of_another_host_is_left_alone() {
        let owner = Owner { host: "elsewhere".to_owned(), pid: 1, started: 1 };
        assert!(owner.may_be_alive());
    }
}

//! A rack: hosts that outlive a lab, for the next one of the same run.
//!
//! To start and remove a container costs a third of a second of processor time, and a cluster has six. Tests that
//! run one after the other in one of nextest's slots hand theirs on: a host whose server was killed, and that gets
//! new files before the next one starts, is as good as new. Nothing is handed on by a step that ended before its
//! time or left a fault behind, nor where a host is not what it was made to be: stopped, paused, on another network.
//!
//! A rack is nextest's, and goes with it, within a second or two: a reaper of its own waits for that. While a lab stands
//! on it, that lab's reaper looks after it, too.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{Read as _, Seek as _, Write as _},
    net::Ipv4Addr,
    os::unix::process::parent_id,
    sync::Mutex,
};

use bollard::{Docker as Api, models::ContainerSummary, query_parameters::ListContainersOptionsBuilder};
use serde::{Deserialize, Serialize};

use super::{DockerError, LAB_LABEL, Labels, Owner};
use crate::{reaper::Reaper, session::Session, setting};

/// nextest's own: of the tests that run at the same time each has another.
pub const SLOT_VAR: &str = "NEXTEST_TEST_GLOBAL_SLOT";
/// What a host was made to be, as [`Rack::claim`] compares it.
pub(super) const MAKE_LABEL: &str = "failover-lab.make";

/// The hosts of one of nextest's slots, for the length of one lab.
#[derive(Debug)]
pub(crate) struct Rack {
    /// Locked for as long as the lab stands. Empty, so that nobody builds on what a dead lab left.
    note: Mutex<File>,
    handed_on: HandedOn,
    standing: Mutex<BTreeMap<String, Standing>>,
}

/// What the next lab has to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct HandedOn {
    /// The lab that all of it is labelled with.
    lab: String,
    /// Whose it is: nextest, as [`Owner`] writes itself.
    owner: String,
    /// The network's first address; none before there is a network.
    network: Option<Ipv4Addr>,
}

/// A host that nobody has claimed.
#[derive(Debug)]
struct Standing {
    make: String,
    address: Option<Ipv4Addr>,
}

/// What becomes of a claim.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Claim {
    /// The host stands already, and runs.
    pub(super) stands: bool,
    /// Hosts that are in its way.
    pub(super) in_the_way: Vec<String>,
}

impl Rack {
    /// The rack of this process's slot. None where it has no slot, where somebody wants to look at what a step leaves,
    /// and for a second lab of one process.
    pub(crate) fn take(session: &Session) -> Option<Self> {
        let slot = setting::text(SLOT_VAR)?;
        if session.keep || crate::session::run_in_env().as_ref() != Some(&session.run) {
            return None;
        }
        let folder = session.dir().join("racks");
        fs::create_dir_all(&folder).ok()?;
        let path = folder.join(format!("{slot}.json"));
        let mut note =
            OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path).ok()?;
        note.try_lock().ok()?;
        let mut written = String::new();
        note.read_to_string(&mut written).ok()?;
        note.set_len(0).ok()?;
        let owner = Owner::of_process(parent_id());
        let found = serde_json::from_str::<HandedOn>(&written).ok();
        let handed_on = match found.filter(|found| found.owner == owner.to_string()) {
            Some(found) => found,
            None => {
                let Labels { lab, .. } = Labels::new(session.run.clone());
                Reaper::watch_over_rack(session.reaper(), &lab, &owner).ok()?;
                HandedOn { lab, owner: owner.to_string(), network: None }
            }
        };
        Some(Self { note: Mutex::new(note), handed_on, standing: Mutex::default() })
    }

    /// What everything on it is labelled with.
    pub(crate) fn labels(&self, session: &Session) -> Labels {
        let owner = Owner::parse(&self.handed_on.owner).expect("written by an owner");
        Labels { run: session.run.clone(), lab: self.handed_on.lab.clone(), owner }
    }

    /// The first address of its network, if that is there.
    pub(super) fn network(&self) -> Option<Ipv4Addr> {
        self.handed_on.network
    }

    /// Finds the hosts that were handed on.
    pub(super) async fn look(&self, api: &Api) -> Result<(), DockerError> {
        if self.handed_on.network.is_none() {
            return Ok(());
        }
        let filter =
            [("label".to_owned(), vec![format!("{LAB_LABEL}={}", self.handed_on.lab)])].into_iter().collect();
        let options = ListContainersOptionsBuilder::new().filters(&filter).build();
        let found =
            api.list_containers(Some(options)).await.map_err(DockerError::api("looking at a rack"))?;
        *self.standing.lock().expect("no panic while held") =
            found.into_iter().filter_map(standing).collect();
        Ok(())
    }

    /// The host of this name, made to be this, at this address.
    pub(super) fn claim(&self, name: &str, make: Option<&str>, address: Option<Ipv4Addr>) -> Claim {
        let mut standing = self.standing.lock().expect("no panic while held");
        let stands = standing.get(name).is_some_and(|host| Some(host.make.as_str()) == make);
        if stands {
            standing.remove(name);
        }
        let in_the_way = |(other, host): (&String, &Standing)| {
            (other == name || address.is_some() && host.address == address).then(|| other.clone())
        };
        let in_the_way: Vec<String> = standing.iter().filter_map(in_the_way).collect();
        in_the_way.iter().for_each(|other| drop(standing.remove(other)));
        Claim { stands, in_the_way }
    }

    /// The hosts that nobody has claimed; nobody will, after that.
    pub(super) fn unclaimed(&self) -> Vec<String> {
        std::mem::take(&mut *self.standing.lock().expect("no panic while held")).into_keys().collect()
    }

    /// Leaves word for the next lab: which network everything stands on, or that nothing stands.
    pub(super) fn hand_on(&self, network: Option<Ipv4Addr>) -> std::io::Result<()> {
        let handed_on = HandedOn { network, ..self.handed_on.clone() };
        let mut note = self.note.lock().expect("no panic while held");
        note.rewind()?;
        note.write_all(&serde_json::to_vec(&handed_on).expect("plain data"))
    }
}

fn standing(found: ContainerSummary) -> Option<(String, Standing)> {
    let name = found.names?.first()?.trim_start_matches('/').to_owned();
    let make = found.labels?.remove(MAKE_LABEL)?;
    let networks = found.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    let address = networks.into_values().find_map(|endpoint| endpoint.ip_address?.parse().ok());
    Some((name, Standing { make, address }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 213, 0, 2);

    fn rack() -> Rack {
        let handed_on = HandedOn { lab: "lab".to_owned(), owner: "nobody".to_owned(), network: None };
        let host = Standing { make: "this".to_owned(), address: Some(ADDRESS) };
        let standing = Mutex::new([("lab-001".to_owned(), host)].into());
        let note = Mutex::new(File::open("/dev/null").unwrap());
        Rack { note, handed_on, standing }
    }

    #[test]
    fn a_host_is_taken_once_and_only_as_what_it_was_made_to_be() {
        let rack = rack();
        let taken = Claim { stands: true, in_the_way: Vec::new() };
        assert_eq!(rack.claim("lab-001", Some("this"), Some(ADDRESS)), taken);
        assert!(!rack.claim("lab-001", Some("this"), Some(ADDRESS)).stands);
        assert!(rack.unclaimed().is_empty());
    }

    #[test]
    fn whoever_has_the_name_or_the_address_of_another_host_is_in_its_way() {
        let in_the_way = Claim { stands: false, in_the_way: vec!["lab-001".to_owned()] };
        let elsewhere = Ipv4Addr::new(10, 213, 0, 3);
        assert_eq!(rack().claim("lab-001", Some("that"), Some(elsewhere)), in_the_way);
        assert_eq!(rack().claim("client", None, Some(ADDRESS)), in_the_way);
        assert_eq!(rack().claim("client", None, Some(elsewhere)).in_the_way, Vec::<String>::new());
    }
}

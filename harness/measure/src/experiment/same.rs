//! Profiles that are one and the same to a client, as far as a run can show.

use std::{collections::BTreeMap, time::Duration};

use failover_lab::{
    endpoint::{Caching, Records, Resolver},
    record::Recorder,
};
use lab_load::{
    Endpoint, Login, Place, Profile,
    client::{Settled, settle, settle_subscriber},
    workload::{Part, Sort},
};

use super::{LeftOut, Planned};
use crate::cell::{Cell, TopologyName};

/// What the library of a cell makes of its profile, with what it is asked to do: as
/// [`Measured::settled`](crate::Measured) says it of a run.
pub fn settled(cell: &Cell) -> Settled {
    let Cell { topology, library, profile, load, .. } = cell;
    let place = place(*topology);
    let as_asked = || settle(*library, profile, &place);
    let listens = matches!(load.sort, Sort::PubSub | Sort::ShardedPubSub) && load.part != Part::Producer;
    match (listens, load.part) {
        (false, _) => as_asked(),
        (true, Part::Consumer) => settle_subscriber(*library, profile, &place),
        (true, _) => as_asked().and_of_the_subscriber(&settle_subscriber(*library, profile, &place)),
    }
}

/// The settings of a profile that come due only after a load of this length is over: no run shows what they do.
pub fn not_exercised(profile: &Profile, duration: Duration) -> Vec<(&'static str, Duration)> {
    let late = [("max-age", profile.max_age), ("refresh-every", profile.refresh_every)];
    let late = late.into_iter().filter_map(|(name, every)| Some((name, every?)));
    late.filter(|(_, every)| *every >= duration).collect()
}

/// Leaves out every cell that differs from an earlier one in nothing but the name of its profile.
pub(super) fn without_repetitions(cells: Vec<Planned>) -> (Vec<Planned>, Vec<LeftOut>) {
    let mut first: BTreeMap<String, (String, String)> = BTreeMap::new();
    let (mut kept, mut left_out) = (Vec::new(), Vec::new());
    for planned in cells {
        let Cell { topology, library, profile, .. } = &planned.cell;
        match first.get(&signature(&planned)) {
            Some((name, key)) => left_out.push(LeftOut {
                why: format!("{} is to {library} before {topology} the same as {name}", profile.name),
                same_as: Some(key.clone()),
                planned,
            }),
            None => {
                first.insert(signature(&planned), (profile.name.clone(), planned.key.clone()));
                kept.push(planned);
            }
        }
    }
    (kept, left_out)
}

/// Everything that a cell's figures depend on, with of the profile only what the client can be told, does not do
/// anyway, and has the time to do.
fn signature(planned: &Planned) -> String {
    let Cell { profile, load, .. } = &planned.cell;
    let written = serde_json::to_value(profile).expect("a profile is plain data");
    let late = not_exercised(profile, load.duration);
    let told = settled(&planned.cell)
        .set
        .into_iter()
        .filter(|(name, how)| !how.starts_with("always") && !late.iter().any(|(late, _)| late == name));
    let told = told.map(|(name, how)| match name.split_once(' ') {
        // What follows the setting's name is its value, or one of them.
        Some(_) => format!("{name} {how}"),
        None => format!("{name} {how} {}", written[name]),
    });
    let mut settings = planned.settings();
    settings["key"] = planned.variant.clone().into();
    settings["profile"] = told.collect::<Vec<_>>().into();
    settings.to_string()
}

/// Where a topology is to a client. Nothing runs there: what a client makes of a profile depends on the sort of
/// place alone.
fn place(topology: TopologyName) -> Place {
    match topology {
        TopologyName::Replication => {
            let records = Records::new("lab", Duration::ZERO, Recorder::default());
            Place::Endpoint(Endpoint {
                name: "lab".to_owned(),
                port: 0,
                resolver: lab_load::Resolver::new(Resolver::new(&records, Caching::ByTtl)),
                front: ([127, 0, 0, 1], 0).into(),
            })
        }
        TopologyName::Sentinel => {
            Place::Sentinels { sentinels: Vec::new(), service: String::new(), login: Login::default() }
        }
        TopologyName::Cluster => Place::Cluster { nodes: Vec::new() },
    }
}

//! A client that is cut off together with a primary and one of its replicas.

use std::{sync::Arc, time::Duration};

use failover_lab::{
    Lab, Sentinels, StepError,
    docker::{Side, Split},
    wait::pass,
};
use lab_history::History;
use lab_load::{Endpoint, Place, Profile, Target, client::Library, workload::Durability};
use lab_measure::{
    cell::Load,
    stage::Stage,
    trial::{Caller, Trial},
};

use super::load::{BEFORE, adds, replaced, sound};

/// The minority is looked at for so long after the majority has its primary: longer than any setting of the lab that
/// would stop it.
const ISOLATED: Duration = Duration::from_secs(6);

/// It is asked what servers acknowledge, and not how soon: a client with a quarter of a second leaves one that a busy
/// machine keeps silent, again and again.
const PATIENCE: Duration = Duration::from_secs(1);

/// The same elements as elsewhere, each confirmed by as many replicas as the set-up says: by one.
///
/// A connection that waits for its replicas does nothing else meanwhile: half as many a second.
fn confirmed(lab: &Lab<Sentinels>) -> Result<Load, StepError> {
    let durability =
        Sentinels::clients(lab).get("durability").map_or(Ok(Durability::Wait(1)), |word| word.parse())?;
    Ok(Load { durability, rate: 50, keys: 10, deadline: PATIENCE * 2, ..adds() })
}

/// The history of a client that writes to a primary from the primary's own place. Both are cut off, with a replica and a
/// sentinel, from another replica and two sentinels; when these have had a primary of their own for a while, all is healed.
pub(super) async fn cut_off_with_a_replica(lab: &Lab<Sentinels>) -> Result<History, StepError> {
    let ([primary, replica, others @ ..], [sentinel, majority @ ..]) =
        (lab.deployment().data(), lab.deployment().sentinels())
    else {
        return Err("the step needs a primary with a replica, and a sentinel".into());
    };
    let relay = Arc::new(lab.relay("client").await?);
    let entrance = Sentinels::entrance(lab).await?;
    let there = Place::Endpoint(Endpoint::fixed(relay.reach(primary.id())));
    let there = Target { place: there, login: entrance.target.login.clone() };
    let mut trial = Trial::of_a_step(lab)?;
    let profile = Profile { response_timeout: Some(PATIENCE), ..sound("hardened")? };
    let load = confirmed(lab)?;
    let caller = Caller { who: "in the minority", library: Library::Redis, profile: &profile, load: &load };
    trial.add(lab, caller, &there).await?;
    pass(BEFORE).await;

    let near = Side::from(primary).and(replica).and(sentinel).and(&relay);
    let cut = trial.cut(&Split::between(near, Side::from(others).and(majority)), primary, lab).await?;
    replaced(lab, primary).await;
    pass(ISOLATED).await;
    trial.enough();
    trial.driven().await;
    trial.heal(cut, lab).await?;
    drop(relay);
    trial.read_at(&entrance.target);
    trial.end(lab).await
}

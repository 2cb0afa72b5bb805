//! A topology that runs without a step around it: no observer, no checks, no record.

use std::{panic::AssertUnwindSafe, path::Path};

use failover_lab::{
    Topology,
    docker::{Addressing, Docker, Labels, Network},
    engine::Engine,
    group::ReplicationGroup,
    pulse::soundly,
    reaper::Reaper,
    record::Recorder,
    session::new_run_id,
    topology::{Boot, Deployment, Site},
};
use futures_util::FutureExt;

/// A deployment, and what it runs on. Tests and benches share it; neither needs all of it.
#[allow(dead_code, reason = "see above")]
pub(crate) struct Bare<D = ReplicationGroup> {
    pub(crate) docker: Docker,
    pub(crate) network: Network,
    pub(crate) group: D,
    pub(crate) boot: Boot,
    pub(crate) recorder: Recorder,
}

/// Boots `topology`, lends it to `body`, and removes all of it: also when an assertion fails. Where the machine stood
/// still meanwhile, that is done anew.
///
/// `addressing` says how its nodes are reached; the machine's own way if it says nothing.
pub(crate) async fn with_group<P: Topology, T>(
    topology: P,
    addressing: impl Into<Option<Addressing>>,
    body: impl AsyncFn(&Bare<P::Deployment>) -> T,
) -> T {
    let addressing = addressing.into();
    with_docker(async |docker| {
        let reached = addressing.map(|addressing| docker.clone().with_addressing(addressing));
        run(reached.as_ref().unwrap_or(docker), topology.clone(), &body).await
    })
    .await
}

/// Lends a container engine to `body`, and removes whatever it made: also when an assertion fails. Where the machine
/// stood still meanwhile, that is done anew.
pub(crate) async fn with_docker<T>(body: impl AsyncFn(&Docker) -> T) -> T {
    soundly(async || lend_docker(&body).await).await
}

async fn lend_docker<T>(body: impl AsyncFn(&Docker) -> T) -> T {
    let labels = Labels::new(new_run_id());
    let reaper = Reaper::watch_over(Path::new(env!("CARGO_BIN_EXE_lab-reaper")), &labels.lab);
    let reaper = reaper.expect("the reaper is built beside the tests");
    let engine = Engine::select(None).unwrap_or_else(|error| panic!("{error}"));
    let docker = Docker::prepare(engine, labels, &|_| ())
        .await
        .unwrap_or_else(|error| panic!("{error}\nhint: {}", error.hint()));
    let ended = AssertUnwindSafe(body(&docker)).catch_unwind().await;
    docker.tear_down().await.expect("what the test made can be removed");
    reaper.dismiss();
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

async fn run<P: Topology, T>(
    docker: &Docker,
    topology: P,
    body: impl AsyncFn(&Bare<P::Deployment>) -> T,
) -> T {
    let network = Network::create(docker, &docker.labels().lab).await.unwrap_or_else(|e| panic!("{e}"));
    let recorder = Recorder::default();
    let site = Site { docker: docker.clone(), network: network.clone(), recorder: recorder.clone() };
    let (group, boot) = topology.boot(&site).await.unwrap_or_else(|error| panic!("{error}"));
    let bare = Bare { docker: docker.clone(), network, group, boot, recorder };
    let ended = AssertUnwindSafe(body(&bare)).catch_unwind().await;
    bare.group.retire().await;
    for node in bare.group.nodes() {
        node.remove().await.unwrap_or_else(|error| panic!("{error}"));
    }
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

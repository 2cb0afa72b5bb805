//! Servers of one's own, for the length of one experiment.

use std::fs;

use failover_lab::{Lab, Plan, StepError, Topology, environment::Capability, session::Session};
use lab_report::{StepId, checklist::Step, evidence::Timeline};

/// Boots `topology`, lends it to `body`, and removes all of it. What its nodes logged is in the folder `folder` of
/// the session's run; what the lab saw of them comes with what `body` returns.
///
/// # Errors
/// The servers did not boot, or `body` failed. Nothing is left running.
pub(crate) async fn on_servers<T: Topology, R>(
    session: &Session,
    topology: T,
    title: &str,
    folder: &str,
    body: impl AsyncFnOnce(&mut Lab<T>) -> Result<R, StepError>,
) -> Result<(R, Timeline), StepError> {
    let step =
        Step { id: StepId::from("measure"), title: title.to_owned(), cases: Vec::new(), checks: Vec::new() };
    let needs = &[Capability::FreshDeployment];
    let plan = Plan { step: &step, case: None, topology, needs, folder: folder.to_owned() };
    fs::create_dir_all(session.dir().join(folder))?;
    let mut outcome = None;
    let record = Lab::run(session, plan, async |lab| {
        outcome = Some(body(lab).await?);
        Ok(())
    })
    .await;
    match (record.aborted, outcome) {
        (None, Some(outcome)) => Ok((outcome, record.timeline)),
        (Some(why), _) => Err(why.into()),
        (None, None) => Err("the environment lacks something".into()),
    }
}

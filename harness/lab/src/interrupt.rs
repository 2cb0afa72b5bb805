//! Being told to stop: by a signal, or by the end of whoever started this process.

use std::time::Duration;

use tokio::{
    signal::unix::{SignalKind, signal},
    time::interval,
};

/// A runner that was killed is noticed within this.
const PARENT_EVERY: Duration = Duration::from_millis(250);

/// Returns when this process is to stop, with the reason.
pub async fn interrupted() -> String {
    tokio::select! {
        () = told(SignalKind::interrupt()) => "interrupted (SIGINT)".to_owned(),
        () = told(SignalKind::terminate()) => "terminated (SIGTERM)".to_owned(),
        () = told(SignalKind::hangup()) => "hung up (SIGHUP)".to_owned(),
        () = orphaned() => "whoever started this process is gone".to_owned(),
    }
}

async fn told(kind: SignalKind) {
    match signal(kind) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}

/// A killed parent sends no signal; its children are given to somebody else.
async fn orphaned() {
    let parent = std::os::unix::process::parent_id();
    let mut ticks = interval(PARENT_EVERY);
    while std::os::unix::process::parent_id() == parent {
        ticks.tick().await;
    }
}

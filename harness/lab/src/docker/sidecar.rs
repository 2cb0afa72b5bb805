//! A sidecar: a container of the tools image on the network of another container.
//!
//! What acts on a node's network acts from here, so that the node's own container needs no privilege for
//! it. Its shell is open from the start: a command takes milliseconds, and not a container's start.

use std::{pin::Pin, time::Duration};

use bollard::{
    Docker as Api,
    container::{AttachContainerResults, LogOutput},
    errors::Error,
    models::{ContainerCreateBody, HostConfig},
    query_parameters::{
        AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, KillContainerOptions,
        StartContainerOptions,
    },
};
use futures_util::{Stream, StreamExt};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    sync::Mutex,
    time::timeout,
};

use super::{Docker, DockerError, Place, container};
use crate::{
    image,
    wait::{self, Seen},
};

/// No command here takes a second; a container engine that is busy adds to it.
const PATIENCE: Duration = Duration::from_secs(20);
/// A container starts, runs a script of milliseconds, and ends; on a busy machine in seconds.
const UNDONE: Duration = Duration::from_secs(20);
const PACE: Duration = Duration::from_millis(50);

/// Marks a sidecar that has changed somebody else's network: which container's.
pub(super) const CHANGES_LABEL: &str = "failover-lab.changes";
/// Its first life serves a shell; any other undoes what the first may have left.
const LIVES: &str = "if mkdir /lived 2>/dev/null; then exec bash; fi\neval \"$1\"";

/// What a sidecar may do to the network that it is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Privilege<'a> {
    /// Speak and listen.
    None,
    /// Change its rules. The script takes the changes back, made or not.
    Rules { undo: &'a str },
}

/// A container of tools on a participant's network.
pub(super) struct Sidecar {
    docker: Docker,
    name: String,
    shell: Mutex<Shell>,
}

/// What a command came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Printed {
    /// It succeeded.
    pub(super) ok: bool,
    /// What it printed.
    pub(super) text: String,
}

/// The standard streams of a shell.
struct Shell {
    input: Pin<Box<dyn AsyncWrite + Send>>,
    output: Pin<Box<dyn Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send>>,
}

impl Sidecar {
    /// Joins the network of a container that runs.
    pub(super) async fn join(
        docker: &Docker,
        place: &Place,
        name: &str,
        privilege: Privilege<'_>,
    ) -> Result<Self, DockerError> {
        let name = format!("{}-{}-{name}", docker.labels().lab, place.name);
        create(docker, place, &name, privilege).await?;
        match open(docker, &name).await {
            Ok(shell) => Ok(Self { docker: docker.clone(), name, shell: Mutex::new(shell) }),
            Err(error) => {
                // The lab's teardown is there for what this leaves.
                let _ = container::remove(docker, &name).await;
                Err(error)
            }
        }
    }

    /// Runs a script of the shell's.
    pub(super) async fn run(&self, script: &str) -> Result<Printed, DockerError> {
        let mut shell = self.shell.lock().await;
        let ran = timeout(wait::scaled(PATIENCE), shell.run(script)).await;
        let silent = |_| Err(format!("no answer within {PATIENCE:?}").into());
        ran.unwrap_or_else(silent).map_err(|source| DockerError::Api {
            doing: format!("running a script in `{}`", self.name),
            source,
        })
    }

    /// Removes the container.
    pub(super) async fn leave(&self) -> Result<(), DockerError> {
        container::remove(&self.docker, &self.name).await
    }
}

async fn create(
    docker: &Docker,
    place: &Place,
    name: &str,
    privilege: Privilege<'_>,
) -> Result<(), DockerError> {
    let image = image::tools(docker.api(), &|_| ()).await?;
    let rules = privilege != Privilege::None;
    let host = HostConfig {
        network_mode: Some(format!("container:{}", place.container)),
        cap_drop: Some(vec!["ALL".to_owned()]),
        cap_add: rules.then(|| vec!["NET_ADMIN".to_owned()]),
        ..HostConfig::default()
    };
    let mut labels = docker.labels().to_map();
    let command = match privilege {
        // The rules of the lab's own node go when that does.
        Privilege::Rules { undo } if place.lent => {
            labels.insert(CHANGES_LABEL.to_owned(), place.container.clone());
            vec!["bash", "-c", LIVES, "sidecar", undo]
        }
        _ => vec!["bash"],
    };
    let body = ContainerCreateBody {
        image: Some(image),
        cmd: Some(command.into_iter().map(str::to_owned).collect()),
        labels: Some(labels),
        host_config: Some(host),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        open_stdin: Some(true),
        // When we are gone, so is the shell.
        stdin_once: Some(true),
        ..ContainerCreateBody::default()
    };
    let options = CreateContainerOptionsBuilder::new().name(name).build();
    let doing = format!("creating `{name}`");
    docker.api().create_container(Some(options), body).await.map(drop).map_err(DockerError::api(doing))
}

/// Has a sidecar whose owner is gone take back what it changed in the network of `changed`: in a life of its own, since
/// the first one may have ended at any point.
pub(super) async fn undo(api: &Api, sidecar: &str, changed: &str) -> Result<(), DockerError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| DockerError::Api {
        doing: format!("healing the links of `{changed}`"),
        source,
    };
    // It may have ended by itself.
    let _ = api.kill_container(sidecar, None::<KillContainerOptions>).await;
    ended(api, sidecar).await.map_err(failed)?;
    match api.start_container(sidecar, None::<StartContainerOptions>).await {
        Ok(()) => {}
        // With its network the rules are gone, too.
        Err(_) if !runs(api, changed).await => return Ok(()),
        Err(error) => return Err(failed(error.into())),
    }
    match ended(api, sidecar).await.map_err(failed)? {
        0 => Ok(()),
        status => Err(failed(format!("its script ended with {status}").into())),
    }
}

/// Waits until it has ended, and returns how.
async fn ended(api: &Api, sidecar: &str) -> Result<i64, Box<dyn std::error::Error + Send + Sync>> {
    let ended = wait::until("a sidecar to end", UNDONE, PACE, async || {
        match api.inspect_container(sidecar, None).await.map(|found| found.state.unwrap_or_default()) {
            Ok(state) if state.running == Some(true) => Seen::NotYet("it runs".to_owned()),
            Ok(state) => Seen::Ready(Ok(state.exit_code.unwrap_or_default())),
            Err(error) => Seen::Ready(Err(error)),
        }
    });
    Ok(ended.await??)
}

async fn runs(api: &Api, container: &str) -> bool {
    match api.inspect_container(container, None).await {
        Ok(found) => found.state.and_then(|state| state.running) == Some(true),
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => false,
        // Who knows?
        Err(_) => true,
    }
}

/// Attaches before the start, so that nothing is missed.
async fn open(docker: &Docker, name: &str) -> Result<Shell, DockerError> {
    let options =
        AttachContainerOptionsBuilder::new().stdin(true).stdout(true).stderr(true).stream(true).build();
    let doing = || format!("starting `{name}`");
    let attached = docker.api().attach_container(name, Some(options)).await;
    let AttachContainerResults { input, output } = attached.map_err(DockerError::api(doing()))?;
    // No turn of the network's is needed: a container on another's network has no endpoint of its own.
    let started = docker.api().start_container(name, None::<StartContainerOptions>).await;
    started.map_err(DockerError::api(doing()))?;
    Ok(Shell { input, output })
}

impl Shell {
    /// The script cannot read what the shell is told next, and says all it has to say on one stream. A
    /// line that nobody else would print ends it.
    async fn run(&mut self, script: &str) -> Result<Printed, Box<dyn std::error::Error + Send + Sync>> {
        let mark = format!("\n--{:016x} ", fastrand::u64(..));
        let wrapped = format!("(\n{script}\n) </dev/null 2>&1; printf '{}%s\\n' $?\n", mark.escape_default());
        self.input.write_all(wrapped.as_bytes()).await?;
        self.input.flush().await?;
        let mut heard = Vec::new();
        loop {
            let Some(chunk) = self.output.next().await else { return Err("its shell has ended".into()) };
            heard.extend_from_slice(&chunk?.into_bytes());
            if let Some(printed) = read(&String::from_utf8_lossy(&heard), &mark) {
                return Ok(printed);
            }
        }
    }
}

/// What was printed before the mark, and the status after it; none if it is not all there yet.
fn read(heard: &str, mark: &str) -> Option<Printed> {
    let (text, status) = heard.split_once(mark)?;
    let status = status.strip_suffix('\n')?;
    Some(Printed { ok: status == "0", text: text.trim_end().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_has_ended_when_its_status_is_there() {
        let of = |heard| read(heard, "\n--1d ").map(|printed| (printed.ok, printed.text));
        assert_eq!(of("one\ntwo\n"), None);
        assert_eq!(of("one\ntwo\n\n--1d 0"), None, "10 begins with 1");
        assert_eq!(of("one\ntwo\n\n--1d 0\n"), Some((true, "one\ntwo".to_owned())));
        assert_eq!(of("\n--1d 127\n"), Some((false, String::new())));
    }
}

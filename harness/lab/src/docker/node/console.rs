//! What is tried in a node's own place, and at its door.

use std::collections::BTreeMap;

use bollard::exec::{CreateExecOptions, StartExecResults};
use futures_util::StreamExt;

use super::{Access, Cli, Node, NodeError, host::Tenure, sockets};
use crate::docker::{Attempt, Docker, DockerError, probe};

/// The command line of whichever engine is in somebody else's container.
const ANY_CLI: [&str; 4] =
    ["sh", "-c", "exec \"$(command -v redis-cli || command -v valkey-cli)\" \"$@\"", "cli"];

impl Node {
    /// Runs `redis-cli` inside the container, as on the node's own console: needs no network.
    ///
    /// # Errors
    /// The container does not run.
    pub async fn console(&self, command: &[&str]) -> Result<String, NodeError> {
        let host = self.host()?;
        let port = self.port.to_string();
        let Cli { arguments, environment } = self.access.cli();
        let mut words = match host.tenure {
            Tenure::Own(_) => vec![host.docker.engine().cli()],
            Tenure::Lent(_) => ANY_CLI.to_vec(),
        };
        words.extend(["-p", &port]);
        words.extend(arguments.iter().map(String::as_str));
        words.extend(command);
        Ok(exec_with(&host.docker, &host.container, &words, environment).await?)
    }

    /// Sends a `PING` to another node's address, from this one's place on the network.
    ///
    /// # Errors
    /// The container does not run.
    pub async fn ping(&self, other: &Self) -> Result<Attempt, NodeError> {
        let host = self.host()?;
        let target = (other.address, other.port).into();
        Ok(probe::ping(&host.docker, &host.container, target, &other.access).await?)
    }

    /// Sends a `PING` to its server with `access` instead of its own, from where this process runs.
    pub async fn knock(&self, access: &Access) -> Attempt {
        probe::knock(self.reach(), access).await
    }

    /// Every port that its servers listen on, and what comes of a `PING` there without TLS, from its own
    /// place on the network.
    ///
    /// # Errors
    /// The container does not run.
    pub async fn tried_in_plain(&self) -> Result<BTreeMap<u16, Attempt>, NodeError> {
        let host = self.host()?;
        let tables = ["cat", "/proc/net/tcp", "/proc/net/tcp6"];
        let tables = exec(&host.docker, &host.container, &tables).await?;
        let access = self.access.in_plain();
        let mut attempts = BTreeMap::new();
        for port in sockets::listening(&tables) {
            let target = (self.address, port).into();
            attempts.insert(port, probe::ping(&host.docker, &host.container, target, &access).await?);
        }
        Ok(attempts)
    }

    /// The command line of every process on its host, as everybody there can read them.
    ///
    /// # Errors
    /// The container does not run.
    pub async fn processes(&self) -> Result<String, NodeError> {
        // A process may be gone before it is looked at.
        let look = ["sh", "-c", "cat /proc/[0-9]*/cmdline 2>/dev/null"];
        let host = self.host()?;
        Ok(exec(&host.docker, &host.container, &look).await?.replace('\0', " "))
    }
}

/// Runs a command in a container and returns what it printed.
pub(in crate::docker) async fn exec(
    docker: &Docker,
    container: &str,
    command: &[&str],
) -> Result<String, DockerError> {
    exec_with(docker, container, command, Vec::new()).await
}

/// [`exec`] with variables in the command's environment.
pub(in crate::docker) async fn exec_with(
    docker: &Docker,
    container: &str,
    command: &[&str],
    environment: Vec<String>,
) -> Result<String, DockerError> {
    let doing = || format!("running `{}` in `{container}`", command.join(" "));
    let options = CreateExecOptions {
        cmd: Some(command.iter().map(|word| (*word).to_owned()).collect()),
        env: Some(environment),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..CreateExecOptions::default()
    };
    let exec = docker.api().create_exec(container, options).await.map_err(DockerError::api(doing()))?;
    let started = docker.api().start_exec(&exec.id, None).await.map_err(DockerError::api(doing()))?;
    let mut printed = String::new();
    if let StartExecResults::Attached { mut output, .. } = started {
        while let Some(chunk) = output.next().await {
            printed.push_str(&chunk.map_err(DockerError::api(doing()))?.to_string());
        }
    }
    Ok(printed)
}

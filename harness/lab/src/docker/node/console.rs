//! What is tried in a node's own place, and at its door.

use std::{collections::BTreeMap, time::Duration};

use bollard::exec::{CreateExecOptions, StartExecResults};
use futures_util::StreamExt;
use tokio::time::timeout;

use super::{Access, Cli, Node, NodeError, host::Tenure, shortened, sockets};
use crate::{
    docker::{Attempt, Docker, DockerError, probe},
    wait,
};

/// The command line of whichever engine is in somebody else's container.
const ANY_CLI: [&str; 4] =
    ["sh", "-c", "exec \"$(command -v redis-cli || command -v valkey-cli)\" \"$@\"", "cli"];
/// The same of its benchmark; says nothing where there is none.
const ANY_BENCHMARK: [&str; 4] = [
    "sh",
    "-c",
    "tool=$(command -v redis-benchmark || command -v valkey-benchmark) && exec \"$tool\" \"$@\"",
    "benchmark",
];
/// Stops every server for as many seconds as its argument says, and prints how long that was in nanoseconds.
const HOLD: &str = r#"
servers=
for process in /proc/[0-9]*; do
  case "$(cat "$process/comm" 2>/dev/null)" in redis-server|valkey-server) servers="$servers ${process#/proc/}";; esac
done
from=$(date +%s%N); kill -STOP $servers; sleep "$1"; kill -CONT $servers; to=$(date +%s%N)
echo $((to - from))
"#;

/// What `timeout` says of a command that it had to end: that of the GNU project, and that of BusyBox.
const ENDED: i64 = 124;
const TERMINATED: i64 = 128 + 15;

/// A container engine says that a command has ended no later than this.
const SAYS_SO: Duration = Duration::from_secs(5);

impl Node {
    /// Runs `redis-cli` inside the container, as on the node's own console: needs no network.
    ///
    /// # Errors
    /// The container does not run.
    pub async fn console(&self, command: &[&str]) -> Result<String, NodeError> {
        let mut printed = String::new();
        self.redis_cli(&[], command, &mut printed).await?;
        Ok(printed)
    }

    /// [`Node::console`], but what has not ended after `budget` is ended.
    ///
    /// # Errors
    /// The container does not run, or it was ended: then the error holds what it had printed.
    pub async fn console_within(&self, command: &[&str], budget: Duration) -> Result<String, NodeError> {
        // From inside: the container engine cannot end what it runs for us.
        let seconds = budget.as_secs_f64().ceil().to_string();
        let mut printed = String::new();
        let ran = async {
            let id = self.redis_cli(&["timeout", &seconds], command, &mut printed).await?;
            let host = self.host()?;
            let doing = || format!("asking how `redis-cli` ended in `{}`", host.container);
            let ended = host.docker.api().inspect_exec(&id).await.map_err(DockerError::api(doing()))?;
            Ok::<_, NodeError>(ended.exit_code)
        };
        // The engine has to say so, too.
        match timeout(budget + wait::scaled(SAYS_SO), ran).await {
            Ok(Ok(Some(ENDED | TERMINATED))) | Err(_) => Err(NodeError::Stalled {
                node: self.id.clone(),
                command: shortened(command),
                budget,
                printed: printed.trim().to_owned(),
            }),
            Ok(ended) => ended.map(|_| printed),
        }
    }

    /// Runs `redis-cli` by way of the command in front of it, if any, and says what the container engine calls that.
    async fn redis_cli(
        &self,
        by: &[&str],
        command: &[&str],
        printed: &mut String,
    ) -> Result<String, NodeError> {
        let host = self.host()?;
        let port = self.port.to_string();
        let Cli { arguments, environment } = self.access.cli();
        let mut words = by.to_vec();
        match host.tenure {
            Tenure::Own(_) => words.push(host.docker.engine().cli()),
            Tenure::Lent(_) => words.extend(ANY_CLI),
        }
        words.extend(["-p", &port]);
        words.extend(arguments.iter().map(String::as_str));
        words.extend(command);
        Ok(run(&host.docker, &host.container, &words, environment, printed).await?)
    }

    /// Runs the engine's own benchmark, `redis-benchmark` or `valkey-benchmark`, inside the container, and returns
    /// what it printed; nothing where it is not installed. For servers that let everybody in.
    ///
    /// # Errors
    /// The container does not run.
    pub async fn benchmark(&self, arguments: &[&str]) -> Result<Option<String>, NodeError> {
        let host = self.host()?;
        let words = [&ANY_BENCHMARK[..], arguments].concat();
        let printed = exec(&host.docker, &host.container, &words).await?;
        Ok((!printed.trim().is_empty()).then_some(printed))
    }

    /// Stops the server for `length` and lets it go on, both from inside the container: more exact than a
    /// [`FaultKind::Hold`](crate::docker::FaultKind::Hold), which waits for the container engine. Its sockets stay
    /// open and silent meanwhile. Returns how long it was stopped, by the container's clock.
    ///
    /// # Errors
    /// The container does not run, or no server runs in it.
    pub async fn hold_for(&self, length: Duration) -> Result<Duration, NodeError> {
        let host = self.host()?;
        let seconds = length.as_secs_f64().to_string();
        let printed = exec(&host.docker, &host.container, &["sh", "-c", HOLD, "hold", &seconds]).await?;
        match printed.trim().parse() {
            Ok(nanos) => Ok(Duration::from_nanos(nanos)),
            Err(_) => Err(NodeError::Unheld { node: self.id.clone(), says: printed.trim().to_owned() }),
        }
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
    let mut printed = String::new();
    run(docker, container, command, environment, &mut printed).await?;
    Ok(printed)
}

/// Adds what a command prints to `printed` as it comes, and says what the container engine calls the command.
async fn run(
    docker: &Docker,
    container: &str,
    command: &[&str],
    environment: Vec<String>,
    printed: &mut String,
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
    if let StartExecResults::Attached { mut output, .. } = started {
        while let Some(chunk) = output.next().await {
            printed.push_str(&chunk.map_err(DockerError::api(doing()))?.to_string());
        }
    }
    Ok(exec.id)
}

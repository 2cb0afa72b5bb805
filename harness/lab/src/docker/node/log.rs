//! What a node's server has said, since its host was equipped for it.

use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::StreamExt;

use super::Node;

/// What a host's log says when it gets a new node.
pub(super) const EQUIPPED: &str = "--- equipped for another node";

impl Node {
    /// The last lines of the server's log, where that is within reach.
    pub async fn log_tail(&self, lines: usize) -> String {
        self.read_log(&lines.to_string()).await
    }

    /// All of the server's log, where that is within reach.
    pub async fn log(&self) -> String {
        self.read_log("all").await
    }

    async fn read_log(&self, tail: &str) -> String {
        let Some(host) = &self.host else { return String::new() };
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail(tail).build();
        let mut stream = host.docker.api().logs(&host.container, Some(options));
        let mut log = String::new();
        while let Some(Ok(chunk)) = stream.next().await {
            log.push_str(&chunk.to_string());
        }
        // What servers said that ran there for earlier labs is not this node's.
        match log.rfind(EQUIPPED) {
            Some(begins) => log[begins..].lines().skip(1).map(|line| format!("{line}\n")).collect(),
            None => log,
        }
    }
}

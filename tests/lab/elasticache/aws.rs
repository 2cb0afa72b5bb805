//! AWS' own command line, before a control plane of the lab's.

use std::{
    io::ErrorKind,
    panic::{AssertUnwindSafe, resume_unwind},
    process::{Output, Stdio},
    time::Duration,
};

use failover_lab::{
    docker::Docker,
    wait::{Seen, until},
};
use futures_util::FutureExt;
use lab_aws::{ControlPlane, Server};
use serde_json::Value;
use tokio::process::Command;

use crate::ground::bare::with_docker;

const HINT: &str = "hint: on Debian, `apt-get install awscli`";
/// A command line that starts an interpreter takes a second on a busy machine.
const PACE: Duration = Duration::from_millis(300);
/// Nodes are up, down or replaced within this: what the manager's own waits add up to.
const SETTLED: Duration = Duration::from_secs(60);

/// Who asks: any key will do, and nobody is asked for one. A lost answer is not asked for again behind a test's back.
const ENVIRONMENT: [(&str, &str); 6] = [
    ("AWS_ACCESS_KEY_ID", "lab"),
    ("AWS_SECRET_ACCESS_KEY", "lab"),
    ("AWS_DEFAULT_REGION", "us-east-1"),
    ("AWS_EC2_METADATA_DISABLED", "true"),
    ("AWS_MAX_ATTEMPTS", "1"),
    ("AWS_PAGER", ""),
];

async fn python(arguments: &[&str]) -> Output {
    let mut python = Command::new("python3");
    let run = python.args(arguments).envs(ENVIRONMENT).stdin(Stdio::null()).kill_on_drop(true).output();
    run.await.unwrap_or_else(|error| panic!("python3 does not start: {error}"))
}

/// The command line, with a control plane as its endpoint.
pub(super) struct Aws {
    url: String,
    docker: Docker,
}

/// Serves ElastiCache's API, lends the command line to `body`, and removes everything.
pub(super) async fn with_elasticache<T>(body: impl AsyncFn(&Aws) -> T) -> T {
    with_docker(async |docker| {
        let plane = ControlPlane::new(docker.clone(), "us-east-1");
        let server = Server::listen(&plane, 0).await.unwrap();
        let ended =
            AssertUnwindSafe(body(&Aws { url: server.url(), docker: docker.clone() })).catch_unwind().await;
        // Or else its managers would bring back what is being removed.
        server.stop().await;
        plane.retire().await;
        let done = ended.unwrap_or_else(|panic| resume_unwind(panic));
        let left = docker.leftovers().await.unwrap();
        assert!(left.is_empty(), "left behind: {:?}", left.names());
        done
    })
    .await
}

impl Aws {
    /// What clients take for the service's endpoint.
    #[cfg(feature = "elasticache")]
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The engine that its nodes run, as the command line wants it named.
    pub(super) fn engine(&self) -> String {
        let engine = self.docker.engine();
        format!("--engine {} --engine-version {}", engine.family(), engine.version())
    }

    /// What its nodes run on.
    pub(super) fn docker(&self) -> &Docker {
        &self.docker
    }

    /// `aws elasticache …`: what it printed.
    ///
    /// # Panics
    /// It was refused.
    pub(super) async fn elasticache(&self, words: &str) -> Value {
        let answer = self.try_elasticache(words).await.unwrap_or_else(|refused| panic!("{words}: {refused}"));
        if answer.is_empty() { Value::Null } else { serde_json::from_str(&answer).unwrap() }
    }

    /// The same, or the words of the refusal.
    pub(super) async fn try_elasticache(&self, words: &str) -> Result<String, String> {
        let output = Command::new("aws")
            .args(["elasticache", "--endpoint-url", &self.url, "--output", "json"])
            .args(words.split_whitespace())
            .envs(ENVIRONMENT)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await;
        let output = match output {
            Ok(output) => output,
            Err(error) if error.kind() == ErrorKind::NotFound => panic!("there is no aws\n{HINT}"),
            Err(error) => panic!("aws does not start: {error}\n{HINT}"),
        };
        let text = |bytes| String::from_utf8(bytes).expect("aws prints UTF-8").trim().to_owned();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    /// Runs a program for boto3: the endpoint is its only argument, and what goes wrong in it ends it.
    ///
    /// # Panics
    /// Something did, or there is no boto3.
    pub(super) async fn python(&self, program: &str) {
        let known = python(&["-c", "import boto3"]).await;
        assert!(known.status.success(), "there is no boto3\nhint: `python3 -m pip install boto3`");
        let ended = python(&["-c", program, &self.url]).await;
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{said}");
    }

    /// Asks until the answer is as it should be.
    ///
    /// # Panics
    /// It did not become so.
    pub(super) async fn wait(&self, what: &str, words: &str, reached: impl Fn(&Value) -> bool) -> Value {
        until(what, SETTLED, PACE, async || {
            let answer = self.elasticache(words).await;
            if reached(&answer) { Seen::Ready(answer) } else { Seen::NotYet(answer.to_string()) }
        })
        .await
        .unwrap_or_else(|late| panic!("{late}"))
    }
}

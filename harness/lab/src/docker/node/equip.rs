//! A host's first server: it gets what it needs, and is started at a word.

use std::pin::Pin;

use bollard::{
    container::LogOutput,
    errors::Error,
    exec::{CreateExecOptions, StartExecResults},
};
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::{Host, Server, log::EQUIPPED};
use crate::docker::DockerError;

/// Makes a host as good as new; see the script.
const SCRIPT: &str = include_str!("../equip.sh");
/// What it prints then.
const DONE: &str = "equipped";

/// Waits in a host for the word to start its first server. A container engine takes tens of milliseconds to pass a
/// signal on, and one to pass on what is written.
pub(super) struct Starter {
    word: Pin<Box<dyn AsyncWrite + Send>>,
    /// The word may be lost with it.
    _printed: Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send>>,
}

impl Starter {
    /// Has the server start. Whether it does is for whoever asks it to see.
    pub(super) async fn say(&mut self) {
        // Whoever waited is gone if this fails, and the server is started by a signal.
        let _ = self.word.write_all(b"\n").await;
        let _ = self.word.flush().await;
    }
}

/// Empties a host, and puts there what the server needs. Not as arguments: those are for everybody to read.
pub(super) async fn equip(host: &Host, server: &Server) -> Result<Starter, DockerError> {
    let doing = || format!("equipping `{}`", host.container);
    let script = server.script(host.docker.engine().server());
    let files: Vec<(&str, &str)> =
        server.files.iter().map(|file| (file.name.as_str(), file.text.as_str())).collect();
    let files = [("server.sh", script.as_str())].into_iter().chain(files);
    let (names, texts): (Vec<&str>, Vec<&str>) = files.unzip();
    let variables: Vec<String> =
        (1..).zip(texts).map(|(number, text)| format!("FILE_{number}={text}")).collect();
    let options = CreateExecOptions {
        cmd: Some([&["sh", "-c", SCRIPT, "equip", EQUIPPED][..], &names].concat()),
        env: Some(variables.iter().map(String::as_str).collect()),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..CreateExecOptions::default()
    };
    let exec =
        host.docker.api().create_exec(&host.container, options).await.map_err(DockerError::api(doing()))?;
    let started = host.docker.api().start_exec(&exec.id, None).await.map_err(DockerError::api(doing()))?;
    let StartExecResults::Attached { mut output, input } = started else {
        unreachable!("it was asked for attached")
    };
    let mut printed = String::new();
    while let Some(chunk) = output.next().await {
        printed.push_str(&chunk.map_err(DockerError::api(doing()))?.to_string());
        if printed.trim() == DONE {
            return Ok(Starter { word: input, _printed: output });
        }
    }
    Err(DockerError::Api { doing: doing(), source: printed.into() })
}

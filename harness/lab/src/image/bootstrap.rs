//! A bare Debian, made by `mmdebstrap` and imported as an image.

use std::{io, process::Stdio, time::Duration};

use bollard::{Docker, query_parameters::CreateImageOptionsBuilder};
use futures_util::{StreamExt as _, stream};
use tokio::{
    io::AsyncReadExt as _,
    process::{ChildStdout, Command},
    sync::oneshot,
};

use super::{
    error::ImageError,
    narrate::{Narrator, Silence, lines},
};
use crate::explain::chain;

/// apt gives up on a mirror by itself before this.
const STALLED: Duration = Duration::from_secs(180);

/// Ends the command, with all it started, when this process goes away: its standard input closes then,
/// even after SIGKILL. What it keeps among the temporary files goes with it. The group is its own, so that
/// whoever kills ours does not hit the guard as well.
const GUARDED: &str = r#"
trap : TERM
TMPDIR=$(mktemp -d -t failover-lab.XXXXXXXX) && chmod 755 "$TMPDIR" && export TMPDIR || exit
exec 3<&0
"$@" </dev/null 3<&- & child=$!
{ cat <&3; kill -TERM 0; } >/dev/null 2>&1 & guard=$!
exec 3<&-
while wait $child; status=$?; kill -0 $child 2>/dev/null; do :; done
kill $guard 2>/dev/null
rm -rf --one-file-system "$TMPDIR"
exit $status
"#;

/// What to leave out: nobody reads manuals in a container.
const LEFT_OUT: [&str; 4] = ["man", "doc", "info", "locale"];

/// Makes the base image `name` of `suite`, labelled. It gets its name only when it is whole.
pub(super) async fn import(
    docker: &Docker,
    name: &str,
    suite: &str,
    mirror: &str,
    labels: &[(&str, &str)],
    progress: &(dyn Fn(&str) + Send + Sync),
) -> Result<(), ImageError> {
    progress(&format!("making Debian {suite} from {mirror}"));
    let mut command = Command::new("sh");
    command.args(["-c", GUARDED, "sh", "mmdebstrap", "--variant=minbase", "--format=tar"]);
    // Half a tree is thrown away anyhow: no need to wait for the disk after each file.
    command.arg("--dpkgopt=force-unsafe-io");
    command.args(LEFT_OUT.map(|folder| format!("--dpkgopt=path-exclude=/usr/share/{folder}/*")));
    command.args([suite, "-", mirror]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    #[cfg(unix)]
    command.process_group(0);
    let mut narrator = Narrator::new(&format!("making Debian {suite}"), progress);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Err(ImageError::build(name, format!("`sh`: {error}"), vec![])),
    };
    // Held until the end: closing it stops the command.
    let stdin = child.stdin.take();
    let (stdout, stderr) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));

    let (ended, end) = oneshot::channel();
    let options = CreateImageOptionsBuilder::new()
        .from_src("-")
        .repo(name)
        .changes(labels.iter().map(|(label, value)| format!("LABEL {label}={value}")).collect())
        .build();
    // The answer's head comes when the last byte is in.
    let docker = docker.clone().with_timeout(Duration::from_secs(3600));
    let mut import =
        docker.create_image(Some(options), Some(bollard::body_try_stream(body(stdout, end))), None);

    let watch = async {
        let mut stderr = lines(stderr);
        let heard = loop {
            match narrator.next(&mut stderr, STALLED).await {
                Ok(Some(Ok(line))) => narrator.heard(&line),
                Ok(Some(Err(_)) | None) => break Ok(()),
                Err(Silence(silence)) => break Err(format!("silent for {} s", silence.as_secs())),
            }
        };
        let outcome = match heard {
            Ok(()) => match child.wait().await {
                Ok(status) if status.success() => Ok(()),
                Ok(status) => Err(format!("mmdebstrap: {status}")),
                Err(error) => Err(format!("mmdebstrap: {error}")),
            },
            silent => silent,
        };
        drop(stdin);
        // Nobody listens any more if the container engine has given up; `imported` says so then.
        let _ = ended.send(outcome.is_ok());
        outcome
    };
    let imported = async {
        while let Some(answer) = import.next().await {
            answer?;
        }
        Ok::<_, bollard::errors::Error>(())
    };
    let (made, imported) = futures_util::join!(watch, imported);
    match (made, imported) {
        (Ok(()), Ok(())) => Ok(()),
        (Err(why), _) => Err(ImageError::build(name, why, narrator.tail())),
        (Ok(()), Err(error)) => Err(ImageError::build(name, chain(&error), narrator.tail())),
    }
}

/// The archive as it is written. It breaks off, instead of ending, if the command fails: half an archive
/// must not become an image.
fn body<B: From<Vec<u8>>>(
    stdout: ChildStdout,
    end: oneshot::Receiver<bool>,
) -> impl futures_util::Stream<Item = io::Result<B>> + Send + 'static {
    stream::try_unfold((stdout, end), |(mut stdout, end)| async move {
        let mut chunk = vec![0; 1 << 16];
        match stdout.read(&mut chunk).await? {
            0 => match end.await {
                Ok(true) => Ok(None),
                _ => Err(io::Error::other("mmdebstrap failed")),
            },
            length => {
                chunk.truncate(length);
                Ok(Some((B::from(chunk), (stdout, end))))
            }
        }
    })
}

/// Makes sure that `mmdebstrap` is there, installing it where that is ours to do. `Err` says why not.
pub(super) async fn install(progress: &(dyn Fn(&str) + Send + Sync)) -> Result<(), String> {
    if runs("mmdebstrap").await {
        return Ok(());
    }
    if !runs("apt-get").await {
        return Err("mmdebstrap is not installed, and this is no Debian".to_owned());
    }
    if !is_root().await {
        return Err("mmdebstrap is not installed, and installing it needs root".to_owned());
    }
    progress("mmdebstrap is missing: installing it, to build images from Debian packages");
    const INSTALL: &str = "apt-get -o DPkg::Lock::Timeout=60 install -y --no-install-recommends \
        mmdebstrap debian-archive-keyring";
    // The package lists may be missing or old. One broken source among many is no reason to stop.
    let mut narrator = Narrator::new("installing mmdebstrap", progress);
    if run(INSTALL, &mut narrator).await || {
        run("apt-get update", &mut narrator).await;
        run(INSTALL, &mut narrator).await
    } {
        return Ok(());
    }
    Err(format!("mmdebstrap cannot be installed: {}", narrator.tail().join("; ")))
}

/// Whether `mmdebstrap` is there, or can be.
pub(super) async fn possible() -> bool {
    runs("mmdebstrap").await || (runs("apt-get").await && is_root().await)
}

/// Runs to its end even if nobody waits: a package manager must not be cut off.
async fn run(command: &str, narrator: &mut Narrator<'_>) -> bool {
    let child = Command::new("sh")
        .args(["-c", &format!("exec {command} 2>&1")])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else { return false };
    let mut output = lines(child.stdout.take().expect("piped"));
    while let Ok(Some(Ok(line))) = narrator.next(&mut output, STALLED).await {
        narrator.heard(&line);
    }
    child.wait().await.is_ok_and(|status| status.success())
}

async fn runs(program: &str) -> bool {
    let null = || Stdio::null();
    let status = Command::new(program).arg("--version").stdin(null()).stdout(null()).stderr(null()).status();
    status.await.is_ok_and(|status| status.success())
}

async fn is_root() -> bool {
    Command::new("id").arg("-u").output().await.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

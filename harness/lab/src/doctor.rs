//! What this machine has and lacks, before anything is started.

mod kernel;

use std::{collections::HashMap, path::Path, process::Stdio, time::Duration};

use bollard::{Docker, errors::Error, models::SystemInfo, query_parameters::ListContainersOptionsBuilder};
use serde::Serialize;
use sysinfo::Disks;

use crate::{
    connect,
    docker::{RUN_LABEL, Route, route},
    engine::Engine,
    image::{self, Offer},
};

/// The oldest protocol the lab speaks: Docker 20.10.
const OLDEST_API: (u32, u32) = (1, 41);
const LITTLE_DISK: u64 = 5_000_000_000;
/// A cluster of six nodes with its clients, and room for the container engine.
const LITTLE_MEMORY: u64 = 2 << 30;
/// A question that has no answer by then is reported as having none.
const PATIENCE: Duration = Duration::from_secs(10);

/// How it stands with one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Ok,
    /// Some labs may not run, or it cannot be told.
    Warn,
    /// No lab runs.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub name: &'static str,
    /// How it stands with it.
    pub state: State,
    /// What was seen.
    pub detail: String,
    /// What to do about it, when there is something to do.
    pub hint: Option<String>,
}

impl Finding {
    fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, state: State::Ok, detail: detail.into(), hint: None }
    }

    fn warn(name: &'static str, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { name, state: State::Warn, detail: detail.into(), hint: Some(hint.into()) }
    }

    fn fail(name: &'static str, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { name, state: State::Fail, detail: detail.into(), hint: Some(hint.into()) }
    }
}

/// Looks at everything a lab on `engine` needs. The container engine comes first; without one, what
/// depends on it is unknown. Nothing is started, pulled or changed.
pub async fn examine(engine: &Engine) -> Vec<Finding> {
    let (reached, info) = match connect::connect().await {
        Ok(docker) => match bounded(docker.info()).await {
            Ok(info) => (Ok(docker), info),
            Err(why) => (Err((why, "see whether `docker info` answers".to_owned())), SystemInfo::default()),
        },
        Err(error) => (Err((error.to_string(), error.hint())), SystemInfo::default()),
    };
    match reached {
        Ok(docker) => {
            let (container_engine, (image, registry), tools, addressing, leftovers) = futures_util::join!(
                container_engine(&docker),
                images(&docker, engine),
                tools(&docker),
                addressing(&docker),
                leftovers(&docker)
            );
            let mut findings = vec![container_engine, image, registry, tools, disk(&info), memory(&info)];
            findings.extend([nextest().await, compose().await]);
            findings.extend(kernel::examine(info.kernel_version.as_deref()).await);
            findings.extend([addressing, leftovers]);
            findings
        }
        Err((detail, hint)) => {
            let unknown = |name| {
                Finding::warn(name, "unknown without a container engine", "start the container engine first")
            };
            let mut findings = vec![Finding::fail("container engine", detail, hint)];
            findings.extend(["engine image", "registry", "tools image", "disk", "memory"].map(unknown));
            findings.extend([nextest().await, compose().await]);
            findings.extend(kernel::NAMES.map(unknown));
            findings.extend(["addressing", "leftovers"].map(unknown));
            findings
        }
    }
}

async fn bounded<T>(question: impl Future<Output = Result<T, Error>>) -> Result<T, String> {
    match tokio::time::timeout(PATIENCE, question).await {
        Ok(answer) => answer.map_err(|error| match error {
            Error::DockerResponseServerError { message, .. } => message,
            other => other.to_string(),
        }),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

async fn container_engine(docker: &Docker) -> Finding {
    const NAME: &str = "container engine";
    let version = match bounded(docker.version()).await {
        Ok(version) => version,
        Err(why) => return Finding::fail(NAME, why, "see whether `docker version` answers"),
    };
    let product = version.platform.map(|platform| platform.name).filter(|name| !name.is_empty());
    let api = version.api_version.unwrap_or_default();
    let detail = format!(
        "{} {}, API {api}",
        product.as_deref().unwrap_or("Docker"),
        version.version.as_deref().unwrap_or("of unknown version")
    );
    if parse_api(&api).is_some_and(|api| api >= OLDEST_API) {
        Finding::ok(NAME, detail)
    } else {
        let hint = "the lab needs API 1.41: Docker 20.10 or newer, or Podman 4 or newer";
        Finding::fail(NAME, detail, hint)
    }
}

fn parse_api(api: &str) -> Option<(u32, u32)> {
    let (major, minor) = api.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// The engine's image, and the registry it would come from.
async fn images(docker: &Docker, engine: &Engine) -> (Finding, Finding) {
    const IMAGE: &str = "engine image";
    const REGISTRY: &str = "registry";
    let reference = engine.registry_image();
    let (present, offer) = futures_util::join!(
        tokio::time::timeout(PATIENCE, image::present(docker, engine)),
        image::offer(docker, engine, PATIENCE)
    );
    let present = present.ok().and_then(Result::ok).flatten();
    let needed = present.is_none();

    let image = match (present, &offer) {
        (Some(found), _) => Finding::ok(IMAGE, format!("{}, {}", found.reference, found.origin)),
        (None, Offer::Has) => Finding::ok(IMAGE, format!("{reference} will be pulled")),
        (None, Offer::HasNot(why)) => Finding::fail(
            IMAGE,
            format!("the registry has no {reference}: {why}"),
            "correct the image in fixtures/engines.toml, or choose another engine with LAB_ENGINE",
        ),
        (None, Offer::NoAnswer(_)) if image::buildable().await => {
            let (local, suite) = (engine.local_image(), &engine.debian().suite);
            Finding::ok(IMAGE, format!("{local} will be built from Debian {suite}, in a minute or two"))
        }
        (None, Offer::NoAnswer(_)) => Finding::fail(
            IMAGE,
            format!("no image for {engine}, no registry, and nothing to build it with"),
            "give the container engine a registry; or `docker load` the image; or on Debian install mmdebstrap",
        ),
    };
    let registry = match offer {
        Offer::Has => Finding::ok(REGISTRY, format!("has {reference}")),
        Offer::HasNot(why) | Offer::NoAnswer(why) if !needed => {
            Finding::ok(REGISTRY, format!("not needed, and does not give {reference}: {why}"))
        }
        Offer::HasNot(why) | Offer::NoAnswer(why) => Finding::warn(
            REGISTRY,
            format!("does not give {reference}: {why}"),
            "see whether `docker pull` works; behind a proxy the container engine itself needs its settings",
        ),
    };
    (image, registry)
}

/// What partitions and relays run. Where it is made from depends on the registry, which has its own line.
async fn tools(docker: &Docker) -> Finding {
    const NAME: &str = "tools image";
    match tokio::time::timeout(PATIENCE, image::tools_present(docker)).await {
        Ok(Ok(Some(name))) => Finding::ok(NAME, name),
        Ok(Ok(None)) => Finding::ok(NAME, "will be built from Debian's packages, in a minute or two"),
        Ok(Err(error)) => Finding::warn(NAME, error.to_string(), error.hint()),
        Err(_) => Finding::warn(NAME, "unknown: no answer", "see whether `docker images` answers"),
    }
}

fn disk(info: &SystemInfo) -> Finding {
    const NAME: &str = "disk";
    let hint = "`docker system df` shows what takes the room, `docker system prune` removes what nobody uses";
    let Some(root) = info.docker_root_dir.as_deref() else {
        return Finding::warn(NAME, "the container engine does not say where its data is", hint);
    };
    // Inside a virtual machine the folder is not on this machine's disks.
    if !is_local(info) {
        return Finding::warn(NAME, format!("{root} is on another machine, its room is unknown"), hint);
    }
    let disks = Disks::new_with_refreshed_list();
    let disk = disks
        .iter()
        .filter(|disk| Path::new(root).starts_with(disk.mount_point()))
        .max_by_key(|disk| disk.mount_point().components().count());
    match disk.map(sysinfo::Disk::available_space) {
        Some(free) if free >= LITTLE_DISK => Finding::ok(NAME, format!("{} free at {root}", size(free))),
        Some(free) => Finding::warn(NAME, format!("only {} free at {root}", size(free)), hint),
        None => Finding::warn(NAME, format!("the disk of {root} is unknown"), hint),
    }
}

fn memory(info: &SystemInfo) -> Finding {
    const NAME: &str = "memory";
    let total = info.mem_total.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0);
    let mut available = total;
    let mut detail = format!("{} for containers", size(total));
    if is_local(info) {
        let mut system = sysinfo::System::new();
        system.refresh_memory();
        available = system.available_memory();
        detail = format!("{} available of {}", size(available), size(total));
    }
    if available >= LITTLE_MEMORY {
        Finding::ok(NAME, detail)
    } else {
        let hint = "close something, or give Docker Desktop more memory: a cluster lab wants 2 GB";
        Finding::warn(NAME, detail, hint)
    }
}

async fn nextest() -> Finding {
    const NAME: &str = "cargo-nextest";
    match says("cargo-nextest", &["nextest", "--version"]).await {
        Some(version) => Finding::ok(NAME, version),
        None => Finding::fail(
            NAME,
            "not found",
            "`cargo install --locked cargo-nextest`, or a ready binary from https://nexte.st",
        ),
    }
}

/// Where there are both, the tests use the plugin.
async fn compose() -> Finding {
    const NAME: &str = "compose";
    for (program, words) in [("docker", &["compose", "version"][..]), ("docker-compose", &["version"][..])] {
        if let Some(version) = says(program, words).await {
            return Finding::ok(NAME, version);
        }
    }
    Finding::warn(
        NAME,
        "not found: the tests of attached deployments fail, the labs do without",
        "install `docker-compose-plugin` from Docker, or Debian's `docker-compose`",
    )
}

/// The first line that a program prints; none where there is no such program, or it does not end well.
async fn says(program: &str, words: &[&str]) -> Option<String> {
    let output = tokio::process::Command::new(program).args(words).stdin(Stdio::null()).output();
    let output = tokio::time::timeout(PATIENCE, output).await.ok()?.ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    output.status.success().then(|| text.lines().next().unwrap_or_default().to_owned())
}

/// Whether a container's own address can be reached from here, as a lab finds it out.
async fn addressing(docker: &Docker) -> Finding {
    const NAME: &str = "addressing";
    match tokio::time::timeout(PATIENCE, route(docker)).await {
        Ok(Ok(route @ (Route::Chosen(_) | Route::Gateway(_)))) => Finding::ok(NAME, route.to_string()),
        Ok(Ok(route)) => Finding::warn(
            NAME,
            route.to_string(),
            "clients go through published ports and an address map; on Linux, Docker Engine as root avoids that",
        ),
        Ok(Err(error)) => Finding::fail(NAME, error.to_string(), error.hint()),
        Err(_) => Finding::warn(
            NAME,
            format!("no answer within {} s", PATIENCE.as_secs()),
            "see whether `docker network inspect bridge` answers",
        ),
    }
}

async fn leftovers(docker: &Docker) -> Finding {
    const NAME: &str = "leftovers";
    let filters = HashMap::from([("label", vec![RUN_LABEL])]);
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    match bounded(docker.list_containers(Some(options))).await {
        Ok(containers) if containers.is_empty() => Finding::ok(NAME, "none"),
        Ok(containers) => Finding::warn(
            NAME,
            format!("{} containers of labs, running or dead", containers.len()),
            "`cargo lab reap` removes those of dead runs",
        ),
        Err(why) => Finding::warn(NAME, format!("unknown: {why}"), "see whether `docker ps` answers"),
    }
}

fn is_desktop(info: &SystemInfo) -> bool {
    info.operating_system.as_deref().is_some_and(|name| name.contains("Docker Desktop"))
}

/// Whether the container engine shares this machine's kernel, and so its disks and memory.
fn is_local(info: &SystemInfo) -> bool {
    !is_desktop(info)
        && info.name.is_some()
        && info.name == sysinfo::System::host_name()
        && info.kernel_version == sysinfo::System::kernel_version()
}

fn size(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocol_versions_are_numbers() {
        assert!(parse_api("1.9").unwrap() < OLDEST_API);
        assert!(parse_api("1.41").unwrap() >= OLDEST_API);
        assert_eq!(parse_api(""), None);
    }

    #[tokio::test]
    async fn of_what_a_program_prints_the_first_line_counts() {
        assert_eq!(says("sh", &["-c", "echo one; echo two"]).await.as_deref(), Some("one"));
        assert_eq!(says("sh", &["-c", "echo one; exit 1"]).await, None);
        assert_eq!(says("/nonexistent", &[]).await, None);
    }

    #[test]
    fn little_memory_is_a_warning() {
        let finding = memory(&SystemInfo { mem_total: Some(1 << 30), ..Default::default() });
        assert_eq!((finding.state, finding.detail.as_str()), (State::Warn, "1.1 GB for containers"));
        assert!(finding.hint.is_some());
    }

    #[test]
    fn a_disk_elsewhere_is_unknown() {
        let info = SystemInfo {
            docker_root_dir: Some("/var/lib/docker".to_owned()),
            operating_system: Some("Docker Desktop".to_owned()),
            ..Default::default()
        };
        assert_eq!(disk(&info).state, State::Warn);
    }
}

//! A deployment that Compose has brought up, from this project's own file.

use std::{
    fs,
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use bollard::{
    Docker,
    errors::Error,
    models::{ContainerInspectResponse, HealthStatusEnum},
};
use failover_lab::{
    connect::connect,
    docker::{Labels, Scope, find, remove},
    pulse::soundly,
    reaper::Reaper,
    secret::Secret,
    sentinel::{Flag, Instance},
    session::{new_run_id, root, target_dir},
    wait::{self, Seen},
};
use futures_util::FutureExt;
use redis::FromRedisValue;

const HINT: &str = "hint: install Compose: `docker-compose-plugin` from Docker, or Debian's `docker-compose`";
/// Six containers, and sentinels that hear of each other and of the replicas after up to 10 s.
pub(in crate::ground) const BOOT: Duration = Duration::from_secs(90);
const PACE: Duration = Duration::from_millis(250);
pub(in crate::ground) const DATA: [&str; 3] = ["redis-1", "redis-2", "redis-3"];
pub(in crate::ground) const SENTINELS: [&str; 3] = ["sentinel-1", "sentinel-2", "sentinel-3"];
pub(in crate::ground) const NODES: [&str; 6] =
    ["redis-1", "redis-2", "redis-3", "sentinel-1", "sentinel-2", "sentinel-3"];

/// Whether the containers check themselves every five seconds: six that do take 8 % of a processor.
#[derive(Debug, Clone, Copy)]
enum Checks {
    On,
    Off,
}

/// A deployment that is up, or about to be.
pub(in crate::ground) struct Project {
    pub(in crate::ground) api: Docker,
    pub(in crate::ground) name: String,
    labels: Labels,
    /// Passwords, and labels for the sweep, should this process be killed.
    folder: PathBuf,
    pub(in crate::ground) password: Secret,
    pub(in crate::ground) sentinel_password: Secret,
    pub(in crate::ground) subnet: String,
}

impl Project {
    /// Lends one to `body`; whatever that does, nothing is left of it. Where the machine stood still meanwhile, that is
    /// done anew.
    pub(in crate::ground) async fn with(body: impl AsyncFn(&Self)) {
        Self::with_changes("{}", body).await;
    }

    /// The same with `changes` laid over its services.
    pub(in crate::ground) async fn with_changes(changes: &str, body: impl AsyncFn(&Self)) {
        soundly(async || Self::lend(changes, Checks::Off, &body).await).await;
    }

    /// The same, with the containers' own checks.
    pub(super) async fn with_checks(body: impl AsyncFn(&Self)) {
        soundly(async || Self::lend("{}", Checks::On, &body).await).await;
    }

    async fn lend(changes: &str, checks: Checks, body: impl AsyncFn(&Self)) {
        let labels = Labels::new(new_run_id());
        // Compose knows nothing of who started it: it would go on when this process does not.
        let reaper = Reaper::watch_over(Path::new(env!("CARGO_BIN_EXE_lab-reaper")), &labels.lab);
        let reaper = reaper.expect("the reaper was built with the tests");
        // Beside the runs' folders: what is left there when this process is killed is removed by `cargo clean`.
        let folder = target_dir(root()).join("lab/compose").join(&labels.lab);
        fs::create_dir_all(&folder).expect("a folder can be made");
        let project = Self {
            api: connect().await.unwrap_or_else(|error| panic!("{error}\nhint: {}", error.hint())),
            name: labels.lab.clone(),
            folder,
            password: Secret::random(),
            sentinel_password: Secret::random(),
            // One of those that Docker does not hand out itself.
            subnet: format!("10.{}.{}", subnet_byte(&labels.lab, 0), subnet_byte(&labels.lab, 1)),
            labels,
        };
        project.write("password", project.password.reveal());
        project.write("sentinel_password", project.sentinel_password.reveal());
        project.write("labels.yml", &project.override_with_labels(checks));
        project.write("changes.yml", &format!("version: \"3.8\"\nservices: {changes}\n"));
        let ended = AssertUnwindSafe(body(&project)).catch_unwind().await;
        let down = project.compose(&["down", "--volumes", "--timeout", "1"]);
        let scope = Scope::Run(project.labels.run.to_string());
        let left = find(&project.api, &scope).await.map(|left| left.names());
        remove(&project.api, &scope).await.expect("what is left can be removed");
        reaper.dismiss();
        fs::remove_dir_all(&project.folder).expect("the folder can be removed");
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        assert!(down.status.success(), "{}", said(&down));
        assert_eq!(left.expect("the container engine answers"), Vec::<String>::new());
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.join(name), text).expect("a file can be written");
    }

    fn override_with_labels(&self, checks: Checks) -> String {
        let labels: Vec<String> =
            self.labels.to_map().iter().map(|(name, value)| format!("{name}: \"{value}\"")).collect();
        let all = |kind: &str, names: &[&str], more: &str| {
            let labels = labels.join(", ");
            let each = names.iter().map(|name| format!("  {name}: {{ labels: {{ {labels} }}{more} }}\n"));
            format!("{kind}:\n{}", each.collect::<String>())
        };
        let checks = match checks {
            Checks::On => "",
            Checks::Off => ", healthcheck: { interval: 1h }",
        };
        // docker-compose 1.29 replaces a network where Compose v2 merges it.
        let subnet = match is_plugin() {
            true => String::new(),
            false => format!("    ipam: {{ config: [{{ subnet: {}.0/24 }}] }}\n", self.subnet),
        };
        let network = format!("networks:\n  lab:\n    labels: {{ {} }}\n{subnet}", labels.join(", "));
        let (services, volumes) = (all("services", &NODES, checks), all("volumes", &NODES, ""));
        ["version: \"3.8\"\n", &services, &network, &volumes].concat()
    }

    /// Runs Compose on it.
    fn compose(&self, words: &[&str]) -> Output {
        let mut command = program();
        command.current_dir(root().join("docker/sentinel"));
        command.args(["--project-name", &self.name, "--file", "compose.yml", "--file"]);
        command.arg(self.folder.join("labels.yml")).arg("--file").arg(self.folder.join("changes.yml"));
        command.args(words);
        command.env("LAB_IMAGE", "failover-lab/redis:7.0");
        command.env("LAB_SECRETS", &self.folder).env("LAB_SUBNET", &self.subnet);
        for port in ["REDIS_1", "REDIS_2", "REDIS_3", "SENTINEL_1", "SENTINEL_2", "SENTINEL_3"] {
            // Any free one.
            command.env(format!("{port}_PORT"), "");
        }
        command.output().expect("it started a moment ago")
    }

    pub(in crate::ground) fn composed(&self, words: &[&str]) -> String {
        let output = self.compose(words);
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The container of a service.
    pub(super) fn container(&self, service: &str) -> String {
        self.composed(&["ps", "--quiet", service]).trim().to_owned()
    }

    /// What the container engine knows of it. Compose v2 puts dashes into its name.
    pub(in crate::ground) async fn inspect(&self, service: &str) -> Result<ContainerInspectResponse, Error> {
        let name = format!("{}_{service}_1", self.name);
        match self.api.inspect_container(&name, None).await {
            Ok(found) => Ok(found),
            Err(_) => self.api.inspect_container(&name.replace('_', "-"), None).await,
        }
    }

    /// Asks a service on the port that it has on localhost.
    pub(in crate::ground) async fn ask<T: FromRedisValue>(
        &self,
        service: &str,
        words: &[&str],
    ) -> Result<T, String> {
        let failed = |error: &dyn std::fmt::Display| format!("{service}: {error}");
        let (inner, password) = match service.starts_with("sentinel") {
            true => ("26379/tcp", &self.sentinel_password),
            false => ("6379/tcp", &self.password),
        };
        let settings = self.inspect(service).await.map_err(|error| failed(&error))?.network_settings;
        let mut ports = settings.and_then(|settings| settings.ports).unwrap_or_default();
        let bindings = ports.remove(inner).flatten().unwrap_or_default();
        let binding = bindings.into_iter().next().ok_or_else(|| failed(&"no port"))?;
        assert_eq!(binding.host_ip.as_deref(), Some("127.0.0.1"), "reachable from elsewhere");
        let port = binding.host_port.unwrap_or_default();
        let url = format!("redis://:{}@127.0.0.1:{port}/", password.reveal());
        let client = redis::Client::open(url).map_err(|error| failed(&error))?;
        let asked = async {
            let mut connection = client.get_multiplexed_async_connection().await?;
            redis::cmd(words[0]).arg(&words[1..]).query_async(&mut connection).await
        };
        let limit = Duration::from_secs(2);
        tokio::time::timeout(limit, asked)
            .await
            .map_err(|late| failed(&late))?
            .map_err(|error| failed(&error))
    }

    /// Gives every sentinel another setting.
    pub(in crate::ground) async fn set(&self, setting: &str, value: &str) {
        for sentinel in SENTINELS {
            let set = self.ask::<String>(sentinel, &["SENTINEL", "SET", "lab", setting, value]).await;
            assert_eq!(set.as_deref(), Ok("OK"), "{sentinel}");
        }
    }

    /// The replicas of which each sentinel knows that they are never to be promoted.
    pub(in crate::ground) async fn replicas_barred(&self) -> Result<Vec<usize>, String> {
        self.replicas_that(|replica| replica.number::<u32>("slave-priority") == Some(0)).await
    }

    /// How many replicas are like this, for each sentinel.
    async fn replicas_that(&self, are: impl Fn(&Instance) -> bool) -> Result<Vec<usize>, String> {
        let mut counted = Vec::new();
        for sentinel in SENTINELS {
            let listed: Vec<_> = self.ask(sentinel, &["SENTINEL", "REPLICAS", "lab"]).await?;
            counted.push(listed.into_iter().map(Instance::of).filter(&are).count());
        }
        Ok(counted)
    }

    /// The other sentinels that one holds to be down.
    pub(in crate::ground) async fn others_down(&self, sentinel: &str) -> Result<usize, String> {
        let listed: Vec<_> = self.ask(sentinel, &["SENTINEL", "SENTINELS", "lab"]).await?;
        let all = listed.into_iter().map(Instance::of);
        Ok(all.filter(|other| other.flags().contains(&Flag::SubjectivelyDown)).count())
    }

    /// What a sentinel knows of the primary.
    pub(in crate::ground) async fn master(&self, sentinel: &str) -> Result<Instance, String> {
        self.ask(sentinel, &["SENTINEL", "MASTER", "lab"]).await.map(Instance::of)
    }

    /// Every sentinel sees a primary that is up, two replicas that are, too, and the two others.
    pub(in crate::ground) async fn whole(&self) -> Seen<String> {
        self.whole_with(2).await
    }

    /// The same of a project of so many replicas. Which a sentinel learns of first, its replicas or the others, is chance.
    pub(in crate::ground) async fn whole_with(&self, replicas_there: usize) -> Seen<String> {
        let mut named = Vec::new();
        for sentinel in SENTINELS {
            let master = match self.master(sentinel).await {
                Ok(master) => master,
                Err(error) => return Seen::NotYet(error),
            };
            let replicas: Result<Vec<_>, _> = self.ask(sentinel, &["SENTINEL", "REPLICAS", "lab"]).await;
            let replicas: Vec<Instance> =
                replicas.unwrap_or_default().into_iter().map(Instance::of).collect();
            let good =
                replicas.iter().filter(|replica| replica.is_only(Flag::Replica) && replica.link_up()).count();
            let others = master.number::<usize>("num-other-sentinels").unwrap_or(0);
            if !master.is_only(Flag::Primary) || (good, others) != (replicas_there, 2) {
                return Seen::NotYet(format!(
                    "{sentinel}: {:?}, {good} replicas, {others} others",
                    master.flags()
                ));
            }
            named.push(master.address().to_owned());
        }
        match named.iter().all(|address| *address == named[0]) {
            true => Seen::Ready(named.swap_remove(0)),
            false => Seen::NotYet(format!("{named:?}")),
        }
    }

    /// Every sentinel names another primary.
    pub(in crate::ground) async fn replaced(&self, primary: &str) -> Seen<()> {
        for sentinel in SENTINELS {
            match self.master(sentinel).await {
                Ok(master) if master.address() != primary => {}
                Ok(_) => return Seen::NotYet(format!("{sentinel} names {primary}")),
                Err(error) => return Seen::NotYet(error),
            }
        }
        Seen::Ready(())
    }

    /// The data nodes that are not at this address.
    pub(in crate::ground) fn others_than(&self, primary: &str) -> Vec<&'static str> {
        let at = |number: usize| format!("{}.{}", self.subnet, 11 + number);
        let others = DATA.into_iter().enumerate().filter(|(number, _)| at(*number) != primary);
        others.map(|(_, node)| node).collect()
    }

    /// Every container's own check says that it is well.
    pub(super) async fn healthy(&self) -> Seen<()> {
        for node in NODES {
            let found = self.inspect(node).await;
            let health = found.ok().and_then(|found| found.state?.health?.status);
            if health != Some(HealthStatusEnum::HEALTHY) {
                return Seen::NotYet(format!("{node}: {health:?}"));
            }
        }
        Seen::Ready(())
    }

    /// A text that others can read has neither password in it.
    pub(in crate::ground) fn no_password_is_in(&self, what: &str, text: &str) {
        for secret in [&self.password, &self.sentinel_password] {
            assert!(!text.contains(secret.reveal()), "a password is in sight: {what}");
        }
    }

    /// Whoever may use Docker sees the containers' settings, processes and logs, and no password.
    pub(super) async fn no_password_is_in_sight(&self) {
        for node in NODES {
            let found = self.inspect(node).await.expect("it is there");
            self.no_password_is_in(&format!("docker inspect {node}"), &format!("{found:?}"));
            let id = found.id.expect("it has an id");
            for word in ["top", "logs"] {
                let output = Command::new("docker").args([word, &id]).output().expect("docker starts");
                let shown = said(&output);
                assert!(output.status.success() && !shown.is_empty(), "docker {word} {node}: {shown}");
                self.no_password_is_in(&format!("docker {word} {node}"), &shown);
            }
        }
    }

    pub(in crate::ground) async fn until<T, F: Future<Output = Seen<T>>>(
        &self,
        what: &str,
        budget: Duration,
        look: impl FnMut() -> F,
    ) -> T {
        let seen = wait::until(what, budget, PACE, look).await;
        seen.unwrap_or_else(|late| panic!("{late}\n{}", said(&self.compose(&["logs", "--tail", "20"]))))
    }
}

/// Compose v2 where there is one, else docker-compose.
fn program() -> Command {
    if is_plugin() {
        let mut command = Command::new("docker");
        command.arg("compose");
        return command;
    }
    assert!(works(Command::new("docker-compose").arg("version")), "there is no Compose\n{HINT}");
    Command::new("docker-compose")
}

fn is_plugin() -> bool {
    works(Command::new("docker").args(["compose", "version"]))
}

fn works(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

pub(super) fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned()).concat()
}

/// A number from 180 to 243, by the lab's own random name.
fn subnet_byte(name: &str, place: usize) -> usize {
    let digits = &name[name.len() - 8 + 2 * place..][..2];
    180 + usize::from_str_radix(digits, 16).expect("hexadecimal digits") % 64
}

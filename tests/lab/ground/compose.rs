//! `docker/sentinel/compose.yml`, as a person would use it.

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
    query_parameters::{KillContainerOptions, StartContainerOptions},
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
pub(super) const BOOT: Duration = Duration::from_secs(90);
/// `down-after-milliseconds` is 5 s, a failed election is tried again after twice 60 s: one that succeeds
/// at once takes 10 s, and half a minute on a busy machine.
const FAILOVER: Duration = Duration::from_secs(60);
const PACE: Duration = Duration::from_millis(250);
pub(super) const DATA: [&str; 3] = ["redis-1", "redis-2", "redis-3"];
pub(super) const SENTINELS: [&str; 3] = ["sentinel-1", "sentinel-2", "sentinel-3"];
pub(super) const NODES: [&str; 6] =
    ["redis-1", "redis-2", "redis-3", "sentinel-1", "sentinel-2", "sentinel-3"];

/// A deployment that is up, or about to be.
pub(super) struct Project {
    pub(super) api: Docker,
    pub(super) name: String,
    labels: Labels,
    /// Passwords, and labels for the sweep, should this process be killed.
    folder: PathBuf,
    pub(super) password: Secret,
    pub(super) sentinel_password: Secret,
    pub(super) subnet: String,
}

impl Project {
    /// Lends one to `body`; whatever that does, nothing is left of it. Where the machine stood still meanwhile, that is
    /// done anew.
    pub(super) async fn with(body: impl AsyncFn(&Self)) {
        Self::with_changes("{}", body).await;
    }

    /// The same with `changes` laid over its services.
    pub(super) async fn with_changes(changes: &str, body: impl AsyncFn(&Self)) {
        soundly(async || Self::lend(changes, &body).await).await;
    }

    async fn lend(changes: &str, body: impl AsyncFn(&Self)) {
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
        project.write("labels.yml", &project.override_with_labels());
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

    fn override_with_labels(&self) -> String {
        let labels: Vec<String> =
            self.labels.to_map().iter().map(|(name, value)| format!("{name}: \"{value}\"")).collect();
        let all = |kind: &str, names: &[&str]| {
            let each =
                names.iter().map(|name| format!("  {name}: {{ labels: {{ {} }} }}\n", labels.join(", ")));
            format!("{kind}:\n{}", each.collect::<String>())
        };
        // docker-compose 1.29 replaces a network where Compose v2 merges it.
        let subnet = match is_plugin() {
            true => String::new(),
            false => format!("    ipam: {{ config: [{{ subnet: {}.0/24 }}] }}\n", self.subnet),
        };
        let network = format!("networks:\n  lab:\n    labels: {{ {} }}\n{subnet}", labels.join(", "));
        ["version: \"3.8\"\n", &all("services", &NODES), &network, &all("volumes", &NODES)].concat()
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

    pub(super) fn composed(&self, words: &[&str]) -> String {
        let output = self.compose(words);
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The container of a service.
    fn container(&self, service: &str) -> String {
        self.composed(&["ps", "--quiet", service]).trim().to_owned()
    }

    /// What the container engine knows of it. Compose v2 puts dashes into its name.
    pub(super) async fn inspect(&self, service: &str) -> Result<ContainerInspectResponse, Error> {
        let name = format!("{}_{service}_1", self.name);
        match self.api.inspect_container(&name, None).await {
            Ok(found) => Ok(found),
            Err(_) => self.api.inspect_container(&name.replace('_', "-"), None).await,
        }
    }

    /// Asks a service on the port that it has on localhost.
    pub(super) async fn ask<T: FromRedisValue>(&self, service: &str, words: &[&str]) -> Result<T, String> {
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
    pub(super) async fn set(&self, setting: &str, value: &str) {
        for sentinel in SENTINELS {
            let set = self.ask::<String>(sentinel, &["SENTINEL", "SET", "lab", setting, value]).await;
            assert_eq!(set.as_deref(), Ok("OK"), "{sentinel}");
        }
    }

    /// The replicas of which each sentinel knows that they are never to be promoted.
    pub(super) async fn replicas_barred(&self) -> Result<Vec<usize>, String> {
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
    pub(super) async fn others_down(&self, sentinel: &str) -> Result<usize, String> {
        let listed: Vec<_> = self.ask(sentinel, &["SENTINEL", "SENTINELS", "lab"]).await?;
        let all = listed.into_iter().map(Instance::of);
        Ok(all.filter(|other| other.flags().contains(&Flag::SubjectivelyDown)).count())
    }

    /// What a sentinel knows of the primary.
    pub(super) async fn master(&self, sentinel: &str) -> Result<Instance, String> {
        self.ask(sentinel, &["SENTINEL", "MASTER", "lab"]).await.map(Instance::of)
    }

    /// Every sentinel sees a primary that is up, two replicas that are, too, and the two others.
    pub(super) async fn whole(&self) -> Seen<String> {
        self.whole_with(2).await
    }

    /// The same of a project of so many replicas. Which a sentinel learns of first, its replicas or the others, is chance.
    pub(super) async fn whole_with(&self, replicas_there: usize) -> Seen<String> {
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
    pub(super) async fn replaced(&self, primary: &str) -> Seen<()> {
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
    pub(super) fn others_than(&self, primary: &str) -> Vec<&'static str> {
        let at = |number: usize| format!("{}.{}", self.subnet, 11 + number);
        let others = DATA.into_iter().enumerate().filter(|(number, _)| at(*number) != primary);
        others.map(|(_, node)| node).collect()
    }

    /// Every container's own check says that it is well.
    async fn healthy(&self) -> Seen<()> {
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
    pub(super) fn no_password_is_in(&self, what: &str, text: &str) {
        for secret in [&self.password, &self.sentinel_password] {
            assert!(!text.contains(secret.reveal()), "a password is in sight: {what}");
        }
    }

    /// Whoever may use Docker sees the containers' settings, processes and logs, and no password.
    async fn no_password_is_in_sight(&self) {
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

    pub(super) async fn until<T, F: Future<Output = Seen<T>>>(
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

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned()).concat()
}

/// A number from 180 to 243, by the lab's own random name.
fn subnet_byte(name: &str, place: usize) -> usize {
    let digits = &name[name.len() - 8 + 2 * place..][..2];
    180 + usize::from_str_radix(digits, 16).expect("hexadecimal digits") % 64
}

/// 1. The file is valid.
/// 2. The deployment comes up, every sentinel agrees, and every container is healthy; no password is in sight.
/// 3. The primary's container is killed: a replica takes over.
/// 4. It is started again, and follows the new primary; still no password is in sight.
/// 5. Everything goes, with its volumes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_in_ones_own_hands() {
    Project::with(async |project| {
        // 1. Valid.
        let config = project.composed(&["config"]);
        assert!(config.contains("127.0.0.1"), "{config}");

        // 2. Up.
        project.composed(&["up", "--detach"]);
        let first = project.until("all sentinels to see all nodes", BOOT, || project.whole()).await;
        assert_eq!(first, format!("{}.11", project.subnet));
        project.until("every container to be healthy", BOOT, || project.healthy()).await;
        project.no_password_is_in("docker compose config", &config);
        project.no_password_is_in_sight().await;

        // 3. A failover.
        let primary = project.container("redis-1");
        project.api.kill_container(&primary, None::<KillContainerOptions>).await.expect("it is killed");
        let look = || async {
            match project.master("sentinel-1").await {
                Ok(master) if master.address() != first => Seen::Ready(master.address().to_owned()),
                Ok(master) => Seen::NotYet(format!("{:?}", master.flags())),
                Err(error) => Seen::NotYet(error),
            }
        };
        let second = project.until("another primary", FAILOVER, look).await;

        // 4. Back.
        project.api.start_container(&primary, None::<StartContainerOptions>).await.expect("it starts");
        let again = project.until("the old primary to be a replica", BOOT, || project.whole()).await;
        assert_eq!(again, second);
        let role: Vec<redis::Value> = project.ask("redis-1", &["ROLE"]).await.expect("it answers");
        assert_eq!(role.first(), Some(&redis::Value::BulkString(b"slave".to_vec())));
        project.no_password_is_in_sight().await;
    })
    .await;
}

/// Whoever forgets the password, or takes one that a configuration file would read as something else, is
/// told so in one line, and no server starts.
#[rstest::rstest]
#[case::none("", "start.sh: no password: secrets/password is empty\n")]
#[case::space(
    "two words",
    "start.sh: the password in secrets/password may only have letters, digits, - and _\n"
)]
#[case::quote("a\"b", "start.sh: the password in secrets/password may only have letters, digits, - and _\n")]
fn a_bad_password_is_refused(#[case] password: &str, #[case] message: &str) {
    let labels = Labels::new(new_run_id());
    let folder = std::env::temp_dir().join(&labels.lab);
    fs::create_dir_all(&folder).expect("a folder can be made");
    fs::write(folder.join("password"), password).expect("a file can be written");
    let mount = |from: &Path, to: &str| format!("{}:{to}:ro", from.display());
    let mut docker = Command::new("docker");
    docker.args(["run", "--rm", "--network", "none"]);
    for (name, value) in labels.to_map() {
        docker.arg("--label").arg(format!("{name}={value}"));
    }
    docker.args(["--volume", &mount(&root().join("docker/sentinel"), "/lab")]);
    docker.args(["--volume", &mount(&folder, "/run/secrets")]);
    docker.args(["failover-lab/redis:7.0", "sh", "/lab/start.sh", "primary"]);
    let output = docker.output();
    fs::remove_dir_all(&folder).expect("the folder can be removed");
    let output = output.expect("docker starts");
    assert_eq!((said(&output).as_str(), output.status.code()), (message, Some(64)));
}

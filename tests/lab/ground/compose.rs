//! `docker/sentinel/compose.yml`, as a person would use it.

/// What the tests bring up.
mod project;

use std::{fs, path::Path, process::Command, time::Duration};

use bollard::query_parameters::{KillContainerOptions, StartContainerOptions};
use failover_lab::{
    docker::Labels,
    session::{new_run_id, root},
    wait::Seen,
};

use self::project::said;
pub(super) use self::project::{BOOT, DATA, NODES, Project, SENTINELS};

/// `down-after-milliseconds` is 5 s, a failed election is tried again after twice 60 s: one that succeeds
/// at once takes 10 s, and half a minute on a busy machine.
const FAILOVER: Duration = Duration::from_secs(60);

/// 1. The file is valid.
/// 2. The deployment comes up, every sentinel agrees, and every container is healthy; no password is in sight.
/// 3. The primary's container is killed: a replica takes over.
/// 4. It is started again, and follows the new primary; still no password is in sight.
/// 5. Everything goes, with its volumes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_in_ones_own_hands() {
    Project::with_checks(async |project| {
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

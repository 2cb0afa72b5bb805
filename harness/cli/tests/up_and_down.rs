//! `cargo lab up`, `down` and `reap`: what is up can be used, and goes again; what does not go is said.

use std::{
    io::{BufRead as _, BufReader as Reader, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::Stdio,
    time::Duration,
};

use failover_lab::{
    connect::connect,
    docker::{LAB_LABEL, Leftovers, OWNER_LABEL, Owner, RUN_LABEL, Scope, find},
    wait::{self, Seen},
};
use rstest::rstest;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    net::TcpStream,
    process::{Child, ChildStdout, Command},
    time::timeout,
};

/// The tests of cleaning up look at what the dead left, and both commands sweep it away.
#[path = "../../../tests/lab/ground/sweeping.rs"]
mod sweeping;

/// Two servers are up within seconds. An image that is not there is made before, in a minute or two.
const UP: Duration = Duration::from_secs(150);
const SOON: Duration = Duration::from_secs(10);
const PACE: Duration = Duration::from_millis(20);
/// A teardown on a busy machine.
const ENDS: Duration = Duration::from_secs(30);

fn lab(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
    command.args(words).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// A running `cargo lab up`. Killed when dropped: what it has up is removed by its reaper then.
struct Up {
    process: Child,
    said: Lines<BufReader<ChildStdout>>,
    /// As all that it makes is labelled.
    owner: Owner,
}

impl Up {
    fn start() -> Self {
        let mut command = lab(&["up", "replication", "--replicas", "1"]);
        let mut process = command.stdout(Stdio::piped()).spawn().expect("it is built beside the tests");
        let said = BufReader::new(process.stdout.take().expect("its output is a pipe")).lines();
        let owner = Owner::of_process(process.id().expect("it runs"));
        Self { process, said, owner }
    }

    /// The line that begins like this, once it is said.
    async fn says(&mut self, beginning: &str) -> String {
        let line = async {
            while let Some(line) = self.said.next_line().await.expect("its output can be read") {
                if line.starts_with(beginning) {
                    return line;
                }
            }
            panic!("it ended without saying `{beginning}`")
        };
        timeout(wait::scaled(UP), line).await.expect("it says so in time")
    }

    /// The port of an endpoint: the last word of its line.
    async fn port(&mut self, endpoint: &str) -> u16 {
        let line = self.says(endpoint).await;
        let port = line.rsplit(' ').next().and_then(|word| word.parse().ok());
        port.unwrap_or_else(|| panic!("there is no port in `{line}`"))
    }

    /// The run that its containers are labelled with.
    async fn run(&self) -> Scope {
        let owner = Some(self.owner.to_string());
        let containers = there(&Scope::Everything).await.containers;
        let own: Vec<_> = containers.into_iter().filter(|container| container.owner == owner).collect();
        assert_eq!(own.len(), 2, "{own:?}");
        Scope::Run(own[0].run.clone())
    }

    /// Tells it to end, and returns what it says to that. `down` ends every other `up` of the machine as well, and
    /// removes what was kept: where there is any, somebody may be looking at it, and this one gets Ctrl-C's signal.
    async fn is_told_to_end(&self) -> &'static str {
        if self.is_the_only_one().await {
            let down = lab(&["down"]).output().await.expect("it is built beside the tests");
            let said = String::from_utf8_lossy(&down.stdout);
            // Its exit code is also about what others left.
            assert!(said.contains(&format!("ending process {}, ", self.owner.pid())), "{said}");
            return "terminated (SIGTERM): removing everything";
        }
        let kill = format!("kill -s INT {}", self.owner.pid());
        let sent = Command::new("sh").args(["-c", &kill]).status().await;
        assert!(sent.is_ok_and(|status| status.success()), "it is interrupted");
        "interrupted (SIGINT): removing everything"
    }

    async fn is_the_only_one(&self) -> bool {
        let there = there(&Scope::Everything).await;
        let up = there.owners_of(|run| run.starts_with("up-"));
        let another = up.iter().any(|owner| *owner != self.owner && owner.may_be_alive());
        !another && !there.containers.iter().any(|container| container.name.ends_with("-kept"))
    }
}

async fn there(scope: &Scope) -> Leftovers {
    let api = connect().await.unwrap_or_else(|error| panic!("{error}\nhint: {}", error.hint()));
    find(&api, scope).await.expect("the container engine answers")
}

/// What is answered to a command on a connection of its own.
async fn ask(port: u16, command: &str) -> String {
    let asked = async {
        let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        connection.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).await?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    match timeout(wait::scaled(SOON), asked).await.expect("it answers in time") {
        Ok(answer) => answer.strip_suffix("+OK\r\n").unwrap_or(&answer).trim_end().to_owned(),
        Err(error) => error.to_string(),
    }
}

/// 1. A group is up, and says where its endpoints are.
/// 2. The primary endpoint takes a write; the reader endpoint has it, and takes none.
/// 3. It is told to end, and ends well.
/// 4. Nothing of it is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_up_can_be_used_and_goes_again() {
    let _turn = sweeping::turn().await;
    // 1. Up.
    let mut up = Up::start();
    let primary = up.port("primary endpoint").await;
    let reader = up.port("reader endpoint").await;
    let run = up.run().await;

    // 2. Used.
    assert_eq!(ask(primary, "PING").await, "+PONG");
    assert_eq!(ask(primary, "SET fruit apple").await, "+OK");
    let copied = wait::until("the reader endpoint to have it", SOON, PACE, async || {
        match ask(reader, "GET fruit").await {
            answer if answer == "$5\r\napple" => Seen::Ready(()),
            answer => Seen::NotYet(answer),
        }
    });
    copied.await.unwrap_or_else(|late| panic!("{late}"));
    let refused = ask(reader, "SET fruit pear").await;
    assert!(refused.starts_with("-READONLY"), "{refused}");

    // 3. Told to end.
    let farewell = up.is_told_to_end().await;
    up.says(farewell).await;
    let ended = timeout(wait::scaled(ENDS), up.process.wait()).await.expect("it ends in time");
    assert!(ended.expect("it can be waited for").success());

    // 4. Gone.
    assert_eq!(there(&run).await.names(), Vec::<String>::new());
}

/// A container engine that has a container of a dead lab's, and does not let go of it.
fn stubborn_engine() -> SocketAddr {
    let mut dead = std::process::Command::new("true").spawn().unwrap();
    dead.wait().unwrap();
    let container = serde_json::json!([{
        "Id": "1",
        "Names": ["/failover-lab-00000000-lab-001"],
        "Labels": {
            RUN_LABEL: "a run", LAB_LABEL: "a lab", OWNER_LABEL: Owner::of_process(dead.id()).to_string()
        },
    }]);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = Reader::new(connection.unwrap());
            let (mut request, mut header) = (String::new(), String::new());
            connection.read_line(&mut request).unwrap();
            while connection.read_line(&mut header).unwrap() > 2 {
                header.clear();
            }
            let (status, body) = match request {
                request if request.starts_with("DELETE") => ("500 Oh", r#"{"message":"no"}"#.to_owned()),
                request if request.contains("/version") => ("200 OK", r#"{"ApiVersion":"1.41"}"#.to_owned()),
                request if request.contains("/containers/json") => ("200 OK", container.to_string()),
                request if request.contains("/networks") => ("200 OK", "[]".to_owned()),
                _ => ("200 OK", "{}".to_owned()),
            };
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close", body.len());
            let typed = format!("{head}\r\nContent-Type: application/json\r\n\r\n{body}");
            let _ = connection.get_mut().write_all(typed.as_bytes());
        }
    });
    address
}

/// No check failed: what is in the way is the machine's.
#[rstest]
#[tokio::test]
async fn what_cannot_be_removed_is_named(#[values("down", "reap")] word: &str) {
    let engine = format!("tcp://{}", stubborn_engine());
    let output = lab(&[word]).env("DOCKER_HOST", engine).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(69), "{said}");
    assert!(said.starts_with("error: removing container `failover-lab-00000000-lab-001` failed"), "{said}");
    assert!(said.contains("\nhint: `cargo lab reap` again"), "{said}");
}

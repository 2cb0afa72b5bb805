use failover_lab::session::root;
use rstest::rstest;

use super::*;

const SOUND: &str = r#"title = "Profiles"
question = "Which?"
compares = "profiles"
runs = 12
identical = "measure"

[load]
rate = 100
duration = "12s"

[[block]]
topologies = ["replication", "sentinel"]
faults = ["crash", "hold"]
clients = ["redis", "redis-manager"]
profiles = ["naive", "hardened"]
durabilities = ["none", "wait-2"]
variants = [{ name = "min-replicas", changes = { config = { min-replicas-to-write = "1" } } }]
"#;

fn engine(name: &str) -> Engine {
    Engine::select(Some(name)).unwrap()
}

fn parse(text: &str) -> Result<Experiment, Wrong> {
    Experiment::parse("x", text, &engine("redis:7.0"))
}

#[test]
fn a_block_is_every_combination_but_those_that_make_no_sense() {
    let experiment = parse(SOUND).unwrap();
    assert_eq!(
        (experiment.runs, experiment.load.rate, experiment.load.keys),
        (12, 100, Load::default().keys)
    );
    // Before replication two clients, before sentinels one of the two.
    assert_eq!((experiment.cells.len(), experiment.left_out.len()), (3 * 2 * 2 * 2, 2 * 2 * 2));
    let manager = experiment
        .left_out
        .iter()
        .find(|left_out| left_out.planned.key.starts_with("sentinel/crash/redis-manager/"));
    assert_eq!(manager.unwrap().why, "redis-manager knows no sentinel: it connects to one address");
    let planned = experiment.cell("sentinel/hold/redis/naive/wait-2/min-replicas").unwrap();
    assert_eq!(planned.cell.load.durability, lab_load::workload::Durability::Wait(2));
    assert_eq!(planned.cell.load.duration, Duration::from_secs(12));
    assert_eq!(planned.cell.changes["config"]["min-replicas-to-write"].as_str(), Some("1"));
    assert_eq!(experiment.topologies(), [TopologyName::Replication, TopologyName::Sentinel]);
}

/// Of a data node's file only a Sentinel deployment has one unless it is told to.
#[rstest]
#[case::no_such_command(
    "redis:7.0",
    "sentinel",
    "waitaof-1",
    "",
    Some("redis:7.0 has no WAITAOF: Redis and Valkey have it from 7.2 on")
)]
#[case::there_it_is("valkey:8.1", "sentinel", "waitaof-1", "", None)]
#[case::no_file(
    "valkey:8.1",
    "cluster",
    "waitaof-1",
    "",
    Some("WAITAOF needs appendonly yes, and nothing sets it")
)]
#[case::a_file("valkey:8.1", "cluster", "waitaof-1", "appendonly = 'yes'", None)]
#[case::no_file_any_more(
    "redis:8.0",
    "sentinel",
    "waitaof-0",
    "appendonly = 'no'",
    Some("WAITAOF needs appendonly yes, and nothing sets it")
)]
#[case::too_many_replicas(
    "redis:7.0",
    "cluster",
    "wait-2",
    "",
    Some("wait-2 asks for 2 replicas, and a primary has 1")
)]
#[case::as_many_as_there_are("redis:7.0", "replication", "wait-2", "", None)]
fn what_the_servers_cannot_do_is_left_out_with_the_reason(
    #[case] on: &str,
    #[case] topology: &str,
    #[case] durability: &str,
    #[case] config: &str,
    #[case] why: Option<&str>,
) {
    let text = SOUND
        .replace(r#""replication", "sentinel""#, &format!("{topology:?}"))
        .replace(r#""wait-2""#, &format!("{durability:?}"))
        .replace(r#"min-replicas-to-write = "1""#, config);
    let experiment = Experiment::parse("x", &text, &engine(on)).unwrap();
    let key = format!("{topology}/crash/redis/hardened/{durability}/min-replicas");
    assert_eq!(
        experiment.left_out.iter().find(|left_out| left_out.planned.key == key).map(|l| l.why.as_str()),
        why
    );
    assert_eq!(experiment.cell(&key).is_some(), why.is_none());
}

#[rstest]
#[case::fault(r#""hold""#, r#""hodl""#, 13, "`faults`: there is no fault `hodl`")]
#[case::client(r#""redis-manager""#, r#""lettuce""#, 14, "`clients`: there is no client `lettuce`")]
#[case::profile(r#""naive""#, r#""brave""#, 15, "`profiles`: there is no profile `brave`")]
#[case::durability(r#""wait-2""#, r#""wait-9""#, 16, "`durabilities`: there is no durability `wait-9`")]
#[case::topology(r#""sentinel""#, r#""mesh""#, 12, "`topologies`: there is no topology `mesh`")]
#[case::nothing(r#"["crash", "hold"]"#, "[]", 13, "`faults`: it names nothing")]
#[case::comparison(r#"= "profiles""#, r#"= "clients""#, 3, "`compares`: there is no comparison of `clients`")]
#[case::runs("runs = 12", "runs = 0", 4, "`runs`: 0 is not within 1 and 1000")]
#[case::rate("rate = 100", "rate = \"100\"", 8, "`rate`: invalid type")]
#[case::duration("\"12s\"", "\"3s\"", 9, "`duration`: 3s is shorter than 9s")]
#[case::no_duration("\"12s\"", "\"long\"", 9, "`duration`: ")]
#[case::identical(r#""measure""#, r#""ignore""#, 5, "`identical`: known are leave-out, measure")]
#[case::setting("rate = 100", "speed = 100", 8, "unknown field `speed`")]
#[case::missing("faults = [\"crash\", \"hold\"]\n", "", 11, "missing field `faults`")]
#[case::syntax("runs = 12", "runs =", 4, "`runs`: ")]
#[case::change(
    "config = {",
    "confg = {",
    17,
    "`variants`: `min-replicas` on replication: unknown field `confg`"
)]
#[case::name(r#"name = "min-replicas""#, r#"name = "a, b""#, 17, "`variants`: a name is lower-case")]
#[case::no_block("[[block]]", "[other]", 11, "unknown field `other`")]
fn a_malformed_experiment_names_line_and_setting(
    #[case] sound: &str,
    #[case] broken: &str,
    #[case] at: usize,
    #[case] says: &str,
) {
    assert!(SOUND.contains(sound), "{sound}");
    let Wrong { line, what } = parse(&SOUND.replacen(sound, broken, 1)).unwrap_err();
    assert!(what.contains(says), "{what}");
    assert!(!what.contains('\n'), "{what}");
    assert_eq!(line, at, "{what}");
}

#[test]
fn a_cell_that_is_named_twice_is_an_error() {
    let block = &SOUND[SOUND.find("[[block]]").unwrap()..];
    let twice = parse(&format!("{SOUND}\n{block}")).unwrap_err();
    assert_eq!(twice.what, "`block`: `replication/crash/redis/naive/none/min-replicas` is there already");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error =
        Experiment::open(Path::new("fixtures/experiments/no.toml"), &engine("redis:7.0")).unwrap_err();
    assert!(error.to_string().starts_with("fixtures/experiments/no.toml: "), "{error}");
}

/// The source lab's profiles differ in when a client asks for the slots, and of that the `redis` crate can be told
/// nothing.
#[test]
fn what_is_the_same_to_a_client_is_measured_once_if_the_experiment_says_so() {
    let text = SOUND
        .replace("\"measure\"", "\"leave-out\"")
        .replace(r#"["naive", "hardened"]"#, r#"["naive", "aggressive", "conservative", "hardened"]"#);
    let experiment = parse(&text).unwrap();
    let key = |profile| format!("replication/crash/redis/{profile}/none/min-replicas");
    let profiles = ["naive", "aggressive", "conservative", "hardened"];
    assert_eq!(profiles.map(|profile| experiment.cell(&key(profile)).is_some()), [true, true, false, true]);
    let left_out =
        experiment.left_out.iter().find(|left_out| left_out.planned.key == key("conservative")).unwrap();
    assert_eq!(left_out.same_as.as_deref(), Some(key("aggressive").as_str()));
    assert_eq!(left_out.why, "conservative is to redis before replication the same as aggressive");
    let all = parse(&text.replace("\"leave-out\"", "\"measure\"")).unwrap();
    assert!(profiles.iter().all(|profile| all.cell(&key(profile)).is_some()));
}

#[test]
fn two_cells_are_the_same_only_if_all_their_settings_are() {
    let settings = |text: &str| parse(text).unwrap().cells[0].settings();
    assert_eq!(settings(SOUND), settings(&SOUND.replace("runs = 12", "runs = 3")));
    for (one, other) in
        [("rate = 100", "rate = 101"), ("min-replicas-to-write = \"1\"", "min-replicas-to-write = \"2\"")]
    {
        assert_ne!(settings(SOUND), settings(&SOUND.replace(one, other)), "{other}");
    }
}

/// On every engine, with a profile of each name; and no longer than a night.
#[test]
fn the_experiments_of_the_fixtures_make_sense() {
    for engine in Engine::all().unwrap() {
        for name in ["profiles", "durability", "detection"] {
            let file = root().join("fixtures/experiments").join(format!("{name}.toml"));
            let experiment = Experiment::open(&file, &engine).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((experiment.name.as_str(), experiment.compares.to_string().as_str()), (name, name));
            assert!(experiment.runs >= 10, "{name}");
            let runs = experiment.cells.len() * experiment.runs as usize;
            let hours = experiment.takes(runs, Duration::from_secs(8)).as_secs_f64() / 3600.0;
            assert!(hours < 9.0, "{name} takes {hours} hours");
        }
        assert!(fs::read_dir(root().join("fixtures/experiments")).unwrap().count() >= 3);
    }
}

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

/// A folder of its own for each test, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("failover-lab-results-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const TEXT: &str = r#"
title = "Profiles"
question = "Which?"
compares = "profiles"
[[block]]
topologies = ["replication"]
faults = ["crash", "hold"]
clients = ["redis"]
profiles = ["naive", "hardened"]
"#;

fn engine() -> Engine {
    Engine::select(Some("redis:7.0")).unwrap()
}

fn experiment(text: &str) -> Experiment {
    Experiment::parse("profiles", text, &engine()).unwrap()
}

fn open(folder: &Folder, experiment: &Experiment, seed: Option<u64>) -> Result<Journal, ResultsError> {
    let place = Place { folder: &folder.0, engine: &engine(), seed };
    Journal::open(experiment, &place, "a machine", "2026-01-01T00:00:00Z")
}

fn taken(planned: &Planned, run: u32, outcome: Outcome) -> Taken {
    let (cell, engine, began) =
        (planned.key.clone(), "redis:7.0".to_owned(), "2026-01-01T00:00:00Z".to_owned());
    Taken { cell, run, seed: 7, engine, began, took_s: 20.0, outcome }
}

fn measured() -> Outcome {
    let figures = Figures([("availability.asked".to_owned(), 3200.0), (DOWNTIME.to_owned(), 0.125)].into());
    Outcome::Measured(Box::new(Observed { figures, recovered: true, ..Observed::default() }))
}

/// Takes as many runs as there are in `outcomes`, and says which they were.
fn go_on(journal: &mut Journal, experiment: &Experiment, outcomes: Vec<Outcome>) -> Vec<(u32, String)> {
    let missing = journal.results.missing(experiment, 2);
    let mut which = Vec::new();
    for ((run, planned), outcome) in missing.into_iter().zip(outcomes) {
        journal.add(taken(planned, run, outcome)).unwrap();
        which.push((run, planned.key.clone()));
    }
    which
}

#[test]
fn an_experiment_goes_on_where_it_ended_round_by_round() {
    let (folder, experiment) = (Folder::new(), experiment(TEXT));
    let mut journal = open(&folder, &experiment, Some(7)).unwrap();
    assert_eq!((&journal.opened, journal.results.seed), (&Opened::New, 7));
    let first = go_on(&mut journal, &experiment, vec![measured(); 3]);
    drop(journal);
    let mut again = open(&folder, &experiment, None).unwrap();
    assert_eq!((&again.opened, again.results.seed, again.results.taken.len()), (&Opened::GoesOn, 7, 3));
    let second = go_on(&mut again, &experiment, vec![measured(); 10]);
    let all = [first, second].concat();
    let expected: Vec<(u32, String)> = [1, 2]
        .into_iter()
        .flat_map(|run| experiment.cells.iter().map(move |planned| (run, planned.key.clone())))
        .collect();
    assert_eq!(all, expected);
    assert!(again.results.missing(&experiment, 2).is_empty());
    assert_eq!(again.results.missing(&experiment, 3).len(), 4, "more runs are the same experiment");
}

#[test]
fn what_was_not_measured_is_tried_again_and_stays_on_record() {
    let (folder, experiment) = (Folder::new(), experiment(TEXT));
    let mut journal = open(&folder, &experiment, None).unwrap();
    go_on(&mut journal, &experiment, vec![Outcome::NotMeasured("boot: x".to_owned()), measured()]);
    drop(journal);
    let mut again = open(&folder, &experiment, None).unwrap();
    let next = go_on(&mut again, &experiment, vec![measured()]);
    assert_eq!(next, [(1, experiment.cells[0].key.clone())]);
    assert_eq!(again.results.taken.len(), 3);
    assert_eq!(again.results.taken[0].outcome, Outcome::NotMeasured("boot: x".to_owned()));
}

#[test]
fn a_changed_experiment_begins_anew_beside_the_first() {
    let (folder, before) = (Folder::new(), experiment(TEXT));
    let after = experiment(&TEXT.replace("compares", "load = { rate = 100 }\ncompares"));
    let mut journal = open(&folder, &before, None).unwrap();
    go_on(&mut journal, &before, vec![measured()]);
    let first = journal.results.dir.clone();
    drop(journal);
    let changed = open(&folder, &after, None).unwrap();
    assert_eq!(changed.opened, Opened::Changed(first.clone()));
    assert_eq!((changed.results.dir.clone(), changed.results.taken.len()), (folder.0.join("profiles-2"), 0));
    drop(changed);
    let back = open(&folder, &before, None).unwrap();
    assert_eq!((back.opened, back.results.dir, back.results.taken.len()), (Opened::GoesOn, first, 1));
    let another_seed = open(&folder, &before, Some(1)).unwrap();
    assert_eq!(another_seed.results.dir, folder.0.join("profiles-3"));
}

#[test]
fn a_line_that_was_cut_off_is_taken_again() {
    let (folder, experiment) = (Folder::new(), experiment(TEXT));
    let mut journal = open(&folder, &experiment, None).unwrap();
    go_on(&mut journal, &experiment, vec![measured(); 2]);
    let file = journal.results.dir.join(Results::FILE);
    drop(journal);
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() - 5]).unwrap();
    let mut again = open(&folder, &experiment, None).unwrap();
    assert_eq!(go_on(&mut again, &experiment, vec![measured()]), [(1, experiment.cells[1].key.clone())]);
    assert_eq!(fs::read(&file).unwrap(), whole);
}

#[test]
fn a_line_that_means_nothing_is_named() {
    let (folder, experiment) = (Folder::new(), experiment(TEXT));
    let mut journal = open(&folder, &experiment, None).unwrap();
    go_on(&mut journal, &experiment, vec![measured()]);
    let file = journal.results.dir.join(Results::FILE);
    drop(journal);
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}nonsense\n")).unwrap();
    let error = open(&folder, &experiment, None).unwrap_err().to_string();
    assert!(error.contains("results.jsonl:2: "), "{error}");
}

#[test]
fn two_processes_do_not_add_to_the_same_results_and_anybody_may_read_them() {
    let (folder, experiment) = (Folder::new(), experiment(TEXT));
    let place = Place { folder: &folder.0, engine: &engine(), seed: None };
    assert!(matches!(Results::of(&experiment, &place), Err(ResultsError::Nothing(_))));
    let mut journal = open(&folder, &experiment, None).unwrap();
    go_on(&mut journal, &experiment, vec![measured()]);
    assert!(matches!(open(&folder, &experiment, None), Err(ResultsError::Busy(_))));
    assert_eq!(Results::of(&experiment, &place).unwrap(), journal.results);
}

#[test]
fn what_a_run_takes_beyond_its_load_is_what_it_took() {
    let (folder, experiment) = (Folder::new(), experiment(TEXT));
    let mut journal = open(&folder, &experiment, None).unwrap();
    assert_eq!(journal.results.overhead(&experiment), None);
    go_on(&mut journal, &experiment, vec![measured(), Outcome::NotMeasured("boot: x".to_owned())]);
    assert_eq!(
        journal.results.overhead(&experiment),
        Some(Duration::from_secs(4)),
        "20 s, and 16 s of them load"
    );
}

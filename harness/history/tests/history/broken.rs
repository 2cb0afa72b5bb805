//! The judges are judged: `fixtures/histories/broken` has a history for every anomaly, written by hand, and each of
//! them shows what it says, and nothing else.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::BufReader,
    path::{Path, PathBuf},
};

use lab_history::{
    History,
    judge::{Judge, Verdict, linearizability::Cap},
};

use crate::{
    anomalies,
    format::{in_order, written},
};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/histories")
}

fn read(path: &Path) -> History {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    History::open(BufReader::new(file)).unwrap_or_else(|error| panic!("{}: {error:?}", path.display()))
}

fn broken() -> impl Iterator<Item = (String, History)> {
    let entries = fs::read_dir(fixtures().join("broken")).expect("there are broken histories");
    entries.map(|entry| {
        let path = entry.unwrap().path();
        (path.file_stem().unwrap().to_string_lossy().into_owned(), read(&path))
    })
}

/// What a history says that it shows.
fn shows(history: &History) -> BTreeSet<String> {
    let shows = history.header.ran.get("shows").expect("it says what it shows");
    shows.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn each_shows_what_it_says_and_nothing_else() {
    for (name, history) in broken() {
        let found: BTreeSet<String> = anomalies(&history).into_iter().map(|(anomaly, _)| anomaly).collect();
        assert_eq!(found, shows(&history), "{name}");
        for judge in Judge::ALL {
            let is_meant = found.iter().any(|anomaly| anomaly.starts_with(&format!("{}.", judge.name())));
            let verdict = judge.judge(&history, Cap::default(), &|_| false).verdict;
            assert_eq!(verdict == Verdict::Fail, is_meant, "{name}: {}", judge.name());
        }
    }
}

#[test]
fn every_anomaly_has_one_that_is_named_after_it() {
    let names: BTreeSet<String> = broken().map(|(name, _)| name).collect();
    for judge in Judge::ALL {
        for anomaly in judge.anomalies() {
            let name = format!("{}-{anomaly}", judge.name());
            assert!(names.contains(&name), "fixtures/histories/broken/{name}.jsonl is missing");
        }
    }
}

/// Every kind of operation and of note is in it.
#[test]
fn the_clean_one_is_clean_in_both_forms() {
    let history = read(&fixtures().join("clean.jsonl"));
    assert_eq!(anomalies(&history), []);
    let kinds: BTreeSet<_> = history.operations.iter().map(|operation| operation.action.kind()).collect();
    assert_eq!(kinds.len(), lab_history::action::Kind::ALL.len());
    for judge in Judge::ALL {
        assert!(judge.is_concerned(&history));
        assert_eq!(
            judge.judge(&history, Cap::default(), &|_| false).verdict,
            Verdict::Pass,
            "{}",
            judge.name()
        );
    }
    let history = in_order(&history);
    let binary = History::read(&written(&history, 5)[..]).unwrap();
    assert_eq!((binary.operations, binary.notes), (history.operations, history.notes));
}

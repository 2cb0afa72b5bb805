//! `cargo lab grade sentinel --attach …`, as its owner types it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use failover_lab::{
    environment::{PASSWORD_VAR, SENTINEL_PASSWORD_VAR},
    session::{root, runs_dir},
};

use super::{Allowed, Attached, files_in};
use crate::ground::compose::Project;

/// What cargo and nextest tell a test about itself. To another cargo and another nextest it would be about them.
const OF_THIS_TEST: [&str; 4] = ["CARGO_PKG_", "CARGO_MANIFEST_", "NEXTEST", "LAB_"];

/// 1. Its owner, who only lets it be looked at, is told what there is and that nothing is done to it, and then how it
///    stands. Nothing has changed.
/// 2. Who lets it be broken is told that, too, and gets marks for what was broken.
/// 3. Neither password is in anything that is left to read.
/// 4. A project that is not there is named, with those that are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_owner_is_told_first_and_graded_then() {
    Project::with(async |project| {
        project.composed(&["up", "--detach"]);
        let attached = Attached::to(project, Allowed::Faults);
        attached.is_whole().await;
        let before = attached.stands().await;

        // 1. Looked at.
        let steps = ["discovery", "security", "quorum", "authority"].map(|step| ["--step", step]);
        let looked = Graded::by(project, steps.as_flattened());
        looked.is_said_before("it writes nothing and breaks nothing", "✓ discovery");
        let strangers = "– Security 1/1";
        looked.came_out(2, &["✓ Discovery 2/2", strangers, "– Quorum and majority 0/0"]);
        assert_eq!(attached.stands().await, before);
        attached.nothing_is_left().await;

        // 2. Broken.
        let steps = ["--step", "manual-failover", "--step", "handover", "--allow-faults"];
        let broken = Graded::by(project, &steps);
        broken.is_said_before("it makes the sentinels FAIL OVER", "✓ handover");
        broken.came_out(0, &["✓ Manual failover 2/2"]);
        assert_ne!(attached.stands().await, before);
        attached.is_handed_back().await;

        // 3. Secrets.
        for graded in [looked, broken] {
            graded.has_no_password(project);
            fs::remove_dir_all(graded.run).expect("its folder can be removed");
        }

        // 4. Nothing there.
        let gone = grade(project, "compose:nobody-s", &[]);
        assert_eq!(gone.status.code(), Some(64));
        let said = String::from_utf8_lossy(&gone.stderr).into_owned();
        assert!(
            said.contains("there is no compose project `nobody-s`") && said.contains(&project.name),
            "{said}"
        );
    })
    .await;
}

/// A grading that has ended.
struct Graded {
    output: Output,
    run: PathBuf,
}

impl Graded {
    fn by(project: &Project, words: &[&str]) -> Self {
        let output = grade(project, &format!("compose:{}", project.name), words);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let report = said.lines().find_map(|line| line.strip_prefix("report: "));
        let report = report.unwrap_or_else(|| panic!("{said}{}", String::from_utf8_lossy(&output.stderr)));
        let run = Path::new(report).parent().expect("it is in a folder").to_owned();
        assert_eq!(run.parent(), Some(runs_dir().as_path()));
        Self { output, run }
    }

    /// Everything that it said: what goes on first, and what came of it then.
    fn said(&self) -> String {
        [&self.output.stderr, &self.output.stdout]
            .map(|text| String::from_utf8_lossy(text).into_owned())
            .concat()
    }

    fn is_said_before(&self, announcement: &str, later: &str) {
        let said = self.said();
        let place = |words: &str| said.find(words).unwrap_or_else(|| panic!("no `{words}` in\n{said}"));
        assert!(place(announcement) < place(later), "{said}");
    }

    /// These lines are in what it said, however they were aligned.
    fn came_out(&self, status: i32, lines: &[&str]) {
        let said = self.said();
        assert_eq!(self.output.status.code(), Some(status), "{said}");
        let all: Vec<String> =
            said.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        for line in lines {
            assert!(all.iter().any(|said| said == line), "no `{line}` in\n{said}");
        }
    }

    fn has_no_password(&self, project: &Project) {
        project.no_password_is_in("what it said", &self.said());
        let files = files_in(&self.run);
        for name in ["index.html", "nextest.log", "progress.jsonl", "record.json"] {
            assert!(files.iter().any(|file| file.ends_with(name)), "there is no {name}");
        }
        for file in files {
            let text = fs::read(&file).expect("a readable file");
            project.no_password_is_in(&file.display().to_string(), &String::from_utf8_lossy(&text));
        }
    }
}

fn grade(project: &Project, spec: &str, words: &[&str]) -> Output {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        if OF_THIS_TEST.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    command
        .current_dir(root())
        .args(["lab", "grade", "sentinel", "--attach", spec])
        .args(words)
        .env(PASSWORD_VAR, project.password.reveal())
        .env(SENTINEL_PASSWORD_VAR, project.sentinel_password.reveal());
    command.output().expect("cargo starts")
}

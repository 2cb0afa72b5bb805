//! Progress, for whoever waits: lines that move on a terminal, plain lines elsewhere.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead, BufReader, IsTerminal, stderr},
    path::{Path, PathBuf},
    process::ExitStatus,
    time::{Duration, Instant},
};

use failover_lab::session::{News, Progress};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use lab_report::{Verdict, checklist::Step};
use tokio::process::Child;

/// The records of progress are read this often.
const LOOK: Duration = Duration::from_millis(100);

/// One thing that takes a while.
pub(crate) struct Spinner(ProgressBar);

impl Spinner {
    pub(crate) fn start(what: &str) -> Self {
        let bar = ProgressBar::new_spinner().with_message(what.to_owned());
        bar.enable_steady_tick(LOOK);
        Self(bar)
    }

    pub(crate) fn say(&self, line: &str) {
        match stderr().is_terminal() {
            true => self.0.set_message(line.to_owned()),
            false => eprintln!("{line}"),
        }
    }

    pub(crate) fn finish(&self, line: &str) {
        self.0.finish_and_clear();
        eprintln!("{line}");
    }
}

/// The steps of a run, as their progress file tells.
pub(crate) struct Following {
    file: PathBuf,
    reader: Option<BufReader<File>>,
    partial: String,
    lines: MultiProgress,
    all: ProgressBar,
    active: BTreeMap<String, (ProgressBar, Instant)>,
}

impl Following {
    pub(crate) fn new(dir: &Path, asked: &[&Step]) -> Self {
        let runs: usize = asked.iter().map(|step| step.runs().len()).sum();
        let lines = MultiProgress::new();
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} steps, {elapsed}")
            .expect("a constant template");
        let all = lines.add(ProgressBar::new(runs as u64).with_style(style));
        all.enable_steady_tick(LOOK);
        Self {
            file: dir.join("progress.jsonl"),
            reader: None,
            partial: String::new(),
            lines,
            all,
            active: BTreeMap::new(),
        }
    }

    /// Shows what happens until the test runner ends.
    pub(crate) async fn until_ended(&mut self, runner: &mut Child) -> io::Result<ExitStatus> {
        let mut looks = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                ended = runner.wait() => {
                    self.look();
                    return ended;
                }
                _ = looks.tick() => self.look(),
            }
        }
    }

    pub(crate) fn say(&self, line: &str) {
        match stderr().is_terminal() {
            // A terminal that is gone hears nothing; the run goes on.
            true => drop(self.lines.println(line)),
            false => eprintln!("{line}"),
        }
    }

    pub(crate) fn finish(&self) {
        self.active.values().for_each(|(bar, _)| bar.finish_and_clear());
        self.all.finish_and_clear();
    }

    fn look(&mut self) {
        if self.reader.is_none() {
            self.reader = File::open(&self.file).ok().map(BufReader::new);
        }
        let Some(reader) = &mut self.reader else { return };
        let mut news = Vec::new();
        // A line that is not all there yet is kept for the next look.
        while let Ok(1..) = reader.read_line(&mut self.partial) {
            if !self.partial.ends_with('\n') {
                break;
            }
            news.extend(serde_json::from_str::<Progress>(&self.partial).ok());
            self.partial.clear();
        }
        news.into_iter().for_each(|progress| self.tell(progress));
    }

    fn tell(&mut self, Progress { step, news }: Progress) {
        match news {
            News::Doing(what) => {
                let (bar, _) = self.active.entry(step.clone()).or_insert_with(|| {
                    let bar = self.lines.insert_before(&self.all, ProgressBar::new_spinner());
                    bar.enable_steady_tick(LOOK);
                    (bar, Instant::now())
                });
                bar.set_message(format!("{step:<34} {what}"));
            }
            // What is skipped is in the report, with its reason: here it would hide the rest.
            News::Check { id, verdict } if !matches!(verdict, Verdict::Pass | Verdict::Skipped) => {
                self.say(&format!("{} {step:<34} {id}", verdict.mark()));
            }
            News::Check { .. } => {}
            News::Kept(how) => self.say(&format!("  {step:<34} {how}")),
            News::Finished(verdict) => {
                let took = self.active.remove(&step).map_or(Duration::ZERO, |(bar, since)| {
                    bar.finish_and_clear();
                    since.elapsed()
                });
                self.all.inc(1);
                self.say(&format!("{} {step:<34} {:>5.1} s", verdict.mark(), took.as_secs_f64()));
            }
        }
    }
}

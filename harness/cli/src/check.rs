//! `cargo lab check`: judges the history of a run.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, ErrorKind, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use failover_lab::explain::chain;
use humantime::Duration;
use lab_history::{
    History,
    judge::{Judge, Judged, Quantity, Row, Verdict, linearizability::Cap},
};
use serde_json::json;

use crate::failure::Failure;

/// Judge the history of a run: what was lost, what was stale, for how long nothing was served.
#[derive(Args)]
pub(crate) struct Check {
    /// The history, binary or JSON lines.
    file: PathBuf,
    /// Print the judgements as JSON.
    #[arg(long)]
    json: bool,
    /// Print the history as JSON lines, and judge nothing.
    #[arg(long, conflicts_with_all = ["json", "judges", "allowed", "cap"])]
    export: bool,
    /// Only this judge, even if it has nothing to judge; can be given several times.
    #[arg(long = "judge", value_name = "NAME")]
    judges: Vec<String>,
    /// An anomaly that was to be expected, as `registers.stale`: it is counted, and is no failure.
    #[arg(long = "allow", value_name = "ANOMALY")]
    allowed: Vec<String>,
    /// How long to search for an order that explains a contended register.
    #[arg(long, value_name = "TIME", default_value = "30s")]
    cap: Duration,
}

impl Check {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let asked = self.asked()?;
        self.known_anomalies()?;
        let history = read(&self.file)?;
        if self.export {
            return export(&history);
        }
        let cap = Cap { time: self.cap.into(), ..Cap::default() };
        let concerned = |judge: &Judge| !self.judges.is_empty() || judge.is_concerned(&history);
        let judged: Vec<Judged> = asked
            .into_iter()
            .filter(concerned)
            .map(|judge| judge.judge(&history, cap, &|anomaly| self.allows(judge, anomaly)))
            .collect();
        let verdict = Verdict::worst(judged.iter().map(|judged| &judged.verdict));
        match self.json {
            true => println!("{:#}", as_json(&history, &judged, &verdict)),
            false => print!(
                "{}",
                Table { history: &history, allows: &|judge, row| self.allows(judge, row) }
                    .of(&judged, &verdict)
            ),
        }
        Ok(match verdict {
            Verdict::Pass => ExitCode::SUCCESS,
            Verdict::Fail => ExitCode::from(1),
            Verdict::Unknown(_) => ExitCode::from(2),
        })
    }

    fn asked(&self) -> Result<Vec<Judge>, Failure> {
        if self.judges.is_empty() {
            return Ok(Judge::ALL.to_vec());
        }
        let find = |name: &String| {
            Judge::ALL.iter().copied().find(|judge| judge.name() == name).ok_or_else(|| {
                let known: Vec<&str> = Judge::ALL.iter().map(|judge| judge.name()).collect();
                Failure::usage(
                    format!("there is no judge `{name}`"),
                    format!("known are {}", known.join(", ")),
                )
            })
        };
        self.judges.iter().map(find).collect()
    }

    fn known_anomalies(&self) -> Result<(), Failure> {
        let named = |judge: &Judge| {
            judge
                .anomalies()
                .into_iter()
                .map(|anomaly| format!("{}.{anomaly}", judge.name()))
                .collect::<Vec<_>>()
        };
        let known: Vec<String> = Judge::ALL.iter().flat_map(named).collect();
        match self.allowed.iter().find(|allowed| !known.contains(allowed)) {
            None => Ok(()),
            Some(unknown) => Err(Failure::usage(
                format!("there is no anomaly `{unknown}`"),
                format!("known are {}", known.join(", ")),
            )),
        }
    }

    fn allows(&self, judge: Judge, anomaly: &str) -> bool {
        self.allowed.iter().any(|allowed| allowed.split_once('.') == Some((judge.name(), anomaly)))
    }
}

fn read(path: &Path) -> Result<History, Failure> {
    let failure = |what: &dyn std::error::Error, hint: &str| {
        Failure::usage(format!("{}: {}", path.display(), chain(what)), hint)
    };
    let file = File::open(path)
        .map_err(|error| failure(&error, "give the path of a history, binary or JSON lines"))?;
    History::open(BufReader::new(file)).map_err(|error| failure(&error, error.hint()))
}

fn export(history: &History) -> Result<ExitCode, Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    match history.export(&mut out).and_then(|()| out.flush()) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::missing(format!("cannot write: {error}"), "free some space"))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn as_json(history: &History, judged: &[Judged], verdict: &Verdict) -> serde_json::Value {
    let witness = |witness: &lab_history::judge::Witness| {
        let line = history.line_of(&history.operations[witness.operation]);
        let operation: serde_json::Value = serde_json::from_str(&line).expect("it was just written");
        json!({ "anomaly": witness.anomaly, "operation": operation })
    };
    let one = |judged: &Judged| {
        let mut one = json!({ "judge": judged.judge.name(), "verdict": judged.verdict.to_string() });
        if let Verdict::Unknown(why) = &judged.verdict {
            one["reason"] = json!(why);
        }
        one["figures"] = judged.figures.clone();
        one["witnesses"] = judged.witnesses.iter().map(witness).collect();
        one
    };
    json!({
        "history": history.header,
        "operations": history.operations.len(),
        "ending": history.ending,
        "verdict": verdict.to_string(),
        "judges": judged.iter().map(one).collect::<Vec<_>>(),
    })
}

/// What the judges found, for a terminal.
struct Table<'a> {
    history: &'a History,
    allows: &'a dyn Fn(Judge, &str) -> bool,
}

impl Table<'_> {
    /// Of each anomaly, so many operations are shown.
    const WITNESSES: usize = 2;

    fn of(&self, judged: &[Judged], verdict: &Verdict) -> String {
        let History { header, operations, .. } = self.history;
        let count = operations.len();
        let mut text =
            format!("{} · seed {} · {count} operations · {}\n", header.run, header.seed, self.history.ending);
        let ran = || header.ran.iter().filter(|(_, what)| !what.is_empty());
        let labels = ran().map(|(label, _)| console::measure_text_width(label)).max().unwrap_or(0);
        for (label, what) in ran() {
            text.push_str(&format!("{}  {what}\n", pad(label, labels)));
        }
        let rows = || judged.iter().flat_map(|judged| &judged.rows).filter(|row| is_shown(row));
        let names = rows().map(|row| row.name.len()).max().unwrap_or(0);
        let figures =
            rows().map(|row| console::measure_text_width(&row.quantity.to_string())).max().unwrap_or(0);
        for judged in judged {
            text.push_str(&format!(
                "\n{} {}",
                mark(&judged.verdict),
                console::style(judged.judge.name()).bold()
            ));
            if let Verdict::Unknown(why) = &judged.verdict {
                text.push_str(&format!(": unknown, {why}"));
            }
            text.push('\n');
            for row in judged.rows.iter().filter(|row| is_shown(row)) {
                self.row(&mut text, judged, row, names, figures);
            }
        }
        text.push_str(&format!("\n{} {verdict}\n", mark(verdict)));
        text
    }

    fn row(&self, text: &mut String, judged: &Judged, row: &Row, names: usize, figures: usize) {
        let (mark, allowed) = match (row.is_found(), (self.allows)(judged.judge, row.name)) {
            (false, _) => (" ".to_owned(), ""),
            (true, false) => (console::style("✗").red().to_string(), ""),
            (true, true) => ("·".to_owned(), " (allowed)"),
        };
        let quantity = row.quantity.to_string();
        let before = " ".repeat(figures - console::measure_text_width(&quantity));
        let (name, meaning) = (pad(row.name, names), console::style(row.meaning).dim());
        text.push_str(&format!("  {mark} {before}{quantity}  {name}  {meaning}{allowed}\n"));
        let witnesses = judged.witnesses.iter().filter(|witness| witness.anomaly == row.name);
        for witness in witnesses.take(Self::WITNESSES) {
            let operation = self.history.describe(&self.history.operations[witness.operation]);
            text.push_str(&format!("    {}  {operation}\n", " ".repeat(figures)));
        }
    }
}

/// An anomaly that was not found says so; any other figure that is nothing says nothing.
fn is_shown(row: &Row) -> bool {
    row.is_anomaly || row.quantity != Quantity::Count(0)
}

fn mark(verdict: &Verdict) -> console::StyledObject<&'static str> {
    match verdict {
        Verdict::Pass => console::style("✓").green(),
        Verdict::Fail => console::style("✗").red().bold(),
        Verdict::Unknown(_) => console::style("?").yellow(),
    }
}

fn pad(text: &str, width: usize) -> String {
    console::pad_str(text, width, console::Alignment::Left, None).into_owned()
}

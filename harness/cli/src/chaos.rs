//! `cargo lab chaos`: a client before a topology that random faults happen to, and what each of them cost.

use std::{process::ExitCode, slice, time};

use clap::Args;
use failover_lab::explain::chain;
use humantime::Duration;
use lab_measure::{
    cell::FaultName,
    chaos::{Happened, Limit, Loss, Survived, chaos},
};

use crate::{failure::Failure, measure, progress::Spinner, subject::Subject};

/// Shorter, it may well be that nothing happens.
const SHORTEST: time::Duration = time::Duration::from_secs(20);

/// Put a client under load while random faults happen, and see what each of them cost.
#[derive(Args)]
pub(crate) struct Chaos {
    /// For how long. Everything is healed some time before the end.
    #[arg(long, default_value = "1min")]
    duration: Duration,
    /// Allow faults that together take out a whole shard, or a majority of the primaries or of the sentinels.
    #[arg(long)]
    allow_shard_loss: bool,
    #[command(flatten)]
    subject: Subject,
}

impl Chaos {
    pub(crate) async fn run(self) -> Result<ExitCode, Failure> {
        if time::Duration::from(self.duration) < SHORTEST {
            return Err(Failure::usage(
                format!("{} is too short for faults to come and go", self.duration),
                format!("give --duration at least {SHORTEST:?}"),
            ));
        }
        let cell = self.subject.cell(FaultName::None, self.duration)?;
        let limit = if self.allow_shard_loss { Limit::Everything } else { Limit::OneOfEach };
        let spinner = Spinner::start("preparing");
        let session = self.subject.session().await?;
        let seed = session.seed;
        spinner.say(&format!("{} of chaos, seed {seed}", self.duration));
        let survived = chaos(&session, &cell, limit, "chaos").await.map_err(|error| {
            Failure::missing(
                format!("seed {seed}: {}", chain(error.as_ref())),
                "`cargo lab doctor` says what is missing; `--seed` makes the same faults happen again",
            )
        })?;
        let what = format!("{}, {} {}, {}", cell.topology, cell.library, cell.profile.name, cell.load.sort);
        spinner.finish(&format!("{what}, {} of chaos on {}, seed {seed}", self.duration, session.engine));
        Ok(show(&survived))
    }
}

/// What happened, what was lost, and how it went on the whole.
fn show(survived: &Survived) -> ExitCode {
    let Survived { measured, faults, losses } = survived;
    for (number, fault) in (0_u32..).zip(faults) {
        println!("{}", line(number, fault, losses));
    }
    for Loss { operations, depth, .. } in losses.iter().filter(|loss| loss.fault.is_none()) {
        println!("{operations} acknowledged writes lost within {depth}, and no fault to blame");
    }
    println!();
    measure::show(slice::from_ref(measured));
    if faults.iter().all(|fault| fault.left_out.is_some()) {
        println!("nothing happened: give another --seed, or more --duration");
        return ExitCode::from(2);
    }
    measure::exit_code(slice::from_ref(measured))
}

/// `12.3 s   5.1 s  crash      lab-0001-001  17 acknowledged writes lost within 12.4 ms`
fn line(number: u32, fault: &Happened, losses: &[Loss]) -> String {
    let Happened { planned, node, left_out } = fault;
    let seconds = |length: time::Duration| format!("{:.1} s", length.as_secs_f64());
    let cost = match (left_out, losses.iter().find(|loss| loss.fault == Some(number))) {
        (Some(why), _) => format!("left out: {why}"),
        (None, Some(Loss { operations, depth, .. })) => {
            format!("{operations} acknowledged writes lost within {depth}")
        }
        (None, None) => String::new(),
    };
    let (at, long) = (seconds(planned.from), seconds(planned.until - planned.from));
    format!("{at:>8} {long:>7}  {:<9}  {node:<14} {cost}", planned.harm).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use failover_lab::docker::FaultKind;
    use lab_history::Length;
    use lab_measure::{chaos::Planned, scenario::Harm};

    use super::*;

    #[test]
    fn a_fault_is_shown_with_what_was_lost_by_it() {
        let planned = Planned {
            harm: Harm::Node(FaultKind::Crash),
            node: 0,
            from: time::Duration::from_millis(12_340),
            until: time::Duration::from_millis(17_440),
        };
        let mut fault = Happened { planned, node: "lab-0001-001".to_owned(), left_out: None };
        let losses = [
            Loss { fault: Some(0), operations: 3, depth: Length::from_millis(1) },
            Loss { fault: Some(4), operations: 17, depth: Length::from_micros(12_400) },
        ];
        assert_eq!(
            line(4, &fault, &losses),
            "  12.3 s   5.1 s  crash      lab-0001-001   17 acknowledged writes lost within 12.4 ms"
        );
        assert_eq!(line(1, &fault, &losses), "  12.3 s   5.1 s  crash      lab-0001-001");
        fault.left_out = Some("lab-0001-002: it follows nobody".to_owned());
        assert!(line(1, &fault, &losses).ends_with("left out: lab-0001-002: it follows nobody"));
    }
}

//! How much servers carry: by the clock on the wall, and by what they use of their processors.
//!
//! The first is a figure of one machine in one minute: whoever else wants its processors, the load generator
//! among them, takes from it. The second can be judged anywhere, since a server that waits for a processor uses
//! none. It says what servers are good for that have a processor each, and nothing of networks and disks.

use std::time::Duration;

use super::Judgement;
use crate::ids::NodeId;

/// What a load came to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Carried {
    /// From the first command sent to the last one answered.
    pub took: Duration,
    /// By whom it was carried.
    pub by: Vec<Served>,
    /// An answer that was an error, if there was one: `MOVED`. A connection that saw one has sent no more.
    pub error: Option<String>,
}

/// One server's part of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Served {
    /// Which server.
    pub node: NodeId,
    /// Commands that it was sent.
    pub sent: u64,
    /// Commands that it has counted as carried out.
    pub commands: u64,
    /// Commands that it has counted as refused.
    pub refused: u64,
    /// Errors that it has counted which say that a slot is elsewhere.
    pub moved: u64,
    /// What its main thread, which carries commands out, used of a processor.
    pub used: Duration,
}

impl Carried {
    /// Commands a second, on this machine as it was.
    pub fn rate(&self) -> f64 {
        per_second(self.commands(), self.took)
    }

    /// Commands a second with a processor to each server: the load is carried when the busiest is done.
    pub fn capacity(&self) -> f64 {
        per_second(self.commands(), self.by.iter().map(|server| server.used).max().unwrap_or_default())
    }

    fn commands(&self) -> u64 {
        self.by.iter().map(|server| server.commands).sum()
    }
}

impl Served {
    fn as_sent(&self) -> bool {
        self.commands == self.sent && self.refused == 0
    }

    fn told(&self) -> String {
        let Self { node, sent, commands, refused, moved, .. } = self;
        format!("{node}: {commands} of {sent} commands carried out, {refused} refused, {moved} MOVED")
    }
}

/// Every command of these loads was carried out by the server that it was sent to, by that server's own count: none
/// more, and none less. And no answer was an error.
pub fn answered(loads: &[&Carried]) -> Judgement {
    let expected = "every command is carried out where it was sent";
    let servers = || loads.iter().flat_map(|load| &load.by);
    if servers().all(|server| server.sent == 0) {
        return Judgement::unknown(expected, "nothing was sent");
    }
    let uneven = servers().filter(|server| !server.as_sent()).map(Served::told);
    let errors =
        loads.iter().filter_map(|load| load.error.as_ref()).map(|error| format!("the answer {error}"));
    let wrong: Vec<String> = uneven.chain(errors).collect();
    let observed = if wrong.is_empty() { expected.to_owned() } else { wrong.join("; ") };
    let judged = Judgement::equal(expected, observed);
    servers().map(Served::told).fold(judged, Judgement::evidence)
}

/// With a processor to each of its servers a cluster carries `promised` commands a second. What this machine made
/// of it, and of a single server with the same load, is told beside that.
pub fn carries(promised: u32, cluster: &Carried, single: &Carried) -> Judgement {
    let expected = format!("{} or more, with a processor to each server", shown(promised.into()));
    let (capacity, here, alone) = (cluster.capacity(), cluster.rate(), single.rate());
    if capacity == 0.0 || alone == 0.0 {
        return Judgement::unknown(expected, "nothing was carried");
    }
    let observed = format!(
        "{}; on this machine {}, and a single server {}: {:.1} ×",
        shown(capacity),
        shown(here),
        shown(alone),
        here / alone
    );
    let judged = Judgement::of(capacity >= promised.into(), expected, observed);
    let ms = |length: Duration| length.as_secs_f64() * 1000.0;
    let told = |judged: Judgement, Served { node, commands, used, .. }: &Served| {
        judged.evidence(format!("{node}: {commands} commands, {:.0} ms of a processor", ms(*used)))
    };
    cluster.by.iter().chain(&single.by).fold(judged, told)
}

fn per_second(commands: u64, length: Duration) -> f64 {
    if length.is_zero() { 0.0 } else { commands as f64 / length.as_secs_f64() }
}

/// `512,000 ops/s`: three digits are all that such a figure can carry.
fn shown(rate: f64) -> String {
    let digits = rate.max(1.0).log10().floor() as i32;
    let unit = 10_f64.powi((digits - 2).max(0));
    format!("{} ops/s", grouped(((rate / unit).round() * unit) as u64))
}

fn grouped(number: u64) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", grouped(number / 1000), number % 1000),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::verdict::Verdict;

    /// Servers that carried a hundred thousand commands each, and what they used for it.
    fn carried(took: u64, used: &[u64]) -> Carried {
        let ms = Duration::from_millis;
        let served = |used: &u64| Served { used: ms(*used), ..counted(100_000, 100_000, 0) };
        Carried { took: ms(took), by: used.iter().map(served).collect(), error: None }
    }

    fn counted(sent: u64, commands: u64, refused: u64) -> Served {
        Served { node: "a".into(), sent, commands, refused, moved: refused, used: Duration::ZERO }
    }

    #[rstest]
    #[case::as_sent(&[(100, 100, 0), (50, 50, 0), (0, 0, 0)], None, Verdict::Pass)]
    #[case::elsewhere(&[(100, 60, 40), (50, 50, 0)], None, Verdict::Fail)]
    #[case::some_never_arrived(&[(100, 99, 0)], None, Verdict::Fail)]
    #[case::by_somebody_else_as_well(&[(100, 101, 0)], None, Verdict::Fail)]
    #[case::refused_and_sent_again(&[(100, 100, 1)], None, Verdict::Fail)]
    #[case::carried_out_in_vain(&[(100, 100, 0)], Some("ERR"), Verdict::Fail)]
    #[case::nothing_sent(&[(0, 0, 0)], None, Verdict::Unknown)]
    #[case::nobody(&[], None, Verdict::Unknown)]
    fn servers_count_what_they_were_sent(
        #[case] servers: &[(u64, u64, u64)],
        #[case] error: Option<&str>,
        #[case] verdict: Verdict,
    ) {
        let by = servers.iter().map(|&(sent, commands, refused)| counted(sent, commands, refused)).collect();
        let load = Carried { by, error: error.map(str::to_owned), ..Carried::default() };
        assert_eq!(answered(&[&load]).verdict, verdict);
    }

    #[test]
    fn who_was_sent_what_belongs_elsewhere_is_named() {
        let load = Carried { by: vec![counted(100, 60, 40)], ..Carried::default() };
        let judged = answered(&[&Carried::default(), &load]);
        assert_eq!(judged.observed, "a: 60 of 100 commands carried out, 40 refused, 40 MOVED");
    }

    #[rstest]
    #[case::on_an_idle_machine(700, &[200, 210, 190], Verdict::Pass)]
    #[case::on_a_busy_one(30_000, &[200, 210, 190], Verdict::Pass)]
    #[case::by_servers_that_need_too_much(4_000, &[2_900, 3_100, 3_000], Verdict::Fail)]
    #[case::by_servers_that_do_not_tell(700, &[0, 0, 0], Verdict::Unknown)]
    fn who_waits_for_a_processor_uses_none(
        #[case] took: u64,
        #[case] used: &[u64],
        #[case] verdict: Verdict,
    ) {
        assert_eq!(carries(100_000, &carried(took, used), &carried(took, &[600])).verdict, verdict);
    }

    #[test]
    fn figures_have_three_digits_and_stand_side_by_side() {
        let judged = carries(100_000, &carried(1_234, &[190, 210, 200]), &carried(500, &[480]));
        assert_eq!(judged.expected, "100,000 ops/s or more, with a processor to each server");
        assert_eq!(
            judged.observed,
            "1,430,000 ops/s; on this machine 243,000 ops/s, and a single server 200,000 ops/s: 1.2 ×"
        );
    }
}

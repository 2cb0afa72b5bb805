//! The engines' own benchmark, `redis-benchmark` or `valkey-benchmark`, and what it prints.

use failover_lab::docker::{Node, NodeError};

/// What it is to do: `SET`s, as fast as it can.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) requests: u64,
    pub(super) keys: u64,
    pub(super) value_size: usize,
    pub(super) connections: usize,
    pub(super) depth: u32,
    /// All primaries of a cluster instead of one server.
    pub(super) cluster: bool,
}

impl Asked {
    fn words(&self) -> Vec<String> {
        let mut words = vec!["-t".to_owned(), "set".to_owned()];
        let mut option = |name: &str, value: String| words.extend([name.to_owned(), value]);
        option("-n", self.requests.to_string());
        option("-r", self.keys.to_string());
        option("-d", self.value_size.to_string());
        option("-c", self.connections.to_string());
        option("-P", self.depth.to_string());
        if self.cluster {
            words.push("--cluster".to_owned());
        }
        words
    }
}

/// Has it run in the server's container, and returns how many operations a second it says there were; nothing where
/// it is not installed, or says something else.
pub(super) async fn rate(server: &Node, asked: Asked) -> Result<Option<f64>, NodeError> {
    let printed = run(server, asked, &["--csv"]).await?;
    Ok(printed.and_then(|printed| rate_in(&printed)))
}

/// The same, and returns how the latencies are spread.
pub(super) async fn latencies(server: &Node, asked: Asked) -> Result<Option<Latencies>, NodeError> {
    let printed = run(server, asked, &[]).await?;
    Ok(printed.and_then(|printed| Latencies::of(&printed)))
}

async fn run(server: &Node, asked: Asked, more: &[&str]) -> Result<Option<String>, NodeError> {
    let (host, port) = (server.address().to_string(), server.port().to_string());
    let words = asked.words();
    let mut all = vec!["-h", &host, "-p", &port];
    all.extend(words.iter().map(String::as_str));
    all.extend(more);
    server.benchmark(&all).await
}

/// The second field of the line that begins with `"SET"`.
fn rate_in(csv: &str) -> Option<f64> {
    let line = csv.lines().find(|line| line.starts_with("\"SET\""))?;
    line.split(',').nth(1)?.trim().trim_matches('"').parse().ok()
}

/// How many operations took no longer than what: `99.983% <= 1.007 milliseconds (cumulative count 299950)`.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Latencies(Vec<(f64, u64)>);

impl Latencies {
    fn of(printed: &str) -> Option<Self> {
        // Its progress stands before its report, on one line that is written over and over.
        let line = |line: &str| {
            let (millis, count) =
                line.split_once("% <= ")?.1.split_once(" milliseconds (cumulative count ")?;
            Some((millis.parse().ok()?, count.trim_end_matches(')').parse().ok()?))
        };
        let lines: Vec<_> = printed.lines().filter_map(|text| line(text.trim_end())).collect();
        (!lines.is_empty()).then_some(Self(lines))
    }

    /// Operations that took longer than this.
    pub(super) fn longer_than(&self, millis: f64) -> u64 {
        let most =
            |lines: &mut dyn Iterator<Item = &(f64, u64)>| lines.map(|(_, count)| *count).max().unwrap_or(0);
        let (all, short) =
            (most(&mut self.0.iter()), most(&mut self.0.iter().filter(|line| line.0 <= millis)));
        all - short
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_found_between_whatever_else_is_printed() {
        let printed = "Cluster has 3 master nodes:\n\nMaster 0: 5a 10.213.0.2:6379\n\n\
            \"test\",\"rps\",\"avg_latency_ms\"\n\"SET\",\"512820.50\",\"1.371\"\n";
        assert_eq!(rate_in(printed), Some(512_820.5));
        assert_eq!(rate_in("Could not connect to Redis at 10.213.0.2:6379"), None);
    }

    #[test]
    fn operations_that_took_long_are_those_that_are_missing_below() {
        let printed = "SET: rps=81234.0 (overall: 80000.0) avg_msec=0.301\r====== SET ======\n\
            99.902% <= 0.903 milliseconds (cumulative count 299706)\n\
            100.000% <= 1000.447 milliseconds (cumulative count 300000)\n\n\
            Cumulative distribution of latencies:\n\
            99.983% <= 1.007 milliseconds (cumulative count 299950)\n\
            100.000% <= 1001.471 milliseconds (cumulative count 300000)\n";
        let latencies = Latencies::of(printed).unwrap();
        assert_eq!(latencies.longer_than(500.0), 50);
        assert_eq!(latencies.longer_than(2000.0), 0);
        assert_eq!(Latencies::of("nothing"), None);
    }
}

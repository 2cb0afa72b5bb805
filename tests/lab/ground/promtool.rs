//! The alerting rules are what Prometheus takes, in Prometheus' own opinion.

use std::{io::ErrorKind, process::Command};

use failover_lab::session::root;

const HINT: &str = "hint: promtool comes with Prometheus; on Debian, `apt-get install prometheus`";

/// Not part of every run, because few machines have it: `.ci/run` runs it where there is one, and says so
/// where there is none.
#[test]
#[ignore = "needs promtool"]
fn promtool_accepts_the_alerts() {
    let rules = ["redis", "cluster"].map(|name| root().join(format!("fixtures/alerts/{name}.rules.yml")));
    let checked = match Command::new("promtool").args(["check", "rules"]).args(&rules).output() {
        Ok(checked) => checked,
        Err(error) if error.kind() == ErrorKind::NotFound => panic!("there is no promtool\n{HINT}"),
        Err(error) => panic!("promtool does not start: {error}\n{HINT}"),
    };
    let said =
        [checked.stdout, checked.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(checked.status.success(), "{said}");
    for found in ["SUCCESS: 5 rules found", "SUCCESS: 2 rules found"] {
        assert!(said.contains(found), "{said}");
    }
}

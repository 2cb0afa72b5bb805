//! The process that cleans up after a test that was killed. See `failover_lab::reaper`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    failover_lab::reaper::main(&words)
}

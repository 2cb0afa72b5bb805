//! The process that cleans up after a test that was killed. See `failover_lab::reaper`.

use std::process::ExitCode;

fn main() -> ExitCode {
    match std::env::args().nth(2) {
        Some(lab) => failover_lab::reaper::main(lab),
        None => ExitCode::from(64),
    }
}

//! Sweeping goes by the machine, not by the run: tests that look at what a dead lab left, and tests that sweep, take
//! turns.

use std::{
    fs::{self, File},
    io,
};

use failover_lab::session::{root, target_dir};

/// It is nobody else's turn while this is held. By way of a file, because every test is a process of its own.
pub(crate) async fn turn() -> File {
    let folder = target_dir(root()).join("lab");
    let taken = tokio::task::spawn_blocking(move || {
        fs::create_dir_all(&folder)?;
        let file = File::create(folder.join("sweeping.lock"))?;
        file.lock()?;
        Ok::<_, io::Error>(file)
    });
    taken.await.expect("nobody panics").expect("a file can be locked")
}

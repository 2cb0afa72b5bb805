//! One process at a time makes images.

use std::{
    fs::{File, TryLockError},
    path::PathBuf,
    time::Duration,
};

use super::{error::ImageError, narrate::Narrator};

/// Waits for its turn. The system gives the lock back when the process ends, however it ends.
///
/// One lock for all engines: they share base images, and clearing up after one must not hit another.
pub(super) async fn acquire(
    wanted: &str,
    progress: &(dyn Fn(&str) + Send + Sync),
) -> Result<File, ImageError> {
    let path = path();
    let failed = |source| ImageError::Lock { path: path.clone(), source };
    let file = path
        .parent()
        .map_or(Ok(()), std::fs::create_dir_all)
        .and_then(|()| File::options().create(true).append(true).open(&path))
        .map_err(failed)?;

    let mut narrator = Narrator::new(wanted, progress);
    // Polled: a thread that blocks on the lock could not be called back.
    let mut turn = tokio::time::interval(Duration::from_millis(200));
    loop {
        turn.tick().await;
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {
                narrator.tick("another process is making an image, waiting for it")
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
    }
}

/// In the user's cache, else among the temporary files.
fn path() -> PathBuf {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .unwrap_or_else(std::env::temp_dir)
        .join("failover-lab/image.lock")
}

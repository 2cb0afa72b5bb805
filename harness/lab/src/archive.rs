//! Files as the container engine takes them: a tar archive in memory.

use std::path::Path;

/// An archive of `files`, by path.
pub(crate) fn of<'a>(files: impl IntoIterator<Item = (impl AsRef<Path>, &'a str)>) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, text) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        // Passwords and private keys are among them, and whoever reads them is root.
        header.set_mode(0o600);
        // Inside the archive a path is relative.
        let path = path.as_ref().strip_prefix("/").unwrap_or(path.as_ref());
        archive.append_data(&mut header, path, text.as_bytes()).expect("memory takes what it is given");
    }
    archive.into_inner().expect("memory takes what it is given")
}

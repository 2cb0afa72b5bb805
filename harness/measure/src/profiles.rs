//! The profiles that there are.

use std::{fs, io};

use failover_lab::session::root;
use lab_load::{Profile, profile::ProfileError};

/// Where they are, below the workspace.
const FOLDER: &str = "fixtures/profiles";

/// A profile that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum NoProfile {
    /// There is none of this name.
    #[error("there is no profile `{name}`; known are {}", known.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// It makes no sense.
    #[error(transparent)]
    Wrong(#[from] ProfileError),
    /// It cannot be read.
    #[error("{FOLDER} cannot be read")]
    Unreadable(#[from] io::Error),
}

/// The names of all profiles.
///
/// # Errors
/// The folder cannot be read.
pub fn names() -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root().join(FOLDER))? {
        let path = entry?.path();
        if let (Some("toml"), Some(stem)) =
            (path.extension().and_then(|end| end.to_str()), path.file_stem().and_then(|stem| stem.to_str()))
        {
            names.push(stem.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// The profile with this name.
///
/// # Errors
/// There is none, or it makes no sense.
pub fn profile(name: &str) -> Result<Profile, NoProfile> {
    let known = names()?;
    if !known.iter().any(|known| known == name) {
        return Err(NoProfile::Unknown { name: name.to_owned(), known });
    }
    let text = fs::read_to_string(root().join(FOLDER).join(format!("{name}.toml")))?;
    Ok(Profile::parse(name, &text)?)
}

//! Why there is no image.

use std::{io, path::PathBuf};

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The container engine is not there, or does not do what it is asked.
    #[error("the container engine did not {doing}")]
    ContainerEngine {
        /// What it was asked.
        doing: String,
        /// What it said.
        source: Box<bollard::errors::Error>,
    },
    /// A registry answered, and it has no such image. Asking again will not help.
    #[error("the registry has no image `{reference}`: {message}")]
    NoSuchImage {
        /// What was asked for.
        reference: String,
        /// What the registry said.
        message: String,
    },
    /// No registry, and no way to build it here.
    #[error("no image for {subject}: no registry answers ({registry}), and it cannot be built here: {why}")]
    NoWay {
        /// The engine, or the tools.
        subject: String,
        /// Why it was not pulled.
        registry: String,
        /// Why it cannot be built.
        why: String,
    },
    /// Building it failed.
    #[error("building {what} failed: {why}{}", last_lines(.output))]
    Build {
        /// The image or the base of it.
        what: String,
        /// What ended it.
        why: String,
        /// The last lines of output.
        output: Vec<String>,
    },
    /// There is no room for it.
    #[error("no space left on the disk while {doing}: {message}")]
    DiskFull {
        /// What needed the room.
        doing: String,
        /// Who said so.
        message: String,
    },
    /// Processes cannot agree on who makes it.
    #[error("cannot lock {}", .path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It was made, and removed again at once.
    #[error("the image of {subject} was there and is gone")]
    Gone {
        /// The engine, or the tools.
        subject: String,
    },
}

impl ImageError {
    pub(super) fn container_engine(doing: &str, source: bollard::errors::Error) -> Self {
        Self::ContainerEngine { doing: doing.to_owned(), source: Box::new(source) }
    }

    /// A failed build, or the full disk behind it.
    pub(super) fn build(what: &str, why: impl ToString, output: Vec<String>) -> Self {
        let why = why.to_string();
        let full = output.iter().chain([&why]).find(|line| is_disk_full(line)).cloned();
        match full {
            Some(message) => Self::DiskFull { doing: format!("building {what}"), message },
            None => Self::Build { what: what.to_owned(), why, output },
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::ContainerEngine { .. } => {
                "see whether `docker info` answers; `cargo lab doctor` says more".to_owned()
            }
            Self::NoSuchImage { .. } => {
                "correct the image in fixtures/engines.toml, or choose another engine with LAB_ENGINE; a \
                 private image needs `docker login`"
                    .to_owned()
            }
            Self::NoWay { .. } => "give the container engine a registry; or fetch the image elsewhere and \
                `docker load` it here; or, on Debian or Ubuntu: `sudo apt-get install -y \
                --no-install-recommends mmdebstrap debian-archive-keyring`"
                .to_owned(),
            Self::Build { output, .. } => build_hint(output),
            Self::DiskFull { .. } => {
                "make room where the container engine keeps its data: `docker system df` shows what is \
                 there, `docker system prune` removes what nobody uses"
                    .to_owned()
            }
            Self::Lock { .. } => {
                "make its folder writable, or point XDG_CACHE_HOME at one that is".to_owned()
            }
            Self::Gone { .. } => "run it again while nobody removes images".to_owned(),
        }
    }
}

pub(super) fn is_disk_full(message: &str) -> bool {
    let message = message.to_lowercase();
    ["no space left on device", "not enough free space", "disk quota exceeded"]
        .iter()
        .any(|sign| message.contains(sign))
}

fn last_lines(output: &[String]) -> String {
    output.iter().map(|line| format!("\n  | {line}")).collect()
}

fn build_hint(output: &[String]) -> String {
    let says = |signs: &[&str]| output.iter().any(|line| signs.iter().any(|sign| line.contains(sign)));
    if says(&["is expired", "is not valid yet"]) {
        "the mirror's index is out of date, or this machine's clock is wrong: correct the clock, set \
         LAB_DEBIAN_MIRROR to a current mirror, or choose an engine of another suite with LAB_ENGINE"
            .to_owned()
    } else if says(&["NO_PUBKEY", "is not signed", "unable to find keyring"]) {
        "install the keys of the suite: `sudo apt-get install -y debian-archive-keyring`".to_owned()
    } else if says(&["wanted "]) {
        "the suite has moved on: correct fixtures/engines.toml, or pull this engine from a registry"
            .to_owned()
    } else {
        "set LAB_DEBIAN_MIRROR to a Debian mirror that this machine and its containers reach, or give the \
         container engine a registry"
            .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_build_shows_its_last_lines() {
        let output = vec!["E: Release file for sid is expired (invalid since 14d)".to_owned()];
        let error = ImageError::build("failover-lab/debian:sid", "it ended", output);
        assert_eq!(
            error.to_string(),
            "building failover-lab/debian:sid failed: it ended\n  \
             | E: Release file for sid is expired (invalid since 14d)"
        );
        assert!(error.hint().contains("LAB_DEBIAN_MIRROR"), "{}", error.hint());
    }

    #[test]
    fn a_full_disk_is_not_a_failed_build() {
        let output = vec!["tar: write error: No space left on device".to_owned()];
        let error = ImageError::build("it", "exit status: 1", output);
        assert!(matches!(error, ImageError::DiskFull { .. }), "{error:?}");
    }
}

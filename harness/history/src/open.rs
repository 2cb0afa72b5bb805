//! Reading a history in whichever form it has.

use std::io::BufRead;

use crate::{
    format::{MAGIC, ReadError},
    history::History,
    lines::LinesError,
};

/// Why a file cannot be read as a history.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// In its binary form.
    #[error(transparent)]
    Binary(#[from] ReadError),
    /// As JSON lines.
    #[error(transparent)]
    Lines(#[from] LinesError),
}

impl OpenError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Binary(error) => error.hint(),
            Self::Lines(error) => error.hint(),
        }
    }
}

impl History {
    /// Reads a history, binary or JSON lines, whichever it is.
    ///
    /// # Errors
    /// It is neither, or damaged, or newer than this, or it means nothing.
    pub fn open(mut input: impl BufRead) -> Result<Self, OpenError> {
        let first = input.fill_buf().map_err(ReadError::from)?.first().copied();
        match first {
            Some(b'{') => Ok(Self::import(input)?),
            Some(first) if first != MAGIC[0] => Err(ReadError::NoHistory.into()),
            _ => Ok(Self::read(input)?),
        }
    }
}

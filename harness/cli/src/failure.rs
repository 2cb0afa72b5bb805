//! An error as a person reads it: what is wrong, and what to do.

use std::{fmt, process::ExitCode};

use failover_lab::{
    attach::AttachError,
    connect::ConnectError,
    docker::DockerError,
    engine::EngineError,
    environment::{EnvironmentError, SpecError},
    explain::chain,
    image::ImageError,
    session::SessionError,
    setting::SettingError,
};
use lab_report::checklist::ChecklistError;

/// An error, a hint, and the exit code that goes with it.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    hint: String,
    code: u8,
}

impl Failure {
    /// `EX_USAGE` of `sysexits.h`.
    pub(crate) const USAGE: u8 = 64;
    /// `EX_UNAVAILABLE` of `sysexits.h`.
    pub(crate) const MISSING: u8 = 69;

    /// The command was wrong.
    pub(crate) fn usage(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), hint: hint.into(), code: Self::USAGE }
    }

    /// The machine lacks something.
    pub(crate) fn missing(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), hint: hint.into(), code: Self::MISSING }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}\nhint: {}", self.what, self.hint)
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self::usage(chain(&error), error.hint())
    }
}

impl From<SettingError> for Failure {
    fn from(error: SettingError) -> Self {
        Self::usage(error.to_string(), error.hint())
    }
}

impl From<ChecklistError> for Failure {
    fn from(error: ChecklistError) -> Self {
        Self::usage(chain(&error), "correct the fixture; nothing was started")
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        Self::missing(chain(&error), error.hint())
    }
}

impl From<ImageError> for Failure {
    fn from(error: ImageError) -> Self {
        Self::missing(chain(&error), error.hint())
    }
}

impl From<DockerError> for Failure {
    fn from(error: DockerError) -> Self {
        Self::missing(chain(&error), error.hint())
    }
}

impl From<SpecError> for Failure {
    fn from(error: SpecError) -> Self {
        Self::usage(error.to_string(), error.hint())
    }
}

impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Engine(error) => error.into(),
            SessionError::Environment(EnvironmentError::Spec(error)) => error.into(),
            SessionError::Environment(EnvironmentError::Setting(error)) | SessionError::Setting(error) => {
                error.into()
            }
        }
    }
}

impl From<AttachError> for Failure {
    fn from(error: AttachError) -> Self {
        match error.is_usage() {
            true => Self::usage(chain(&error), error.hint()),
            false => Self::missing(chain(&error), error.hint()),
        }
    }
}

//! Passwords: made anew for every lab, and never shown by accident.

use std::fmt;

/// A password. Its debug form says nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A new one: 32 letters and digits.
    pub fn random() -> Self {
        Self(std::iter::repeat_with(fastrand::alphanumeric).take(32).collect())
    }

    /// What it is, for whoever has to say it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

//! Settings from the environment: one that is empty is unset, and one that means nothing is named.

use std::{ffi::OsString, path::PathBuf, str::FromStr};

/// Why a setting cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}={value}` is not {expected}")]
pub struct SettingError {
    name: &'static str,
    value: String,
    expected: &'static str,
}

impl SettingError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        format!("set {} to {}, or leave it unset", self.name, self.expected)
    }
}

/// The variable's text; none if it is unset or empty.
pub fn text(name: &str) -> Option<String> {
    given(std::env::var_os(name))
}

/// The path that the variable holds, which may be in any encoding; none if it is unset or empty.
pub(crate) fn path(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// The variable's value, which has to be `expected`; none if it is unset or empty.
///
/// # Errors
/// It is something else.
pub fn value<T: FromStr>(name: &'static str, expected: &'static str) -> Result<Option<T>, SettingError> {
    understood(name, expected, text(name), |text| text.parse().ok())
}

/// A number within `range`; none if the variable is unset or empty.
pub(crate) fn number_within(
    name: &'static str,
    expected: &'static str,
    range: std::ops::RangeInclusive<f64>,
) -> Result<Option<f64>, SettingError> {
    understood(name, expected, text(name), |text| text.parse().ok().filter(|number| range.contains(number)))
}

/// `1` or `0`; no if the variable is unset or empty.
pub(crate) fn switch(name: &'static str) -> Result<bool, SettingError> {
    let meant = |text: &str| match text {
        "1" => Some(true),
        "0" => Some(false),
        _ => None,
    };
    Ok(understood(name, "0 or 1", text(name), meant)?.unwrap_or(false))
}

fn given(value: Option<OsString>) -> Option<String> {
    // What is not UTF-8 means nothing to any of our parsers, and is shown as well as it can be.
    value.map(|value| value.to_string_lossy().into_owned()).filter(|value| !value.is_empty())
}

fn understood<T>(
    name: &'static str,
    expected: &'static str,
    text: Option<String>,
    meant: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, SettingError> {
    let Some(value) = text else { return Ok(None) };
    match meant(&value) {
        Some(meant) => Ok(Some(meant)),
        None => Err(SettingError { name, value, expected }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed(value: Option<&str>) -> Result<Option<u64>, SettingError> {
        understood("SEED", "a whole number", given(value.map(OsString::from)), |text| text.parse().ok())
    }

    #[test]
    fn an_empty_setting_is_unset() {
        assert_eq!(seed(None), Ok(None));
        assert_eq!(seed(Some("")), Ok(None));
        assert_eq!(seed(Some("7")), Ok(Some(7)));
    }

    #[test]
    fn what_means_nothing_is_named_with_what_would() {
        let error = seed(Some("seven")).unwrap_err();
        assert_eq!(error.to_string(), "`SEED=seven` is not a whole number");
        assert_eq!(error.hint(), "set SEED to a whole number, or leave it unset");
    }
}

//! The servers the labs run on, as `fixtures/engines.toml` lists them.

use std::{fmt, ops::Range, str::FromStr};

use serde::Deserialize;
use toml::Spanned;

use crate::setting;

/// The variable that chooses an engine when nothing else does.
pub const ENGINE_VARIABLE: &str = "LAB_ENGINE";

const FIXTURE: &str = "fixtures/engines.toml";
const FIXTURE_TEXT: &str = include_str!("../../../fixtures/engines.toml");

/// Whose server it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Redis.
    Redis,
    /// Valkey.
    Valkey,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Redis => "redis",
            Self::Valkey => "valkey",
        })
    }
}

/// A release line: `7.0`. Patch releases within it behave alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    major: u16,
    minor: u16,
}

impl Version {
    /// `Version::new(7, 0)` is 7.0.
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }

    /// The number before the dot.
    pub const fn major(self) -> u16 {
        self.major
    }

    /// The number after the dot.
    pub const fn minor(self) -> u16 {
        self.minor
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split_once('.')
            .and_then(|(major, minor)| Some(Self::new(major.parse().ok()?, minor.parse().ok()?)))
            .ok_or_else(|| format!("a version is two numbers, as in `7.0`, not `{text}`"))
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Where the server comes from when no registry answers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Debian {
    /// The release that packages it: `bookworm`.
    pub suite: String,
    /// The packages that hold the server and the command line client.
    pub packages: Vec<String>,
}

/// A server the labs can run on. Shown as `redis:7.0`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Engine {
    family: Family,
    version: Version,
    #[serde(default)]
    default: bool,
    image: String,
    server: String,
    cli: String,
    debian: Debian,
}

impl Engine {
    /// Every engine of the fixture, in its order.
    pub fn all() -> Result<Vec<Self>, EngineError> {
        parse(FIXTURE_TEXT)
    }

    /// The engine called `name`; without a name the one in [`ENGINE_VARIABLE`], else the default.
    pub fn select(name: Option<&str>) -> Result<Self, EngineError> {
        let variable = setting::text(ENGINE_VARIABLE);
        choose(Self::all()?, name, variable.as_deref())
    }

    /// Redis or Valkey.
    pub fn family(&self) -> Family {
        self.family
    }

    /// Its release line.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The server's binary: `redis-server`.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The command line client's binary: `redis-cli`.
    pub fn cli(&self) -> &str {
        &self.cli
    }

    /// The image a registry has: `docker.io/library/redis:7.0`.
    pub fn registry_image(&self) -> &str {
        &self.image
    }

    /// The image built here where no registry answers: `failover-lab/redis:7.0`.
    pub fn local_image(&self) -> String {
        format!("failover-lab/{self}")
    }

    /// The packages that the local image is built from.
    pub fn debian(&self) -> &Debian {
        &self.debian
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}:{}", self.family, self.version))
    }
}

/// Why there is no engine to run on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// Nobody listed an engine of this name.
    #[error("unknown engine `{given}`{}", if *.from_variable { " in LAB_ENGINE" } else { "" })]
    Unknown {
        /// What was asked for.
        given: String,
        /// Whether [`ENGINE_VARIABLE`] asked for it.
        from_variable: bool,
        /// What could be asked for.
        known: Vec<String>,
    },
    /// The fixture cannot be read.
    #[error("{file}:{line}: {message}")]
    Malformed {
        /// The fixture.
        file: &'static str,
        /// The line at fault.
        line: usize,
        /// What is wrong with it.
        message: String,
    },
}

impl EngineError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Unknown { known, .. } => format!("known engines: {}", known.join(", ")),
            Self::Malformed { file, .. } => {
                format!("correct {file}; its first entries show what an engine states")
            }
        }
    }
}

fn choose(engines: Vec<Engine>, name: Option<&str>, variable: Option<&str>) -> Result<Engine, EngineError> {
    let known = engines.iter().map(Engine::to_string).collect();
    let wanted = name.or(variable);
    let chosen = engines.into_iter().find(|engine| match wanted {
        Some(wanted) => engine.to_string() == wanted,
        None => engine.default,
    });
    chosen.ok_or_else(|| EngineError::Unknown {
        given: wanted.unwrap_or("default").to_owned(),
        from_variable: name.is_none(),
        known,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fixture {
    #[serde(rename = "engine")]
    engines: Vec<Spanned<Engine>>,
}

fn parse(text: &str) -> Result<Vec<Engine>, EngineError> {
    let malformed = |span: Option<Range<usize>>, message: String| EngineError::Malformed {
        file: FIXTURE,
        line: text[..span.map_or(0, |span| span.start)].matches('\n').count() + 1,
        message,
    };
    let fixture: Fixture =
        toml::from_str(text).map_err(|error| malformed(error.span(), error.message().replace('\n', "; ")))?;

    let mut engines: Vec<Engine> = Vec::new();
    for entry in fixture.engines {
        let span = Some(entry.span());
        let engine = entry.into_inner();
        if engines.iter().any(|other| other.to_string() == engine.to_string()) {
            return Err(malformed(span, format!("{engine} is listed twice")));
        }
        if engine.default && engines.iter().any(|other| other.default) {
            return Err(malformed(span, format!("{engine} is a second default")));
        }
        if !engine.image.rsplit('/').next().is_some_and(|name| name.contains(':')) {
            return Err(malformed(span, format!("the image of {engine} has no tag: `{}`", engine.image)));
        }
        if engine.debian.packages.is_empty() {
            return Err(malformed(span, format!("{engine} has no Debian packages")));
        }
        engines.push(engine);
    }
    if !engines.iter().any(|engine| engine.default) {
        return Err(malformed(None, "no engine is the default".to_owned()));
    }
    Ok(engines)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const SOUND: &str = r#"
[[engine]]
family = "redis"
version = "7.0"
default = true
image = "docker.io/library/redis:7.0"
server = "redis-server"
cli = "redis-cli"
[engine.debian]
suite = "bookworm"
packages = ["redis-server"]
"#;

    #[test]
    fn the_fixture_lists_its_engines() {
        let engines = Engine::all().unwrap();
        let names: Vec<_> = engines.iter().map(Engine::to_string).collect();
        assert_eq!(names, ["redis:7.0", "redis:8.0", "valkey:8.1", "valkey:9.1"]);
        for engine in &engines {
            assert_eq!(engine.server(), format!("{}-server", engine.family()));
            assert_eq!(engine.cli(), format!("{}-cli", engine.family()));
            assert!(engine.registry_image().ends_with(&format!("/{engine}")), "{engine:?}");
            assert_eq!(engine.local_image(), format!("failover-lab/{engine}"));
        }
    }

    #[rstest]
    #[case::name_wins(Some("valkey:8.1"), Some("redis:8.0"), "valkey:8.1")]
    #[case::then_the_variable(None, Some("redis:8.0"), "redis:8.0")]
    #[case::then_the_default(None, None, "redis:7.0")]
    fn an_engine_is_chosen(#[case] name: Option<&str>, #[case] variable: Option<&str>, #[case] chosen: &str) {
        assert_eq!(choose(Engine::all().unwrap(), name, variable).unwrap().to_string(), chosen);
    }

    #[rstest]
    #[case::by_name(Some("redis:6.2"), None, "unknown engine `redis:6.2`")]
    #[case::by_variable(None, Some("redis"), "unknown engine `redis` in LAB_ENGINE")]
    fn an_unknown_engine_is_named(
        #[case] name: Option<&str>,
        #[case] variable: Option<&str>,
        #[case] message: &str,
    ) {
        let error = choose(Engine::all().unwrap(), name, variable).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!(error.hint(), "known engines: redis:7.0, redis:8.0, valkey:8.1, valkey:9.1");
    }

    #[rstest]
    #[case::family("family = \"redis\"", "family = \"keydb\"", 3, "unknown variant `keydb`")]
    #[case::version("\"7.0\"", "\"7\"", 4, "a version is two numbers, as in `7.0`, not `7`")]
    #[case::syntax("default = true", "default =", 5, "")]
    #[case::unknown_key("cli =", "client =", 8, "unknown field `client`")]
    #[case::missing_key("cli = \"redis-cli\"", "", 2, "missing field `cli`")]
    #[case::no_tag("redis:7.0\"", "redis\"", 2, "the image of redis:7.0 has no tag")]
    #[case::no_packages("[\"redis-server\"]", "[]", 2, "redis:7.0 has no Debian packages")]
    #[case::no_default("default = true", "", 1, "no engine is the default")]
    fn a_malformed_fixture_names_file_and_line(
        #[case] sound: &str,
        #[case] broken: &str,
        #[case] at: usize,
        #[case] says: &str,
    ) {
        assert_eq!(parse(SOUND).unwrap().len(), 1);
        let error = parse(&SOUND.replacen(sound, broken, 1)).unwrap_err();
        let EngineError::Malformed { file, line, message } = &error else { panic!("{error}") };
        assert_eq!((*file, *line), (FIXTURE, at), "{message}");
        assert!(message.contains(says), "{message}");
        assert!(error.to_string().starts_with(&format!("fixtures/engines.toml:{at}: ")), "{error}");
        assert!(!error.hint().is_empty());
    }

    #[test]
    fn an_engine_is_listed_once() {
        let error = parse(&format!("{SOUND}{SOUND}")).unwrap_err();
        assert_eq!(error.to_string(), "fixtures/engines.toml:13: redis:7.0 is listed twice");
    }
}

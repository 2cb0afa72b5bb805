//! Where a lab's nodes are, and what can be done to them there.

use std::fmt;

use redis::{ConnectionAddr, IntoConnectionInfo};

use crate::{
    docker::Access,
    secret::Secret,
    setting::{self, SettingError},
};

/// Whose deployment the steps run on, as [`Environment`] writes itself; their own where it is unset.
pub const ATTACH_VAR: &str = "LAB_ATTACH";
/// The user to attach as, where it is not the default one.
pub const USER_VAR: &str = "LAB_ATTACH_USER";
/// The password of an attached deployment's data nodes, and of its sentinels if they have no other.
pub const PASSWORD_VAR: &str = "LAB_ATTACH_PASSWORD";
/// The password of its sentinels.
pub const SENTINEL_PASSWORD_VAR: &str = "LAB_ATTACH_SENTINEL_PASSWORD";
/// `1`: an attached deployment may be written to and broken.
pub const ALLOW_FAULTS_VAR: &str = "LAB_ALLOW_FAULTS";

/// Where a lab's nodes come from. The list is closed: whoever adds one says what it lacks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Environment {
    /// The lab makes them, each a container of its own, and removes them.
    #[default]
    Containers,
    /// The containers of a compose project that runs already.
    Compose {
        /// The project's name.
        project: String,
        /// What its owner lets the lab do.
        terms: Terms,
    },
    /// Servers at addresses, and nothing around them.
    Endpoints {
        /// Some of the deployment's servers; they know the others.
        servers: Vec<Endpoint>,
        /// What their owner lets the lab do.
        terms: Terms,
    },
}

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// A name or an address.
    pub host: String,
    /// What the server listens on.
    pub port: u16,
}

/// What the owner of a deployment lets the lab do with it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Terms {
    /// The user, where it is not the default one.
    pub user: Option<String>,
    /// The password of the data nodes, and of the sentinels if they have no other.
    pub password: Option<Secret>,
    /// The password of the sentinels.
    pub sentinel_password: Option<Secret>,
    /// It may be written to and broken, and is put right again.
    pub allow_faults: bool,
}

/// What a step may need of its environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// A deployment made for the step, of the shape and with the settings that it says.
    FreshDeployment,
    /// The owner's permission for everything that is more than looking.
    Permission,
    /// Keys that are written and removed again, roles that change on request.
    Changes,
    /// Nodes that die, freeze and lose their network, and come back.
    Faults,
    /// Addresses that stay with their nodes while several of them are down.
    FixedAddresses,
    /// Links between chosen nodes that go wrong.
    Partitions,
    /// Packet rules, for every split and loss: the kernel's.
    Nftables,
    /// Shaping, for slow links: the kernel's.
    Htb,
    /// Delays, for late links: the kernel's.
    Netem,
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::FreshDeployment => "fresh deployment",
            Self::Permission => "permission for faults (--allow-faults)",
            Self::Changes => "changes to data and roles",
            Self::Faults => "faults of nodes",
            Self::FixedAddresses => "fixed addresses",
            Self::Partitions => "partitions",
            Self::Nftables => "nftables",
            Self::Htb => "htb",
            Self::Netem => "netem",
        })
    }
}

/// What was asked for cannot be had here. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{whose} no {capability}: {says}")]
pub struct MissingCapability {
    /// What is lacking.
    pub capability: Capability,
    /// Who lacks it, in words that `no …` can follow.
    pub whose: &'static str,
    /// Why, or what the one said that was asked for it.
    pub says: String,
}

impl Environment {
    /// Somebody else's deployment: `compose:<project>`, or `redis://[user:password@]host:port[,host:port…]`.
    ///
    /// # Errors
    /// It is neither. The error shows no password.
    pub fn attached(spec: &str, terms: Terms) -> Result<Self, SpecError> {
        if let Some(project) = spec.strip_prefix("compose:") {
            return match project {
                "" => Err(SpecError::new(spec, "it names no project")),
                project => Ok(Self::Compose { project: project.to_owned(), terms }),
            };
        }
        let Some(rest) = spec.strip_prefix("redis://") else {
            let why = match spec.split_once("://") {
                Some(("rediss", _)) => "TLS is not supported",
                _ => "it begins with neither `compose:` nor `redis://`",
            };
            return Err(SpecError::new(spec, why));
        };
        // A password may have any character but an `@`, which is written %40.
        let (credentials, hosts) = rest.rsplit_once('@').map_or(("", rest), |(who, hosts)| (who, hosts));
        let mut attached = (Vec::new(), terms);
        for host in hosts.trim_end_matches('/').split(',') {
            let (server, user, password) =
                endpoint(credentials, host).map_err(|why| SpecError::new(spec, why))?;
            attached.0.push(server);
            attached.1.user = user.or(attached.1.user);
            attached.1.password = password.or(attached.1.password);
        }
        let (servers, terms) = attached;
        Ok(Self::Endpoints { servers, terms })
    }

    /// What the variables say: how `cargo lab grade` hands its own on to the steps.
    ///
    /// # Errors
    /// A variable means nothing.
    pub fn from_env() -> Result<Self, EnvironmentError> {
        match setting::text(ATTACH_VAR) {
            Some(spec) => Ok(Self::attached(&spec, Terms::from_env()?)?),
            None => Ok(Self::Containers),
        }
    }

    /// The same as variables, for another process. Passwords are in no argument: those are for everybody to
    /// read.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let Some(terms) = self.terms() else { return vec![(ATTACH_VAR, String::new())] };
        let secret = |secret: &Option<Secret>| {
            secret.as_ref().map_or_else(String::new, |secret| secret.reveal().to_owned())
        };
        vec![
            (ATTACH_VAR, self.to_string()),
            (USER_VAR, terms.user.clone().unwrap_or_default()),
            (PASSWORD_VAR, secret(&terms.password)),
            (SENTINEL_PASSWORD_VAR, secret(&terms.sentinel_password)),
            (ALLOW_FAULTS_VAR, if terms.allow_faults { "1" } else { "0" }.to_owned()),
        ]
    }

    /// What the deployment's owner lets the lab do; none where the lab is the owner.
    pub fn terms(&self) -> Option<&Terms> {
        match self {
            Self::Containers => None,
            Self::Compose { terms, .. } | Self::Endpoints { terms, .. } => Some(terms),
        }
    }

    /// Says no where the environment lacks `capability`. What a kernel or a network lacks turns out only
    /// when it is asked.
    ///
    /// # Errors
    /// It lacks it.
    pub fn needs(&self, capability: Capability) -> Result<(), MissingCapability> {
        let missing = |capability, says: &str| {
            Err(MissingCapability {
                capability,
                whose: "an attached deployment offers",
                says: says.to_owned(),
            })
        };
        match (self, capability) {
            (Self::Containers, _) => Ok(()),
            (_, Capability::Nftables | Capability::Htb | Capability::Netem) => Ok(()),
            (_, Capability::FixedAddresses) => Ok(()),
            (_, Capability::FreshDeployment) => missing(capability, "it is as its owner made it"),
            (Self::Endpoints { .. }, Capability::Faults | Capability::Partitions) => {
                missing(capability, "only its servers are known")
            }
            (
                _,
                Capability::Permission | Capability::Changes | Capability::Faults | Capability::Partitions,
            ) => match self.terms().is_some_and(|terms| terms.allow_faults) {
                true => Ok(()),
                false => missing(Capability::Permission, "its owner has not said so"),
            },
        }
    }
}

/// Without any credentials: what can be shown, and given to [`Environment::attached`] again.
impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Containers => f.write_str("docker"),
            Self::Compose { project, .. } => write!(f, "compose:{project}"),
            Self::Endpoints { servers, .. } => {
                let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
                write!(f, "redis://{}", servers.join(","))
            }
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl Terms {
    /// What the variables say.
    ///
    /// # Errors
    /// One of them means nothing.
    pub fn from_env() -> Result<Self, SettingError> {
        Ok(Self {
            user: setting::text(USER_VAR),
            password: setting::text(PASSWORD_VAR).map(Secret::from),
            sentinel_password: setting::text(SENTINEL_PASSWORD_VAR).map(Secret::from),
            allow_faults: setting::switch(ALLOW_FAULTS_VAR)?,
        })
    }

    /// The ways in that its owner gave, and the open door first.
    pub(crate) fn ways_in(&self) -> Vec<Access> {
        let mut ways = vec![Access::default()];
        for secret in [&self.password, &self.sentinel_password].into_iter().flatten() {
            let password = Some(secret.clone());
            if self.user.is_some() {
                let user = self.user.clone();
                ways.push(Access { user, password: password.clone(), ..Access::default() });
            }
            ways.push(Access { password, ..Access::default() });
        }
        ways
    }
}

fn endpoint(
    credentials: &str,
    host: &str,
) -> Result<(Endpoint, Option<String>, Option<Secret>), &'static str> {
    let url = match credentials {
        "" => format!("redis://{host}"),
        credentials => format!("redis://{credentials}@{host}"),
    };
    let info = url.into_connection_info().map_err(|_| "it is no redis URL")?;
    let ConnectionAddr::Tcp(host, port) = info.addr() else { return Err("it is no host and port") };
    let (user, password) = (info.redis_settings().username(), info.redis_settings().password());
    let server = Endpoint { host: host.clone(), port: *port };
    Ok((server, user.map(str::to_owned), password.map(|password| Secret::from(password.to_owned()))))
}

/// What cannot be attached to, because it makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot attach to `{shown}`: {why}")]
pub struct SpecError {
    shown: String,
    why: &'static str,
}

impl SpecError {
    fn new(spec: &str, why: &'static str) -> Self {
        // Whatever stands before an `@` may be a password.
        let shown = match (spec.rsplit_once('@'), spec.split_once("://")) {
            (None, _) => spec.to_owned(),
            (Some((_, hosts)), Some((scheme, _))) => format!("{scheme}://…@{hosts}"),
            (Some((_, hosts)), None) => format!("…@{hosts}"),
        };
        Self { shown, why }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        "give `compose:<project>`, as `docker ps` shows it in the label com.docker.compose.project, or \
            `redis://[user:password@]host:port[,host:port]`, with %40 for an @ in the password"
            .to_owned()
    }
}

/// Why the variables do not say where the steps are to run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvironmentError {
    /// What to attach to makes no sense.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// Another variable means nothing.
    #[error(transparent)]
    Setting(#[from] SettingError),
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn attached(spec: &str) -> Result<Environment, SpecError> {
        Environment::attached(spec, Terms::default())
    }

    #[test]
    fn an_environment_is_written_as_it_is_read_but_for_its_credentials() {
        for spec in ["compose:shop", "redis://10.0.0.1:26379", "redis://a:1,b:2"] {
            assert_eq!(attached(spec).unwrap().to_string(), spec);
        }
        let secret = attached("redis://app:p%40ss@10.0.0.1:26379,10.0.0.2").unwrap();
        assert_eq!(secret.to_string(), "redis://10.0.0.1:26379,10.0.0.2:6379");
        let terms = secret.terms().unwrap();
        assert_eq!(terms.user.as_deref(), Some("app"));
        assert_eq!(terms.password.as_ref().map(Secret::reveal), Some("p@ss"));
    }

    #[rstest]
    #[case::nothing("", "neither")]
    #[case::no_project("compose:", "no project")]
    #[case::another_scheme("http://me:secret@localhost", "neither")]
    #[case::no_scheme("me:secret@localhost", "neither")]
    #[case::tls("rediss://localhost", "TLS")]
    #[case::no_host("redis://", "no redis URL")]
    #[case::no_port("redis://:secret@host:port", "no redis URL")]
    #[case::one_of_two("redis://:secret@host:1,host:70000", "no redis URL")]
    fn what_makes_no_sense_is_named_without_its_password(#[case] spec: &str, #[case] why: &str) {
        let error = attached(spec).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn an_attached_deployment_is_only_looked_at_unless_its_owner_says_more() {
        let looked_at = attached("compose:shop").unwrap();
        let more = [Capability::Changes, Capability::Faults, Capability::Partitions, Capability::Permission];
        for capability in more {
            assert_eq!(looked_at.needs(capability).unwrap_err().capability, Capability::Permission);
        }
        let allowed = Terms { allow_faults: true, ..Terms::default() };
        let broken = Environment::attached("compose:shop", allowed.clone()).unwrap();
        assert_eq!(broken.needs(Capability::Faults), Ok(()));
        assert_eq!(broken.needs(Capability::Partitions), Ok(()));
        assert!(broken.needs(Capability::FreshDeployment).is_err());
        let endpoints = Environment::attached("redis://a", allowed).unwrap();
        assert_eq!(endpoints.needs(Capability::Changes), Ok(()));
        for capability in [Capability::Faults, Capability::Partitions] {
            assert_eq!(endpoints.needs(capability).unwrap_err().capability, capability);
        }
    }
}

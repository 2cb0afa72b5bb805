//! What each library makes of a profile: every setting, one by one.

mod subscriber;

use std::net::SocketAddr;

use redis::{
    ConnectionInfo, IntoConnectionInfo, RedisError,
    io::tcp::{TcpSettings, socket2::TcpKeepalive},
};

use super::Library;
use crate::{
    profile::{Profile, Resolving, Trigger, Trouble},
    target::{Login, Place},
};

/// What became of a profile before a target: each of its settings is in one of the two.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settled {
    /// The setting, and how the library is told.
    pub set: Vec<(&'static str, String)>,
    /// The setting, and why the library cannot be told, or what it does instead.
    pub not_expressible: Vec<(&'static str, String)>,
}

impl Settled {
    /// And what became of it where the same library is a subscriber, as far as that is something else.
    pub fn and_of_the_subscriber(mut self, subscriber: &Self) -> Self {
        let add = |to: &mut Vec<(&'static str, String)>, more: &[(&'static str, String)]| {
            let others: Vec<_> = more.iter().filter(|line| !to.contains(line)).collect();
            to.extend(
                others.into_iter().map(|(setting, what)| (*setting, format!("as a subscriber, {what}"))),
            );
        };
        add(&mut self.set, &subscriber.set);
        add(&mut self.not_expressible, &subscriber.not_expressible);
        self
    }
}

/// What a library makes of a profile before a target, when it is given commands.
pub fn settle(library: Library, profile: &Profile, place: &Place) -> Settled {
    read(Way::of(library, place), profile)
}

/// What a library makes of a profile before a target, when it is a subscriber.
pub fn settle_subscriber(library: Library, profile: &Profile, place: &Place) -> Settled {
    read(subscriber::Subscriber(Way::of(library, place)), profile)
}

fn read<T: Table>(table: T, profile: &Profile) -> Settled {
    let Profile {
        name: _,
        about: _,
        connect_timeout,
        response_timeout,
        retries,
        min_pause,
        max_pause,
        reconnect_on,
        max_age,
        resolve,
        keepalive,
        tcp_user_timeout,
        nodelay,
        refresh_every,
        refresh_on,
    } = profile;
    let mut settled = Settled::default();
    let mut put = |name, is_set: bool, meaning: fn(T) -> Meaning| {
        if !is_set {
            return;
        }
        match meaning(table) {
            Meaning::Set(how) => settled.set.push((name, how.to_owned())),
            Meaning::Not(why) => settled.not_expressible.push((name, why.to_owned())),
        }
    };
    put("connect-timeout", connect_timeout.is_some(), T::connect_timeout);
    put("response-timeout", response_timeout.is_some(), T::response_timeout);
    put("retries", retries.is_some(), T::retries);
    put("min-pause", min_pause.is_some(), T::min_pause);
    put("max-pause", max_pause.is_some(), T::max_pause);
    let reconnects = |trouble| reconnect_on.as_ref().map(|on| on.contains(&trouble));
    put("reconnect-on broken", reconnects(Trouble::Broken) == Some(true), T::reconnects_when_broken);
    put("reconnect-on silent", reconnects(Trouble::Silent) == Some(true), T::reconnects_when_silent);
    put("reconnect-on read-only", reconnects(Trouble::ReadOnly) == Some(true), T::reconnects_when_read_only);
    put("reconnect-on nothing", reconnect_on.as_ref().is_some_and(|on| on.is_empty()), T::never_reconnects);
    put("max-age", max_age.is_some(), T::max_age);
    put("resolve once", *resolve == Some(Resolving::Once), T::resolves_once);
    put(
        "resolve every-connection",
        *resolve == Some(Resolving::EveryConnection),
        T::resolves_for_every_connection,
    );
    put("keepalive", keepalive.is_some(), T::socket);
    put("tcp-user-timeout", tcp_user_timeout.is_some(), T::socket);
    put("nodelay", nodelay.is_some(), T::socket);
    put("refresh-every", refresh_every.is_some(), T::refreshes_by_the_clock);
    let refreshes = |trigger| refresh_on.as_ref().is_some_and(|on| on.contains(&trigger));
    put("refresh-on moved", refreshes(Trigger::Moved), T::refreshes_when_moved);
    put("refresh-on ask", refreshes(Trigger::Ask), T::refreshes_otherwise);
    put(
        "refresh-on persistent-reconnects",
        refreshes(Trigger::PersistentReconnects),
        T::refreshes_when_broken,
    );
    put("refresh-on uncovered-slot", refreshes(Trigger::UncoveredSlot), T::refreshes_otherwise);
    put("refresh-on unknown-node", refreshes(Trigger::UnknownNode), T::refreshes_otherwise);
    settled
}

/// How to get in at a server, and with which settings of the socket, as the `redis` crate takes them.
pub(super) fn info(
    to: impl IntoConnectionInfo,
    login: &Login,
    profile: &Profile,
) -> Result<ConnectionInfo, RedisError> {
    let info = to.into_connection_info()?.set_tcp_settings(tcp(profile));
    let mut settings = info.redis_settings().clone();
    if let Some(user) = &login.user {
        settings = settings.set_username(user);
    }
    if let Some(password) = &login.password {
        settings = settings.set_password(password);
    }
    Ok(info.set_redis_settings(settings))
}

/// An address, as the `redis` crate takes it.
pub(super) fn parts(address: SocketAddr) -> (String, u16) {
    (address.ip().to_string(), address.port())
}

/// The socket's settings, as the `redis` crate takes them.
pub(super) fn tcp(profile: &Profile) -> TcpSettings {
    let mut settings = TcpSettings::default();
    if let Some(every) = profile.keepalive {
        settings = settings.set_keepalive(TcpKeepalive::new().with_time(every).with_interval(every));
    }
    #[cfg(target_os = "linux")]
    if let Some(timeout) = profile.tcp_user_timeout {
        settings = settings.set_user_timeout(timeout);
    }
    if let Some(nodelay) = profile.nodelay {
        settings = settings.set_nodelay(nodelay);
    }
    settings
}

/// A library before a sort of target: what decides which settings there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// A multiplexed connection of the `redis` crate, with the lab's own reconnecting around it.
    Direct,
    /// The same by way of the `redis` crate's `SentinelClient`.
    Sentinels,
    /// `ConnectionManager`.
    Manager,
    /// `cluster_async`.
    Routed,
    /// fred, before a cluster.
    FredCluster,
    /// fred, before anything else.
    Fred,
}

/// What a library makes of a setting.
enum Meaning {
    /// It is told like this.
    Set(&'static str),
    /// It cannot be told, for this reason.
    Not(&'static str),
}
use Meaning::{Not, Set};

/// What is made of each setting.
trait Table: Copy {
    fn connect_timeout(self) -> Meaning;
    fn response_timeout(self) -> Meaning;
    fn retries(self) -> Meaning;
    fn min_pause(self) -> Meaning;
    fn max_pause(self) -> Meaning;
    fn reconnects_when_broken(self) -> Meaning;
    fn reconnects_when_silent(self) -> Meaning;
    fn reconnects_when_read_only(self) -> Meaning;
    fn never_reconnects(self) -> Meaning;
    fn max_age(self) -> Meaning;
    fn resolves_once(self) -> Meaning;
    fn resolves_for_every_connection(self) -> Meaning;
    fn socket(self) -> Meaning;
    fn refreshes_by_the_clock(self) -> Meaning;
    fn refreshes_when_moved(self) -> Meaning;
    fn refreshes_when_broken(self) -> Meaning;
    fn refreshes_otherwise(self) -> Meaning;
}

const NO_SLOTS: &str = "there are no slots to ask for";

impl Way {
    fn of(library: Library, place: &Place) -> Self {
        match (library, place) {
            (Library::Redis, Place::Endpoint(_)) => Self::Direct,
            (Library::Redis, Place::Sentinels { .. }) => Self::Sentinels,
            (Library::Redis, Place::Cluster { .. }) => Self::Routed,
            (Library::RedisManager, _) => Self::Manager,
            (Library::Fred, Place::Cluster { .. }) => Self::FredCluster,
            (Library::Fred, _) => Self::Fred,
        }
    }
}

impl Table for Way {
    fn connect_timeout(self) -> Meaning {
        Set(match self {
            Self::Direct | Self::Sentinels => "AsyncConnectionConfig::set_connection_timeout",
            Self::Manager => "ConnectionManagerConfig::set_connection_timeout",
            Self::Routed => "ClusterClientBuilder::connection_timeout",
            Self::Fred | Self::FredCluster => {
                "ConnectionConfig::connection_timeout, and internal_command_timeout for what follows it"
            }
        })
    }

    fn response_timeout(self) -> Meaning {
        Set(match self {
            Self::Direct | Self::Sentinels => "AsyncConnectionConfig::set_response_timeout",
            Self::Manager => "ConnectionManagerConfig::set_response_timeout",
            Self::Routed => "ClusterClientBuilder::response_timeout, of each attempt",
            Self::Fred | Self::FredCluster => {
                "PerformanceConfig::default_command_timeout, of all attempts together"
            }
        })
    }

    fn retries(self) -> Meaning {
        match self {
            Self::Direct | Self::Sentinels => Set("the application's: only what was certainly not done"),
            Self::Manager => Not("it sends nothing again; set_number_of_retries is of connecting"),
            Self::Routed => Set("ClusterClientBuilder::retries: whatever failed, done or not"),
            Self::Fred | Self::FredCluster => {
                Set("ConnectionConfig::max_command_attempts: whatever failed, done or not")
            }
        }
    }

    fn min_pause(self) -> Meaning {
        Set(match self {
            Self::Direct | Self::Sentinels => "the application's, half of it left to chance",
            Self::Manager => "ConnectionManagerConfig::set_min_delay",
            Self::Routed => "ClusterClientBuilder::min_retry_wait",
            Self::Fred | Self::FredCluster => "ReconnectPolicy::Exponential, of reconnecting",
        })
    }

    fn max_pause(self) -> Meaning {
        Set(match self {
            Self::Direct | Self::Sentinels => "the application's, half of it left to chance",
            Self::Manager => "ConnectionManagerConfig::set_max_delay",
            Self::Routed => "ClusterClientBuilder::max_retry_wait",
            Self::Fred | Self::FredCluster => "ReconnectPolicy::Exponential, of reconnecting",
        })
    }

    fn reconnects_when_broken(self) -> Meaning {
        Set(match self {
            Self::Direct | Self::Sentinels => "the application's",
            Self::Manager | Self::Routed => "always",
            Self::Fred | Self::FredCluster => "ReconnectPolicy: without one it never does",
        })
    }

    fn reconnects_when_silent(self) -> Meaning {
        match self {
            Self::Direct | Self::Sentinels => Set("the application's, when response-timeout has passed"),
            Self::Manager => Not("a time-out leaves the connection as it is"),
            Self::Routed => Not("a time-out leaves the connection as it is, and is tried again on it"),
            Self::Fred | Self::FredCluster => Set("UnresponsiveConfig::max_timeout"),
        }
    }

    fn reconnects_when_read_only(self) -> Meaning {
        match self {
            Self::Direct | Self::Sentinels => Set("the application's"),
            Self::Manager => Not("it stays on the demoted node"),
            Self::Routed => Not("it asks for the slots again, and keeps the connection"),
            Self::Fred | Self::FredCluster => Set("ConnectionConfig::reconnect_errors"),
        }
    }

    fn never_reconnects(self) -> Meaning {
        match self {
            Self::Direct | Self::Sentinels => Set("the application's"),
            Self::Manager | Self::Routed => Not("it always does"),
            Self::Fred | Self::FredCluster => Set("no ReconnectPolicy"),
        }
    }

    fn max_age(self) -> Meaning {
        match self {
            Self::Direct | Self::Sentinels => Set("the application's"),
            Self::Manager | Self::Routed => Not("a connection lives until it breaks"),
            Self::Fred | Self::FredCluster => Set("force_reconnection, by the application's clock"),
        }
    }

    fn resolves_once(self) -> Meaning {
        match self {
            Self::Direct | Self::Fred => Set("it is given an address, and never hears of the name"),
            Self::Manager => Not("it takes no resolver, and resolves for every connection"),
            Self::Sentinels => Not("it asks the sentinels for every connection"),
            Self::Routed | Self::FredCluster => Not("the nodes tell it their addresses"),
        }
    }

    fn resolves_for_every_connection(self) -> Meaning {
        match self {
            Self::Direct => Set("AsyncConnectionConfig::set_dns_resolver"),
            Self::Fred => Set("ClientLike::set_resolver, or the sentinels"),
            Self::Manager => Set("always"),
            Self::Sentinels => Set("it asks the sentinels"),
            Self::Routed | Self::FredCluster => Not("the nodes tell it their addresses"),
        }
    }

    fn socket(self) -> Meaning {
        Set(match self {
            Self::Fred | Self::FredCluster => "TcpConfig",
            _ => "TcpSettings",
        })
    }

    fn refreshes_by_the_clock(self) -> Meaning {
        match self {
            Self::Routed => Not("it cannot be told to ask"),
            Self::FredCluster => Set("sync_cluster, by the application's clock"),
            _ => Not(NO_SLOTS),
        }
    }

    fn refreshes_when_moved(self) -> Meaning {
        match self {
            Self::Routed | Self::FredCluster => Set("always"),
            _ => Not(NO_SLOTS),
        }
    }

    fn refreshes_when_broken(self) -> Meaning {
        match self {
            Self::Routed => {
                Not("it connects to the same node again, and asks for the slots when another says MOVED")
            }
            Self::FredCluster => Set("always, with every reconnection"),
            _ => Not(NO_SLOTS),
        }
    }

    fn refreshes_otherwise(self) -> Meaning {
        match self {
            Self::Routed | Self::FredCluster => Not("it has no such trigger"),
            _ => Not(NO_SLOTS),
        }
    }
}

//! What each library makes of a profile when it is a subscriber.

use super::{
    Meaning::{self, Not, Set},
    Table, Way,
};

/// A library before a sort of target, as a subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Subscriber(pub(super) Way);

impl Table for Subscriber {
    fn connect_timeout(self) -> Meaning {
        match self.0 {
            Way::Direct | Way::Sentinels => Set("the application's, around get_async_pubsub, which has none"),
            way => way.connect_timeout(),
        }
    }

    fn response_timeout(self) -> Meaning {
        Set(match self.0 {
            Way::Direct | Way::Sentinels => "the application's, of SUBSCRIBE and of a PING as often",
            Way::Manager => {
                "ConnectionManagerConfig::set_response_timeout, of SUBSCRIBE and of a PING as often"
            }
            Way::Routed => "ClusterClientBuilder::response_timeout, of SUBSCRIBE",
            Way::Fred | Way::FredCluster => {
                "PerformanceConfig::default_command_timeout, of a PING as often; a SUBSCRIBE is done when it is written"
            }
        })
    }

    fn retries(self) -> Meaning {
        match self.0 {
            Way::Direct | Way::Sentinels => Not("it tries until it has subscribed"),
            Way::Manager => Set(
                "ConnectionManagerConfig::set_number_of_retries, of connecting: then it is deaf until it is asked",
            ),
            Way::Routed => Not("it connects for as long as its map has the node"),
            Way::Fred | Way::FredCluster => {
                Not("it connects until it has a connection, and subscribes once for each")
            }
        }
    }

    fn min_pause(self) -> Meaning {
        match self.0 {
            Way::Routed => Not("it waits 50 ms, then twice as long each time"),
            way => way.min_pause(),
        }
    }

    fn max_pause(self) -> Meaning {
        match self.0 {
            Way::Routed => Not("it waits a second at most"),
            way => way.max_pause(),
        }
    }

    fn reconnects_when_broken(self) -> Meaning {
        self.0.reconnects_when_broken()
    }

    fn reconnects_when_silent(self) -> Meaning {
        match self.0 {
            Way::Direct | Way::Sentinels => Set("the application's, when a PING was not answered"),
            Way::Manager => Not("a PING that is not answered leaves the connection as it is"),
            Way::Routed => Not("it asks nothing by itself, and a time-out leaves the connection as it is"),
            Way::Fred | Way::FredCluster => Set("UnresponsiveConfig::max_timeout, while a PING is under way"),
        }
    }

    fn reconnects_when_read_only(self) -> Meaning {
        Not("a replica takes subscribers as well, and never says that it is one")
    }

    fn never_reconnects(self) -> Meaning {
        self.0.never_reconnects()
    }

    fn max_age(self) -> Meaning {
        match self.0 {
            Way::Direct | Way::Sentinels => Set("the application's: what is published in between is missed"),
            way => way.max_age(),
        }
    }

    fn resolves_once(self) -> Meaning {
        self.0.resolves_once()
    }

    fn resolves_for_every_connection(self) -> Meaning {
        match self.0 {
            Way::Direct => Set("the application's: get_async_pubsub takes no resolver"),
            way => way.resolves_for_every_connection(),
        }
    }

    fn socket(self) -> Meaning {
        self.0.socket()
    }

    fn refreshes_by_the_clock(self) -> Meaning {
        self.0.refreshes_by_the_clock()
    }

    fn refreshes_when_moved(self) -> Meaning {
        match self.0 {
            Way::Routed => Not("it learns that from answers only, and a subscriber asks nothing"),
            way => way.refreshes_when_moved(),
        }
    }

    fn refreshes_when_broken(self) -> Meaning {
        match self.0 {
            Way::Routed => Not("it connects to the same node again, for as long as its map has it"),
            way => way.refreshes_when_broken(),
        }
    }

    fn refreshes_otherwise(self) -> Meaning {
        self.0.refreshes_otherwise()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Settled, read, settle, settle_subscriber};
    use super::*;
    use crate::{Place, Profile, client::Library, profile::Trouble};

    fn patient() -> Profile {
        Profile {
            response_timeout: Some(Duration::from_millis(250)),
            reconnect_on: Some([Trouble::Silent].into()),
            ..Profile::default()
        }
    }

    fn names(lines: &[(&'static str, String)]) -> Vec<&'static str> {
        lines.iter().map(|(setting, _)| *setting).collect()
    }

    #[test]
    fn a_silent_subscriber_is_found_where_the_library_lets_one() {
        for way in [Way::Direct, Way::Sentinels, Way::Fred, Way::FredCluster] {
            assert!(read(Subscriber(way), &patient()).not_expressible.is_empty(), "{way:?}");
        }
        for way in [Way::Manager, Way::Routed] {
            let settled = read(Subscriber(way), &patient());
            assert_eq!(names(&settled.not_expressible), ["reconnect-on silent"], "{way:?}");
        }
    }

    #[test]
    fn what_a_subscriber_makes_of_it_is_said_where_it_is_something_else() {
        let profile = Profile { nodelay: Some(true), ..patient() };
        let place = Place::Cluster { nodes: Vec::new() };
        let library = Library::Redis;
        let both = settle(library, &profile, &place)
            .and_of_the_subscriber(&settle_subscriber(library, &profile, &place));
        let said =
            |settled: &Settled, setting| names(&settled.set).iter().filter(|name| **name == setting).count();
        assert_eq!((said(&both, "nodelay"), said(&both, "response-timeout")), (1, 2));
    }
}

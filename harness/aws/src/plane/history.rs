//! What happened: the events of all groups, those that are gone among them.

use std::{fmt, str::FromStr};

use failover_lab::group::SourceType;
use jiff::{SignedDuration, Timestamp};

use super::{Book, ControlPlane, Group};

/// API reference, DescribeEvents: there are those of the last 14 days.
pub(crate) const KEPT_DAYS: u32 = 14;

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) place: Place,
    pub(crate) source: String,
    pub(crate) kind: SourceType,
    pub(crate) message: String,
}

/// Where an event is in the history. No two are at one place, although of one millisecond there can be several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) date: Timestamp,
    /// The group's number.
    pub(crate) group: u64,
    /// Among the group's events.
    pub(crate) number: usize,
}

/// Which events are wanted.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) source: Option<String>,
    pub(crate) kind: Option<SourceType>,
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
    /// Only those before this one.
    pub(crate) before: Option<Place>,
}

impl Event {
    /// One that is about a group.
    pub(super) fn of_group(id: &str, place: Place, message: String) -> Self {
        Self { place, source: id.to_owned(), kind: SourceType::ReplicationGroup, message }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.date.as_nanosecond(), self.group, self.number)
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let parts: Vec<&str> = text.split('.').collect();
        let [date, group, number] = parts[..] else { return Err(()) };
        let date = date.parse::<i128>().ok().and_then(|date| Timestamp::from_nanosecond(date).ok());
        Ok(Self {
            date: date.ok_or(())?,
            group: group.parse().map_err(drop)?,
            number: number.parse().map_err(drop)?,
        })
    }
}

impl Wanted {
    fn wants(&self, event: &Event) -> bool {
        self.source.as_ref().is_none_or(|source| *source == event.source)
            && self.kind.is_none_or(|kind| kind == event.kind)
            && (self.from..=self.until).contains(&event.place.date)
            && self.before.is_none_or(|before| event.place < before)
    }
}

impl ControlPlane {
    /// The newest first.
    pub(crate) fn events(&self, wanted: &Wanted) -> Vec<Event> {
        let book = self.book();
        let present = book.with_nodes().flat_map(|group| group.events());
        let mut events: Vec<Event> = book.past.iter().cloned().chain(present).collect();
        let oldest = oldest();
        events.retain(|event| event.place.date >= oldest && wanted.wants(event));
        events.sort_by_key(|event| std::cmp::Reverse(event.place));
        events
    }
}

impl Book {
    /// Keeps events of a group that is gone, and no longer than they are shown.
    pub(super) fn remember(&mut self, events: Vec<Event>) {
        let oldest = oldest();
        self.past.extend(events);
        self.past.retain(|event| event.place.date >= oldest);
    }
}

impl Group {
    /// Its events, and those of its nodes.
    pub(super) fn events(&self) -> Vec<Event> {
        let Some(standing) = self.standing() else { return Vec::new() };
        let told = standing.manager.events().into_iter().enumerate();
        told.map(|(number, event)| Event {
            place: Place { date: self.began + event.at.0, group: self.number, number },
            kind: event.source(),
            source: event.node.map_or_else(|| self.wish.id.clone(), |node| node.to_string()),
            message: event.message,
        })
        .collect()
    }
}

fn oldest() -> Timestamp {
    Timestamp::now() - SignedDuration::from_hours(i64::from(KEPT_DAYS) * 24)
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;
    use rstest::rstest;

    use super::*;

    fn place(date: Timestamp) -> Place {
        Place { date, group: 3, number: 7 }
    }

    #[rstest]
    #[case::everything(None, None, true)]
    #[case::its_source(Some("shop"), None, true)]
    #[case::its_source_as_what_it_is(Some("shop"), Some(SourceType::ReplicationGroup), true)]
    #[case::another_source(Some("shop-001"), None, false)]
    #[case::another_kind(None, Some(SourceType::CacheCluster), false)]
    fn events_are_picked(
        #[case] source: Option<&str>,
        #[case] kind: Option<SourceType>,
        #[case] picked: bool,
    ) {
        let date = Timestamp::UNIX_EPOCH + 1.hours();
        let event = Event::of_group("shop", place(date), String::new());
        let wanted = |from, until, before| {
            Wanted { source: source.map(String::from), kind, from, until, before }.wants(&event)
        };
        assert_eq!(wanted(Timestamp::UNIX_EPOCH, date, None), picked);
        assert!(!wanted(date + 1.seconds(), date + 2.hours(), None), "too old");
        // It was on the page before, and one of the same instant was not.
        assert!(!wanted(Timestamp::UNIX_EPOCH, date, Some(event.place)));
        let next = Place { number: event.place.number + 1, ..event.place };
        assert_eq!(wanted(Timestamp::UNIX_EPOCH, date, Some(next)), picked);
    }

    #[test]
    fn a_place_survives_its_text() {
        let place = place(Timestamp::UNIX_EPOCH + 1.nanoseconds());
        assert_eq!(place.to_string().parse::<Place>(), Ok(place));
        for text in ["", "1.2", "1.2.3.4", "a.2.3", "99999999999999999999999999999999999.2.3"] {
            assert_eq!(text.parse::<Place>(), Err(()), "{text}");
        }
    }
}

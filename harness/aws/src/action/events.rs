//! Events: what happened to groups and their nodes.

use failover_lab::group::SourceType;
use jiff::{SignedDuration, Timestamp};

use super::page::Page;
use crate::{
    answer::{self, Listed},
    fault::Fault,
    plane::{ControlPlane, Event, KEPT_DAYS, Place, Wanted},
    request::Form,
};

/// API reference, DescribeEvents: without a time, those of the last hour.
const LAST_MINUTES: u32 = 60;
/// As above: no further back.
const MOST_MINUTES: u32 = KEPT_DAYS * 24 * 60;
/// The other source types of the service model. They have no events here.
const UNEVENTFUL: [&str; 7] = [
    "cache-parameter-group",
    "cache-security-group",
    "cache-subnet-group",
    "serverless-cache",
    "serverless-cache-snapshot",
    "user",
    "user-group",
];

pub(super) fn describe(plane: &ControlPlane, mut form: Form) -> Result<answer::Events, Fault> {
    let source = form.text("SourceIdentifier").map(|source| source.to_lowercase());
    let kind = form.text("SourceType");
    let window = Window::take(&mut form, Timestamp::now())?;
    let page = Page::take(&mut form)?;
    form.end()?;
    if source.is_some() && kind.is_none() {
        let text = "SourceIdentifier needs a SourceType".to_owned();
        return Err(Fault::InvalidParameterCombination(text));
    }
    if kind.as_deref().is_some_and(|kind| UNEVENTFUL.contains(&kind)) {
        return Ok(answer::Events { marker: None, events: Listed(Vec::new()) });
    }
    let kind = kind.map(|kind| source_type(&kind)).transpose()?;
    let (from, before) = match &page.marker {
        Some(marker) => read(marker).map(|(from, last)| (from, Some(last)))?,
        None => (window.from, None),
    };
    let found = plane.events(&Wanted { source, kind, from, until: window.until, before });
    let (found, marker) = page.first_of(found, |last| format!("{}/{}", from.as_nanosecond(), last.place));
    Ok(answer::Events { marker, events: Listed(found.into_iter().map(described).collect()) })
}

/// The time that events are wanted of.
#[derive(Debug, PartialEq, Eq)]
struct Window {
    from: Timestamp,
    until: Timestamp,
}

impl Window {
    fn take(form: &mut Form, now: Timestamp) -> Result<Self, Fault> {
        let minutes: Option<u32> = form.value("Duration")?;
        if minutes.is_some_and(|minutes| minutes > MOST_MINUTES) {
            let text = format!("Duration is at most {MOST_MINUTES} minutes: {KEPT_DAYS} days");
            return Err(Fault::InvalidParameterValue(text));
        }
        let length = SignedDuration::from_mins(i64::from(minutes.unwrap_or(LAST_MINUTES)));
        let (start, end): (Option<Timestamp>, Option<Timestamp>) =
            (form.value("StartTime")?, form.value("EndTime")?);
        let far = |_| Fault::InvalidParameterValue("There are no such times.".to_owned());
        match (start, end) {
            (Some(_), Some(_)) if minutes.is_some() => {
                let text = "Of StartTime, EndTime and Duration two say it all.".to_owned();
                Err(Fault::InvalidParameterCombination(text))
            }
            (Some(from), Some(until)) => Ok(Self { from, until }),
            (Some(from), None) if minutes.is_some() => {
                Ok(Self { from, until: from.checked_add(length).map_err(far)? })
            }
            (Some(from), None) => Ok(Self { from, until: now }),
            (None, end) => {
                let until = end.unwrap_or(now);
                Ok(Self { from: until.checked_sub(length).map_err(far)?, until })
            }
        }
    }
}

/// What a marker says: from when on events are wanted, as the first page had it, and the last one of the page before.
fn read(marker: &str) -> Result<(Timestamp, Place), Fault> {
    let read = marker.split_once('/').and_then(|(from, last)| {
        Some((Timestamp::from_nanosecond(from.parse().ok()?).ok()?, last.parse().ok()?))
    });
    read.ok_or_else(|| Fault::InvalidParameterValue(format!("`{marker}` is no marker")))
}

fn source_type(text: &str) -> Result<SourceType, Fault> {
    [SourceType::ReplicationGroup, SourceType::CacheCluster]
        .into_iter()
        .find(|kind| kind.to_string() == text)
        .ok_or_else(|| Fault::InvalidParameterValue(format!("`{text}` is no type of a source")))
}

fn described(event: Event) -> answer::Event {
    answer::Event {
        source_identifier: event.source,
        source_type: event.kind,
        message: event.message,
        date: event.place.date,
    }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;
    use rstest::rstest;

    use super::*;
    use crate::request::tests::form;

    /// 1970-01-02.
    fn now() -> Timestamp {
        Timestamp::UNIX_EPOCH + 24.hours()
    }

    fn window(fields: &str) -> Result<Window, Fault> {
        Window::take(&mut form(&format!("Action=DescribeEvents{fields}")), now())
    }

    #[rstest]
    #[case::the_last_hour("", "1970-01-01T23:00:00Z", "1970-01-02T00:00:00Z")]
    #[case::the_last_day("&Duration=1440", "1970-01-01T00:00:00Z", "1970-01-02T00:00:00Z")]
    #[case::since("&StartTime=1970-01-01T12:00:00Z", "1970-01-01T12:00:00Z", "1970-01-02T00:00:00Z")]
    #[case::until("&EndTime=1970-01-01T12:00:00Z", "1970-01-01T11:00:00Z", "1970-01-01T12:00:00Z")]
    #[case::from_then_on(
        "&StartTime=1970-01-01T12:00:00Z&Duration=5",
        "1970-01-01T12:00:00Z",
        "1970-01-01T12:05:00Z"
    )]
    #[case::between(
        "&StartTime=1970-01-01T12:00:00Z&EndTime=1970-01-01T13:00:00Z",
        "1970-01-01T12:00:00Z",
        "1970-01-01T13:00:00Z"
    )]
    fn a_window_is_what_two_of_three_say(
        #[case] fields: &str,
        #[case] from: Timestamp,
        #[case] until: Timestamp,
    ) {
        assert_eq!(window(fields), Ok(Window { from, until }));
    }

    #[rstest]
    #[case::too_long("&Duration=20161", "InvalidParameterValue")]
    #[case::endless("&Duration=9223372036854775807", "InvalidParameterValue")]
    #[case::backwards("&Duration=-5", "InvalidParameterValue")]
    #[case::before_all_time("&EndTime=-009999-01-02T02:00:00Z&Duration=20160", "InvalidParameterValue")]
    #[case::no_time("&StartTime=yesterday", "InvalidParameterValue")]
    #[case::all_three(
        "&StartTime=1970-01-01T12:00:00Z&EndTime=1970-01-01T13:00:00Z&Duration=5",
        "InvalidParameterCombination"
    )]
    fn what_is_no_window_is_refused(#[case] fields: &str, #[case] code: &str) {
        assert_eq!(window(fields).unwrap_err().code().0, code);
    }

    #[test]
    fn a_marker_says_where_the_next_page_begins() {
        let last = Place { date: now(), group: 2, number: 3 };
        let marker = format!("{}/{last}", Timestamp::UNIX_EPOCH.as_nanosecond());
        assert_eq!(read(&marker), Ok((Timestamp::UNIX_EPOCH, last)));
        assert!(read("20").is_err() && read("0/20").is_err());
    }
}

//! The quota of TestFailover: node groups of an account in a rolling day.

use jiff::{SignedDuration, Timestamp};

use crate::fault::Fault;

/// API reference, TestFailover: "up to 15 node groups in any rolling 24-hour period".
const LIMIT: usize = 15;
const HOURS: i64 = 24;

/// The calls that count.
#[derive(Debug, Default)]
pub(super) struct Failovers(Vec<Timestamp>);

impl Failovers {
    /// Counts a call, or refuses it.
    pub(super) fn count(&mut self, now: Timestamp) -> Result<(), Fault> {
        let day = SignedDuration::from_hours(HOURS);
        self.0.retain(|call| now.duration_since(*call) < day);
        match self.0.first() {
            Some(oldest) if self.0.len() >= LIMIT => {
                let left = day - now.duration_since(*oldest);
                // Up: after that many minutes it is certainly allowed.
                let minutes = left.as_mins() + 1;
                Err(Fault::ApiCallRateExceeded { limit: LIMIT, hours: HOURS, minutes })
            }
            _ => {
                self.0.push(now);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sixteenth_waits_for_the_first_to_be_a_day_old() {
        let (mut failovers, start) = (Failovers::default(), Timestamp::UNIX_EPOCH);
        let at = |minutes| start + SignedDuration::from_mins(minutes);
        (0..15).for_each(|minute| failovers.count(at(minute)).unwrap());
        let refused = failovers.count(at(20)).unwrap_err();
        assert_eq!(refused, Fault::ApiCallRateExceeded { limit: 15, hours: 24, minutes: 24 * 60 - 20 + 1 });
        assert_eq!(failovers.count(at(24 * 60)), Ok(()));
        assert!(failovers.count(at(24 * 60)).is_err());
    }
}

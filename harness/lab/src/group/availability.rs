//! Who replaces a lost primary, and how that is changed.

use std::collections::BTreeSet;

use super::{Condition, GroupError, ReplicationGroup};

/// Who replaces a primary that is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Failover {
    /// Whoever names a successor.
    #[default]
    ByHand,
    /// The manager.
    Automatic,
    /// The manager, and the nodes are in several zones: Multi-AZ.
    AcrossZones,
}

impl Failover {
    /// By ElastiCache's two switches.
    ///
    /// # Errors
    /// They contradict each other: Multi-AZ needs automatic failover.
    pub fn of(automatic: bool, multi_az: bool) -> Result<Self, GroupError> {
        match (automatic, multi_az) {
            (false, false) => Ok(Self::ByHand),
            (true, false) => Ok(Self::Automatic),
            (true, true) => Ok(Self::AcrossZones),
            (false, true) => {
                let text = "Multi-AZ needs automatic failover to be enabled".to_owned();
                Err(GroupError::InvalidParameterCombination(text))
            }
        }
    }

    /// Whether nodes in these zones, one in each, are enough for it.
    ///
    /// # Errors
    /// There is no replica to promote, or none in another zone.
    pub fn check<'a>(self, zones: impl IntoIterator<Item = &'a str>) -> Result<(), GroupError> {
        let refuse = |text: &str| Err(GroupError::InvalidParameterCombination(text.to_owned()));
        let zones: Vec<&str> = zones.into_iter().collect();
        if self.is_automatic() && zones.len() < 2 {
            return refuse("automatic failover needs a primary and at least one replica");
        }
        let different: BTreeSet<&str> = zones.into_iter().collect();
        if self.is_across_zones() && different.len() < 2 {
            return refuse("Multi-AZ needs nodes in two zones");
        }
        Ok(())
    }

    /// The manager promotes a replica.
    pub fn is_automatic(self) -> bool {
        self != Self::ByHand
    }

    /// The nodes are in several zones.
    pub fn is_across_zones(self) -> bool {
        self == Self::AcrossZones
    }
}

impl ReplicationGroup {
    /// Who replaces a lost primary.
    pub fn failover(&self) -> Failover {
        self.0.state().failover
    }

    /// Changes that, as ModifyReplicationGroup with `AutomaticFailoverEnabled` and `MultiAZEnabled` does.
    ///
    /// # Errors
    /// There is no replica to promote, or no node in another zone, or the group is busy.
    pub async fn set_failover(&self, wanted: Failover) -> Result<(), GroupError> {
        let _change = self.0.change.lock().await;
        self.0.require_available()?;
        self.check_failover(wanted)?;
        self.0.state().failover = wanted;
        Ok(())
    }

    /// What [`Self::set_failover`] refuses of a group that is not busy.
    ///
    /// # Errors
    /// As there.
    pub fn check_failover(&self, wanted: Failover) -> Result<(), GroupError> {
        let staying = self.0.state().nodes(|seat| seat.condition != Condition::Leaving);
        wanted.check(staying.iter().map(|node| node.zone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_switches_say_who_replaces_a_primary() {
        for automatic in [false, true] {
            for multi_az in [false, true] {
                let shown = Failover::of(automatic, multi_az).ok();
                let shown = shown.map(|failover| (failover.is_automatic(), failover.is_across_zones()));
                assert_eq!(shown, (automatic || !multi_az).then_some((automatic, multi_az)));
            }
        }
    }

    #[test]
    fn a_failover_needs_somebody_to_promote_and_multi_az_somebody_elsewhere() {
        let enough = |failover: Failover, zones: &[&str]| failover.check(zones.iter().copied()).is_ok();
        assert!(enough(Failover::ByHand, &["a"]));
        assert!(!enough(Failover::Automatic, &["a"]) && enough(Failover::Automatic, &["a", "a"]));
        assert!(
            !enough(Failover::AcrossZones, &["a", "a"]) && enough(Failover::AcrossZones, &["a", "b", "a"])
        );
    }
}

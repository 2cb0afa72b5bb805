//! Tags, and what bears them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{ControlPlane, Group, SubnetGroup};
use crate::fault::Fault;

/// User guide, tagging resources, tag restrictions: so many on a resource, of so many characters each.
const MOST: usize = 50;
const LONGEST_KEY: usize = 128;
const LONGEST_VALUE: usize = 256;
/// As above: keys that begin so are AWS' own.
const RESERVED: &str = "aws:";

/// The tags of a resource, by their keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tags(BTreeMap<String, String>);

impl Tags {
    /// Those of a new resource.
    pub(crate) fn of(pairs: Vec<(String, String)>) -> Result<Self, Fault> {
        let mut tags = Self::default();
        tags.put(pairs)?;
        Ok(tags)
    }

    /// In the order of their keys.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// All of `pairs`, over what there is, or none of them.
    pub(crate) fn put(&mut self, pairs: Vec<(String, String)>) -> Result<(), Fault> {
        let invalid = |text: String| Err(Fault::InvalidParameterValue(text));
        let mut keys = BTreeSet::new();
        for (key, value) in &pairs {
            if !(1..=LONGEST_KEY).contains(&key.chars().count()) || key.starts_with(RESERVED) {
                return invalid(format!("`{key}` is no key of a tag"));
            }
            if value.chars().count() > LONGEST_VALUE {
                return invalid(format!("the value of the tag `{key}` is longer than {LONGEST_VALUE}"));
            }
            if !keys.insert(key) {
                return invalid(format!("the tag `{key}` is there twice"));
            }
        }
        if keys.iter().filter(|key| !self.0.contains_key(**key)).count() + self.0.len() > MOST {
            return Err(Fault::TagQuotaExceeded { most: MOST });
        }
        self.0.extend(pairs);
        Ok(())
    }

    /// All of `keys`, or none of them.
    pub(crate) fn remove(&mut self, keys: &[String]) -> Result<(), Fault> {
        if let Some(missing) = keys.iter().find(|key| !self.0.contains_key(*key)) {
            return Err(Fault::TagNotFound(missing.clone()));
        }
        self.0.retain(|key, _| !keys.contains(key));
        Ok(())
    }
}

/// What can bear tags.
pub(crate) enum Tagged {
    /// A group, or a cache cluster that was left of one.
    Group(Arc<Group>),
    /// A member of a group. "When you add or remove tags on replication groups, those actions will be replicated to all
    /// nodes" (API reference, AddTagsToResource): it has its group's, and here no others.
    Member(Arc<Group>),
    SubnetGroup(Arc<SubnetGroup>),
}

impl Tagged {
    /// Its tags.
    pub(crate) fn tags(&self) -> Tags {
        match self {
            Self::Group(group) | Self::Member(group) => group.notes().tags.clone(),
            Self::SubnetGroup(group) => group.tags.lock().expect("no panic while held").clone(),
        }
    }

    /// Does something to its tags, and returns what they are then.
    pub(crate) fn change(&self, act: impl FnOnce(&mut Tags) -> Result<(), Fault>) -> Result<Tags, Fault> {
        let acted = |tags: &mut Tags| act(tags).map(|()| tags.clone());
        match self {
            Self::Group(group) => acted(&mut group.notes().tags),
            Self::Member(group) => {
                let text = format!("A member of {} has its tags: change those.", group.wish.id);
                Err(Fault::InvalidParameterValue(text))
            }
            Self::SubnetGroup(group) => acted(&mut group.tags.lock().expect("no panic while held")),
        }
    }
}

impl ControlPlane {
    /// What has this name.
    pub(crate) fn tagged(&self, arn: &str) -> Result<Tagged, Fault> {
        let invalid = || Fault::InvalidArn(arn.to_owned());
        let (kind, name) = self.kind_and_name(arn).ok_or_else(invalid)?;
        match kind {
            "replicationgroup" => Ok(Tagged::Group(self.group(&name)?)),
            "subnetgroup" => Ok(Tagged::SubnetGroup(self.subnet_group(&name)?)),
            "cluster" => match self.owner(&name)? {
                (group, true) => Ok(Tagged::Group(group)),
                (group, false) => Ok(Tagged::Member(group)),
            },
            _ => Err(invalid()),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn pairs(count: usize) -> Vec<(String, String)> {
        (0..count).map(|number| (format!("key-{number:02}"), "value".to_owned())).collect()
    }

    #[test]
    fn a_tag_that_is_there_gets_another_value_and_takes_no_room() {
        let mut tags = Tags::of(pairs(MOST)).unwrap();
        tags.put(vec![("key-00".to_owned(), "other".to_owned())]).unwrap();
        assert_eq!(tags.pairs().next(), Some(("key-00", "other")));
        let refused = tags.put(vec![("one-more".to_owned(), String::new())]);
        assert_eq!(refused, Err(Fault::TagQuotaExceeded { most: MOST }));
    }

    #[test]
    fn of_several_that_go_none_goes_if_one_is_missing() {
        let mut tags = Tags::of(pairs(2)).unwrap();
        let refused = tags.remove(&["key-00".to_owned(), "nothing".to_owned()]);
        assert_eq!(refused, Err(Fault::TagNotFound("nothing".to_owned())));
        assert_eq!(tags.pairs().count(), 2);
        tags.remove(&["key-00".to_owned()]).unwrap();
        assert_eq!(tags.pairs().collect::<Vec<_>>(), [("key-01", "value")]);
    }

    #[rstest]
    #[case::no_key("", "value")]
    #[case::of_aws("aws:cloudformation", "value")]
    #[case::long_key(&"k".repeat(LONGEST_KEY + 1), "value")]
    #[case::long_value("key", &"v".repeat(LONGEST_VALUE + 1))]
    fn what_is_no_tag_is_refused_and_takes_the_others_with_it(#[case] key: &str, #[case] value: &str) {
        let mut tags = Tags::default();
        let mut wanted = pairs(1);
        wanted.push((key.to_owned(), value.to_owned()));
        assert!(matches!(tags.put(wanted), Err(Fault::InvalidParameterValue(_))));
        assert_eq!(tags, Tags::default());
    }

    #[test]
    fn a_key_is_sent_once() {
        assert!(Tags::of([pairs(1), pairs(1)].concat()).is_err());
    }
}

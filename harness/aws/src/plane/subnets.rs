//! Subnet groups. The subnets themselves are EC2's, which is not served here: whatever is named exists, and its zone
//! is the next one in turn.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use super::{Book, ControlPlane, Group, Life, Tags};
use crate::fault::Fault;

/// The subnet group of those who name none: one subnet in each zone.
const DEFAULT: &str = "default";
/// The zones of the region, by the letters that AWS gives them.
const ZONES: [char; 3] = ['a', 'b', 'c'];
/// API reference, CreateCacheSubnetGroup, CacheSubnetGroupName: so many characters at most.
const LONGEST_NAME: usize = 255;

/// Subnets that nodes can be placed in.
#[derive(Debug)]
pub(crate) struct SubnetGroup {
    pub(crate) name: String,
    pub(crate) description: String,
    /// Each with its zone.
    pub(crate) subnets: Vec<(String, String)>,
    pub(crate) tags: Mutex<Tags>,
}

impl SubnetGroup {
    /// What every region has.
    pub(super) fn default_of(region: &str) -> Self {
        let subnet = |place: usize| (format!("subnet-default{place}"), zone(region, place));
        Self {
            name: DEFAULT.to_owned(),
            description: "a subnet in each zone".to_owned(),
            subnets: (0..ZONES.len()).map(subnet).collect(),
            tags: Mutex::default(),
        }
    }

    /// The zones of its subnets, each once, in order.
    pub(crate) fn zones(&self) -> Vec<String> {
        let mut zones: Vec<String> = self.subnets.iter().map(|(_, zone)| zone.clone()).collect();
        zones.sort();
        zones.dedup();
        zones
    }
}

impl ControlPlane {
    pub(crate) fn create_subnet_group(
        &self,
        name: &str,
        description: String,
        subnets: Vec<String>,
        tags: Tags,
    ) -> Result<Arc<SubnetGroup>, Fault> {
        let name = subnet_group_name(name)?;
        if subnets.is_empty() {
            return Err(Fault::MissingParameter("SubnetIds"));
        }
        let mut book = self.book();
        if book.subnet_groups.contains_key(&name) {
            return Err(Fault::SubnetGroupAlreadyExists(name));
        }
        let subnets = book.placed(subnets, self.region());
        let group =
            Arc::new(SubnetGroup { name: name.clone(), description, subnets, tags: Mutex::new(tags) });
        book.subnet_groups.insert(name, Arc::clone(&group));
        Ok(group)
    }

    pub(crate) fn subnet_group(&self, name: &str) -> Result<Arc<SubnetGroup>, Fault> {
        self.book().subnet_group(Some(name))
    }

    /// All of them, in the order of their names.
    pub(crate) fn subnet_groups(&self) -> Vec<Arc<SubnetGroup>> {
        self.book().subnet_groups.values().cloned().collect()
    }

    pub(crate) fn delete_subnet_group(&self, name: &str) -> Result<(), Fault> {
        let mut book = self.book();
        let name = book.subnet_group(Some(name))?.name.clone();
        if name == DEFAULT {
            let text = "The default cache subnet group cannot be deleted.".to_owned();
            return Err(Fault::InvalidParameterValue(text));
        }
        let uses = |group: &Arc<Group>| group.subnet_group.name == name && group.life() != Life::Failed;
        let user = book.with_nodes().find(|group| uses(group)).map(|group| group.wish.id.clone());
        if let Some(user) = user {
            return Err(Fault::SubnetGroupInUse { group: name, user });
        }
        book.subnet_groups.remove(&name);
        Ok(())
    }
}

impl Book {
    /// The subnet group of this name; the default one where it is none.
    pub(super) fn subnet_group(&self, name: Option<&str>) -> Result<Arc<SubnetGroup>, Fault> {
        let name = name.unwrap_or(DEFAULT).to_lowercase();
        self.subnet_groups.get(&name).cloned().ok_or(Fault::SubnetGroupNotFound(name))
    }

    /// Each subnet once, with its zone: that of the last time, or the next one in turn.
    fn placed(&mut self, subnets: Vec<String>, region: &str) -> Vec<(String, String)> {
        let mut seen = BTreeSet::new();
        let each = subnets.into_iter().filter(|subnet| seen.insert(subnet.clone()));
        each.map(|subnet| {
            let known = self.subnets.iter().position(|other| *other == subnet);
            let place = known.unwrap_or_else(|| {
                self.subnets.push(subnet.clone());
                self.subnets.len() - 1
            });
            (subnet, zone(region, place))
        })
        .collect()
    }
}

/// Letters, digits and hyphens, kept in lower case.
fn subnet_group_name(name: &str) -> Result<String, Fault> {
    let sound = (1..=LONGEST_NAME).contains(&name.len())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-');
    match sound {
        true => Ok(name.to_lowercase()),
        false => Err(Fault::InvalidParameterValue(format!("`{name}` is no name of a cache subnet group"))),
    }
}

fn zone(region: &str, place: usize) -> String {
    format!("{region}{}", ZONES[place % ZONES.len()])
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::lower("practice-1", Some("practice-1"))]
    #[case::upper("Practice", Some("practice"))]
    #[case::nothing("", None)]
    #[case::blank("a b", None)]
    #[case::other_letters("übung", None)]
    #[case::too_long(&"a".repeat(LONGEST_NAME + 1), None)]
    fn names_are_as_the_api_wants_them(#[case] name: &str, #[case] kept: Option<&str>) {
        assert_eq!(subnet_group_name(name).ok().as_deref(), kept);
    }

    #[test]
    fn a_subnet_is_in_one_zone_however_often_it_is_named() {
        let mut book = Book::new("us-east-1");
        let placed = |book: &mut Book, subnets: &[&str]| {
            let subnets = subnets.iter().map(|subnet| (*subnet).to_owned()).collect();
            book.placed(subnets, "us-east-1").into_iter().map(|(_, zone)| zone).collect::<Vec<_>>()
        };
        assert_eq!(placed(&mut book, &["subnet-1", "subnet-2", "subnet-1"]), ["us-east-1a", "us-east-1b"]);
        assert_eq!(placed(&mut book, &["subnet-3", "subnet-1"]), ["us-east-1c", "us-east-1a"]);
    }
}

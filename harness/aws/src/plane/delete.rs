//! How a group goes: all of it, or all but its primary, which goes on as a cache cluster of its own.

use std::{error::Error, sync::Arc, time::Duration};

use failover_lab::{
    explain::chain,
    group::Retain,
    wait::{Seen, until},
};

use super::{Book, Cluster, ControlPlane, Group, Life, Taken, life::Claim};
use crate::fault::Fault;

/// A manager that is busy with a loss sees it through first, which takes up to 30 s; six nodes go one after the other, on
/// a busy machine in as long.
const GONE: Duration = Duration::from_secs(90);
const AGAIN: Duration = Duration::from_secs(1);

impl ControlPlane {
    /// Takes a deletion on; it happens meanwhile.
    pub(crate) fn delete(&self, id: &str, retain: Retain) -> Result<Taken, Fault> {
        let group = self.group(id)?;
        let life = Life::Deleting(retain);
        // There is nothing of it.
        if group.go_on(&Life::Failed, Life::Gone) {
            self.book().forget(&group);
            return Ok(Taken { group, life });
        }
        let claim = group.claim_to_delete(retain)?;
        let plane = self.clone();
        self.meanwhile(async move { plane.see_off(claim, retain).await })?;
        Ok(Taken { group, life })
    }

    /// Takes the deletion of a retained primary on, and says how it is meanwhile.
    pub(crate) fn delete_cluster(&self, id: &str) -> Result<(Arc<Group>, Cluster), Fault> {
        let (group, alone) = self.owner(id)?;
        let claim = group.claim_to_leave().filter(|_| alone).ok_or_else(|| {
            let text = format!("Cache cluster {id} is being deleted, or a member of {}.", group.wish.id);
            Fault::InvalidCacheClusterState(text)
        })?;
        let going = group.clusters().into_iter().find(|cluster| cluster.id == id.to_lowercase());
        let going = going.ok_or_else(|| Fault::CacheClusterNotFound(id.to_owned()))?;
        let plane = self.clone();
        self.meanwhile(async move { plane.see_off(claim, Retain::Nothing).await })?;
        Ok((group, going))
    }

    /// Deletes a group, or what was left of one. What fails is tried again; in the end its events tell of it, and the
    /// deletion may be asked for again.
    async fn see_off(&self, claim: Claim, retain: Retain) {
        if let Err(error) = self.remove(&claim, retain).await {
            let text = format!("{} was not deleted: {}", claim.group().wish.id, chain(error.as_ref()));
            claim.manager().announce(text);
            return;
        }
        let group = Arc::clone(claim.group());
        // Nobody sees one without the other.
        let mut book = self.book();
        match retain {
            Retain::Primary => claim.end(book.leave(&group)),
            Retain::Nothing => {
                book.forget(&group);
                claim.end(Life::Gone);
            }
        }
    }

    async fn remove(&self, claim: &Claim, retain: Retain) -> Result<(), Box<dyn Error + Send + Sync>> {
        let manager = claim.manager();
        until("its nodes to be gone", GONE, AGAIN, async || match manager.delete(retain).await {
            Ok(()) => Seen::Ready(()),
            Err(error) => Seen::NotYet(chain(&error)),
        })
        .await?;
        if let (Retain::Nothing, Some(standing)) = (retain, claim.group().standing()) {
            standing.network.clear(self.docker()).await?;
        }
        Ok(())
    }
}

impl Book {
    /// A group is one that there was.
    fn forget(&mut self, group: &Arc<Group>) {
        self.groups.retain(|_, other| !Arc::ptr_eq(other, group));
        self.alone.retain(|_, other| !Arc::ptr_eq(other, group));
        self.remember(group.events());
    }

    /// Of a group its primary is left. Says what its life is by that: one whose deletion was asked for twice, first with
    /// the primary, may have none.
    fn leave(&mut self, group: &Arc<Group>) -> Life {
        let Some(primary) = group.clusters().into_iter().next() else {
            self.forget(group);
            return Life::Gone;
        };
        self.groups.retain(|_, other| !Arc::ptr_eq(other, group));
        self.alone.insert(primary.id, Arc::clone(group));
        Life::Alone
    }
}

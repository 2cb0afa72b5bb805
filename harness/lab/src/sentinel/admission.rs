//! Who is let in at a Sentinel deployment, and with what. The sentinels have no users, but a password of their own.

use rcgen::Error;

use crate::{
    docker::Access,
    secret::{DEFAULT, Secret, Secrets},
    topology::sentinels::Sentinels,
};

/// What opens the servers of one deployment.
pub(super) struct Admission {
    /// At the data nodes.
    pub(super) data: Secrets,
    /// At the sentinels.
    pub(super) sentinels: Secret,
}

impl Admission {
    pub(super) fn new(topology: &Sentinels) -> Result<Self, Error> {
        Ok(Self { data: Secrets::new(&topology.users, &topology.tls)?, sentinels: Secret::random() })
    }

    /// How a client gets in at the sentinels.
    pub(super) fn to_sentinels(&self) -> Access {
        self.data.client(DEFAULT, &self.sentinels)
    }

    /// Each password, with whose it is.
    pub(super) fn passwords(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.data.passwords().chain([("the sentinels", &self.sentinels)])
    }
}

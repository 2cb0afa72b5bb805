//! A client that splits its commands: writes go to the primary, reads to the nearest node.

use std::time::Duration;

use redis::FromRedisValue;

use crate::{
    client::{CallError, Client},
    sentinel::{Discovery, Nearest},
    topology::sentinels::Application,
};

/// Two clients that look like one. Neither is ever told of a failover: both find out.
pub struct Splitter {
    writes: Client,
    reads: Client,
}

impl Splitter {
    /// Set up as the application is.
    pub fn new(discovery: Discovery, application: &Application) -> Self {
        let nearest = Nearest::new(discovery.clone(), application);
        Self {
            writes: Client::of_sentinels(discovery).renewing(application.believes),
            reads: Client::of_nearest(nearest).renewing(application.believes),
        }
    }

    /// The same with more time for an operation.
    pub fn patient(self, patience: Duration) -> Self {
        Self { writes: self.writes.patient(patience), reads: self.reads.patient(patience) }
    }

    /// Sends a write to the primary, once: what was not answered may have been applied.
    ///
    /// # Errors
    /// As for [`Client::ask`].
    pub async fn write<T: FromRedisValue>(&self, command: &[&str]) -> Result<T, CallError> {
        self.writes.ask(command).await
    }

    /// Sends a read to the nearest node, and to the next one if that broke off: a read does no harm twice.
    ///
    /// # Errors
    /// As for [`Client::ask`].
    pub async fn read<T: FromRedisValue>(&self, command: &[&str]) -> Result<T, CallError> {
        match self.reads.ask(command).await {
            Err(error) if error.ends_the_connection() => self.reads.ask(command).await,
            answer => answer,
        }
    }
}

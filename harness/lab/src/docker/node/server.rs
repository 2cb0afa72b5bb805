//! What runs on a node: a server, what it is told, and what it wants to see of a client.

use std::{collections::BTreeMap, net::SocketAddr};

use redis::{ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo, RedisError};

use crate::{docker::PORT, secret::Secret};

/// Where a node keeps its files. Unlike `/data` it outlives a stop: it is the container's own.
pub const FOLDER: &str = "/node";

/// A server program and what it is told. The program is the engine's, also for a sentinel.
#[derive(Debug, Clone)]
pub struct Server {
    /// What it listens on.
    pub port: u16,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// More arguments, in one line, for when it is started again.
    pub when_returned: String,
    /// What it finds on its node when it first starts.
    pub files: Vec<File>,
    /// What it wants to see of a client.
    pub access: Access,
}

/// A file below [`FOLDER`].
#[derive(Clone)]
pub struct File {
    /// Its name in the folder.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// Configuration files hold passwords.
impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} bytes)", self.name, self.text.len())
    }
}

/// What a server wants to see of a client.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// The user, where it is not the default one.
    pub user: Option<String>,
    /// The password, where there is one.
    pub password: Option<Secret>,
}

impl Server {
    /// A server of a replication group: its settings are its arguments, and it keeps nothing.
    pub fn of_settings(settings: &BTreeMap<String, String>) -> Self {
        // `replicaof` is not allowed in cluster mode: there a node knows its role from `nodes.conf`.
        let clustered = settings.get("cluster-enabled").is_some_and(|value| value == "yes");
        let mut arguments = Vec::new();
        for (setting, value) in settings {
            arguments.push(format!("--{setting}"));
            // A list of several words, as in `client-output-buffer-limit replica 1mb 1mb 0`.
            match value.is_empty() {
                true => arguments.push(String::new()),
                false => arguments.extend(value.split(' ').map(str::to_owned)),
            }
        }
        Self {
            port: PORT,
            arguments,
            when_returned: if clustered { "" } else { "--replicaof 127.0.0.1 1" }.to_owned(),
            files: Vec::new(),
            access: Access::default(),
        }
    }
}

impl Access {
    /// How to connect to a server at `address`.
    ///
    /// # Errors
    /// The address makes no sense to the client.
    pub fn to(&self, address: SocketAddr) -> Result<ConnectionInfo, RedisError> {
        let mut settings = RedisConnectionInfo::default();
        if let Some(user) = &self.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = &self.password {
            settings = settings.set_password(password.reveal());
        }
        let info = (address.ip().to_string(), address.port()).into_connection_info()?;
        Ok(info.set_redis_settings(settings))
    }
}

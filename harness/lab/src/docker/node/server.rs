//! What runs on a node: a server, what it is told, and what it wants to see of a client.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
};

use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo, RedisError};

use crate::{certificates::Tls, docker::PORT, secret::Secret};

/// Where a node keeps its files. Unlike `/data` it outlives a stop: it is the container's own.
pub const FOLDER: &str = "/node";
/// The certificates that a server trusts, in [`FOLDER`].
pub const TRUSTED: &str = "trusted.crt";
/// Its own certificate.
pub const CERTIFICATE: &str = "node.crt";
/// Its private key.
pub const KEY: &str = "node.key";

/// A server program and what it is told. The program is the engine's, also for a sentinel.
#[derive(Debug, Clone)]
pub struct Server {
    /// What it listens on.
    pub port: u16,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// More arguments, in one line, for when it is started again.
    pub when_returned: String,
    /// Its node is up without it, until [`Node::serve`](super::Node::serve).
    pub held: bool,
    /// What it finds on its node when it first starts.
    pub files: Vec<File>,
    /// Names that its node can resolve, and whose they are. A container engine's own resolver knows those of
    /// running containers only.
    pub hosts: Vec<(String, Ipv4Addr)>,
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

/// Configuration files hold passwords, and there are private keys.
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
    /// How to speak TLS, where the server does.
    pub tls: Option<Tls>,
}

/// What `redis-cli` has to be told on a node to get in.
pub(in crate::docker) struct Cli {
    pub(in crate::docker) arguments: Vec<String>,
    /// Not as arguments: those are for everybody to read.
    pub(in crate::docker) environment: Vec<String>,
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
            held: false,
            files: Vec::new(),
            hosts: Vec::new(),
            access: Access::default(),
        }
    }

    /// What a shell is told to run it with `program`; differently if it is told `again`.
    pub(super) fn script(&self, program: &str) -> String {
        let words = |words: &mut dyn Iterator<Item = &str>| {
            shlex::try_join(words).expect("no argument of a server has a NUL in it")
        };
        let again = words(&mut self.when_returned.split_whitespace());
        let first = words(&mut [program].into_iter().chain(self.arguments.iter().map(String::as_str)));
        format!("if [ \"$1\" = again ]; then set -- {again}; else set --; fi\nexec {first} \"$@\"\n")
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
        let (host, port) = (address.ip().to_string(), address.port());
        let info = (host.clone(), port).into_connection_info()?.set_redis_settings(settings);
        let Some(tls) = &self.tls else { return Ok(info) };
        let address = ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None };
        let client = Client::build_with_tls(info.set_addr(address), tls.into())?;
        Ok(client.get_connection_info().clone())
    }

    /// The same without TLS.
    pub fn in_plain(&self) -> Self {
        Self { tls: None, ..self.clone() }
    }

    /// How `redis-cli` gets in from a node, which shows its own certificate.
    pub(in crate::docker) fn cli(&self) -> Cli {
        let mut arguments = Vec::new();
        if self.tls.is_some() {
            arguments.push("--tls".to_owned());
            for (argument, file) in [("--cacert", TRUSTED), ("--cert", CERTIFICATE), ("--key", KEY)] {
                arguments.extend([argument.to_owned(), format!("{FOLDER}/{file}")]);
            }
        }
        if let Some(user) = &self.user {
            arguments.extend(["--user".to_owned(), user.clone()]);
        }
        let password = self.password.as_ref().map(|secret| format!("REDISCLI_AUTH={}", secret.reveal()));
        Cli { arguments, environment: password.into_iter().collect() }
    }
}

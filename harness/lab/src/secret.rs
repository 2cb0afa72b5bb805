//! Passwords: made anew for every lab, gone with it, and never shown by accident.

use std::{collections::BTreeMap, fmt, net::Ipv4Addr};

use lab_report::NodeId;
use rcgen::Error;

use crate::{
    StepError,
    certificates::Certificates,
    conf::Conf,
    docker::{Access, Network, Server},
    topology::{Encryption, Users},
};

/// The user that a client is who gives no name: here, whoever runs the deployment.
pub const DEFAULT: &str = "default";

/// A password. Its debug form says nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// Who is let in at the data nodes of one deployment, and with what: its users' passwords, and its certificates
/// where it speaks TLS.
pub struct Secrets {
    users: BTreeMap<String, Secret>,
    certificates: Option<Certificates>,
}

impl Secret {
    /// A new one: 32 letters and digits.
    pub fn random() -> Self {
        Self(std::iter::repeat_with(fastrand::alphanumeric).take(32).collect())
    }

    /// What it is, for whoever has to say it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl Secrets {
    /// New ones: a password for each of `users` and for the default one, and whatever the encryption takes.
    pub(crate) fn new(users: &Users, tls: &Encryption) -> Result<Self, Error> {
        let users = users.keys().map(String::as_str).chain([DEFAULT]);
        Ok(Self {
            users: users.map(|user| (user.to_owned(), Secret::random())).collect(),
            certificates: tls.on.then(|| Certificates::new(tls)).transpose()?,
        })
    }

    /// A user's password.
    ///
    /// # Errors
    /// There is no such user.
    pub(crate) fn of(&self, user: &str) -> Result<&Secret, StepError> {
        self.users.get(user).ok_or_else(|| format!("the topology has no user `{user}`").into())
    }

    /// How a client gets in as one of the users.
    ///
    /// # Errors
    /// There is no such user.
    pub(crate) fn access(&self, user: &str) -> Result<Access, StepError> {
        Ok(self.client(user, self.of(user)?))
    }

    /// How a client gets in with a password. By name: a password alone is refused by a server that wants none, and
    /// to find that server is for a check.
    pub(crate) fn client(&self, user: &str, password: &Secret) -> Access {
        let tls = self.certificates().map(Certificates::client);
        Access { user: Some(user.to_owned()), password: Some(password.clone()), tls }
    }

    /// Whom its servers and clients trust, where they speak TLS.
    pub fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_ref()
    }

    /// `text` with passwords in the place of `{password-of-app}`.
    pub(crate) fn fill(&self, text: &str) -> String {
        self.users.iter().fold(text.to_owned(), |text, (user, secret)| {
            text.replace(&format!("{{password-of-{user}}}"), secret.reveal())
        })
    }

    /// `conf` with the users that a server lets in, and the one that it is when it follows another: the default one
    /// where `follows_as` is empty.
    ///
    /// # Errors
    /// There is no such user.
    pub(crate) fn let_in(&self, conf: Conf, users: &Users, follows_as: &str) -> Result<Conf, StepError> {
        let mut conf = conf.set("requirepass", self.of(DEFAULT)?.reveal());
        for (user, rules) in users {
            conf = conf.and("user", &format!("{user} on >{} {rules}", self.of(user)?.reveal()));
        }
        Ok(match follows_as {
            "" => conf.set("masterauth", self.of(DEFAULT)?.reveal()),
            user => conf.set("masteruser", user).set("masterauth", self.of(user)?.reveal()),
        })
    }

    /// Gives the server of the node with this index, one of so many, the certificates that it needs, if any, and
    /// the lab's own connections those that they need.
    pub(crate) fn equip(
        &self,
        server: &mut Server,
        node: &NodeId,
        network: &Network,
        (index, nodes): (usize, usize),
    ) -> Result<(), Error> {
        let Some(certificates) = &self.certificates else { return Ok(()) };
        // Its own address, that of a relay to it, and where its published port is.
        let reached_at = [network.address(index), network.address(nodes), Ipv4Addr::LOCALHOST];
        server.files.extend(certificates.files(node, &reached_at)?);
        server.access.tls = Some(certificates.to_node(node));
        Ok(())
    }

    /// Each password, with whose it is.
    pub fn passwords(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.users.iter().map(|(user, secret)| (user.as_str(), secret))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(tls: bool) -> (Users, Secrets) {
        let users = Users::from([("app".to_owned(), "~*".to_owned())]);
        let secrets = Secrets::new(&users, &Encryption { on: tls, ..Encryption::default() }).unwrap();
        (users, secrets)
    }

    #[test]
    fn a_placeholder_stands_for_the_password_of_its_user() {
        let (_, secrets) = secrets(false);
        let (app, default) = (secrets.of("app").unwrap(), secrets.of(DEFAULT).unwrap());
        assert_ne!(app, default);
        let filled = secrets.fill("{password-of-app} {password-of-default} {password-of-nobody}");
        assert_eq!(filled, format!("{} {} {{password-of-nobody}}", app.reveal(), default.reveal()));
        assert!(secrets.of("nobody").is_err());
    }

    #[test]
    fn a_user_speaks_tls_where_the_servers_do() {
        let access = |tls| secrets(tls).1.access("app").unwrap();
        assert!(access(false).tls.is_none());
        assert!(access(true).tls.is_some());
    }

    #[test]
    fn a_server_follows_as_whom_it_is_told_to() {
        let (users, secrets) = secrets(false);
        let follows = |user| secrets.let_in(Conf::default(), &users, user).unwrap();
        assert_eq!(follows("").get("masteruser"), None);
        assert_eq!(follows("").get("masterauth"), follows("").get("requirepass"));
        assert_eq!(follows("app").get("masteruser"), Some("app"));
        assert_eq!(follows("app").get("masterauth"), Some(secrets.of("app").unwrap().reveal()));
        assert!(secrets.let_in(Conf::default(), &users, "nobody").is_err());
    }
}

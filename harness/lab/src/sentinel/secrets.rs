//! Who is let in at the nodes of one deployment: passwords and certificates, made when it boots, and gone
//! with it.

use std::collections::BTreeMap;

use rcgen::Error;

use super::Certificates;
use crate::{StepError, docker::Access, secret::Secret, topology::sentinels::Sentinels};

/// The user that a client is who gives no name: here, whoever runs the deployment.
pub const DEFAULT: &str = "default";

/// The passwords of one deployment, and its certificates where it speaks TLS.
pub struct Secrets {
    users: BTreeMap<String, Secret>,
    sentinel: Secret,
    certificates: Option<Certificates>,
}

impl Secrets {
    /// New ones: a password for every user of the data nodes, one for the sentinels, and whatever the
    /// encryption takes.
    pub(super) fn new(topology: &Sentinels) -> Result<Self, Error> {
        let users = topology.users.keys().map(String::as_str).chain([DEFAULT]);
        Ok(Self {
            users: users.map(|user| (user.to_owned(), Secret::random())).collect(),
            sentinel: Secret::random(),
            certificates: topology.tls.on.then(|| Certificates::new(&topology.tls)).transpose()?,
        })
    }

    /// The password of a data nodes' user.
    ///
    /// # Errors
    /// There is no such user.
    pub(super) fn of(&self, user: &str) -> Result<&Secret, StepError> {
        self.users.get(user).ok_or_else(|| format!("the topology has no user `{user}`").into())
    }

    /// How a client gets in at the data nodes as one of their users.
    ///
    /// # Errors
    /// There is no such user.
    pub(super) fn access(&self, user: &str) -> Result<Access, StepError> {
        Ok(self.client(user, self.of(user)?))
    }

    /// The password of the sentinels.
    pub(super) fn sentinel(&self) -> &Secret {
        &self.sentinel
    }

    /// How a client gets in at the sentinels.
    pub(super) fn sentinel_access(&self) -> Access {
        self.client(DEFAULT, &self.sentinel)
    }

    /// By name: a password alone is refused by a server that wants none, and to find that server is for a
    /// check.
    fn client(&self, user: &str, password: &Secret) -> Access {
        let tls = self.certificates().map(Certificates::client);
        Access { user: Some(user.to_owned()), password: Some(password.clone()), tls }
    }

    /// Whom its servers and clients trust, where they speak TLS.
    pub(super) fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_ref()
    }

    /// `text` with passwords in the place of `{password-of-app}`.
    pub(super) fn fill(&self, text: &str) -> String {
        self.users.iter().fold(text.to_owned(), |text, (user, secret)| {
            text.replace(&format!("{{password-of-{user}}}"), secret.reveal())
        })
    }

    /// Each password, with whose it is.
    pub fn passwords(&self) -> impl Iterator<Item = (&str, &Secret)> {
        let users = self.users.iter().map(|(user, secret)| (user.as_str(), secret));
        users.chain([("the sentinels", &self.sentinel)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sentinels;

    #[test]
    fn a_placeholder_stands_for_the_password_of_its_user() {
        let secrets = Secrets::new(&sentinels(3).user("app", "~*")).unwrap();
        let (app, default) = (secrets.of("app").unwrap(), secrets.of(DEFAULT).unwrap());
        assert_ne!(app, default);
        let filled = secrets.fill("{password-of-app} {password-of-default} {password-of-nobody}");
        assert_eq!(filled, format!("{} {} {{password-of-nobody}}", app.reveal(), default.reveal()));
        assert!(secrets.of("nobody").is_err());
    }

    #[test]
    fn a_user_speaks_tls_where_the_servers_do() {
        let app = sentinels(3).user("app", "~*");
        let access = |topology| Secrets::new(&topology).unwrap().access("app").unwrap();
        assert!(access(app.clone()).tls.is_none());
        assert!(access(app.tls()).tls.is_some());
    }
}

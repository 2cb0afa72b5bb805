//! The certificates of a deployment: who signs them, and who trusts whom.

use std::net::Ipv4Addr;

use lab_report::NodeId;
use rcgen::Error;

use super::{Authority, Identity, Tls};
use crate::{
    conf::Conf,
    docker::{CERTIFICATE, FOLDER, File, KEY, TRUSTED},
    topology::Encryption,
};

const TLS_CONF: &str = include_str!("../../../../fixtures/conf/tls.conf");

/// The authorities of one deployment, and what its clients show.
pub struct Certificates {
    settings: Encryption,
    /// Signs for all nodes, and for clients.
    own: Authority,
    /// Signs for the nodes whose certificate is foreign.
    foreign: Authority,
    /// Has nothing to do with the deployment.
    unrelated: Authority,
    client: Identity,
}

impl Certificates {
    pub(crate) fn new(settings: &Encryption) -> Result<Self, Error> {
        let own = Authority::new("the lab's authority")?;
        let client = own.certify("a client", Vec::new())?;
        let (foreign, unrelated) =
            (Authority::new("a foreign authority")?, Authority::new("an unrelated authority")?);
        Ok(Self { settings: settings.clone(), own, foreign, unrelated, client })
    }

    /// A client of the deployment: it trusts the deployment's own authority and no other.
    pub fn client(&self) -> Tls {
        Tls { trusts: self.own.certificate().to_owned(), shows: Some(self.client.clone()) }
    }

    /// A client of something else: it trusts another authority, and shows what that one signed.
    ///
    /// # Errors
    /// The system has no randomness for a key.
    pub fn stranger(&self) -> Result<Tls, Error> {
        let identity = self.unrelated.certify("a stranger", Vec::new())?;
        Ok(Tls { trusts: self.unrelated.certificate().to_owned(), shows: Some(identity) })
    }

    /// What the lab's own connections to this node trust: whoever signed for it.
    pub(crate) fn to_node(&self, node: &NodeId) -> Tls {
        Tls { trusts: self.signer(node).certificate().to_owned(), ..self.client() }
    }

    /// The files of a node that is reached at these names and addresses.
    pub(crate) fn files(&self, node: &NodeId, reached_at: &[Ipv4Addr]) -> Result<Vec<File>, Error> {
        let names = reached_at.iter().map(Ipv4Addr::to_string).chain([node.to_string()]);
        let mut identity = self.signer(node).certify(node.as_str(), names.collect())?;
        if self.settings.vouched_for {
            identity.certificate.push_str(&self.unrelated.vouch_for(&self.own)?);
        }
        let files = [
            (TRUSTED, self.trusted_by_servers()),
            (CERTIFICATE, identity.certificate),
            (KEY, identity.key.reveal().to_owned()),
        ];
        Ok(files.map(|(name, text)| File { name: name.to_owned(), text }).into())
    }

    fn signer(&self, node: &NodeId) -> &Authority {
        let foreign = self.settings.foreign.iter().any(|foreign| foreign == node.as_str());
        if foreign { &self.foreign } else { &self.own }
    }

    /// A deployment with a foreign certificate in it works only if the others have been told to trust it.
    fn trusted_by_servers(&self) -> String {
        let foreign = if self.settings.foreign.is_empty() { "" } else { self.foreign.certificate() };
        format!("{}{foreign}", self.own.certificate())
    }
}

/// What a server is told to encrypt everything.
pub(crate) fn directives(port: u16) -> Conf {
    let files = [("TRUSTED", TRUSTED), ("CERTIFICATE", CERTIFICATE), ("KEY", KEY)];
    let conf = Conf::parse(TLS_CONF).fill("PORT", &port.to_string());
    files.into_iter().fold(conf, |conf, (place, file)| conf.fill(place, &format!("{FOLDER}/{file}")))
}

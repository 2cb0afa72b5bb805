//! Certificates: made anew for every lab, and signed by an authority that nobody else trusts.

mod deployment;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, Error, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use redis::{ClientTlsConfig, TlsCertificates};

pub use deployment::Certificates;
pub(crate) use deployment::directives;

use crate::secret::Secret;

/// Whoever signs certificates.
pub struct Authority {
    params: CertificateParams,
    key: KeyPair,
    certificate: String,
}

/// A certificate, and the key that goes with it.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate, in PEM: what everybody is shown.
    pub certificate: String,
    /// The private key, in PEM.
    pub key: Secret,
}

/// How a client speaks TLS.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The certificates of the authorities that it trusts, in PEM.
    pub trusts: String,
    /// What it shows of itself, if anything.
    pub shows: Option<Identity>,
}

impl Authority {
    /// A new one, which vouches for itself.
    ///
    /// # Errors
    /// The system has no randomness for a key.
    pub fn new(name: &str) -> Result<Self, Error> {
        let mut params = params(name, Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self { params, key, certificate })
    }

    /// Its own certificate, in PEM, for those who are to trust it.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A new identity for whoever lives at these names and addresses.
    ///
    /// # Errors
    /// The system has no randomness for a key, or a name is none.
    pub fn certify(&self, name: &str, reached_at: Vec<String>) -> Result<Identity, Error> {
        let key = KeyPair::generate()?;
        let certificate = params(name, reached_at)?.signed_by(&key, &self.issuer())?.pem();
        Ok(Identity { certificate, key: key.serialize_pem().into() })
    }

    /// Signs another authority's certificate as well. Shown beside what that one signed, it convinces those
    /// who trust this one only.
    ///
    /// # Errors
    /// As for [`Authority::certify`].
    pub fn vouch_for(&self, other: &Self) -> Result<String, Error> {
        Ok(other.params.signed_by(&other.key, &self.issuer())?.pem())
    }

    fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }
}

fn params(name: &str, reached_at: Vec<String>) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::new(reached_at)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

impl From<&Tls> for TlsCertificates {
    fn from(tls: &Tls) -> Self {
        let shows = tls.shows.as_ref().map(|identity| ClientTlsConfig {
            client_cert: identity.certificate.clone().into_bytes(),
            client_key: identity.key.reveal().to_owned().into_bytes(),
        });
        Self { client_tls: shows, root_cert: Some(tls.trusts.clone().into_bytes()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_can_be_printed_without_its_key() {
        let identity = Authority::new("an authority").unwrap().certify("a", vec!["127.0.0.1".to_owned()]);
        let identity = identity.unwrap();
        assert!(identity.key.reveal().contains("PRIVATE KEY"));
        assert!(!format!("{identity:?}").contains("PRIVATE KEY"));
    }

    #[test]
    fn who_vouches_for_another_says_so_in_a_certificate_of_its_own() {
        let (one, other) = (Authority::new("one").unwrap(), Authority::new("other").unwrap());
        let vouched = one.vouch_for(&other).unwrap();
        assert!(vouched.contains("BEGIN CERTIFICATE"));
        assert_ne!(vouched, other.certificate());
    }
}

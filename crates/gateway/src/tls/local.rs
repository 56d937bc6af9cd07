//! An authority of this installation's own, for where no other vouches for its names. People trust it once (`berthd trust`);
//! the gateway's certificates are signed by it, when it starts and again in time.

use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject};
use rustls::sign::CertifiedKey;
use time::OffsetDateTime;

use super::{Failed, failed};
use crate::keys::{CA_CERTIFICATE, CA_KEY};

const CA_YEARS: i64 = 10;
const GOOD_FOR: TimeDelta = TimeDelta::days(90);
const RENEWED_AFTER: TimeDelta = TimeDelta::days(60);
/// For clocks that are behind ours.
const BEFORE: TimeDelta = TimeDelta::hours(24);

pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    renew_at: Option<DateTime<Utc>>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("renew_at", &self.renew_at).finish_non_exhaustive()
    }
}

/// A new private key.
pub(crate) fn make_key() -> Result<String, Failed> {
    Ok(KeyPair::generate().map_err(|error| failed(CA_KEY, error))?.serialize_pem())
}

/// The authority's own certificate.
pub(crate) fn make_certificate(key: &str, now: DateTime<Utc>) -> Result<String, Failed> {
    let key = KeyPair::from_pem(key).map_err(|error| failed(CA_KEY, error))?;
    let mut params = params(&key);
    (params.not_before, params.not_after) = (date(now - BEFORE), date(now + TimeDelta::days(CA_YEARS * 365)));
    Ok(params.self_signed(&key).map_err(|error| failed(CA_CERTIFICATE, error))?.pem())
}

/// All but the dates: what is signed repeats the name and the key's identifier, and both follow from the key.
fn params(key: &KeyPair) -> CertificateParams {
    let mut params = CertificateParams::default();
    let number: String = params.key_identifier(key).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("Berth local authority {number}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn date(at: DateTime<Utc>) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(at.timestamp()).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

impl Authority {
    pub(crate) fn load(folder: &Path) -> Result<Self, Failed> {
        let read = |name: &str| {
            let file = folder.join(name);
            std::fs::read_to_string(&file)
                .map_err(|error| failed(file.display(), format!("{error} (berthd init makes it)")))
        };
        let key = KeyPair::from_pem(&read(CA_KEY)?).map_err(|error| failed(CA_KEY, error))?;
        let certificate = CertificateDer::from_pem_slice(read(CA_CERTIFICATE)?.as_bytes());
        let certificate = certificate.map_err(|error| failed(CA_CERTIFICATE, error))?;
        Ok(Self { issuer: Issuer::new(params(&key), key), certificate, renew_at: None })
    }

    pub(crate) fn next(&mut self, apex: &str, now: DateTime<Utc>) -> Result<Option<CertifiedKey>, Failed> {
        if self.renew_at.is_some_and(|at| now < at) {
            return Ok(None);
        }
        let bad = |error: rcgen::Error| failed("signing a certificate", error);
        let key = KeyPair::generate().map_err(bad)?;
        let mut params = CertificateParams::new([apex.to_owned(), format!("*.{apex}")]).map_err(bad)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "Berth gateway");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) = (date(now - BEFORE), date(now + GOOD_FOR));
        let leaf = params.signed_by(&key, &self.issuer).map_err(bad)?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let chain = vec![leaf.der().clone(), self.certificate.clone()];
        let signed = CertifiedKey::from_der(chain, key, &ring::default_provider());
        let signed = signed.map_err(|error| failed("signing a certificate", error))?;
        self.renew_at = Some(now + RENEWED_AFTER);
        Ok(Some(signed))
    }
}

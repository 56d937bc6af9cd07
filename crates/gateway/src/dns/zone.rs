//! What the zone `compute.<domain>` says: nothing but what the table and the settings say now.

use std::net::IpAddr;

use hickory_server::proto::rr::rdata::sshfp::{Algorithm, FingerprintType};
use hickory_server::proto::rr::rdata::{A, AAAA, NS, SOA, SSHFP, TXT};
use hickory_server::proto::rr::{Name, RData, Record, RecordType};
use ssh_key::{HashAlg, PublicKey};

use super::Dns;
use crate::table::Table;

/// Names change when containers come and go; nobody is led astray for longer.
const TTL: u32 = 60;
/// For how long a name that is not there may be remembered as such (RFC 2308).
const NEGATIVE_TTL: u32 = 30;
/// An order that is tried again has other challenges.
const CHALLENGE_TTL: u32 = 1;

/// How a question is answered.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    Records(Vec<Record>),
    /// The name is there and has no such records.
    NoData,
    /// NXDOMAIN
    NoName,
    /// Another zone's, and nothing is looked up for anybody.
    Refused,
}

#[derive(Debug)]
pub(super) struct Zone {
    apex: Name,
    /// Where an ACME authority looks for its challenges.
    challenge: Name,
    nameservers: Vec<Name>,
    addresses: Vec<IpAddr>,
    host_key: PublicKey,
}

impl Zone {
    /// # Errors
    /// What is no host name.
    pub(super) fn new(settings: &Dns, apex: &str, host_key: PublicKey) -> Result<Self, String> {
        let name = |text: &str| {
            let mut parsed = Name::from_utf8(text).map_err(|error| format!("{text}: {error}"))?;
            parsed.set_fqdn(true);
            Ok::<_, String>(parsed)
        };
        let challenge = name(&format!("_acme-challenge.{apex}"))?;
        let apex = name(apex)?;
        let mut nameservers = settings.nameservers.iter().map(|text| name(text)).collect::<Result<Vec<_>, _>>()?;
        if nameservers.is_empty() {
            nameservers.push(apex.clone());
        }
        Ok(Self { apex, challenge, nameservers, addresses: settings.addresses.clone(), host_key })
    }

    /// `challenges` is what an ACME authority is to find, where certificates are by ACME.
    pub(super) fn answer(&self, table: &Table, challenges: Option<&[String]>, name: &Name, kind: RecordType) -> Answer {
        if !self.apex.zone_of(name) {
            return Answer::Refused;
        }
        if let Some(values) = challenges.filter(|_| self.challenge == *name) {
            let asked = values.iter().filter(|_| kind == RecordType::TXT);
            let text = |value: &String| RData::TXT(TXT::new(vec![value.clone()]));
            let record = |value| Record::from_rdata(name.clone(), CHALLENGE_TTL, text(value));
            let records: Vec<_> = asked.map(record).collect();
            return if records.is_empty() { Answer::NoData } else { Answer::Records(records) };
        }
        let at_apex = self.apex == *name;
        let entry = table.host(&name.to_string());
        if !at_apex && entry.is_none() {
            return Answer::NoName;
        }
        let target = entry.map(|entry| entry.now());
        let own = target.as_ref().and_then(|target| target.ssh.host_key.clone());
        let own_address = target.as_ref().and_then(|target| target.own_address);
        let addresses = own_address.as_ref().map_or(self.addresses.as_slice(), std::slice::from_ref);
        let record = |data| Record::from_rdata(name.clone(), TTL, data);
        let data: Vec<RData> = match kind {
            RecordType::A | RecordType::AAAA => addresses.iter().filter_map(|ip| address(*ip, kind)).collect(),
            // Of whom a client meets: the gateway without configuration, the container itself through a jump.
            RecordType::SSHFP => [Some(&self.host_key), own.as_ref()].into_iter().flatten().filter_map(sshfp).collect(),
            RecordType::NS if at_apex => self.nameservers.iter().map(|name| RData::NS(NS(name.clone()))).collect(),
            RecordType::SOA if at_apex => vec![RData::SOA(self.soa())],
            _other => Vec::new(),
        };
        if data.is_empty() { Answer::NoData } else { Answer::Records(data.into_iter().map(record).collect()) }
    }

    /// Goes with every answer that says no.
    pub(super) fn soa_record(&self) -> Record {
        Record::from_rdata(self.apex.clone(), NEGATIVE_TTL, RData::SOA(self.soa()))
    }

    fn soa(&self) -> SOA {
        let hostmaster = Name::from_ascii("hostmaster").and_then(|name| name.append_name(&self.apex));
        // Nobody transfers the zone: its number and times are formalities.
        let (primary, mailbox) = (self.nameservers[0].clone(), hostmaster.unwrap_or_else(|_| self.apex.clone()));
        SOA::new(primary, mailbox, 1, 3600, 600, 86_400, NEGATIVE_TTL)
    }
}

fn address(ip: IpAddr, kind: RecordType) -> Option<RData> {
    match (ip, kind) {
        (IpAddr::V4(ip), RecordType::A) => Some(RData::A(A(ip))),
        (IpAddr::V6(ip), RecordType::AAAA) => Some(RData::AAAA(AAAA(ip))),
        _other => None,
    }
}

/// RFC 4255 with RFC 7479: every key of ours is ed25519.
fn sshfp(key: &PublicKey) -> Option<RData> {
    let fingerprint = key.fingerprint(HashAlg::Sha256);
    let ed25519 = matches!(key.algorithm(), ssh_key::Algorithm::Ed25519);
    ed25519
        .then(|| RData::SSHFP(SSHFP::new(Algorithm::Ed25519, FingerprintType::SHA256, fingerprint.as_bytes().to_vec())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test code")]

    use super::*;
    use crate::table::Target;
    use crate::table::tests::{KEY, table, target};

    #[test]
    fn what_the_zone_says() {
        let settings = Dns {
            listen: Vec::new(),
            addresses: vec!["203.0.113.7".parse().unwrap(), "2001:db8::7".parse().unwrap()],
            nameservers: vec!["ns1.example.com".to_owned()],
        };
        let zone = Zone::new(&settings, "compute.example.com", PublicKey::from_openssh(KEY).unwrap()).unwrap();
        let table = table(&["bcdfghjk"]);
        let answer = |name: &str, kind| match zone.answer(&table, None, &Name::from_ascii(name).unwrap(), kind) {
            Answer::Records(records) => {
                records.iter().map(|record| record.data.to_string()).collect::<Vec<_>>().join(" ")
            }
            other => format!("{other:?}"),
        };
        use RecordType::{A, AAAA, ANY, NS, SOA, SSHFP, TXT};
        for (name, kind, expected) in [
            ("compute.example.com.", A, "203.0.113.7"),
            ("bcdfghjk.compute.example.com.", A, "203.0.113.7"),
            ("BCDFGHJK.Compute.Example.com.", AAAA, "2001:db8::7"),
            ("bcdfghjk.compute.example.com.", TXT, "NoData"),
            ("bcdfghjk.compute.example.com.", NS, "NoData"),
            ("compute.example.com.", NS, "ns1.example.com."),
            ("compute.example.com.", ANY, "NoData"),
            ("bcdfghjm.compute.example.com.", A, "NoName"),
            ("x.bcdfghjk.compute.example.com.", A, "NoName"),
            ("example.com.", A, "Refused"),
            ("xcompute.example.com.", A, "Refused"),
            (".", NS, "Refused"),
        ] {
            assert_eq!(answer(name, kind), expected, "{name} {kind}");
        }
        let own = Target { own_address: Some("203.0.113.9".parse().unwrap()), ..target("bcdfghjk", true) };
        table.set_route(own.id, Some(own));
        for (kind, expected) in [(A, "203.0.113.9"), (AAAA, "NoData")] {
            assert_eq!(answer("bcdfghjk.compute.example.com.", kind), expected, "its own address alone");
        }
        assert_eq!(answer("_acme-challenge.compute.example.com.", TXT), "NoName");
        assert!(answer("compute.example.com.", SOA).contains("hostmaster.compute.example.com."));
        assert!(answer("compute.example.com.", SSHFP).starts_with("4 2 "));
    }
    #[test]
    fn an_acme_authority_finds_its_challenges_and_nobody_else_anything_there() {
        let settings = Dns { listen: Vec::new(), addresses: Vec::new(), nameservers: Vec::new() };
        let zone = Zone::new(&settings, "compute.example.com", PublicKey::from_openssh(KEY).unwrap()).unwrap();
        let table = table(&[]);
        let name = Name::from_ascii("_ACME-challenge.compute.Example.com.").unwrap();
        let answer = |values: &[&str], kind| {
            let values: Vec<_> = values.iter().map(|value| (*value).to_owned()).collect();
            zone.answer(&table, Some(&values), &name, kind)
        };
        let Answer::Records(records) = answer(&["one", "two"], RecordType::TXT) else { panic!("there are two") };
        assert_eq!(records.iter().map(|record| record.data.to_string()).collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(answer(&["one", "two"], RecordType::A), Answer::NoData);
        assert_eq!(answer(&[], RecordType::TXT), Answer::NoData);
        let other = Name::from_ascii("_acme-challenge.bcdfghjk.compute.example.com.").unwrap();
        assert_eq!(zone.answer(&table, Some(&["one".to_owned()]), &other, RecordType::TXT), Answer::NoName);
    }

    #[test]
    fn what_is_no_host_name_is_said() {
        let settings =
            Dns { listen: Vec::new(), addresses: Vec::new(), nameservers: vec!["ns1..example.com".to_owned()] };
        let error = Zone::new(&settings, "compute.example.com", PublicKey::from_openssh(KEY).unwrap()).unwrap_err();
        assert!(error.contains("ns1..example.com"), "{error}");
    }
}

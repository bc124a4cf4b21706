//! DNSSEC signatures, made as they are asked for.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hickory_resolver::net::runtime::{Time as _, TokioTime};
use hickory_resolver::proto::dnssec::crypto::EcdsaSigningKey;
use hickory_resolver::proto::dnssec::rdata::{DNSKEY, DNSSECRData, NSEC, RRSIG, SigInput};
use hickory_resolver::proto::dnssec::{Algorithm, DnssecSigner, SigningKey, TBS};
use hickory_resolver::proto::rr::{DNSClass, Name, RData, Record, RecordType, SerialNumber};

/// The key of one zone, which signs everything in it.
pub(super) struct Signer {
    apex: Name,
    inner: DnssecSigner,
}

const TTL: u32 = 60;
const ALGORITHM: Algorithm = Algorithm::ECDSAP256SHA256;

impl Signer {
    pub(super) fn new(apex: &str) -> Self {
        let apex = Name::from_ascii(format!("{apex}.")).expect("a name");
        let pkcs8 = EcdsaSigningKey::generate_pkcs8(ALGORITHM).expect("randomness");
        let key = EcdsaSigningKey::from_pkcs8(&pkcs8, ALGORITHM).expect("a key");
        // 257: zone key and secure entry point.
        let record = DNSKEY::with_flags(257, key.to_public_key().expect("its public half"));
        let inner = DnssecSigner::new(record, Box::new(key), apex.clone(), Duration::from_secs(3600));
        Self { apex, inner }
    }

    pub(super) fn apex(&self) -> Name {
        self.apex.clone()
    }

    pub(super) fn is_apex(&self, name: &Name) -> bool {
        *name == self.apex
    }

    pub(super) fn speaks_for(&self, name: &Name) -> bool {
        self.apex.zone_of(name)
    }

    /// Its DNSKEY record.
    pub(super) fn key(&self) -> Record {
        let data = RData::DNSSEC(DNSSECRData::DNSKEY(self.inner.dnskey().clone()));
        Record::from_rdata(self.apex.clone(), TTL, data)
    }

    /// The same as a line of a zone file.
    pub(super) fn record(&self) -> String {
        use hickory_resolver::proto::dnssec::PublicKey as _;
        let key = STANDARD.encode(self.inner.dnskey().public_key().public_bytes());
        format!("{} {TTL} IN DNSKEY 257 3 {} {key}", self.apex.to_ascii(), u8::from(ALGORITHM))
    }

    /// The proof that a name has nothing (RFC 4034 section 4).
    pub(super) fn nothing_at(&self, name: &Name) -> Record {
        let next = name.prepend_label("0").unwrap_or_else(|_| self.apex.clone());
        let data = NSEC::new(next, [RecordType::NSEC, RecordType::RRSIG]);
        Record::from_rdata(name.clone(), TTL, RData::DNSSEC(DNSSECRData::NSEC(data)))
    }

    /// The signature over records of one name and type; a wrong one where that is wanted.
    pub(super) fn sign(&self, records: &[Record], wrong: bool) -> Record {
        let first = &records[0];
        let now = u32::try_from(TokioTime::current_time()).expect("DNSSEC counts seconds in 32 bits");
        let input = SigInput {
            type_covered: first.record_type(),
            algorithm: ALGORITHM,
            num_labels: first.name.num_labels(),
            original_ttl: first.ttl,
            sig_expiration: SerialNumber::new(now + 3600),
            sig_inception: SerialNumber::new(now - 3600),
            key_tag: self.inner.calculate_key_tag().expect("a key has a tag"),
            signer_name: self.apex.clone(),
        };
        let tbs = TBS::from_input(&first.name, DNSClass::IN, &input, records.iter()).expect("records can be signed");
        let mut signature = self.inner.sign(&tbs).expect("a signature");
        if wrong {
            signature[0] ^= 1;
        }
        let data = RData::DNSSEC(DNSSECRData::RRSIG(RRSIG::from_sig(input, signature)));
        Record::from_rdata(first.name.clone(), first.ttl, data)
    }
}

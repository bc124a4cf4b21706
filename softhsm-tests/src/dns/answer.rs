//! From a question to the answer, octets in and octets out.

use hickory_resolver::proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_resolver::proto::rr::rdata::{NS, SOA};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

use super::zone::{Fault, Zone};

/// How the question came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Tcp,
    Udp,
}

/// Most aliases that are followed in one answer; a chain that goes on is left to the resolver.
const MAX_ALIASES: usize = 4;

/// The reply to one message; `None` where the server is to be silent.
pub(super) fn answer(zone: &mut Zone, message: &[u8], transport: Transport) -> Option<Vec<u8>> {
    let question = Message::from_vec(message).ok()?;
    if question.metadata.message_type != MessageType::Query || question.metadata.op_code != OpCode::Query {
        return None;
    }
    let query = question.queries.first()?.clone();
    let (name, kind) = (text(query.name()), query.query_type());
    let tcp = if transport == Transport::Tcp { " tcp" } else { "" };
    zone.asked.push(format!("{name} {kind}{tcp}"));
    let faults: Vec<Fault> = [&name, "*"]
        .into_iter()
        .filter_map(|name: &str| zone.faults.get(name))
        .flatten()
        .filter(|(_, of)| of.is_none_or(|of| of == kind))
        .map(|(fault, _)| *fault)
        .collect();
    let has = |fault| faults.contains(&fault);
    if has(Fault::Silent) {
        return None;
    }
    if has(Fault::Garbage) {
        return Some([&message[..2], &[0x81, 0x80, 0, 1, 0, 9, 0xff]].concat());
    }
    let mut reply = Message::response(question.metadata.id, OpCode::Query);
    reply.metadata.recursion_desired = question.metadata.recursion_desired;
    reply.metadata.recursion_available = true;
    reply.add_query(query.clone());
    if let Some(code) = faults.iter().find_map(|fault| if let Fault::Code(code) = fault { Some(*code) } else { None }) {
        if code > 15 {
            let mut edns = question.edns.clone().unwrap_or_default();
            edns.set_rcode_high((code >> 4) as u8);
            reply.edns = Some(edns);
        }
        reply.metadata.response_code = ResponseCode::from((code >> 4) as u8, (code & 15) as u8);
        return reply.to_vec().ok();
    }
    if has(Fault::Referral) {
        let record = |data| Record::from_rdata(Name::from_ascii("test.").expect("a name"), 60, data);
        reply.add_authority(record(RData::NS(NS(Name::from_ascii("ns.test.").expect("a name")))));
        return reply.to_vec().ok();
    }
    fill(zone, &query, &faults, &mut reply);
    if let Some(edns) = &question.edns {
        let mut own = edns.clone();
        own.set_rcode_high(0);
        reply.edns = Some(own);
    }
    let bytes = reply.to_vec().ok()?;
    let room = question.edns.as_ref().map_or(512, |edns| usize::from(edns.max_payload().max(512)));
    if transport == Transport::Udp && (has(Fault::Truncated) || bytes.len() > room) {
        return reply.truncate().to_vec().ok();
    }
    Some(bytes)
}

/// The answer section, or what says that there is none.
fn fill(zone: &Zone, query: &Query, faults: &[Fault], reply: &mut Message) {
    let kind = query.query_type();
    let mut owner = query.name().clone();
    for _ in 0..=MAX_ALIASES {
        let (exists, records) = lookup(zone, &owner, kind);
        if !records.is_empty() {
            add(zone, reply, records, faults);
            return;
        }
        let (_, aliases) = lookup(zone, &owner, RecordType::CNAME);
        let Some(RData::CNAME(target)) = aliases.first().map(|record| &record.data) else {
            if !exists || faults.contains(&Fault::NxDomain) {
                reply.metadata.response_code = ResponseCode::NXDomain;
            }
            deny(zone, &owner, faults, reply);
            return;
        };
        let target = target.0.clone();
        add(zone, reply, aliases, faults);
        owner = target;
    }
}

/// Whether a name exists, and its records of one type.
fn lookup(zone: &Zone, name: &Name, kind: RecordType) -> (bool, Vec<Record>) {
    if let Some(signer) = zone.signer.as_ref().filter(|signer| kind == RecordType::DNSKEY && signer.is_apex(name)) {
        return (true, vec![signer.key()]);
    }
    let key = text(name);
    if zone.faults.get(&key).is_some_and(|faults| faults.contains(&(Fault::NxDomain, None))) {
        return (false, Vec::new());
    }
    let of = |key: &str| zone.records.get(key).into_iter().flatten();
    let is_kind = |data: &RData| data.record_type() == kind;
    let own: Vec<_> = of(&key).filter(|(_, data)| is_kind(data)).collect();
    let is_alias = of(&key).any(|(_, data)| data.record_type() == RecordType::CNAME);
    let found = if own.is_empty() && !is_alias { of("*").filter(|(_, data)| is_kind(data)).collect() } else { own };
    let records = found.into_iter().map(|(ttl, data)| Record::from_rdata(name.clone(), *ttl, data.clone())).collect();
    (zone.records.contains_key(&key) || zone.records.contains_key("*"), records)
}

fn add(zone: &Zone, reply: &mut Message, records: Vec<Record>, faults: &[Fault]) {
    let signature =
        signer(zone, &records[0].name, faults).map(|signer| signer.sign(&records, faults.contains(&Fault::Bogus)));
    reply.add_answers(records);
    reply.add_answers(signature);
}

/// RFC 2308 section 2: with an SOA; and where the zone is signed, with the proof.
fn deny(zone: &Zone, owner: &Name, faults: &[Fault], reply: &mut Message) {
    let apex = zone.signer.as_ref().map_or_else(|| Name::from_ascii("test.").expect("a name"), |signer| signer.apex());
    let data = SOA::new(apex.clone(), apex.clone(), 1, 60, 60, 60, 1);
    let soa = Record::from_rdata(apex, 60, RData::SOA(data));
    let Some(signer) = signer(zone, owner, faults) else {
        reply.add_authority(soa);
        return;
    };
    // "Black lies": the name exists, and has nothing but this proof.
    reply.metadata.response_code = ResponseCode::NoError;
    for record in [soa, signer.nothing_at(owner)] {
        let signature = signer.sign(std::slice::from_ref(&record), faults.contains(&Fault::Bogus));
        reply.add_authority(record);
        reply.add_authority(signature);
    }
}

fn signer<'a>(zone: &'a Zone, name: &Name, faults: &[Fault]) -> Option<&'a super::signed::Signer> {
    zone.signer.as_ref().filter(|signer| signer.speaks_for(name) && !faults.contains(&Fault::Unsigned))
}

fn text(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_ascii_lowercase()
}

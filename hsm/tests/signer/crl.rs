//! CRLs: what is signed, and every way in which it is not.

use std::io::{BufReader, BufWriter, Cursor, Read, Write};

use hsm::client::{ClientError, Parcel};
use hsm::journal::Event;
use hsm::wire::{CrlRequest, Paper, Refusal, Request, Response, SealedPaper};
use policy::crl::{self, Draft, Entry, Envelope, Mark, Reason, Scope, Shard, Writer};
use policy::effects::UnixTime;
use policy::serial::Serial;

use super::issuance::{Ca, now};
use super::rig::{Appliance, actor, refusal};

const DAY: u64 = 86_400;

/// A list on paper, and the request that goes with it.
struct Printed {
    request: CrlRequest,
    paper: SealedPaper,
}

impl Ca {
    fn draft(&self) -> Draft<'_> {
        let this_update = now();
        Draft {
            issuer: self.issuer(),
            number: crl::number(None, this_update),
            this_update,
            next_update: this_update.plus(7 * DAY),
            scope: Scope::All,
            base: None,
            urls: &[],
            freshest: None,
        }
    }

    fn print(draft: &Draft<'_>, entries: &[Entry]) -> Printed {
        let mut writer = Writer::begin(draft, BufWriter::new(Paper::new().unwrap())).unwrap();
        entries.iter().for_each(|entry| writer.entry(entry).unwrap());
        let (out, written) = writer.finish().unwrap();
        let paper = out.into_inner().ok().unwrap().seal().unwrap();
        let (start, length) = (written.start, written.length);
        let request = CrlRequest { issuer: "issuing-1".to_owned(), scope: draft.scope, start, length, actor: actor() };
        Printed { request, paper }
    }

    fn sign_crl(&self, Printed { request, paper }: &Printed) -> Result<Response, ClientError> {
        let parcel = Parcel::with(Request::Crl(request.clone()), paper.try_clone().unwrap());
        self.client.call(None, parcel)
    }

    /// Signs a draft, and reads the CRL back as a relying party would.
    fn crl(&self, draft: &Draft<'_>, entries: &[Entry]) -> Result<(crl::Facts, u64), ClientError> {
        let printed = Self::print(draft, entries);
        let (signature, seq) = match self.sign_crl(&printed)? {
            Response::Crl { signature, seq } => (signature, seq),
            other => panic!("{other:?}"),
        };
        let Printed { request, paper } = &printed;
        let scheme = self.issuer().key().certificate_scheme();
        let envelope = Envelope::new(request.length, scheme, &signature).unwrap();
        let mut file = envelope.head;
        paper.section(request.start, request.length).read_to_end(&mut file).unwrap();
        file.extend_from_slice(&envelope.tail);
        let mut seen = Vec::new();
        let facts = crl::verify(BufReader::new(file.as_slice()), self.issuer(), &mut |entry| seen.push(*entry));
        assert_eq!(seen, entries);
        Ok((facts.unwrap(), seq))
    }

    fn refused(&self, draft: &Draft<'_>, entries: &[Entry]) -> Refusal {
        refusal(self.sign_crl(&Self::print(draft, entries)))
    }

    fn restart(&mut self) {
        let (status, kept) = {
            let signer = self.signer.take().unwrap();
            signer.signal(nix::sys::signal::Signal::SIGTERM);
            signer.end()
        };
        assert!(status.success());
        self.signer = Some(self.appliance.start("ca", kept));
    }
}

/// Entries with ascending serial numbers.
fn entries(count: u32, at: UnixTime) -> Vec<Entry> {
    (0..count)
        .map(|index| {
            let mut octets = [1; 20];
            octets[16..].copy_from_slice(&index.to_be_bytes());
            let serial = Serial::from_slice(&octets).unwrap();
            Entry { serial, at, mark: Mark::Revoked(Reason::KeyCompromise), invalidity_date: None }
        })
        .collect()
}

fn above(refusal: Refusal) -> u64 {
    match refusal {
        Refusal::Number { above } => above,
        other => panic!("{other:?}"),
    }
}

fn policy_says(refusal: Refusal, fragment: &str) {
    match refusal {
        Refusal::Policy(why) if why.contains(fragment) => {}
        other => panic!("{fragment}: {other:?}"),
    }
}

#[test]
fn a_crl_is_signed_journalled_and_verifies() {
    let ca = Ca::new();
    let draft = ca.draft();
    // More than a frame would hold.
    let listed = entries(5000, now().minus(5));
    let (facts, seq) = ca.crl(&draft, &listed).unwrap();
    assert_eq!((facts.number, facts.entries), (Some(draft.number), 5000));
    let events = ca.appliance.events("ca");
    let journalled = events.get(seq as usize - 1);
    let Some(Event::Crl { issuer, scope, number, base: None, entries, next_update, sha256, .. }) = journalled else {
        panic!("{journalled:?}")
    };
    assert_eq!((issuer.as_str(), *scope, *number, *entries), ("issuing-1", Scope::All, draft.number, 5000));
    assert_eq!((*next_update, sha256.len()), (draft.next_update, 64));
}

#[test]
fn numbers_only_ascend_also_over_a_restart_and_never_run_ahead_of_the_time() {
    let mut ca = Ca::new();
    let first = ca.draft().number;
    ca.crl(&ca.draft(), &[]).unwrap();
    assert_eq!(above(ca.refused(&Draft { number: first, ..ca.draft() }, &[])), first);
    assert_eq!(above(ca.refused(&Draft { number: first - 1, ..ca.draft() }, &[])), first);
    assert_eq!(above(ca.refused(&Draft { number: first + DAY, ..ca.draft() }, &[])), first);
    let second = crl::number(Some(first), now());
    ca.crl(&Draft { number: second, ..ca.draft() }, &[]).unwrap();

    ca.restart();
    assert_eq!(above(ca.refused(&Draft { number: second, ..ca.draft() }, &[])), second);
    // A delta CRL draws from the same sequence, and another scope from its own.
    let third = crl::number(Some(second), now());
    let delta = Draft { number: third, base: Some(second), ..ca.draft() };
    ca.crl(&delta, &[]).unwrap();
    assert_eq!(above(ca.refused(&delta, &[])), third);
    ca.crl(&Draft { number: third, ..ca.draft() }, &[]).unwrap();
    let later = crl::number(Some(third), now());
    policy_says(ca.refused(&Draft { number: later, base: Some(third + 1), ..ca.draft() }, &[]), "delta_indicator");
}

#[test]
fn a_delta_adds_only_to_a_crl_that_was_signed() {
    let ca = Ca::new();
    let draft = ca.draft();
    policy_says(ca.refused(&Draft { base: Some(draft.number - 1), ..ca.draft() }, &[]), "signed before");
}

#[test]
fn what_a_crl_may_not_say_is_refused() {
    let ca = Ca::new();
    let draft = || ca.draft();
    let now = now();
    policy_says(ca.refused(&Draft { this_update: now.plus(200), ..draft() }, &[]), "both clocks");
    policy_says(ca.refused(&Draft { this_update: now.minus(DAY), ..draft() }, &[]), "times_order");
    policy_says(ca.refused(&Draft { next_update: now.plus(11 * DAY), ..draft() }, &[]), "[revocation]");
    policy_says(ca.refused(&Draft { next_update: now.minus(9), ..draft() }, &[]), "times_order");
    policy_says(ca.refused(&draft(), &entries(2, now.plus(DAY))), "entry_date_past");
    let removed = Entry { mark: Mark::Removed, ..entries(1, now)[0] };
    policy_says(ca.refused(&draft(), &[removed]), "removals");
    // A shard by a name that is not its own, and that no profile gives it.
    let shard = Scope::Shard(Shard::of(removed.serial, 4.try_into().unwrap()));
    for name in ["1.crl".to_owned(), "9-of-9.crl".to_owned(), format!("9-of-9/{shard}.crl")] {
        let urls = [format!("http://pki.example.test/{name}")];
        policy_says(ca.refused(&Draft { scope: shard, urls: &urls, ..draft() }, &[]), "no profile names");
    }
    // Certificates from before may name it by its own.
    let urls = [format!("http://old.example.test/{shard}.crl")];
    ca.crl(&Draft { scope: shard, urls: &urls, ..draft() }, &[]).unwrap();

    let printed = Ca::print(&draft(), &entries(3, now));
    let request = |change: fn(&mut CrlRequest)| {
        let mut request = printed.request.clone();
        change(&mut request);
        let paper = printed.paper.try_clone().unwrap();
        refusal(ca.client.call(None, Parcel::with(Request::Crl(request), paper)))
    };
    policy_says(request(|request| request.issuer = "issuing-9".to_owned()), "no key");
    policy_says(request(|request| request.scope = "1-of-4".parse().unwrap()), "not in 1-of-4");
    policy_says(request(|request| request.length -= 1), "ends too early");
    policy_says(request(|request| request.start = u64::MAX - 9), "CRL");
    policy_says(request(|request| request.start += 1), "CRL");
    policy_says(request(|request| request.actor.who = "console".to_owned()), "socket");
    assert!(ca.sign_crl(&printed).is_ok(), "nothing of this used the number up");
    let ours = |event: &&Event| matches!(event, Event::Crl { issuer, .. } if issuer == "issuing-1");
    assert_eq!(ca.appliance.events("ca").iter().filter(ours).count(), 1);
}

#[test]
fn an_ocsp_key_signs_no_crl_and_a_crl_without_paper_ends_the_connection() {
    let ca = Ca::new();
    let mut printed = Ca::print(&ca.draft(), &[]);
    let without = ca.client.call(None, Request::Crl(printed.request.clone()));
    assert!(matches!(refusal(without), Refusal::Forbidden(_)));
    printed.request.issuer = "ocsp-1".to_owned();
    let answer = super::rig::patiently(&ca.client, &Request::Status);
    assert!(answer.is_ok());
    assert!(matches!(refusal(ca.sign_crl(&printed)), Refusal::Forbidden(_)));
}

#[test]
fn a_shard_is_signed_for_the_url_that_leaves_name() {
    let appliance = Appliance::new();
    let path = appliance.path("etc/profiles/server.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let urls = "\n[urls]\ncrl = \"http://pki.example.test/{issuer}/{shard}.crl\"\nshards = 4\n";
    std::fs::write(&path, text + urls).unwrap();
    let ca = Ca::with(appliance, "server");
    let place = ca.profile().crl_place().unwrap().clone();
    for scope in place.scopes() {
        let urls = [place.url(ca.issuer(), scope).unwrap()];
        let draft = Draft { scope, urls: &urls, ..ca.draft() };
        let mine: Vec<Entry> = entries(40, now()).into_iter().filter(|entry| scope.holds(entry.serial)).collect();
        let (facts, _) = ca.crl(&draft, &mine).unwrap();
        assert_eq!(facts.urls, urls);
    }
    // The leaf that was signed names the shard that lists it.
    let certificate = match ca.issue().unwrap() {
        Response::Certificate { certificate, .. } => certificate,
        other => panic!("{other:?}"),
    };
    let read = policy::tbs::Certificate::from_der(&certificate).unwrap();
    let serial = Serial::from_slice(read.serial()).unwrap();
    let scope = place.scopes().find(|scope| scope.holds(serial)).unwrap();
    let url = place.url(ca.issuer(), scope).unwrap();
    assert!(certificate.windows(url.len()).any(|window| window == url.as_bytes()));
}

#[test]
fn a_list_on_unsealed_paper_is_not_looked_at() {
    let ca = Ca::new();
    let mut writer = Writer::begin(&ca.draft(), Cursor::new(Vec::new())).unwrap();
    writer.entry(&entries(1, now())[0]).unwrap();
    let (out, written) = writer.finish().unwrap();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(out.get_ref()).unwrap();
    let request = CrlRequest {
        issuer: "issuing-1".to_owned(),
        scope: Scope::All,
        start: 0,
        length: written.length,
        actor: actor(),
    };
    let answer = ask_with(&ca, &request, &file);
    assert!(matches!(answer, Err(Refusal::Forbidden(_))), "{answer:?}");
}

/// Sends a descriptor that the client would not.
fn ask_with(ca: &Ca, request: &CrlRequest, file: &std::fs::File) -> Result<Response, Refusal> {
    use std::os::fd::{AsFd, AsRawFd};

    use hsm::wire::{self, Call, MAX_FRAME, Reply};
    use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, socket};

    let peer = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap();
    connect(peer.as_raw_fd(), &UnixAddr::new(&ca.appliance.path("run/ca.sock")).unwrap()).unwrap();
    let mut frame = Vec::new();
    wire::encode(&Call { id: 1, request: Request::Crl(request.clone()) }, &mut frame).unwrap();
    wire::send_with(&peer, &frame, file.as_fd(), MsgFlags::empty()).unwrap();
    let mut buffer = vec![0; MAX_FRAME];
    let reply: Reply = wire::receive(&peer, &mut buffer, MsgFlags::empty()).and_then(wire::decode).unwrap();
    reply.result
}

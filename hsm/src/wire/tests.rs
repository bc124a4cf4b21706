use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, socketpair};
use policy::evidence::{Method, NameEvidence};
use policy::grant::{Pattern, RateLimits, Reuse};
use policy::notary::Deed;
use policy::registration::Thumbprint;
use proptest::prelude::*;

use super::*;

fn actor() -> impl Strategy<Value = Actor> {
    (".{0,12}", ".{0,12}").prop_map(|(who, request_id)| Actor { who, request_id })
}

fn serial() -> impl Strategy<Value = Serial> {
    any::<[u8; 19]>().prop_map(|random| {
        let mut bytes = [1u8; 20];
        bytes[1..].copy_from_slice(&random);
        Serial::from_slice(&bytes).unwrap()
    })
}

fn node() -> impl Strategy<Value = CommonName> {
    "[a-zA-Z.]{1,12}".prop_map(|text| CommonName::parse(&text).unwrap())
}

fn act() -> impl Strategy<Value = Act> {
    let text = || ".{0,12}";
    let accounts = prop_oneof![Just(BoundAccounts::End), Just(BoundAccounts::Keep)];
    let grant = (text(), any::<Option<u64>>(), any::<Option<u64>>()).prop_map(|(label, orders, at)| Grant {
        label: label.replace(char::is_control, ""),
        names: vec![Pattern::parse(".example.test").unwrap(), Pattern::parse("10.0.0.0/8").unwrap()],
        profiles: vec!["server".to_owned()],
        orders,
        certificates: None,
        expires: at.map(UnixTime),
        reuse: Reuse::Once,
        limits: RateLimits::Exempt,
    });
    prop_oneof![
        (text(), text()).prop_map(|(account, key)| Act::BindAccount { account, key }),
        [text(), text(), text()].prop_map(|[request, digest, requester]| Act::ApproveRequest {
            request,
            digest,
            requester
        }),
        [text(), text(), text(), text()].prop_map(|[request, digest, requester, why]| Act::RejectRequest {
            request,
            digest,
            requester,
            why
        }),
        (text(), grant).prop_map(|(key, grant)| Act::CreateEabKey { key, grant }),
        text().prop_map(|account| Act::EndAccount { account }),
        (text(), accounts).prop_map(|(key, accounts)| Act::RevokeEabKey { key, accounts }),
        (node(), any::<bool>()).prop_map(|(common_name, has)| {
            let account = has.then(|| Thumbprint::parse(&"t".repeat(43)).unwrap());
            let names = vec![Pattern::parse("www.example.test").unwrap()];
            Act::RegisterNode { registration: Registration { common_name, names, profile: "node".to_owned(), account } }
        }),
        node().prop_map(|node| Act::DeleteNode { node }),
        any::<[u8; 32]>().prop_map(|sha256| Act::ChangeNotary { deed: Deed::ChainUploaded { request: 7, sha256 } }),
        (node(), text(), any::<u64>()).prop_map(|(node, seed, at)| Act::IssueSeed {
            node,
            seed,
            expires: UnixTime(at)
        }),
        (node(), text()).prop_map(|(node, seed)| Act::UseSeed { node, seed }),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..300);
    prop_oneof![
        Just(Request::Status),
        Just(Request::Challenge),
        (any::<[u8; 32]>(), bytes(), bytes(), actor()).prop_map(|(challenge, encapsulated, ciphertext, actor)| {
            Request::Unseal { boxed: UnsealBox { challenge, encapsulated, ciphertext }, actor }
        }),
        actor().prop_map(|actor| Request::Seal { actor }),
        any::<u16>().prop_map(|count| Request::Reserve { count }),
        (bytes(), ".{0,9}", proptest::option::of(".{0,9}"), any::<u64>()).prop_map(|(tbs, text, common_name, at)| {
            Request::Certificate(Box::new(CertificateRequest {
                issuer: text.clone(),
                profile: text.clone(),
                profile_sha256: [7; 32],
                common_name,
                requested: Requested { not_before: Some(UnixTime(at)), not_after: None },
                tbs,
                record: AuthorizationRecord {
                    actor: text.clone(),
                    request_id: text.clone(),
                    order: Some(text),
                    subject: None,
                    replaces: None,
                    node: None,
                    requester: None,
                    names: vec![NameEvidence {
                        name: policy::name::Name::Ip(std::net::Ipv4Addr::LOCALHOST.into()),
                        method: Method::Http01,
                        at: UnixTime(at),
                        validator: "1".to_owned(),
                        seen: None,
                        caa: None,
                    }],
                },
            }))
        }),
        (".{0,9}", bytes()).prop_map(|(key, message)| Request::Handshake {
            key,
            scheme: SignatureScheme::RsaPssSha256,
            message
        }),
        bytes().prop_map(|statement| Request::Identify { statement }),
        (serial(), proptest::option::of(any::<u8>()), any::<u64>(), actor()).prop_map(|(serial, reason, at, actor)| {
            Request::Record {
                act: Act::Revoke {
                    serials: vec![serial; 3],
                    reason,
                    at: UnixTime(at),
                    invalidity_date: Some(UnixTime(at)),
                },
                actor,
            }
        }),
        (act(), actor()).prop_map(|(act, actor)| Request::Record { act, actor }),
        any::<u64>().prop_map(|after| Request::Journal { after }),
    ]
}

fn frame(message: &impl Serialize) -> Vec<u8> {
    let mut frame = Vec::new();
    encode(message, &mut frame).unwrap();
    frame
}

proptest! {
    #[test]
    fn a_call_comes_back_as_it_went(id: u64, request in request()) {
        let call = Call { id, request };
        prop_assert_eq!(decode::<Call>(&frame(&call)), Ok(call));
    }

    #[test]
    fn random_bytes_are_a_message_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = decode::<Call>(&bytes);
        let _ = decode::<Reply>(&bytes);
        let mut versioned = vec![VERSION];
        versioned.extend_from_slice(&bytes);
        let _ = decode::<Call>(&versioned);
        let _ = decode::<Reply>(&versioned);
    }

    #[test]
    fn a_mutated_frame_is_a_message_or_an_error(id: u64, request in request(), at: prop::sample::Index, byte: u8) {
        let mut bytes = frame(&Call { id, request });
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = decode::<Call>(&bytes);
        let _ = decode::<Reply>(&bytes);
        let _ = decode::<Call>(&bytes[..at]);
    }

    #[test]
    fn trailing_bytes_are_refused(id: u64, request in request(), extra in proptest::collection::vec(any::<u8>(), 1..9)) {
        let mut bytes = frame(&Call { id, request });
        bytes.extend_from_slice(&extra);
        prop_assert_eq!(decode::<Call>(&bytes), Err(FrameError::Malformed));
    }
}

#[test]
fn names_that_go_into_the_journal_are_short() {
    let text = |length| "x".repeat(length);
    let requests = |length: usize| {
        let actor = |who, request_id| Request::Seal { actor: Actor { who, request_id } };
        let record = |actor, request_id, order, validator| {
            let evidence = NameEvidence {
                name: policy::name::Name::Ip(std::net::Ipv4Addr::LOCALHOST.into()),
                method: Method::Http01,
                at: UnixTime(1),
                validator,
                seen: None,
                caa: None,
            };
            Request::Certificate(Box::new(CertificateRequest {
                issuer: String::new(),
                profile: String::new(),
                profile_sha256: [0; 32],
                common_name: None,
                requested: Requested::default(),
                tbs: Vec::new(),
                record: AuthorizationRecord {
                    actor,
                    request_id,
                    order: Some(order),
                    names: vec![evidence],
                    ..Default::default()
                },
            }))
        };
        let act = Act::RemoveAdministrator { fingerprint: text(length) };
        [
            actor(text(length), text(1)),
            actor(text(1), text(length)),
            record(text(length), text(1), text(1), text(1)),
            record(text(1), text(length), text(1), text(1)),
            record(text(1), text(1), text(length), text(1)),
            record(text(1), text(1), text(1), text(length)),
            Request::Record { act, actor: Actor { who: text(1), request_id: text(1) } },
        ]
    };
    for request in requests(MAX_TEXT) {
        assert!(decode::<Call>(&frame(&Call { id: 1, request })).is_ok());
    }
    for request in requests(MAX_TEXT + 1) {
        let bytes = frame(&Call { id: 1, request: request.clone() });
        assert_eq!(decode::<Call>(&bytes), Err(FrameError::Malformed), "{request:?}");
    }
}

#[test]
fn another_version_is_refused_with_a_sentence() {
    let mut bytes = frame(&Call { id: 1, request: Request::Status });
    bytes[0] = VERSION + 1;
    let error = decode::<Call>(&bytes).unwrap_err();
    assert_eq!(error, FrameError::Version(VERSION + 1));
    assert!(error.to_string().contains("install the same version"));
}

#[test]
fn a_frame_larger_than_the_limit_is_neither_sent_nor_read() {
    let reply = Reply { id: 1, result: Ok(Response::Journal { lines: vec!["x".repeat(MAX_FRAME)], last: 1 }) };
    assert_eq!(encode(&reply, &mut Vec::new()), Err(FrameError::TooLarge));
    let mut bytes = vec![0; MAX_FRAME + 1];
    bytes[0] = VERSION;
    assert_eq!(decode::<Reply>(&bytes), Err(FrameError::TooLarge));

    let (here, there) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap();
    assert_eq!(send(&here, &bytes, MsgFlags::empty()), Err(FrameError::TooLarge));
    nix::sys::socket::send(std::os::fd::AsRawFd::as_raw_fd(&here), &bytes, MsgFlags::empty()).unwrap();
    let mut buffer = vec![0; MAX_FRAME];
    assert_eq!(receive(&there, &mut buffer, MsgFlags::empty()), Err(FrameError::TooLarge));
}

#[test]
fn a_frame_of_the_largest_size_passes_through_a_socket() {
    let (here, there) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap();
    let bytes = vec![7; MAX_FRAME];
    send(&here, &bytes, MsgFlags::MSG_DONTWAIT).unwrap();
    let mut buffer = vec![0; MAX_FRAME];
    assert_eq!(receive(&there, &mut buffer, MsgFlags::empty()).unwrap(), bytes);
    drop(here);
    assert_eq!(receive(&there, &mut buffer, MsgFlags::empty()), Err(FrameError::Closed));
}

#[test]
fn a_chain_is_no_longer_than_what_the_journal_takes() {
    let call = |chain: Vec<Vec<u8>>| {
        let actor = Actor { who: "admin:x".to_owned(), request_id: String::new() };
        let number = policy::authority::AuthorityNumber::FIRST;
        let request = AuthorityRequest { number, deed: AuthorityDeed::Adopt { chain }, actor };
        let mut frame = Vec::new();
        encode(&Call { id: 1, request: Request::Authority(Box::new(request)) }, &mut frame).unwrap();
        decode::<Call>(&frame)
    };
    assert!(call(vec![vec![1; MAX_CHAIN_LEN / MAX_CHAIN]; MAX_CHAIN]).is_ok());
    for chain in [vec![], vec![vec![1]; MAX_CHAIN + 1], vec![vec![1; MAX_CHAIN_LEN + 1]]] {
        assert!(call(chain).is_err());
    }
}

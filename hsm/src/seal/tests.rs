use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixDatagram;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use policy::effects::{Entropy, EntropyError};

use super::*;
use crate::pkcs11::Pin;

struct Generator(u8);

impl Entropy for Generator {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
        self.0 += 1;
        out.fill(self.0);
        Ok(())
    }
}

struct Identity(EcdsaKeyPair);

impl Identity {
    fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
    }

    fn spki(&self) -> Vec<u8> {
        let der: PublicKeyX509Der<'_> = self.0.public_key().as_der().unwrap();
        der.as_ref().to_vec()
    }

    fn pin(&self) -> [u8; 32] {
        digest(&SHA256, &self.spki()).as_ref().try_into().unwrap()
    }

    fn sign(&self, statement: &[u8]) -> Vec<u8> {
        self.0.sign(&SystemRandom::new(), statement).unwrap().as_ref().to_vec()
    }

    fn invitation(&self) -> Invitation {
        let journal = JournalId("0a".repeat(16));
        Invitation::new::<EntropyError>(&journal, &mut Generator(0), |statement| {
            Ok((self.spki(), self.sign(statement)))
        })
        .unwrap()
    }
}

fn text(pin: &Pin) -> &[u8] {
    &pin.0
}

#[test]
fn a_pin_arrives_and_its_length_does_not_show() {
    let identity = Identity::new();
    let mut invitation = identity.invitation();
    let mut lengths = Vec::new();
    for pin in [&b"1234"[..], b"", &[b'x'; MAX_PIN]] {
        let challenge = invitation.challenge(&mut Generator(7)).unwrap();
        let boxed = seal_pin(&challenge, &identity.pin(), pin).unwrap();
        lengths.push(boxed.ciphertext.len());
        assert_eq!(text(&invitation.open(&boxed).unwrap()), pin);
    }
    assert!(lengths.iter().all(|length| *length == lengths[0]));
}

#[test]
fn a_pin_that_is_too_long_is_refused() {
    let identity = Identity::new();
    let challenge = identity.invitation().challenge(&mut Generator(7)).unwrap();
    assert_eq!(seal_pin(&challenge, &identity.pin(), &[b'x'; MAX_PIN + 1]), Err(BoxError::Hpke));
}

#[test]
fn a_captured_box_is_refused_the_second_time() {
    let identity = Identity::new();
    let mut invitation = identity.invitation();
    let challenge = invitation.challenge(&mut Generator(7)).unwrap();
    let boxed = seal_pin(&challenge, &identity.pin(), b"1234").unwrap();
    assert!(invitation.open(&boxed).is_ok());
    assert_eq!(invitation.open(&boxed).err(), Some(NotOpened::Challenge));
}

#[test]
fn any_attempt_voids_every_open_challenge() {
    let identity = Identity::new();
    let mut invitation = identity.invitation();
    let first = invitation.challenge(&mut Generator(7)).unwrap();
    let second = invitation.challenge(&mut Generator(8)).unwrap();
    let mut damaged = seal_pin(&first, &identity.pin(), b"1234").unwrap();
    damaged.ciphertext[3] ^= 1;
    assert_eq!(invitation.open(&damaged).err(), Some(NotOpened::Malformed));
    let late = seal_pin(&second, &identity.pin(), b"1234").unwrap();
    assert_eq!(invitation.open(&late).err(), Some(NotOpened::Challenge));
}

#[test]
fn open_challenges_are_bounded_and_the_oldest_is_void_first() {
    let identity = Identity::new();
    let mut invitation = identity.invitation();
    let challenges: Vec<_> = (0..9).map(|number| invitation.challenge(&mut Generator(number)).unwrap()).collect();
    let boxed = seal_pin(&challenges[1], &identity.pin(), b"1234").unwrap();
    assert!(invitation.open(&boxed).is_ok());
    let challenges: Vec<_> = (0..9).map(|number| invitation.challenge(&mut Generator(number)).unwrap()).collect();
    let boxed = seal_pin(&challenges[0], &identity.pin(), b"1234").unwrap();
    assert_eq!(invitation.open(&boxed).err(), Some(NotOpened::Challenge));
}

#[test]
fn a_box_for_another_start_of_the_signer_is_not_opened() {
    let identity = Identity::new();
    let mut before = identity.invitation();
    let mut after = Invitation::new::<EntropyError>(&JournalId("0a".repeat(16)), &mut Generator(100), |statement| {
        Ok((identity.spki(), identity.sign(statement)))
    })
    .unwrap();
    let challenge = before.challenge(&mut Generator(7)).unwrap();
    assert_eq!(after.challenge(&mut Generator(7)).unwrap().challenge, challenge.challenge);
    let boxed = seal_pin(&challenge, &identity.pin(), b"1234").unwrap();
    assert_eq!(after.open(&boxed).err(), Some(NotOpened::Malformed));
}

#[test]
fn every_part_of_a_box_is_bound() {
    let identity = Identity::new();
    let mut invitation = identity.invitation();
    for change in 0..4 {
        let challenge = invitation.challenge(&mut Generator(7)).unwrap();
        let mut boxed = seal_pin(&challenge, &identity.pin(), b"1234").unwrap();
        match change {
            0 => boxed.encapsulated[0] ^= 1,
            1 => boxed.encapsulated.truncate(5),
            2 => boxed.ciphertext.truncate(20),
            _ => boxed.ciphertext.push(0),
        }
        assert_eq!(invitation.open(&boxed).err(), Some(NotOpened::Malformed), "change {change}");
    }
}

#[test]
fn an_identity_that_is_not_pinned_gets_no_pin() {
    let (identity, other) = (Identity::new(), Identity::new());
    let challenge = other.invitation().challenge(&mut Generator(7)).unwrap();
    assert_eq!(seal_pin(&challenge, &identity.pin(), b"1234"), Err(BoxError::Identity));
}

#[test]
fn a_key_that_the_identity_does_not_vouch_for_gets_no_pin() {
    let (identity, other) = (Identity::new(), Identity::new());
    let mut challenge = identity.invitation().challenge(&mut Generator(7)).unwrap();
    let last = challenge.statement.len() - 1;
    challenge.statement[last] ^= 1;
    assert_eq!(seal_pin(&challenge, &identity.pin(), b"1234"), Err(BoxError::Statement));
    challenge.signature = other.sign(&challenge.statement);
    assert_eq!(seal_pin(&challenge, &identity.pin(), b"1234"), Err(BoxError::Statement));
    challenge.statement = b"something else that was signed".to_vec();
    challenge.signature = identity.sign(&challenge.statement);
    assert_eq!(seal_pin(&challenge, &identity.pin(), b"1234"), Err(BoxError::Statement));
}

#[test]
fn only_a_whole_statement_is_one() {
    let good = statement(&JournalId("0a".repeat(16)), &[9; 32]);
    assert!(is_statement(&good));
    for length in 0..good.len() {
        assert!(!is_statement(&good[..length]));
    }
    assert!(!is_statement(&[&good[..], b"x"].concat()));
    assert!(!is_statement(&[&[b' '; 64][..], b"TLS 1.3, server CertificateVerify\0", &[1; 32]].concat()));
}

#[test]
fn wrong_pins_are_counted_before_they_are_tried_and_over_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let attempts = Attempts::open(folder.path()).unwrap();
    assert_eq!(attempts.wrong(), 0);
    attempts.begin().unwrap();
    attempts.begin().unwrap();
    assert_eq!(Attempts::open(folder.path()).unwrap().wrong(), 2);
    attempts.begin().unwrap();
    attempts.not_judged();
    assert_eq!(Attempts::open(folder.path()).unwrap().wrong(), 2);
    attempts.right();
    assert_eq!((attempts.wrong(), Attempts::open(folder.path()).unwrap().wrong()), (0, 0));
}

#[test]
fn an_attempt_that_cannot_be_counted_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let attempts = Attempts::open(folder.path()).unwrap();
    std::fs::create_dir(folder.path().join("wrong-pins.new")).unwrap();
    assert!(attempts.begin().is_err());
    assert_eq!(attempts.wrong(), 0);
}

#[test]
fn a_damaged_count_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("wrong-pins"), "many").unwrap();
    assert!(Attempts::open(folder.path()).err().unwrap().to_string().contains("write how many"));
}

/// A supervisor whose other end the test reads.
fn supervisor() -> (Supervisor, UnixDatagram) {
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    (Supervisor::with(Some(ours)), theirs)
}

/// One message, and the descriptor that came with it.
fn receive(socket: &UnixDatagram) -> (String, Option<OwnedFd>) {
    use nix::sys::socket::{ControlMessageOwned, MsgFlags, UnixAddr, recvmsg};
    use std::os::fd::AsRawFd;
    let mut buffer = [0; 512];
    let mut space = nix::cmsg_space!(std::os::fd::RawFd);
    let mut parts = [std::io::IoSliceMut::new(&mut buffer)];
    let message =
        recvmsg::<UnixAddr>(socket.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC).unwrap();
    let descriptor = message.cmsgs().unwrap().find_map(|control| match control {
        ControlMessageOwned::ScmRights(descriptors) => {
            // The number is opened again through /proc, so that nothing unsafe is needed to own it.
            let path = format!("/proc/self/fd/{}", descriptors[0]);
            let owned = std::fs::File::options().read(true).write(true).open(path).unwrap().into();
            nix::unistd::close(descriptors[0]).unwrap();
            Some(owned)
        }
        _ => None,
    });
    let length = message.bytes;
    (String::from_utf8(buffer[..length].to_vec()).unwrap(), descriptor)
}

fn pin(text: &str) -> Pin {
    Pin(Zeroizing::new(text.as_bytes().to_vec()))
}

#[test]
fn a_kept_pin_comes_back_after_a_restart_and_is_pushed_once() {
    let (supervisor, systemd) = supervisor();
    let store = DescriptorStore::new(None, &supervisor).unwrap();
    assert!(store.pin().unwrap().is_none());
    store.keep(&pin("first"), &supervisor).unwrap();
    let (message, descriptor) = receive(&systemd);
    assert_eq!(message, "FDSTORE=1\nFDNAME=unseal");

    let again = DescriptorStore::new(descriptor, &supervisor).unwrap();
    assert_eq!(text(&again.pin().unwrap().unwrap()), b"first");
    again.keep(&pin("second, longer"), &supervisor).unwrap();
    assert_eq!(text(&store.pin().unwrap().unwrap()), b"second, longer");
    again.keep(&pin("3"), &supervisor).unwrap();
    assert_eq!(text(&store.pin().unwrap().unwrap()), b"3");
    systemd.set_nonblocking(true).unwrap();
    assert!(systemd.recv(&mut [0; 64]).is_err(), "the secret was pushed a second time");
}

#[test]
fn wiping_leaves_zeros_and_empties_the_store() {
    let (supervisor, systemd) = supervisor();
    let store = DescriptorStore::new(None, &supervisor).unwrap();
    store.keep(&pin("secret"), &supervisor).unwrap();
    let kept = std::fs::File::from(receive(&systemd).1.unwrap());
    store.wipe(&supervisor).unwrap();
    assert_eq!(receive(&systemd).0, "FDSTOREREMOVE=1\nFDNAME=unseal");
    let mut bytes = vec![1; 512];
    kept.read_exact_at(&mut bytes, 0).unwrap();
    assert!(bytes.iter().all(|byte| *byte == 0));
    let again = DescriptorStore::new(Some(kept.into()), &supervisor).unwrap();
    assert!(again.pin().unwrap().is_none(), "a zero memfd means sealed");
}

#[test]
fn the_secret_cannot_be_resized() {
    let (supervisor, systemd) = supervisor();
    DescriptorStore::new(None, &supervisor).unwrap().keep(&pin("secret"), &supervisor).unwrap();
    let kept = std::fs::File::from(receive(&systemd).1.unwrap());
    assert!(kept.set_len(10).is_err());
    assert!(kept.set_len(1000).is_err());
}

#[test]
fn a_descriptor_that_is_not_ours_is_dropped_from_the_store() {
    let (supervisor, systemd) = supervisor();
    let foreign = tempfile::tempfile().unwrap();
    foreign.set_len(512).unwrap();
    foreign.write_all_at(b"\x04evil", 0).unwrap();
    let store = DescriptorStore::new(Some(foreign.into()), &supervisor).unwrap();
    assert!(store.pin().unwrap().is_none());
    assert_eq!(receive(&systemd).0, "FDSTOREREMOVE=1\nFDNAME=unseal");
}

#[test]
fn the_barrier_waits_until_systemd_closes_its_end() {
    let (supervisor, systemd) = supervisor();
    let waiting = std::thread::spawn(move || supervisor.barrier());
    let (message, descriptor) = receive(&systemd);
    assert_eq!(message, "BARRIER=1");
    assert!(descriptor.is_some());
    assert!(!waiting.is_finished());
    let closed = std::time::Instant::now();
    drop(descriptor);
    waiting.join().unwrap();
    assert!(closed.elapsed() < std::time::Duration::from_secs(4), "the barrier ended by its deadline only");
}

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use policy::effects::{Clock, Entropy, EntropyError};

use super::writer::{Draft, Medium, RESERVE};
use super::*;

struct TestClock(AtomicU64);

impl Clock for TestClock {
    fn now(&self) -> UnixTime {
        UnixTime(self.0.load(Ordering::Relaxed))
    }
}

struct TestEntropy;

impl Entropy for TestEntropy {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
        out.fill(0xab);
        Ok(())
    }
}

fn open(directory: &Path) -> Result<Writer, OpenError> {
    Writer::open(directory, Arc::new(TestClock(AtomicU64::new(1_700_000_000))), &mut TestEntropy)
}

#[test]
fn a_clock_that_stepped_back_is_not_forgotten_when_an_entry_is_written() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).unwrap().append(step("before"), "console", "r").unwrap();
    let clock = Arc::new(TestClock(AtomicU64::new(1_600_000_000)));
    let mut writer = Writer::open(folder.path(), clock, &mut TestEntropy).unwrap();
    writer.append(step("after"), "signer", "").unwrap();
    assert_eq!(writer.at(), UnixTime(1_700_000_000));
}

#[test]
fn a_clock_that_stepped_back_is_not_forgotten_after_a_second_restart() {
    for segment_limit in [u64::MAX, 1] {
        let folder = tempfile::tempdir().unwrap();
        open(folder.path()).unwrap().append(step("before"), "console", "r").unwrap();
        let reopen = || {
            let clock = Arc::new(TestClock(AtomicU64::new(1_600_000_000)));
            Writer::open(folder.path(), clock, &mut TestEntropy).unwrap()
        };
        let mut writer = reopen();
        writer.append(step("after"), "signer", "").unwrap();
        // With a limit of one byte the next entry begins a segment.
        writer.segment_limit = segment_limit;
        writer.append(step("and once more"), "signer", "").unwrap();
        drop(writer);
        assert_eq!(reopen().at(), UnixTime(1_700_000_000), "{segment_limit}");
    }
}

#[test]
fn a_segment_that_is_still_empty_does_not_hide_when_the_last_entry_was_written() {
    let folder = tempfile::tempdir().unwrap();
    journal_of(folder.path(), 3, u64::MAX);
    // The process ended between making the segment and writing to it.
    fs::write(folder.path().join("journal-00000000000000000004.log"), "").unwrap();
    let writer = open(folder.path()).unwrap();
    assert_eq!((writer.last(), writer.at()), (3, UnixTime(1_700_000_000)));
}

fn step(text: &str) -> Event {
    Event::Ceremony { step: text.to_owned() }
}

fn certificate() -> Event {
    Event::Certificate {
        certificate: vec![0x30; 700],
        profile: "server".to_owned(),
        profile_sha256: "00".repeat(32),
        issuer: "issuing-1".to_owned(),
        record: AuthorizationRecord {
            actor: "acme:1".to_owned(),
            request_id: "r1".to_owned(),
            order: None,
            subject: None,
            replaces: None,
            node: None,
            requester: None,
            names: Vec::new(),
        },
    }
}

/// A journal of a few entries over several segments.
fn journal_of(directory: &Path, entries: u64, segment_limit: u64) {
    let mut writer = open(directory).unwrap();
    writer.segment_limit = segment_limit;
    for number in 2..=entries {
        assert_eq!(writer.append(step(&format!("step {number}")), "console", "r"), Ok(number));
    }
}

/// The file of a disk, with a count of its syncs and an error that can be switched on.
struct TestMedium {
    file: fs::File,
    disk: Arc<Disk>,
}

#[derive(Default)]
struct Disk {
    syncs: AtomicUsize,
    write_error: Mutex<Option<i32>>,
    sync_error: Mutex<Option<i32>>,
    /// Held by a test that wants commits to wait.
    gate: Mutex<()>,
}

impl Medium for TestMedium {
    fn write_at(&self, bytes: &[u8], offset: u64) -> std::io::Result<()> {
        match *self.disk.write_error.lock().unwrap() {
            None => self.file.write_at(bytes, offset),
            Some(errno) => {
                // A disk fills in the middle of a line.
                self.file.write_at(&bytes[..bytes.len() / 2], offset)?;
                Err(std::io::Error::from_raw_os_error(errno))
            }
        }
    }

    fn sync(&self) -> std::io::Result<()> {
        drop(self.disk.gate.lock().unwrap());
        self.disk.syncs.fetch_add(1, Ordering::Relaxed);
        match *self.disk.sync_error.lock().unwrap() {
            None => self.file.sync(),
            Some(errno) => Err(std::io::Error::from_raw_os_error(errno)),
        }
    }

    fn truncate(&self, length: u64) -> std::io::Result<()> {
        self.file.truncate(length)
    }
}

fn on_test_disk(writer: &mut Writer, directory: &Path) -> Arc<Disk> {
    let disk = Arc::new(Disk::default());
    let path = segment::path(directory, *segment::list(directory).unwrap().last().unwrap());
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    writer.medium = Box::new(TestMedium { file, disk: Arc::clone(&disk) });
    disk
}

#[test]
fn a_new_journal_begins_with_its_name_and_format_and_keeps_them() {
    let folder = tempfile::tempdir().unwrap();
    let id = open(folder.path()).unwrap().id().clone();
    assert_eq!(id, JournalId("ab".repeat(16)));
    let again = open(folder.path()).unwrap();
    assert_eq!((again.id(), again.last()), (&id, 1));
    let summary = verify(folder.path()).unwrap();
    assert_eq!((summary.journal, summary.entries, summary.torn), (id, 1, 0));
}

#[test]
fn a_line_can_be_checked_without_a_tool_of_ours() {
    let folder = tempfile::tempdir().unwrap();
    journal_of(folder.path(), 3, u64::MAX);
    let text = fs::read_to_string(segment::path(folder.path(), 1)).unwrap();
    let mut previous = [0; 32];
    for (line, seq) in text.lines().zip(1..) {
        let mut input = previous.to_vec();
        input.extend_from_slice(&line.as_bytes()[65..]);
        previous = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &input).as_ref().try_into().unwrap();
        let digits: String = previous.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(&line[..65], format!("{digits} "));
        assert_eq!(serde_json::from_str::<Entry>(&line[65..]).unwrap().seq, seq);
    }
}

#[test]
fn two_writers_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let writer = open(folder.path()).unwrap();
    assert!(matches!(open(folder.path()), Err(OpenError::Locked(_))));
    drop(writer);
    assert!(open(folder.path()).is_ok());
}

#[test]
fn a_torn_tail_is_cut_at_every_byte_offset() {
    let folder = tempfile::tempdir().unwrap();
    journal_of(folder.path(), 3, u64::MAX);
    let path = segment::path(folder.path(), 1);
    let whole = fs::read(&path).unwrap();
    let ends: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] == b'\n').map(|at| at + 1).collect();
    for length in 0..=whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let entries = ends.iter().filter(|end| **end <= length).count() as u64;
        let mut writer = open(folder.path()).unwrap();
        assert_eq!(writer.last(), entries.max(1), "cut at {length}");
        let next = writer.append(step("after the cut"), "console", "r").unwrap();
        assert_eq!(next, entries.max(1) + 1);
        drop(writer);
        assert_eq!(verify(folder.path()).unwrap().entries, next, "cut at {length}");
    }
}

#[test]
fn a_torn_tail_is_cut_in_a_later_segment_too() {
    let folder = tempfile::tempdir().unwrap();
    journal_of(folder.path(), 5, 1);
    let path = segment::path(folder.path(), 5);
    let whole = fs::read(&path).unwrap();
    for length in 0..=whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let last = if length == whole.len() { 5 } else { 4 };
        assert_eq!(open(folder.path()).unwrap().last(), last, "cut at {length}");
        let kept = fs::read(&path).unwrap();
        assert_eq!(kept.len(), if last == 5 { whole.len() } else { 0 });
    }
}

#[test]
fn a_flip_of_any_byte_is_found_and_located() {
    let folder = tempfile::tempdir().unwrap();
    journal_of(folder.path(), 6, 600);
    let segments = segment::list(folder.path()).unwrap();
    assert!(segments.len() > 1);
    for first in segments {
        let path = segment::path(folder.path(), first);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let line = 1 + whole[..at].iter().filter(|byte| **byte == b'\n').count() as u64;
            for bit in [0x01, 0x20, 0x80] {
                let mut damaged = whole.clone();
                damaged[at] ^= bit;
                fs::write(&path, &damaged).unwrap();
                let bad = verify(folder.path()).unwrap_err();
                assert_eq!((bad.segment, bad.line, bad.seq), (segment::name(first), line, first + line - 1));
            }
        }
        fs::write(&path, whole).unwrap();
    }
    verify(folder.path()).unwrap();
}

#[test]
fn a_flip_in_the_last_segment_stops_the_writer_and_nothing_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    journal_of(folder.path(), 4, u64::MAX);
    let path = segment::path(folder.path(), 1);
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        fs::write(&path, &damaged).unwrap();
        let error = open(folder.path()).err().unwrap();
        assert!(error.to_string().contains("journal-00000000000000000001.log:"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), damaged);
    }
}

#[test]
fn a_missing_segment_is_named() {
    let folder = tempfile::tempdir().unwrap();
    journal_of(folder.path(), 5, 1);
    fs::remove_file(segment::path(folder.path(), 3)).unwrap();
    assert_eq!(verify(folder.path()).unwrap_err().segment, segment::name(3));
    fs::remove_file(segment::path(folder.path(), 4)).unwrap();
    assert!(matches!(open(folder.path()), Err(OpenError::Damaged(bad)) if bad.seq == 3));
    fs::remove_file(segment::path(folder.path(), 1)).unwrap();
    assert!(matches!(open(folder.path()), Err(OpenError::Damaged(_))));
}

#[test]
fn a_newer_format_is_refused_with_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let json = br#"{"seq":1,"when":"2031","event":{"type":"opened","journal":"x","format":2}}"#;
    let hash = segment::hexadecimal(&segment::link(&segment::START, json));
    let line = [&hash[..], b" ", json, b"\n"].concat();
    fs::write(segment::path(folder.path(), 1), line).unwrap();
    let error = open(folder.path()).err().unwrap();
    assert!(matches!(error, OpenError::Newer(_)));
    assert!(error.to_string().contains("install a newer version"));
    assert!(verify(folder.path()).unwrap_err().why.contains("install a newer version"));
}

#[test]
fn many_appends_share_few_syncs() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = open(folder.path()).unwrap();
    let disk = on_test_disk(&mut writer, folder.path());
    let journal = Journal::start(writer).unwrap();
    let (sender, receiver) = mpsc::channel();
    {
        let _gate = disk.gate.lock().unwrap();
        for number in 0..500 {
            let sender = sender.clone();
            journal.append(certificate(), "a".to_owned(), format!("r{number}"), move |written| {
                sender.send((number, written)).unwrap();
            });
        }
    }
    let answers: Vec<_> = receiver.iter().take(500).collect();
    for (number, written) in answers {
        assert_eq!(written, Ok(number + 2));
    }
    let syncs = disk.syncs.load(Ordering::Relaxed);
    assert!(syncs <= 3, "{syncs} syncs");
    assert_eq!(journal.last(), 501);
    drop(journal);
    assert_eq!(verify(folder.path()).unwrap().entries, 501);
}

#[test]
fn nothing_is_acknowledged_before_its_sync() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = open(folder.path()).unwrap();
    let disk = on_test_disk(&mut writer, folder.path());
    let journal = Journal::start(writer).unwrap();
    let (sender, receiver) = mpsc::channel();
    let gate = disk.gate.lock().unwrap();
    journal.append(step("x"), String::new(), String::new(), move |written| sender.send(written).unwrap());
    assert_eq!(receiver.recv_timeout(Duration::from_millis(50)), Err(mpsc::RecvTimeoutError::Timeout));
    assert_eq!(journal.last(), 1);
    assert_eq!(journal.after(0).unwrap().lines.len(), 1);
    assert!(journal.busy().is_some());
    drop(gate);
    assert_eq!(receiver.recv(), Ok(Ok(2)));
}

#[test]
fn closing_writes_what_waits_and_refuses_what_comes_later() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::start(open(folder.path()).unwrap()).unwrap();
    let (sender, receiver) = mpsc::channel();
    for _ in 0..100 {
        let sender = sender.clone();
        journal.append(step("x"), String::new(), String::new(), move |written| sender.send(written).unwrap());
    }
    journal.close();
    assert_eq!(receiver.try_iter().filter(Result::is_ok).count(), 100);
    assert_eq!(journal.append_and_wait(step("late"), String::new(), String::new()), Err(WriteError::Closed));
}

#[test]
fn a_failed_sync_acknowledges_nothing_until_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = open(folder.path()).unwrap();
    let disk = on_test_disk(&mut writer, folder.path());
    *disk.sync_error.lock().unwrap() = Some(nix::libc::EIO);
    assert!(matches!(writer.append(certificate(), "a", "r"), Err(WriteError::Faulted(_))));
    *disk.sync_error.lock().unwrap() = None;
    assert!(matches!(writer.append(step("act"), "a", "r"), Err(WriteError::Faulted(_))));
    writer.recover();
    assert!(matches!(writer.append(step("act"), "a", "r"), Err(WriteError::Faulted(_))));
    assert_eq!(writer.last(), 1);
    assert!(writer.published.state().fault.as_ref().unwrap().contains("restart the signer"));
    drop(writer);
    // The entry is on this disk, though nobody was told: whoever reads the journal learns of it.
    assert_eq!(open(folder.path()).unwrap().last(), 2);
}

#[test]
fn a_full_disk_stops_signatures_and_not_acts_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = open(folder.path()).unwrap();
    let reserve = folder.path().join("reserve");
    assert_eq!(fs::metadata(&reserve).unwrap().len(), RESERVE);
    let disk = on_test_disk(&mut writer, folder.path());
    let path = segment::path(folder.path(), 1);
    let before = fs::read(&path).unwrap();

    *disk.write_error.lock().unwrap() = Some(nix::libc::ENOSPC);
    assert!(matches!(writer.append(certificate(), "a", "r"), Err(WriteError::Full(_))));
    assert_eq!(fs::read(&path).unwrap(), before, "half a line was left");
    assert!(!reserve.exists(), "the reserve was kept");
    assert!(matches!(writer.append(step("no space at all"), "a", "r"), Err(WriteError::Full(_))));

    // The space of the reserve serves acts, and acts only.
    *disk.write_error.lock().unwrap() = None;
    let draft = |event| Draft { event, actor: "a".to_owned(), request_id: "r".to_owned() };
    let answers = writer.commit(&[
        draft(certificate()),
        draft(Event::Sealed),
        draft(Event::Counted { handshakes: 1, secrets: 0 }),
    ]);
    assert!(matches!(answers[..], [Err(WriteError::Full(_)), Ok(2), Err(WriteError::Full(_))]), "{answers:?}");
    assert!(writer.published.state().fault.is_some());

    writer.recover();
    assert!(reserve.exists());
    assert_eq!(writer.append(certificate(), "a", "r"), Ok(3));
    assert_eq!(writer.published.state().fault, None);
    drop(writer);
    assert_eq!(verify(folder.path()).unwrap().entries, 3);
}

#[test]
fn on_a_full_disk_what_tells_of_revocation_uses_half_of_the_reserve_and_acts_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = open(folder.path()).unwrap();
    let disk = on_test_disk(&mut writer, folder.path());
    *disk.write_error.lock().unwrap() = Some(nix::libc::ENOSPC);
    assert!(matches!(writer.append(certificate(), "a", "r"), Err(WriteError::Full(_))));
    *disk.write_error.lock().unwrap() = None;
    let batch = || Event::Ocsp { key: "ocsp-1".to_owned(), sha256: vec!["a".repeat(43); 1900] };
    let mut batches = 0;
    while writer.append(batch(), "a", "r").is_ok() {
        batches += 1;
    }
    let used = batches * serde_json::to_vec(&batch()).unwrap().len() as u64;
    assert!((RESERVE / 2..RESERVE / 2 + 3 * MAX_LINE as u64).contains(&(used + batches * 200)), "{used}");
    assert!(matches!(writer.append(crl("all", 7), "a", "r"), Err(WriteError::Full(_))));
    assert!(
        writer
            .append(
                Event::Revoked { serials: Vec::new(), reason: None, at: UnixTime(1), invalidity_date: None },
                "a",
                "r"
            )
            .is_ok()
    );
    writer.recover();
    assert!(writer.append(batch(), "a", "r").is_ok());
    assert!(writer.append(crl("all", 7), "a", "r").is_ok());
}

#[test]
fn a_full_disk_is_looked_at_again_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = open(folder.path()).unwrap();
    let disk = on_test_disk(&mut writer, folder.path());
    let journal = Journal::start(writer).unwrap();
    *disk.write_error.lock().unwrap() = Some(nix::libc::ENOSPC);
    let written = journal.append_and_wait(certificate(), String::new(), String::new());
    assert!(matches!(written, Err(WriteError::Full(_))));
    assert!(journal.fault().is_some());
    *disk.write_error.lock().unwrap() = None;
    let end = Instant::now() + Duration::from_secs(20);
    while journal.fault().is_some() {
        assert!(Instant::now() < end, "the journal did not recover");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(journal.append_and_wait(certificate(), String::new(), String::new()), Ok(2));
}

#[test]
fn an_entry_larger_than_a_line_is_refused_and_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = open(folder.path()).unwrap();
    assert_eq!(writer.append(step(&"x".repeat(MAX_LINE)), "a", "r"), Err(WriteError::TooLarge));
    assert_eq!(writer.append(step("small"), "a", "r"), Ok(2));
    drop(writer);
    assert_eq!(verify(folder.path()).unwrap().entries, 2);
}

#[test]
fn a_reader_gets_every_entry_once_in_order_over_all_segments() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = open(folder.path()).unwrap();
    writer.segment_limit = 900;
    for _ in 2..=40 {
        writer.append(step("x"), "a", "r").unwrap();
    }
    assert!(segment::list(folder.path()).unwrap().len() > 5);
    for budget in [1, 500, 5_000, 500_000] {
        let mut seen = 0;
        loop {
            let tail = writer.published.after(seen, budget).unwrap();
            assert_eq!(tail.last, 40);
            assert!(tail.lines.len() == 1 || tail.lines.iter().map(String::len).sum::<usize>() <= budget);
            for line in &tail.lines {
                seen += 1;
                assert_eq!(serde_json::from_str::<Entry>(&line[65..]).unwrap().seq, seen);
            }
            if tail.lines.is_empty() {
                break;
            }
        }
        assert_eq!(seen, 40);
    }
    for after in (0..45).rev() {
        let tail = writer.published.after(after, 1).unwrap();
        let seqs: Vec<u64> =
            tail.lines.iter().map(|line| serde_json::from_str::<Entry>(&line[65..]).unwrap().seq).collect();
        assert_eq!(seqs, if after < 40 { vec![after + 1] } else { Vec::new() });
    }
}

#[test]
fn the_longest_answer_fits_a_frame() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = open(folder.path()).unwrap();
    for length in [MAX_LINE - 300, 100, 20_000, 20_000, 20_000, MAX_LINE - 300] {
        writer.append(step(&"x".repeat(length)), "a", "r").unwrap();
    }
    let journal = Journal::start(writer).unwrap();
    let mut seen = 0;
    while seen < 7 {
        let Tail { lines, last } = journal.after(seen).unwrap();
        seen += lines.len() as u64;
        let reply = crate::wire::Reply { id: u64::MAX, result: Ok(crate::wire::Response::Journal { lines, last }) };
        crate::wire::encode(&reply, &mut Vec::new()).unwrap();
    }
}

fn crl(scope: &str, number: u64) -> Event {
    Event::Crl {
        issuer: "issuing-1".to_owned(),
        scope: scope.parse().unwrap(),
        number,
        base: None,
        this_update: UnixTime(1),
        next_update: UnixTime(2),
        entries: 0,
        sha256: String::new(),
    }
}

#[test]
fn the_numbers_of_crls_are_known_however_many_segments_follow() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = open(folder.path()).unwrap();
    writer.segment_limit = 1;
    for (scope, number) in [("all", 7), ("1-of-2", 5), ("all", 9)] {
        writer.append(crl(scope, number), "signetd", "r").unwrap();
    }
    for _ in 0..5 {
        writer.append(step("later"), "console", "r").unwrap();
    }
    let before = writer.memory().numbers.clone();
    drop(writer);
    assert_eq!(before.get("issuing-1", "all".parse().unwrap()).complete, 9);
    assert_eq!(before.get("issuing-1", "1-of-2".parse().unwrap()).complete, 5);
    let mut writer = open(folder.path()).unwrap();
    assert_eq!(writer.memory().numbers, before);
    writer.append(crl("2-of-2", 11), "signetd", "r").unwrap();
    drop(writer);
    let writer = open(folder.path()).unwrap();
    assert_eq!(writer.memory().numbers.get("issuing-1", "2-of-2".parse().unwrap()).complete, 11);
    drop(writer);
    verify(folder.path()).unwrap();
}

#[test]
fn numbers_that_a_crash_cut_off_are_carried_over_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = open(folder.path()).unwrap();
    writer.append(crl("all", 7), "signetd", "r").unwrap();
    writer.segment_limit = 1;
    let first = writer.append(step("later"), "console", "r").unwrap();
    drop(writer);
    // The segment was made, and nothing in it survived.
    let path = super::segment::path(folder.path(), first - 1);
    fs::write(&path, "").unwrap();
    for _ in 0..2 {
        let mut writer = open(folder.path()).unwrap();
        assert_eq!(writer.memory().numbers.get("issuing-1", "all".parse().unwrap()).complete, 7);
        writer.append(step("once more"), "console", "r").unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.matches("\"type\":\"numbers\"").count(), 1, "{text}");
    }
}

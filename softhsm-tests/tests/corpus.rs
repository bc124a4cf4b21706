//! The corpus of every fuzz target, replayed through the same functions, and each seed again in
//! damaged forms.

use softhsm_tests::fuzz::{TARGETS, Target, Verdict};

#[test]
fn every_file_of_every_corpus_keeps_the_properties() {
    for target in TARGETS {
        let files: Vec<_> = std::fs::read_dir(target.corpus()).expect("a corpus").flatten().collect();
        assert!(!files.is_empty(), "{} has no corpus: run `cargo run -p softhsm-tests --bin corpus`", target.name);
        let mut accepted = 0;
        for file in files {
            let bytes = std::fs::read(file.path()).expect("a file of the corpus");
            accepted += usize::from((target.check)(&bytes) == Verdict::Accepted);
        }
        assert!(accepted > 0, "{} accepts nothing of its corpus", target.name);
    }
}

#[test]
fn seeds_are_accepted_and_damaged_seeds_keep_the_properties() {
    for target in TARGETS {
        for (name, seed) in target.seeds() {
            assert_eq!((target.check)(&seed), Verdict::Accepted, "{} {name}", target.name);
            damage(&target, &seed);
        }
    }
}

/// Cut short, lengthened, with an octet changed, and with a part of it twice.
fn damage(target: &Target, seed: &[u8]) {
    // Large seeds are sampled, so that the whole stays short.
    let step = (seed.len() / 200).max(1);
    for at in (0..seed.len()).step_by(step) {
        (target.check)(&seed[..at]);
        for value in [0x00, 0x22, 0x7f, 0x80, 0xff, seed[at] ^ 1, seed[at].wrapping_add(1)] {
            let mut changed = seed.to_vec();
            changed[at] = value;
            (target.check)(&changed);
        }
        (target.check)(&[&seed[..at], &seed[at / 2..]].concat());
    }
    (target.check)(&[seed, &[0]].concat());
}

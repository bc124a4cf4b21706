#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    softhsm_tests::fuzz::crl(bytes);
});

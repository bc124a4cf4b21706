//! The key ceremony: tokens, keys, certificates, the first administrator, the transcript.

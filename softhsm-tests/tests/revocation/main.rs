//! CRLs and OCSP as strangers see them: OpenSSL, GnuTLS, NSS and pkilint judge what is served, while
//! certificates are revoked, the strongbox is sealed, clocks are set, the token and the disk's room are
//! gone, and `signetd` dies.

mod activation;
mod acts;
mod answers;
mod many;
mod published;
mod scene;
mod trouble;

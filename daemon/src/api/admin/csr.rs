//! A CSR in a JSON body.

use rustls::pki_types::CertificateSigningRequestDer;
use rustls::pki_types::pem::PemObject as _;

use super::failure;
use crate::problem::Problem;
use crate::service::Failure;
use crate::service::administrators::SoundCsr;

/// Reads a CSR, PEM, and checks its proof of possession.
pub(super) fn read(pem: &str) -> Result<SoundCsr, Problem> {
    let bad = |why: String| failure::problem(Failure::Invalid(why));
    let der = CertificateSigningRequestDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| bad("`csr` holds no CERTIFICATE REQUEST block: make one with `openssl req -new`".to_owned()))?;
    SoundCsr::new(der.to_vec()).map_err(|error| bad(error.to_string()))
}

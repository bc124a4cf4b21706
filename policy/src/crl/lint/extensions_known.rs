//! A CRL has the extensions of RFC 5280 section 5.2 that Signet writes, each once, critical where it
//! must be and nowhere else.
//!
//! Effective since May 2008.

use const_oid::db::rfc5280::{
    ID_CE_AUTHORITY_KEY_IDENTIFIER, ID_CE_CRL_NUMBER, ID_CE_DELTA_CRL_INDICATOR, ID_CE_FRESHEST_CRL,
    ID_CE_ISSUING_DISTRIBUTION_POINT,
};

use super::{Lint, Subject, ensure};

pub(super) const LINT: Lint = Lint { name: "extensions_known", rule: "RFC 5280 section 5.2", check };

fn check(subject: &Subject<'_>) -> Result<(), String> {
    let extensions = subject.raw.extensions();
    for (index, extension) in extensions.iter().enumerate() {
        let oid = extension.extn_id;
        let must_be_critical = match oid {
            ID_CE_AUTHORITY_KEY_IDENTIFIER | ID_CE_CRL_NUMBER | ID_CE_FRESHEST_CRL => false,
            ID_CE_DELTA_CRL_INDICATOR | ID_CE_ISSUING_DISTRIBUTION_POINT => true,
            _ => return Err(format!("the extension {oid} is none that Signet writes")),
        };
        ensure(extension.critical == must_be_critical, format!("the extension {oid} has the wrong criticality"))?;
        let twice = extensions[..index].iter().any(|other| other.extn_id == oid);
        ensure(!twice, format!("the extension {oid} stands twice"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use x509_cert::ext::pkix::BasicConstraints;

    use super::*;
    use crate::crl::lint::fixture;

    #[test]
    fn complete_delta_and_shard_pass() {
        for crl in [fixture::complete(), fixture::delta(), fixture::shard()] {
            crl.passes(&LINT);
        }
    }

    #[test]
    fn a_foreign_extension_fails() {
        let value = BasicConstraints { ca: true, path_len_constraint: None };
        fixture::complete().with_value(&value).fails(&LINT, "2.5.29.19");
    }

    #[test]
    fn a_critical_number_and_a_shard_that_is_not_fail() {
        let flip = |oid| {
            move |all: &mut Vec<x509_cert::ext::Extension>| {
                let extension = all.iter_mut().find(|extension| extension.extn_id == oid).unwrap();
                extension.critical = !extension.critical;
            }
        };
        fixture::complete().with_extensions(flip(ID_CE_CRL_NUMBER)).fails(&LINT, "criticality");
        fixture::shard().with_extensions(flip(ID_CE_ISSUING_DISTRIBUTION_POINT)).fails(&LINT, "criticality");
    }

    #[test]
    fn two_numbers_fail() {
        let double = |all: &mut Vec<x509_cert::ext::Extension>| {
            let number = all.iter().find(|extension| extension.extn_id == ID_CE_CRL_NUMBER).unwrap().clone();
            all.push(number);
        };
        fixture::complete().with_extensions(double).fails(&LINT, "twice");
    }
}

//! The subject of a CA certificate.

use serde::{Deserialize, Serialize};

use crate::profile;

/// The distinguished name of an authority, in the order in which it is encoded: country, state, locality,
/// organization, organizational unit, common name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "SubjectFields", into = "SubjectFields")]
pub struct Subject(SubjectFields);

/// The same as it is written, before anybody has looked at it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubjectFields {
    /// commonName
    pub common_name: String,
    /// countryName: two capital letters, ISO 3166
    #[serde(default)]
    pub country: Option<String>,
    /// stateOrProvinceName
    #[serde(default)]
    pub state: Option<String>,
    /// localityName
    #[serde(default)]
    pub locality: Option<String>,
    /// organizationName
    #[serde(default)]
    pub organization: Option<String>,
    /// organizationalUnitName
    #[serde(default)]
    pub organizational_unit: Option<String>,
}

/// The text cannot stand in a subject.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// The country is not one.
    #[error("the country is not two capital letters, as ISO 3166 has them: write `DE`")]
    Country,
    /// Another field.
    #[error("the {0} does not have 1 to 64 printable characters, none at the ends a space")]
    Text(&'static str),
}

impl Subject {
    /// Checks each field (RFC 5280 appendix A.1, upper bounds).
    pub fn new(fields: SubjectFields) -> Result<Self, SubjectError> {
        let is_country = |text: &String| text.len() == 2 && text.bytes().all(|octet| octet.is_ascii_uppercase());
        if !fields.country.as_ref().is_none_or(is_country) {
            return Err(SubjectError::Country);
        }
        let texts = [
            ("common name", Some(&fields.common_name)),
            ("state", fields.state.as_ref()),
            ("locality", fields.locality.as_ref()),
            ("organization", fields.organization.as_ref()),
            ("organizational unit", fields.organizational_unit.as_ref()),
        ];
        for (what, text) in texts {
            if !text.is_none_or(|text| profile::is_common_name(text)) {
                return Err(SubjectError::Text(what));
            }
        }
        Ok(Self(fields))
    }

    /// Its fields.
    pub fn fields(&self) -> &SubjectFields {
        &self.0
    }
}

impl TryFrom<SubjectFields> for Subject {
    type Error = SubjectError;

    fn try_from(fields: SubjectFields) -> Result<Self, SubjectError> {
        Self::new(fields)
    }
}

impl From<Subject> for SubjectFields {
    fn from(subject: Subject) -> Self {
        subject.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_is_bounded_and_named_when_it_is_wrong() {
        let fields = SubjectFields { common_name: "Example CA".to_owned(), ..SubjectFields::default() };
        assert!(Subject::new(fields.clone()).is_ok());
        let country = |country: &str| SubjectFields { country: Some(country.to_owned()), ..fields.clone() };
        assert!(Subject::new(country("DE")).is_ok());
        for wrong in ["", "de", "DEU", "D1", "ÄÖ"] {
            assert_eq!(Subject::new(country(wrong)), Err(SubjectError::Country), "{wrong}");
        }
        for wrong in [String::new(), " a".to_owned(), "a\nb".to_owned(), "a".repeat(65)] {
            let common_name = SubjectFields { common_name: wrong.clone(), ..fields.clone() };
            assert_eq!(Subject::new(common_name), Err(SubjectError::Text("common name")));
            let locality = SubjectFields { locality: Some(wrong), ..fields.clone() };
            assert_eq!(Subject::new(locality), Err(SubjectError::Text("locality")));
        }
    }
}

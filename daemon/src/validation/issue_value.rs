//! The issue-value of RFC 8659 section 4.2, which CAA records and dns-persist-01 share.

/// An issue-value that is well-formed, its parameters in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssueValue {
    issuer: Option<String>,
    parameters: Vec<(String, String)>,
}

/// The value breaks the grammar, or names a parameter twice; the words say what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

impl IssueValue {
    /// Parses a value by the grammar of RFC 8659 section 4.2, to the letter. A parameter that stands
    /// twice is refused, too: nobody can say which one is meant.
    pub fn parse(value: &[u8]) -> Result<Self, Malformed> {
        let text = std::str::from_utf8(value).ok().filter(|text| text.is_ascii());
        let text = text.ok_or(Malformed("it is not ASCII"))?;
        let (issuer, rest) = match text.split_once(';') {
            Some((issuer, rest)) => (issuer, Some(rest)),
            None => (text, None),
        };
        let issuer = trim(issuer);
        if !issuer.is_empty() && !issuer.split('.').all(is_label) {
            return Err(Malformed("the issuer is not a domain name"));
        }
        let mut parameters: Vec<(String, String)> = Vec::new();
        let rest = rest.map(trim).filter(|rest| !rest.is_empty());
        for parameter in rest.into_iter().flat_map(|rest| rest.split(';')) {
            let (tag, value) = trim(parameter).split_once('=').ok_or(Malformed("a parameter is not `tag=value`"))?;
            let (tag, value) = (trim(tag), trim(value));
            if !is_label(tag) {
                return Err(Malformed("a parameter's tag is not letters, digits and hyphens"));
            }
            // %x21-3A / %x3C-7E: graphic characters but the semicolon, which was split at.
            if !value.bytes().all(|octet| octet.is_ascii_graphic()) {
                return Err(Malformed("a parameter's value has a character that may not stand there"));
            }
            let tag = tag.to_ascii_lowercase();
            if parameters.iter().any(|(other, _)| *other == tag) {
                return Err(Malformed("a parameter stands twice"));
            }
            parameters.push((tag, value.to_owned()));
        }
        let issuer = (!issuer.is_empty()).then(|| issuer.to_ascii_lowercase());
        Ok(Self { issuer, parameters })
    }

    /// The issuer's domain name in lower case; `None` stands for "nobody".
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// The value of a parameter; `tag` in lower case.
    pub fn parameter(&self, tag: &str) -> Option<&str> {
        self.parameters.iter().find(|(other, _)| other == tag).map(|(_, value)| value.as_str())
    }
}

/// WSP (RFC 5234): spaces and tabs.
fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// `(ALPHA / DIGIT) *( *("-") (ALPHA / DIGIT))`
fn is_label(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn issuer(text: &str) -> Option<String> {
        IssueValue::parse(text.as_bytes()).unwrap().issuer().map(str::to_owned)
    }

    #[test]
    fn the_examples_of_the_standards_are_read() {
        assert_eq!(issuer("ca1.example.net"), Some("ca1.example.net".into()));
        assert_eq!(issuer(" CA1.Example.NET \t"), Some("ca1.example.net".into()));
        for nobody in ["", ";", " ; ", "\t;"] {
            assert_eq!(issuer(nobody), None, "{nobody:?}");
        }
        let value = IssueValue::parse(
            b"example.com; accounturi=https://example.com/account/1234; validationmethods=dns-01,http-01",
        )
        .unwrap();
        assert_eq!(value.issuer(), Some("example.com"));
        assert_eq!(value.parameter("accounturi"), Some("https://example.com/account/1234"));
        assert_eq!(value.parameter("validationmethods"), Some("dns-01,http-01"));
        assert_eq!(value.parameter("policy"), None);
        let value = IssueValue::parse(b"ca.test;Policy \t= wildcard ; empty=;x=a=b").unwrap();
        assert_eq!(value.parameter("policy"), Some("wildcard"));
        assert_eq!((value.parameter("empty"), value.parameter("x")), (Some(""), Some("a=b")));
    }

    #[test]
    fn what_breaks_the_grammar_is_malformed() {
        for text in [
            "ca.test.",
            ".ca.test",
            "ca..test",
            "ca_1.test",
            "-ca.test",
            "ca-.test",
            "ca test",
            "%%%%%",
            "ca.test accounturi=x",
            "ca.test; accounturi",
            "ca.test; =x",
            "ca.test; a=b;",
            "ca.test;; a=b",
            "ca.test; a=b c",
            "ca.test; a_b=c",
            "ca.test; a=b; A=c",
            "ca.test; a=b; a=b",
            "b\u{fc}cher.test",
            "ca.test; a=\u{7f}",
        ] {
            assert!(IssueValue::parse(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(IssueValue::parse(b"ca.test\xff").is_err());
        assert!(IssueValue::parse(b"ca.test\n").is_err());
    }

    proptest! {
        #[test]
        fn what_is_built_by_the_grammar_is_read_back(
            issuer in "([a-z0-9]{1,4}(-[a-z0-9]{1,3})?)(\\.[a-z0-9]{1,4}){0,3}",
            parameters in prop::collection::btree_map("[a-z][a-z0-9]{0,5}", "[!-:<-~]{0,12}", 0..4),
            wsp in "[ \t]{0,2}",
        ) {
            let listed: Vec<String> =
                parameters.iter().map(|(tag, value)| format!("{wsp}{tag}{wsp}={wsp}{value}{wsp}")).collect();
            let text = format!("{wsp}{issuer}{wsp};{}", listed.join(";"));
            let value = IssueValue::parse(text.as_bytes()).unwrap();
            prop_assert_eq!(value.issuer(), Some(issuer.as_str()));
            for (tag, expected) in &parameters {
                prop_assert_eq!(value.parameter(tag), Some(expected.as_str()));
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = IssueValue::parse(&bytes);
        }
    }
}

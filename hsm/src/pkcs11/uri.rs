//! Token URIs, RFC 7512, as far as they name a token.

/// A parsed `pkcs11:` URI. An attribute that is absent matches anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Uri {
    /// Label of the token.
    pub(super) token: Option<String>,
    /// Serial number of the token.
    pub(super) serial: Option<String>,
    /// Manufacturer of the token.
    pub(super) manufacturer: Option<String>,
    /// Model of the token.
    pub(super) model: Option<String>,
    /// CKA_LABEL of an object.
    pub(super) object: Option<String>,
    /// CKA_ID of an object, any octets.
    pub(super) id: Option<Vec<u8>>,
    /// CKA_CLASS of an object.
    pub(super) kind: Option<Kind>,
}

/// The `type` attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `cert`
    Cert,
    /// `data`
    Data,
    /// `private`
    Private,
    /// `public`
    Public,
    /// `secret-key`
    SecretKey,
}

/// Why a URI is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum UriError {
    #[error("`{0}` stands twice in the token URI: keep one")]
    Duplicate(String),
    #[error("the token URI is malformed: write it as `pkcs11:token=NAME`, with `%20` for a space")]
    Malformed,
    #[error("the token URI has `{attribute}`: {why}")]
    Refused { attribute: String, why: &'static str },
}

/// Attributes that RFC 7512 has and Signet refuses, and why.
const REFUSED: [(&str, &str); 10] = [
    ("library-description", LIBRARY),
    ("library-manufacturer", LIBRARY),
    ("library-version", LIBRARY),
    ("module-name", LIBRARY),
    ("module-path", LIBRARY),
    ("pin-source", PIN),
    ("pin-value", PIN),
    ("slot-description", SLOT),
    ("slot-id", SLOT),
    ("slot-manufacturer", SLOT),
];
const LIBRARY: &str = "the module is named by the setting `module`";
const PIN: &str = "a PIN does not belong into a configuration file, unseal the signer instead";
const SLOT: &str = "slots are renumbered when tokens come and go, name the token by `token` or `serial`";

impl Uri {
    /// Parses a URI. Query attributes that are unknown are passed over (RFC 7512 section 2.4), path
    /// attributes that are unknown are refused, because they narrow what is meant.
    pub(super) fn parse(text: &str) -> Result<Self, UriError> {
        let rest = strip_scheme(text).ok_or(UriError::Malformed)?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut uri = Self::default();
        for (name, value) in attributes(path, ';')? {
            uri.set(name, &value)?;
        }
        for (name, _) in attributes(query, '&')? {
            refuse(name)?;
        }
        Ok(uri)
    }

    /// Whether anything in it names a token.
    pub(super) fn names_a_token(&self) -> bool {
        self.token.is_some() || self.serial.is_some()
    }

    /// Whether anything in it names an object inside a token.
    pub(super) fn names_an_object(&self) -> bool {
        self.object.is_some() || self.id.is_some() || self.kind.is_some()
    }

    fn set(&mut self, name: &str, value: &[u8]) -> Result<(), UriError> {
        match name {
            "id" => put(&mut self.id, name, value.to_vec()),
            "manufacturer" => put(&mut self.manufacturer, name, text(value)?),
            "model" => put(&mut self.model, name, text(value)?),
            "object" => put(&mut self.object, name, text(value)?),
            "serial" => put(&mut self.serial, name, text(value)?),
            "token" => put(&mut self.token, name, text(value)?),
            "type" => put(&mut self.kind, name, kind(value)?),
            _ => {
                refuse(name)?;
                Err(UriError::Refused { attribute: name.to_owned(), why: "no such attribute is known, remove it" })
            }
        }
    }
}

/// The scheme is case-insensitive (RFC 3986 section 3.1).
fn strip_scheme(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once(':')?;
    scheme.eq_ignore_ascii_case("pkcs11").then_some(rest)
}

/// Splits `name=value` pairs and decodes the values. An empty part has no pairs.
fn attributes(part: &str, separator: char) -> Result<Vec<(&str, Vec<u8>)>, UriError> {
    if part.is_empty() {
        return Ok(Vec::new());
    }
    part.split(separator)
        .map(|pair| {
            let (name, value) = pair.split_once('=').ok_or(UriError::Malformed)?;
            let well_named =
                !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
            if !well_named {
                return Err(UriError::Malformed);
            }
            Ok((name, decode(value)?))
        })
        .collect()
}

/// Percent-decoding (RFC 3986 section 2.1). What may stand unencoded is RFC 7512's `pk11-pchar`,
/// with `/`, `?` and `|`, which its query allows.
fn decode(value: &str) -> Result<Vec<u8>, UriError> {
    let mut octets = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'%' => {
                let high = rest.next().and_then(hexadecimal).ok_or(UriError::Malformed)?;
                let low = rest.next().and_then(hexadecimal).ok_or(UriError::Malformed)?;
                high << 4 | low
            }
            octet if octet.is_ascii_alphanumeric() || b"-._~:[]@!$'()*+,=&/?|".contains(&octet) => octet,
            _ => return Err(UriError::Malformed),
        });
    }
    Ok(octets)
}

fn hexadecimal(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

fn text(value: &[u8]) -> Result<String, UriError> {
    String::from_utf8(value.to_vec()).map_err(|_| UriError::Malformed)
}

fn kind(value: &[u8]) -> Result<Kind, UriError> {
    match value {
        b"cert" => Ok(Kind::Cert),
        b"data" => Ok(Kind::Data),
        b"private" => Ok(Kind::Private),
        b"public" => Ok(Kind::Public),
        b"secret-key" => Ok(Kind::SecretKey),
        _ => Err(UriError::Refused {
            attribute: "type".to_owned(),
            why: "it is one of cert, data, private, public and secret-key",
        }),
    }
}

fn put<T>(place: &mut Option<T>, name: &str, value: T) -> Result<(), UriError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(UriError::Duplicate(name.to_owned())),
    }
}

fn refuse(name: &str) -> Result<(), UriError> {
    match REFUSED.iter().find(|(refused, _)| *refused == name) {
        None => Ok(()),
        Some((_, why)) => Err(UriError::Refused { attribute: name.to_owned(), why }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_uri_is_taken_apart() {
        let uri = Uri::parse("pkcs11:token=signet-ca;object=issuing%201;type=private;id=%00%ff;serial=a1;model=v2;manufacturer=SoftHSM%20project").expect("parses");
        assert_eq!(uri.token.as_deref(), Some("signet-ca"));
        assert_eq!(uri.object.as_deref(), Some("issuing 1"));
        assert_eq!(uri.id.as_deref(), Some(&[0, 0xff][..]));
        assert_eq!(uri.kind, Some(Kind::Private));
        assert_eq!(uri.serial.as_deref(), Some("a1"));
        assert_eq!(uri.model.as_deref(), Some("v2"));
        assert_eq!(uri.manufacturer.as_deref(), Some("SoftHSM project"));
        assert!(uri.names_a_token() && uri.names_an_object());
    }

    #[test]
    fn a_slot_number_is_refused_and_the_sentence_says_why() {
        let error = Uri::parse("pkcs11:slot-id=3").expect_err("refused");
        assert!(error.to_string().contains("renumbered"), "{error}");
    }

    #[test]
    fn a_pin_in_a_uri_is_refused() {
        for uri in
            ["pkcs11:token=a?pin-value=1234", "pkcs11:token=a?pin-source=file:/pin", "pkcs11:pin-value=1;token=a"]
        {
            assert!(Uri::parse(uri).expect_err("refused").to_string().contains("PIN"), "{uri}");
        }
    }

    #[test]
    fn an_unknown_query_attribute_is_passed_over_and_an_unknown_path_attribute_is_not() {
        assert_eq!(Uri::parse("pkcs11:token=a?x-more=1&x-other=2"), Uri::parse("PKCS11:token=a"));
        assert!(matches!(Uri::parse("pkcs11:token=a;x-more=1"), Err(UriError::Refused { .. })));
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for uri in [
            "",
            "token=a",
            "pkcs11:token",
            "pkcs11:=a",
            "pkcs11:token=%4",
            "pkcs11:token=%zz",
            "pkcs11:token=a b",
            "pkcs11:token=%ff",
            "pkcs11:token=a;",
            "http:token=a",
            "pkcs11:token=ä",
        ] {
            assert_eq!(Uri::parse(uri), Err(UriError::Malformed), "{uri}");
        }
        assert_eq!(Uri::parse("pkcs11:token=a;token=a"), Err(UriError::Duplicate("token".into())));
        assert!(matches!(Uri::parse("pkcs11:type=key"), Err(UriError::Refused { .. })));
    }

    proptest! {
        #[test]
        fn any_text_gives_a_uri_or_an_error(text in "\\PC*", tail in "[a-z%;=?&-]{0,40}") {
            let _ = Uri::parse(&text);
            let _ = Uri::parse(&format!("pkcs11:{tail}"));
            let _ = Uri::parse(&format!("pkcs11:token={text}"));
        }

        #[test]
        fn any_label_and_id_survive_encoding(label in "\\PC{0,32}", id in proptest::collection::vec(any::<u8>(), 0..20)) {
            let encode = |octets: &[u8]| octets.iter().map(|o| format!("%{o:02X}")).collect::<String>();
            let uri = Uri::parse(&format!("pkcs11:token={};id={}", encode(label.as_bytes()), encode(&id))).expect("parses");
            prop_assert_eq!(uri.token, Some(label));
            prop_assert_eq!(uri.id, Some(id));
        }
    }
}

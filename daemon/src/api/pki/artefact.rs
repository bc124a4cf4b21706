//! The answer to a GET of something that was signed: caching headers and conditional requests (RFC
//! 9110 section 13, RFC 9111).

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, EXPIRES, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use http::{HeaderMap, HeaderValue, StatusCode};
use policy::effects::UnixTime;

/// What caches and clients are told of an artefact.
pub(super) struct Artefact {
    /// Its media type.
    pub(super) media_type: &'static str,
    /// Different for different bytes; printable, without quotes.
    pub(super) tag: String,
    /// When it was made.
    pub(super) made: UnixTime,
    /// When it stops being good.
    pub(super) expires: UnixTime,
    /// How long a cache may keep it without asking, in seconds.
    pub(super) max_age: u64,
}

impl Artefact {
    /// The headers of every answer that is about it, 304 included.
    pub(super) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ETAG, value(format!("\"{}\"", self.tag)));
        headers.insert(LAST_MODIFIED, value(date(self.made)));
        headers.insert(EXPIRES, value(date(self.expires)));
        // no-transform and must-revalidate: RFC 5019 section 6.2; what is stale must not be used.
        headers.insert(CACHE_CONTROL, value(format!("max-age={},public,no-transform,must-revalidate", self.max_age)));
        headers
    }

    /// Whether the client has it already.
    pub(super) fn is_known(&self, request: &HeaderMap) -> bool {
        if request.contains_key(IF_NONE_MATCH) {
            // If-Modified-Since is not looked at then (RFC 9110 section 13.1.3).
            return request
                .get_all(IF_NONE_MATCH)
                .iter()
                .filter_map(|value| value.to_str().ok())
                .flat_map(|list| list.split(','))
                .map(|tag| tag.trim())
                .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"') == self.tag);
        }
        let since = request.get(IF_MODIFIED_SINCE).and_then(|value| value.to_str().ok());
        since.and_then(|text| httpdate::parse_http_date(text).ok()).is_some_and(|since| {
            let since = since.duration_since(std::time::SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
            self.made.0 <= since
        })
    }

    /// The whole answer.
    pub(super) fn answer(&self, request: &HeaderMap, body: impl FnOnce() -> Body) -> Response {
        let headers = self.headers();
        if self.is_known(request) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        let mut response = Response::new(body());
        *response.headers_mut() = headers;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        response
    }
}

/// A time as HTTP has it; the last year that it knows is 9999.
fn date(time: UnixTime) -> String {
    let seconds = time.0.min(253_402_300_799);
    httpdate::fmt_http_date(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds))
}

fn value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("digits and letters make a header")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artefact() -> Artefact {
        Artefact {
            media_type: "application/pkix-crl",
            tag: "17".into(),
            made: UnixTime(1_795_392_000),
            expires: UnixTime(1_795_478_400),
            max_age: 60,
        }
    }

    fn asked(name: http::HeaderName, text: &'static str) -> bool {
        artefact().is_known(&HeaderMap::from_iter([(name, HeaderValue::from_static(text))]))
    }

    #[test]
    fn caches_are_told_when_it_was_made_and_when_it_ends() {
        let response = artefact().answer(&HeaderMap::new(), || Body::from("x"));
        assert_eq!(response.status(), StatusCode::OK);
        let header = |name| response.headers().get(name).unwrap().to_str().unwrap().to_owned();
        assert_eq!(header(ETAG), "\"17\"");
        assert_eq!(header(LAST_MODIFIED), "Mon, 23 Nov 2026 00:00:00 GMT");
        assert_eq!(header(EXPIRES), "Tue, 24 Nov 2026 00:00:00 GMT");
        assert_eq!(header(CACHE_CONTROL), "max-age=60,public,no-transform,must-revalidate");
        assert_eq!(header(CONTENT_TYPE), "application/pkix-crl");
    }

    #[test]
    fn who_has_it_already_gets_304_and_a_tag_counts_more_than_a_date() {
        assert!(asked(IF_NONE_MATCH, "\"17\""));
        assert!(asked(IF_NONE_MATCH, "\"16\", W/\"17\""));
        assert!(asked(IF_NONE_MATCH, "*"));
        assert!(!asked(IF_NONE_MATCH, "\"16\""));
        assert!(asked(IF_MODIFIED_SINCE, "Mon, 23 Nov 2026 00:00:00 GMT"));
        assert!(!asked(IF_MODIFIED_SINCE, "Sun, 22 Nov 2026 23:59:59 GMT"));
        assert!(!asked(IF_MODIFIED_SINCE, "yesterday"));
        let both = HeaderMap::from_iter([
            (IF_NONE_MATCH, HeaderValue::from_static("\"16\"")),
            (IF_MODIFIED_SINCE, HeaderValue::from_static("Tue, 24 Nov 2026 00:00:00 GMT")),
        ]);
        assert!(!artefact().is_known(&both));
        assert_eq!(
            artefact()
                .answer(&HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_static("*"))]), || Body::from("x"))
                .status(),
            304
        );
    }
}

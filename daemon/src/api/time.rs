//! Times as RFC 3339 has them.

use std::time::Duration;

use der::DateTime;
use policy::effects::UnixTime;

/// A time in UTC.
pub fn rfc3339(time: UnixTime) -> String {
    humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + Duration::from_secs(time.0)).to_string()
}

/// The time that a text is, in whole seconds, with any zone.
pub fn parse(text: &str) -> Option<UnixTime> {
    // A time has at most 25 octets, and as many zeros after the point as somebody likes.
    if !text.is_ascii() || text.len() > 64 {
        return None;
    }
    let (date_time, rest) = text.split_at_checked(19)?;
    let number = |range: std::ops::Range<usize>| {
        let digits = date_time.get(range)?;
        digits.bytes().all(|octet| octet.is_ascii_digit()).then(|| digits.parse::<u16>().ok())?
    };
    let small = |range| number(range).and_then(|number| u8::try_from(number).ok());
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if !separators.iter().all(|(at, sign)| date_time.as_bytes()[*at].to_ascii_uppercase() == *sign) {
        return None;
    }
    let local =
        DateTime::new(number(0..4)?, small(5..7)?, small(8..10)?, small(11..13)?, small(14..16)?, small(17..19)?)
            .ok()?
            .unix_duration()
            .as_secs();
    let zone = match rest.strip_prefix('.') {
        None => rest,
        Some(fraction) => {
            let zone = fraction.trim_start_matches('0');
            if zone.len() == fraction.len() {
                return None;
            }
            zone
        }
    };
    let utc = match zone.as_bytes() {
        b"Z" | b"z" => Some(local),
        [sign @ (b'+' | b'-'), hours @ .., b':', m1, m2] if hours.len() == 2 => {
            let digit = |octet: u8| octet.is_ascii_digit().then(|| u64::from(octet - b'0'));
            let hours = digit(hours[0])? * 10 + digit(hours[1])?;
            let minutes = digit(*m1)? * 10 + digit(*m2)?;
            if hours > 23 || minutes > 59 {
                return None;
            }
            let offset = hours * 3600 + minutes * 60;
            if *sign == b'+' { local.checked_sub(offset) } else { local.checked_add(offset) }
        }
        _ => None,
    };
    utc.map(UnixTime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_any_zone_and_in_whole_seconds_only() {
        let noon = Some(UnixTime(1_896_004_800));
        for text in [
            "2030-01-30T12:00:00Z",
            "2030-01-30t12:00:00z",
            "2030-01-30T12:00:00.000Z",
            "2030-01-30T14:30:00+02:30",
            "2030-01-30T10:00:00-02:00",
        ] {
            assert_eq!(parse(text), noon, "{text}");
        }
        for text in [
            "",
            "2030-01-30",
            "2030-01-30T12:00:00",
            "2030-01-30 12:00:00Z",
            "2030-01-30T12:00:00.5Z",
            "2030-01-30T12:00:00.Z",
            "2030-02-30T12:00:00Z",
            "2030-01-30T24:00:00Z",
            "2030-01-30T12:00:00+2:00",
            "2030-01-30T12:00:00+24:00",
            "2030-01-30T12:00:00+02:0\u{e9}",
            "+030-01-30T12:00:00Z",
            "1970-01-01T00:00:00+01:00",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_judged_without_panic(text in "\\PC{0,40}") {
            let _ = parse(&text);
        }

        #[test]
        fn what_is_written_is_read_again(seconds in 0u64..250_000_000_000) {
            proptest::prop_assert_eq!(parse(&rfc3339(UnixTime(seconds))), Some(UnixTime(seconds)));
        }
    }
}

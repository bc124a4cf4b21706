//! Times as ASN.1 writes them.

use std::time::Duration;

use crate::effects::UnixTime;
use crate::tlv;

/// Which form a time has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// UTCTime through 2049, GeneralizedTime after (RFC 5280 section 5.1.2.4).
    Either,
    /// GeneralizedTime (section 5.3.2).
    Generalized,
}

/// Appends a time. A million of them stand in a list, so that they are written without detours.
pub(crate) fn write_time(time: UnixTime, form: Form, out: &mut Vec<u8>) -> der::Result<()> {
    let date = der::DateTime::from_unix_duration(Duration::from_secs(time.0))?;
    let year = date.year();
    let two = |number: u8| [b'0' + number / 10, b'0' + number % 10];
    let (century, short) = (two((year / 100) as u8), two((year % 100) as u8));
    if form == Form::Either && year < 2050 {
        out.extend_from_slice(&[tlv::UTC_TIME, 13]);
    } else {
        out.extend_from_slice(&[tlv::GENERALIZED_TIME, 15]);
        out.extend_from_slice(&century);
    }
    out.extend_from_slice(&short);
    for part in [date.month(), date.day(), date.hour(), date.minutes(), date.seconds()] {
        out.extend_from_slice(&two(part));
    }
    out.push(b'Z');
    Ok(())
}

/// Reads the contents of a UTCTime or GeneralizedTime in the only form that RFC 5280 allows
/// (YYMMDDHHMMSSZ, YYYYMMDDHHMMSSZ). A million of them stand in a list, so that they are read without
/// detours. Times before 1970 are none.
pub(crate) fn read_time(tag: u8, text: &[u8]) -> Option<UnixTime> {
    let [digits @ .., b'Z'] = text else { return None };
    let two = |at: usize| -> Option<u64> {
        let pair = digits.get(at..at + 2)?;
        let digit = |byte: u8| byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
        Some(digit(pair[0])? * 10 + digit(pair[1])?)
    };
    let (year, at) = match (tag, digits.len()) {
        // RFC 5280 section 4.1.2.5.1.
        (tlv::UTC_TIME, 12) => (two(0)? + if digits[0] >= b'5' { 1900 } else { 2000 }, 2),
        (tlv::GENERALIZED_TIME, 14) => (two(0)? * 100 + two(2)?, 4),
        _ => return None,
    };
    let (month, day, hour) = (two(at)?, two(at + 2)?, two(at + 4)?);
    let (minute, second) = (two(at + 6)?, two(at + 8)?);
    if !(1..=12).contains(&month) || !(1..=days(year, month)).contains(&day) || hour > 23 || minute > 59 || second > 59
    {
        return None;
    }
    // Days since 1970 in the Gregorian calendar, with years that begin in March.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let since_march_0 = y * 365 + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1;
    let days = since_march_0.checked_sub(719_468)?;
    Some(UnixTime(((days * 24 + hour) * 60 + minute) * 60 + second))
}

fn days(year: u64, month: u64) -> u64 {
    let leaps = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if leaps => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::asn1;

    proptest! {
        #[test]
        fn a_time_is_read_back_as_it_was_written(at in 0u64..253_402_300_800, generalized: bool) {
            let (form, mut out) = (if generalized { Form::Generalized } else { Form::Either }, Vec::new());
            write_time(UnixTime(at), form, &mut out).unwrap();
            let (tag, text, _) = tlv::split(&out).unwrap();
            prop_assert_eq!(read_time(tag, text), Some(UnixTime(at)));
        }

        #[test]
        fn any_digits_are_read_as_the_der_crate_reads_them(digits in "[0-9]{12}|[0-9]{14}|(19|20)[0-9]{2}(0[0-9]|1[0-3])[0-3][0-9][0-2][0-9][0-6][0-9][0-6][0-9]", zone in "Z|z|") {
            let tag = if digits.len() == 12 { tlv::UTC_TIME } else { tlv::GENERALIZED_TIME };
            let (text, mut der) = (digits + &zone, Vec::new());
            tlv::element(&mut der, tag, text.as_bytes());
            prop_assert_eq!(read_time(tag, text.as_bytes()), asn1::read_time_der(&der), "{}", text);
        }
    }

    #[test]
    fn other_forms_are_no_times() {
        for (tag, text) in [
            (tlv::UTC_TIME, &b"20261123000000Z"[..]),
            (tlv::GENERALIZED_TIME, b"261123000000Z"),
            (tlv::GENERALIZED_TIME, b"20261123000000.5Z"),
            (tlv::GENERALIZED_TIME, b"20261123000000+0100"),
            (tlv::UTC_TIME, b"2611230000Z"),
            (tlv::UTC_TIME, b"260229000000Z"),
            (tlv::UTC_TIME, b"691231235959Z"),
            (tlv::INTEGER, b"261123000000Z"),
            (tlv::UTC_TIME, b""),
        ] {
            assert_eq!(read_time(tag, text), None, "{}", String::from_utf8_lossy(text));
        }
    }
}

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

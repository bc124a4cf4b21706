//! Punycode (RFC 3492), as far as it is needed to tell whether an `xn--` label means anything.
//!
//! Only that is decided here. Whether all the characters are allowed in IDNA 2008 is left to whoever
//! registers the name: a validated name exists.

const BASE: u32 = 36;
const TMIN: u32 = 1;
const TMAX: u32 = 26;
const SKEW: u32 = 38;
const DAMP: u32 = 700;
const INITIAL_BIAS: u32 = 72;
const INITIAL_N: u32 = 128;

/// Whether `encoded` (a label without its `xn--`, lower case) decodes to a text with at least one
/// character beyond ASCII and none that no label holds (controls, spaces, capitals: RFC 5892), and
/// that text encodes to `encoded` again.
pub(crate) fn is_canonical(encoded: &str) -> bool {
    decode(encoded).is_some_and(|text| {
        !text.iter().all(char::is_ascii)
            && !text.iter().any(|c| c.is_control() || c.is_whitespace() || c.is_uppercase())
            && encode(&text).as_deref() == Some(encoded)
    })
}

/// RFC 3492 section 6.2.
fn decode(encoded: &str) -> Option<Vec<char>> {
    let (basic, deltas) = encoded.rsplit_once('-').unwrap_or(("", encoded));
    let mut text: Vec<char> = basic.chars().collect();
    let mut digits = deltas.bytes().peekable();
    let (mut n, mut i, mut bias) = (INITIAL_N, 0u32, INITIAL_BIAS);
    while digits.peek().is_some() {
        let start = i;
        let mut weight = 1u32;
        for k in (BASE..).step_by(BASE as usize) {
            let digit = digit_value(digits.next()?)?;
            i = i.checked_add(digit.checked_mul(weight)?)?;
            let t = threshold(k, bias);
            if digit < t {
                break;
            }
            weight = weight.checked_mul(BASE - t)?;
        }
        let length = u32::try_from(text.len()).ok()? + 1;
        bias = adapt(i - start, length, start == 0);
        n = n.checked_add(i / length)?;
        i %= length;
        text.insert(usize::try_from(i).ok()?, char::from_u32(n)?);
        i += 1;
    }
    Some(text)
}

/// RFC 3492 section 6.3.
fn encode(text: &[char]) -> Option<String> {
    let mut output: String = text.iter().filter(|c| c.is_ascii()).collect();
    let basic = u32::try_from(output.len()).ok()?;
    if basic > 0 {
        output.push('-');
    }
    let (mut n, mut delta, mut bias, mut handled) = (INITIAL_N, 0u32, INITIAL_BIAS, basic);
    while usize::try_from(handled).ok()? < text.len() {
        let next = text.iter().map(|c| u32::from(*c)).filter(|c| *c >= n).min()?;
        delta = delta.checked_add((next - n).checked_mul(handled + 1)?)?;
        n = next;
        for c in text.iter().map(|c| u32::from(*c)) {
            if c < n {
                delta = delta.checked_add(1)?;
            }
            if c == n {
                let mut q = delta;
                for k in (BASE..).step_by(BASE as usize) {
                    let t = threshold(k, bias);
                    if q < t {
                        break;
                    }
                    output.push(digit(t + (q - t) % (BASE - t)));
                    q = (q - t) / (BASE - t);
                }
                output.push(digit(q));
                bias = adapt(delta, handled + 1, handled == basic);
                delta = 0;
                handled += 1;
            }
        }
        delta = delta.checked_add(1)?;
        n += 1;
    }
    Some(output)
}

/// RFC 3492 section 6.1.
fn adapt(delta: u32, length: u32, is_first: bool) -> u32 {
    let mut delta = if is_first { delta / DAMP } else { delta / 2 };
    delta += delta / length;
    let mut k = 0;
    while delta > ((BASE - TMIN) * TMAX) / 2 {
        delta /= BASE - TMIN;
        k += BASE;
    }
    k + (BASE - TMIN + 1) * delta / (delta + SKEW)
}

fn threshold(k: u32, bias: u32) -> u32 {
    k.saturating_sub(bias).clamp(TMIN, TMAX)
}

fn digit_value(octet: u8) -> Option<u32> {
    match octet {
        b'a'..=b'z' => Some(u32::from(octet - b'a')),
        b'0'..=b'9' => Some(u32::from(octet - b'0') + 26),
        _ => None,
    }
}

fn digit(value: u32) -> char {
    char::from_digit(if value < 26 { value + 10 } else { value - 26 }, BASE).unwrap_or('-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn samples_of_the_standard_decode_and_encode() {
        // RFC 3492 section 7.1 (B), (I), (L), in lower case.
        for (encoded, text) in [
            ("ihqwcrb4cv8a8dqg056pqjye", "\u{4ed6}\u{4eec}\u{4e3a}\u{4ec0}\u{4e48}\u{4e0d}\u{8bf4}\u{4e2d}\u{6587}"),
            ("3b-ww4c5e180e575a65lsy2b", "3\u{5e74}b\u{7d44}\u{91d1}\u{516b}\u{5148}\u{751f}"),
            ("bcher-kva", "b\u{fc}cher"),
        ] {
            assert_eq!(decode(encoded).unwrap().into_iter().collect::<String>(), text);
            assert!(is_canonical(encoded), "{encoded}");
        }
    }

    #[test]
    fn labels_without_meaning_are_refused() {
        for encoded in ["", "abc-", "abc", "a-", "99999999", "bcher-kv", "-kva-"] {
            assert!(!is_canonical(encoded), "{encoded}");
        }
    }

    proptest! {
        #[test]
        fn every_text_survives_encoding(text in "[a-z0-9\u{80}-\u{10ffff}]{0,20}") {
            let chars: Vec<char> = text.chars().collect();
            let encoded = encode(&chars).unwrap();
            prop_assert_eq!(decode(&encoded), Some(chars));
        }

        #[test]
        fn any_label_is_judged_without_panic(label in "[a-z0-9-]{0,60}") {
            let _ = is_canonical(&label);
        }
    }
}

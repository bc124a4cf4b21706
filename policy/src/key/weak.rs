//! The weaknesses that a public key can show (CA/Browser Forum BR 6.1.1.3).

use std::sync::LazyLock;

use num_bigint::BigUint;

/// Smallest and largest RSA modulus in bits.
const RSA_BITS: std::ops::RangeInclusive<u64> = 2048..=4096;

/// Rounds of Fermat's method that BR 6.1.1.3 asks for.
const FERMAT_ROUNDS: u32 = 100;

/// Every prime below this is tried as a factor; BR 6.1.1.3 asks for 752.
const SMALL_FACTORS: u32 = 1000;

/// Largest public exponent in bits; FIPS 186-5 section A.1.1 has it below 2^256.
const MAX_EXPONENT_BITS: u64 = 256;

/// The weakness of an RSA key, if it has one. Arguments are unsigned big-endian.
pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Option<&'static str> {
    let (n, e) = (BigUint::from_bytes_be(modulus), BigUint::from_bytes_be(exponent));
    if !RSA_BITS.contains(&n.bits()) || n.bits() % 8 != 0 {
        return Some("an RSA modulus has 2048 to 4096 bits, a multiple of 8");
    }
    if !e.bit(0) || e < BigUint::from(65_537u32) || e.bits() > MAX_EXPONENT_BITS {
        return Some("an RSA exponent is odd, at least 65537 and shorter than 257 bits");
    }
    if SMALL_PRIMES.iter().any(|prime| residue(&n, *prime) == 0) {
        return Some("the RSA modulus has a small factor");
    }
    if has_roca_fingerprint(&n) {
        return Some("the RSA modulus has the ROCA fingerprint (CVE-2017-15361)");
    }
    if has_close_primes(&n) {
        return Some("the RSA modulus is a product of two close primes (CVE-2022-26320)");
    }
    None
}

/// Whether `encoded` (RFC 8032 section 5.1.2) is a point of edwards25519 in canonical form whose
/// order is not small. With a point of small order anybody can make signatures.
pub(super) fn is_sound_edwards_point(encoded: &[u8; 32]) -> bool {
    let p = (BigUint::from(1u8) << 255u32) - 19u8;
    let one = BigUint::from(1u8);
    let mut y = *encoded;
    y[31] &= 0x7f;
    let y = BigUint::from_bytes_le(&y);
    if y >= p {
        return false;
    }
    // RFC 8032 section 5.1.3: x^2 = (y^2 - 1) / (d y^2 + 1) must be a square (Euler's criterion).
    let d = (&p - BigUint::from(121_665u32)) * inverse(&BigUint::from(121_666u32), &p) % &p;
    let yy = &y * &y % &p;
    let xx = (&yy + &p - &one) * inverse(&((d * &yy + &one) % &p), &p) % &p;
    if xx == BigUint::ZERO {
        return false; // y = 1 or -1: order 1 or 2
    }
    if xx.modpow(&((&p - &one) >> 1u32), &p) != one {
        return false;
    }
    // The other points of small order: y = 0 has order 4; order 8 is what doubles to y = 0, which
    // by the addition law means x^2 + y^2 = 0.
    y != BigUint::ZERO && (&xx + &yy) % &p != BigUint::ZERO
}

/// `value^-1 mod p` by Fermat's little theorem.
fn inverse(value: &BigUint, p: &BigUint) -> BigUint {
    value.modpow(&(p - 2u8), p)
}

/// Nemec et al., "The Return of Coppersmith's Attack", section 3: moduli of the faulty library are
/// powers of 65537 modulo every small prime. A sound key passes for all of them with a chance
/// below 2^-27.
fn has_roca_fingerprint(n: &BigUint) -> bool {
    SMALL_PRIMES.iter().filter(|prime| (3..=167).contains(*prime)).all(|prime| {
        let wanted = residue(n, *prime);
        let mut power = 1;
        loop {
            if power == wanted {
                return true;
            }
            power = power * (65_537 % prime) % prime;
            if power == 1 {
                return false;
            }
        }
    })
}

/// Whether Fermat's method factors `n` within [`FERMAT_ROUNDS`].
fn has_close_primes(n: &BigUint) -> bool {
    let mut a = n.sqrt();
    if &a * &a == *n {
        return true;
    }
    a += 1u8;
    // n = a^2 - b^2; from one round to the next a^2 grows by 2a + 1.
    let mut b2 = &a * &a - n;
    for _ in 0..FERMAT_ROUNDS {
        if is_square(&b2) {
            return true;
        }
        b2 += (&a << 1u32) + 1u8;
        a += 1u8;
    }
    false
}

/// Whether `value` is a square. Residues sort out all but one in 800, so that a root is rarely drawn.
fn is_square(value: &BigUint) -> bool {
    const MODULI: [u32; 7] = [63, 65, 11, 17, 19, 23, 64];
    const PRODUCT: u32 = 63 * 65 * 11 * 17 * 19 * 23;
    let (odd, even) = (residue(value, PRODUCT), residue(value, 64));
    let is_square_modulo = |modulus: u32| {
        let wanted = if modulus == 64 { even } else { odd % modulus };
        (0..modulus).any(|root| root * root % modulus == wanted)
    };
    MODULI.into_iter().all(is_square_modulo) && {
        let root = value.sqrt();
        &root * &root == *value
    }
}

fn residue(value: &BigUint, modulus: u32) -> u32 {
    (value % modulus).iter_u32_digits().next().unwrap_or(0)
}

static SMALL_PRIMES: LazyLock<Vec<u32>> =
    LazyLock::new(|| (2..SMALL_FACTORS).filter(|n| (2..*n).take_while(|d| d * d <= *n).all(|d| n % d != 0)).collect());

#[cfg(test)]
mod tests {
    use super::*;

    const F4: &[u8] = &[1, 0, 1];

    fn odd(bits: u64, seed: u8) -> BigUint {
        let mut bytes: Vec<u8> = (0..bits / 8).map(|i| (i as u8).wrapping_mul(151).wrapping_add(seed)).collect();
        bytes[0] |= 0xc0;
        *bytes.last_mut().unwrap() |= 1;
        BigUint::from_bytes_be(&bytes)
    }

    fn coprime_to_small(mut n: BigUint) -> BigUint {
        while SMALL_PRIMES.iter().any(|prime| residue(&n, *prime) == 0) {
            n += 2u8;
        }
        n
    }

    #[test]
    fn sizes_and_exponents_out_of_range_are_refused() {
        let n = coprime_to_small(odd(2048, 7)).to_bytes_be();
        assert_eq!(rsa(&n, F4), None);
        for bits in [1024, 2040, 4104] {
            assert!(rsa(&odd(bits, 7).to_bytes_be(), F4).unwrap().contains("2048 to 4096"));
        }
        assert!(rsa(&(odd(2056, 7) >> 1u32).to_bytes_be(), F4).unwrap().contains("multiple of 8"));
        for exponent in [&[3u8][..], &[1, 0, 0], &[1, 0, 2], &[0xff; 33], &[]] {
            assert!(rsa(&n, exponent).unwrap().contains("exponent"), "{exponent:?}");
        }
    }

    #[test]
    fn small_factors_are_found() {
        for factor in [3u32, 751, 997] {
            let n = odd(2048, 9);
            let n = &n - residue(&n, factor);
            let n = if n.bit(0) { n } else { n + factor };
            assert!(rsa(&n.to_bytes_be(), F4).unwrap().contains("small factor"), "{factor}");
        }
    }

    #[test]
    fn products_of_close_primes_are_found_within_the_rounds() {
        let p = coprime_to_small(odd(1024, 3));
        // The distance that a hundred rounds bridge is about 2 * sqrt(2 * 100 * sqrt(n)).
        let q = coprime_to_small(&p + (BigUint::from(1u8) << 500u32));
        assert!(rsa(&(&p * &q).to_bytes_be(), F4).unwrap().contains("close primes"));
        assert!(has_close_primes(&(&p * &p)));
        let far = coprime_to_small(odd(1024, 90));
        assert!(!has_close_primes(&(p * far)));
    }

    #[test]
    fn the_roca_fingerprint_is_found() {
        // Primes of the faulty library have the form k * M + (65537^a mod M); so has their product.
        let m: BigUint = SMALL_PRIMES.iter().filter(|p| **p <= 167).map(|p| BigUint::from(*p)).product();
        let prime = |k: u32, a: u32| -> BigUint {
            (BigUint::from(k) << 800u32) * &m + BigUint::from(65_537u32).modpow(&BigUint::from(a), &m)
        };
        assert!(has_roca_fingerprint(&(prime(0x8000_0001, 12_345) * prime(0x9000_0007, 77))));
        assert!(!has_roca_fingerprint(&coprime_to_small(odd(2048, 7))));
    }

    #[test]
    fn edwards_points_off_the_curve_of_small_order_or_not_canonical_are_refused() {
        let hex = |text: &str| -> [u8; 32] {
            let bytes: Vec<u8> = (0..32).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect();
            bytes.try_into().unwrap()
        };
        // RFC 8032 section 7.1, tests 1 and 2.
        for good in [
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        ] {
            assert!(is_sound_edwards_point(&hex(good)), "{good}");
        }
        for (bad, why) in [
            ("0000000000000000000000000000000000000000000000000000000000000000", "order 4"),
            ("0100000000000000000000000000000000000000000000000000000000000000", "order 1"),
            ("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", "order 2"),
            ("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", "order 8"),
            ("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa", "order 8"),
            ("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", "y = p"),
            ("0200000000000000000000000000000000000000000000000000000000000000", "not on the curve"),
        ] {
            assert!(!is_sound_edwards_point(&hex(bad)), "{why}");
        }
    }
}

//! Durations as the configuration writes them: `500ms`, `1s`, `1.5s`, `2m`.

use std::time::Duration;

/// Reads a duration: a decimal number, with a fraction or without, and a unit: `ms`, `s` or `m` (minutes).
/// `None` for anything else, for fractions of a microsecond, and for what does not fit 64 bits of microseconds.
pub fn parse(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at_checked(unit_at)?;
    let unit_us: u64 = match unit {
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        _ => return None,
    };
    let (whole, fraction) = match number.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (number, None),
    };
    let whole_us = digits(whole)?.checked_mul(unit_us)?;
    let fraction_us = match fraction {
        Some(fraction) => {
            let scale = 10_u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
            let scaled = digits(fraction)?.checked_mul(unit_us)?;
            (scaled % scale == 0).then_some(scaled / scale)?
        }
        None => 0,
    };
    Some(Duration::from_micros(whole_us.checked_add(fraction_us)?))
}

/// A number of digits alone: `u64::from_str` would take a sign, too.
fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_exactly() {
        for (text, micros) in [
            ("500ms", Some(500_000)),
            ("1s", Some(1_000_000)),
            ("1.5s", Some(1_500_000)),
            ("2m", Some(120_000_000)),
            ("0.5m", Some(30_000_000)),
            ("2.5ms", Some(2_500)),
            ("0s", Some(0)),
            ("0.0005ms", None),
            ("1", None),
            ("s", None),
            ("", None),
            (".5s", None),
            ("1.s", None),
            ("+1s", None),
            ("-1s", None),
            ("1 s", None),
            ("1S", None),
            ("1h", None),
            ("1.2.3s", None),
            ("1e3ms", None),
            ("1s2ms", None),
            ("٣s", None),
            ("18446744073709551615ms", None),
            ("99999999999999999999s", None),
            ("0.00000000000000000000000001s", None),
        ] {
            assert_eq!(parse(text), micros.map(Duration::from_micros), "{text:?}");
        }
    }
}

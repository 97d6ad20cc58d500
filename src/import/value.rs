//! Words of the other programs' files: times, interfaces, addresses, and the services that scripts are about.

use std::net::IpAddr;
use std::time::Duration;

use crate::config::{is_interface, nearest, parse_ip};

/// A time as Heartbeat and Keepalived write it: seconds, with a fraction or without, or a number with `ms` or `us`.
/// Rounded to milliseconds, as Heartbeat does.
pub(super) fn time(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(unit_at)?;
    let millis_each = match unit.trim().to_ascii_lowercase().as_str() {
        "" => 1_000.0,
        "ms" => 1.0,
        "us" => 0.001,
        _ => return None,
    };
    let number: f64 = number.parse().ok()?;
    let rounded = (number * millis_each).round();
    Duration::try_from_secs_f64(rounded / 1_000.0).ok()
}

/// A time as cluster.toml has it, rounded to milliseconds: `500ms`, `2s`, `1.5s`.
pub(super) fn written(time: Duration) -> String {
    let millis = time.as_millis();
    match (millis / 1_000, millis % 1_000) {
        (seconds, 0) => format!("{seconds}s"),
        (0, millis) => format!("{millis}ms"),
        (seconds, millis) => {
            format!("{seconds}.{}s", format!("{millis:03}").trim_end_matches('0'))
        }
    }
}

/// The interface that a word names; what follows a colon is a label, such as `eth0:1`, which the kernel does not need.
pub(super) fn interface(word: &str) -> Option<&str> {
    let name = word.split(':').next().unwrap_or(word);
    is_interface(name).then_some(name)
}

/// A multicast group, or what is wrong with it.
pub(super) fn multicast_group(word: &str) -> Result<IpAddr, String> {
    match word.parse::<IpAddr>() {
        Ok(ip) if ip.is_multicast() => Ok(ip),
        Ok(_) | Err(_) => Err(format!("{word:?} is no multicast group")),
    }
}

/// An address that moves, as haresources and keepalived.conf write it: with a prefix, a mask, or neither.
pub(super) fn address(word: &str) -> Result<(IpAddr, Option<u8>), String> {
    let (ip, length) = match word.split_once('/') {
        Some((ip, length)) => (ip, Some(length)),
        None => (word, None),
    };
    let ip = parse_ip(ip)?;
    match length.map(|length| prefix(length, ip)) {
        None => Ok((ip, None)),
        Some(Some(prefix)) => Ok((ip, Some(prefix))),
        Some(None) => Err(format!("{word:?} has no right prefix")),
    }
}

/// The length of a prefix, written as a number of bits or, for IPv4, as a mask.
pub(super) fn prefix(word: &str, ip: IpAddr) -> Option<u8> {
    let most = if ip.is_ipv4() { 32 } else { 128 };
    if let Ok(IpAddr::V4(mask)) = word.parse() {
        let bits = mask.to_bits();
        let ones = u8::try_from(bits.leading_ones()).ok()?;
        let contiguous = bits.leading_ones() + bits.trailing_zeros() == 32;
        return (contiguous && ip.is_ipv4() && ones > 0).then_some(ones);
    }
    let digits = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    word.parse().ok().filter(|prefix| digits && (1..=most).contains(prefix))
}

/// The agent of ours that looks after what a script or process is about, going by the words in its name:
/// `/etc/keepalived/check_nginx.sh`, `killall -0 apache2`.
pub(super) fn agent_for(text: &str) -> Option<&'static str> {
    let words = || text.split(|c: char| !c.is_ascii_alphanumeric());
    let one_of = |names: &[&str]| {
        words().any(|word| names.iter().any(|name| name.eq_ignore_ascii_case(word)))
    };
    match () {
        () if one_of(&["nginx"]) => Some("nginx"),
        () if one_of(&["httpd", "apache", "apache2"]) => Some("httpd"),
        () => None,
    }
}

/// The end of a sentence about a keyword that the other program does not have.
pub(super) fn perhaps<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    match nearest(word, known) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => "if a later version has it, look up there whether it matters".to_owned(),
    }
}

/// A text as the name of something of ours: what a name cannot hold becomes `-`.
pub(super) fn name_of(text: &str) -> String {
    /// Room for a suffix that tells it from others below the 64 bytes of a name.
    const MOST: usize = 56;
    let fits = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name: String = text.chars().map(fits).collect();
    let name: String = name.trim_matches(['-', '_', '.']).chars().take(MOST).collect();
    if name.is_empty() { "unnamed".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_heartbeat() {
        for (text, written_as) in [
            ("2", Some("2s")),
            ("1.7", Some("1.7s")),
            ("0.25", Some("250ms")),
            (".5", Some("500ms")),
            ("1500ms", Some("1.5s")),
            ("1500 MS", Some("1.5s")),
            ("100000us", Some("100ms")),
            ("0.001", Some("1ms")),
            ("1.030", Some("1.03s")),
            ("1e3", None),
            ("inf", None),
            ("-1", None),
            ("1h", None),
            ("", None),
            ("...", None),
            ("99999999999999999999999", None),
        ] {
            assert_eq!(time(text).map(written).as_deref(), written_as, "{text:?}");
        }
    }

    #[test]
    fn addresses_have_prefixes_or_masks_or_neither() {
        for (text, wanted) in [
            ("10.0.0.1", Some(("10.0.0.1", None))),
            ("10.0.0.1/24", Some(("10.0.0.1", Some(24)))),
            ("10.0.0.1/255.255.255.0", Some(("10.0.0.1", Some(24)))),
            ("2001:db8::1/64", Some(("2001:db8::1", Some(64)))),
            ("10.0.0.1/255.0.255.0", None),
            ("10.0.0.1/0.0.0.0", None),
            ("10.0.0.1/33", None),
            ("10.0.0.1/+8", None),
            ("10.0.0.1/", None),
            ("10.0.0", None),
            ("224.0.0.18", None),
        ] {
            let wanted = wanted.map(|(ip, prefix)| (ip.parse().unwrap(), prefix));
            assert_eq!(address(text).ok(), wanted, "{text}");
        }
    }

    #[test]
    fn scripts_tell_their_service() {
        for (text, agent) in [
            ("/etc/keepalived/check_nginx.sh", Some("nginx")),
            ("killall -0 apache2", Some("httpd")),
            ("pidof httpd", Some("httpd")),
            ("/usr/bin/curl http://localhost/", None),
            ("/opt/nginxlike", None),
        ] {
            assert_eq!(agent_for(text), agent, "{text}");
        }
    }

    #[test]
    fn names_and_interfaces() {
        assert_eq!(name_of("VI_1 (main)"), "VI_1--main");
        assert_eq!(name_of("!!"), "unnamed");
        assert_eq!(name_of(&"x".repeat(99)).len(), 56);
        assert_eq!(interface("eth0:1"), Some("eth0"));
        assert_eq!(interface("bond0.100"), Some("bond0.100"));
        assert_eq!(interface("a/b"), None);
        assert_eq!(interface("muchtoolongname0"), None);
    }
}

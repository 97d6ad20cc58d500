//! An agent's own words about what went wrong.

/// What an agent's reason begins with on stderr (OCF resource agent API 1.1; `OCF_EXIT_REASON_PREFIX`).
pub(super) const PREFIX: &str = "ocf-exit-reason:";

/// The longest reason that is kept, in characters: it goes into logs, the history and status.
const LENGTH_MAX: usize = 500;

/// The reason in what an agent wrote to stderr: its last `ocf-exit-reason:` line, else its last line that says
/// something. Control characters are left out, since the reason is shown on terminals.
#[must_use]
pub fn reason(stderr: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(stderr);
    let last = || text.lines().rev().find(|line| !line.trim().is_empty());
    given(&text).or_else(last).and_then(clean)
}

/// The remark of an agent that succeeded: its last `ocf-exit-reason:` line alone, since what else programs write to stderr
/// means nothing then.
#[must_use]
pub fn remark(stderr: &[u8]) -> Option<String> {
    given(&String::from_utf8_lossy(stderr)).and_then(clean)
}

fn given(text: &str) -> Option<&str> {
    text.lines().rev().find_map(|line| line.strip_prefix(PREFIX))
}

fn clean(words: &str) -> Option<String> {
    let clean =
        words.trim().chars().filter(|c| !c.is_control()).take(LENGTH_MAX).collect::<String>();
    (!clean.is_empty()).then_some(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_given_reason_counts_before_the_last_line() {
        let table: &[(&str, Option<&str>)] = &[
            ("", None),
            ("\n \n", None),
            ("ocf-exit-reason:\n", None),
            ("one\ntwo\n\n", Some("two")),
            ("ocf-exit-reason:first\nocf-exit-reason: second \nnoise\n", Some("second")),
            ("no newline", Some("no newline")),
            ("\u{1b}[31mred\u{1b}[0m\r\n", Some("[31mred[0m")),
        ];
        for (stderr, expected) in table {
            assert_eq!(reason(stderr.as_bytes()).as_deref(), *expected, "{stderr:?}");
        }
    }

    #[test]
    fn a_remark_is_only_what_was_given_as_one() {
        assert_eq!(remark(b"warning: deprecated\n"), None);
        let said = remark(b"ocf-exit-reason:the clock is off\nnoise\n");
        assert_eq!(said.as_deref(), Some("the clock is off"));
    }

    #[test]
    fn a_reason_is_bounded_and_need_not_be_utf8() {
        assert_eq!(reason(&[b'x'; 10_000]).map(|reason| reason.len()), Some(LENGTH_MAX));
        assert_eq!(reason(b"caf\xe9").as_deref(), Some("caf\u{fffd}"));
    }
}

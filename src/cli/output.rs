//! The one place that prints: results on stdout, everything else on stderr, colour only where it helps.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use super::exit::Failure;
use crate::cluster::Age;

/// What a colour says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// As it should be: green.
    Good,
    /// Worth a look: yellow.
    Warn,
    /// Broken: bold red.
    Bad,
    /// A heading: bold.
    Head,
}

/// Whether to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paint {
    /// SGR sequences (ECMA-48).
    Colour,
    /// Text alone.
    Plain,
}

impl Paint {
    /// For stdout: colour on a terminal, unless `NO_COLOR` is set and not empty (<https://no-color.org>).
    pub(super) fn for_stdout() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if io::stdout().is_terminal() && !unwanted { Self::Colour } else { Self::Plain }
    }

    /// The text in a tone. Pad it before: the sequences count as characters.
    pub(super) fn tone(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Good => "32",
            Tone::Warn => "33",
            Tone::Bad => "1;31",
            Tone::Head => "1",
        };
        match self {
            Self::Colour if !text.is_empty() => format!("\x1b[{code}m{text}\x1b[0m"),
            Self::Colour | Self::Plain => text.to_owned(),
        }
    }
}

/// Print a result, with a line's end if it has none.
pub(super) fn result(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let end: &[u8] = if text.is_empty() || text.ends_with('\n') { b"" } else { b"\n" };
    out.write_all(text.as_bytes())
        .and_then(|()| out.write_all(end))
        .and_then(|()| out.flush())
        .map_err(Failure::Print)
}

/// Print a result as JSON, one line.
pub(super) fn json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let line = serde_json::to_string(value).map_err(|error| Failure::Print(error.into()))?;
    result(&line)
}

/// Tell the operator something that is not the result: progress, questions, errors.
pub(super) fn say(text: &str) {
    // Where stderr is closed there is nobody to tell that telling failed.
    drop(writeln!(io::stderr().lock(), "{text}"));
}

/// Where questions to the operator go.
pub(super) fn questions() -> impl Write {
    io::stderr().lock()
}

/// Show the operator something that the next such line replaces; empty: nothing any more. Only where stderr is a terminal.
pub(super) fn passing(text: &str) {
    let mut err = io::stderr().lock();
    // EL, erase in line (ECMA-48). Where stderr is closed there is nobody to tell that telling failed.
    drop(write!(err, "\r\x1b[K{text}").and_then(|()| err.flush()));
}

/// Break text at spaces into lines of at most `width` characters; a longer word has a line of its own.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && width_of(&line) + 1 + width_of(word) > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

/// A duration of any length for people: `43 ms`, `12 s`, `5 min`, `3 h 12 min`, `12 d 4 h`.
pub(super) fn age(duration: Duration) -> String {
    Age(duration).to_string()
}

/// Columns that a text takes. All that lubdub prints itself is one column a character.
pub(super) fn width_of(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wraps_at_spaces() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("a verylongword b", 4), ["a", "verylongword", "b"]);
        assert_eq!(wrap("lan ↔ ↔", 7), ["lan ↔ ↔"]);
    }

    #[test]
    fn plain_is_plain() {
        assert_eq!(Paint::Plain.tone(Tone::Bad, "x"), "x");
        assert_eq!(Paint::Colour.tone(Tone::Good, "x"), "\x1b[32mx\x1b[0m");
    }
}

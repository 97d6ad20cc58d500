//! Words with a tone: what the screen shows, before it is known how wide and how coloured it is.

use ratatui::text::Span as Piece;

use super::colour::Palette;

/// What a colour says, so that without colours the words still do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tone {
    /// Nothing in particular.
    #[default]
    Plain,
    /// Less important than what stands beside it.
    Faint,
    /// A heading, or what an eye should find first.
    Strong,
    /// As it should be.
    Good,
    /// Worth a look.
    Warn,
    /// Broken.
    Bad,
    /// Belongs to this node.
    Node(usize),
}

/// Some words in one tone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    /// How they are meant.
    pub tone: Tone,
    /// The words.
    pub text: String,
}

impl Words {
    /// Words in a tone.
    #[must_use]
    pub fn new(tone: Tone, text: impl Into<String>) -> Self {
        Self { tone, text: text.into() }
    }

    pub(super) fn piece(self, palette: Palette) -> Piece<'static> {
        Piece::styled(self.text, palette.tone(self.tone))
    }
}

/// Breaks text between parts at ` · `, or where that does not do at spaces, into lines of at most `width` characters.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        match lines.last_mut() {
            Some(line) if columns(line) + 1 + columns(word) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Text of at most `width` characters; what is cut off leaves an ellipsis.
pub(super) fn fit(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// Columns that a text takes. All that lubdub prints itself is one column a character.
pub(super) fn columns(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wraps_between_words_and_keeps_long_ones() {
        assert_eq!(wrap("one · two three", 9), ["one · two", "three"]);
        assert_eq!(wrap("incomprehensibility is", 4), ["incomprehensibility", "is"]);
        assert!(wrap("", 4).is_empty());
    }

    #[test]
    fn what_does_not_fit_ends_with_an_ellipsis() {
        assert_eq!((fit("silence", 7).as_str(), fit("silence", 5).as_str()), ("silence", "sile…"));
    }
}

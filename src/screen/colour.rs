//! Colours that say nothing alone: each comes with a letter, a shape or a word. Blue and gold for the nodes and red for
//! nobody are told apart by those who cannot tell red from green, and stand out on dark and on light grounds.

use ratatui::style::{Color, Modifier, Style};

use super::lines::Tone;

/// Whether to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Palette {
    /// The 256 colours of xterm; where a terminal has fewer it takes the nearest.
    Colour,
    /// Bold, faint and reversed only (<https://no-color.org>).
    Plain,
}

/// A node's colour: for signs on the terminal's own ground, and for grounds under dark letters.
#[derive(Debug, Clone, Copy)]
struct Hue {
    sign: Color,
    ground: Color,
}

/// One after the other for the nodes: blue, gold, teal, purple.
const HUES: [Hue; 4] = [
    Hue { sign: Color::Indexed(32), ground: Color::Indexed(74) },
    Hue { sign: Color::Indexed(136), ground: Color::Indexed(179) },
    Hue { sign: Color::Indexed(30), ground: Color::Indexed(73) },
    Hue { sign: Color::Indexed(97), ground: Color::Indexed(140) },
];
const GREEN: Color = Color::Indexed(28);
const AMBER: Color = Color::Indexed(130);
const RED: Color = Color::Indexed(160);
const GREY: Color = Color::Indexed(244);
const INK: Color = Color::Indexed(16);
const PAPER: Color = Color::Indexed(231);

impl Palette {
    /// Colours, unless `NO_COLOR` is set and not empty.
    #[must_use]
    pub fn of_environment() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if unwanted { Self::Plain } else { Self::Colour }
    }

    pub(super) fn tone(self, tone: Tone) -> Style {
        let style = Style::new();
        match (tone, self) {
            (Tone::Plain, _) => style,
            (Tone::Strong, _) => style.add_modifier(Modifier::BOLD),
            (Tone::Faint, Self::Colour) => style.fg(GREY),
            (Tone::Faint, Self::Plain) => style.add_modifier(Modifier::DIM),
            (Tone::Good, Self::Colour) => style.fg(GREEN),
            (Tone::Good, Self::Plain) => style,
            (Tone::Warn, Self::Colour) => style.fg(AMBER),
            (Tone::Bad, Self::Colour) => style.fg(RED).add_modifier(Modifier::BOLD),
            (Tone::Warn, Self::Plain) => style,
            (Tone::Bad, Self::Plain) => style.add_modifier(Modifier::BOLD),
            (Tone::Node(node), Self::Colour) => style.fg(hue(node).sign),
            (Tone::Node(_), Self::Plain) => style,
        }
    }

    /// A cell of the strip that this node answered.
    pub(super) fn answered(self, node: usize) -> Style {
        match self {
            Self::Colour => Style::new().fg(INK).bg(hue(node).ground),
            Self::Plain => Style::new(),
        }
    }

    /// A cell of the strip in which nobody answered.
    pub(super) fn unanswered(self) -> Style {
        match self {
            Self::Colour => Style::new().fg(PAPER).bg(RED).add_modifier(Modifier::BOLD),
            Self::Plain => Style::new().add_modifier(Modifier::REVERSED),
        }
    }

    /// A word that everybody in the room should read.
    pub(super) fn badge(self, tone: Tone) -> Style {
        let style = Style::new().add_modifier(Modifier::BOLD);
        let ground = match tone {
            Tone::Good => GREEN,
            Tone::Warn => AMBER,
            Tone::Bad => RED,
            Tone::Node(node) => return self.answered(node).add_modifier(Modifier::BOLD),
            Tone::Plain | Tone::Faint | Tone::Strong => GREY,
        };
        match self {
            Self::Colour => style.fg(PAPER).bg(ground),
            Self::Plain => style.add_modifier(Modifier::REVERSED),
        }
    }
}

fn hue(node: usize) -> Hue {
    let [first, ..] = HUES;
    HUES.get(node % HUES.len()).copied().unwrap_or(first)
}

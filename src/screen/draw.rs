//! From the model to a frame. Pure: the same model and moment give the same cells.
//!
//! ```text
//! title                                                             facts
//! ╭ a · alpha ────╮                                     ╭ b · beta ─────╮
//! │               │ link  ──▸────▸──── and back ──◂──── │               │
//! ╰───────┬───────╯                                     ╰───────┬───────╯
//!   lan ──┴────────────── who else is there ───────────────────┴────────
//! what the client saw
//! what was done, and what it came to
//! history
//! keys
//! ```
//!
//! More than two nodes: the first one stands on the left, the others one below the other on the right.

mod map;

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Rect, Size};
use ratatui::style::Style;
use ratatui::text::{Line, Span as Piece};

use super::caption::Verdict;
use super::colour::Palette;
use super::lines::{Tone, Words, columns, fit, wrap};
use super::model::{Key, Model};
use super::strip::{Mark, Strip};
use crate::cluster::event::Level;

/// A smaller terminal is only told how large it must be.
pub const SMALLEST: Size = Size { width: 78, height: 20 };

/// From this height on there are blank lines between the parts.
const AIRY: u16 = 24;
/// Rows of the strip.
const STRIP: u16 = 3;
/// Cells between the newest and the oldest cell of the strip.
const HEAD: u64 = 3;
/// Rows of what was done and what it came to.
const CAPTION: u16 = 4;
/// Rows of the history at the least.
const HISTORY: u16 = 2;
/// And where it is most of what there is to see.
const WATCHED: u16 = 4;
/// Rows that are kept for notes.
const NOTES: u16 = 4;

/// Draws all of it.
pub fn draw(frame: &mut Frame<'_>, model: &Model, now: Duration, palette: Palette) {
    let area = frame.area();
    let mut pen = Pen { frame, palette };
    if area.width < SMALLEST.width || area.height < SMALLEST.height {
        return too_small(&mut pen, area);
    }
    let mut rest = Rect { x: area.x + 1, width: area.width - 2, ..area };
    let keys = bottom(&mut rest, 1);
    let gap = u16::from(area.height >= AIRY);
    title(&mut pen, top(&mut rest, 1), model);
    top(&mut rest, gap);
    let client = model.service.is_some();
    let below = if client {
        1 + gap + 1 + STRIP + gap + CAPTION + HISTORY
    } else {
        2 * gap + rows(model.notes.len()).min(NOTES) + WATCHED
    };
    let height = map::height(model, rest.height.saturating_sub(below));
    map::draw(&mut pen, top(&mut rest, height), model, now);
    if let Some(service) = &model.service {
        map::service(&mut pen, top(&mut rest, 1), model, service);
        top(&mut rest, gap);
        strip(&mut pen, top(&mut rest, 1 + STRIP), model, now);
        top(&mut rest, gap);
        caption(&mut pen, top(&mut rest, CAPTION), model, now);
    } else {
        top(&mut rest, gap);
        notes(&mut pen, &mut rest, model);
    }
    history(&mut pen, rest, model);
    key_line(&mut pen, keys, &model.keys);
}

/// What draws, and how.
struct Pen<'a, 'b> {
    frame: &'a mut Frame<'b>,
    palette: Palette,
}

impl Pen<'_, '_> {
    /// Pieces from the left end of an area on, one row; what does not fit is cut off.
    fn line(&mut self, area: Rect, pieces: Vec<Piece<'static>>) {
        if area.height > 0 && area.width > 0 {
            self.frame.buffer_mut().set_line(area.x, area.y, &Line::from(pieces), area.width);
        }
    }

    fn words(&mut self, area: Rect, words: Vec<Words>) {
        let palette = self.palette;
        self.line(area, words.into_iter().map(|words| words.piece(palette)).collect());
    }

    /// Another character in the style that is there.
    fn sign(&mut self, x: u16, y: u16, sign: char) {
        if let Some(cell) = self.frame.buffer_mut().cell_mut((x, y)) {
            cell.set_char(sign);
        }
    }

    /// One character; nothing if the place is outside.
    fn put(&mut self, x: u16, y: u16, sign: char, style: Style) {
        if let Some(cell) = self.frame.buffer_mut().cell_mut((x, y)) {
            cell.set_char(sign).set_style(style);
        }
    }
}

/// Takes rows off the top.
fn top(rest: &mut Rect, height: u16) -> Rect {
    let height = height.min(rest.height);
    let taken = Rect { height, ..*rest };
    *rest = Rect { y: rest.y + height, height: rest.height - height, ..*rest };
    taken
}

/// Takes rows off the bottom.
fn bottom(rest: &mut Rect, height: u16) -> Rect {
    let height = height.min(rest.height);
    rest.height -= height;
    Rect { y: rest.y + rest.height, height, ..*rest }
}

/// One row of an area.
fn row(area: Rect, number: usize) -> Rect {
    let number = rows(number).min(area.height);
    Rect { y: area.y + number, height: (area.height - number).min(1), ..area }
}

fn rows(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

fn too_small(pen: &mut Pen<'_, '_>, area: Rect) {
    let text = format!(
        "This screen needs {} columns and {} rows; the terminal has {} and {}. Make it larger, or press q.",
        SMALLEST.width, SMALLEST.height, area.width, area.height
    );
    for (number, line) in wrap(&text, area.width.into()).into_iter().enumerate() {
        pen.words(row(area, number), vec![Words::new(Tone::Strong, line)]);
    }
}

fn title(pen: &mut Pen<'_, '_>, area: Rect, model: &Model) {
    pen.words(area, vec![Words::new(Tone::Strong, model.title.clone())]);
    let room = usize::from(area.width).saturating_sub(columns(&model.title) + 1);
    let facts = fit(&model.facts.text, room);
    let start = area.width.saturating_sub(rows(columns(&facts)));
    let right = Rect { x: area.x + start, width: area.width - start, ..area };
    pen.words(right, vec![Words::new(model.facts.tone, facts)]);
}

/// The strip is written like a heart monitor: a head goes over the rows, and the oldest cells vanish before it.
fn strip(pen: &mut Pen<'_, '_>, mut area: Rect, model: &Model, now: Duration) {
    let palette = pen.palette;
    let mut legend = vec![Words::new(Tone::Strong, "client").piece(palette)];
    legend.push(Words::new(Tone::Faint, "  a cell is 20 ms:").piece(palette));
    for (number, node) in model.nodes.iter().enumerate() {
        legend.push(Piece::raw("  "));
        legend.push(Piece::styled(letter(number).to_string(), palette.answered(number)));
        let text = format!(" {} answered", node.name);
        legend.push(Words::new(Tone::Faint, text).piece(palette));
    }
    legend.push(Piece::raw("  "));
    legend.push(Piece::styled("×", palette.unanswered()));
    legend.push(Words::new(Tone::Faint, " nobody did").piece(palette));
    pen.line(top(&mut area, 1), legend);
    let Some(strip) = &model.strip else {
        return pen
            .words(area, vec![Words::new(Tone::Faint, "it asks as soon as somebody serves")]);
    };
    let total = u64::from(area.width) * u64::from(area.height);
    let Some(newest) = strip.newest(now).filter(|_| total > HEAD) else { return };
    for back in 0..(total - HEAD) {
        let Some(number) = newest.checked_sub(back) else { return };
        let place = number % total;
        let (x, y) = (place % u64::from(area.width), place / u64::from(area.width));
        let (Ok(x), Ok(y)) = (u16::try_from(x), u16::try_from(y)) else { return };
        mark(pen, (area.x + x, area.y + y), strip, number);
    }
}

fn mark(pen: &mut Pen<'_, '_>, (x, y): (u16, u16), strip: &Strip, number: u64) {
    match strip.mark(number) {
        Some(Mark::By(node)) => pen.put(x, y, letter(node), pen.palette.answered(node)),
        Some(Mark::Nobody) => pen.put(x, y, '×', pen.palette.unanswered()),
        Some(Mark::Idle) => pen.put(x, y, '·', pen.palette.tone(Tone::Faint)),
        None => {}
    }
}

/// A letter for a node, by its place.
fn letter(node: usize) -> char {
    u8::try_from(node).ok().and_then(|node| b'a'.checked_add(node)).map_or('?', char::from)
}

fn caption(pen: &mut Pen<'_, '_>, mut area: Rect, model: &Model, now: Duration) {
    if let Some(why) = &model.failure {
        let text = fit(&format!("not done: {why}"), area.width.into());
        pen.words(top(&mut area, 1), vec![Words::new(Tone::Warn, text)]);
    }
    let Some(incident) = &model.incident else {
        if model.failure.is_some() {
            return;
        }
        let text = if model.strip.is_some() {
            "Everything works. Break something: the keys are below."
        } else {
            "A pair, a ping node and a client are being made, in namespaces."
        };
        return pen.words(area, vec![Words::new(Tone::Plain, text)]);
    };
    let palette = pen.palette;
    pen.line(
        top(&mut area, 1),
        vec![
            Piece::styled(format!(" {} ", incident.key), palette.badge(Tone::Plain)),
            Words::new(Tone::Plain, format!(" {}", incident.text)).piece(palette),
        ],
    );
    let Some(caption) = model.caption(now) else { return };
    let refused = caption.verdict == Verdict::Refused;
    let badge = if refused { " NOTHING MOVED " } else { "" };
    let indent = columns(badge) + usize::from(refused);
    let room = usize::from(area.width);
    // The badge takes the place of the first words, so that both stand on one line.
    let text = format!("{}{}", FIGURE_SPACE.repeat(indent), unbroken(&caption.clauses));
    let lines = wrap(&text, room);
    let last = usize::from(area.height).saturating_sub(1);
    for (number, line) in lines.iter().enumerate().take(last + 1) {
        let more = if number == last && lines.len() > last + 1 { "…" } else { "" };
        let line = fit(&format!("{}{more}", line.replace(FIGURE_SPACE, " ")), room);
        pen.words(row(area, number), vec![Words::new(Tone::Strong, line)]);
    }
    if refused {
        pen.line(area, vec![Piece::styled(badge, palette.badge(Tone::Warn))]);
    }
}

/// A space at which no line ends.
const FIGURE_SPACE: &str = "\u{2007}";

/// Clauses that lines break between, not within.
fn unbroken(clauses: &[String]) -> String {
    let whole: Vec<String> =
        clauses.iter().map(|clause| clause.replace(' ', FIGURE_SPACE)).collect();
    whole.join(&format!("{FIGURE_SPACE}· "))
}

fn notes(pen: &mut Pen<'_, '_>, rest: &mut Rect, model: &Model) {
    if model.notes.is_empty() {
        return;
    }
    let most = usize::from(rest.height.saturating_sub(WATCHED + 1));
    let mut lines: Vec<Words> = Vec::new();
    for note in &model.notes {
        let text = note.text.trim_start();
        let indent = columns(&note.text) - columns(text);
        let wrapped = wrap(text, usize::from(rest.width).saturating_sub(indent + 2));
        lines.extend(wrapped.into_iter().enumerate().map(|(number, line)| {
            let indent = if number == 0 { indent } else { indent + 2 };
            Words::new(note.tone, format!("{:indent$}{line}", ""))
        }));
    }
    let hidden = lines.len().saturating_sub(most);
    if hidden > 0 {
        lines.truncate(most.saturating_sub(1));
        lines.push(Words::new(Tone::Faint, "… all of it: lubdub status"));
    }
    for line in lines {
        pen.words(top(rest, 1), vec![line]);
    }
    top(rest, 1);
}

fn history(pen: &mut Pen<'_, '_>, area: Rect, model: &Model) {
    let lines = usize::from(area.height);
    let widest = model.nodes.iter().map(|node| columns(&node.name)).max().unwrap_or(0);
    let newest = model.told.len().saturating_sub(lines);
    for (number, told) in model.told.iter().skip(newest).enumerate() {
        let record = &told.record;
        let fault = model.incident.as_ref().map(|incident| incident.unix_ms);
        let time = match fault.and_then(|fault| record.unix_ms.checked_sub(fault)) {
            Some(after) => format!("{:>12}", format!("+{after} ms")),
            // 2026-01-02T03:04:05.678Z
            None => record.time.get(11..23).unwrap_or_default().to_owned(),
        };
        let tone = match record.event.level() {
            Level::Debug | Level::Info => Tone::Plain,
            Level::Warn => Tone::Warn,
            Level::Error => Tone::Bad,
        };
        let seat = model.seat(&told.node).unwrap_or_default();
        let name = format!("  {:widest$}  ", told.node);
        let room = usize::from(area.width).saturating_sub(columns(&time) + columns(&name));
        let text = fit(&record.event.to_string(), room);
        let words = vec![
            Words::new(Tone::Faint, time),
            Words::new(Tone::Node(seat), name),
            Words::new(tone, text),
        ];
        pen.words(row(area, number), words);
    }
}

fn key_line(pen: &mut Pen<'_, '_>, area: Rect, keys: &[Key]) {
    let palette = pen.palette;
    let long: usize = keys.iter().map(|key| columns(key.word) + 5).sum();
    let (after, between) = if long <= area.width.into() { (" ", "  ") } else { (" ", " ") };
    let mut pieces = Vec::new();
    for Key { key, word } in keys {
        if !pieces.is_empty() {
            pieces.push(Piece::raw(between));
        }
        pieces.push(Piece::styled(key.to_string(), palette.tone(Tone::Strong)));
        pieces.push(Words::new(Tone::Faint, format!("{after}{word}")).piece(palette));
    }
    pen.line(area, pieces);
}

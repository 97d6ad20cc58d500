//! The upper part: nodes, the links between them, and the network of the clients.

use std::time::Duration;

use ratatui::layout::Rect;
use ratatui::style::Modifier;
use ratatui::widgets::{Block, BorderType};

use super::super::boxes;
use super::super::lane::{Lane, Passage};
use super::super::lines::{Tone, Words, columns, fit};
use super::super::model::{Model, Node, ServiceNetwork, Track};
use super::{Pen, letter, row, rows, top};

/// Rows of a box, frame and all: what it would like, and what it can do with.
const TALL: u16 = 7;
const LOW: u16 = 3;
/// Columns of a link's name at most.
const NAME: usize = 10;

/// Which way a lane goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// From the first node.
    There,
    /// To it.
    Back,
}

/// Rows that the nodes take of so many.
pub(super) fn height(model: &Model, most: u16) -> u16 {
    let peers = rows(model.nodes.len().saturating_sub(1)).max(1);
    peers.saturating_mul(box_height(peers, most)).min(most.max(LOW))
}

/// Rows of each of so many boxes.
fn box_height(peers: u16, most: u16) -> u16 {
    (most / peers).clamp(LOW, TALL)
}

fn box_width(area: Rect) -> u16 {
    (area.width * 3 / 10).clamp(22, 34)
}

pub(super) fn draw(pen: &mut Pen<'_, '_>, area: Rect, model: &Model, now: Duration) {
    let width = box_width(area);
    let Some(first) = model.nodes.first() else { return };
    node_box(pen, Rect { width, ..area }, model, first, 0);
    let peers = model.nodes.len().saturating_sub(1);
    let height = box_height(rows(peers).max(1), area.height);
    let mut rest = area;
    for (number, node) in model.nodes.iter().enumerate().skip(1) {
        let slice = top(&mut rest, height);
        if slice.height < LOW || (rest.height < LOW && number < peers) {
            let text = format!("and {} more: lubdub status", peers - number + 1);
            let right = Rect { x: area.right().saturating_sub(width), width, ..slice };
            pen.words(right, vec![Words::new(Tone::Faint, text)]);
            return;
        }
        let x = slice.right().saturating_sub(width);
        node_box(pen, Rect { x, width, ..slice }, model, node, number);
        let between = Rect {
            x: slice.x + width + 1,
            y: slice.y + 1,
            width: slice.width.saturating_sub(2 * width + 2),
            height: slice.height.saturating_sub(2),
        };
        let tracks: Vec<&Track> =
            model.tracks.iter().filter(|track| track.peer == number).collect();
        lanes(pen, between, &tracks, now);
    }
}

fn node_box(pen: &mut Pen<'_, '_>, area: Rect, model: &Model, node: &Node, number: usize) {
    let palette = pen.palette;
    let holds = boxes::holds(model, node);
    let dark = node.body.as_ref().is_some_and(|body| !body.power);
    let tone = if dark { Tone::Faint } else { Tone::Node(number) };
    // The one that serves has a heavy frame.
    let border = if holds { BorderType::Thick } else { BorderType::Rounded };
    let name = fit(&node.name, usize::from(area.width).saturating_sub(9));
    let title = Words::new(Tone::Strong, format!(" {} · {name} ", letter(number)));
    let frame = Block::bordered()
        .border_type(border)
        .border_style(palette.tone(tone))
        .title(title.piece(palette));
    let inner = frame.inner(area);
    pen.frame.render_widget(frame, area);
    for (number, line) in boxes::lines(model, node).into_iter().enumerate() {
        let room = Rect { x: inner.x + 1, width: inner.width.saturating_sub(1), ..inner };
        let text = fit(&line.text, room.width.into());
        pen.words(row(room, number), vec![Words::new(line.tone, text)]);
    }
}

/// The links to one node: two rows for each, there and back, or one for both if there is no room for two.
fn lanes(pen: &mut Pen<'_, '_>, area: Rect, tracks: &[&Track], now: Duration) {
    let rooms = usize::from(area.height);
    let each = if tracks.len() * 2 <= rooms { 2 } else { 1 };
    // Where there is no room for all, those that fail are seen.
    let mut tracks = tracks.to_vec();
    if tracks.len() > rooms {
        tracks.sort_by_key(|track| track.works());
        tracks.truncate(rooms);
    }
    let widest = tracks.iter().map(|track| columns(&track.link)).max().unwrap_or(0).min(NAME);
    let name = rows(widest + 1).min(area.width);
    let mut rest = area;
    top(&mut rest, rows(rooms.saturating_sub(tracks.len() * each)) / 2);
    for track in &tracks {
        let mut lines = top(&mut rest, rows(each));
        pen.words(row(lines, 0), vec![Words::new(Tone::Plain, fit(&track.link, widest))]);
        lines.x += name;
        lines.width = lines.width.saturating_sub(name + 1);
        let (there, back) = (row(lines, 0), row(lines, each - 1));
        ground(pen, there, track.there.passage);
        if each == 2 || track.there.passage == Passage::Works {
            ground(pen, back, track.back.passage);
        }
        pulses(pen, there, &track.there, Way::There, 0, now);
        pulses(pen, back, &track.back, Way::Back, track.peer, now);
    }
}

fn ground(pen: &mut Pen<'_, '_>, area: Rect, passage: Passage) {
    if area.height == 0 {
        return;
    }
    let sign = match passage {
        Passage::Works => '─',
        Passage::Broken => '╌',
        Passage::Unknown => '·',
    };
    let style = pen.palette.tone(Tone::Faint);
    for x in area.left()..area.right() {
        pen.put(x, area.y, sign, style);
    }
    if passage == Passage::Broken {
        pen.put(area.x + area.width / 2, area.y, '×', pen.palette.tone(Tone::Bad));
    }
}

/// Pulses in the colour of their sender.
fn pulses(pen: &mut Pen<'_, '_>, area: Rect, lane: &Lane, way: Way, sender: usize, now: Duration) {
    if area.height == 0 {
        return;
    }
    let places = usize::from(area.width);
    let style = pen.palette.tone(Tone::Node(sender)).add_modifier(Modifier::BOLD);
    for place in lane.pulses(now, places) {
        let (place, sign) = match way {
            Way::There => (place, '▸'),
            Way::Back => (places.saturating_sub(place + 1), '◂'),
        };
        pen.put(area.x + rows(place), area.y, sign, style);
    }
}

/// The network below the boxes: who is plugged in, and who else is there.
pub(super) fn service(pen: &mut Pen<'_, '_>, area: Rect, model: &Model, service: &ServiceNetwork) {
    if area.height == 0 {
        return;
    }
    let (faint, bad) = (pen.palette.tone(Tone::Faint), pen.palette.tone(Tone::Bad));
    for x in area.left()..area.right() {
        pen.put(x, area.y, '─', faint);
    }
    let name = format!(" {} ", service.name);
    pen.words(Rect { x: area.x + 2, ..area }, vec![Words::new(Tone::Plain, name)]);
    let others = format!(" {} ", service.others.join(" · "));
    let start = area.width.saturating_sub(rows(columns(&others))) / 2;
    pen.words(Rect { x: area.x + start, ..area }, vec![Words::new(Tone::Plain, others)]);
    let half = box_width(area) / 2;
    let stubs = [area.x + half, area.right().saturating_sub(half + 1)];
    for (node, x) in model.nodes.iter().zip(stubs) {
        match &node.body {
            Some(body) if body.power && body.cable => {
                let plug = if boxes::holds(model, node) { '┯' } else { '┬' };
                pen.sign(x, area.y - 1, plug);
                pen.sign(x, area.y, '┴');
            }
            Some(body) if body.power => pen.put(x, area.y, '×', bad),
            Some(_) | None => {}
        }
    }
}

//! From a [`Draft`] to the text of cluster.toml, and to the same text with a stand-in for each mark, which shows whether
//! the rest of it is right.

use std::fmt::Write as _;

use toml::Value;

use super::draft::{ByNode, Draft, Group, Link, Node, Param, Resource, Slot, Transport};
use super::value;

/// The port that is left out (IANA `ha-cluster`).
const PORT: u16 = 694;

/// The text, and what is left to decide in it.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) text: String,
    /// Line by line like `text`, with a stand-in for each mark.
    pub(super) trial: String,
    /// Line, from 1, and what is to be decided there.
    pub(super) open: Vec<(usize, String)>,
    /// The lines of `trial` that are not in `text`.
    pub(super) marked: Vec<usize>,
}

/// Writes a draft.
pub(super) fn write(draft: &Draft) -> Written {
    let mut page = Page::default();
    page.same(&format!("# Made by `lubdub import` from {}.", draft.origin));
    page.same("#");
    page.same("# The same file belongs on every node. `lubdub check` tells what is wrong with it or not yet decided: <...>");
    page.same("# stands for what could not be known.");
    page.same("");
    page.same(&format!("cluster = {}", quoted(&draft.cluster)));
    page.same("");
    heartbeat(&mut page, draft);
    for node in &draft.nodes {
        page.same("");
        page.same("[[node]]");
        self::node(&mut page, node);
    }
    if draft.nodes.len() > 1 {
        guard(&mut page, draft);
    }
    for group in &draft.groups {
        self::group(&mut page, group);
    }
    page.0
}

fn heartbeat(page: &mut Page, draft: &Draft) {
    page.same("[heartbeat]");
    let times = &draft.times;
    for (key, time) in [
        ("keepalive", Some(times.keepalive)),
        ("warntime", times.warntime),
        ("deadtime", Some(times.deadtime)),
        ("initdead", times.initdead),
    ] {
        if let Some(time) = time {
            let comment = times.comments.iter().find(|(of, _)| *of == key);
            let comment = comment.map_or_else(String::new, |(_, text)| format!(" # {text}"));
            page.same(&format!("{key} = \"{}\"{comment}", value::written(time)));
        }
    }
    let common = draft.links.first().map_or(PORT, |link| link.port);
    let common = if draft.links.iter().all(|link| link.port == common) { common } else { PORT };
    if common != PORT {
        page.same(&format!("port = {common}"));
    }
    page.same("links = [");
    for link in &draft.links {
        page.line(self::link(link, common));
    }
    page.same("]");
}

fn link(link: &Link, common_port: u16) -> Line {
    let mut line = Line::text(format!("  {{ name = {}, transport = ", quoted(&link.name)));
    line.push(&match link.transport {
        Transport::Unicast => "\"unicast\"".to_owned(),
        Transport::Broadcast => "\"broadcast\"".to_owned(),
        Transport::Multicast { group, .. } => format!("\"multicast\", group = \"{group}\""),
    });
    if link.interface != ByNode::None {
        line.push(", interface = ");
        line.push_by_node(&link.interface);
    }
    if link.port != common_port {
        line.push(&format!(", port = {}", link.port));
    }
    if let Transport::Multicast { ttl, .. } = link.transport
        && ttl > 1
    {
        line.push(&format!(", ttl = {ttl}"));
    }
    line.push(" },");
    line
}

fn node(page: &mut Page, node: &Node) {
    let mut name = Line::text("name = ");
    name.push_slot(&node.name);
    page.line(name);
    if node.addresses.is_empty() {
        return;
    }
    let mut line = Line::text("address = { ");
    for (index, (link, address)) in node.addresses.iter().enumerate() {
        line.push(if index > 0 { ", " } else { "" });
        line.push(&format!("{} = ", key(link)));
        line.push_slot(address);
    }
    line.push(" }");
    page.line(line);
}

fn guard(page: &mut Page, draft: &Draft) {
    page.same("");
    page.same("# What stands between a silent peer and two nodes that both run everything.");
    if draft.ping.is_empty() {
        page.same("# There was nothing of this kind. It is for you to choose: take the # from `ping` and `arp`, best from both, or");
        page.same("# from `level` alone if two nodes with the same address are no harm. A ping node is a router or switch outside");
        page.same("# the cluster that tells a node whether it is itself cut off.");
        page.open(
            "the guard: choose `ping`, `arp`, both, or `level = \"none\"`; nothing of the kind was there to convert",
        );
        page.same("[guard]");
        page.same("#ping = [\"<address of a router or switch outside the cluster>\"]");
        page.same("#arp = true");
        page.line(Line {
            shown: "#level = \"none\"".into(),
            trial: "level = \"none\"".into(),
            ..Line::default()
        });
        return;
    }
    page.same("[guard]");
    let targets: Vec<String> = draft.ping.iter().map(|ip| format!("\"{ip}\"")).collect();
    page.same(&format!("ping = [{}]", targets.join(", ")));
    page.same("# Advised besides: the addresses of a silent peer are asked for before they are taken over.");
    page.same("#arp = true");
}

fn group(page: &mut Page, group: &Group) {
    page.same("");
    page.same(&format!("# From {}.", group.comment));
    page.same("[[group]]");
    page.same(&format!("name = {}", quoted(&group.name)));
    if !group.prefer.is_empty() {
        let mut line = Line::text("prefer = [");
        for (index, node) in group.prefer.iter().enumerate() {
            line.push(if index > 0 { ", " } else { "" });
            line.push_slot(node);
        }
        line.push("]");
        page.line(line);
    }
    page.same(&format!("auto_failback = {}", group.auto_failback));
    for resource in &group.resources {
        self::resource(page, resource);
    }
}

fn resource(page: &mut Page, resource: &Resource) {
    page.same("");
    for comment in &resource.comment {
        page.same(&format!("# {comment}"));
    }
    page.same("[[group.resource]]");
    page.same(&format!("name = {}", quoted(&resource.name)));
    let mut agent = Line::text("agent = ");
    agent.push_slot(&resource.agent);
    page.line(agent);
    if let Some(monitor) = resource.monitor {
        page.same(&format!("monitor = \"{}\"", value::written(monitor)));
    }
    if let Some(timeout) = resource.timeout {
        page.same(&format!("timeout = {{ monitor = \"{}\" }}", value::written(timeout)));
    }
    if resource.params.is_empty() {
        return;
    }
    let mut line = Line::text("params = { ");
    for (index, (name, param)) in resource.params.iter().enumerate() {
        line.push(if index > 0 { ", " } else { "" });
        line.push(&format!("{name} = "));
        match param {
            Param::One(slot) => line.push_slot(slot),
            Param::ByNode(by_node) => line.push_by_node(by_node),
        }
    }
    line.push(" }");
    page.line(line);
}

/// A string of TOML.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// A key of TOML: bare where it may be.
fn key(text: &str) -> String {
    let bare = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if bare && !text.is_empty() { text.to_owned() } else { quoted(text) }
}

/// The texts so far.
#[derive(Default)]
struct Page(Written);

impl Page {
    /// The number of the line that comes next.
    fn next(&self) -> usize {
        self.0.text.lines().count() + 1
    }

    /// A line that is the same in both.
    fn same(&mut self, line: &str) {
        self.line(Line::text(line));
    }

    fn line(&mut self, line: Line) {
        let at = self.next();
        if line.shown != line.trial {
            self.0.marked.push(at);
        }
        for todo in line.todo {
            // A name that is not known stands in many places.
            if !self.0.open.iter().any(|(_, other)| *other == todo) {
                self.0.open.push((at, todo));
            }
        }
        let _infallible = writeln!(self.0.text, "{}", line.shown);
        let _infallible = writeln!(self.0.trial, "{}", line.trial);
    }

    /// There is something to decide in the next line.
    fn open(&mut self, todo: &str) {
        let at = self.next();
        self.0.open.push((at, todo.to_owned()));
        self.0.marked.push(at);
    }
}

/// One line in both texts.
#[derive(Default)]
struct Line {
    shown: String,
    trial: String,
    todo: Vec<String>,
}

impl Line {
    fn text(text: impl Into<String>) -> Self {
        let shown = text.into();
        Self { trial: shown.clone(), shown, todo: Vec::new() }
    }

    fn push(&mut self, text: &str) {
        self.shown.push_str(text);
        self.trial.push_str(text);
    }

    fn push_slot(&mut self, slot: &Slot) {
        self.note(slot);
        self.shown.push_str(&quoted(slot.shown()));
        self.trial.push_str(&quoted(slot.trial()));
    }

    fn push_by_node(&mut self, value: &ByNode) {
        match value {
            ByNode::None => {}
            ByNode::Same(value) => self.push(&quoted(value)),
            ByNode::Each(values) => {
                self.push("{ ");
                for (index, (node, value)) in values.iter().enumerate() {
                    self.push(if index > 0 { ", " } else { "" });
                    self.note(node);
                    self.shown.push_str(&key(node.shown()));
                    self.trial.push_str(&key(node.trial()));
                    self.push(&format!(" = {}", quoted(value)));
                }
                self.push(" }");
            }
        }
    }

    fn note(&mut self, slot: &Slot) {
        if let Slot::Open(mark) = slot {
            self.todo.push(mark.todo.clone());
        }
    }
}

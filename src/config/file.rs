//! From text to [`File`]: the whole of it is read once for each node, so that a file that is taken is right on all.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::Path;

use toml::de::DeTable;

use super::NodeId;
use super::addresses::Addresses;
use super::digest;
use super::group::{self, View};
use super::guard;
use super::heartbeat;
use super::links::links;
use super::metrics;
use super::problem::{ConfigErrors, Problem};
use super::read::{Source, Table, hint};
use super::types::{Config, Digests, Group, Node};
use crate::wire::{GroupTag, MAX_NODES, NodeTag};

/// Groups of a cluster: more than anybody had, and few enough for each heartbeat to come round to all in time.
const MAX_GROUPS: usize = 1024;

/// Bytes of a file: a hundred times what a large cluster needs.
const MAX_BYTES: usize = 1 << 20;

pub(super) const KEYS: &[&str] = &["cluster", "heartbeat", "node", "guard", "group", "metrics"];
pub(super) const NODE_KEYS: &[&str] = &["name", "address"];

/// A valid configuration file, as every node of it sees it.
#[derive(Debug, Clone)]
pub struct File {
    name: String,
    /// One for each node, in file order.
    configs: Vec<Config>,
    warnings: Vec<Problem>,
}

impl File {
    /// The names of the nodes, in file order.
    pub fn nodes(&self) -> impl Iterator<Item = &str> {
        self.configs.iter().map(|config| config.node(config.me).name.as_str())
    }

    /// The configuration as the node of this name has it.
    ///
    /// # Errors
    ///
    /// The file has no such node.
    pub fn for_node(&self, name: &str) -> Result<Config, ConfigErrors> {
        let found = self.configs.iter().find(|config| config.node(config.me).name == name);
        found.cloned().ok_or_else(|| {
            let hint = hint(name, self.nodes());
            let text =
                format!("no [[node]] is named `{name}`; {hint} Say which node this is with --node");
            ConfigErrors::whole(&self.name, text)
        })
    }

    /// What is legal and yet hardly meant, in the order of the file.
    #[must_use]
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }
}

/// Reads a configuration file.
///
/// # Errors
///
/// It cannot be read, or is not valid.
pub fn read(path: &Path) -> Result<File, ConfigErrors> {
    let file = path.display().to_string();
    let mut bytes = Vec::new();
    // One byte more than is allowed shows that there is more.
    let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    fs::File::open(path).and_then(|handle| handle.take(limit).read_to_end(&mut bytes)).map_err(
        |error| {
            ConfigErrors::whole(
                &file,
                format!(
                    "cannot be read: {error}; name another file, or let `lubdub init` write one"
                ),
            )
        },
    )?;
    let text = String::from_utf8(bytes).map_err(|error| {
        ConfigErrors::whole(&file, format!("is not UTF-8 text: {error}; save it as UTF-8"))
    })?;
    parse(&text, &file)
}

/// Reads a configuration file as the node of this name has it.
///
/// # Errors
///
/// It cannot be read, is not valid, or has no such node.
pub fn load(path: &Path, node: &str) -> Result<Config, ConfigErrors> {
    read(path)?.for_node(node)
}

/// Reads the text of a configuration; `file` is its name in errors.
///
/// # Errors
///
/// Everything that is wrong with it. Text that is no TOML is told first: what it would mean is guesswork.
pub fn parse(text: &str, file: &str) -> Result<File, ConfigErrors> {
    if text.len() > MAX_BYTES {
        return Err(ConfigErrors::whole(
            file,
            format!("is larger than {MAX_BYTES} bytes; is it the right file?"),
        ));
    }
    let source = Source::new(text);
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let at = error.span().map_or(0, |span| span.start);
        source.error(at, error.message().replace('\n', " "));
    }
    let configs = if errors.is_empty() {
        configs(&Table::open(&source, 0, document.get_ref(), KEYS))
    } else {
        None
    };
    let (problems, warnings) = source.into_problems();
    match configs {
        Some(configs) if problems.is_empty() => {
            Ok(File { name: file.to_owned(), configs, warnings })
        }
        Some(_) | None => Err(ConfigErrors { file: file.to_owned(), problems }),
    }
}

/// The configuration of each node. `None`: something is wrong, and that was noted.
fn configs(top: &Table<'_>) -> Option<Vec<Config>> {
    let nodes = nodes(top)?;
    let names: Vec<&str> = nodes.iter().map(|node| node.name).collect();
    let read: Vec<_> = (0..=u8::MAX)
        .zip(&names)
        .map(|(id, me)| config(top, &nodes, NodeId(id), View { nodes: &names, me }))
        .collect();
    let mut configs = read.into_iter().collect::<Option<Vec<_>>>()?;
    let digests = digest::of(&configs);
    for config in &mut configs {
        config.digests = digests;
    }
    Some(configs)
}

/// A node's name and the table that it stands in.
pub(super) struct NodeEntry<'a> {
    pub(super) name: &'a str,
    pub(super) table: Table<'a>,
}

/// The nodes, or `None` if there is none with a name.
fn nodes<'a>(top: &Table<'a>) -> Option<Vec<NodeEntry<'a>>> {
    let tables = top.need("node", "[[node]]")?.tables(NODE_KEYS)?;
    if tables.len() > MAX_NODES {
        top.error_at(
            "node",
            format!(
                "{} nodes are too many; at most {MAX_NODES} make a cluster, since a heartbeat tells of each",
                tables.len()
            ),
        );
        return None;
    }
    let mut nodes: Vec<NodeEntry<'a>> = Vec::new();
    for table in tables {
        let Some(item) = table.need("name", "name = \"alpha\"") else { continue };
        let Some(name) = item.name() else { continue };
        if nodes.iter().any(|node| node.name == name) {
            item.error(format!("there is a node `{name}` already; give each its own name"));
        } else {
            nodes.push(NodeEntry { name, table });
        }
    }
    if nodes.is_empty() {
        top.error_at("node", "no node has a name; write [[node]] and name = \"alpha\"");
        return None;
    }
    Some(nodes)
}

/// The configuration as one node has it, without digests. `None`: something is wrong, and that was noted.
fn config(top: &Table<'_>, nodes: &[NodeEntry<'_>], me: NodeId, view: View<'_>) -> Option<Config> {
    let mut addresses = Addresses::default();
    let cluster = top.need("cluster", "cluster = \"web\"").and_then(|item| item.name());
    // A section that is left out has all its defaults.
    let empty = DeTable::new();
    let heartbeat = match top.get("heartbeat") {
        Some(item) => item.table(heartbeat::KEYS),
        None => Some(top.section(&empty, heartbeat::KEYS)),
    };
    let timing = heartbeat.as_ref().and_then(heartbeat::timing);
    let warn_offset = heartbeat.as_ref().and_then(heartbeat::warn_offset);
    let links = heartbeat.as_ref().and_then(|table| links(table, nodes, view, &mut addresses));
    let guard = guard::guard(top, nodes.len(), &mut addresses);
    let groups = groups(top, view, &mut addresses);
    let metrics = metrics::metrics(top, view);
    Some(Config {
        cluster: cluster?.to_owned(),
        me,
        timing: timing?,
        warn_offset: warn_offset?,
        links: links?,
        nodes: view
            .nodes
            .iter()
            .map(|name| Node { name: (*name).to_owned(), tag: NodeTag::of(name) })
            .collect(),
        guard: guard?,
        groups: groups?,
        metrics: metrics?,
        digests: Digests([0; 4]),
    })
}

/// The groups, with names and tags that differ.
fn groups(top: &Table<'_>, view: View<'_>, addresses: &mut Addresses) -> Option<Vec<Group>> {
    let Some(item) = top.get("group") else {
        top.warn("there is no [[group]]: nothing will run");
        return Some(Vec::new());
    };
    let tables = item.tables(group::KEYS)?;
    if tables.len() > MAX_GROUPS {
        top.error_at(
            "group",
            format!("{} groups are too many; at most {MAX_GROUPS} are kept", tables.len()),
        );
        return None;
    }
    let mut names = BTreeSet::new();
    let mut tags = BTreeSet::new();
    for item in tables.iter().filter_map(|table| table.get("name")) {
        let Some(name) = item.as_text() else { continue };
        if !names.insert(name) {
            item.error(format!("there is a group `{name}` already; give each its own name"));
        } else if !tags.insert(GroupTag::of(name)) {
            item.error(format!(
                "`{name}` has the same tag on the wire as another group; choose another name"
            ));
        }
    }
    let read: Vec<_> = tables.iter().map(|table| group::group(table, view, addresses)).collect();
    read.into_iter().collect()
}

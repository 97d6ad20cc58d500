//! From text to [`File`]: the whole of it is read once for each node, so that a file that is taken is right on all.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
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
use super::types::{Config, Digests, Draft, Group, Node};
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
                format!("no [[node]] is named `{name}`: say with --node which one this is; {hint}");
            ConfigErrors::whole(&self.name, text)
        })
    }

    /// What is legal and yet hardly meant, in the order of the file.
    #[must_use]
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }
}

/// What one look at a configuration finds: the file if it is valid; and even if it is not, what can be read of it.
#[derive(Debug, Clone)]
pub struct Findings {
    /// The file, or everything that is wrong with it. Text that is no TOML is told first: what it would mean is guesswork.
    pub file: Result<File, ConfigErrors>,
    nodes: Vec<NodeDrafts>,
}

impl Findings {
    fn nothing(errors: ConfigErrors) -> Self {
        Self { file: Err(errors), nodes: Vec::new() }
    }

    /// The names of the nodes that can be read, in file order.
    pub fn nodes(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(|(name, _)| name.as_str())
    }

    /// The resources whose agent and parameters are right, as the node of this name has them.
    #[must_use]
    pub fn drafts(&self, node: &str) -> &[Draft] {
        let found = self.nodes.iter().find(|(name, _)| name == node);
        found.map(|(_, drafts)| drafts.as_slice()).unwrap_or_default()
    }
}

/// Looks at a configuration file.
#[must_use]
pub fn look(path: &Path) -> Findings {
    let name = path.display().to_string();
    match text_of(path, &name) {
        Ok(text) => look_at(&text, &name),
        Err(errors) => Findings::nothing(errors),
    }
}

fn text_of(path: &Path, file: &str) -> Result<String, ConfigErrors> {
    let mut bytes = Vec::new();
    // One byte more than is allowed shows that there is more.
    let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let read = fs::File::open(path).and_then(|handle| handle.take(limit).read_to_end(&mut bytes));
    read.map_err(|error| {
        let hint = if error.kind() == io::ErrorKind::PermissionDenied {
            "run this as root, or as a user who may read it"
        } else {
            "`lubdub init` writes it, and authkeys; to name another: lubdub check FILE, lubdub run --config FILE"
        };
        ConfigErrors::whole(file, format!("cannot be read: {error}; {hint}"))
    })?;
    String::from_utf8(bytes).map_err(|error| {
        ConfigErrors::whole(file, format!("is not UTF-8 text: {error}; save it as UTF-8"))
    })
}

/// Reads a configuration file as the node of this name has it.
///
/// # Errors
///
/// It cannot be read, is not valid, or has no such node.
pub fn load(path: &Path, node: &str) -> Result<Config, ConfigErrors> {
    look(path).file?.for_node(node)
}

/// Reads the text of a configuration; `file` is its name in errors.
///
/// # Errors
///
/// Everything that is wrong with it.
pub fn parse(text: &str, file: &str) -> Result<File, ConfigErrors> {
    look_at(text, file).file
}

fn look_at(text: &str, file: &str) -> Findings {
    if text.len() > MAX_BYTES {
        let text = format!("is larger than {MAX_BYTES} bytes; is it the right file?");
        return Findings::nothing(ConfigErrors::whole(file, text));
    }
    let source = Source::new(text);
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let at = error.span().map_or(0, |span| span.start);
        source.error(at, no_value(text, at).unwrap_or_else(|| error.message().replace('\n', " ")));
    }
    let views = if errors.is_empty() {
        views(&Table::open(&source, 0, document.get_ref(), KEYS))
    } else {
        Vec::new()
    };
    let (configs, nodes): (Vec<_>, Vec<_>) = views.into_iter().unzip();
    let configs: Option<Vec<Config>> = configs.into_iter().collect();
    let (problems, warnings) = source.into_problems();
    let file = match configs {
        Some(configs) if problems.is_empty() => {
            Ok(File { name: file.to_owned(), configs: digested(configs), warnings })
        }
        Some(_) | None => Err(ConfigErrors { file: file.to_owned(), problems }),
    };
    Findings { file, nodes }
}

/// What is meant by a word without quotes where a value belongs; `None`: there is none.
fn no_value(text: &str, at: usize) -> Option<String> {
    let is_word = |c: char| c.is_alphanumeric() || "-_./:".contains(c);
    let (before, rest) = text.split_at_checked(at)?;
    let word = rest.split(|c| !is_word(c)).next().filter(|word| !word.is_empty())?;
    before.trim_end_matches(' ').ends_with(['=', ',', '[']).then(|| {
        match word.to_ascii_lowercase().as_str() {
            "yes" | "on" | "true" => format!("{word} is no value: write true"),
            "no" | "off" | "false" => format!("{word} is no value: write false"),
            _ => format!("{word} is no value: text stands in quotes, \"{word}\""),
        }
    })
}

/// A node's name, and its resources as far as they can be read.
type NodeDrafts = (String, Vec<Draft>);

/// The configuration of each node, and what can be read of it in any case. `None`: something is wrong, and that was noted.
fn views(top: &Table<'_>) -> Vec<(Option<Config>, NodeDrafts)> {
    let Some(nodes) = nodes(top) else { return Vec::new() };
    let names: Vec<&str> = nodes.iter().map(|node| node.name).collect();
    (0..=u8::MAX)
        .zip(&names)
        .map(|(id, me)| {
            let mut drafts = Vec::new();
            let view = View { nodes: &names, me };
            let config = config(top, &nodes, NodeId(id), view, &mut drafts);
            (config, ((*me).to_owned(), drafts))
        })
        .collect()
}

fn digested(mut configs: Vec<Config>) -> Vec<Config> {
    let digests = digest::of(&configs);
    for config in &mut configs {
        config.digests = digests;
    }
    configs
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
fn config(
    top: &Table<'_>,
    nodes: &[NodeEntry<'_>],
    me: NodeId,
    view: View<'_>,
    drafts: &mut Vec<Draft>,
) -> Option<Config> {
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
    let groups = groups(top, view, &mut addresses, drafts);
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
fn groups(
    top: &Table<'_>,
    view: View<'_>,
    addresses: &mut Addresses,
    drafts: &mut Vec<Draft>,
) -> Option<Vec<Group>> {
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
    let read: Vec<_> = tables
        .iter()
        .map(|table| {
            let group::Read { group, drafts: found } = group::group(table, view, addresses);
            drafts.extend(found);
            group
        })
        .collect();
    read.into_iter().collect()
}

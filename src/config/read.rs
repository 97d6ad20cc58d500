//! Typed reading of parsed TOML, where every value knows its place. What is wrong is noted and reading goes on, so that
//! one run tells all. A reader that gives `None` for a value that is there has noted why.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::duration;
use super::problem::Problem;

/// Longest name in bytes. Names become environment variables, file names and columns of a table.
const MAX_NAME: usize = 64;

/// Longest interface name in bytes (`IFNAMSIZ` of the kernel less its zero byte).
const MAX_INTERFACE: usize = 15;

/// What was found wrong with a text so far, by place, and where its lines begin.
pub(super) struct Source {
    lines: Vec<usize>,
    errors: RefCell<BTreeSet<(usize, String)>>,
    warnings: RefCell<BTreeSet<(usize, String)>>,
}

impl Source {
    pub(super) fn new(text: &str) -> Self {
        let after = |(at, _): (usize, &str)| at + 1;
        let lines = [0].into_iter().chain(text.match_indices('\n').map(after)).collect();
        Self { lines, errors: RefCell::default(), warnings: RefCell::default() }
    }

    /// Line of a byte of the text, from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|begin| *begin <= at)
    }

    pub(super) fn error(&self, at: usize, text: impl Into<String>) {
        self.errors.borrow_mut().insert((at, text.into()));
    }

    pub(super) fn warn(&self, at: usize, text: impl Into<String>) {
        self.warnings.borrow_mut().insert((at, text.into()));
    }

    /// Errors and warnings, each in the order of the file and told once.
    pub(super) fn into_problems(self) -> (Vec<Problem>, Vec<Problem>) {
        let lined = |found: &RefCell<BTreeSet<(usize, String)>>| {
            let found = found.take().into_iter();
            found.map(|(at, text)| Problem { line: Some(self.line(at)), text }).collect()
        };
        (lined(&self.errors), lined(&self.warnings))
    }
}

/// A hint for a word that is not known: the nearest known one, or else all of them.
pub(crate) fn hint<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    match nearest(word, known.iter().copied()) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None if known.is_empty() => "there are none".to_owned(),
        None => format!("known here: {}", known.join(", ")),
    }
}

/// The known word that a word is a slip of.
pub(crate) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    /// From this likeness on a word is taken for a slip of another: half of its letters are in their place.
    const SLIP: f64 = 0.5;
    let likeness = |other: &str| strsim::normalized_damerau_levenshtein(word, other);
    let known = known.into_iter().map(|other| (likeness(other), other));
    let (likeness, nearest) = known.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    (likeness >= SLIP).then_some(nearest)
}

/// A table of which all keys are known to us.
#[derive(Clone, Copy)]
pub(super) struct Table<'a> {
    source: &'a Source,
    /// Where it begins.
    pub(super) at: usize,
    keys: &'static [&'static str],
    entries: &'a DeTable<'a>,
}

impl<'a> Table<'a> {
    /// Opens a table and notes each key of it that is not among `keys`.
    pub(super) fn open(
        source: &'a Source,
        at: usize,
        entries: &'a DeTable<'a>,
        keys: &'static [&'static str],
    ) -> Self {
        for key in entries.keys() {
            let name: &str = key.get_ref();
            if !keys.contains(&name) {
                let hint = hint(name, keys.iter().copied());
                source.error(key.span().start, format!("unknown key `{name}`; {hint}"));
            }
        }
        Self { source, at, keys, entries }
    }

    /// A section at the same place, with these entries.
    pub(super) fn section(&self, entries: &'a DeTable<'a>, keys: &'static [&'static str]) -> Self {
        Self { keys, entries, ..*self }
    }

    /// A value, if it is there.
    pub(super) fn get(&self, key: &'static str) -> Option<Item<'a>> {
        debug_assert!(self.keys.contains(&key), "{key} is read but not among the known keys");
        self.entries.get(key).map(|value| Item::new(self.source, key, value))
    }

    /// A value that has to be there.
    pub(super) fn need(&self, key: &'static str, example: &str) -> Option<Item<'a>> {
        let item = self.get(key);
        if item.is_none() {
            self.error(format!("`{key}` is missing; write {example}"));
        }
        item
    }

    /// Where a key is, or where it could be.
    pub(super) fn place(&self, key: &'static str) -> usize {
        self.get(key).map_or(self.at, |item| item.at)
    }

    pub(super) fn error(&self, text: impl Into<String>) {
        self.source.error(self.at, text);
    }

    pub(super) fn error_at(&self, key: &'static str, text: impl Into<String>) {
        self.source.error(self.place(key), text);
    }

    pub(super) fn warn(&self, text: impl Into<String>) {
        self.source.warn(self.at, text);
    }
}

/// A value with its key and its place.
#[derive(Clone, Copy)]
pub(super) struct Item<'a> {
    source: &'a Source,
    pub(super) key: &'a str,
    pub(super) at: usize,
    value: &'a DeValue<'a>,
}

impl<'a> Item<'a> {
    fn new(source: &'a Source, key: &'a str, value: &'a Spanned<DeValue<'a>>) -> Self {
        Self { source, key, at: value.span().start, value: value.get_ref() }
    }

    pub(super) fn error(&self, text: impl Into<String>) {
        self.source.error(self.at, format!("{}: {}", self.key, text.into()));
    }

    pub(super) fn warn(&self, text: impl Into<String>) {
        self.source.warn(self.at, format!("{}: {}", self.key, text.into()));
    }

    pub(super) fn line(&self) -> usize {
        self.source.line(self.at)
    }

    pub(super) fn is_table(&self) -> bool {
        self.value.is_table()
    }

    /// A string, if that is what it is; nothing is noted.
    pub(super) fn as_text(&self) -> Option<&'a str> {
        self.value.as_str()
    }

    fn wrong_type<T>(&self, wanted: &str) -> Option<T> {
        self.error(format!(
            "found {} {}; write {wanted}",
            article(self.value),
            self.value.type_str()
        ));
        None
    }

    pub(super) fn text(&self, example: &str) -> Option<&'a str> {
        self.value.as_str().or_else(|| self.wrong_type(&format!("a string, as in {example}")))
    }

    pub(super) fn flag(&self) -> Option<bool> {
        self.value.as_bool().or_else(|| self.wrong_type("true or false"))
    }

    /// A table whose keys are known.
    pub(super) fn table(&self, keys: &'static [&'static str]) -> Option<Table<'a>> {
        let entries = self.value.as_table().or_else(|| self.wrong_type("a table"))?;
        Some(Table::open(self.source, self.at, entries, keys))
    }

    /// The tables of an array: `[[key]]`, or inline.
    pub(super) fn tables(&self, keys: &'static [&'static str]) -> Option<Vec<Table<'a>>> {
        let DeValue::Array(array) = self.value else {
            return self.wrong_type(&format!(
                "an array of tables: `[[...{}]]` or `[{{ ... }}]`",
                self.key
            ));
        };
        let items = array.iter().map(|value| Item::new(self.source, self.key, value));
        Some(items.filter_map(|item| item.table(keys)).collect())
    }

    /// The values of an array.
    pub(super) fn list(&self, example: &str) -> Option<Vec<Self>> {
        let array = self
            .value
            .as_array()
            .or_else(|| self.wrong_type(&format!("a list, as in {example}")))?;
        Some(array.iter().map(|value| Self::new(self.source, self.key, value)).collect())
    }

    /// The values of a table with free keys.
    pub(super) fn entries(&self, example: &str) -> Option<Vec<Self>> {
        let table = self
            .value
            .as_table()
            .or_else(|| self.wrong_type(&format!("a table, as in {example}")))?;
        Some(
            table.iter().map(|(key, value)| Self::new(self.source, key.get_ref(), value)).collect(),
        )
    }

    /// The value for one node: the value itself, or what a table by node has for it. Such a table names every node.
    pub(super) fn for_node(&self, nodes: &[&str], node: &str) -> Option<Self> {
        let DeValue::Table(table) = self.value else {
            return Some(*self);
        };
        for key in table.keys() {
            let name: &str = key.get_ref();
            if !nodes.contains(&name) {
                let hint = hint(name, nodes.iter().copied());
                self.source
                    .error(key.span().start, format!("{}: no node `{name}`; {hint}", self.key));
            }
        }
        let value = table.get(node);
        if value.is_none() {
            self.error(format!("the table by node has nothing for `{node}`; add `{node} = ...`"));
        }
        value.map(|value| Self::new(self.source, self.key, value))
    }

    pub(super) fn duration(&self) -> Option<Duration> {
        const EXAMPLES: &str = "\"500ms\", \"1s\", \"1.5s\" or \"2m\"";
        if self.value.is_integer() || self.value.is_float() {
            self.error(format!("a duration needs a unit and quotes; write {EXAMPLES}"));
            return None;
        }
        let text = self.text(EXAMPLES)?;
        let duration = duration::parse(text);
        if duration.is_none() {
            self.error(format!("{text:?} is no duration; write {EXAMPLES}"));
        }
        duration
    }

    pub(super) fn port(&self) -> Option<u16> {
        self.positive(u16::MAX, "is no UDP port; write")
    }

    /// A whole number from 1 to `most`; `what` tells of one that is not, and leads over to the numbers that are.
    pub(super) fn positive(&self, most: u16, what: &str) -> Option<u16> {
        let DeValue::Integer(number) = self.value else {
            return self.wrong_type(&format!("a number from 1 to {most}"));
        };
        let read = u16::from_str_radix(number.as_str(), number.radix()).ok();
        let fits = read.filter(|read| (1..=most).contains(read));
        if fits.is_none() {
            self.error(format!("{number} {what} a number from 1 to {most}"));
        }
        fits
    }

    /// An address of a machine, written without prefix or port.
    pub(super) fn ip(&self) -> Option<IpAddr> {
        let text = self.text("\"10.10.10.11\"")?;
        match parse_ip(text) {
            Ok(ip) => Some(ip),
            Err(why) => {
                self.error(why);
                None
            }
        }
    }

    /// A name of something of ours.
    pub(super) fn name(&self) -> Option<&'a str> {
        let text = self.text("\"alpha\"")?;
        if is_name(text) {
            return Some(text);
        }
        if is_mark(text) {
            self.error(format!("{text:?} is not decided yet; write it in this place"));
            return None;
        }
        self.error(format!(
            "{text:?} is no name; use letters, digits, `-`, `_` and `.`, beginning with a letter or digit, at most \
             {MAX_NAME} of them"
        ));
        None
    }

    /// A network interface's name.
    pub(super) fn interface(&self) -> Option<&'a str> {
        let text = self.text("\"eth0\"")?;
        if is_interface(text) {
            return Some(text);
        }
        self.error(format!("{text:?} is no interface; write a name that `ip link` shows"));
        None
    }

    /// A string, a number or a boolean, as the text that an agent gets for it.
    pub(super) fn param(&self) -> Option<String> {
        let text = match self.value {
            DeValue::String(text) => text.clone().into_owned(),
            DeValue::Boolean(flag) => flag.to_string(),
            DeValue::Integer(number) => {
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(value) => value.to_string(),
                    Err(_) => return self.wrong_type("a number of at most 64 bits, or a string"),
                }
            }
            DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
                return self
                    .wrong_type("a string, a number, a boolean, or a table by node of these");
            }
        };
        if text.contains('\0') {
            self.error("holds a zero byte, which no agent can be given; take it out");
            return None;
        }
        Some(text)
    }
}

/// Whether something of ours can have this name: letters, digits, `-`, `_` and `.`, beginning with a letter or digit.
pub(crate) fn is_name(text: &str) -> bool {
    let head = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    let tail = text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    head && tail && text.len() <= MAX_NAME
}

/// Whether a text is what `lubdub import` writes where it does not know the value.
fn is_mark(text: &str) -> bool {
    text.starts_with('<') && text.ends_with('>')
}

/// Whether a network interface can have this name (`dev_valid_name` of the kernel).
pub(crate) fn is_interface(text: &str) -> bool {
    let fits = !text.is_empty() && text.len() <= MAX_INTERFACE && text != "." && text != "..";
    fits && text.chars().all(|c| !c.is_whitespace() && !c.is_control() && c != '/' && c != ':')
}

/// Reads the address of a machine; the error says what is wrong with it.
pub(crate) fn parse_ip(text: &str) -> Result<IpAddr, String> {
    if is_mark(text) {
        return Err(format!(
            "{text:?} is not decided yet; write it in this place, as in \"10.10.10.11\""
        ));
    }
    let Ok(ip) = text.parse::<IpAddr>() else {
        let bare = text.split_once('/').and_then(|(bare, _prefix)| bare.parse::<IpAddr>().ok());
        if let Some(bare) = bare {
            return Err(format!("{text:?} is an address with a prefix; write it without: {bare}"));
        }
        return Err(format!(
            "{text:?} is no address; write one as in \"10.10.10.11\" or \"2001:db8::11\""
        ));
    };
    let link_local = matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    let mapped = ip != ip.to_canonical();
    let kind = match () {
        () if ip.is_unspecified() => "the unspecified address",
        () if ip.is_multicast() => "a multicast address",
        () if broadcast => "the broadcast address",
        () if link_local => "a link-local address, which needs an interface beside it",
        () if mapped => "an IPv4 address in IPv6 clothes",
        () => return Ok(ip),
    };
    Err(format!("{text} is {kind}; write the address of one machine"))
}

fn article(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::Integer(_) | DeValue::Array(_) => "an",
        DeValue::String(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Table(_) => "a",
    }
}

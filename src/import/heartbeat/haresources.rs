//! `haresources`: lines of `NODE RESOURCE...`, each of which becomes a group. `#` begins a comment, `\` at the end of a
//! line continues it; arguments of a script stand behind `::`; an address alone is one of the script IPaddr.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::scripts::{self, Script};
use crate::config::hint;
use crate::import::draft::{ByNode, Group, Names, Param, Resource, Slot};
use crate::import::report::{FileId, Place, Report};
use crate::import::value;

/// A word of a line with its place.
type Word<'a> = (Place, &'a str);

/// Reads the text of `haresources`. `nodes` are those of `ha.cf`.
pub(super) fn read(
    text: &str,
    file: FileId,
    nodes: &[String],
    auto_failback: bool,
    report: &mut Report,
) -> Vec<Group> {
    let mut reader = Reader { nodes, auto_failback, ..Reader::default() };
    for line in logical_lines(text, file) {
        reader.line(&line, report);
    }
    reader.groups
}

/// The lines that have words, continued ones as one.
fn logical_lines(text: &str, file: FileId) -> Vec<Vec<Word<'_>>> {
    let mut lines = Vec::new();
    let mut open: Vec<Word<'_>> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let place = Place::new(file, index + 1);
        let line = line.split('#').next().unwrap_or_default();
        // Heartbeat wants the backslash at the very end; that blanks follow it is never meant.
        let (line, continues) = match line.trim_end().strip_suffix('\\') {
            Some(line) => (line, true),
            None => (line, false),
        };
        open.extend(line.split_whitespace().map(|word| (place, word)));
        if !continues {
            lines.push(std::mem::take(&mut open));
        }
    }
    lines.push(open);
    lines.retain(|line| !line.is_empty());
    lines
}

#[derive(Default)]
struct Reader<'a> {
    nodes: &'a [String],
    auto_failback: bool,
    groups: Vec<Group>,
    group_names: Names,
    /// Addresses that a group has, with their places.
    addresses: BTreeMap<IpAddr, String>,
    /// How many addresses could not be read.
    unread: usize,
    /// Agents that a group uses, with the group's name.
    agents: BTreeMap<&'static str, String>,
}

impl Reader<'_> {
    fn line(&mut self, words: &[Word<'_>], report: &mut Report) {
        let Some(((at, node), resources)) = words.split_first() else { return };
        if resources.is_empty() {
            report.not_converted(*at, *node, "the line names no resource");
            return;
        }
        let name = self.group_names.free(&name_for(resources));
        let prefer = self.preference(*at, node, &name, report);
        let mut group = Group {
            name,
            comment: report.short(*at),
            prefer,
            auto_failback: self.auto_failback,
            resources: Vec::new(),
        };
        let mut names = Names::default();
        for word in resources {
            if let Some(resource) = self.resource(*word, &group.name, &mut names, report) {
                group.resources.push(resource);
            }
        }
        if group.resources.is_empty() {
            report.not_converted(*at, "the line", "nothing is left of it, so there is no group");
        } else {
            let used: BTreeSet<&str> =
                group.resources.iter().filter_map(|resource| resource.agent.value()).collect();
            let agents = ["nginx", "httpd"].into_iter().filter(|agent| used.contains(agent));
            for agent in agents {
                self.agents.entry(agent).or_insert_with(|| group.name.clone());
            }
            self.groups.push(group);
        }
    }

    fn preference(&self, at: Place, node: &str, group: &str, report: &mut Report) -> Vec<Slot> {
        if let Some(known) = self.nodes.iter().find(|known| known.eq_ignore_ascii_case(node)) {
            report.converted(at, node, format!("group {group} prefers {known}"));
            return vec![Slot::known(known)];
        }
        let hint = hint(node, self.nodes.iter().map(String::as_str));
        let says = format!(
            "ha.cf has no such node, and Heartbeat would not start with it; {hint} Group {group} prefers none"
        );
        report.not_converted(at, node, says);
        Vec::new()
    }

    /// What a word becomes.
    fn resource(
        &mut self,
        (at, word): Word<'_>,
        group: &str,
        names: &mut Names,
        report: &mut Report,
    ) -> Option<Resource> {
        let bare = value::address(word.split('/').next().unwrap_or(word)).is_ok();
        let (script, arguments) = match word.split_once("::") {
            _ if bare => ("IPaddr", word),
            Some((script, arguments)) => (script, arguments),
            None => (word, ""),
        };
        match scripts::script(script) {
            Script::Address => self.address((at, word), arguments, names, report),
            Script::Filesystem => {
                let resource = filesystem(names, &report.short(at), arguments);
                report.not_converted(at, word, scripts::FILESYSTEM);
                Some(resource)
            }
            Script::Agent(agent) => {
                Some(self.agent((at, word), (agent, arguments), (group, names), report))
            }
            Script::NotNeeded(says) => {
                report.not_needed(at, word, says);
                None
            }
            Script::Left(says) => {
                report.not_converted(at, word, says);
                None
            }
            Script::Missing(does, advice) => {
                let does = if does.is_empty() { format!("runs {script}") } else { does.to_owned() };
                let short = report.short(at);
                let mut resource = Resource::without_agent(names.free(script), &does, &short);
                resource.comment.push(format!("{short}: {word}"));
                report.not_converted(at, word, advice);
                Some(resource)
            }
        }
    }

    /// `ADDRESS[/PREFIX][/INTERFACE][/BROADCAST]`, any of the latter three left out.
    fn address(
        &mut self,
        (at, word): Word<'_>,
        arguments: &str,
        names: &mut Names,
        report: &mut Report,
    ) -> Option<Resource> {
        let parts = match Parts::of(arguments) {
            Ok(parts) => parts,
            Err(why) => {
                report.not_converted(at, word, why);
                self.unread += 1;
                let here = report.short(at);
                return Some(Resource::unread_address(
                    names.free("vip"),
                    arguments,
                    &here,
                    self.unread,
                ));
            }
        };
        let here = report.short(at);
        if let Some(first) = self.addresses.get(&parts.ip) {
            let says =
                format!("{} is an address of {first} already; each moves with one group", parts.ip);
            report.not_converted(at, word, says);
            return None;
        }
        self.addresses.insert(parts.ip, here.clone());
        let interface = parts.interface.map_or(ByNode::None, ByNode::Same);
        let name = names.free("vip");
        let written = parts.prefix.map_or_else(|| "<prefix>".to_owned(), |bits| bits.to_string());
        let mut says = format!("resource {name}: IPaddr with {}/{written}", parts.ip);
        if let ByNode::Same(interface) = &interface {
            says.push_str(&format!(" on {interface}"));
        }
        if parts.broadcast {
            says.push_str("; its broadcast address needs no setting");
        }
        report.converted(at, word, says);
        Some(Resource::address(name, parts.ip, parts.prefix, interface, &here))
    }

    fn agent(
        &self,
        (at, word): Word<'_>,
        (agent, arguments): (&'static str, &str),
        (group, names): (&str, &mut Names),
        report: &mut Report,
    ) -> Resource {
        let name = names.free(agent);
        let mut resource = Resource::of_agent(name.clone(), agent);
        let mut says = format!("resource {name}: agent {agent}");
        // `apache::/etc/apache2/site.conf` is what Heartbeat's own script for it takes.
        if arguments.starts_with('/') && !arguments.contains("::") {
            resource.params.push(("configfile", Param::One(Slot::known(arguments))));
            says.push_str(&format!(" with {arguments}"));
        } else if !arguments.is_empty() {
            says.push_str("; its arguments are left out");
        }
        if let Some(other) = self.agents.get(agent).filter(|other| *other != group) {
            says.push_str(&format!(
                "; group {other} has one too: where both run on one node, the stop of one ends it for both unless each has a \
                 configuration file of its own"
            ));
        }
        report.converted(at, word, says);
        resource
    }
}

/// The best name for a group is that of its service, which stands last; else that of its address.
fn name_for(resources: &[Word<'_>]) -> String {
    let services = resources.iter().rev().filter_map(|(_, word)| {
        let script = word.split("::").next().unwrap_or(word);
        let named = |text: &str| value::address(text).is_err();
        let fits = match scripts::script(script) {
            Script::Agent(_) | Script::Missing("", _) => named(script.split('/').next()?),
            Script::Address
            | Script::Filesystem
            | Script::NotNeeded(_)
            | Script::Left(_)
            | Script::Missing(..) => false,
        };
        fits.then(|| script.to_owned())
    });
    let addresses = resources.iter().filter_map(|(_, word)| {
        let parts =
            Parts::of(word.split_once("::").map_or(word, |(_, arguments)| arguments)).ok()?;
        Some(format!("vip-{}", parts.ip))
    });
    services.chain(addresses).next().unwrap_or_else(|| "group".to_owned())
}

/// `Filesystem::DEVICE::DIRECTORY[::FSTYPE[::OPTIONS]]`
fn filesystem(names: &mut Names, at: &str, arguments: &str) -> Resource {
    let arguments: Vec<&str> = arguments.split("::").filter(|word| !word.is_empty()).collect();
    let directory = arguments.get(1).copied().unwrap_or("a directory");
    let name = names.free("filesystem");
    let does = format!("mounts {directory}");
    let mut resource = Resource::without_agent(name, &does, at);
    resource.comment.push(format!("{at}: Filesystem::{}", arguments.join("::")));
    resource.comment.push("The parameters are those of the OCF agent Filesystem.".to_owned());
    for (param, word) in ["device", "directory", "fstype", "options"].into_iter().zip(&arguments) {
        resource.params.push((param, Param::One(Slot::known(*word))));
    }
    resource
}

/// What an address resource says.
struct Parts {
    ip: IpAddr,
    prefix: Option<u8>,
    interface: Option<String>,
    broadcast: bool,
}

impl Parts {
    fn of(text: &str) -> Result<Self, String> {
        let mut words = text.split('/');
        let first = words.next().unwrap_or_default();
        let (ip, _) = value::address(first)?;
        let mut parts = Self { ip, prefix: None, interface: None, broadcast: false };
        for word in words.filter(|word| !word.is_empty()) {
            if let Some(prefix) = value::prefix(word, ip).filter(|_| parts.prefix.is_none()) {
                parts.prefix = Some(prefix);
            } else if word.parse::<IpAddr>().is_ok() {
                parts.broadcast = true;
            } else if let Some(interface) = value::interface(word)
                .filter(|_| starts_with_letter(word) && parts.interface.is_none())
            {
                parts.interface = Some(interface.to_owned());
            } else {
                return Err(format!(
                    "{word:?} is neither a prefix, an interface nor a broadcast address"
                ));
            }
        }
        Ok(parts)
    }
}

fn starts_with_letter(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_all_forms() {
        for (text, prefix, interface, broadcast) in [
            ("10.0.0.1", None, None, false),
            ("10.0.0.1/24", Some(24), None, false),
            ("10.0.0.1/24/eth0", Some(24), Some("eth0"), false),
            ("10.0.0.1/24/eth0/10.0.0.255", Some(24), Some("eth0"), true),
            ("10.0.0.1/24/10.0.0.255", Some(24), None, true),
            ("10.0.0.1/255.255.255.0/eth0:0", Some(24), Some("eth0"), false),
            ("10.0.0.1/eth0", None, Some("eth0"), false),
            ("2001:db8::1/64/eth0", Some(64), Some("eth0"), false),
        ] {
            let parts = Parts::of(text).unwrap_or_else(|why| panic!("{text}: {why}"));
            let found = (parts.prefix, parts.interface.as_deref(), parts.broadcast);
            assert_eq!(found, (prefix, interface, broadcast), "{text}");
        }
        for text in [
            "",
            "10.0.0",
            "10.0.0.1/240",
            "10.0.0.1/24/muchtoolongname0",
            "10.0.0.1/eth0/eth1",
            "mysql",
        ] {
            assert!(Parts::of(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lines_are_continued_and_comments_taken_out() {
        let mut report = Report::default();
        let file = report.file("haresources");
        let lines = logical_lines("# x\na 1 \\ \n  2 # y\n\n\tb 3\\\n4\n", file);
        let words: Vec<Vec<&str>> =
            lines.iter().map(|line| line.iter().map(|(_, word)| *word).collect()).collect();
        assert_eq!(words, [vec!["a", "1", "2"], vec!["b", "3", "4"]]);
        assert_eq!(lines[0][2].0.line, 3);
    }
}

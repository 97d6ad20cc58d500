//! From flags to answers, through the same checks as answers to questions.

use super::answers::{Answers, Interface, NONE, Node, check_cluster};
use super::here::Here;
use crate::cli::args::InitArgs;

/// The answers that were given as flags; or all that is wrong with them, each with its flag.
pub(super) fn answers(args: &InitArgs, here: &Here) -> Result<Answers, Vec<String>> {
    let mut answers = Answers { no_arp: args.no_arp, service: args.service, ..Answers::default() };
    let mut wrong = Wrong::default();
    if let Some(text) = &args.cluster {
        answers.cluster = wrong.sort_out("--cluster", text, check_cluster(text));
    }
    for text in &args.nodes {
        let node = node(&answers, text);
        answers.nodes.extend(wrong.sort_out("--node", text, node));
    }
    let mut named = Vec::new();
    for text in &args.interfaces {
        named.extend(wrong.sort_out("--interface", text, answers.check_interface(text)));
    }
    if let Some(interface) =
        wrong.sort_out("--interface", &args.interfaces.join(" "), interface(&answers, named))
    {
        answers.interface = interface;
    }
    if let Some(text) = &args.address {
        answers.address = wrong.sort_out("--address", text, answers.check_address(here, text));
    }
    for text in &args.ping {
        let Some(more) = wrong.sort_out("--ping", text, answers.check_ping(here, text)) else {
            continue;
        };
        match &mut answers.ping {
            None => answers.ping = Some(more),
            Some(ping) if ping.is_empty() || more.is_empty() => {
                wrong.0.push(format!("--ping {NONE} and a ping node contradict each other"));
            }
            Some(ping) => ping.extend(more),
        }
    }
    if wrong.0.is_empty() { Ok(answers) } else { Err(wrong.0) }
}

/// `NAME=ADDRESS[,ADDRESS]`
fn node(answers: &Answers, text: &str) -> Result<Node, String> {
    let (name, addresses) = text.split_once('=').ok_or(
        "write NAME=ADDRESS or NAME=ADDRESS,ADDRESS, such as alpha=10.10.10.11,192.168.9.1",
    )?;
    let name = answers.check_name(name)?;
    let mut read = Vec::new();
    for address in addresses.split(',') {
        read.push(answers.check_node_address(&name, &read, address.trim())?);
    }
    answers.check_links(&name, &read)?;
    Ok(Node { name, addresses: read })
}

/// What several `--interface` come to.
fn interface(
    answers: &Answers,
    mut named: Vec<(Option<String>, String)>,
) -> Result<Interface, String> {
    if named.iter().all(|(node, _)| node.is_none()) {
        let last = named.pop();
        return match (last, named.is_empty()) {
            (None, _) => Ok(Interface::ByNetwork),
            (Some((_, name)), true) => Ok(Interface::Same(name)),
            (Some(_), false) => {
                Err("one NAME is for all nodes; for each its own: NODE=NAME".into())
            }
        };
    }
    let mut each = Vec::new();
    for node in &answers.nodes {
        let mut of_node = named.iter().filter(|(of, _)| of.as_ref() == Some(&node.name));
        match (of_node.next(), of_node.next()) {
            (Some((_, name)), None) => each.push((node.name.clone(), name.clone())),
            (None, _) => return Err(format!("{} has none; add {}=NAME", node.name, node.name)),
            (Some(_), Some(_)) => return Err(format!("{} has two", node.name)),
        }
    }
    if named.iter().any(|(node, _)| node.is_none()) {
        return Err("a NAME for all nodes and one for a node contradict each other".into());
    }
    Ok(Interface::Each(each))
}

/// What is wrong, each with the flag and its value.
#[derive(Default)]
struct Wrong(Vec<String>);

impl Wrong {
    fn sort_out<T>(&mut self, flag: &str, value: &str, checked: Result<T, String>) -> Option<T> {
        checked.map_err(|why| self.0.push(format!("{flag} {value}: {why}"))).ok()
    }
}

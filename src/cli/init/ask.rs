//! The questions: each with a default in brackets where there is one, and asked again with the reason after a bad answer.

use std::io::{BufRead, Write};
use std::net::IpAddr;

use clap::ValueEnum;

use super::Service;
use super::answers::{Answers, NONE, Node, check_cluster};
use super::here::Here;
use crate::cli::exit::Failure;

/// The name of a cluster that nobody named.
const CLUSTER: &str = "web";

/// Where questions are put and answers come from: a terminal.
pub(super) struct Dialogue<R, W> {
    answers: R,
    questions: W,
}

impl<R: BufRead, W: Write> Dialogue<R, W> {
    pub(super) fn new(answers: R, questions: W) -> Self {
        Self { answers, questions }
    }

    /// Asks for everything that is not known yet.
    pub(super) fn complete(&mut self, known: &mut Answers, here: &Here) -> Result<(), Failure> {
        self.say(&heading(here))?;
        if known.cluster.is_none() {
            known.cluster = Some(self.ask("Name of the cluster", Some(CLUSTER), check_cluster)?);
        }
        self.nodes(known, here)?;
        known.address = Some(self.address(known, here)?);
        if known.ping.is_none() {
            let first = known.nodes.first().and_then(|node| node.addresses.first());
            let gateway = here.gateway(first.copied()).map(|ip| ip.to_string());
            let question = format!(
                "Ping node (a router outside the cluster, which tells a node whether it is itself cut off), or {NONE}"
            );
            known.ping =
                Some(self.ask(&question, gateway.as_deref(), |text| known.check_ping(here, text))?);
        }
        if known.service.is_none() {
            let installed = here.service.word();
            let question = "What runs behind that address: nginx, httpd or none";
            known.service = Some(self.ask(question, Some(installed), service)?);
        }
        self.say("")
    }

    /// Nodes until there are enough of them and no more are wanted. Those that were given as flags are all.
    fn nodes(&mut self, known: &mut Answers, here: &Here) -> Result<(), Failure> {
        if known.nodes.len() >= Answers::FEWEST_NODES {
            return Ok(());
        }
        if known.nodes.is_empty() {
            let question = "Name of this node, which is its host's";
            let name = self.ask(question, Some(&here.name), |text| known.check_name(text))?;
            let node = self.first_node(known, here, name)?;
            known.nodes.push(node);
        }
        let question = "Name of the other node, as `hostname -s` says it there";
        let is_here = known.nodes.iter().any(|node| node.name == here.name);
        let default = (!is_here).then_some(here.name.as_str());
        let name = self.ask(question, default, |text| known.check_name(text))?;
        self.other_node(known, here, name)?;
        loop {
            let question = "Name of a further node";
            let more = self.ask(question, Some(NONE), |text| match text {
                NONE => Ok(None),
                name => known.check_name(name).map(Some),
            })?;
            let Some(name) = more else { return Ok(()) };
            self.other_node(known, here, name)?;
        }
    }

    /// The first node says which links there are. What this machine has is offered if it is the one.
    fn first_node(&mut self, known: &Answers, here: &Here, name: String) -> Result<Node, Failure> {
        let is_here = name == here.name;
        let first = here.own.first().filter(|_| is_here).map(|own| own.ip.to_string());
        let question = format!("Address of {name} on the network of the clients");
        let ip = self.ask_doubting(
            &question,
            first.as_deref(),
            |text| known.check_node_address(&name, &[], text),
            |ip| here.doubt(&name, *ip),
        )?;
        let apart = here.apart_from(ip).filter(|_| is_here).map(|own| own.ip.to_string());
        let question = format!(
            "Address of {name} on a second network that shares nothing with the first, or {NONE}"
        );
        let second = self.ask_doubting(
            &question,
            Some(apart.as_deref().unwrap_or(NONE)),
            |text| match text {
                NONE => Ok(None),
                ip_text => known.check_node_address(&name, &[ip], ip_text).map(Some),
            },
            |ip| ip.and_then(|ip| here.doubt(&name, ip)),
        )?;
        Ok(Node { name, addresses: std::iter::once(ip).chain(second).collect() })
    }

    /// Another one, on the links of the first.
    fn other_node(
        &mut self,
        known: &mut Answers,
        here: &Here,
        name: String,
    ) -> Result<(), Failure> {
        let count = known.nodes.first().map_or(1, |node| node.addresses.len());
        let mut addresses = Vec::new();
        for place in 0..count {
            let which =
                if place == 0 { "the network of the clients" } else { "the second network" };
            let question = format!("Address of {name} on {which}");
            let ip = self.ask_doubting(
                &question,
                None,
                |text| known.check_node_address(&name, &addresses, text),
                |ip| here.doubt(&name, *ip),
            )?;
            addresses.push(ip);
        }
        known.nodes.push(Node { name, addresses });
        Ok(())
    }

    /// The service address; one that was given as a flag has to suit the nodes, now that all are known.
    fn address(&mut self, known: &mut Answers, here: &Here) -> Result<(IpAddr, u8), Failure> {
        if let Some((ip, prefix)) = known.address.take() {
            match known.check_address(here, &format!("{ip}/{prefix}")) {
                Ok(address) => return Ok(address),
                Err(why) => self.say(&format!("  {why}"))?,
            }
        }
        let first = known.nodes.iter().filter_map(|node| node.addresses.first());
        let network = first.filter_map(|ip| here.own(*ip)).next();
        let prefix = network
            .map_or_else(String::new, |own| format!(" (/{} on {})", own.prefix, own.interface));
        let question =
            format!("Address that the clients use and that moves, with its prefix{prefix}");
        self.ask(&question, None, |text| known.check_address(here, text))
    }

    /// One question, until it has a good answer. A default that would be none is not offered.
    fn ask<T>(
        &mut self,
        question: &str,
        default: Option<&str>,
        check: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, Failure> {
        self.ask_doubting(question, default, check, |_| None)
    }

    /// The same. What is legal and hardly meant has to be said twice.
    fn ask_doubting<T>(
        &mut self,
        question: &str,
        default: Option<&str>,
        check: impl Fn(&str) -> Result<T, String>,
        doubt: impl Fn(&T) -> Option<String>,
    ) -> Result<T, Failure> {
        let default = default.filter(|default| check(default).is_ok());
        let mut doubted = String::new();
        let brackets = default.map_or_else(String::new, |default| format!(" [{default}]"));
        loop {
            self.prompt(&format!("{question}{brackets}: "))?;
            let line = self.line()?;
            let text = match (line.trim(), default) {
                ("", Some(default)) => default,
                ("", None) => {
                    self.say("  there is no default: it needs an answer")?;
                    continue;
                }
                (text, _) => text,
            };
            match check(text).map(|value| (doubt(&value).filter(|_| text != doubted), value)) {
                Ok((None, value)) => return Ok(value),
                Ok((Some(doubt), _)) => {
                    self.say(&format!("  {doubt}: answer so again if it is right"))?;
                    text.clone_into(&mut doubted);
                }
                Err(why) => self.say(&format!("  {why}"))?,
            }
        }
    }

    fn line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        let read = self.answers.read_line(&mut line);
        match read {
            Ok(1..) => Ok(line),
            Ok(0) => Err(Failure::Failed("no more answers, so nothing was written".into())),
            Err(error) => Err(Failure::Failed(format!("cannot read the answer: {error}"))),
        }
    }

    fn say(&mut self, text: &str) -> Result<(), Failure> {
        self.prompt(&format!("{text}\n"))
    }

    fn prompt(&mut self, text: &str) -> Result<(), Failure> {
        let put = self.questions.write_all(text.as_bytes());
        put.and_then(|()| self.questions.flush())
            .map_err(|error| Failure::Failed(format!("cannot ask: {error}")))
    }
}

/// What was found, so that the defaults explain themselves.
fn heading(here: &Here) -> String {
    let own = here.own.iter().map(|own| format!("{} {}/{}", own.interface, own.ip, own.prefix));
    let gateway = here.gateway(None).map(|ip| format!("default gateway {ip}"));
    let found: Vec<String> = own.chain(gateway).collect();
    let found = if found.is_empty() { "no address".to_owned() } else { found.join(", ") };
    format!("This machine, {}: {found}.\nEnter takes what stands in brackets.\n", here.name)
}

fn service(text: &str) -> Result<Service, String> {
    <Service as ValueEnum>::from_str(text, true)
        .map_err(|_unknown| format!("{text:?} is not one of them; write nginx, httpd or none"))
}

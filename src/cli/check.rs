//! `lubdub check`: the configuration as every node reads it, and on the machine that is one of them its agents too.

use crate::cluster::guard::GuardLevel;
use crate::config::{self, Config, Group, Guard};

use super::agent::Installed;
use super::args::CheckArgs;
use super::exit::{Exit, Failure};
use super::output;

/// Check everything, and tell all that is wrong at once.
pub(super) fn check(args: &CheckArgs) -> Result<Exit, Failure> {
    let wrong = |error: config::ConfigErrors| Failure::Usage(error.to_string());
    let name = args.config.display();
    let file = config::read(&args.config).map_err(wrong)?;
    for warning in file.warnings() {
        let line = warning.line.map_or_else(String::new, |line| format!("{line}:"));
        output::say(&format!("{name}:{line} warning: {}", warning.text));
    }
    let node = match &args.node {
        Some(node) => Some(node.clone()),
        None => own_node(&file),
    };
    let Some(node) = node else {
        let nodes: Vec<&str> = file.nodes().collect();
        output::say(&format!(
            "this machine is none of the nodes ({}), so its agents were not asked; --node says which one it is",
            nodes.join(", ")
        ));
        let first = nodes.first().copied().unwrap_or_default();
        return report(&name.to_string(), &file.for_node(first).map_err(wrong)?);
    };
    let config = file.for_node(&node).map_err(wrong)?;
    let problems = problems(&config, &Installed::find()?);
    if problems.is_empty() {
        report(&name.to_string(), &config)
    } else {
        let lines: Vec<String> =
            problems.iter().map(|problem| format!("{name}: {problem}")).collect();
        Err(Failure::Usage(lines.join("\n")))
    }
}

/// The node that has this host's name, as `lubdub run` takes it.
fn own_node(file: &config::File) -> Option<String> {
    let host = nix::unistd::gethostname().ok()?.into_string().ok()?;
    file.nodes().find(|node| *node == host).map(ToOwned::to_owned)
}

fn problems(config: &Config, installed: &Installed) -> Vec<String> {
    let resources = config
        .groups
        .iter()
        .flat_map(|group| group.resources.iter().map(move |resource| (group, resource)));
    resources
        .flat_map(|(group, resource)| {
            let place = format!("{}/{}", group.name, resource.name);
            let wrong = installed.problems(&group.name, resource);
            wrong.into_iter().map(move |why| format!("{place}: {why}"))
        })
        .collect()
}

fn report(name: &str, config: &Config) -> Result<Exit, Failure> {
    output::result(&format!("{name}: ok, cluster {}", config.cluster))?;
    for group in &config.groups {
        let level = promised(&config.guard, group);
        output::result(&format!("  group {}: guard {level}", group.name))?;
        if level == GuardLevel::None && config.nodes.len() > 1 {
            output::say(&format!("{name}: warning: {}", unguarded(&config.guard, group)));
        }
    }
    Ok(Exit::Fine)
}

fn unguarded(guard: &Guard, group: &Group) -> String {
    let name = &group.name;
    if guard.ping.is_empty() && !guard.arp {
        format!(
            "{name} has no guard: if the nodes lose sight of each other, both run it; set `ping` and `arp`"
        )
    } else {
        format!(
            "{name} has no address, so the guard can promise nothing for it; give it one with the agent IPaddr"
        )
    }
}

/// What the guard promises for a group while everything works. A group without an address cannot be let go of in time.
fn promised(guard: &Guard, group: &Group) -> GuardLevel {
    let addressed = group.resources.iter().any(|resource| resource.address.is_some());
    match (addressed && !guard.ping.is_empty(), addressed && guard.arp) {
        (false, false) => GuardLevel::None,
        (true, false) => GuardLevel::Ping,
        (false, true) => GuardLevel::Arp,
        (true, true) => GuardLevel::PingArp,
    }
}

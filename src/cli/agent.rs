//! `lubdub agent`: what is installed, its parameters, one action by hand. Also what `check` asks of agents.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::args::AgentVerb;
use super::exit::{Exit, Failure};
use super::output::{self, Paint, Tone, age, width_of, wrap};
use crate::agent::{
    AGENTS_VARIABLE, Action, Agents, Call, Kind, MetaData, Outcome, Parameter, STATE_DIR,
};
use crate::cluster::io::OpId;
use crate::config::{AgentName, Resource, Timeouts};
use crate::daemon::clock::Clock;
use crate::daemon::exec::{Finished, Request, make_state_dir, run_once};
use crate::wire::Term;

/// How long agents may take over their meta-data and over looking at their parameters.
const LOOK: Duration = Duration::from_secs(20);

/// Columns of a description.
const WIDTH: usize = 80;

/// Do what is asked with agents.
pub(super) fn agent(verb: AgentVerb) -> Result<Exit, Failure> {
    let installed = Installed::find()?;
    match verb {
        AgentVerb::List => list(&installed),
        AgentVerb::Describe { agent } => {
            let meta = installed.meta_data(&AgentName(agent)).map_err(Failure::Failed)?;
            output::result(&describe(&meta, Paint::for_stdout()))?;
            Ok(Exit::Fine)
        }
        AgentVerb::Run { agent, action, params, timeout } => {
            let resource = by_hand(AgentName(agent), params.into_iter().collect(), timeout);
            run(&installed, &resource, action, timeout)
        }
    }
}

/// One action, with all that the agent says, and in the last line what came of it.
fn run(
    installed: &Installed,
    resource: &Resource,
    action: Action,
    timeout: Duration,
) -> Result<Exit, Failure> {
    let keeps_state = match action {
        Action::Start | Action::Stop | Action::Monitor => true,
        Action::ValidateAll | Action::MetaData => false,
    };
    if let Some(error) = keeps_state.then(make_state_dir).and_then(Result::err) {
        output::say(&format!(
            "{STATE_DIR}: {error}; agents that keep their state there will fail: run this as root"
        ));
    }
    let finished = installed.run(resource, "by-hand", action, timeout).map_err(Failure::Failed)?;
    output::result(&String::from_utf8_lossy(&finished.stdout))?;
    let complaints = String::from_utf8_lossy(&finished.stderr);
    if !complaints.is_empty() {
        output::say(complaints.trim_end());
    }
    let agent = &resource.agent;
    match finished.outcome {
        Outcome::Exited { code, reason } => {
            // As a rule that was just told, in its own words.
            let reason = reason.filter(|reason| !complaints.contains(reason.as_str()));
            output::say(&format!("{agent} {action}: {}", Outcome::Exited { code, reason }));
            Ok(Exit::Agent(code.number()))
        }
        outcome @ (Outcome::TimedOut
        | Outcome::Signalled(_)
        | Outcome::Killed
        | Outcome::CannotExecute(_)
        | Outcome::TooLate) => Err(Failure::Failed(format!("{agent} {action}: {outcome}"))),
    }
}

/// The agents of this machine, and this very program, which they call.
pub(super) struct Installed {
    agents: Agents,
    program: PathBuf,
}

impl Installed {
    /// Where this program's agents lie.
    pub(super) fn find() -> Result<Self, Failure> {
        let program = std::env::current_exe()
            .map_err(|error| Failure::Failed(format!("cannot find this program: {error}")))?;
        let variable = std::env::var_os(AGENTS_VARIABLE);
        Ok(Self { agents: Agents::of_program(&program, variable.as_deref()), program })
    }

    /// What an agent says of itself, or why it cannot be asked.
    pub(super) fn meta_data(&self, agent: &AgentName) -> Result<MetaData, String> {
        let resource = by_hand(agent.clone(), BTreeMap::new(), LOOK);
        let finished = self.run(&resource, "meta-data", Action::MetaData, LOOK)?;
        if finished.outcome.is_success() {
            MetaData::parse(&String::from_utf8_lossy(&finished.stdout))
                .map_err(|error| format!("agent {agent}: {error}"))
        } else {
            Err(format!("agent {agent}: meta-data: {}", finished.outcome))
        }
    }

    /// Everything that is wrong with a resource on this machine, each with what to do.
    pub(super) fn problems(&self, group: &str, resource: &Resource) -> Vec<String> {
        let meta = match self.meta_data(&resource.agent) {
            Ok(meta) => meta,
            Err(why) => return vec![why],
        };
        let wrong: Vec<String> =
            meta.check(&resource.params).iter().map(ToString::to_string).collect();
        if !wrong.is_empty() {
            return wrong;
        }
        match self.run(resource, group, Action::ValidateAll, LOOK) {
            Ok(finished) if finished.outcome.is_success() => Vec::new(),
            Ok(finished) => vec![format!("validate-all: {}", finished.outcome)],
            Err(why) => vec![why],
        }
    }

    fn run(
        &self,
        resource: &Resource,
        group: &str,
        action: Action,
        timeout: Duration,
    ) -> Result<Finished, String> {
        let found = self.agents.find(&resource.agent).map_err(|error| error.to_string())?;
        // Agents run in the root directory, where a relative path of LUBDUB_AGENTS leads nowhere.
        let path =
            std::path::absolute(&found).map_err(|error| format!("{}: {error}", found.display()))?;
        let call = Call {
            group,
            resource,
            action,
            timeout,
            term: Term::default(),
            lease: None,
            not_after: None,
            state_dir: Path::new(STATE_DIR),
            program: &self.program,
        };
        let environment = call.environment();
        let request = Request { op: OpId(0), path, action, environment, timeout, not_after: None };
        let clock = Clock::start();
        run_once(request, move || clock.now()).map_err(|error| error.to_string())
    }
}

/// A resource that stands in no configuration.
fn by_hand(agent: AgentName, params: BTreeMap<String, String>, timeout: Duration) -> Resource {
    Resource {
        name: agent.0.clone(),
        agent,
        params,
        monitor: None,
        timeout: Timeouts { start: timeout, stop: timeout, monitor: timeout },
        address: None,
    }
}

fn list(installed: &Installed) -> Result<Exit, Failure> {
    let found = installed.agents.list().map_err(|error| Failure::Failed(error.to_string()))?;
    let widest = found.keys().map(|name| width_of(&name.0)).max().unwrap_or(0);
    let mut exit = Exit::Fine;
    if found.is_empty() {
        output::say(&format!(
            "there are no agents in {}; install them there, or name their directory in {AGENTS_VARIABLE}",
            installed.agents.places()
        ));
    }
    for (name, path) in &found {
        let said = match path {
            Ok(_) => installed.meta_data(name),
            Err(error) => Err(error.to_string()),
        };
        match said {
            Ok(meta) => output::result(&format!("{:widest$}  {}", name.0, meta.shortdesc))?,
            Err(why) => {
                output::say(&why);
                exit = Exit::Failed;
            }
        }
    }
    Ok(exit)
}

fn describe(meta: &MetaData, paint: Paint) -> String {
    let head = |text: &str| paint.tone(Tone::Head, text);
    let version = meta.version.as_ref().map_or_else(String::new, |version| format!(" {version}"));
    let mut lines =
        vec![format!("{}{version}: {}", head(&meta.name), meta.shortdesc), String::new()];
    lines.extend(wrap(&one_line(&meta.longdesc), WIDTH));
    if !meta.parameters.is_empty() {
        lines.extend([String::new(), head("parameters")]);
        let widest = meta.parameters.iter().map(|known| width_of(&known.name)).max().unwrap_or(0);
        for known in &meta.parameters {
            lines.extend(parameter(known, widest));
        }
    }
    if !meta.actions.is_empty() {
        lines.extend([String::new(), head("actions, and how long each may well take")]);
        let actions = meta.actions.iter().map(|action| {
            let timeout = action.timeout.map_or_else(String::new, |time| format!(" {}", age(time)));
            format!("{}{timeout}", action.name)
        });
        let actions = actions.collect::<Vec<_>>().join(", ");
        lines.extend(wrap(&actions, WIDTH - 2).into_iter().map(|line| format!("  {line}")));
    }
    lines.join("\n") + "\n"
}

fn parameter(known: &Parameter, widest: usize) -> Vec<String> {
    let kind = match &known.kind {
        Kind::String => String::new(),
        Kind::Integer => "whole number".to_owned(),
        Kind::Boolean => "true or false".to_owned(),
        Kind::Select(words) => format!("one of {}", words.join(", ")),
    };
    let need = match &known.default {
        _ if known.required => "required".to_owned(),
        Some(default) if !default.is_empty() => format!("default {default}"),
        Some(_) | None => "optional".to_owned(),
    };
    let brackets: Vec<String> = [need, kind].into_iter().filter(|text| !text.is_empty()).collect();
    let indent = 2 + widest + 2;
    let about =
        [format!("{} ({})", known.shortdesc, brackets.join(", ")), one_line(&known.longdesc)];
    let mut texts =
        about.iter().filter(|text| !text.is_empty()).flat_map(|text| wrap(text, WIDTH - indent));
    let first = format!("  {:widest$}  {}", known.name, texts.next().unwrap_or_default());
    std::iter::once(first).chain(texts.map(|text| format!("{:indent$}{text}", ""))).collect()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_a_page() {
        let meta = MetaData::parse(
            r#"<resource-agent name="web" version="1.0">
            <longdesc>A web server
              that serves pages.</longdesc><shortdesc>Web server</shortdesc>
            <parameters>
              <parameter name="configfile"><longdesc>Where it is.</longdesc><shortdesc>Configuration</shortdesc>
                <content type="string" default="/etc/web.conf"/></parameter>
              <parameter name="port" required="1"><shortdesc>Port</shortdesc><content type="integer"/></parameter>
            </parameters>
            <actions><action name="start" timeout="40s"/><action name="meta-data"/></actions>
            </resource-agent>"#,
        )
        .unwrap();
        assert_eq!(
            describe(&meta, Paint::Plain),
            "web 1.0: Web server\n\
             \n\
             A web server that serves pages.\n\
             \n\
             parameters\n\
             \u{20} configfile  Configuration (default /etc/web.conf)\n\
             \u{20}             Where it is.\n\
             \u{20} port        Port (required, whole number)\n\
             \n\
             actions, and how long each may well take\n\
             \u{20} start 40 s, meta-data\n"
        );
    }
}

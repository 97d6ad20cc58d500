//! The whole environment of an action. Agents get nothing else: what the daemon inherited stays with it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use super::{Action, reason};
use crate::config::Resource;
use crate::wire::Term;

/// Variables by name.
pub type Environment = BTreeMap<String, OsString>;

/// Where agents find programs.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where agents keep what a reboot may forget (`HA_RSCTMP`): the directory that other cluster managers give them, too.
pub const STATE_DIR: &str = "/run/resource-agents";

/// One action on one resource, with all that its agent is told about it.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// Name of the group.
    pub group: &'a str,
    /// The resource.
    pub resource: &'a Resource,
    /// What is to be done.
    pub action: Action,
    /// How long it may take.
    pub timeout: Duration,
    /// The group's term.
    pub term: Term,
    /// How long the kernel keeps an address that a start adds.
    pub lease: Option<Duration>,
    /// When a start must no longer take effect, as time since boot (`CLOCK_BOOTTIME`).
    pub not_after: Option<Duration>,
    /// Where agents keep state that a reboot may forget: [`STATE_DIR`], but in tests.
    pub state_dir: &'a Path,
    /// The lubdub program.
    pub program: &'a Path,
}

impl Call<'_> {
    /// The environment: `NAME=value` as the OCF resource agent API 1.1 and Pacemaker have them, and lubdub's own.
    ///
    /// | variable | value |
    /// |---|---|
    /// | `OCF_RESOURCE_INSTANCE` | `RESOURCE@GROUP`, unique on the machine |
    /// | `OCF_RESKEY_<param>` | each parameter |
    /// | `OCF_RESKEY_CRM_meta_timeout`, `_interval` | milliseconds; interval 0 for all but monitors |
    /// | `LUBDUB` | path of the lubdub program |
    /// | `LUBDUB_TERM` | the group's term: grows with each new holder, never used twice |
    /// | `LUBDUB_LEASE` | whole seconds, rounded down but never 0; only where an address is leased |
    /// | `LUBDUB_NOT_AFTER` | microseconds of `CLOCK_BOOTTIME`; only where a right to start ends |
    #[must_use]
    pub fn environment(&self) -> Environment {
        let resource = self.resource;
        let interval = match self.action {
            Action::Monitor => resource.monitor.unwrap_or_default(),
            Action::Start | Action::Stop | Action::ValidateAll | Action::MetaData => Duration::ZERO,
        };
        let words: [(&str, OsString); 17] = [
            ("HA_RSCTMP", self.state_dir.into()),
            ("LANG", "C".into()),
            ("LUBDUB", self.program.into()),
            ("LUBDUB_TERM", self.term.0.to_string().into()),
            ("OCF_CHECK_LEVEL", "0".into()),
            ("OCF_EXIT_REASON_PREFIX", reason::PREFIX.into()),
            ("OCF_OUTPUT_FORMAT", "text".into()),
            ("OCF_RA_VERSION_MAJOR", "1".into()),
            ("OCF_RA_VERSION_MINOR", "1".into()),
            ("OCF_RESKEY_CRM_meta_interval", interval.as_millis().to_string().into()),
            ("OCF_RESKEY_CRM_meta_name", self.action.word().into()),
            ("OCF_RESKEY_CRM_meta_timeout", self.timeout.as_millis().to_string().into()),
            ("OCF_RESOURCE_INSTANCE", format!("{}@{}", resource.name, self.group).into()),
            ("OCF_RESOURCE_PROVIDER", "lubdub".into()),
            ("OCF_RESOURCE_TYPE", resource.agent.0.clone().into()),
            ("OCF_ROOT", "/usr/lib/ocf".into()),
            ("PATH", PATH.into()),
        ];
        let mut environment: Environment =
            words.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        for (name, value) in &resource.params {
            environment.insert(format!("OCF_RESKEY_{name}"), value.into());
        }
        if let Some(lease) = self.lease {
            let seconds = lease.as_secs().max(1);
            environment.insert("LUBDUB_LEASE".to_owned(), seconds.to_string().into());
        }
        if let Some(not_after) = self.not_after {
            environment
                .insert("LUBDUB_NOT_AFTER".to_owned(), not_after.as_micros().to_string().into());
        }
        environment
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AgentName, Timeouts};

    fn resource() -> Resource {
        let second = Duration::from_secs(1);
        Resource {
            name: "vip".to_owned(),
            agent: AgentName("IPaddr".to_owned()),
            params: BTreeMap::from([("ip".to_owned(), "192.0.2.1/24".to_owned())]),
            monitor: Some(Duration::from_millis(500)),
            timeout: Timeouts { start: second, stop: second, monitor: second },
            address: None,
        }
    }

    fn call(resource: &Resource, action: Action) -> Call<'_> {
        Call {
            group: "web",
            resource,
            action,
            timeout: Duration::from_secs(20),
            term: Term(7),
            lease: None,
            not_after: None,
            state_dir: Path::new(STATE_DIR),
            program: Path::new("/usr/sbin/lubdub"),
        }
    }

    fn render(environment: &Environment) -> Vec<String> {
        environment.iter().map(|(name, value)| format!("{name}={}", value.display())).collect()
    }

    #[test]
    fn the_environment_is_complete_and_holds_nothing_else() {
        let resource = resource();
        let expected = [
            "HA_RSCTMP=/run/resource-agents",
            "LANG=C",
            "LUBDUB=/usr/sbin/lubdub",
            "LUBDUB_TERM=7",
            "OCF_CHECK_LEVEL=0",
            "OCF_EXIT_REASON_PREFIX=ocf-exit-reason:",
            "OCF_OUTPUT_FORMAT=text",
            "OCF_RA_VERSION_MAJOR=1",
            "OCF_RA_VERSION_MINOR=1",
            "OCF_RESKEY_CRM_meta_interval=500",
            "OCF_RESKEY_CRM_meta_name=monitor",
            "OCF_RESKEY_CRM_meta_timeout=20000",
            "OCF_RESKEY_ip=192.0.2.1/24",
            "OCF_RESOURCE_INSTANCE=vip@web",
            "OCF_RESOURCE_PROVIDER=lubdub",
            "OCF_RESOURCE_TYPE=IPaddr",
            "OCF_ROOT=/usr/lib/ocf",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ];
        assert_eq!(render(&call(&resource, Action::Monitor).environment()), expected);
    }

    #[test]
    fn a_lease_is_never_rounded_up_and_a_right_to_start_is_told_in_microseconds() {
        let resource = resource();
        let mut start = call(&resource, Action::Start);
        start.lease = Some(Duration::from_millis(2_999));
        start.not_after = Some(Duration::from_micros(1_234_567));
        let lines = render(&start.environment());
        for expected in
            ["LUBDUB_LEASE=2", "LUBDUB_NOT_AFTER=1234567", "OCF_RESKEY_CRM_meta_interval=0"]
        {
            assert!(lines.iter().any(|line| line == expected), "{expected} in {lines:?}");
        }
    }
}

//! Actions and what comes of them (OCF resource agent API 1.1, section 3).

use std::fmt;

use serde::{Deserialize, Serialize};

/// What an agent is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Make it run. Fine if it runs already.
    Start,
    /// Make it not run. Fine if it does not.
    Stop,
    /// Say whether it runs.
    Monitor,
    /// Say whether the parameters can work here.
    ValidateAll,
    /// Describe yourself in XML.
    MetaData,
}

impl Action {
    /// The word on the agent's command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Monitor => "monitor",
            Self::ValidateAll => "validate-all",
            Self::MetaData => "meta-data",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Exit codes of the OCF resource agent API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExitCode {
    /// 0
    Success,
    /// 1: it did not work, for no more exact reason.
    Generic,
    /// 2: the arguments make no sense on this node.
    Arguments,
    /// 3: no such action.
    Unimplemented,
    /// 4: not permitted on this node.
    Permission,
    /// 5: the program is not installed on this node.
    NotInstalled,
    /// 6: the parameters make no sense anywhere.
    NotConfigured,
    /// 7: cleanly stopped (monitor only).
    NotRunning,
    /// Any other code.
    Other(u8),
}

impl From<u8> for ExitCode {
    fn from(code: u8) -> Self {
        match code {
            0 => Self::Success,
            1 => Self::Generic,
            2 => Self::Arguments,
            3 => Self::Unimplemented,
            4 => Self::Permission,
            5 => Self::NotInstalled,
            6 => Self::NotConfigured,
            7 => Self::NotRunning,
            other => Self::Other(other),
        }
    }
}

impl ExitCode {
    /// The code itself.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Generic => 1,
            Self::Arguments => 2,
            Self::Unimplemented => 3,
            Self::Permission => 4,
            Self::NotInstalled => 5,
            Self::NotConfigured => 6,
            Self::NotRunning => 7,
            Self::Other(code) => code,
        }
    }

    /// Whether trying again on this node is pointless until a human changed something (2 to 6).
    #[must_use]
    pub fn is_hard(self) -> bool {
        match self {
            Self::Arguments
            | Self::Unimplemented
            | Self::Permission
            | Self::NotInstalled
            | Self::NotConfigured => true,
            Self::Success | Self::Generic | Self::NotRunning | Self::Other(_) => false,
        }
    }
}

impl fmt::Display for ExitCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Success => f.write_str("0 (success)"),
            Self::Generic => f.write_str("1 (failed)"),
            Self::Arguments => f.write_str("2 (bad arguments)"),
            Self::Unimplemented => f.write_str("3 (no such action)"),
            Self::Permission => f.write_str("4 (not permitted)"),
            Self::NotInstalled => f.write_str("5 (not installed)"),
            Self::NotConfigured => f.write_str("6 (not configured)"),
            Self::NotRunning => f.write_str("7 (not running)"),
            Self::Other(code) => write!(f, "{code}"),
        }
    }
}

/// What came of an action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It ended by itself.
    Exited {
        /// With this code.
        code: ExitCode,
        /// And its own words: the last `ocf-exit-reason:` line, which may also come with success, as a remark; where it
        /// did not succeed, else the last line of stderr.
        reason: Option<String>,
    },
    /// It was still at work when its time was over, and was killed with all its children.
    TimedOut,
    /// It was ended by a signal from elsewhere.
    Signalled(i32),
    /// It was killed because the core asked for it.
    Killed,
    /// It could not be started at all.
    CannotExecute(String),
    /// The right to start was over before it could be used; nothing was done.
    TooLate,
}

impl Outcome {
    /// Ended with code 0.
    #[must_use]
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Exited { code: ExitCode::Success, .. })
    }

    /// What it said though it succeeded.
    #[must_use]
    pub fn remark(&self) -> Option<&str> {
        match self {
            Self::Exited { code: ExitCode::Success, reason } => reason.as_deref(),
            Self::Exited { .. }
            | Self::TimedOut
            | Self::Signalled(_)
            | Self::Killed
            | Self::CannotExecute(_)
            | Self::TooLate => None,
        }
    }

    /// Ended with code 7.
    #[must_use]
    pub fn is_not_running(&self) -> bool {
        matches!(self, Self::Exited { code: ExitCode::NotRunning, .. })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited { code, reason: Some(reason) } => write!(f, "exit {code}: {reason}"),
            Self::Exited { code, reason: None } => write!(f, "exit {code}"),
            Self::TimedOut => f.write_str("took longer than `timeout` allows, and was killed"),
            Self::Signalled(signal) => write!(f, "killed by signal {signal}"),
            Self::Killed => f.write_str("cancelled"),
            Self::CannotExecute(why) => write!(f, "cannot be run: {why}"),
            Self::TooLate => f.write_str("not run: the right to start had ended"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_come_back_as_they_were() {
        for code in 0..=255 {
            assert_eq!(ExitCode::from(code).number(), code);
        }
    }

    #[test]
    fn codes_two_to_six_are_hard() {
        for code in 0..=255_u8 {
            assert_eq!(ExitCode::from(code).is_hard(), (2..=6).contains(&code), "{code}");
        }
    }
}

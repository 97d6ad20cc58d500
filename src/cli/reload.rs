//! `lubdub reload`: what the daemon made of its files.

use super::daemon::Daemon;
use super::exit::{Exit, Failure};
use super::output;
use crate::control::Reload;

/// Have the daemon read keys and configuration again, and say what differs.
pub(super) fn reload(daemon: &mut Daemon) -> Result<Exit, Failure> {
    match daemon.reload()? {
        Reload::Applied { keys, restart } => {
            output::result(&format!("keys: {keys}"))?;
            output::result(&if restart.is_empty() {
                "cluster.toml: unchanged".to_owned()
            } else {
                format!(
                    "cluster.toml: changed in {}; restart the daemon to apply that (systemctl restart lubdub), the \
                     standby node first",
                    restart.join(", ")
                )
            })?;
            Ok(Exit::Fine)
        }
        Reload::Refused { problems } => {
            Err(Failure::Usage(format!("nothing was changed:\n{}", problems.join("\n"))))
        }
    }
}

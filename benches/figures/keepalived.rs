//! Debian's Keepalived on the nodes of the laboratory: it moves the address, nginx runs on both nodes all the time.

use std::fs;
use std::process::Command;
use std::time::Duration;

use lubdub::lab::{Lab, LabError, SERVICE};

/// How it is set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Vrrp {
    /// Milliseconds between two advertisements; a backup waits a little over three of them.
    pub(crate) interval: u64,
}

/// Starts it on every node.
pub(crate) fn start(lab: &Lab, vrrp: Vrrp) -> Result<(), LabError> {
    for (rank, node) in lab.nodes().iter().enumerate() {
        let path = node.etc().join("keepalived.conf");
        fs::write(&path, configuration(vrrp, 200 - 50 * rank))
            .map_err(|source| LabError::File { path, source })?;
        let mut command = Command::new("keepalived");
        command.args(["--vrrp", "--use-file=/etc/lubdub/keepalived.conf", "--no-syslog"]);
        let output = node.run(command)?;
        if !output.status.success() {
            return Err(LabError::Failed {
                command: "keepalived".to_owned(),
                status: output.status.to_string(),
                stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            });
        }
    }
    Ok(())
}

/// VRRP version 3 (RFC 5798) counts in hundredths of a second; all else is as Debian ships it.
fn configuration(vrrp: Vrrp, priority: usize) -> String {
    let seconds = Duration::from_millis(vrrp.interval).as_secs_f64();
    format!(
        "global_defs {{\n  vrrp_version 3\n}}\n\
         vrrp_instance web {{\n  state BACKUP\n  interface eth0\n  virtual_router_id 77\n  priority {priority}\n  \
         advert_int {seconds:.2}\n  virtual_ipaddress {{\n    {SERVICE}/24\n  }}\n}}\n"
    )
}

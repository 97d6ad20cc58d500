//! What comes after the files: commands that can be copied to a shell as they are. Pure.

use std::net::IpAddr;
use std::path::Path;

use super::Service;
use super::answers::{Cluster, Node};
use super::here::Here;
use crate::cli::args::DEFAULT_DIRECTORY;
use crate::cli::fresh::Files;

/// The commands, one a line, with where each belongs.
pub(super) fn steps(cluster: &Cluster, here: &Here, files: &Files) -> String {
    let both = format!("{} {}", shell_word(&files.cluster), shell_word(&files.keys));
    let mut lines = Vec::new();
    let elsewhere = |node: &&Node| node.name != here.name;
    let at_home = files.cluster.parent() == Some(Path::new(DEFAULT_DIRECTORY));
    if !at_home && cluster.nodes.iter().any(|node| !elsewhere(&node)) {
        lines.push((format!("cp -p {both} {DEFAULT_DIRECTORY}/"), String::new()));
    }
    for node in cluster.nodes.iter().filter(elsewhere) {
        let Some(ip) = node.addresses.first() else { continue };
        let host = match ip {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        lines.push((format!("scp -p {both} root@{host}:{DEFAULT_DIRECTORY}/"), String::new()));
    }
    let everywhere = match cluster.nodes.len() {
        2 => "on both nodes",
        _ => "on every node",
    };
    let unit = match cluster.service {
        Service::Nginx => Some("nginx"),
        Service::Httpd => Some(here.httpd_unit),
        Service::None => None,
    };
    if let Some(unit) = unit {
        lines.push((
            format!("systemctl disable --now {unit}"),
            format!("{everywhere}: from now on lubdub starts it"),
        ));
    }
    lines.push(("lubdub check --peer".into(), format!("{everywhere}, at about the same time")));
    lines.push((
        "systemctl enable --now lubdub".into(),
        format!("{everywhere}, once that is fine; then look: lubdub status"),
    ));
    let width = lines
        .iter()
        .filter(|(_, comment)| !comment.is_empty())
        .map(|(command, _)| command.len())
        .max()
        .unwrap_or(0);
    let line = |(command, comment): &(String, String)| match comment.as_str() {
        "" => format!("  {command}"),
        comment => format!("  {command:width$}   # {comment}"),
    };
    let lines: Vec<String> = lines.iter().map(line).collect();
    format!(
        "wrote {}, and {} with a new key (mode 0600)\nnext, as root:\n{}\n",
        files.cluster.display(),
        files.keys.display(),
        lines.join("\n")
    )
}

/// A path as a shell takes it.
fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,=@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

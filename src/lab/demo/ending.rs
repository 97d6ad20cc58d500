//! The demo's last words: what was played with, and the way to a pair of one's own.

/// From README's "A pair on two real machines"; a test keeps both the same.
const COMMANDS: [(&str, &str); 4] = [
    (
        "on both, in a clone of the repository",
        "cargo build --release && install -D -t /usr/local/bin target/release/lubdub \\\n  \
         && install -D -t /usr/lib/ocf/resource.d/lubdub resource-agents/* \\\n  \
         && install -D -m 644 -t /etc/systemd/system etc/lubdub.service \\\n  \
         && install -D -m 644 -t /etc/lubdub etc/cluster.toml",
    ),
    ("on one, then copy /etc/lubdub to the other", "lubdub keygen"),
    ("on both: what is still wrong", "lubdub check"),
    ("on both", "systemctl enable --now lubdub"),
];

/// The configuration of the demo's nodes, and the four commands.
pub(super) fn text(config: &str) -> String {
    let mut text = format!(
        "The configuration of both nodes, /etc/lubdub/cluster.toml:\n\n{}\n\n\
         Your own pair: 4 commands, as root, on two machines (more in README.md)\n\n",
        indented(config)
    );
    for (number, (place, command)) in (1..).zip(COMMANDS) {
        text.push_str(&format!("  # {number}. {place}\n{}\n", indented(command)));
    }
    text
}

fn indented(text: &str) -> String {
    let line = |line: &str| if line.is_empty() { String::new() } else { format!("  {line}") };
    text.trim_end().lines().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_are_those_of_the_readme() {
        let readme = include_str!("../../../README.md");
        for (_, command) in COMMANDS {
            for line in command.lines() {
                assert!(readme.contains(line.trim()), "README.md lacks: {line}");
            }
        }
    }

    #[test]
    fn it_shows_what_was_used() {
        let text = text("cluster = \"demo\"\n\n[guard]\n");
        assert!(text.contains("\n  cluster = \"demo\"\n\n  [guard]\n"), "{text}");
        assert!(text.contains("4 commands") && text.contains("  # 4. on both\n"), "{text}");
    }
}

//! The demo's last words: what was played with, and the way to a pair of one's own.

/// From README's "Your own pair in four commands"; a test keeps both the same, and another one what `lubdub init` says.
const COMMANDS: [(&str, &str); 4] = [
    ("on one of them: it asks for names and addresses, and writes both files", "lubdub init"),
    (
        "on the same one: copy both files to the other one, whose address is 10.10.10.12",
        "scp -p /etc/lubdub/cluster.toml /etc/lubdub/authkeys root@10.10.10.12:/etc/lubdub/",
    ),
    ("on both, at about the same time: what is still wrong", "lubdub check --peer"),
    ("on both", "systemctl enable --now lubdub"),
];

/// The configuration of the demo's nodes, and the four commands.
pub(super) fn text(config: &str) -> String {
    let mut text = format!(
        "The configuration of both nodes, /etc/lubdub/cluster.toml:\n\n{}\n\n\
         Your own pair: 4 commands, as root, on two machines where lubdub is installed\n\
         (README.md says how)\n\n",
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

//! A terminal that a test looks at and types into: a shell in a tmux of its own, without anybody attached.
#![expect(clippy::disallowed_methods, reason = "tests start what they test")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails, panics")]

use std::ffi::OsStr;
use std::process::Command;
use std::time::Duration;

use lubdub::lab::{PATIENCE, wait_for};
use tempfile::TempDir;

/// The terminal. Its shell and everything on it end with this value.
pub(crate) struct Tmux {
    directory: TempDir,
}

/// How a terminal has to be for whoever uses it next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Modes {
    /// The screen of before, not the alternate one.
    pub(crate) ordinary: bool,
    pub(crate) cursor: bool,
    /// It shows what is typed, and gives it line by line.
    pub(crate) cooked: bool,
}

pub(crate) const CLEAN: Modes = Modes { ordinary: true, cursor: true, cooked: true };

impl Tmux {
    /// A shell in a terminal of this size; with this environment besides the test's own.
    pub(crate) fn open((width, height): (u16, u16), environment: &[(&str, &str)]) -> Self {
        let tmux = Self { directory: tempfile::tempdir().unwrap() };
        let mut command = tmux.command();
        for (name, value) in [("LC_ALL", "C.UTF-8")].iter().chain(environment) {
            command.env(name, value);
        }
        let (width, height) = (width.to_string(), height.to_string());
        command.args(["new-session", "-d", "-x", &width, "-y", &height, "exec sh"]);
        command.args([";", "set-option", "-g", "status", "off"]);
        let output = command.output().expect("tmux is needed: tests/fetch.sh brings it");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        tmux.wait("the shell is ready", |text| !text.trim().is_empty());
        tmux
    }

    fn command(&self) -> Command {
        let mut command = Command::new("tmux");
        command.args(["-u", "-f", "/dev/null", "-S"]).arg(self.directory.path().join("socket"));
        command
    }

    fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> String {
        let output = self.command().args(arguments).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Types a line into whatever reads there: the shell, or what it started.
    pub(crate) fn enter(&self, line: &str) {
        self.send(line);
        self.run(["send-keys", "Enter"]);
    }

    /// Types this as it is, whatever it means.
    pub(crate) fn send(&self, text: &str) {
        self.run(["send-keys", "-l", text]);
    }

    /// Presses a key, as tmux names it.
    pub(crate) fn press(&self, key: &str) {
        self.run(["send-keys", key]);
    }

    pub(crate) fn resize(&self, (width, height): (u16, u16)) {
        let (width, height) = (width.to_string(), height.to_string());
        self.run(["resize-window", "-x", &width, "-y", &height]);
    }

    /// What is to be seen now.
    pub(crate) fn text(&self) -> String {
        self.run(["capture-pane", "-p"])
    }

    /// What is to be seen now, with its colours.
    pub(crate) fn coloured(&self) -> String {
        self.run(["capture-pane", "-p", "-e"])
    }

    /// Waits until such a thing is to be seen.
    pub(crate) fn wait(&self, what: &str, seen: impl Fn(&str) -> bool) {
        let found = wait_for(what, PATIENCE, || Ok(seen(&self.text())));
        assert!(found.is_ok(), "{what}: not in time; seen:\n{}", self.text());
    }

    /// Starts a command on a clear screen.
    pub(crate) fn start(&self, command: &str) {
        self.enter(&format!("clear; {command}; echo ended-$?"));
    }

    /// Waits until the command that was started last has ended; with which status.
    pub(crate) fn ended(&self) -> u8 {
        let status = |text: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix("ended-"))?;
            line.trim().parse().ok()
        };
        self.wait("the command ends", |text| status(text).is_some());
        status(&self.text()).unwrap()
    }

    /// How the terminal is now.
    pub(crate) fn modes(&self) -> Modes {
        let flag = |name: &str| self.run(["display-message", "-p", &format!("#{{{name}}}")]);
        let terminal = flag("pane_tty");
        let output = Command::new("stty").args(["-F", terminal.trim(), "-a"]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let has =
            |wanted: &str| text.split_whitespace().any(|word| word.trim_matches(';') == wanted);
        Modes {
            ordinary: flag("alternate_on").trim() == "0",
            cursor: flag("cursor_flag").trim() == "1",
            cooked: has("echo") && has("icanon"),
        }
    }

    /// Takes the terminal away, as a closed window does.
    pub(crate) fn close(&self) {
        self.run(["kill-server"]);
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        self.close();
        // Its server takes a moment, and whoever counts processes afterwards must not find it.
        let socket = self.directory.path().join("socket");
        let _ = wait_for("tmux ends", Duration::from_secs(2), || Ok(!socket.exists()));
    }
}

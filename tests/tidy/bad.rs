//! Each rule finds what it is for, and leaves its neighbour alone.

use crate::rules::*;
use crate::source::code_of;

const CORE: &str = "src/cluster/peer.rs";

#[track_caller]
fn finds(rule: Rule, path: &str, text: &str) {
    assert_eq!(rule(path, text).len(), 1, "{:?}", rule(path, text));
}

#[track_caller]
fn passes(rule: Rule, path: &str, text: &str) {
    assert_eq!(rule(path, text), Vec::<String>::new());
}

#[test]
fn purity_finds_each_word() {
    for word in IMPURE {
        finds(purity, CORE, &format!("let x = ({word});\n"));
        passes(purity, "src/daemon/link.rs", word);
    }
    passes(purity, CORE, "// no HashMap, no async\nlet told = \"await\"; awaiting(asynchronous);");
}

#[test]
fn order_finds_uses_upwards() {
    finds(order, CORE, "use crate::daemon::clock;");
    finds(order, CORE, "use crate::{\n    wire::{Mac, Term},\n    cli,\n};");
    finds(order, CORE, "use super::super::lab::Lab;");
    finds(order, "src/cluster/mod.rs", "use super::control;");
    finds(order, "src/daemon/mod.rs", "let lab = crate::lab::Lab::new();");
    finds(order, "src/lab/mod.rs", "use crate::cli::Arguments;");
    finds(order, "src/wire/body.rs", "use crate::config::Config;");
    finds(order, "src/novel/mod.rs", "");
    passes(order, CORE, "use crate::{agent, config, wire::Term};\nuse super::super::cluster::io;");
    passes(order, "src/main.rs", "use crate::cli;");
}

#[test]
fn crates_finds_strangers() {
    finds(crates, "src/wire/header.rs", "use bincode::encode;");
    finds(crates, "src/main.rs", "#[tokio::main]");
    for name in ["tokio", "nix", "socket2", "netlink_sys", "getrandom", "tracing"] {
        finds(crates, CORE, &format!("{name}::x();"));
    }
    passes(crates, "src/wire/body.rs", "use bincode::encode;");
    passes(crates, "src/cli/mod.rs", "crate::config::toml::parse(); my_nix::x();");
    passes(crates, "tests/sim/main.rs", "use bincode::encode;");
}

#[test]
fn confined_finds_clocks_processes_and_unsafe() {
    finds(confined, "src/daemon/link.rs", "std::time::Instant::now()");
    finds(confined, "src/cli/mod.rs", "Command::new(\"sh\")");
    finds(confined, "src/daemon/clock.rs", "unsafe { () }");
    passes(confined, "src/daemon/clock.rs", "clock_gettime(ClockId::CLOCK_BOOTTIME)");
    finds(confined, "src/daemon/link/tests.rs", "unsafe { Command::new(\"ip\") }");
    passes(confined, "src/lab/mod.rs", "Instant::now(); Command::new(\"sh\")");
}

#[test]
fn length_finds_long_files() {
    finds(length, "src/cli/mod.rs", &"\n".repeat(MAX_LINES + 1));
    finds(length, "tests/run.sh", &"\n".repeat(MAX_LINES + 1));
    passes(length, "src/cli/mod.rs", &"\n".repeat(MAX_LINES));
    passes(length, "Cargo.lock", &"\n".repeat(MAX_LINES + 1));
}

#[test]
fn marks_finds_them_in_comments() {
    finds(marks, "src/lib.rs", concat!("// TO", "DO: later"));
    finds(marks, "README.md", concat!("FIX", "ME"));
}

#[test]
fn private_places_finds_paths_and_hosts() {
    finds(private_places, "README.md", concat!("see /ho", "me/me/lubdub"));
    passes(private_places, "tests/fetch.sh", concat!("$cache/ro", "ot/usr ${work}/wo", "rk/x"));
    finds(private_places, "tests/fetch.sh", concat!("https://static.crates", ".io/x"));
    finds(
        private_places,
        "Cargo.lock",
        "name = \"x\"\nsource = \"registry+https://mirror.example/index\"",
    );
}

#[test]
fn agents_are_executable_scripts() {
    finds(agent_head, "resource-agents/nginx", "#!/bin/bash\n");
    assert_eq!(agent_mode("resource-agents/nginx", 0o100_644).len(), 1);
    assert_eq!(agent_mode("resource-agents/nginx", 0o100_755).len(), 0);
}

#[test]
fn architecture_finds_what_is_missing_and_what_is_gone() {
    let whole: String = MODULES.iter().map(|module| format!("`src/{module}` ")).collect();
    assert_eq!(architecture(&whole, |_| true), Vec::<String>::new());
    assert_eq!(architecture(&whole.replace("src/wire", "wire"), |_| true).len(), 1);
    assert_eq!(architecture(&(whole + "`src/gone.rs`"), |name| name != "src/gone.rs").len(), 1);
}

#[test]
fn dependencies_finds_unknown_and_unused() {
    let manifest: String = CRATES.iter().map(|(name, _)| format!("{name} = \"1\"\n")).collect();
    let manifest = format!("[dependencies]\n{manifest}");
    let uses: String = CRATES.iter().map(|(name, _)| format!("{name}::x();\n")).collect();
    let source = |text: &str| [("src/cli/mod.rs".to_owned(), text.to_owned())];
    assert_eq!(dependencies(&manifest, &source(&uses)), Vec::<String>::new());
    assert_eq!(dependencies(&(manifest.clone() + "rand = \"1\""), &source(&uses)).len(), 1);
    assert_eq!(dependencies(&manifest, &source(&uses.replace("nix::", "// nix::"))).len(), 1);
}

#[test]
fn rings_finds_a_test_program_that_nobody_runs() {
    let paths = ["tests/tidy.rs", "tests/sim/main.rs", "tests/sim/world.rs"].map(str::to_owned);
    assert_eq!(rings("rings='tidy sim'", &paths), Vec::<String>::new());
    assert_eq!(rings("rings='tidy'", &paths).len(), 1);
}

#[test]
fn code_has_no_comments_and_strings() {
    let text = "a /* b\n */ 'c' '\\'' \"d\\\"\" r#\"e\"f\"# <'g> // h\ni";
    let words: Vec<String> = code_of(text).split_whitespace().map(str::to_owned).collect();
    assert_eq!(words, ["a", "<'g>", "i"]);
    assert_eq!(code_of(text).lines().count(), text.lines().count());
}

//! The rules, and the tables that they read. Words are looked for in code only, not in comments and strings, unless a
//! rule says otherwise.

use crate::source::{code_of, has_word, is_word, module_of, uses_of_modules};

/// The modules of the crate. Each may use those before it.
pub(crate) const MODULES: [&str; 10] =
    ["wire", "config", "import", "agent", "cluster", "control", "daemon", "screen", "lab", "cli"];

/// What the core must not do, by the words that it takes. The crates that it may not use are in [`CRATES`].
pub(crate) const IMPURE: [&str; 18] = [
    "std::fs",
    "std::io",
    "std::process",
    "std::env",
    "std::thread",
    "std::os",
    "UdpSocket",
    "TcpStream",
    "TcpListener",
    "ToSocketAddrs",
    "std::time::Instant",
    "SystemTime",
    "HashMap",
    "HashSet",
    "RandomState",
    "async",
    "await",
    "thread_local!",
];

/// Where each dependency may be used: modules, or one file. `main` is `src/main.rs`.
pub(crate) const CRATES: [(&str, &[&str]); 23] = [
    ("tokio", &["control", "daemon", "lab", "cli"]),
    ("serde", &["wire", "config", "import", "agent", "cluster", "control", "daemon", "lab", "cli"]),
    ("serde_json", &["control", "daemon", "lab", "cli"]),
    ("toml", &["config", "import"]),
    ("glob", &["import"]),
    ("bincode", &["src/wire/body.rs"]),
    ("hmac", &["wire"]),
    ("sha2", &["wire", "config"]),
    ("roxmltree", &["agent"]),
    ("nix", &["wire", "agent", "control", "daemon", "screen", "lab", "cli"]),
    ("socket2", &["daemon", "lab"]),
    ("netlink_packet_core", &["daemon", "lab"]),
    ("netlink_packet_route", &["daemon", "lab"]),
    ("netlink_sys", &["daemon", "lab"]),
    ("thread_priority", &["daemon"]),
    ("getrandom", &["wire", "daemon", "cli"]),
    ("clap", &["lab", "cli"]),
    ("tracing", &["control", "daemon", "lab", "cli"]),
    ("tracing_subscriber", &["daemon"]),
    ("thiserror", &["wire", "config", "import", "agent", "control", "daemon", "lab", "cli"]),
    ("strsim", &["config", "cli"]),
    ("httparse", &["daemon"]),
    ("ratatui", &["screen"]),
];

/// Words that belong to few places: the words, where they may stand (and in tests, where that is anywhere), and why.
pub(crate) const CONFINED: [(&[&str], &[&str], &str); 3] = [
    (
        &["Instant::now", "SystemTime::now", "clock_gettime", "ClockId"],
        &["src/daemon/clock.rs", "src/screen/clock.rs", "src/lab/", "src/cli/wait.rs"],
        "only daemon::clock, the screen's, lab, and a command that waits read a clock",
    ),
    (
        &["process::Command", "Command::new"],
        &["src/daemon/exec.rs", "src/daemon/exec/", "src/daemon/namespace.rs", "src/lab/"],
        "only daemon::exec, lab and tests start processes",
    ),
    (&["unsafe"], &[], "no code of ours is unsafe"),
];

/// Lines that a source file may have.
pub(crate) const MAX_LINES: usize = 599;

pub(crate) type Rule = fn(&str, &str) -> Vec<String>;

/// The rules on single files.
pub(crate) const RULES: [Rule; 8] =
    [purity, order, crates, confined, length, marks, private_places, agent_head];

pub(crate) fn purity(path: &str, text: &str) -> Vec<String> {
    if module_of(path) != Some("cluster") {
        return Vec::new();
    }
    findings(path, text, &IMPURE, "the core is pure: what it knows comes in as an input")
}

pub(crate) fn order(path: &str, text: &str) -> Vec<String> {
    let Some(own) = module_of(path) else { return Vec::new() };
    let Some(rank) = MODULES.iter().position(|module| *module == own) else {
        return vec![format!(
            "{path}: module `{own}` has no place in the order of tests/tidy/rules.rs"
        )];
    };
    uses_of_modules(path, &code_of(text))
        .into_iter()
        .filter(|(_, used)| {
            MODULES.iter().position(|module| module == used).is_some_and(|other| other > rank)
        })
        .map(|(line, used)| format!("{path}:{line}: `{own}` may not use `{used}`"))
        .collect()
}

pub(crate) fn crates(path: &str, text: &str) -> Vec<String> {
    if !path.starts_with("src/") {
        return Vec::new();
    }
    let place = module_of(path).unwrap_or("main");
    CRATES
        .iter()
        .filter(|(_, places)| !places.contains(&place) && !places.contains(&path))
        .flat_map(|(name, places)| {
            let why = format!("it belongs to {}", places.join(", "));
            findings(path, text, &[format!("{name}::").as_str()], &why)
        })
        .collect()
}

pub(crate) fn confined(path: &str, text: &str) -> Vec<String> {
    if !path.starts_with("src/") {
        return Vec::new();
    }
    // Tests may start what they test.
    let is_test = path.ends_with("/tests.rs") || path.contains("/tests/");
    CONFINED
        .iter()
        .filter(|(_, places, _)| !is_test || places.is_empty())
        .filter(|(_, places, _)| !places.iter().any(|place| path.starts_with(place)))
        .flat_map(|(words, _, why)| findings(path, text, words, why))
        .collect()
}

pub(crate) fn length(path: &str, text: &str) -> Vec<String> {
    let lines = text.lines().count();
    let counted = path.starts_with("src/") || path.starts_with("tests/");
    if counted && lines > MAX_LINES {
        return vec![format!("{path}: {lines} lines; split it, {MAX_LINES} are the most")];
    }
    Vec::new()
}

/// Comments and strings count here: that is where such marks stand.
pub(crate) fn marks(path: &str, text: &str) -> Vec<String> {
    let words = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    raw_findings(path, text, &words, "finish it, or open an issue")
}

/// Comments and strings count here too.
pub(crate) fn private_places(path: &str, text: &str) -> Vec<String> {
    let homes =
        ["ro\u{6f}t", "h\u{6f}me", "Us\u{65}rs", "w\u{6f}rk"].map(|name| format!("/{name}/"));
    // After another name it is a directory inside something, such as a cache.
    let absolute = |line: &str, home: &str| {
        line.match_indices(home)
            .any(|(at, _)| !line[..at].ends_with(|c: char| is_word(c) || c == '}'))
    };
    let homes = homes.each_ref().map(String::as_str);
    let mut found = lines_with(path, text, &homes, "a path of one machine", absolute);
    let hosts = [
        concat!("crates", ".io/"),
        concat!("py", "pi.org"),
        concat!("npm", "js.org"),
        concat!("deb.deb", "ian.org"),
    ];
    if path == "Cargo.lock" {
        let index = concat!("registry+https://github.com/rust-lang/crates", ".io-index");
        let sources = text.lines().enumerate().filter(|(_, line)| line.starts_with("source = "));
        found.extend(sources.filter(|(_, line)| !line.contains(index)).map(|(number, _)| {
            format!("{path}:{}: a crate from elsewhere than the public registry", number + 1)
        }));
    } else {
        found.extend(raw_findings(path, text, &hosts, "a registry's host: its client knows it"));
    }
    found
}

pub(crate) fn agent_head(path: &str, text: &str) -> Vec<String> {
    if path.starts_with("resource-agents/") && !text.starts_with("#!/bin/sh\n") {
        return vec![format!("{path}: an agent begins with #!/bin/sh")];
    }
    Vec::new()
}

/// An agent is run, not read.
pub(crate) fn agent_mode(path: &str, mode: u32) -> Vec<String> {
    if path.starts_with("resource-agents/") && mode & 0o111 != 0o111 {
        return vec![format!("{path}: not executable: chmod 755")];
    }
    Vec::new()
}

/// ARCHITECTURE.md names each module, and nothing that is not there.
pub(crate) fn architecture(text: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let quoted = || text.split('`').skip(1).step_by(2);
    let unnamed = MODULES
        .iter()
        .filter(|module| !quoted().any(|name| name == format!("src/{module}")))
        .map(|module| format!("ARCHITECTURE.md: does not name `src/{module}`"));
    let gone = quoted()
        .filter(|name| name.contains('/') && !name.contains(char::is_whitespace))
        .filter(|name| !name.starts_with(['/', '<']) && !name.contains("://"))
        .filter(|name| !exists(name))
        .map(|name| format!("ARCHITECTURE.md: names `{name}`, which is not there"));
    unnamed.chain(gone).collect()
}

/// The dependencies of Cargo.toml are those of [`CRATES`], and each is used.
pub(crate) fn dependencies(manifest: &str, sources: &[(String, String)]) -> Vec<String> {
    let listed: Vec<String> = manifest
        .lines()
        .skip_while(|line| *line != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| Some(line.split_once('=')?.0.trim().replace('-', "_")))
        .collect();
    let unknown = listed
        .iter()
        .filter(|name| !CRATES.iter().any(|(known, _)| known == name))
        .map(|name| format!("Cargo.toml: {name} has no row in CRATES of tests/tidy/rules.rs"));
    let unused = CRATES
        .iter()
        .filter(|(name, _)| {
            let word = format!("{name}::");
            let used = |(path, text): &(String, String)| {
                path.starts_with("src/") && has_word(&code_of(text), &word)
            };
            !listed.iter().any(|other| other == name) || !sources.iter().any(used)
        })
        .map(|(name, _)| format!("Cargo.toml: {name} is not there, or nothing uses it"));
    unknown.chain(unused).collect()
}

/// Every test program is a ring of tests/run.sh.
pub(crate) fn rings(script: &str, paths: &[String]) -> Vec<String> {
    let line = script.lines().find_map(|line| line.strip_prefix("rings='")).unwrap_or_default();
    let rings: Vec<&str> = line.trim_end_matches('\'').split(' ').collect();
    paths
        .iter()
        .filter_map(|path| {
            let name = path.strip_prefix("tests/")?;
            name.strip_suffix("/main.rs").or_else(|| name.strip_suffix(".rs"))
        })
        .filter(|name| !name.contains('/') && !rings.contains(name))
        .map(|name| format!("tests/run.sh: test program {name} is not among its rings"))
        .collect()
}

fn findings(path: &str, text: &str, words: &[&str], why: &str) -> Vec<String> {
    lines_with(path, &code_of(text), words, why, has_word)
}

fn raw_findings(path: &str, text: &str, words: &[&str], why: &str) -> Vec<String> {
    lines_with(path, text, words, why, |line, word| line.contains(word))
}

fn lines_with(
    path: &str,
    text: &str,
    words: &[&str],
    why: &str,
    has: impl Fn(&str, &str) -> bool,
) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for word in words.iter().filter(|word| has(line, word)) {
            found.push(format!("{path}:{}: `{word}`: {why}", number + 1));
        }
    }
    found
}

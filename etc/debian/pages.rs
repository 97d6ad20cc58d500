//! Writes what a package shows of the command line: a man page for each subcommand, and completions for shells.
//!
//!     cargo run --example pages -- DIRECTORY
//!
//! It makes `DIRECTORY/man` and `DIRECTORY/completions`. Not part of the installed program.

use std::io;
use std::path::Path;
use std::{env, fs};

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

/// System administration.
const SECTION: &str = "8";

const FILES: [(&str, &str); 6] = [
    ("/etc/lubdub/cluster.toml", "the configuration, the same on every node: cluster.toml(5)"),
    ("/etc/lubdub/authkeys", "the keys, the same on every node, mode 0600: lubdub-keygen(8)"),
    ("/var/lib/lubdub", "highest terms, the operator's wishes, history"),
    ("/run/lubdub/control.sock", "where the daemon listens to root and to the group lubdub"),
    ("/usr/lib/ocf/resource.d/lubdub", "agents"),
    ("/usr/share/doc/lubdub", "README.md; examples of configuration and alert rules"),
];

fn main() -> io::Result<()> {
    let directory = env::args_os()
        .nth(1)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "usage: pages DIRECTORY"))?;
    let directory = Path::new(&directory);
    if directory.exists() {
        // Pages of commands that are gone must not stay.
        fs::remove_dir_all(directory)?;
    }
    let (man, completions) = (directory.join("man"), directory.join("completions"));
    fs::create_dir_all(&man)?;
    fs::create_dir_all(&completions)?;
    let mut grammar = shown(lubdub::cli::grammar());
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        clap_complete::generate_to(shell, &mut grammar, "lubdub", &completions)?;
    }
    grammar.build();
    write_pages(&grammar, &[], &man)
}

/// The grammar without the commands that are hidden from people, which the generators would show. A command cannot lose
/// subcommands, so one that has some is put together again.
fn shown(command: Command) -> Command {
    if !command.has_subcommands() {
        return command;
    }
    // The generator ends soon: a name may stay in memory until then.
    let name: &'static str = command.get_name().to_owned().leak();
    let kept = command.get_subcommands().filter(|below| !below.is_hide_set());
    let mut fresh = Command::new(name)
        .args(command.get_arguments())
        .subcommands(kept.cloned().map(shown))
        .subcommand_required(command.is_subcommand_required_set())
        .disable_help_subcommand(true);
    if let Some(version) = command.get_version() {
        let version: &'static str = version.to_owned().leak();
        fresh = fresh.version(version);
    }
    if let Some(about) = command.get_about() {
        fresh = fresh.about(about.clone());
    }
    if let Some(help) = command.get_after_help() {
        fresh = fresh.after_help(help.clone());
    }
    fresh
}

/// The page of a command and those of its subcommands.
fn write_pages(command: &Command, above: &[String], directory: &Path) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let page = directory.join(format!("{name}.{SECTION}"));
    let mut text = Vec::new();
    let man = Man::new(command.clone())
        .section(SECTION)
        .source(format!("lubdub {}", env!("CARGO_PKG_VERSION")))
        .manual("lubdub");
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    closing(command, above).to_writer(&mut text)?;
    fs::write(page, text)?;
    let mut above = above.to_vec();
    above.push(name);
    command.get_subcommands().try_for_each(|below| write_pages(below, &above, directory))
}

/// What the generator of pages does not know: exit codes, files, and where to read on.
fn closing(command: &Command, above: &[String]) -> Roff {
    let mut roff = Roff::new();
    let top = above.is_empty();
    if let Some(notes) = command.get_after_help() {
        roff.control("SH", [if top { "EXIT STATUS" } else { "NOTES" }]);
        let notes = notes.to_string();
        roff.text([roman(notes.strip_prefix("Exit codes: ").unwrap_or(&notes))]);
    }
    if top {
        roff.control("SH", ["FILES"]);
        for (path, what) in FILES {
            roff.control("TP", []);
            roff.text([roman(path)]);
            roff.text([roman(what)]);
        }
    }
    let mut others: Vec<String> = above.iter().map(|name| format!("{name}({SECTION})")).collect();
    others.push("cluster.toml(5)".to_owned());
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman(others.join(", "))]);
    roff
}

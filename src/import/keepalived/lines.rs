//! From files to lines that hold for one node: comments taken out, files included, variables replaced, conditional lines
//! kept or dropped, as keepalived.conf(5) has it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::import::report::{FileId, Place, Report};
use crate::import::source;

/// Files that one may include in all, and how deep.
const MAX_FILES: usize = 256;
/// See [`MAX_FILES`].
const MAX_DEPTH: usize = 8;

/// Lines in all, with those of variables: a variable that holds itself twice grows without end.
const MAX_LINES: usize = 50_000;

/// A line that holds for this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) at: Place,
    pub(super) text: String,
}

/// Reads a file and what it includes, as the node `owner` would.
pub(super) fn read(path: &Path, owner: Option<&str>, report: &mut Report) -> Vec<Line> {
    let mut reader = Reader {
        owner,
        files: Vec::new(),
        directory: PathBuf::new(),
        variables: BTreeMap::new(),
        lines: Vec::new(),
        count: 0,
    };
    reader.file(path, None, report);
    reader.lines
}

struct Reader<'a> {
    owner: Option<&'a str>,
    /// Those that are being read, from the outermost on, without links.
    files: Vec<PathBuf>,
    /// That of the innermost, as it was named.
    directory: PathBuf,
    variables: BTreeMap<String, String>,
    lines: Vec<Line>,
    /// Files read so far.
    count: usize,
}

impl Reader<'_> {
    /// `from` is the line that includes it.
    fn file(&mut self, path: &Path, from: Option<Place>, report: &mut Report) {
        let path_itself = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let again = self.files.contains(&path_itself);
        self.count += 1;
        if let Some(from) = from
            && (again || self.files.len() >= MAX_DEPTH || self.count > MAX_FILES)
        {
            let what =
                if again { "includes itself" } else { "goes too deep, or includes too many files" };
            report.fault(from, format!("{} {what}; take the include out", path.display()));
            return;
        }
        let file = report.file(&path.display().to_string());
        let text = match source::read(path) {
            Ok(text) => text,
            Err(why) => {
                report.fault(Place::new(file, 0), why);
                return;
            }
        };
        let inner = path.parent().map(Path::to_owned).unwrap_or_default();
        let outer = std::mem::replace(&mut self.directory, inner);
        self.files.push(path_itself);
        self.text(&text, file, report);
        self.files.pop();
        self.directory = outer;
    }

    fn text(&mut self, text: &str, file: FileId, report: &mut Report) {
        let mut lines = text.lines().enumerate();
        while let Some((index, line)) = lines.next() {
            let at = Place::new(file, index + 1);
            let Some(line) = without_comment(line, at, report) else { continue };
            if let Some(pattern) = included(&line) {
                self.include(pattern, at, report);
            } else if let Some((name, value)) = definition(&line) {
                let mut value = value.to_owned();
                let mut last = at.line;
                // A definition goes on while its lines end in a backslash.
                while let Some(begun) = value.strip_suffix('\\').map(str::trim_end) {
                    let Some((index, next)) = lines.next() else { break };
                    last = index + 1;
                    let next = without_comment(next, at, report).unwrap_or_default();
                    value = format!("{begun}\n{next}");
                }
                let at = Place { last, ..at };
                self.define(name, value.trim_start_matches('\n'), at, report);
            } else {
                self.take(&line, at, 0, report);
            }
        }
    }

    /// Takes a line, or the lines that a variable in it stands for.
    fn take(&mut self, line: &str, at: Place, depth: usize, report: &mut Report) {
        let line = line.trim();
        if depth > MAX_DEPTH || self.lines.len() > MAX_LINES {
            report.fault(
                at,
                "the variables in it hold each other, or too much; write out what they mean",
            );
            return;
        }
        if line.starts_with("~SEQ") || line.starts_with("~LST") {
            report.fault(
                at,
                "sequences are not understood here; write out the lines that it stands for",
            );
            return;
        }
        if let Some(condition) = line.strip_prefix('@') {
            if let Some(rest) = self.holds(condition, at, report) {
                self.take(rest, at, depth + 1, report);
            }
            return;
        }
        if let Some((name, value)) = definition(line) {
            self.define(name, value, at, report);
            return;
        }
        match self.replace(line) {
            Some(text) if text != line => {
                text.lines().for_each(|line| self.take(line, at, depth + 1, report));
            }
            Some(_) | None if line.is_empty() => {}
            Some(_) | None => self.lines.push(Line { at, text: line.to_owned() }),
        }
    }

    fn define(&mut self, name: &str, value: &str, at: Place, report: &mut Report) {
        self.variables.insert(name.to_owned(), value.to_owned());
        report.not_needed(at, format!("${name}=..."), "its value stands where it is used");
    }

    /// What follows `@NAME ` or `@^NAME `, if that holds for this node.
    fn holds<'l>(&self, condition: &'l str, at: Place, report: &mut Report) -> Option<&'l str> {
        let (name, rest) = condition.split_once([' ', '\t'])?;
        let (name, wanted) = name.strip_prefix('^').map_or((name, true), |name| (name, false));
        let Some(owner) = self.owner else {
            let text = format!(
                "`@{name}` holds for some nodes only; say whose file it is: {name}=FILE, and each other node too"
            );
            report.fault(at, text);
            return None;
        };
        // Keepalived takes the host's name up to its first dot, or what `-i` says.
        let is_owner = owner == name || owner.split('.').next() == Some(name);
        if is_owner == wanted {
            return Some(rest);
        }
        // What follows may be a password.
        let word = rest.split_whitespace().next().unwrap_or_default();
        let at_name = condition.split_whitespace().next().unwrap_or_default();
        report.not_needed(
            at,
            format!("@{at_name} {word} ..."),
            format!("it does not hold for {owner}"),
        );
        None
    }

    /// The line with values instead of variables that are known; `None`: there are none.
    fn replace(&self, line: &str) -> Option<String> {
        let mut text = String::new();
        let mut rest = line;
        while let Some(at) = rest.find('$') {
            let (before, variable) = rest.split_at_checked(at)?;
            text.push_str(before);
            let (name, length) = variable_at(variable);
            match self.variables.get(name).filter(|_| !name.is_empty()) {
                Some(value) => text.push_str(value),
                None => text.push_str(variable.get(..length)?),
            }
            rest = variable.get(length..)?;
        }
        text.push_str(rest);
        Some(text)
    }

    fn include(&mut self, pattern: &str, at: Place, report: &mut Report) {
        let text = format!("include {pattern}");
        // The directory is no pattern, whatever its name looks like.
        let directory = glob::Pattern::escape(&self.directory.to_string_lossy());
        let pattern = Path::new(&directory).join(pattern);
        let pattern = pattern.to_string_lossy();
        let paths = match glob::glob(&pattern) {
            Ok(paths) => paths,
            Err(error) => {
                report.fault(at, format!("{pattern} is no pattern: {error}"));
                return;
            }
        };
        let mut files: Vec<PathBuf> = Vec::new();
        for path in paths.take(MAX_FILES + 1) {
            match path {
                Ok(path) if path.is_file() => files.push(path),
                Ok(_) => {}
                Err(error) => report.fault(at, format!("cannot look for {pattern}: {error}")),
            }
        }
        if files.is_empty() {
            let says =
                format!("no file is {pattern}; if it should be there, bring it and import again");
            report.not_converted(at, text, says);
            return;
        }
        let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
        report.converted(at, text, format!("read: {}", names.join(", ")));
        for file in files {
            self.file(&file, Some(at), report);
        }
    }
}

/// The line up to `#` or `!`, outside quotes; `None`: nothing is left of it.
fn without_comment(line: &str, at: Place, report: &mut Report) -> Option<String> {
    let mut text = String::new();
    let mut quoted = false;
    let mut characters = line.trim().chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => quoted = !quoted,
            '#' | '!' if !quoted => break,
            '\\' => {
                text.push(character);
                match characters.next() {
                    // Escaped, it is no comment.
                    Some(next @ ('#' | '!')) if !quoted => {
                        text.pop();
                        text.push(next);
                    }
                    Some(next) => text.push(next),
                    None => {}
                }
                continue;
            }
            _ => {}
        }
        text.push(character);
    }
    if quoted {
        report.fault(at, "a quote is not closed; close it in the same line");
    }
    let text = text.trim_end();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The pattern of `include PATTERN`, and of `includer`, `includem`, `includew`, `includeb`, `includea`.
fn included(line: &str) -> Option<&str> {
    let (word, pattern) = line.split_once([' ', '\t'])?;
    let suffix = word.strip_prefix("include")?;
    ["", "r", "m", "w", "b", "a"].contains(&suffix).then(|| pattern.trim().trim_matches('"'))
}

/// Name and value of `$NAME=VALUE`.
fn definition(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.strip_prefix('$')?.split_once('=')?;
    let head = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let tail = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    (head && tail).then_some((name, value.trim()))
}

/// The name of the variable at the beginning of a text, `$NAME` or `${NAME}`, and how long that is.
fn variable_at(text: &str) -> (&str, usize) {
    if let Some(rest) = text.strip_prefix("${")
        && let Some(end) = rest.find('}')
    {
        return (rest.get(..end).unwrap_or_default(), end + 3);
    }
    let rest = text.strip_prefix('$').unwrap_or(text);
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
    (rest.get(..end).unwrap_or_default(), end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines, and what is wrong.
    fn both(text: &str, owner: Option<&str>) -> (Vec<String>, String) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keepalived.conf");
        std::fs::write(&path, text).unwrap();
        let mut report = Report::default();
        let lines = read(&path, owner, &mut report);
        let errors = report.finish(Some(())).err().map(|errors| errors.to_string());
        (lines.into_iter().map(|line| line.text).collect(), errors.unwrap_or_default())
    }

    fn read_text(text: &str, owner: Option<&str>) -> Vec<String> {
        let (lines, errors) = both(text, owner);
        assert_eq!(errors, "");
        lines
    }

    fn error(text: &str, owner: Option<&str>) -> String {
        both(text, owner).1
    }

    #[test]
    fn comments_are_taken_out() {
        let text = "! one\na b # two\n  c \"x # y\" ! three\nd \\# e\n\n";
        assert_eq!(read_text(text, None), ["a b", "c \"x # y\"", "d # e"]);
        assert!(error("a \"b\nc\n", None).contains(":1: a quote is not closed"));
    }

    #[test]
    fn conditional_lines_hold_for_their_node() {
        let text = "@alpha priority 150\n@beta priority 100\n@^alpha x\n@beta $P=7\np $P\n";
        assert_eq!(read_text(text, Some("alpha")), ["priority 150", "p $P"]);
        let beta = read_text(text, Some("beta.example.com"));
        assert_eq!(beta, ["priority 100", "x", "p 7"]);
        assert!(error(text, None).contains(":1: `@alpha` holds for some nodes only"));
    }

    #[test]
    fn variables_are_replaced_when_they_are_used() {
        let text =
            "$BASE=10.2.${SUB}\n$SUB=0\n${BASE}.1/24\n$SUB=7\n${BASE}.1/24\n$NO ${NONE}x a$\n";
        assert_eq!(read_text(text, None), ["10.2.0.1/24", "10.2.7.1/24", "$NO ${NONE}x a$"]);
        let text = "$I= \\\n a ${N} { \\\n b \\\n }\n$N=1\n$I\n$N=2\n$I\n";
        assert_eq!(read_text(text, None), ["a 1 {", "b", "}", "a 2 {", "b", "}"]);
        assert!(error("$A=${B} ${B}\n$B=$A\nx $A\n", None).contains(":3: the variables"));
        assert!(error("~SEQ(a,1,2) x\n", None).contains(":1: sequences"));
    }

    #[test]
    fn files_are_included_from_the_directory_of_the_including_one() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            path
        };
        let main = write("k.conf", "a\ninclude conf.d/*.conf\nincludea none.conf\nb\n");
        write("conf.d/2.conf", "two\n");
        write("conf.d/1.conf", "one\ninclude sub/x.conf\n");
        write("conf.d/sub/x.conf", "x\n");
        let mut report = Report::default();
        let lines = read(&main, None, &mut report);
        let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(texts, ["a", "one", "x", "two", "b"]);
        let ((), entries) = report.finish(Some(())).unwrap();
        assert!(entries.iter().any(|entry| entry.says.contains("no file is")), "{entries:?}");
        write("conf.d/sub/x.conf", "include ../1.conf\n");
        let mut report = Report::default();
        read(&main, None, &mut report);
        let errors = report.finish(Some(())).unwrap_err().to_string();
        assert!(errors.contains("x.conf:1: ") && errors.contains("includes itself"), "{errors}");
    }
}

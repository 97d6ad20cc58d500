//! Where agents lie. Looks at files; runs none of them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::config::{AgentName, hint};

/// The variable with directories of agents, separated by colons, instead of the usual ones.
pub const VARIABLE: &str = "LUBDUB_AGENTS";

/// Where packages put lubdub's agents.
const SYSTEM_DIR: &str = "/usr/lib/ocf/resource.d/lubdub";

/// Directories of agents, best first, and the users who may own an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agents {
    dirs: Vec<PathBuf>,
    owners: Vec<u32>,
}

/// Why an agent cannot be used.
#[derive(Debug, Error)]
pub enum FindError {
    /// It is in none of the directories.
    #[error(
        "there is no agent '{agent}' in {dirs}; {hint} Install it there, or name its directory in {VARIABLE}"
    )]
    Missing {
        /// The agent.
        agent: AgentName,
        /// Where it was looked for.
        dirs: String,
        /// The nearest of those that are there, or else all of them; a sentence.
        hint: String,
    },
    /// It is there, but not a file that can be executed.
    #[error("the agent {} is not an executable file; chmod 755 it", path.display())]
    NotExecutable {
        /// Where it lies.
        path: PathBuf,
    },
    /// Somebody who must not decide what lubdub runs could change it.
    #[error(
        "the agent {} can be changed by others (owner {uid}, mode {mode:04o}); chown root: and chmod 755 it",
        path.display()
    )]
    Unsafe {
        /// Where it lies.
        path: PathBuf,
        /// Its owner.
        uid: u32,
        /// Its permission bits.
        mode: u32,
    },
    /// It could not be looked at.
    #[error("{}: {source}; agents must be readable", path.display())]
    Unreadable {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Agents {
    /// Agents in these directories. Their owner must be root or one of `owners` (user ids).
    #[must_use]
    pub fn new(dirs: Vec<PathBuf>, mut owners: Vec<u32>) -> Self {
        owners.push(0);
        Self { dirs, owners }
    }

    /// The agents of this very program: in the directories of `variable` (the value of [`VARIABLE`]), else beside the
    /// program, in the source tree that it was built in, and in the system's directory. The user who runs the program
    /// and the one who owns it, and could change it anyway, may own agents.
    #[must_use]
    pub fn of_program(program: &Path, variable: Option<&OsStr>) -> Self {
        let dirs = match variable {
            Some(dirs) => std::env::split_paths(dirs).collect(),
            None => usual_dirs(program),
        };
        let owner = fs::metadata(program).map(|metadata| metadata.uid()).ok();
        let owners = owner.into_iter().chain([nix::unistd::geteuid().as_raw()]).collect();
        Self::new(dirs, owners)
    }

    /// The file of an agent: the first of its name, if it may be run.
    ///
    /// # Errors
    ///
    /// A [`FindError`], also where a later directory has a better file: a broken agent is told, not stepped over.
    pub fn find(&self, agent: &AgentName) -> Result<PathBuf, FindError> {
        for dir in &self.dirs {
            let path = dir.join(&agent.0);
            match fs::metadata(&path) {
                Ok(metadata) => return self.check(path, &metadata),
                Err(error) if is_absent(&error) => {}
                Err(source) => return Err(FindError::Unreadable { path, source }),
            }
        }
        let known = self.list().unwrap_or_default();
        let hint = match hint(&agent.0, known.keys().map(|known| known.0.as_str())) {
            question if question.ends_with('?') => question,
            list => format!("{list}."),
        };
        Err(FindError::Missing { agent: agent.clone(), dirs: self.places(), hint })
    }

    /// Where agents are looked for.
    #[must_use]
    pub fn places(&self) -> String {
        self.dirs.iter().map(|dir| dir.display().to_string()).collect::<Vec<_>>().join(", ")
    }

    /// Every agent, each as [`find`](Self::find) would answer for it. Files that are hidden do not count.
    ///
    /// # Errors
    ///
    /// A directory that is there, but cannot be read.
    pub fn list(&self) -> Result<BTreeMap<AgentName, Result<PathBuf, FindError>>, FindError> {
        let mut agents = BTreeMap::new();
        for dir in &self.dirs {
            let unreadable = |source| FindError::Unreadable { path: dir.clone(), source };
            let entries = match fs::read_dir(dir) {
                Ok(entries) => entries,
                Err(error) if is_absent(&error) => continue,
                Err(error) => return Err(unreadable(error)),
            };
            for entry in entries {
                let name = entry.map_err(unreadable)?.file_name().to_string_lossy().into_owned();
                if !name.starts_with('.') {
                    let agent = AgentName(name);
                    let found = self.find(&agent);
                    agents.insert(agent, found);
                }
            }
        }
        Ok(agents)
    }

    /// A group may write where its file's owner is not root: on many systems each user has a group for himself alone.
    fn check(&self, path: PathBuf, metadata: &Metadata) -> Result<PathBuf, FindError> {
        let mode = metadata.permissions().mode() & 0o7777;
        let (uid, gid) = (metadata.uid(), metadata.gid());
        let group_may_write = mode & 0o020 != 0 && uid == 0 && gid != 0;
        if !metadata.is_file() || mode & 0o111 == 0 {
            Err(FindError::NotExecutable { path })
        } else if mode & 0o002 != 0 || group_may_write || !self.owners.contains(&uid) {
            Err(FindError::Unsafe { path, uid, mode })
        } else {
            Ok(path)
        }
    }
}

/// Why the kernel could not run a file that is there, where the reason lies in its first line: "No such file" says it of
/// the interpreter, not of the file.
#[must_use]
pub fn why_not_run(path: &Path, error: &io::Error) -> Option<String> {
    let first = first_line(path)?;
    match (error.kind(), first.strip_prefix("#!")) {
        (io::ErrorKind::NotFound, Some(rest)) => {
            let program = rest.split_whitespace().next().unwrap_or_default();
            let end = match first.ends_with('\r') {
                true => "; its lines end as on Windows: save it with Unix line ends",
                false => "; install that, or correct the line",
            };
            Some(format!("its first line, `{}`, names {program}, which is not there{end}", first.trim_end()))
        }
        // There is no word for ENOEXEC.
        (_, None) if error.raw_os_error() == Some(nix::errno::Errno::ENOEXEC as i32) => Some(
            "it is neither a program nor a script with an interpreter; a script begins with a line such as #!/bin/sh"
                .to_owned(),
        ),
        _ => None,
    }
}

/// At most so much of a file that the kernel looks at (`BINPRM_BUF_SIZE`).
fn first_line(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    fs::File::open(path).ok()?.take(256).read_to_end(&mut bytes).ok()?;
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    Some(String::from_utf8_lossy(line).into_owned())
}

/// A build lies in `target` of its source tree.
fn usual_dirs(program: &Path) -> Vec<PathBuf> {
    let beside = program.parent();
    let target = program.ancestors().find(|dir| dir.file_name() == Some(OsStr::new("target")));
    let source = target.and_then(Path::parent);
    let near = beside.into_iter().chain(source).map(|dir| dir.join("resource-agents"));
    near.chain([PathBuf::from(SYSTEM_DIR)]).collect()
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory with files of these names and modes.
    fn directory(files: &[(&str, u32)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, mode) in files {
            let path = dir.path().join(name);
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).unwrap();
        }
        dir
    }

    fn agents(dirs: &[&tempfile::TempDir]) -> Agents {
        let dirs = dirs.iter().map(|dir| dir.path().to_owned()).collect();
        Agents::new(dirs, vec![nix::unistd::geteuid().as_raw()])
    }

    fn find(agents: &Agents, name: &str) -> Result<PathBuf, FindError> {
        agents.find(&AgentName(name.to_owned()))
    }

    #[test]
    fn the_first_directory_wins() {
        let (first, second) =
            (directory(&[("a", 0o755)]), directory(&[("a", 0o755), ("b", 0o755)]));
        let agents = agents(&[&first, &second]);
        assert_eq!(find(&agents, "a").unwrap(), first.path().join("a"));
        assert_eq!(find(&agents, "b").unwrap(), second.path().join("b"));
    }

    #[test]
    fn what_is_wrong_with_an_agent_is_told() {
        let dir = directory(&[("plain", 0o644), ("open", 0o757), ("good", 0o755)]);
        fs::create_dir(dir.path().join("folder")).unwrap();
        let agents = agents(&[&dir]);
        assert!(matches!(find(&agents, "none"), Err(FindError::Missing { .. })));
        assert!(matches!(find(&agents, "plain"), Err(FindError::NotExecutable { .. })));
        assert!(matches!(find(&agents, "folder"), Err(FindError::NotExecutable { .. })));
        assert!(matches!(find(&agents, "open"), Err(FindError::Unsafe { mode: 0o757, .. })));
        let words = find(&agents, "none").unwrap_err().to_string();
        assert!(words.contains(&dir.path().display().to_string()), "{words}");
        assert!(words.contains("known here: folder, good, open, plain. Install"), "{words}");
        let words = find(&agents, "goood").unwrap_err().to_string();
        assert!(words.contains("; did you mean `good`? Install"), "{words}");
        assert!(find(&agents, "good").is_ok());
    }

    #[test]
    fn a_stranger_must_not_own_an_agent() {
        let dir = directory(&[("a", 0o755)]);
        let owner = fs::metadata(dir.path().join("a")).unwrap().uid();
        let mut agents = Agents::new(vec![dir.path().to_owned()], vec![owner]);
        assert!(find(&agents, "a").is_ok());
        agents.owners = vec![owner + 1];
        assert!(matches!(find(&agents, "a"), Err(FindError::Unsafe { uid, .. }) if uid == owner));
    }

    #[test]
    fn the_list_has_good_and_bad_ones_but_no_hidden_ones() {
        let dir = directory(&[("good", 0o755), ("bad", 0o600), (".hidden", 0o755)]);
        let missing = dir.path().join("none");
        let agents = Agents::new(vec![missing, dir.path().to_owned()], agents(&[]).owners);
        let list = agents.list().unwrap();
        let shown: Vec<_> =
            list.iter().map(|(name, found)| (name.0.as_str(), found.is_ok())).collect();
        assert_eq!(shown, [("bad", false), ("good", true)]);
    }

    #[test]
    fn directories_follow_from_the_program_unless_they_are_named() {
        let dirs = |program: &str| usual_dirs(Path::new(program));
        let system = Path::new(SYSTEM_DIR);
        assert_eq!(dirs("/usr/sbin/lubdub"), [Path::new("/usr/sbin/resource-agents"), system]);
        assert_eq!(
            dirs("/src/lubdub/target/debug/lubdub"),
            [
                Path::new("/src/lubdub/target/debug/resource-agents"),
                Path::new("/src/lubdub/resource-agents"),
                system
            ]
        );
        let named = Agents::of_program(Path::new("/none"), Some(OsStr::new("/a:/b")));
        assert_eq!(named.dirs, [Path::new("/a"), Path::new("/b")]);
    }
}

//! The two files of a new cluster, cluster.toml and authkeys: both are written or none, and none over another one.

use std::fs;
use std::path::{Path, PathBuf};

use super::exit::Failure;
use super::keygen::{self, Access, Over};
use crate::wire::Keys;

/// Where they lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Files {
    pub(super) cluster: PathBuf,
    pub(super) keys: PathBuf,
}

impl Files {
    pub(super) fn of(directory: &Path) -> Self {
        Self { cluster: directory.join("cluster.toml"), keys: directory.join("authkeys") }
    }

    /// Refuses what would be overwritten; `instead`: what to do then.
    pub(super) fn expect_none(&self, instead: &str) -> Result<(), Failure> {
        let both = [&self.cluster, &self.keys];
        let there = both.into_iter().filter(|file| file.symlink_metadata().is_ok());
        let there: Vec<String> = there.map(|file| file.display().to_string()).collect();
        if there.is_empty() {
            return Ok(());
        }
        let are = match there.as_slice() {
            [one] => format!("{one} is"),
            both => format!("{} are", both.join(" and ")),
        };
        Err(Failure::Failed(format!("{are} there already, and nothing is overwritten; {instead}")))
    }

    /// Writes both, the keys with a fresh one.
    pub(super) fn write(&self, cluster_toml: &str, instead: &str) -> Result<(), Failure> {
        let keys = Keys::generate().map_err(|error| {
            Failure::Failed(format!("the kernel has no random numbers: {error}"))
        })?;
        // Looked at before, so that what is there already is told without a trace.
        self.expect_none(instead)?;
        write(&self.keys, Access::Owner, &keys)?;
        if let Err(failure) = write(&self.cluster, Access::All, cluster_toml) {
            // Just made, by us.
            drop(fs::remove_file(&self.keys));
            return Err(failure);
        }
        Ok(())
    }
}

fn write(file: &Path, access: Access, text: &str) -> Result<(), Failure> {
    keygen::write(file, Over::Nothing, access, text)
        .map_err(|error| Failure::Failed(format!("{}: cannot be written: {error}", file.display())))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const INSTEAD: &str = "name another directory";

    fn mode(file: &Path) -> u32 {
        fs::metadata(file).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn both_files_are_written_or_none() {
        let scratch = tempfile::tempdir().unwrap();
        let files = Files::of(&scratch.path().join("new/lubdub"));
        files.write("cluster = 'a'\n", INSTEAD).unwrap();
        assert_eq!(mode(&files.keys), 0o600);
        assert_eq!(mode(&files.cluster), 0o644);
        assert!(Keys::load(&files.keys).is_ok());
        let keys = fs::read_to_string(&files.keys).unwrap();
        let refused = files.write("other", INSTEAD).err().unwrap().to_string();
        assert!(refused.contains("authkeys are there already"), "{refused}");
        assert!(refused.ends_with(INSTEAD), "{refused}");
        assert_eq!(fs::read_to_string(&files.keys).unwrap(), keys);
        assert_eq!(fs::read_to_string(&files.cluster).unwrap(), "cluster = 'a'\n");
        // One of the two is enough to refuse, and the other one is not made.
        for kept in ["cluster.toml", "authkeys"] {
            let directory = scratch.path().join(kept);
            fs::create_dir(&directory).unwrap();
            fs::write(directory.join(kept), "mine").unwrap();
            assert!(Files::of(&directory).write("other", INSTEAD).is_err());
            assert_eq!(fs::read_to_string(directory.join(kept)).unwrap(), "mine");
            assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
        }
        let file = scratch.path().join("file");
        fs::write(&file, "x").unwrap();
        assert!(matches!(Files::of(&file).write("other", INSTEAD), Err(Failure::Failed(_))));
    }
}

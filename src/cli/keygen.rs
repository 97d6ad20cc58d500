//! `lubdub keygen`: an authkeys file that nobody else can read, never over another one by accident.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::exit::{Exit, Failure};
use super::output;

/// Write the text of a fresh authkeys file; `-`: to stdout.
pub(super) fn keygen(file: &Path, force: bool, text: &str) -> Result<Exit, Failure> {
    if file.as_os_str() == "-" {
        output::result(text)?;
        return Ok(Exit::Fine);
    }
    match write(file, force, text) {
        Ok(()) => {
            output::say(&format!(
                "wrote {}; copy it to every node of the cluster, mode 0600",
                file.display()
            ));
            Ok(Exit::Fine)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(Failure::Failed(
            format!("{} exists: its key is perhaps in use; --force replaces it", file.display()),
        )),
        Err(error) => {
            Err(Failure::Failed(format!("{}: cannot be written: {error}", file.display())))
        }
    }
}

/// Written beside the file and then linked or renamed to it: a half-written key is never seen.
fn write(file: &Path, force: bool, text: &str) -> io::Result<()> {
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory)?;
    }
    let mut fresh = file.as_os_str().to_owned();
    fresh.push(format!(".{}", std::process::id()));
    let mut beside = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    let written =
        beside.write_all(text.as_bytes()).and_then(|()| beside.sync_all()).and_then(|()| {
            if force { fs::rename(&fresh, file) } else { fs::hard_link(&fresh, file) }
        });
    // After a rename it is gone already; otherwise it must not stay.
    drop(fs::remove_file(&fresh));
    written
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn never_over_another_one_unless_forced() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("etc/authkeys");
        assert_eq!(keygen(&file, false, "one\n").unwrap(), Exit::Fine);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
        let refused = keygen(&file, false, "two\n").unwrap_err();
        assert!(refused.to_string().contains("--force"), "{refused}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "one\n");
        assert_eq!(keygen(&file, true, "three\n").unwrap(), Exit::Fine);
        assert_eq!(fs::read_to_string(&file).unwrap(), "three\n");
        let left: Vec<_> = fs::read_dir(file.parent().unwrap()).unwrap().collect();
        assert_eq!(left.len(), 1, "nothing else is left behind");
    }
}

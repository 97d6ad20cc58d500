//! `lubdub keygen`: an authkeys file that nobody else can read, never over another one by accident; and the steps that
//! change the key of a running cluster.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;

use super::args::{KeygenArgs, KeygenStep};
use super::exit::{Exit, Failure};
use super::output;
use crate::wire::{EditError, KeyId, Keys};

/// Write a fresh file, or take a step.
pub(super) fn keygen(args: &KeygenArgs) -> Result<Exit, Failure> {
    let file = &args.file;
    let told = match args.step {
        KeygenStep { add: true, .. } => add(file)?,
        KeygenStep { sign_with: Some(id), .. } => sign_with(file, id)?,
        KeygenStep { drop_key: Some(id), .. } => drop_key(file, id)?,
        KeygenStep { force, .. } => {
            let text = Keys::generate().map_err(|error| {
                Failure::Failed(format!("the kernel has no random numbers: {error}"))
            })?;
            if file.as_os_str() == "-" {
                output::result(&text)?;
                return Ok(Exit::Fine);
            }
            fresh(file, force, &text)?
        }
    };
    output::say(&told);
    Ok(Exit::Fine)
}

fn fresh(file: &Path, force: bool, text: &str) -> Result<String, Failure> {
    let name = file.display();
    match write(file, if force { Over::Anything } else { Over::Nothing }, Access::Owner, text) {
        Ok(()) => Ok(format!("wrote {name}; copy it to every node of the cluster, mode 0600")),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(Failure::Failed(format!(
                "{name} exists: its key is perhaps in use; --add puts a new key beside it, --force replaces the file"
            )))
        }
        Err(error) => {
            let denied = error.kind() == io::ErrorKind::PermissionDenied;
            let hint = if denied { "; run this as root, or name another FILE" } else { "" };
            Err(Failure::Failed(format!("{name}: cannot be written: {error}{hint}")))
        }
    }
}

fn add(file: &Path) -> Result<String, Failure> {
    let id = edit(file, Keys::with_new_key)?;
    Ok(format!(
        "added key {id} to {}; nothing signs with it yet\n\
         next: copy the file to every node (mode 0600), then on each: lubdub reload\n\
         and when all have it, on each: lubdub keygen --use {id}, lubdub reload",
        file.display()
    ))
}

fn sign_with(file: &Path, id: KeyId) -> Result<String, Failure> {
    edit(file, |text| Ok((Keys::with_signing(text, id)?, ())))?;
    Ok(format!(
        "key {id} signs in {}; `lubdub reload` applies it, on a node whose peers accept that key already",
        file.display()
    ))
}

fn drop_key(file: &Path, id: KeyId) -> Result<String, Failure> {
    edit(file, |text| Ok((Keys::without(text, id)?, ())))?;
    Ok(format!("took key {id} out of {}; `lubdub reload` applies it", file.display()))
}

/// Change the text of a file that the daemon would take, in one step; owner and place stay.
fn edit<T>(
    file: &Path,
    change: impl FnOnce(&str) -> Result<(String, T), EditError>,
) -> Result<T, Failure> {
    let name = file.display();
    Keys::load(file).map_err(|error| Failure::Usage(error.to_string()))?;
    let failed = |error: io::Error| Failure::Failed(format!("{name}: {error}"));
    // A link stays one.
    let target = fs::canonicalize(file).map_err(failed)?;
    let owner = fs::metadata(&target).map_err(failed)?;
    let former = fs::read_to_string(&target).map_err(failed)?;
    let (text, result) =
        change(&former).map_err(|error| Failure::Usage(format!("{name}: {error}")))?;
    if text != former {
        let over = Over::Owned { uid: owner.uid(), gid: owner.gid() };
        write(&target, over, Access::Owner, &text)
            .map_err(|error| Failure::Failed(format!("{name}: cannot be written: {error}")))?;
    }
    Ok(result)
}

/// What may be at the place of a new file.
#[derive(Clone, Copy)]
pub(super) enum Over {
    Nothing,
    Anything,
    /// A file whose owner the new one gets.
    Owned {
        uid: u32,
        gid: u32,
    },
}

/// Who may read a new file.
#[derive(Clone, Copy)]
pub(super) enum Access {
    Owner,
    All,
}

/// Written beside the file and then linked or renamed to it: a half-written one is never seen.
pub(super) fn write(file: &Path, over: Over, access: Access, text: &str) -> io::Result<()> {
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory)?;
    }
    let mut fresh = file.as_os_str().to_owned();
    fresh.push(format!(".{}", std::process::id()));
    let mode = match access {
        Access::Owner => 0o600,
        Access::All => 0o644,
    };
    let mut beside = OpenOptions::new().write(true).create_new(true).mode(mode).open(&fresh)?;
    let owned = match over {
        Over::Owned { uid, gid } => fchown(&beside, Some(uid), Some(gid)),
        Over::Nothing | Over::Anything => Ok(()),
    };
    let written = owned
        .and_then(|()| beside.write_all(text.as_bytes()))
        .and_then(|()| beside.sync_all())
        .and_then(|()| match over {
            Over::Nothing => fs::hard_link(&fresh, file),
            Over::Anything | Over::Owned { .. } => fs::rename(&fresh, file),
        });
    // After a rename it is gone already; otherwise it must not stay.
    drop(fs::remove_file(&fresh));
    written
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn mode(file: &Path) -> u32 {
        fs::metadata(file).unwrap().permissions().mode() & 0o7777
    }

    fn ids(file: &Path) -> (u8, Vec<u8>) {
        let keys = Keys::load(file).unwrap();
        (keys.sending_id().get(), keys.ids().map(KeyId::get).collect())
    }

    #[test]
    fn never_over_another_one_unless_forced() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("etc/authkeys");
        fresh(&file, false, "one\n").unwrap();
        assert_eq!(mode(&file), 0o600);
        let refused = fresh(&file, false, "two\n").unwrap_err();
        assert!(refused.to_string().contains("--force"), "{refused}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "one\n");
        fresh(&file, true, "three\n").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "three\n");
        let left: Vec<_> = fs::read_dir(file.parent().unwrap()).unwrap().collect();
        assert_eq!(left.len(), 1, "nothing else is left behind");
    }

    #[test]
    fn the_steps_of_a_rotation() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("authkeys");
        fresh(&file, false, &Keys::generate().unwrap()).unwrap();
        let link = directory.path().join("link");
        symlink(&file, &link).unwrap();
        let [one, two] = ["1", "2"].map(|id| id.parse::<KeyId>().unwrap());
        assert!(add(&link).unwrap().contains("--use 2"));
        assert_eq!((ids(&file), mode(&file)), ((1, vec![1, 2]), 0o600));
        let refused = drop_key(&file, one).unwrap_err().to_string();
        assert!(refused.ends_with("key 1 signs: make another one sign first"), "{refused}");
        sign_with(&file, two).unwrap();
        // Twice is once.
        sign_with(&file, two).unwrap();
        assert_eq!(ids(&file), (2, vec![1, 2]));
        drop_key(&file, one).unwrap();
        assert_eq!((ids(&file), mode(&file)), ((2, vec![2]), 0o600));
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(add(&file).unwrap_err().to_string().contains("chmod 600"));
        assert!(add(&directory.path().join("none")).unwrap_err().to_string().contains("none"));
    }
}

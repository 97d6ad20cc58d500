//! What a node finds on its disk: the machine's own files, but a `/run`, `/var/log`, `/etc/lubdub` and `/var/lib/lubdub`
//! of its own. Nothing that it writes there reaches the machine.
//!
//! `/run/lab` in the outer namespaces holds a file system for each node, which outlives its power: its disk.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::unistd::sethostname;

use super::error::{LabError, file, refused};

/// Where the laboratory keeps the disks of its nodes.
const LAB: &str = "/run/lab";
/// Where a node finds what it does not replace of a directory of the machine.
const MACHINE: &str = "/run/machine";

/// A node's disk, seen from outside.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    root: PathBuf,
}

impl Disk {
    /// `/etc/lubdub` in the node.
    pub(super) fn etc(&self) -> PathBuf {
        self.root.join("etc")
    }

    /// `/var/lib/lubdub` in the node: the only thing on a file system of a known size.
    pub(super) fn state(&self) -> PathBuf {
        self.root.join("state")
    }

    /// `/var/log/lubdub` in the node.
    pub(super) fn log(&self) -> PathBuf {
        self.root.join("log/lubdub")
    }

    /// A new, empty disk.
    pub(super) fn new(node: &str) -> Result<Self, LabError> {
        let root = Path::new(LAB).join(node);
        let disk = Self { root };
        for directory in [
            disk.etc(),
            disk.state(),
            disk.log(),
            disk.root.join("log/nginx"),
            disk.root.join("run"),
        ] {
            make(&directory, 0o755)?;
        }
        mount_tmpfs(&disk.state(), "mode=755,size=1m")?;
        Ok(disk)
    }

    /// Arranges all this in the namespaces of the calling thread, which must be the node's own.
    pub(super) fn furnish(&self, node: &str) -> Result<(), LabError> {
        sethostname(node).map_err(refused("set the host name"))?;
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
            .map_err(refused("make the mounts private"))?;
        let run = self.root.join("run");
        mount_tmpfs(&run, "mode=755")?;
        self.replace("/etc", &[("lubdub", Some(self.etc()))])?;
        // nginx makes its working directories where it was compiled to, whatever its configuration says of some.
        self.replace("/var/lib", &[("lubdub", Some(self.state())), ("nginx", None)])?;
        bind(&self.root.join("log"), Path::new("/var/log"))?;
        mount_tmpfs(Path::new("/dev/shm"), "mode=1777")?;
        bind(&run, Path::new("/run"))
    }

    /// Lays a directory of our own over one of the machine: its entries are links to the machine's, except some.
    fn replace(&self, directory: &str, own: &[(&str, Option<PathBuf>)]) -> Result<(), LabError> {
        let name = directory.replace('/', "-");
        let hidden = self.root.join("run/machine").join(&name);
        make(&hidden, 0o755)?;
        bind(Path::new(directory), &hidden)?;
        mount_tmpfs(Path::new(directory), "mode=755")?;
        for entry in fs::read_dir(&hidden).map_err(file(&hidden))? {
            let entry = entry.map_err(file(&hidden))?.file_name();
            if !own.iter().any(|(name, _)| entry == *name) {
                let link = Path::new(directory).join(&entry);
                symlink(Path::new(MACHINE).join(&name).join(&entry), &link).map_err(file(&link))?;
            }
        }
        for (name, source) in own {
            let path = Path::new(directory).join(name);
            make(&path, 0o755)?;
            if let Some(source) = source {
                bind(source, &path)?;
            }
        }
        Ok(())
    }
}

/// Lays an empty `/run` over the machine's, for this process and its children, who must have mounts of their own.
pub(super) fn make_room() -> Result<(), LabError> {
    mount_tmpfs(Path::new("/run"), "mode=755")?;
    make(Path::new(LAB), 0o755)
}

fn make(path: &Path, mode: u32) -> Result<(), LabError> {
    fs::DirBuilder::new().recursive(true).mode(mode).create(path).map_err(file(path))
}

fn mount_tmpfs(path: &Path, options: &str) -> Result<(), LabError> {
    mount(Some("lab"), path, Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some(options))
        .map_err(refused(format!("mount a file system on {}", path.display())))
}

fn bind(from: &Path, to: &Path) -> Result<(), LabError> {
    mount(Some(from), to, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
        .map_err(refused(format!("show {} on {}", from.display(), to.display())))
}

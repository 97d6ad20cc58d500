//! One daemon for each state directory. The lock is on the directory itself (flock(2)), ends with the process however that ends,
//! and leaves no file behind.

use std::fs::File;
use std::path::Path;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::OpenError;
use super::files::at;

/// A daemon that was killed while it started an agent leaves its descriptors to the child, until that executes its program.
const ATTEMPTS: u32 = 50;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(20);

/// Takes the directory, or tells who cannot have it. `None`: it cannot be locked, which is a complaint; a disk stops no daemon.
#[expect(clippy::disallowed_methods, reason = "before the loop, and nothing tells when it is free")]
pub(super) fn take(
    dir: &Path,
    complaints: &mut Vec<String>,
) -> Result<Option<Flock<File>>, OpenError> {
    let mut directory = match File::open(dir) {
        Ok(directory) => directory,
        Err(error) => {
            complaints.push(format!("{}; a second daemon would not be kept out", at(dir, &error)));
            return Ok(None);
        }
    };
    for _ in 0..ATTEMPTS {
        match Flock::lock(directory, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(Some(lock)),
            Err((back, Errno::EWOULDBLOCK | Errno::EINTR)) => directory = back,
            Err((_, errno)) => {
                let error = at(dir, &errno.into());
                complaints.push(format!("{error}; a second daemon would not be kept out"));
                return Ok(None);
            }
        }
        thread::sleep(BETWEEN_ATTEMPTS);
    }
    Err(OpenError::Taken { dir: dir.to_owned() })
}

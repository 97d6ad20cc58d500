//! The command line's end of the socket: blocking, with a deadline on every read and write.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Answer, GROUP, Request};

/// A healthy daemon answers within milliseconds; one that takes so long is not there for the operator.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection to the daemon of this node.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    stream: BufReader<UnixStream>,
}

/// Why the daemon could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there.
    #[error(
        "no daemon answers on {path} ({source})\n\
         start it with `systemctl start lubdub` or `lubdub run`; if its socket is elsewhere, name it with --socket"
    )]
    NoDaemon {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The socket's mode does not let this user in.
    #[error(
        "{path}: permission denied: only root and the members of the group {GROUP} may talk to the daemon"
    )]
    Denied {
        /// The socket.
        path: PathBuf,
    },
    /// It listens, but did not answer in time.
    #[error(
        "the daemon on {path} did not answer within {} s: it is stopped or overloaded\n\
         look at it with `systemctl status lubdub` and `journalctl -u lubdub`",
        PATIENCE.as_secs()
    )]
    Silent {
        /// The socket.
        path: PathBuf,
    },
    /// The connection broke before the answer was there.
    #[error(
        "the daemon on {path} closed the connection ({source}): it may just have ended; try again"
    )]
    Broken {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What came back is no answer.
    #[error(
        "the daemon on {path} answered something else ({source}): are command and daemon of the same version?"
    )]
    Foreign {
        /// The socket.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

impl Client {
    /// Connect to the daemon that listens on this socket.
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        let connected = UnixStream::connect(path).and_then(|stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            Ok(stream)
        });
        match connected {
            Ok(stream) => Ok(Self { path: path.to_owned(), stream: BufReader::new(stream) }),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Err(ClientError::Denied { path: path.to_owned() })
            }
            Err(source) => Err(ClientError::NoDaemon { path: path.to_owned(), source }),
        }
    }

    /// Ask, and wait for the answer.
    pub fn call(&mut self, request: &Request) -> Result<Answer, ClientError> {
        let line = self.exchange(request).map_err(|error| self.explain(error))?;
        serde_json::from_str(&line)
            .map_err(|source| ClientError::Foreign { path: self.path.clone(), source })
    }

    fn exchange(&mut self, request: &Request) -> io::Result<String> {
        let mut line = serde_json::to_string(request)?;
        line.push('\n');
        self.stream.get_mut().write_all(line.as_bytes())?;
        line.clear();
        match self.stream.read_line(&mut line)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line),
        }
    }

    fn explain(&self, source: io::Error) -> ClientError {
        let path = self.path.clone();
        if matches!(source.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) {
            ClientError::Silent { path }
        } else {
            ClientError::Broken { path, source }
        }
    }
}

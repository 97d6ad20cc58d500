//! The daemon's end of the socket: a task for each connection, so that a slow client never holds the loop up.
//!
//! ```text
//! connection task --Call + oneshot--> bounded queue --next()--> the daemon's loop
//!                 <------------- oneshot Answer ---- answer() --
//! ```
//!
//! Everything is bounded: connections, the length of a request, the queue, the time a client may take.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::{Gid, Group, Uid, User, geteuid};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf, UCred};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};
use tokio::time::timeout;

use super::{Answer, MAX_REQUEST, Request};
use crate::cluster::io::ClientId;

/// Members of this system group may command the daemon.
pub const GROUP: &str = "lubdub";

/// Connections at the same time. Operators are few; more is a script gone wild.
const MAX_CONNECTIONS: usize = 32;

/// A connection on which nothing is asked for so long is closed: it holds one of a few places.
const IDLE: Duration = Duration::from_secs(60);

/// A client that does not take its answer within this time is given up.
const SLOW: Duration = Duration::from_secs(5);

/// How long the system may take to look a user up before the caller counts as a stranger.
const LOOKUP: Duration = Duration::from_secs(2);

/// One request. The loop owes it one [`Server::answer`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Whom to answer: new for each request.
    pub client: ClientId,
    /// The user who asks, as the system names him; `uid 1000` if it does not.
    pub author: String,
    /// What he asks. A command only if he may command.
    pub request: Request,
}

type Pending = (String, Request, oneshot::Sender<Answer>);

/// Why the daemon cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody answers there.
    #[error(
        "{path}: another lubdub daemon already answers there; stop it first, or choose another --socket"
    )]
    Taken {
        /// The socket.
        path: PathBuf,
    },
    /// Something that is not a socket has its name.
    #[error("{path}: exists and is not a socket; move it away, or choose another --socket")]
    NotASocket {
        /// The file.
        path: PathBuf,
    },
    /// The system refused.
    #[error(
        "{path}: cannot listen for commands: {source}; the directory must exist and be writable by the daemon"
    )]
    System {
        /// The socket.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// The listening socket and the calls that came in.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
    calls: mpsc::Receiver<Pending>,
    waiting: BTreeMap<ClientId, oneshot::Sender<Answer>>,
    last: u64,
    acceptor: JoinHandle<()>,
}

impl Server {
    /// Listen on this path: mode 0660, of the group `lubdub` if there is one. A socket on which nobody answers any more
    /// is replaced. Call it inside a tokio runtime.
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        let system = |source| BindError::System { path: path.to_owned(), source };
        make_way(path)?;
        let group = Group::from_name(GROUP).map_err(|error| system(error.into()))?;
        let listener = listen(path, group.as_ref()).map_err(system)?;
        let (sender, calls) = mpsc::channel(MAX_CONNECTIONS);
        let acceptor = tokio::spawn(accept(listener, sender));
        Ok(Self { path: path.to_owned(), calls, waiting: BTreeMap::new(), last: 0, acceptor })
    }

    /// The next call. Safe to cancel: nothing is lost.
    pub async fn next(&mut self) -> Call {
        // The acceptor holds a sender for as long as this server lives, so the queue never ends.
        let Some((author, request, reply)) = self.calls.recv().await else {
            return std::future::pending().await;
        };
        self.waiting.retain(|_, reply| !reply.is_closed());
        self.last += 1;
        let client = ClientId(self.last);
        self.waiting.insert(client, reply);
        Call { client, author, request }
    }

    /// Answer a call. Never waits; a client that has gone, or was answered already, changes nothing.
    pub fn answer(&mut self, client: ClientId, answer: Answer) {
        if let Some(reply) = self.waiting.remove(&client) {
            // The error is the answer itself, given back because the client has gone: nobody is left to be told.
            drop(reply.send(answer));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.acceptor.abort();
        // A socket file left behind is replaced at the next start, so that a failure here needs no care.
        drop(std::fs::remove_file(&self.path));
    }
}

/// Make sure that nobody answers on the path and that nothing but a socket is there.
fn make_way(path: &Path) -> Result<(), BindError> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(BindError::System { path: path.to_owned(), source }),
        Ok(found) if !found.file_type().is_socket() => {
            Err(BindError::NotASocket { path: path.to_owned() })
        }
        Ok(_) => match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => Err(BindError::Taken { path: path.to_owned() }),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            Err(source) => Err(BindError::System { path: path.to_owned(), source }),
        },
    }
}

/// Bind beside the path, set owner and mode, then rename: at no moment can anybody connect who may not, and a stale
/// socket is replaced in one step.
fn listen(path: &Path, group: Option<&Group>) -> io::Result<UnixListener> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    match std::fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(&fresh)?;
    if let Some(group) = group {
        chown(&fresh, None, Some(group.gid.as_raw()))?;
    }
    std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o660))?;
    std::fs::rename(&fresh, path)?;
    Ok(listener)
}

async fn accept(listener: UnixListener, calls: mpsc::Sender<Pending>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        // Finished tasks are taken out as new ones come, so that the set stays as small as the limit.
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => match Arc::clone(&places).try_acquire_owned() {
                Ok(place) => {
                    let calls = calls.clone();
                    connections.spawn(async move {
                        serve(stream, calls).await;
                        drop(place);
                    });
                }
                Err(_full) => turn_away(stream),
            },
            // Out of descriptors or memory, or the client gave up in the queue: others may still get through later.
            Err(error) => {
                tracing::warn!(%error, "cannot accept a command");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Too many connections. The line fits the empty buffer of a new socket, so that it is sent at once or not at all.
fn turn_away(stream: UnixStream) {
    let full = refusal(
        "too many connections to the daemon at the same time; end some `lubdub` commands first",
    );
    let told = stream.into_std().and_then(|mut stream| stream.write_all(&encode(&full)));
    if let Err(error) = told {
        tracing::debug!(%error, "a client was turned away unheard");
    }
}

async fn serve(stream: UnixStream, calls: mpsc::Sender<Pending>) {
    let caller = match stream.peer_cred() {
        Ok(credentials) => Caller::find(credentials).await,
        Err(error) => return tracing::warn!(%error, "a client without credentials was turned away"),
    };
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    loop {
        let answer = match read(&mut reader).await {
            Line::Request(line) => match caller.read(&line) {
                Ok(request) => ask(&calls, &caller.name, request).await,
                Err(refused) => Some(refused),
            },
            Line::TooLong => {
                // Where the next request begins is unknown, so that this answer is the last one.
                let long = refusal(&format!("the request is longer than {MAX_REQUEST} bytes"));
                write(&mut writer, &long).await;
                None
            }
            Line::End => None,
        };
        match answer {
            Some(answer) if write(&mut writer, &answer).await => {}
            Some(_) | None => return,
        }
    }
}

enum Line {
    Request(Vec<u8>),
    TooLong,
    /// The client closed, failed or was idle for too long.
    End,
}

async fn read(reader: &mut BufReader<OwnedReadHalf>) -> Line {
    let mut line = Vec::new();
    let bound = u64::try_from(MAX_REQUEST + 1).unwrap_or(u64::MAX);
    match timeout(IDLE, reader.take(bound).read_until(b'\n', &mut line)).await {
        Ok(Ok(_)) if line.pop_if(|last| *last == b'\n').is_some() => Line::Request(line),
        Ok(Ok(_)) if line.len() > MAX_REQUEST => Line::TooLong,
        Ok(Ok(_) | Err(_)) | Err(_) => Line::End,
    }
}

/// Hand a request to the loop and wait for its answer. `None`: the daemon ends.
async fn ask(calls: &mpsc::Sender<Pending>, author: &str, request: Request) -> Option<Answer> {
    let (reply, answer) = oneshot::channel();
    calls.send((author.to_owned(), request, reply)).await.ok()?;
    answer.await.ok()
}

/// Whether the client took the answer in time.
async fn write(writer: &mut OwnedWriteHalf, answer: &Answer) -> bool {
    matches!(timeout(SLOW, writer.write_all(&encode(answer))).await, Ok(Ok(())))
}

fn encode(answer: &Answer) -> Vec<u8> {
    let mut line = serde_json::to_vec(answer).unwrap_or_else(|error| {
        tracing::error!(%error, "an answer cannot be written as JSON");
        br#"{"error":{"message":"the daemon cannot write its answer as JSON; please report this"}}"#
            .to_vec()
    });
    line.push(b'\n');
    line
}

fn refusal(message: &str) -> Answer {
    Answer::Error { message: message.to_owned() }
}

/// Who is at the other end.
struct Caller {
    name: String,
    may_command: bool,
}

impl Caller {
    /// Root and the daemon's own user need no lookup: a user directory that hangs must not lock the operator out.
    async fn find(credentials: UCred) -> Self {
        let (uid, gid) = (Uid::from_raw(credentials.uid()), Gid::from_raw(credentials.gid()));
        if uid.is_root() {
            return Self { name: "root".to_owned(), may_command: true };
        }
        let stranger = Self { name: format!("uid {uid}"), may_command: uid == geteuid() };
        // Asking the system for a user can block (NSS, LDAP), so it is done off the loop.
        match timeout(LOOKUP, spawn_blocking(move || Self::look_up(uid, gid))).await {
            Ok(Ok(Some(found))) => {
                Self { may_command: found.may_command || stranger.may_command, ..found }
            }
            Ok(Ok(None) | Err(_)) | Err(_) => stranger,
        }
    }

    /// Asked anew for each connection: members come and go while the daemon runs.
    fn look_up(uid: Uid, gid: Gid) -> Option<Self> {
        let user = User::from_uid(uid).ok().flatten()?;
        let group = Group::from_name(GROUP).ok().flatten();
        let may_command = group.is_some_and(|group| {
            group.gid == gid || group.gid == user.gid || group.mem.contains(&user.name)
        });
        Some(Self { name: user.name, may_command })
    }

    /// The request in a line, or the answer that says what is wrong with it.
    fn read(&self, line: &[u8]) -> Result<Request, Answer> {
        let request = serde_json::from_slice(line)
            .map_err(|error| refusal(&format!("not a request that this daemon knows: {error}")))?;
        match request {
            Request::Command(_) | Request::Reload if !self.may_command => Err(refusal(&format!(
                "{} may not command the daemon: only root and the members of the group {GROUP} may",
                self.name
            ))),
            Request::Command(_) | Request::Reload | Request::Status | Request::History { .. } => {
                Ok(request)
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! The Prometheus endpoint: `http://ADDRESS:PORT/metrics`. It owns a thread of normal priority with an event loop of its
//! own; off, it owns nothing. It must never disturb the daemon's loop, which is asked for a snapshot at most once in
//! [`FRESH`], however many ask here and however slow they are.
//!
//! ```text
//! connection task --request--> keeper task --Ask--> queue of one --next()--> the daemon's loop
//!                 <---page----             <------- Status -----------------
//! ```
//!
//! Connections, the length of a request and the time that both take are bounded. When there is no place left the oldest
//! connection has to go: whoever asks properly has been answered by then.

mod exposition;
mod http;
mod page;
mod process;

use std::collections::VecDeque;
use std::future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use self::http::{Asked, MAX_HEAD, Reply};
use self::process::Process;
use super::clock::Clock;
use crate::control::Status;

/// Connections at the same time. There are one or two scrapers.
const MAX_CONNECTIONS: usize = 8;
/// A page is given out again for so long: nobody scrapes more often than once a second.
const FRESH: Duration = Duration::from_secs(1);
/// How long a connection may take, from its first byte to the last.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the daemon's loop may take to answer.
const ANSWER: Duration = Duration::from_secs(2);
/// How often an address that cannot be listened on is tried again: it may come later, or its holder go.
const RETRY: Duration = Duration::from_secs(5);
/// The pause after a connection that could not be accepted, for want of descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
/// The thread runs small functions; the page is on the heap.
const STACK: usize = 256 * 1024;

/// The daemon's loop is to send how everything is.
pub(super) type Ask = oneshot::Sender<Status>;

/// The daemon's end.
#[derive(Debug)]
pub(super) struct Metrics {
    /// `None`: off.
    asks: Option<mpsc::Receiver<Ask>>,
}

impl Metrics {
    /// Starts the thread, if it is to listen anywhere. An address that cannot be listened on is not its end: it is logged,
    /// and tried again.
    ///
    /// # Errors
    /// No thread, or no descriptors for its event loop.
    pub(super) fn start(listen: Option<SocketAddr>, clock: Clock) -> io::Result<Self> {
        let Some(listen) = listen else { return Ok(Self { asks: None }) };
        let (ask, asks) = mpsc::channel(1);
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let keeper = Keeper { asks: ask, clock, process: Process::new(clock), page: None };
        thread::Builder::new()
            .name("lubdub-metrics".to_owned())
            .stack_size(STACK)
            .spawn(move || runtime.block_on(serve(listen, keeper)))?;
        Ok(Self { asks: Some(asks) })
    }

    /// The next request for a snapshot; never, while it is off. May be dropped and called again.
    pub(super) async fn next(&mut self) -> Ask {
        let ask = match &mut self.asks {
            Some(asks) => asks.recv().await,
            None => None,
        };
        match ask {
            Some(ask) => ask,
            None => future::pending().await,
        }
    }
}

type Request = oneshot::Sender<Option<Arc<str>>>;

/// Makes pages, one at a time, for all connections.
struct Keeper {
    asks: mpsc::Sender<Ask>,
    clock: Clock,
    process: Process,
    /// The newest one, and when its snapshot was asked for.
    page: Option<(crate::cluster::time::Instant, Arc<str>)>,
}

impl Keeper {
    async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        while let Some(request) = requests.recv().await {
            let page = self.page().await;
            // The connection may be gone; then nobody wants the page.
            drop(request.send(page));
        }
    }

    /// `None`: the daemon's loop does not answer.
    async fn page(&mut self) -> Option<Arc<str>> {
        let now = self.clock.now();
        if let Some((_, page)) = self.page.as_ref().filter(|(at, _)| now - *at < FRESH) {
            return Some(Arc::clone(page));
        }
        let answer = timeout(ANSWER, async {
            let (ask, answer) = oneshot::channel();
            self.asks.send(ask).await.ok()?;
            answer.await.ok()
        });
        let status = answer.await.ok().flatten()?;
        let page: Arc<str> = page::render(&status, &self.process.figures()).into();
        self.page = Some((now, Arc::clone(&page)));
        Some(page)
    }
}

async fn serve(listen: SocketAddr, keeper: Keeper) {
    let listener = bind(listen).await;
    let (request, requests) = mpsc::channel(MAX_CONNECTIONS);
    tokio::spawn(keeper.run(requests));
    let mut connections: VecDeque<JoinHandle<()>> = VecDeque::new();
    let mut told = false;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                told = false;
                connections.retain(|connection| !connection.is_finished());
                if connections.len() == MAX_CONNECTIONS
                    && let Some(oldest) = connections.pop_front()
                {
                    oldest.abort();
                }
                connections.push_back(tokio::spawn(attend(stream, request.clone())));
            }
            Err(error) => {
                if !told {
                    tracing::warn!(%error, "cannot accept a connection for metrics");
                }
                told = true;
                sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

async fn bind(listen: SocketAddr) -> TcpListener {
    let mut told = None;
    loop {
        match TcpListener::bind(listen).await {
            Ok(listener) => {
                tracing::info!("metrics are served on http://{listen}/metrics");
                return listener;
            }
            Err(error) => {
                let error = error.to_string();
                if told.as_ref() != Some(&error) {
                    tracing::warn!(
                        "metrics cannot be served on {listen}: {error}; it is tried again, every {} s",
                        RETRY.as_secs()
                    );
                    told = Some(error);
                }
                sleep(RETRY).await;
            }
        }
    }
}

/// One request, one answer. What goes wrong on the way is the other side's trouble.
async fn attend(mut stream: TcpStream, request: mpsc::Sender<Request>) {
    let conversation = timeout(PATIENCE, async {
        let reply = match read(&mut stream).await? {
            Asked::Page { body } => match page(&request).await {
                Some(page) => http::page(&page, body),
                None => http::error(Reply::Unavailable),
            },
            Asked::Front { body } => http::front(body),
            Asked::Wrong(why) => http::error(why),
        };
        stream.write_all(&reply).await?;
        stream.shutdown().await
    });
    if let Ok(Err(error)) = conversation.await {
        tracing::debug!(%error, "a scrape came to no end");
    }
}

async fn page(requests: &mpsc::Sender<Request>) -> Option<Arc<str>> {
    let (request, page) = oneshot::channel();
    requests.send(request).await.ok()?;
    page.await.ok().flatten()
}

async fn read(stream: &mut TcpStream) -> io::Result<Asked> {
    let mut head = Vec::with_capacity(1024);
    loop {
        if let Some(asked) = http::read(&head) {
            return Ok(asked);
        }
        let room = MAX_HEAD - head.len();
        if room == 0 {
            return Ok(Asked::Wrong(Reply::TooLong));
        }
        let room = u64::try_from(room).unwrap_or(u64::MAX);
        if (&mut *stream).take(room).read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

#[cfg(test)]
mod tests;

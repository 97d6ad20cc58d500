//! A client that asks the service address again and again, and writes down who answered.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Time between two requests.
const INTERVAL: Duration = Duration::from_millis(10);
/// Longer than any takeover here: a request that fails did so for good.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What became of a request: the node that answered, or why none did.
pub(crate) type Fate = Result<String, String>;

pub(crate) struct Client {
    fates: Arc<Mutex<Vec<Fate>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Client {
    pub(crate) fn start(target: SocketAddr) -> Self {
        let fates: Arc<Mutex<Vec<Fate>>> = Arc::default();
        let stop = Arc::new(AtomicBool::new(false));
        let thread = {
            let (fates, stop) = (Arc::clone(&fates), Arc::clone(&stop));
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let fate = ask(target).map_err(|error| error.to_string());
                    fates.lock().unwrap().push(fate);
                    pause();
                }
            })
        };
        Self { fates, stop, thread: Some(thread) }
    }

    /// Whether the newest request was answered by this node.
    pub(crate) fn is_served_by(&self, node: &str) -> bool {
        self.fates.lock().unwrap().last().is_some_and(|fate| fate.as_deref() == Ok(node))
    }

    /// Everything since the start, or since this was last called.
    pub(crate) fn take(&self) -> Vec<Fate> {
        std::mem::take(&mut *self.fates.lock().unwrap())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn ask(target: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&target, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.lines().last().unwrap_or_default().to_owned())
}

#[expect(clippy::disallowed_methods, reason = "the pace of the client, not a wait for something")]
fn pause() {
    std::thread::sleep(INTERVAL);
}

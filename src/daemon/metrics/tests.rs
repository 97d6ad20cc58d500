//! The endpoint from outside: a scraper that asks properly is served, whatever others do, and the daemon is asked seldom.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener as Listener, TcpStream as Stream};
use std::sync::atomic::{AtomicU8, Ordering};

use super::*;
use crate::cluster::time::Instant;

/// How long a test waits for what has to happen.
const DEADLINE: Duration = Duration::from_secs(20);

fn fine() -> Status {
    serde_json::from_str(include_str!("../../../tests/golden/status/fine.json")).unwrap()
}

/// A listener on an address of this test alone: a port that one test gave back another one might be given at once.
fn listener() -> Listener {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let own = Ipv4Addr::new(127, 77, 0, NEXT.fetch_add(1, Ordering::Relaxed));
    Listener::bind((own, 0)).unwrap()
}

/// An address that nobody listens on.
fn free() -> SocketAddr {
    listener().local_addr().unwrap()
}

/// An endpoint, and a loop that answers it. Gives what `scrape` gives, and how often the loop was asked.
fn served<T: Send + 'static>(scrape: impl FnOnce(SocketAddr) -> T + Send + 'static) -> (T, u32) {
    let listen = free();
    let mut metrics = Metrics::start(Some(listen), Clock::start()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let mut scrape = tokio::task::spawn_blocking(move || scrape(listen));
        let mut asked = 0;
        let scraped = timeout(DEADLINE, async {
            loop {
                tokio::select! {
                    ask = metrics.next() => {
                        asked += 1;
                        drop(ask.send(fine()));
                    }
                    scraped = &mut scrape => return scraped.unwrap(),
                }
            }
        });
        (scraped.await.expect("the scrape takes too long"), asked)
    })
}

fn connect(to: SocketAddr) -> Stream {
    let clock = Clock::start();
    loop {
        match Stream::connect(to) {
            Ok(stream) => {
                stream.set_read_timeout(Some(DEADLINE)).unwrap();
                return stream;
            }
            // The thread has to start, or to try again.
            Err(error) => {
                assert!(clock.now() - Instant::ZERO < DEADLINE, "{error}");
                thread::park_timeout(Duration::from_millis(5));
            }
        }
    }
}

fn ask(to: SocketAddr, request: &[u8]) -> String {
    let mut stream = connect(to);
    stream.write_all(request).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    reply
}

fn scrape(to: SocketAddr) -> String {
    ask(to, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

#[test]
fn a_scraper_has_its_page_and_others_have_an_answer() {
    let ((page, others), asked) = served(|to| {
        let others =
            ["GET / HTTP/1.1\r\n\r\n", "GET /x HTTP/1.1\r\n\r\n", "\0\0", "PUT / HTTP/1.1\r\n\r\n"];
        (scrape(to), others.map(|request| ask(to, request.as_bytes())))
    });
    let (head, body) = page.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
    assert!(body.contains("\nlubdub_group_holders{group=\"web\"} 1\n"), "{body}");
    let status = others.map(|reply| reply.split(' ').nth(1).unwrap_or_default().to_owned());
    assert_eq!(status, ["200", "404", "400", "405"]);
    assert_eq!(asked, 1);
}

#[test]
fn those_who_send_nothing_or_for_ever_keep_nobody_out() {
    let clock = Clock::start();
    let (pages, asked) = served(|to| {
        // More than there are places for, all of them open until the end.
        let silent: Vec<Stream> = (0..3 * MAX_CONNECTIONS).map(|_| connect(to)).collect();
        let mut endless = connect(to);
        endless.write_all(b"GET /metrics HTTP/1.1\r\na: ").unwrap();
        // It is answered that this is too long, or closed while it still sends.
        let sent = (0..64).map(|_| endless.write_all(&[b'x'; 1024])).filter(Result::is_ok).count();
        let pages: Vec<String> = (0..20).map(|_| scrape(to)).collect();
        assert!(sent <= 64 && silent.len() == 3 * MAX_CONNECTIONS);
        pages
    });
    assert!(pages.iter().all(|page| page.starts_with("HTTP/1.1 200 OK")), "{pages:?}");
    let seconds = (clock.now() - Instant::ZERO).as_secs();
    assert!(u64::from(asked) <= 1 + seconds, "the loop was asked {asked} times in {seconds} s");
}

#[test]
fn a_loop_that_does_not_answer_is_an_error() {
    let listen = free();
    let metrics = Metrics::start(Some(listen), Clock::start()).unwrap();
    let reply = scrape(listen);
    assert!(reply.starts_with("HTTP/1.1 503 "), "{reply}");
    drop(metrics);
}

#[test]
fn an_address_that_is_taken_does_not_stop_the_daemon() {
    let taken = listener();
    let listen = taken.local_addr().unwrap();
    let mut metrics = Metrics::start(Some(listen), Clock::start()).unwrap();
    // Once it is free it is listened on.
    drop(taken);
    let reply = thread::spawn(move || scrape(listen));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let ask = runtime.block_on(async { timeout(DEADLINE, metrics.next()).await });
    drop(ask.expect("it is asked").send(fine()));
    assert!(reply.join().unwrap().starts_with("HTTP/1.1 200 OK"));
}

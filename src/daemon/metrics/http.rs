//! As much of HTTP/1.1 (RFC 9112) as a scraper needs: the head of a request read, a reply written. Pure. Whatever is sent
//! besides is not read; every reply ends its connection.

use httparse::{EMPTY_HEADER, Error, Request, Status};

/// Bytes of the longest head of a request. Prometheus sends some 300.
pub(super) const MAX_HEAD: usize = 8 * 1024;
/// Fields of the longest head.
const MAX_FIELDS: usize = 64;

/// The text format, version 0.0.4 (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";
const FRONT: &str = "lubdub: figures for Prometheus are at /metrics\n";

/// What a request asks for; `body`: it is not only about the head (HEAD).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Page { body: bool },
    Front { body: bool },
    Wrong(Reply),
}

/// Replies other than the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    Malformed,
    NotFound,
    Method,
    TooLong,
    Unavailable,
}

/// Reads a request. `None`: its head is not complete yet.
pub(super) fn read(head: &[u8]) -> Option<Asked> {
    let mut fields = [EMPTY_HEADER; MAX_FIELDS];
    let mut request = Request::new(&mut fields);
    match request.parse(head) {
        Ok(Status::Complete(_)) => {}
        Ok(Status::Partial) => return None,
        Err(Error::TooManyHeaders) => return Some(Asked::Wrong(Reply::TooLong)),
        Err(
            Error::HeaderName
            | Error::HeaderValue
            | Error::NewLine
            | Error::Status
            | Error::Token
            | Error::Version,
        ) => return Some(Asked::Wrong(Reply::Malformed)),
    }
    let body = match request.method {
        Some("GET") => true,
        Some("HEAD") => false,
        Some(_) | None => return Some(Asked::Wrong(Reply::Method)),
    };
    let path = request.path.and_then(|path| path.split('?').next());
    Some(match path {
        Some("/metrics") => Asked::Page { body },
        Some("/") => Asked::Front { body },
        Some(_) | None => Asked::Wrong(Reply::NotFound),
    })
}

/// The page itself.
pub(super) fn page(page: &str, body: bool) -> Vec<u8> {
    write("200 OK", METRICS, page, body)
}

/// A word for a person with a browser.
pub(super) fn front(body: bool) -> Vec<u8> {
    write("200 OK", TEXT, FRONT, body)
}

/// Anything else.
pub(super) fn error(reply: Reply) -> Vec<u8> {
    let (status, text) = match reply {
        Reply::Malformed => ("400 Bad Request", "this is no HTTP request\n"),
        Reply::NotFound => ("404 Not Found", "there is only /metrics\n"),
        Reply::Method => ("405 Method Not Allowed\r\nAllow: GET, HEAD", "ask with GET\n"),
        Reply::TooLong => ("431 Request Header Fields Too Large", "the request is too long\n"),
        Reply::Unavailable => ("503 Service Unavailable", "the daemon does not answer\n"),
    };
    write(status, TEXT, text, true)
}

fn write(status: &str, kind: &str, text: &str, body: bool) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        text.len()
    );
    let body = if body { text } else { "" };
    [head.as_bytes(), body.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests() {
        let fields = "a: b\r\n".repeat(MAX_FIELDS + 1);
        let many = format!("GET /metrics HTTP/1.1\r\n{fields}\r\n");
        for (head, asked) in [
            ("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", Some(Asked::Page { body: true })),
            ("GET /metrics?a=b HTTP/1.0\r\n\r\n", Some(Asked::Page { body: true })),
            ("HEAD /metrics HTTP/1.1\n\n", Some(Asked::Page { body: false })),
            ("GET / HTTP/1.1\r\n\r\n", Some(Asked::Front { body: true })),
            ("GET /metrics/ HTTP/1.1\r\n\r\n", Some(Asked::Wrong(Reply::NotFound))),
            ("GET /../etc/lubdub/authkeys HTTP/1.1\r\n\r\n", Some(Asked::Wrong(Reply::NotFound))),
            ("POST /metrics HTTP/1.1\r\n\r\nbody", Some(Asked::Wrong(Reply::Method))),
            ("\u{16}\u{3}\u{1}\u{2}\0", Some(Asked::Wrong(Reply::Malformed))),
            ("GET /metrics\r\n\r\n", Some(Asked::Wrong(Reply::Malformed))),
            ("GET /metrics HTTP/2.0\r\n\r\n", Some(Asked::Wrong(Reply::Malformed))),
            (many.as_str(), Some(Asked::Wrong(Reply::TooLong))),
            ("", None),
            ("GET /metrics HTTP/1.1\r\nHost: a\r\n", None),
        ] {
            assert_eq!(read(head.as_bytes()), asked, "{head:?}");
        }
    }

    #[test]
    fn replies_tell_their_length() {
        let reply = String::from_utf8(page("a 1\n", true)).unwrap();
        assert!(reply.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4"));
        assert!(reply.ends_with("Content-Length: 4\r\nConnection: close\r\n\r\na 1\n"), "{reply}");
        let head = String::from_utf8(page("a 1\n", false)).unwrap();
        assert!(head.ends_with("Content-Length: 4\r\nConnection: close\r\n\r\n"), "{head}");
        let method = String::from_utf8(error(Reply::Method)).unwrap();
        assert!(method.contains("405") && method.contains("\r\nAllow: GET, HEAD\r\n"), "{method}");
    }
}

use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::UnixStream as Blocking;
use std::time::Duration;

use super::*;
use crate::cluster::io::{Command, Response};
use crate::control::{Client, ClientError};

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        timeout(Duration::from_secs(20), test).await.expect("the test takes too long")
    })
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn accepted() -> Answer {
    Answer::Command(Response::Accepted {
        message: "web moves to beta".into(),
        to: Some("beta".into()),
    })
}

fn lines(path: &Path, request: &[u8], answers: usize) -> Vec<String> {
    let mut stream = Blocking::connect(path).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(request).unwrap();
    BufReader::new(stream).lines().take(answers).map(Result::unwrap).collect()
}

#[test]
fn a_command_is_asked_and_answered() {
    let directory = directory();
    let path = directory.path().join("control.sock");
    run(async {
        let mut server = Server::bind(&path).unwrap();
        let asked = path.clone();
        let command = Request::Command(Command::Switchover { group: "web".into(), to: None });
        let wanted = command.clone();
        let client = spawn_blocking(move || {
            let mut client = Client::connect(&asked).unwrap();
            [client.call(&command).unwrap(), client.call(&command).unwrap()]
        });
        for _ in 0..2 {
            let call = server.next().await;
            assert_eq!(call.request, wanted);
            let me = User::from_uid(geteuid()).unwrap().unwrap();
            assert_eq!(call.author, me.name);
            server.answer(call.client, accepted());
            server.answer(call.client, Answer::History(Vec::new())); // A second answer changes nothing.
        }
        assert_eq!(client.await.unwrap(), [accepted(), accepted()]);
    });
    assert!(!path.exists(), "the socket goes with the server");
}

#[test]
fn bad_requests_are_answered_and_do_not_end_the_connection() {
    let directory = directory();
    let path = directory.path().join("control.sock");
    run(async {
        let mut server = Server::bind(&path).unwrap();
        let asked = path.clone();
        let client =
            spawn_blocking(move || lines(&asked, b"{\"dance\":1}\n\xff\n\n\"status\"\n", 4));
        let call = server.next().await;
        assert_eq!(call.request, Request::Status);
        server.answer(call.client, accepted());
        let answers = client.await.unwrap();
        for bad in &answers[..3] {
            assert!(bad.contains("not a request that this daemon knows"), "{bad}");
        }
        assert!(answers[3].contains("accepted"), "{}", answers[3]);
    });
}

#[test]
fn an_endless_line_is_refused_at_its_bound() {
    let directory = directory();
    let path = directory.path().join("control.sock");
    run(async {
        let _server = Server::bind(&path).unwrap();
        let asked = path.clone();
        let answers =
            spawn_blocking(move || lines(&asked, &[b' '; MAX_REQUEST + 1], 2)).await.unwrap();
        assert_eq!(answers.len(), 1, "the connection ends after it");
        assert!(answers[0].contains("longer than 65536 bytes"), "{}", answers[0]);
    });
}

#[test]
fn a_client_that_does_not_read_holds_nobody_up() {
    let directory = directory();
    let path = directory.path().join("control.sock");
    run(async {
        let mut server = Server::bind(&path).unwrap();
        let mut slow = Blocking::connect(&path).unwrap();
        slow.write_all(b"\"status\"\n").unwrap();
        let call = server.next().await;
        let big = "x".repeat(8 << 20);
        server.answer(call.client, Answer::Error { message: big });
        let asked = path.clone();
        let quick = spawn_blocking(move || {
            Client::connect(&asked).unwrap().call(&Request::Status).unwrap()
        });
        let call = server.next().await;
        server.answer(call.client, accepted());
        assert_eq!(quick.await.unwrap(), accepted());
        drop(slow);
    });
}

#[test]
fn too_many_connections_are_turned_away_and_places_come_back() {
    let directory = directory();
    let path = directory.path().join("control.sock");
    run(async {
        let mut server = Server::bind(&path).unwrap();
        let mut held = Vec::new();
        for _ in 0..MAX_CONNECTIONS {
            let mut stream = Blocking::connect(&path).unwrap();
            stream.write_all(b"\"status\"\n").unwrap();
            server.next().await;
            held.push(stream);
        }
        let asked = path.clone();
        let answer = spawn_blocking(move || {
            let mut text = String::new();
            Blocking::connect(&asked).unwrap().read_to_string(&mut text).map(|_| text)
        });
        assert!(answer.await.unwrap().unwrap().contains("too many connections"));

        server.waiting.clear(); // As a daemon that forgot them: the tasks end, the places come back.
        let asked = path.clone();
        let client = spawn_blocking(move || {
            loop {
                match Client::connect(&asked).unwrap().call(&Request::Status) {
                    Ok(answer) if answer == accepted() => return,
                    Ok(_) | Err(_) => {}
                }
            }
        });
        let call = server.next().await;
        server.answer(call.client, accepted());
        client.await.unwrap();
    });
}

#[test]
fn a_stale_socket_is_replaced_a_living_one_is_not() {
    let directory = directory();
    let path = directory.path().join("run").join("control.sock");
    run(async {
        std::fs::create_dir(directory.path().join("run")).unwrap();
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let server = Server::bind(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        assert!(matches!(Server::bind(&path), Err(BindError::Taken { .. })));
        assert!(path.exists());
        drop(server);

        std::fs::write(&path, "notes").unwrap();
        assert!(matches!(Server::bind(&path), Err(BindError::NotASocket { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "notes");
    });
}

#[test]
fn the_directory_is_made() {
    let directory = directory();
    let path = directory.path().join("run/lubdub/control.sock");
    run(async { Server::bind(&path).map(drop) }).unwrap();
    assert!(path.parent().unwrap().is_dir());
}

#[test]
fn strangers_may_look_but_not_command() {
    let caller = Caller { name: "mallory".into(), may_command: false };
    assert_eq!(caller.read(b"\"status\""), Ok(Request::Status));
    for request in [&br#"{"command":{"standby":{"node":null}}}"#[..], b"\"reload\""] {
        let Err(Answer::Error { message }) = caller.read(request) else {
            panic!("a stranger commanded");
        };
        assert_eq!(
            message,
            "mallory may not command the daemon: only root and the members of the group lubdub may"
        );
    }
}

#[test]
fn without_a_daemon_the_client_says_how_to_start_one() {
    let directory = directory();
    let error = Client::connect(&directory.path().join("nobody.sock")).unwrap_err();
    assert!(matches!(error, ClientError::NoDaemon { .. }));
    assert!(error.to_string().contains("systemctl start lubdub"), "{error}");
}

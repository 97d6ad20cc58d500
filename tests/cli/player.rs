//! A daemon that a test plays, and the program that talks to it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::JoinHandle;

use lubdub::control::{Answer, Request, Server, Status};
use tokio::sync::oneshot;

/// alpha and beta up, group web started on alpha, seen from alpha.
pub(crate) fn fine() -> Status {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/status/fine.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Answers requests on a socket of its own until it is dropped.
pub(crate) struct Player {
    directory: tempfile::TempDir,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Vec<Request>>>,
}

impl Player {
    /// Answer each request so.
    pub(crate) fn new(mut answer: impl FnMut(&Request) -> Answer + Send + 'static) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        let (ready, is_ready) = std::sync::mpsc::channel();
        let (end, mut ended) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let mut server = Server::bind(&path).unwrap();
                ready.send(()).unwrap();
                let mut asked = Vec::new();
                loop {
                    tokio::select! {
                        call = server.next() => {
                            server.answer(call.client, answer(&call.request));
                            asked.push(call.request);
                        }
                        _ = &mut ended => return asked,
                    }
                }
            })
        });
        is_ready.recv().unwrap();
        Self { directory, end: Some(end), thread: Some(thread) }
    }

    /// A daemon whose status stays as it is, and which refuses everything else.
    pub(crate) fn showing(status: Status) -> Self {
        Self::new(move |request| match request {
            Request::Status => Answer::Status(Box::new(status.clone())),
            Request::History { .. } | Request::Reload | Request::Command(_) => {
                Answer::Error { message: "not in this test".into() }
            }
        })
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("control.sock")
    }

    /// Run the program against it.
    pub(crate) fn lubdub(&self, arguments: &[&str]) -> Ran {
        let mut command = program(arguments);
        command.arg("--socket").arg(self.socket());
        Ran::of(command)
    }

    /// Everything that was asked.
    pub(crate) fn asked(mut self) -> Vec<Request> {
        self.finish().unwrap()
    }

    fn finish(&mut self) -> Option<Vec<Request>> {
        let sent = self.end.take()?.send(());
        let asked =
            self.thread.take().map(|thread| thread.join().expect("the played daemon panicked"));
        sent.expect("the played daemon ended early");
        asked
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.finish();
        }
    }
}

pub(crate) fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lubdub"));
    command.args(arguments).stdin(Stdio::null()).env_remove("NO_COLOR");
    command
}

/// How the program ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn of(mut command: Command) -> Self {
        let Output { status, stdout, stderr } = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }
}

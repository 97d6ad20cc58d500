//! The Debian package on a real systemd: installed, enabled, crashed, stopped, upgraded, removed and purged. Judged from
//! outside: by what a client gets from nginx, by each kernel's view, and by what dpkg and systemd say.
//!
//! A machine is systemd as PID 1 in namespaces, on top of this machine's /usr (`machine.sh`). Root's own rights are
//! needed for that, and the package, which `tests/run.sh systemd` builds.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that cannot go on fails, and shows why"
)]

mod alone;
mod client;
mod machine;
mod pair;
mod together;

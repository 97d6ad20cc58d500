//! Readiness of descriptors that tokio has no type for: netlink, packet and raw sockets.

use std::io;
use std::os::fd::AsRawFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Lets the event loop wait until a non-blocking descriptor can be read. Inside a tokio runtime only. The descriptor that
/// `inner` names must stay the same and open for as long as `inner` lives, which every socket type that owns its
/// descriptor keeps to.
#[expect(
    deprecated,
    reason = "its successor asks for the same promise as the comment above, but as unsafe code"
)]
pub(super) fn readable<T: AsRawFd>(inner: T) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(inner, Interest::READABLE)
}

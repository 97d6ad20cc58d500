//! **The core**: liveness, guard, placement, groups, hand-over, as pure state machines.
//!
//! It owns every decision. It must not read a clock, open a socket or a file, start a process, use randomness of its
//! own, hash maps or async: what it knows comes in as an [`Input`](io::Input), what it wants goes out as an
//! [`Output`](io::Output). The daemon drives it, and so does the simulation.

mod clock;
pub mod counts;
pub mod event;
mod group;
pub mod guard;
pub mod io;
mod keys;
mod loss;
mod node;
mod outbox;
mod peer;
pub mod placement;
mod resource;
mod sent;
pub mod snapshot;
mod text;
pub mod time;
mod wishes;

pub use keys::KeyConflict;
pub use node::{Node, Timer};
pub use text::{Age, ClockOffset, DoubtAbout, Span};

//! The live screen: nodes as boxes, heartbeats as pulses between them, what a client saw, what happened and why. `lubdub
//! demo` and `lubdub status --watch` both draw with it.
//!
//! It owns what is seen: [`Model`] takes in snapshots, events and a client's answers, [`draw()`] makes a frame of it, and
//! both are pure. [`Screen`] owns the terminal's modes, [`Poller`] asks one daemon at an interval. It must not change
//! anything on a node, and makes up nothing: whoever drives it (`lab::demo`, `cli::status`) says what a key does.
//!
//! **What a pulse shows.** A heartbeat that its receiver's daemon took as genuine, new, and of the peer's present life,
//! on this link and in this direction. Daemons count these (`heartbeats` in the snapshot), the poller reads the counters,
//! and each one that was added sets out one pulse. So a pulse travels *after* its heartbeat arrived, since half a
//! millisecond is too short to be seen; its speed means nothing, its being there does. Where the receiver cannot be asked,
//! as on the other machines of a real cluster, no pulse is drawn towards it, only whether it says that it hears.

mod boxes;
mod caption;
mod clock;
mod colour;
mod draw;
mod lane;
mod lines;
mod model;
mod poll;
mod strip;
mod terminal;
#[cfg(test)]
mod tests;

pub use boxes::Body;
pub use caption::{Caption, ClientSaw, Told, Verdict, caption};
pub use clock::now;
pub use colour::Palette;
pub use draw::{SMALLEST, draw};
pub use lines::{Tone, Words};
pub use model::{Incident, Key, Model, ServiceNetwork};
pub use poll::{Poller, Sighting, Target};
pub use terminal::{Guard, Pressed, Screen, is_usable};

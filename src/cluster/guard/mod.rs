//! What stands between a silent peer and split brain: `ping` and `arp`, and the operator's word.
//!
//! It owns the only way to a `Proof`. It starts nothing and sends nothing itself.

mod evidence;

pub use evidence::{Doubt, Evidence, GuardLevel};

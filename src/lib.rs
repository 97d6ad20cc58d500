//! lubdub keeps a service running on exactly one of a few Linux nodes.
//!
//! `ARCHITECTURE.md` at the top of the repository is the way in: what each module owns, and what it must not do.

pub mod agent;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod control;
pub mod daemon;
pub mod import;
pub mod lab;
pub mod screen;
pub mod wire;

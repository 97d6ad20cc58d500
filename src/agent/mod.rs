//! The contract with agents: actions, exit codes, environment, meta-data (OCF resource agent API 1.1). Starts no
//! process: the daemon and `lubdub agent run` do.

mod contract;

pub use contract::{Action, ExitCode, Outcome};

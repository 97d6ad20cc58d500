//! The contract with agents: actions, exit codes, environment, meta-data (OCF resource agent API 1.1). Starts no
//! process: the daemon and `lubdub agent run` do.

mod contract;
mod env;
mod find;
mod metadata;
mod params;
mod reason;

pub use contract::{Action, ExitCode, Outcome};
pub use env::{Call, Environment, STATE_DIR};
pub use find::{Agents, FindError, VARIABLE as AGENTS_VARIABLE, why_not_run};
pub use metadata::{ActionAdvice, Kind, MetaData, MetaDataError, Parameter};
pub use params::ParamProblem;
pub use reason::{reason, remark};

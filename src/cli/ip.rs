//! `lubdub ip`: one address of this machine, for the agent IPaddr and for people. Ends with the codes of the OCF agent
//! API, so that the agent can pass them on.

use std::time::Duration;

use super::args::{IpArgs, IpVerb};
use super::exit::{Exit, Failure};
use super::output;
use crate::config::Address;
use crate::daemon::address::IpError;
use crate::daemon::address::command::{
    IpErrorClass, NotAfter, ip_add, ip_announce, ip_del, ip_show,
};
use crate::daemon::clock::boottime_us;

/// Codes 1, 5 and 7 of the OCF agent API.
const GENERIC: Exit = Exit::Agent(1);
const NOT_INSTALLED: Exit = Exit::Agent(5);
const NOT_RUNNING: Exit = Exit::Agent(7);

/// Do what is asked with an address.
pub(super) fn ip(verb: IpVerb) -> Result<Exit, Failure> {
    let done = match verb {
        IpVerb::Add { at, lease, not_after } => {
            let lease = lease.map(|seconds| Duration::from_secs(seconds.into()));
            let not_after = not_after.map_or(NotAfter::Never, NotAfter::Boottime);
            ip_add(&address(at), lease, not_after, boottime_us).map(|_| Exit::Fine)
        }
        IpVerb::Del(at) => ip_del(&address(at)).map(|_| Exit::Fine),
        IpVerb::Announce(at) => ip_announce(&address(at)).map(|()| Exit::Fine),
        IpVerb::Show(at) => match ip_show(&address(at)) {
            Ok(Some(shown)) => {
                let there = shown.address;
                output::result(&format!("{}/{} on {}", there.ip, there.prefix, shown.interface))?;
                Ok(Exit::Fine)
            }
            Ok(None) => Ok(NOT_RUNNING),
            Err(error) => Err(error),
        },
    };
    Ok(done.unwrap_or_else(|error| tell(&error)))
}

fn address(at: IpArgs) -> Address {
    let (ip, prefix) = at.address;
    Address { ip, prefix, interface: at.interface }
}

fn tell(error: &IpError) -> Exit {
    output::say(&format!("lubdub: {error}"));
    match error.class() {
        IpErrorClass::Failed => GENERIC,
        IpErrorClass::UnknownInterface => NOT_INSTALLED,
    }
}

//! `lubdub ip`: what the agent IPaddr calls, and people by hand. Ends with the codes of the OCF agent API.

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

/// The agent API's code for what is not there.
const NOT_RUNNING: u8 = 7;
/// The agent API's code for what this machine does not have.
const NOT_INSTALLED: u8 = 5;

pub(super) fn ip(verb: IpVerb) -> Result<Exit, Failure> {
    let done = match verb {
        IpVerb::Add { at, lease, not_after } => {
            let address = address(&at)?;
            let lease = lease.map(|seconds| Duration::from_secs(seconds.into()));
            let not_after = not_after.map_or(NotAfter::Never, NotAfter::Boottime);
            ip_add(&address, lease, not_after, boottime_us).and_then(|_| ip_announce(&address))
        }
        IpVerb::Del(at) => ip_del(&address(&at)?).map(|_| ()),
        IpVerb::Announce(at) => ip_announce(&address(&at)?),
        IpVerb::Show(at) => return show(&address(&at)?),
    };
    match done {
        Ok(()) => Ok(Exit::Fine),
        Err(error) => Ok(failed(&error)),
    }
}

fn show(address: &Address) -> Result<Exit, Failure> {
    match ip_show(address) {
        Ok(Some(shown)) => {
            output::result(&format!("{address} is on {}\n", shown.interface))?;
            Ok(Exit::Fine)
        }
        Ok(None) => Ok(Exit::Agent(NOT_RUNNING)),
        Err(error) => Ok(failed(&error)),
    }
}

fn failed(error: &IpError) -> Exit {
    output::say(&format!("lubdub: {error}"));
    match error.class() {
        IpErrorClass::UnknownInterface => Exit::Agent(NOT_INSTALLED),
        IpErrorClass::Failed => Exit::Failed,
    }
}

fn address(at: &IpArgs) -> Result<Address, Failure> {
    let wrong =
        |why: &str| Failure::Usage(format!("{}: {why}; write it as 10.0.0.100/24", at.address));
    let (ip, prefix) =
        at.address.split_once('/').ok_or_else(|| wrong("the length of the prefix is missing"))?;
    let ip: std::net::IpAddr = ip.parse().map_err(|_ignored| wrong("this is no IP address"))?;
    let longest = if ip.is_ipv4() { 32 } else { 128 };
    let prefix = prefix
        .parse()
        .ok()
        .filter(|prefix| *prefix <= longest)
        .ok_or_else(|| wrong("this is no prefix length"))?;
    Ok(Address { ip, prefix, interface: at.interface.clone() })
}

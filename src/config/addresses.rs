//! Every address has one job: that of a node on a link, of a ping node, or one that moves with a group.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::read::Item;

/// The addresses named so far, each with its job and its line.
#[derive(Default)]
pub(super) struct Addresses(BTreeMap<IpAddr, (String, usize)>);

impl Addresses {
    /// Gives an address its job. False: it has one already, and that was noted.
    pub(super) fn claim(&mut self, item: &Item<'_>, ip: IpAddr, job: &str) -> bool {
        if let Some((other, line)) = self.0.get(&ip) {
            item.error(format!("{ip} is {other} already (line {line}); each address has one job"));
            return false;
        }
        self.0.insert(ip, (job.to_owned(), item.line()));
        true
    }
}

//! `[metrics]`: where a node serves its figures to Prometheus. Off where the section is left out.

use std::net::{Ipv4Addr, SocketAddr};

use super::group::View;
use super::read::{Item, Table};

pub(super) const KEYS: &[&str] = &["listen"];

/// Where none is given: for this machine alone. The port is free in the list that the exporters of Prometheus keep.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9694);

/// Where the node of this view serves. `None`: something is wrong, and that was noted.
pub(super) fn metrics(top: &Table<'_>, view: View<'_>) -> Option<Option<SocketAddr>> {
    let Some(item) = top.get("metrics") else { return Some(None) };
    let table = item.table(KEYS)?;
    match table.get("listen") {
        Some(item) => item.for_node(view.nodes, view.me).and_then(|item| listen(&item)).map(Some),
        None => Some(Some(LISTEN)),
    }
}

/// An address with a port. A port alone means everybody to some programs and nobody else to others: it is refused.
fn listen(item: &Item<'_>) -> Option<SocketAddr> {
    let text = item.text("\"127.0.0.1:9694\"")?;
    let address = text.parse::<SocketAddr>().ok().filter(|address| address.port() > 0);
    if address.is_none() {
        item.error(format!(
            "{text:?} is no address with a port; write \"127.0.0.1:9694\" for this machine alone, \"0.0.0.0:9694\" or \
             \"[::]:9694\" for everybody who reaches it"
        ));
    }
    address
}

//! The disk is no condition of anything.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::Path;

use crate::support::{SLACK, assert_never_two, assert_outage, in_lab, pair, sight};

#[test]
fn a_full_disk_stops_neither_heartbeats_nor_takeover() {
    in_lab("disk::a_full_disk_stops_neither_heartbeats_nor_takeover", pair(), |lab| {
        let client = lab.begin()?;
        for node in lab.nodes() {
            fill(&node.state());
        }
        let fault = lab.power_off("alpha")?;
        lab.wait_served(&client, "beta")?;
        assert_outage(&sight(client, fault)?, fault, lab.plan().deadtime + SLACK);
        assert_never_two(lab)
    });
}

/// Writes until nothing more fits.
#[expect(clippy::unwrap_used, reason = "test code: it panics where a test has to fail")]
fn fill(directory: &Path) {
    let mut file = File::create(directory.join("filler")).unwrap();
    let error = loop {
        if let Err(error) = file.write_all(&[0; 4096]) {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
}

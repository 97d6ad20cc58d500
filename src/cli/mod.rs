//! Arguments, and rendering of what the daemon answers: text and `--json` from the same snapshot.

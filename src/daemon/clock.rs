//! The only reader of clocks: `CLOCK_BOOTTIME` for the core, the wall clock for logs.

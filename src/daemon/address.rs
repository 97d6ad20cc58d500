//! Addresses of groups on this machine: add, renew, drop, announce, probe. `lubdub ip` is the same code.

//! UDP sockets of the links.

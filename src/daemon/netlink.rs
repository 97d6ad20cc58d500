//! rtnetlink: interfaces, addresses, routes, and news about them.

//! Several nodes on one machine in network namespaces: `lubdub demo` and the tests stand on it. The daemon never needs it.

//! The only starter of processes: agents, each in its own process group, with a deadline and a clean environment.

//! Memory locking and real-time scheduling, where the machine allows them.

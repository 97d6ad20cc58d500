//! Ping nodes: ICMP echo.

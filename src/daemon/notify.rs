//! The service manager: readiness and status (sd_notify).

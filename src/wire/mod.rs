//! Bytes and messages: layout, codec, authentication, replay window. Knows no policy; driven by the daemon, spoken by
//! the core.

mod body;
mod codec;
mod header;
mod keys;
mod message;
mod survey;
mod window;

pub use codec::{MAX_DATAGRAM, MIN_DATAGRAM, OpenError, Opened, SealError, cluster_of, open, seal};
pub use header::MAGIC;
pub use keys::{EditError, KeyId, Keys, KeysChange, KeysError, LoadError, NoKeyId};
pub use message::*;
pub use survey::{
    OwnCheck, SURVEY_MAGIC, Survey, SurveyHeard, SurveyRole, is_survey, open_survey, seal_survey,
};
pub use window::Window;

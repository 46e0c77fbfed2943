//! SEND's JSON: what is written ([`request`]) and what is read ([`answer`]). Pure: bytes and values, no call.

pub mod answer;
pub mod request;

pub use answer::{ReadError, duplicate_is_ours, duplicate_notice};
pub use request::{Incomplete, NewNotification, SendParts, new_notification};

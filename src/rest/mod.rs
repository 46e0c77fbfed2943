//! HTTP that others call: each caller has its own paths and credentials. Reads and acts through `service`.
//!
//! One listener ([`door`]), its TLS ([`tls`]), and what partner tecnologici ask and tell ([`pt`]).

mod door;
pub mod pt;
mod tls;

pub use door::{Calls, open};

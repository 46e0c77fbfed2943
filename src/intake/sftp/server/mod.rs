//! x
pub mod algorithms;
pub mod defender;
pub mod host_keys;
pub mod password;

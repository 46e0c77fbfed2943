//! Italian.

pub mod config;
pub mod outcomes;
pub mod problems;

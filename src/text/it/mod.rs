//! Italian.

pub mod outcomes;
pub mod problems;

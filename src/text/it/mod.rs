//! Italian.

pub mod operate;
pub mod outcomes;
pub mod problems;

//! Italian.

pub mod outcomes;
pub mod problems;
pub mod receipts;

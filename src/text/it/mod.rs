//! Italian.

pub mod config;
pub mod outcomes;
pub mod parking;
pub mod problems;
pub mod receipts;

//! Italian.

pub mod config;
pub mod operate;
pub mod outcomes;
pub mod parking;
pub mod privacy;
pub mod problems;
pub mod receipts;
pub mod sftp;
pub mod sftp_refusals;

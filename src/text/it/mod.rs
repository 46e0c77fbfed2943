//! Italian.

pub mod amounts;
pub mod backup;
pub mod config;
pub mod exports;
pub mod mail;
pub mod operate;
pub mod outcomes;
pub mod parking;
pub mod privacy;
pub mod problems;
pub mod pt;
pub mod receipts;
pub mod service;
pub mod sftp;
pub mod sftp_refusals;

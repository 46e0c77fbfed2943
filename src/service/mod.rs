//! service

pub mod control;
pub mod operate;
pub mod report;
pub mod who;

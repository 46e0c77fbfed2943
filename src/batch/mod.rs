//! Bytes of a drop -> acts, or problems with file, row, column and code. Takes what can be read and sought, never a path;
//! knows no store, no clock and no network.

pub mod archive;
pub mod csv;
pub mod fields;
pub mod files;
pub mod layouts;
pub mod pdf;
pub mod pipeline;
pub mod problem;
pub mod row;
pub mod validate;
pub mod xml;

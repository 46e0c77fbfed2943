//! The only SQL, and the archives of what was dropped.

pub mod archives;

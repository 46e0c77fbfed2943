//! The SFTP door: an SFTPv3 engine of our own behind SSH, so that no client hangs it and nothing half is ever taken.
//!
//! `protocol` bytes to requests and answers to bytes, `engine` the session without any input or output, `executor` runs its
//! requests against a [`home::Home`], `folder` the home on disk, `sheets` buffers that are used again, `server` SSH, accounts and whoever guards the door.

pub mod engine;
pub mod executor;
pub mod folder;
pub mod home;
pub mod protocol;
pub mod server;
pub mod sheets;
pub mod witness;

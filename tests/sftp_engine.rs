//! The SFTP engine and its executor on a home in memory, driven as clients drive them: without a socket, without a disk.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a failed step ends the test")]

#[path = "sftp_engine/attacks.rs"]
mod attacks;
#[path = "sftp_engine/bounds.rs"]
mod bounds;
#[path = "sftp_engine/cuts.rs"]
mod cuts;
#[path = "sftp_engine/extensions.rs"]
mod extensions;
#[path = "sftp_engine/folders.rs"]
mod folders;
#[path = "sftp_engine/recordings.rs"]
mod recordings;
#[path = "sftp_engine/sequences.rs"]
mod sequences;
#[path = "common/sftp_check.rs"]
mod sftp_check;
#[path = "common/sftp_client.rs"]
mod sftp_client;
#[path = "common/sftp_home.rs"]
mod sftp_home;

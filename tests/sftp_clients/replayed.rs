//! Recordings of `tests/sftp_engine` over SSH.

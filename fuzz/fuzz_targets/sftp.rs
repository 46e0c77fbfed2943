//! Any bytes as an SFTP session, on a home in memory: never a panic, every request one answer in order, memory within its bounds,
//! every opened file finished. Seeds: `tests/corpus/sftp`.
#![no_main]

#[path = "../../tests/common/sftp_check.rs"]
mod sftp_check;
#[path = "../../tests/common/sftp_client.rs"]
mod sftp_client;
#[path = "../../tests/common/sftp_home.rs"]
mod sftp_home;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| sftp_check::check(data));

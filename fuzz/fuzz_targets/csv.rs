//! Any bytes as a CSV batch, messo's and PU's: never a panic, places in order, and rejects that read as the same acts.
#![no_main]

#[path = "../../tests/common/reread.rs"]
mod reread;

use libfuzzer_sys::fuzz_target;
use messo::batch::layouts::messo_csv::MessoCsv;
use messo::batch::layouts::pu_send::PuSend;

fuzz_target!(|data: &[u8]| {
    reread::check(&MessoCsv, data);
    reread::read(&PuSend, data, &[]);
});

//! Any bytes as a messo XML batch: never a panic, places in order, and rejects that read as the same acts.
#![no_main]

#[path = "../../tests/common/reread.rs"]
mod reread;

use libfuzzer_sys::fuzz_target;
use messo::batch::layouts::messo_xml::MessoXml;

fuzz_target!(|data: &[u8]| {
    reread::check(&MessoXml, data);
});

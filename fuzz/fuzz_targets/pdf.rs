//! Any bytes as a PDF, in pieces of any size: never a panic, and the pieces do not matter.
#![no_main]

use libfuzzer_sys::fuzz_target;
use messo::batch::pdf::{Sniffer, inspect};

fuzz_target!(|data: &[u8]| {
    let Some((piece, data)) = data.split_first() else { return };
    let mut sniffer = Sniffer::new();
    data.chunks(usize::from(*piece).max(1)).for_each(|piece| sniffer.update(piece));
    let mut whole = Sniffer::new();
    whole.update(data);
    assert_eq!((sniffer.is_pdf(), sniffer.mentions_encryption()), (whole.is_pdf(), whole.mentions_encryption()));
    let facts = inspect(data, sniffer.mentions_encryption(), true);
    assert!(!facts.encrypted || sniffer.mentions_encryption());
    assert!(facts.pages.is_none() || !facts.encrypted);
});

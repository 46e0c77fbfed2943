//! What a PDF says of itself: that it is one, whether it is encrypted, how many pages.
//!
//! SEND takes an encrypted PDF and fails at print, when the euro is spent: so it is found here. The [`Sniffer`] looks at
//! bytes as they pass; only a file that mentions `/Encrypt` (or whose pages are wanted) has its structure read, by
//! [`inspect`]. That mention is always in clear, in a trailer or in the dictionary of a cross-reference stream, so a file
//! without it is not encrypted; a signed one (PAdES) has none. The exotic spelling `/#45ncrypt` is not looked for.
//!
//! The structure is read by hand and not with `lopdf`, which parses whole object streams eagerly: one crafted file could
//! take gigabytes. `lopdf` is the oracle of the tests.

pub mod codes;
mod structure;
mod tokens;

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::files::PdfFacts;

const MAGIC: &[u8] = b"%PDF-";
const MENTION: &[u8] = b"/Encrypt";
static MENTIONS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(MENTION));

/// Looks at the bytes of one file as they pass, in pieces of any size.
#[derive(Debug, Clone, Default)]
pub struct Sniffer {
    /// How many bytes of [`MAGIC`] were seen.
    magic: usize,
    /// The first bytes are others: nothing more to look for.
    other: bool,
    /// The last bytes seen, as many as a mention can reach back.
    tail: Vec<u8>,
    mention: bool,
}

impl Sniffer {
    /// Nothing seen yet.
    pub fn new() -> Sniffer {
        Sniffer::default()
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        let rest = MAGIC.get(self.magic..).unwrap_or_default();
        let take = rest.len().min(bytes.len());
        self.other |= bytes.get(..take) != rest.get(..take);
        if self.other {
            return;
        }
        self.magic += take;
        if self.mention {
            return;
        }
        if !self.tail.is_empty() {
            let ahead = bytes.get(..bytes.len().min(MENTION.len())).unwrap_or_default();
            self.tail.extend_from_slice(ahead);
            self.mention = mentions(&self.tail);
        }
        self.mention |= mentions(bytes);
        if bytes.len() >= MENTION.len() {
            self.tail.clear();
            self.tail.extend_from_slice(bytes.get(bytes.len() - MENTION.len()..).unwrap_or_default());
        } else if self.tail.is_empty() {
            self.tail.extend_from_slice(bytes);
        } else {
            self.tail.drain(..self.tail.len().saturating_sub(MENTION.len()));
        }
    }

    /// Whether the first bytes are `%PDF-`.
    pub fn is_pdf(&self) -> bool {
        !self.other && self.magic == MAGIC.len()
    }

    /// Whether the name `/Encrypt` was seen anywhere: in a trailer it means encryption, in a text nothing.
    pub fn mentions_encryption(&self) -> bool {
        self.mention
    }
}

/// The name `/Encrypt`, whole: `/EncryptMetadata` is another.
fn mentions(bytes: &[u8]) -> bool {
    MENTIONS.find_iter(bytes).any(|at| bytes.get(at + MENTION.len()).is_some_and(|next| !tokens::is_regular(*next)))
}

/// What is known of a PDF that was only sniffed.
pub fn unread(mentions_encryption: bool) -> PdfFacts {
    PdfFacts { encrypted: mentions_encryption, pages: None }
}

/// Reads the structure of a whole PDF, in time and memory bounded whatever it holds (32 MiB inflated at most).
///
/// When it cannot be read: pages unknown, and encrypted if encryption was mentioned. Better that an office saves a PDF again than
/// that SEND fails to print it.
pub fn inspect(bytes: &[u8], mentions_encryption: bool, want_pages: bool) -> PdfFacts {
    let Some(document) = structure::Document::read(bytes) else { return unread(mentions_encryption) };
    let encrypted = mentions_encryption && document.encrypted();
    PdfFacts { encrypted, pages: if want_pages && !encrypted { document.pages() } else { None } }
}

#[cfg(test)]
mod tests;

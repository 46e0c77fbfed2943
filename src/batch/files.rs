//! The files of a drop as the rules see them: name, digest and what the bytes looked like, one entry each.

use crate::domain::digest::Sha256;

/// One file of the archive, after its bytes were streamed once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFacts {
    /// Index in the archive's central directory.
    pub entry: u32,
    /// Name with `/`, as decoded.
    pub name: String,
    /// Bytes, uncompressed.
    pub size: u64,
    pub sha256: Sha256,
    /// What the bytes say, for files whose first bytes are `%PDF-`.
    pub pdf: Option<PdfFacts>,
}

/// What a PDF says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PdfFacts {
    pub encrypted: bool,
    /// Counted only when a page rule asks for it; `None` also when the structure cannot be read.
    pub pages: Option<u32>,
}

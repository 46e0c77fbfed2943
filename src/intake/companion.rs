//! What is written in a companion file: nothing that matters (`.ok`), or a digest as `md5sum` and `sha256sum` print it.

use super::Companion;
use super::names::CompanionKind;
use crate::domain::digest::Sha256;

/// Biggest companion that is read, in bytes: a digest and a name.
pub const MAX_BYTES: u64 = 4096;

/// Reads a companion; `None` when it holds no digest (not yet written, or not a companion at all).
pub fn read(kind: CompanionKind, bytes: &[u8]) -> Option<Companion> {
    if kind == CompanionKind::Ok {
        return Some(Companion::Ok);
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    // `hex`, `hex  name`, `hex *name`; a leading backslash is how the tools mark an escaped name.
    let line = bytes.split(|byte| *byte == b'\n' || *byte == b'\r').find(|line| !line.trim_ascii().is_empty())?;
    let word = line.trim_ascii().split(u8::is_ascii_whitespace).next()?;
    let hex = std::str::from_utf8(word.strip_prefix(b"\\").unwrap_or(word)).ok()?;
    match kind {
        CompanionKind::Sha256 if hex.len() == 64 => Sha256::parse(hex).map(Companion::Sha256),
        CompanionKind::Md5 if hex.len() == 32 => md5(hex).map(Companion::Md5),
        _ => None,
    }
}

fn md5(hex: &str) -> Option<[u8; 16]> {
    if !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(hex, 16).ok().map(u128::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_tools_write() {
        let sha = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let want = Some(Companion::Sha256(Sha256::of(b"")));
        let md = Some(Companion::Md5([0xd4, 0x1d, 0x8c, 0xd9, 0x8f, 0x00, 0xb2, 0x04, 0xe9, 0x80, 0x09, 0x98, 0xec, 0xf8, 0x42, 0x7e]));
        let table = [
            (CompanionKind::Sha256, sha.to_string(), want.clone()),
            (CompanionKind::Sha256, format!("{sha}  lotto.zip\n"), want.clone()),
            (CompanionKind::Sha256, format!("\u{feff}\r\n{} *lotto.zip\r\n", sha.to_uppercase()), want.clone()),
            (CompanionKind::Sha256, format!("\\{sha}  a\\nb.zip\n"), want),
            (CompanionKind::Sha256, sha[..63].to_string(), None),
            (CompanionKind::Sha256, String::new(), None),
            (CompanionKind::Sha256, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".into(), None),
            (CompanionKind::Md5, "d41d8cd98f00b204e9800998ecf8427e  lotto.zip\n".into(), md),
            (CompanionKind::Md5, "+41d8cd98f00b204e9800998ecf8427e".into(), None),
            (CompanionKind::Md5, sha.to_string(), None),
            (CompanionKind::Ok, String::new(), Some(Companion::Ok)),
            (CompanionKind::Ok, "fatto".into(), Some(Companion::Ok)),
        ];
        for (kind, text, want) in table {
            assert_eq!(read(kind, text.as_bytes()), want, "{kind:?} {text:?}");
        }
    }
}

//! Names in a watched folder: which are drops, which are still being sent, which say that another file is whole; and the
//! names of ours under which a claimed file waits. Pure.

use std::borrow::Cow;

use uuid::Uuid;

use crate::domain::ids::BatchId;

/// What a name says of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameKind {
    /// A drop, once it is whole.
    Drop,
    /// A client will rename it when it has sent all of it.
    Temporary,
    Companion(CompanionKind),
    /// Left by desktops and editors: never looked at, never reported.
    Junk,
}

/// `.ok`, `.md5`, `.sha256`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CompanionKind {
    Ok,
    Md5,
    Sha256,
}

impl CompanionKind {
    /// The suffix, without the point.
    pub fn as_str(self) -> &'static str {
        match self {
            CompanionKind::Ok => "ok",
            CompanionKind::Md5 => "md5",
            CompanionKind::Sha256 => "sha256",
        }
    }
}

/// Suffixes of WinSCP, FileZilla, rclone, browsers, copy tools and frameworks (`.writing` is Spring's).
const TEMPORARY: [&str; 9] = [".part", ".filepart", ".partial", ".tmp", ".temp", ".crdownload", ".writing", ".inprogress", ".uploading"];

/// What the name says. Letter case is ignored: senders on Windows do.
pub fn kind(name: &str) -> NameKind {
    let name = name.to_ascii_lowercase();
    // lftp sends `.in.NAME.` and renames.
    if name.starts_with(".in.") || name.contains(".octransferid") {
        return NameKind::Temporary;
    }
    if name.starts_with('.') || name.starts_with("~$") || matches!(name.as_str(), "thumbs.db" | "desktop.ini") {
        return NameKind::Junk;
    }
    if TEMPORARY.iter().any(|suffix| name.ends_with(suffix)) {
        return NameKind::Temporary;
    }
    match companion_of(&name) {
        Some((_, kind)) => NameKind::Companion(kind),
        None => NameKind::Drop,
    }
}

/// The name that a companion speaks of (`lotto.zip` or `lotto`), and how.
pub fn companion_of(name: &str) -> Option<(&str, CompanionKind)> {
    let (base, suffix) = name.rsplit_once('.')?;
    let kind = [CompanionKind::Ok, CompanionKind::Md5, CompanionKind::Sha256]
        .into_iter()
        .find(|kind| suffix.eq_ignore_ascii_case(kind.as_str()))?;
    (!base.is_empty()).then_some((base, kind))
}

/// Whether a file of that name is whole as soon as it stops changing: nothing in it tells where it ends.
pub fn is_bare(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.ends_with(".xml") || name.ends_with(".csv")
}

/// A name as people read it. Shares with another character set give bytes that are no UTF-8: read as Windows-1252. Control
/// characters never get further than here.
pub fn decode(name: &[u8]) -> String {
    let text: Cow<'_, str> = match std::str::from_utf8(name) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => encoding_rs::WINDOWS_1252.decode_without_bom_handling(name).0,
    };
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// A folder name as flow: lower case, without our separator, at most 64 bytes. Whether the flow exists is not known here.
pub fn flow_hint(folder: &str) -> String {
    let clean: String = folder.to_lowercase().chars().map(|c| if c == '~' { '_' } else { c }).collect();
    let clean = match head(&clean, 64) {
        "-" => "_",
        clean => clean,
    };
    clean.to_string()
}

/// `<id>~<flow or ->~<P or ->~<name>`, at most 255 bytes: a long name loses its middle, never its suffix.
pub fn work_name(id: BatchId, flow: Option<&str>, dry_run: bool, name: &str) -> String {
    work_name_within(255, id, flow, dry_run, name)
}

/// The same, at most `max` bytes.
pub fn work_name_within(max: usize, id: BatchId, flow: Option<&str>, dry_run: bool, name: &str) -> String {
    let prefix = format!("{id}~{}~{}~", flow.unwrap_or("-"), if dry_run { "P" } else { "-" });
    format!("{prefix}{}", shorten(name, max.saturating_sub(prefix.len())))
}

/// What a work name says: (id, flow, dry run, name).
pub fn parse_work_name(text: &str) -> Option<(BatchId, Option<String>, bool, String)> {
    let mut parts = text.splitn(4, '~');
    let (id, flow, dry_run, name) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let id = parse_id(id)?;
    let dry_run = match dry_run {
        "P" => true,
        "-" => false,
        _ => return None,
    };
    let flow = (flow != "-").then(|| flow.to_string());
    (!name.is_empty()).then(|| (id, flow, dry_run, name.to_string()))
}

/// The name under which a claimed file's companion waits: `<id>~compagno.<kind>`.
pub fn work_companion_name(id: BatchId, kind: CompanionKind) -> String {
    format!("{id}~compagno.{}", kind.as_str())
}

/// The id and kind of a waiting companion.
pub fn parse_work_companion(text: &str) -> Option<(BatchId, CompanionKind)> {
    let (id, rest) = text.split_once('~')?;
    let (base, kind) = companion_of(rest)?;
    Some((parse_id(id).filter(|_| base == "compagno")?, kind))
}

fn parse_id(text: &str) -> Option<BatchId> {
    // Only the usual 36 characters: other spellings of one id would be two names.
    (text.len() == 36).then(|| Uuid::try_parse(text).ok()).flatten().map(BatchId)
}

/// At most `max` bytes: the beginning, `…`, and the suffix if it is a short one.
fn shorten(name: &str, max: usize) -> String {
    if name.len() <= max {
        return name.to_string();
    }
    let suffix = name.rfind('.').and_then(|dot| name.get(dot..)).filter(|suffix| suffix.len() <= 16).unwrap_or_default();
    let room = max.saturating_sub(suffix.len() + '…'.len_utf8());
    format!("{}…{suffix}", head(name, room))
}

/// The longest beginning of at most `max` bytes.
fn head(text: &str, max: usize) -> &str {
    let mut end = max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_they_are() {
        use NameKind::{Companion, Drop, Junk, Temporary};
        let table = [
            ("lotto.zip", Drop),
            ("LOTTO.ZIP", Drop),
            ("lotto", Drop),
            ("lotto.csv", Drop),
            ("part.zip", Drop),
            ("lotto.zip.part", Temporary),
            ("lotto.zip.filepart", Temporary),
            ("lotto.zip.a1b2c3d4.partial", Temporary),
            ("lotto.TMP", Temporary),
            ("lotto.zip.crdownload", Temporary),
            ("lotto.zip.writing", Temporary),
            ("lotto.zip.inprogress", Temporary),
            ("lotto.zip.Uploading", Temporary),
            ("lotto.zip.temp", Temporary),
            ("temp", Drop),
            (".in.lotto.zip.", Temporary),
            ("lotto.zip.ocTransferId12345.part", Temporary),
            ("lotto.zip.ocTransferId12345", Temporary),
            ("~$lotto.xlsx", Junk),
            (".DS_Store", Junk),
            (".nascosto.zip", Junk),
            ("Thumbs.db", Junk),
            ("lotto.zip.ok", Companion(CompanionKind::Ok)),
            ("lotto.MD5", Companion(CompanionKind::Md5)),
            ("lotto.zip.sha256", Companion(CompanionKind::Sha256)),
            ("ok", Drop),
            (".ok", Junk),
        ];
        for (name, want) in table {
            assert_eq!(kind(name), want, "{name}");
        }
    }

    #[test]
    fn work_names_are_read_back() {
        let id = BatchId(Uuid::from_u128(0x0197_0000_0000_7000_8000_0000_0000_0001));
        let table = [
            (None, false, "lotto.zip"),
            (Some("cds"), true, "lotto di prova.zip"),
            (Some("tributi-pagamento"), false, "a~b~-~P~.zip"),
            (None, true, "è così.csv"),
        ];
        for (flow, dry_run, name) in table {
            let work = work_name(id, flow, dry_run, name);
            assert_eq!(parse_work_name(&work), Some((id, flow.map(str::to_string), dry_run, name.to_string())), "{work}");
        }
        for text in [
            "",
            "x~-~-~a",
            "01970000-0000-7000-8000-000000000001~-~x~a",
            "01970000-0000-7000-8000-000000000001~-~-~",
            "01970000000070008000000000000001~-~-~a",
        ] {
            assert_eq!(parse_work_name(text), None, "{text}");
        }
        let companion = work_companion_name(id, CompanionKind::Sha256);
        assert_eq!(parse_work_companion(&companion), Some((id, CompanionKind::Sha256)));
        assert_eq!(parse_work_name(&companion), None);
        assert_eq!(parse_work_companion(&work_name(id, None, false, "lotto.zip.ok")), None);
    }

    #[test]
    fn a_long_name_keeps_its_suffix_and_fits() {
        let id = BatchId(Uuid::nil());
        for name in ["è".repeat(125) + ".zip", "a".repeat(255), format!("a.{}", "b".repeat(253)), "€".repeat(84) + ".XML"] {
            let work = work_name(id, Some(&flow_hint(&"F".repeat(255))), true, &name);
            assert!(work.len() <= 255, "{}", work.len());
            let (_, flow, dry_run, back) = parse_work_name(&work).unwrap();
            assert_eq!((flow.map(|flow| flow.len()), dry_run), (Some(64), true));
            assert!(
                back.contains('…') && back.ends_with(&name[name.rfind('.').filter(|dot| name.len() - dot <= 16).unwrap_or(name.len())..]),
                "{back}"
            );
        }
    }

    #[test]
    fn names_of_any_bytes_become_text() {
        let table: [(&[u8], &str); 4] = [
            (b"lotto.zip", "lotto.zip"),
            ("è.zip".as_bytes(), "è.zip"),
            (b"citt\xe0 n\xb0 1.zip", "città n° 1.zip"),
            (b"a\nb\x1b.zip", "a\u{fffd}b\u{fffd}.zip"),
        ];
        for (bytes, want) in table {
            assert_eq!(decode(bytes), want, "{bytes:?}");
        }
        for (folder, want) in [("CDS", "cds"), ("-", "_"), ("a~b", "a_b"), ("Multe 2026", "multe 2026")] {
            assert_eq!(flow_hint(folder), want, "{folder}");
        }
    }
}

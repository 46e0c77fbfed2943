//! The records of a ZIP: central directory and local headers. Everything is checked against everything else.
//!
//! Written by hand: the `zip` crate merges entries of one name, hides flags and local headers, and keeps several hundred bytes
//! an entry. Reads go through one window, so that memory does not depend on what the records declare.

use std::hash::RandomState;

use super::end::{Located, locate};
use super::error::{ArchiveError, Disagreement};
use super::names::{self, Folding, NameFault, Named};
use super::window::{Window, u16_at, u32_at, u64_at};
use super::{Ceilings, Entry, Method, ReadAt};

pub(super) const LOCAL: &[u8] = b"PK\x03\x04";
pub(super) const CENTRAL: &[u8] = b"PK\x01\x02";
pub(super) const CENTRAL_LEN: usize = 46;
const LOCAL_LEN: usize = 30;

/// Under this size a ratio means nothing: a CSV of zeros is not a bomb.
const RATIO_FLOOR: u64 = 1 << 20;

const ENCRYPTED: u16 = 1 | 1 << 6 | 1 << 13;
const DESCRIPTOR: u16 = 1 << 3;
const PATCH: u16 = 1 << 5;
const UTF8: u16 = 1 << 11;

/// What the second pass needs of a record beside its entry.
struct Note {
    raw_hash: u64,
    raw_len: u16,
    flags: u16,
    kept: bool,
}

/// Reads and judges all.
pub(super) fn read(source: &dyn ReadAt, ceilings: &Ceilings) -> Result<Vec<Entry>, ArchiveError> {
    let located = locate(source)?;
    let too_many = |found| ArchiveError::TooManyEntries { found, max: ceilings.max_entries };
    // Entry::index is a u32.
    if located.count > ceilings.max_entries.min(u64::from(u32::MAX) - 1) {
        return Err(too_many(located.count));
    }
    let seed = RandomState::new();
    let expected = located.count.min(located.len / CENTRAL_LEN as u64) as usize;
    let (mut entries, mut notes) = (Vec::with_capacity(expected), Vec::with_capacity(expected));
    let (mut total, mut total_compressed) = (0u64, 0u64);
    let mut window = Window::new(source);
    let (mut at, end) = (located.at, located.at.saturating_add(located.len));
    while at < end {
        if entries.len() as u64 >= ceilings.max_entries.min(u64::from(u32::MAX) - 1) {
            return Err(too_many(entries.len() as u64 + 1));
        }
        let (entry, note, record_len) = read_record(&mut window, at, &located, entries.len() as u32, &seed)?;
        at = at.saturating_add(record_len);
        total = total.saturating_add(entry.size);
        total_compressed = total_compressed.saturating_add(entry.compressed);
        if entry.size > ceilings.max_entry_bytes {
            return Err(ArchiveError::EntryTooBig { entry: entry.name.into(), found: entry.size, max: ceilings.max_entry_bytes });
        }
        if let Some(found) = excessive(entry.size, entry.compressed, ceilings.max_ratio) {
            return Err(ArchiveError::Ratio { entry: Some(entry.name.into()), found, max: ceilings.max_ratio });
        }
        if total > ceilings.max_total_bytes {
            return Err(ArchiveError::TooBig { found: total, max: ceilings.max_total_bytes });
        }
        entries.push(entry);
        notes.push(note);
    }
    let found = entries.len() as u64;
    let counted = if located.short_count { found & 0xffff == located.count } else { found == located.count };
    if at != end || !counted {
        return Err(ArchiveError::Malformed("number of entries"));
    }
    if let Some(found) = excessive(total, total_compressed, ceilings.max_ratio) {
        return Err(ArchiveError::Ratio { entry: None, found, max: ceilings.max_ratio });
    }
    read_locals(&mut window, &mut entries, &notes, located.at, &seed)?;
    let mut kept = notes.iter().map(|note| note.kept);
    entries.retain(|_| kept.next().unwrap_or(false));
    drop(notes);
    entries.shrink_to_fit();
    refuse_duplicates(&entries)?;
    Ok(entries)
}

/// Where the names of entries stand: in the directory (with the comment of the record) and in their own headers. `wanted` is
/// asked by the offset of the header. For whoever erases them: nothing is judged.
pub(super) fn names_of(source: &dyn ReadAt, wanted: &dyn Fn(u64) -> bool) -> Result<Vec<(u64, u64)>, ArchiveError> {
    const SHORT: ArchiveError = ArchiveError::Malformed("central directory record");
    let located = locate(source)?;
    let mut window = Window::new(source);
    let (mut at, end) = (located.at, located.at.saturating_add(located.len));
    let (mut spans, mut headers) = (Vec::new(), Vec::new());
    while at < end {
        let fixed = window.bytes(at, CENTRAL_LEN)?;
        let fields = (|| Some((u16_at(fixed, 28)?, u16_at(fixed, 30)?, u16_at(fixed, 32)?, u32_at(fixed, 42)?)))();
        let Some((name_len, extra_len, comment_len, offset)) = fields.filter(|_| fixed.starts_with(CENTRAL)) else { return Err(SHORT) };
        let (compressed, size) = (u32_at(fixed, 20).unwrap_or(0), u32_at(fixed, 24).unwrap_or(0));
        let (name_len, extra_len) = (usize::from(name_len), usize::from(extra_len));
        let name_at = at.saturating_add(CENTRAL_LEN as u64);
        let record = window.bytes(at, CENTRAL_LEN + name_len + extra_len)?;
        let extra = record.get(CENTRAL_LEN + name_len..).unwrap_or_default();
        let wide = wide_fields(extra, size, compressed, offset, 0).ok_or(SHORT)?;
        let header = located.base.checked_add(wide.offset).ok_or(SHORT)?;
        if wanted(header) {
            spans.push((name_at, name_len as u64));
            spans.extend(unicode_path_span(extra, name_at + name_len as u64));
            spans.push((name_at + (name_len + extra_len) as u64, u64::from(comment_len)));
            headers.push(header);
        }
        at = name_at.saturating_add((name_len + extra_len) as u64 + u64::from(comment_len));
    }
    for header in headers {
        let fixed = window.bytes(header, LOCAL_LEN)?;
        let lengths = (|| Some((u16_at(fixed, 26)?, u16_at(fixed, 28)?)))();
        let Some((name_len, extra_len)) = lengths.filter(|_| fixed.starts_with(LOCAL)) else {
            return Err(ArchiveError::Malformed("local header"));
        };
        let name_at = header + LOCAL_LEN as u64;
        spans.push((name_at, u64::from(name_len)));
        let extra = window.bytes(name_at + u64::from(name_len), usize::from(extra_len))?;
        spans.extend(unicode_path_span(extra, name_at + u64::from(name_len)));
    }
    spans.retain(|(_, len)| *len > 0);
    Ok(spans)
}

/// Where the name stands again in extra fields that begin at `at`. The others are left: ZIP64 keeps its offsets there.
fn unicode_path_span(extra: &[u8], at: u64) -> Option<(u64, u64)> {
    let field = extra_field(extra, 0x7075)?;
    let skip = (field.as_ptr() as usize).checked_sub(extra.as_ptr() as usize)?;
    Some((at + skip as u64, field.len() as u64))
}

/// The ratio, when it is over the limit and there is enough of it to matter.
fn excessive(size: u64, compressed: u64, max: u64) -> Option<u64> {
    (size > RATIO_FLOOR && size > compressed.saturating_mul(max)).then(|| size / compressed.max(1))
}

fn read_record(
    window: &mut Window<'_>,
    at: u64,
    located: &Located,
    index: u32,
    seed: &RandomState,
) -> Result<(Entry, Note, u64), ArchiveError> {
    const SHORT: ArchiveError = ArchiveError::Malformed("central directory record");
    let end = located.at.saturating_add(located.len);
    let lengths = {
        let fixed = window.bytes(at, CENTRAL_LEN)?;
        if !fixed.starts_with(CENTRAL) {
            return Err(SHORT);
        }
        (|| Some((u16_at(fixed, 28)?, u16_at(fixed, 30)?, u16_at(fixed, 32)?)))()
    };
    let Some((name_len, extra_len, comment_len)) = lengths else { return Err(SHORT) };
    let record_len = CENTRAL_LEN + usize::from(name_len) + usize::from(extra_len);
    let whole = record_len as u64 + u64::from(comment_len);
    if at.saturating_add(whole) > end {
        return Err(SHORT);
    }
    let record = window.bytes(at, record_len)?;
    let fields = (|| {
        let made_by = u16_at(record, 4)?;
        let (flags, method) = (u16_at(record, 8)?, u16_at(record, 10)?);
        let (crc32, compressed, size) = (u32_at(record, 16)?, u32_at(record, 20)?, u32_at(record, 24)?);
        let (disk, attributes, offset) = (u16_at(record, 34)?, u32_at(record, 38)?, u32_at(record, 42)?);
        let (name, extra) = record.get(CENTRAL_LEN..)?.split_at_checked(usize::from(name_len))?;
        Some((made_by, flags, method, crc32, compressed, size, disk, attributes, offset, name, extra))
    })();
    let Some((made_by, flags, method, crc32, compressed, size, disk, attributes, offset, raw_name, extra)) = fields else {
        return Err(SHORT);
    };
    let lossy = || crate::batch::problem::excerpt(&String::from_utf8_lossy(raw_name));
    let bad_name = |fault| ArchiveError::Name { entry: lossy(), fault };
    if usize::from(name_len) > 4096 {
        return Err(bad_name(NameFault::TooLong));
    }
    let text = match unicode_path(raw_name, extra) {
        Some(text) => names::decode(text, true),
        None => names::decode(raw_name, flags & UTF8 != 0),
    }
    .map_err(bad_name)?;
    let named = names::judge(&text).map_err(bad_name)?;
    if flags & ENCRYPTED != 0 || method == 99 {
        return Err(ArchiveError::Encrypted { entry: text });
    }
    let wide = wide_fields(extra, size, compressed, offset, disk).ok_or(SHORT)?;
    if wide.disk != 0 {
        return Err(ArchiveError::Split);
    }
    let mode_kind = attributes >> 16 & 0o170_000;
    let is_folder = mode_kind == 0o040_000 || attributes & 0x10 != 0 || named == Named::Folder;
    // Only Unix and macOS write modes there; a link is refused whoever says so.
    let unix = matches!(made_by >> 8, 3 | 19);
    if mode_kind == 0o120_000 || (unix && !matches!(mode_kind, 0 | 0o100_000 | 0o040_000)) {
        return Err(ArchiveError::Link { entry: text });
    }
    if is_folder && wide.size > 0 && named != Named::Ignored {
        return Err(ArchiveError::Malformed("folder with content"));
    }
    let method = match method {
        _ if flags & PATCH != 0 => return Err(ArchiveError::Method { entry: text, method }),
        0 => Method::Stored,
        8 => Method::Deflate,
        other => return Err(ArchiveError::Method { entry: text, method: other }),
    };
    if method == Method::Stored && wide.size != wide.compressed {
        return Err(ArchiveError::Disagrees { entry: text, what: Disagreement::Size });
    }
    let header_offset = located.base.checked_add(wide.offset).ok_or(ArchiveError::Truncated("entry out of range"))?;
    let note = Note { raw_hash: hash_raw(seed, raw_name), raw_len: name_len, flags, kept: !is_folder && matches!(named, Named::File(_)) };
    let name = match named {
        Named::File(name) => name,
        Named::Folder | Named::Ignored => text,
    };
    let entry =
        Entry { index, name: name.into(), header_offset, data_start: 0, compressed: wide.compressed, size: wide.size, crc32, method };
    Ok((entry, note, whole))
}

/// Info-ZIP's Unicode Path: the name in UTF-8, valid while the plain one is that which it was made for.
fn unicode_path<'a>(raw_name: &[u8], extra: &'a [u8]) -> Option<&'a [u8]> {
    let field = extra_field(extra, 0x7075)?;
    let mut crc = flate2::Crc::new();
    crc.update(raw_name);
    (field.first() == Some(&1) && u32_at(field, 1)? == crc.sum()).then(|| field.get(5..)).flatten()
}

struct Wide {
    size: u64,
    compressed: u64,
    offset: u64,
    disk: u32,
}

/// The four fields that ZIP64 may move to its extra field; `None` when they should be there and are not.
fn wide_fields(extra: &[u8], size: u32, compressed: u32, offset: u32, disk: u16) -> Option<Wide> {
    let mut rest = extra_field(extra, 1).unwrap_or_default();
    let mut wide = |short: u32| {
        if short != u32::MAX {
            return Some(u64::from(short));
        }
        let (field, after) = rest.split_at_checked(8)?;
        rest = after;
        u64_at(field, 0)
    };
    let (size, compressed, offset) = (wide(size)?, wide(compressed)?, wide(offset)?);
    let disk = if disk == u16::MAX { u32_at(rest, 0)? } else { disk.into() };
    Some(Wide { size, compressed, offset, disk })
}

fn extra_field(mut extra: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let (id, len) = (u16_at(extra, 0)?, u16_at(extra, 2)?);
        let (field, rest) = extra.get(4..)?.split_at_checked(usize::from(len))?;
        if id == wanted {
            return Some(field);
        }
        extra = rest;
    }
}

/// Holds every local header to its central record, and every entry to its own bytes.
fn read_locals(
    window: &mut Window<'_>,
    entries: &mut [Entry],
    notes: &[Note],
    directory_at: u64,
    seed: &RandomState,
) -> Result<(), ArchiveError> {
    let mut order: Vec<u32> = (0u32..).take(entries.len()).collect();
    order.sort_unstable_by_key(|position| entries.get(*position as usize).map(|entry| entry.header_offset));
    let mut previous: Option<(u32, u64)> = None;
    for position in order {
        let Some((entry, note)) = entries.get(position as usize).zip(notes.get(position as usize)) else { continue };
        if let Some((other, end)) = previous
            && entry.header_offset < end
        {
            let other = entries.get(other as usize).map(|other| other.name.to_string()).unwrap_or_default();
            return Err(ArchiveError::Overlap { entry: entry.name.to_string(), other });
        }
        let data_start = read_local(window, entry, note, directory_at, seed)?;
        let end = data_start.checked_add(entry.compressed).filter(|end| *end <= directory_at);
        let Some(end) = end else { return Err(ArchiveError::Truncated("entry out of range")) };
        previous = Some((position, end));
        if let Some(entry) = entries.get_mut(position as usize) {
            entry.data_start = data_start;
        }
    }
    Ok(())
}

fn read_local(window: &mut Window<'_>, entry: &Entry, note: &Note, directory_at: u64, seed: &RandomState) -> Result<u64, ArchiveError> {
    const RANGE: ArchiveError = ArchiveError::Truncated("local header out of range");
    let disagrees = |what| ArchiveError::Disagrees { entry: entry.name.to_string(), what };
    if entry.header_offset.checked_add((LOCAL_LEN + usize::from(note.raw_len)) as u64).is_none_or(|end| end > directory_at) {
        return Err(RANGE);
    }
    let header = window.bytes(entry.header_offset, LOCAL_LEN + usize::from(note.raw_len))?;
    if !header.starts_with(LOCAL) {
        return Err(ArchiveError::Malformed("local header"));
    }
    let fields = (|| {
        let (flags, method) = (u16_at(header, 6)?, u16_at(header, 8)?);
        let (crc32, compressed, size) = (u32_at(header, 14)?, u32_at(header, 18)?, u32_at(header, 22)?);
        let (name_len, extra_len) = (u16_at(header, 26)?, u16_at(header, 28)?);
        Some((flags, method, crc32, compressed, size, name_len, extra_len, header.get(LOCAL_LEN..)?))
    })();
    let Some((flags, method, crc32, compressed, size, name_len, extra_len, raw_name)) = fields else { return Err(RANGE) };
    if name_len != note.raw_len || hash_raw(seed, raw_name) != note.raw_hash {
        return Err(disagrees(Disagreement::Name));
    }
    if (flags ^ note.flags) & ENCRYPTED != 0 {
        return Err(disagrees(Disagreement::Encryption));
    }
    if method != u16::from(entry.method.number()) {
        return Err(disagrees(Disagreement::Method));
    }
    // With a data descriptor the header was written before they were known; ZIP64 leaves all ones.
    if flags & DESCRIPTOR == 0 {
        let differs = |short: u32, wide: u64| short != u32::MAX && u64::from(short) != wide;
        if differs(size, entry.size) || differs(compressed, entry.compressed) {
            return Err(disagrees(Disagreement::Size));
        }
        if crc32 != entry.crc32 {
            return Err(disagrees(Disagreement::Crc));
        }
    }
    Ok(entry.header_offset + LOCAL_LEN as u64 + u64::from(name_len) + u64::from(extra_len))
}

/// Some tools write `\` in one header and `/` in the other.
fn hash_raw(seed: &RandomState, raw: &[u8]) -> u64 {
    if raw.contains(&b'\\') {
        let slashed: Vec<u8> = raw.iter().map(|byte| if *byte == b'\\' { b'/' } else { *byte }).collect();
        return names::hash_bytes(seed, &slashed);
    }
    names::hash_bytes(seed, raw)
}

/// Two files of one folded name, or one that another has as its folder: neither could be unpacked where the sender works.
fn refuse_duplicates(entries: &[Entry]) -> Result<(), ArchiveError> {
    let mut folding = Folding::new();
    let mut hashes: Vec<(u64, u32)> = entries.iter().zip(0u32..).map(|(entry, position)| (folding.hash(&entry.name), position)).collect();
    hashes.sort_unstable();
    let name = |position: u32| entries.get(position as usize).map_or("", |entry| &*entry.name);
    let duplicate = |a: u32, b: u32| ArchiveError::DuplicateName { entry: name(a.max(b)).to_owned(), other: name(a.min(b)).to_owned() };
    for pair in hashes.windows(2) {
        if let [(left, a), (right, b)] = pair
            && left == right
            && names::same(name(*a), name(*b))
        {
            return Err(duplicate(*a, *b));
        }
    }
    let mut last_folder = "";
    for (entry, position) in entries.iter().zip(0u32..) {
        let Some((folder, _)) = entry.name.rsplit_once('/').filter(|(folder, _)| *folder != last_folder) else { continue };
        last_folder = folder;
        for (at, _) in folder.match_indices('/').chain([(folder.len(), "")]) {
            let Some(prefix) = folder.get(..at) else { continue };
            let hash = folding.hash(prefix);
            if let Ok(found) = hashes.binary_search_by_key(&hash, |(hash, _)| *hash)
                && let Some((_, other)) = hashes.get(found)
                && names::same(name(*other), prefix)
            {
                return Err(duplicate(position, *other));
            }
        }
    }
    Ok(())
}

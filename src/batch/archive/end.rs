//! The end of a ZIP, which is where it begins: end record, ZIP64 end record, and the central directory they name.

use super::directory::{CENTRAL, CENTRAL_LEN, LOCAL};
use super::window::{read_exact, read_whole, u16_at, u32_at, u64_at};
use super::{ArchiveError, ReadAt};

const END: &[u8] = b"PK\x05\x06";
const END64: &[u8] = b"PK\x06\x06";
const LOCATOR64: &[u8] = b"PK\x06\x07";
const END_LEN: usize = 22;
const END64_LEN: usize = 56;
const LOCATOR64_LEN: usize = 20;

/// Where the central directory lies.
#[derive(Debug)]
pub(super) struct Located {
    pub at: u64,
    pub len: u64,
    /// What to add to every offset: bytes before the archive (a self-extractor).
    pub base: u64,
    /// Entries declared, and whether only their lower 16 bits are.
    pub count: u64,
    pub short_count: bool,
}

/// Finds the end record, the ZIP64 one and the central directory.
pub(super) fn locate(source: &dyn ReadAt) -> Result<Located, ArchiveError> {
    let len = source.len()?;
    let tail_len = len.min((END_LEN + usize::from(u16::MAX)) as u64);
    let mut tail = vec![0; tail_len as usize];
    let tail_at = len - tail_len;
    read_exact(source, &mut tail, tail_at)?;
    // The comment must end where the file ends: with bytes still to come (or zeros reserved for them) it does not.
    let end = memchr::memmem::rfind_iter(&tail, END).find_map(|at| {
        let record = tail.get(at..)?;
        (record.len() >= END_LEN && u16_at(record, 20)? as usize == record.len() - END_LEN).then_some((at, record))
    });
    let Some((at, record)) = end else {
        let mut head = [0; 4];
        let begun = read_whole(source, &mut head, 0)? && super::looks_like_zip(&head);
        return Err(if begun { ArchiveError::Truncated("no end record") } else { ArchiveError::Malformed("no end record") });
    };
    let end_at = tail_at + at as u64;
    let fields = (|| {
        Some((u16_at(record, 4)?, u16_at(record, 6)?, u16_at(record, 8)?, u16_at(record, 10)?, u32_at(record, 12)?, u32_at(record, 16)?))
    })();
    let Some((disk, start_disk, here, count, size, offset)) = fields else { return Err(ArchiveError::Truncated("end record")) };
    let sixty_four = read_end64(source, end_at)?;
    let (directory_end, count, short_count, size, offset) = match sixty_four {
        Some(wide) => {
            let agree = |short: u64, sentinel: u64, wide: u64| short == sentinel || short == wide;
            let agrees = agree(count.into(), 0xffff, wide.count)
                && agree(size.into(), 0xffff_ffff, wide.size)
                && agree(offset.into(), 0xffff_ffff, wide.offset);
            if !agrees {
                return Err(ArchiveError::Malformed("two end records that disagree"));
            }
            (wide.at, wide.count, false, wide.size, wide.offset)
        }
        None => {
            if disk != 0 || start_disk != 0 || here != count {
                return Err(ArchiveError::Split);
            }
            (end_at, count.into(), true, size.into(), offset.into())
        }
    };
    // What the directory must end at is certain; where the archive begins is not, when something stands before it.
    let relative = directory_end.checked_sub(size).and_then(|at| Some((at, at.checked_sub(offset)?)));
    let absolute = offset.checked_add(size).filter(|end| *end <= directory_end).map(|_| (offset, 0));
    for (at, base) in [relative, absolute].into_iter().flatten() {
        let begins = if size == 0 { base == 0 && at == directory_end } else { begins_at(source, at, base, size)? };
        if begins {
            return Ok(Located { at, len: size, base, count, short_count });
        }
    }
    Err(ArchiveError::Truncated("central directory out of range"))
}

/// Whether a central directory begins at `at` and its first entry where that says. An end record of which the last bytes are
/// still zeros declares another beginning, and fails here.
fn begins_at(source: &dyn ReadAt, at: u64, base: u64, size: u64) -> Result<bool, ArchiveError> {
    let mut record = [0; CENTRAL_LEN];
    if size < CENTRAL_LEN as u64 || !read_whole(source, &mut record, at)? || !record.starts_with(CENTRAL) {
        return Ok(false);
    }
    let mut header = [0; 4];
    match u32_at(&record, 42).filter(|offset| *offset != u32::MAX).and_then(|offset| base.checked_add(offset.into())) {
        Some(header_at) => Ok(read_whole(source, &mut header, header_at)? && header == LOCAL),
        None => Ok(true),
    }
}

struct End64 {
    at: u64,
    count: u64,
    size: u64,
    offset: u64,
}

fn read_end64(source: &dyn ReadAt, end_at: u64) -> Result<Option<End64>, ArchiveError> {
    let Some(locator_at) = end_at.checked_sub(LOCATOR64_LEN as u64) else { return Ok(None) };
    let mut locator = [0; LOCATOR64_LEN];
    read_exact(source, &mut locator, locator_at)?;
    if !locator.starts_with(LOCATOR64) {
        return Ok(None);
    }
    let stated = u64_at(&locator, 8);
    let adjacent = locator_at.checked_sub(END64_LEN as u64);
    for at in [stated, adjacent].into_iter().flatten().filter(|at| at.checked_add(END64_LEN as u64).is_some_and(|end| end <= locator_at)) {
        let mut record = [0; END64_LEN];
        read_exact(source, &mut record, at)?;
        if !record.starts_with(END64) {
            continue;
        }
        let fields = (|| {
            Some((
                u32_at(&record, 16)?,
                u32_at(&record, 20)?,
                u64_at(&record, 24)?,
                u64_at(&record, 32)?,
                u64_at(&record, 40)?,
                u64_at(&record, 48)?,
            ))
        })();
        let Some((disk, start_disk, here, count, size, offset)) = fields else { break };
        if disk != 0 || start_disk != 0 || here != count {
            return Err(ArchiveError::Split);
        }
        return Ok(Some(End64 { at, count, size, offset }));
    }
    Err(ArchiveError::Truncated("ZIP64 end record out of range"))
}

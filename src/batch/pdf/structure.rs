//! The few objects of a PDF that tell encryption and page count: trailers, cross-references, catalogue, root of the pages.
//!
//! No tree of objects is built and nothing recurses. Work is paid from a budget, so that a crafted file ends in `None`.

use std::cell::Cell;

use flate2::{Decompress, FlushDecompress, Status};

use super::tokens::{Value, int, integers, is_white, name, object_at, object_header, single, value, white};

/// Bytes looked at, at most, over and above the search for `startxref`.
const FUEL: usize = 64 << 20;
/// Bytes inflated, at most, over all streams.
const INFLATED: usize = 32 << 20;
/// Cross-reference sections followed (each signature or correction adds one).
const SECTIONS: usize = 512;

/// A PDF whose cross-references could be read.
pub(super) struct Document<'a> {
    bytes: &'a [u8],
    /// Newest first.
    sections: Vec<Section>,
    encrypted: bool,
    root: Option<u32>,
    fuel: Cell<usize>,
    inflated: Cell<usize>,
}

enum Section {
    /// (first object, objects, offset of the first line, bytes of a line)
    Table(Vec<(u64, u64, usize, usize)>),
    Stream {
        widths: [usize; 3],
        ranges: Vec<(u64, u64)>,
        rows: Vec<u8>,
    },
}

enum Place {
    At(usize),
    Inside { stream: u32 },
}

impl<'a> Document<'a> {
    /// Follows `startxref` and every `/Prev`.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Document<'a>> {
        let mut document =
            Document { bytes, sections: Vec::new(), encrypted: false, root: None, fuel: Cell::new(FUEL), inflated: Cell::new(INFLATED) };
        // Well within the last KiB by the standard; some writers and signers append more.
        let tail = bytes.len().saturating_sub(64 << 10);
        let start = tail + memchr::memmem::rfind(bytes.get(tail..)?, b"startxref")?;
        let (first, _) = int(bytes, white(bytes, start + b"startxref".len()))?;
        let mut next = vec![usize::try_from(first).ok()?];
        let mut seen = Vec::new();
        while let Some(at) = next.pop() {
            if seen.contains(&at) {
                continue;
            }
            seen.push(at);
            if seen.len() > SECTIONS {
                return None;
            }
            let Trailer { encrypted, root, previous, hybrid } = document.section(at)?;
            document.encrypted |= encrypted;
            document.root = document.root.or(root);
            next.extend(previous);
            next.extend(hybrid);
        }
        document.root.is_some().then_some(document)
    }

    /// Whether any trailer names an encryption dictionary.
    pub(super) fn encrypted(&self) -> bool {
        self.encrypted
    }

    /// What the root of the page tree counts.
    pub(super) fn pages(&self) -> Option<u32> {
        let Value::Ref(pages) = self.lookup(self.root?, b"Pages")? else { return None };
        match self.lookup(pages, b"Count")? {
            Value::Int(count) => u32::try_from(count).ok(),
            Value::Ref(count) => u32::try_from(self.integer(count)?).ok(),
            _ => None,
        }
    }

    fn section(&mut self, at: usize) -> Option<Trailer> {
        let at = white(self.bytes, at);
        let (section, trailer) = if self.bytes.get(at..)?.starts_with(b"xref") { self.table(at + 4)? } else { self.stream(at)? };
        self.sections.push(section);
        Some(trailer)
    }

    fn table(&self, mut at: usize) -> Option<(Section, Trailer)> {
        let mut runs = Vec::new();
        loop {
            at = white(self.bytes, at);
            if self.bytes.get(at..)?.starts_with(b"trailer") {
                let (trailer, _) = self.trailer(white(self.bytes, at + b"trailer".len()))?;
                return Some((Section::Table(runs), trailer));
            }
            let (first, after) = int(self.bytes, at)?;
            let (count, after) = int(self.bytes, white(self.bytes, after))?;
            let (first, count) = (u64::try_from(first).ok()?, u64::try_from(count).ok()?);
            let lines = white(self.bytes, after);
            // 18 characters and an end of line of two; some writers use one.
            let stride = if self.bytes.get(lines + 19).is_some_and(|byte| is_white(*byte)) { 20 } else { 19 };
            at = lines.checked_add(usize::try_from(count).ok()?.checked_mul(stride)?)?;
            self.burn(64)?;
            if count > 0 {
                runs.push((first, count, lines, stride));
            } else {
                at = after;
            }
            if at > self.bytes.len() || runs.len() > 100_000 {
                return None;
            }
        }
    }

    fn stream(&self, at: usize) -> Option<(Section, Trailer)> {
        let (_, dictionary) = object_header(self.bytes, at)?;
        let (trailer, end) = self.trailer(dictionary)?;
        let mut size = None;
        let (mut widths, mut ranges) = ([0usize; 3], Vec::new());
        let (mut index_at, mut widths_at) = (None, None);
        self.each(self.bytes, dictionary, |key, value| match (key, value) {
            (b"Size", Value::Int(value)) => size = u64::try_from(value).ok(),
            (b"W", Value::At(at)) => widths_at = Some(at),
            (b"Index", Value::At(at)) => index_at = Some(at),
            _ => {}
        })?;
        let list = integers(self.bytes, widths_at?)?;
        for (slot, width) in widths.iter_mut().zip(list.get(..3)?) {
            *slot = usize::try_from(*width).ok().filter(|width| *width <= 8)?;
        }
        match index_at {
            Some(at) => {
                for pair in integers(self.bytes, at)?.chunks_exact(2) {
                    if let [first, count] = pair {
                        ranges.push((u64::try_from(*first).ok()?, u64::try_from(*count).ok()?));
                    }
                }
            }
            None => ranges.push((0, size?)),
        }
        let rows = self.decode(self.bytes, dictionary, end)?;
        Some((Section::Stream { widths, ranges, rows }, trailer))
    }

    fn trailer(&self, at: usize) -> Option<(Trailer, usize)> {
        let mut trailer = Trailer::default();
        let end = self.each(self.bytes, at, |key, value| match (key, value) {
            (b"Encrypt", Value::Null) => {}
            (b"Encrypt", _) => trailer.encrypted = true,
            (b"Root", Value::Ref(root)) => trailer.root = Some(root),
            (b"Prev", Value::Int(at)) => trailer.previous = usize::try_from(at).ok(),
            (b"XRefStm", Value::Int(at)) => trailer.hybrid = usize::try_from(at).ok(),
            _ => {}
        })?;
        Some((trailer, end))
    }

    /// The value of `key` in the dictionary that is object `number`.
    fn lookup(&self, number: u32, key: &[u8]) -> Option<Value> {
        let mut found = None;
        let mut note = |name: &[u8], value| {
            if name == key {
                found = Some(value);
            }
        };
        match self.locate(number)? {
            Place::At(at) => self.each(self.bytes, object_at(self.bytes, at, number)?, &mut note)?,
            Place::Inside { stream } => {
                let (members, at) = self.member(stream, number)?;
                self.each(&members, at, &mut note)?
            }
        };
        found
    }

    /// The integer that is object `number`.
    fn integer(&self, number: u32) -> Option<i64> {
        match self.locate(number)? {
            Place::At(at) => int(self.bytes, object_at(self.bytes, at, number)?).map(|(value, _)| value),
            Place::Inside { stream } => {
                let (members, at) = self.member(stream, number)?;
                int(&members, at).map(|(value, _)| value)
            }
        }
    }

    /// An object stream inflated, and where object `number` begins in it.
    fn member(&self, stream: u32, number: u32) -> Option<(Vec<u8>, usize)> {
        let Place::At(at) = self.locate(stream)? else { return None };
        let dictionary = object_at(self.bytes, at, stream)?;
        let (mut first, mut count) = (None, None);
        let end = self.each(self.bytes, dictionary, |key, value| match (key, value) {
            (b"First", Value::Int(value)) => first = usize::try_from(value).ok(),
            (b"N", Value::Int(value)) => count = usize::try_from(value).ok(),
            _ => {}
        })?;
        let members = self.decode(self.bytes, dictionary, end)?;
        let mut at = 0;
        for _ in 0..count? {
            let (id, after) = int(&members, white(&members, at))?;
            let (offset, after) = int(&members, white(&members, after))?;
            self.burn(after.saturating_sub(at))?;
            at = after;
            if id == i64::from(number) {
                let at = white(&members, first?.checked_add(usize::try_from(offset).ok()?)?);
                return (at < members.len()).then_some((members, at));
            }
        }
        None
    }

    /// Where object `number` lies, by the newest section that knows it.
    fn locate(&self, number: u32) -> Option<Place> {
        let number = u64::from(number);
        for section in &self.sections {
            match section {
                Section::Table(runs) => {
                    self.burn(runs.len())?;
                    let Some((first, _, lines, stride)) =
                        runs.iter().find(|(first, count, ..)| number.checked_sub(*first).is_some_and(|at| at < *count))
                    else {
                        continue;
                    };
                    let line = lines.checked_add(usize::try_from(number - first).ok()?.checked_mul(*stride)?)?;
                    let line = self.bytes.get(line..line.checked_add(18)?)?;
                    // A free entry may stand for one in an object stream (hybrid files): look on.
                    if line.get(17) == Some(&b'n') {
                        return Some(Place::At(usize::try_from(int(line, 0)?.0).ok()?));
                    }
                }
                Section::Stream { widths, ranges, rows } => {
                    self.burn(ranges.len())?;
                    let mut row = 0u64;
                    for (first, count) in ranges {
                        match number.checked_sub(*first).filter(|at| at < count) {
                            Some(at) => {
                                if let Some(place) = stream_row(widths, rows, row.checked_add(at)?) {
                                    return Some(place);
                                }
                                break;
                            }
                            None => row = row.checked_add(*count)?,
                        }
                    }
                }
            }
        }
        None
    }

    /// Calls `visit` for each pair of the dictionary at `at`; returns where it ends.
    fn each(&self, bytes: &[u8], at: usize, mut visit: impl FnMut(&[u8], Value)) -> Option<usize> {
        let start = at;
        let mut at = bytes.get(at..)?.starts_with(b"<<").then_some(at + 2)?;
        loop {
            at = white(bytes, at);
            if bytes.get(at..)?.starts_with(b">>") {
                self.burn(at.saturating_sub(start))?;
                return Some(at + 2);
            }
            let (key, after) = name(bytes, at)?;
            let (value, after) = value(bytes, white(bytes, after))?;
            visit(key, value);
            at = after;
        }
    }

    /// The bytes of a stream whose dictionary is at `dictionary` and ends at `end`: plain or Flate, with or without a PNG predictor.
    fn decode(&self, bytes: &[u8], dictionary: usize, end: usize) -> Option<Vec<u8>> {
        let (mut filter, mut parameters, mut length) = (None, None, None);
        self.each(bytes, dictionary, |key, value| match key {
            b"Filter" => filter = Some(value),
            b"DecodeParms" | b"DP" => parameters = Some(value),
            b"Length" => length = Some(value),
            _ => {}
        })?;
        let keyword = white(bytes, end);
        let mut data = bytes.get(keyword..)?.strip_prefix(b"stream")?;
        data = data.strip_prefix(b"\r\n").or_else(|| data.strip_prefix(b"\n")).or_else(|| data.strip_prefix(b"\r"))?;
        let plain = match filter.filter(|filter| *filter != Value::Null) {
            None => {
                let length = match length? {
                    Value::Int(length) => length,
                    Value::Ref(number) => self.integer(number)?,
                    _ => return None,
                };
                data.get(..usize::try_from(length).ok()?).filter(|data| data.len() <= self.inflated.get())?.to_vec()
            }
            Some(Value::At(at)) => match single(bytes, at)? {
                at if name(bytes, at)?.0 == b"FlateDecode" => self.inflate(data)?,
                _ => return None,
            },
            Some(_) => return None,
        };
        let (mut predictor, mut columns, mut colors, mut bits) = (1, 1usize, 1usize, 8usize);
        if let Some(Value::At(at)) = parameters {
            let at = single(bytes, at)?;
            if bytes.get(at..)?.starts_with(b"<<") {
                self.each(bytes, at, |key, value| {
                    let Value::Int(value) = value else { return };
                    let size = usize::try_from(value).unwrap_or(0);
                    match key {
                        b"Predictor" => predictor = value,
                        b"Columns" => columns = size,
                        b"Colors" => colors = size,
                        b"BitsPerComponent" => bits = size,
                        _ => {}
                    }
                })?;
            }
        }
        match predictor {
            1 => Some(plain),
            10..=15 => {
                let pixel = colors.checked_mul(bits)?.div_ceil(8);
                unpredict(&plain, columns.checked_mul(colors)?.checked_mul(bits)?.div_ceil(8), pixel)
            }
            _ => None,
        }
    }

    /// Inflates to the end of the zlib stream, within what is left of the budget.
    fn inflate(&self, data: &[u8]) -> Option<Vec<u8>> {
        let mut zlib = Decompress::new(true);
        let mut out = Vec::new();
        loop {
            let left = self.inflated.get().checked_sub(out.len()).filter(|left| *left > 0)?;
            let before = out.len();
            out.resize(before + left.min(64 << 10), 0);
            let input = data.get(usize::try_from(zlib.total_in()).ok()?..)?;
            let status = zlib.decompress(input, out.get_mut(before..)?, FlushDecompress::None).ok()?;
            let produced = usize::try_from(zlib.total_out()).ok()?;
            out.truncate(produced);
            if status == Status::StreamEnd || produced == before {
                // A stream cut short by a wrong writer still has its rows.
                self.inflated.set(self.inflated.get().checked_sub(produced)?);
                return (produced > 0).then_some(out);
            }
        }
    }

    fn burn(&self, bytes: usize) -> Option<()> {
        self.fuel.set(self.fuel.get().checked_sub(bytes.saturating_add(1))?);
        Some(())
    }
}

#[derive(Default)]
struct Trailer {
    encrypted: bool,
    root: Option<u32>,
    previous: Option<usize>,
    hybrid: Option<usize>,
}

fn stream_row(widths: &[usize; 3], rows: &[u8], row: u64) -> Option<Place> {
    let [kind_width, second_width, third_width] = *widths;
    let width = kind_width + second_width + third_width;
    let start = usize::try_from(row).ok()?.checked_mul(width)?;
    let row = rows.get(start..start.checked_add(width)?)?;
    let (kind, rest) = row.split_at_checked(kind_width)?;
    let (second, _) = rest.split_at_checked(second_width)?;
    let number = |bytes: &[u8]| bytes.iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    match if kind.is_empty() { 1 } else { number(kind) } {
        1 => usize::try_from(number(second)).ok().map(Place::At),
        2 => u32::try_from(number(second)).ok().map(|stream| Place::Inside { stream }),
        _ => None,
    }
}

/// Undoes the PNG filters, row by row.
fn unpredict(data: &[u8], row_len: usize, pixel: usize) -> Option<Vec<u8>> {
    let mut out: Vec<u8> = Vec::with_capacity(data.len());
    let pixel = pixel.max(1);
    for row in data.chunks(row_len.checked_add(1).filter(|len| *len > 1)?) {
        let (kind, row) = row.split_first()?;
        let start = out.len();
        for (column, byte) in row.iter().enumerate() {
            let left = column.checked_sub(pixel).and_then(|column| out.get(start + column)).copied().unwrap_or(0);
            let above = start.checked_sub(row_len).and_then(|above| out.get(above + column)).copied().unwrap_or(0);
            let corner = column
                .checked_sub(pixel)
                .and_then(|column| start.checked_sub(row_len).and_then(|above| out.get(above + column)))
                .copied()
                .unwrap_or(0);
            let guess = match kind {
                0 => 0,
                1 => left,
                2 => above,
                3 => ((u16::from(left) + u16::from(above)) / 2) as u8,
                4 => paeth(left, above, corner),
                _ => return None,
            };
            out.push(byte.wrapping_add(guess));
        }
    }
    Some(out)
}

fn paeth(left: u8, above: u8, corner: u8) -> u8 {
    let estimate = i16::from(left) + i16::from(above) - i16::from(corner);
    let distance = |value: u8| (estimate - i16::from(value)).abs();
    if distance(left) <= distance(above) && distance(left) <= distance(corner) {
        left
    } else if distance(above) <= distance(corner) {
        above
    } else {
        corner
    }
}

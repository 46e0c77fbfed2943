//! Archives for tests, written byte by byte so that they can lie.

use std::io::Write;

use flate2::Compression;
use flate2::write::DeflateEncoder;

/// One entry and what its headers claim.
#[derive(Clone, Default)]
pub(crate) struct Piece {
    pub name: Vec<u8>,
    pub data: Vec<u8>,
    pub stored: bool,
    /// Flags of both headers, beside the data descriptor's.
    pub flags: u16,
    pub host: u8,
    pub attributes: u32,
    pub descriptor: bool,
    pub zip64: bool,
    pub extra: Vec<u8>,
    /// Lies of the central record.
    pub crc: Option<u32>,
    pub size: Option<u32>,
    pub compressed: Option<u32>,
    pub method: Option<u16>,
    pub offset: Option<u32>,
    /// Lies of the local header.
    pub local_name: Option<Vec<u8>>,
    pub local_method: Option<u16>,
    pub local_flags: Option<u16>,
    pub local_size: Option<u32>,
    pub local_crc: Option<u32>,
    /// Bytes after the compressed data, counted in it.
    pub trailing: Vec<u8>,
}

pub(crate) fn piece(name: impl AsRef<[u8]>, data: impl AsRef<[u8]>) -> Piece {
    Piece { name: name.as_ref().to_vec(), data: data.as_ref().to_vec(), ..Piece::default() }
}

/// What surrounds the entries.
#[derive(Clone, Default)]
pub(crate) struct Frame {
    pub prefix: Vec<u8>,
    pub comment: Vec<u8>,
    pub zip64: bool,
    /// Added to the number of entries declared.
    pub more: i32,
    /// Offsets count from the beginning of the file, prefix included.
    pub absolute: bool,
}

pub(crate) fn zip(pieces: &[Piece]) -> Vec<u8> {
    framed(pieces, &Frame::default())
}

pub(crate) fn framed(pieces: &[Piece], frame: &Frame) -> Vec<u8> {
    let mut out = frame.prefix.clone();
    let base = if frame.absolute { 0 } else { frame.prefix.len() };
    let mut central = Vec::new();
    for piece in pieces {
        let mut packed = if piece.stored { piece.data.clone() } else { deflate(&piece.data) };
        packed.extend(&piece.trailing);
        let crc = crc(&piece.data);
        let method = piece.method.unwrap_or(if piece.stored { 0 } else { 8 });
        let flags = piece.flags | if piece.descriptor { 8 } else { 0 };
        let (size, compressed) = (piece.data.len() as u32, packed.len() as u32);
        let offset = out.len() - base;
        let local_name = piece.local_name.as_ref().unwrap_or(&piece.name);
        let mut local_extra = piece.extra.clone();
        let wide = |out: &mut Vec<u8>, values: &[u64]| {
            out.extend(1u16.to_le_bytes());
            out.extend((values.len() as u16 * 8).to_le_bytes());
            values.iter().for_each(|value| out.extend(value.to_le_bytes()));
        };
        if piece.zip64 {
            wide(&mut local_extra, &[size.into(), compressed.into()]);
        }
        out.extend(b"PK\x03\x04\x14\x00");
        out.extend(piece.local_flags.unwrap_or(flags).to_le_bytes());
        out.extend(piece.local_method.unwrap_or(method).to_le_bytes());
        out.extend([0; 4]);
        let known = |value: u32| match (piece.zip64, piece.descriptor) {
            (true, _) => u32::MAX,
            (_, true) => 0,
            _ => value,
        };
        out.extend(piece.local_crc.unwrap_or(if piece.descriptor { 0 } else { piece.crc.unwrap_or(crc) }).to_le_bytes());
        out.extend(known(piece.compressed.unwrap_or(compressed)).to_le_bytes());
        out.extend(piece.local_size.unwrap_or(known(piece.size.unwrap_or(size))).to_le_bytes());
        out.extend((local_name.len() as u16).to_le_bytes());
        out.extend((local_extra.len() as u16).to_le_bytes());
        out.extend(local_name);
        out.extend(&local_extra);
        out.extend(&packed);
        if piece.descriptor {
            out.extend(b"PK\x07\x08");
            out.extend(crc.to_le_bytes());
            out.extend(compressed.to_le_bytes());
            out.extend(size.to_le_bytes());
        }
        let mut extra = piece.extra.clone();
        if piece.zip64 {
            wide(&mut extra, &[size.into(), compressed.into(), offset as u64]);
        }
        let wide_or = |value: u32| if piece.zip64 { u32::MAX } else { value };
        central.extend(b"PK\x01\x02\x14");
        central.push(piece.host);
        central.extend(b"\x14\x00");
        central.extend(flags.to_le_bytes());
        central.extend(method.to_le_bytes());
        central.extend([0; 4]);
        central.extend(piece.crc.unwrap_or(crc).to_le_bytes());
        central.extend(wide_or(piece.compressed.unwrap_or(compressed)).to_le_bytes());
        central.extend(wide_or(piece.size.unwrap_or(size)).to_le_bytes());
        central.extend((piece.name.len() as u16).to_le_bytes());
        central.extend((extra.len() as u16).to_le_bytes());
        central.extend([0; 6]);
        central.extend(piece.attributes.to_le_bytes());
        central.extend(wide_or(piece.offset.unwrap_or(offset as u32)).to_le_bytes());
        central.extend(&piece.name);
        central.extend(&extra);
    }
    let (at, len) = (out.len() - base, central.len());
    out.extend(central);
    let count = (pieces.len() as i32 + frame.more) as u16;
    if frame.zip64 {
        let end = out.len() - base;
        out.extend(b"PK\x06\x06");
        out.extend(44u64.to_le_bytes());
        out.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        [u64::from(count), u64::from(count), len as u64, at as u64].iter().for_each(|value| out.extend(value.to_le_bytes()));
        out.extend(b"PK\x06\x07\0\0\0\0");
        out.extend((end as u64).to_le_bytes());
        out.extend(1u32.to_le_bytes());
    }
    out.extend(b"PK\x05\x06\0\0\0\0");
    let (short, long) = if frame.zip64 { (u16::MAX, u32::MAX) } else { (count, 0) };
    out.extend(short.to_le_bytes());
    out.extend(short.to_le_bytes());
    out.extend((len as u32 | long).to_le_bytes());
    out.extend((at as u32 | long).to_le_bytes());
    out.extend((frame.comment.len() as u16).to_le_bytes());
    out.extend(&frame.comment);
    out
}

pub(crate) fn deflate(data: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn crc(data: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(data);
    crc.sum()
}

/// Bytes that do not compress, the same for the same seed.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(|_| next()).collect()
}

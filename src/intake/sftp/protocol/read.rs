//! Bytes to requests.

use bytes::Bytes;

use super::{Handle, MAX_READ, Numbered, Request, kind};
use crate::intake::sftp::home::{Attributes, OpenFlags, Refused};

/// The longest path looked at, in bytes: PATH_MAX of Linux.
pub const MAX_PATH: usize = 4_096;
/// Most ids that `users-groups-by-id@openssh.com` may ask for at once, so that the answer stays small.
const MAX_OWNERS: usize = 1_000;

/// A READ, read without keeping anything of the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadRequest {
    pub id: u32,
    pub handle: Handle,
    pub offset: u64,
    pub length: u32,
}

/// Reads one packet (without its length word). `None` when it is too short to have a number: nobody could be answered.
#[must_use]
pub fn parse(packet: &Bytes) -> Option<Numbered> {
    let mut fields = Fields { rest: packet };
    let kind = fields.byte()?;
    let id = fields.word()?;
    let request = match kind {
        kind::EXTENDED => extended(packet, &mut fields),
        _ => plain(kind, packet, &mut fields),
    };
    let request = request.unwrap_or(Request::Refuse { operation: operation_of(kind), why: Refused::BadMessage });
    Some(Numbered { id, request })
}

/// Reads a packet that is a whole READ; anything else is for [`parse`].
#[must_use]
pub fn parse_read(packet: &[u8]) -> Option<ReadRequest> {
    let mut fields = Fields { rest: packet };
    if fields.byte()? != kind::READ {
        return None;
    }
    let id = fields.word()?;
    Some(ReadRequest { id, handle: fields.handle()?, offset: fields.long()?, length: fields.word()?.min(MAX_READ) })
}

fn plain(kind: u8, packet: &Bytes, fields: &mut Fields<'_>) -> Option<Request> {
    Some(match kind {
        kind::OPEN => {
            let path = fields.bytes(packet)?;
            let flags = open_flags(fields.word()?);
            Request::Open { path, flags, attributes: fields.attributes()? }
        }
        kind::CLOSE => Request::Close { handle: fields.handle()? },
        kind::READ => {
            let read = parse_read(packet)?;
            Request::Read { handle: read.handle, offset: read.offset, length: read.length }
        }
        kind::WRITE => Request::Write { handle: fields.handle()?, offset: fields.long()?, data: fields.bytes(packet)? },
        kind::STAT | kind::LSTAT => Request::Stat { path: fields.bytes(packet)? },
        kind::FSTAT => Request::StatOpen { handle: fields.handle()? },
        kind::SETSTAT => Request::SetStat { path: fields.bytes(packet)?, attributes: fields.attributes()? },
        kind::FSETSTAT => Request::SetStatOpen { handle: fields.handle()?, attributes: fields.attributes()? },
        kind::OPENDIR => Request::OpenFolder { path: fields.bytes(packet)? },
        kind::READDIR => Request::ReadFolder { handle: fields.handle()? },
        kind::REMOVE => Request::Remove { path: fields.bytes(packet)? },
        kind::MKDIR => Request::MakeFolder { path: fields.bytes(packet)? },
        kind::RMDIR => Request::RemoveFolder { path: fields.bytes(packet)? },
        kind::REALPATH => Request::RealPath { path: fields.bytes(packet)? },
        kind::RENAME => Request::Rename { from: fields.bytes(packet)?, to: fields.bytes(packet)?, replace: false },
        _ => Request::Refuse { operation: operation_of(kind), why: Refused::Unsupported },
    })
}

fn extended(packet: &Bytes, fields: &mut Fields<'_>) -> Option<Request> {
    let name = fields.string()?;
    Some(match name {
        b"posix-rename@openssh.com" => Request::Rename { from: fields.bytes(packet)?, to: fields.bytes(packet)?, replace: true },
        b"fsync@openssh.com" => Request::Sync { handle: fields.handle()? },
        b"statvfs@openssh.com" => Request::Space { path: fields.bytes(packet)? },
        b"fstatvfs@openssh.com" => Request::SpaceOpen { handle: fields.handle()? },
        b"lsetstat@openssh.com" => Request::SetStat { path: fields.bytes(packet)?, attributes: fields.attributes()? },
        b"limits@openssh.com" => Request::Limits,
        b"expand-path@openssh.com" => Request::ExpandPath { path: fields.bytes(packet)? },
        b"home-directory" => Request::HomeFolder,
        b"users-groups-by-id@openssh.com" => {
            let (users, groups) = (fields.string()?.len() / 4, fields.string()?.len() / 4);
            if users + groups > MAX_OWNERS {
                return None;
            }
            Request::Owners { users: u32::try_from(users).ok()?, groups: u32::try_from(groups).ok()? }
        }
        b"copy-data" => Request::CopyData {
            from: fields.handle()?,
            from_offset: fields.long()?,
            length: fields.long()?,
            to: fields.handle()?,
            to_offset: fields.long()?,
        },
        b"hardlink@openssh.com" => Request::Refuse { operation: "hardlink", why: Refused::Unsupported },
        _ => Request::Refuse { operation: "extended", why: Refused::Unsupported },
    })
}

fn operation_of(kind: u8) -> &'static str {
    match kind {
        kind::OPEN => "open",
        kind::CLOSE => "close",
        kind::READ => "read",
        kind::WRITE => "write",
        kind::STAT | kind::LSTAT => "stat",
        kind::FSTAT => "fstat",
        kind::SETSTAT => "setstat",
        kind::FSETSTAT => "fsetstat",
        kind::OPENDIR => "opendir",
        kind::READDIR => "readdir",
        kind::REMOVE => "remove",
        kind::MKDIR => "mkdir",
        kind::RMDIR => "rmdir",
        kind::REALPATH => "realpath",
        kind::RENAME => "rename",
        kind::READLINK => "readlink",
        kind::SYMLINK => "symlink",
        kind::EXTENDED => "extended",
        _ => "unknown",
    }
}

fn open_flags(bits: u32) -> OpenFlags {
    let append = bits & 4 != 0;
    // Some clients tell only APPEND; a file opened for nothing is opened for reading, as by OpenSSH.
    let write = bits & 2 != 0 || append;
    OpenFlags { read: bits & 1 != 0 || !write, write, append, create: bits & 8 != 0, truncate: bits & 16 != 0, exclusive: bits & 32 != 0 }
}

/// What is left of a packet. Every field is `None` when the bytes end before it does.
struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn word(&mut self) -> Option<u32> {
        let (word, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u32::from_be_bytes(*word))
    }

    fn long(&mut self) -> Option<u64> {
        let (long, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u64::from_be_bytes(*long))
    }

    fn string(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.word()?).ok()?;
        let (string, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(string)
    }

    /// A string as a slice of the packet it lies in.
    fn bytes(&mut self, packet: &Bytes) -> Option<Bytes> {
        let string = self.string()?;
        Some(if string.is_empty() { Bytes::new() } else { packet.slice_ref(string) })
    }

    fn handle(&mut self) -> Option<Handle> {
        let string = self.string()?;
        Some(string.try_into().map_or(Handle::NONE, |four| Handle(u32::from_be_bytes(four))))
    }

    /// ATTRS (section 5). They are the last field of every request that has them, so bits nobody defined end the reading without harm.
    fn attributes(&mut self) -> Option<Attributes> {
        let mut attributes = Attributes::default();
        if self.rest.is_empty() {
            return Some(attributes);
        }
        let present = self.word()?;
        if present & 0x1 != 0 {
            attributes.size = Some(self.long()?);
        }
        if present & 0x2 != 0 {
            attributes.owner = Some((self.word()?, self.word()?));
        }
        if present & 0x4 != 0 {
            attributes.mode = Some(self.word()?);
        }
        if present & 0x8 != 0 {
            attributes.times = Some((self.word()?, self.word()?));
        }
        if present & 0x8000_0000 != 0 {
            // Pairs nobody uses. A count larger than the bytes at hand ends at the first pair that is not there.
            for _ in 0..self.word()? {
                self.string()?;
                self.string()?;
            }
        }
        Some(attributes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(kind: u8, fields: &[&[u8]]) -> Bytes {
        [&[kind, 0, 0, 0, 7][..], &fields.concat()].concat().into()
    }

    #[test]
    fn open_flags_are_read_as_clients_mean_them() {
        let letters = |flags: OpenFlags| {
            let OpenFlags { read, write, append, create, truncate, exclusive } = flags;
            let all = [(read, 'r'), (write, 'w'), (append, 'a'), (create, 'c'), (truncate, 't'), (exclusive, 'x')];
            all.iter().filter(|(set, _)| *set).map(|(_, letter)| letter).collect::<String>()
        };
        // Opened for nothing: to read. Only APPEND: to write.
        let table =
            [(0, "r"), (1, "r"), (2, "w"), (3, "rw"), (4, "wa"), (26, "wct"), (14, "wac"), (42, "wcx"), (8, "rc"), (u32::MAX, "rwactx")];
        for (bits, want) in table {
            assert_eq!(letters(open_flags(bits)), want, "{bits}");
        }
    }

    #[test]
    fn attributes_are_read_whole_or_not_at_all() {
        let words = |words: &[u32]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
        let some = Attributes { size: Some(5), owner: Some((1, 2)), mode: Some(0o644), times: Some((3, 4)) };
        let table: &[(&[u32], Option<Attributes>)] = &[
            (&[], Some(Attributes::default())),
            (&[0], Some(Attributes::default())),
            (&[0xF, 0, 5, 1, 2, 0o644, 3, 4], Some(some.clone())),
            (&[0x8000_000F, 0, 5, 1, 2, 0o644, 3, 4, 1, 0, 0], Some(some.clone())),
            (&[0xF, 0, 5, 1, 2, 0o644, 3, 4, 99, 99], Some(some)),
            (&[0x4, 0o600], Some(Attributes { mode: Some(0o600), ..Attributes::default() })),
            (&[0x1, 0], None),
            (&[0x2, 1], None),
            (&[0x4], None),
            (&[0x8, 3], None),
            (&[0x8000_0000], None),
            (&[0x8000_0000, 2, 0, 0], None),
            (&[0x8000_0000, 1, 5, 0], None),
        ];
        for (fields, want) in table {
            let request = parse(&packet(kind::SETSTAT, &[&[0, 0, 0, 1, b'a'], &words(fields)])).unwrap().request;
            let want = match want {
                Some(attributes) => Request::SetStat { path: Bytes::from_static(b"a"), attributes: attributes.clone() },
                None => Request::Refuse { operation: "setstat", why: Refused::BadMessage },
            };
            assert_eq!(request, want, "{fields:x?}");
        }
    }

    #[test]
    fn a_packet_without_a_number_is_nobodys() {
        for length in 0..5 {
            assert_eq!(parse(&packet(kind::STAT, &[]).slice(..length)), None, "{length}");
        }
    }

    #[test]
    fn strings_are_slices_of_the_packet() {
        let packet = packet(kind::STAT, &[&[0, 0, 0, 4], b"nome"]);
        let Request::Stat { path } = parse(&packet).unwrap().request else { panic!("not a STAT") };
        assert_eq!(path.as_ptr(), packet[9..].as_ptr());
    }
}

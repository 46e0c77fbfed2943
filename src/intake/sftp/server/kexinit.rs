//! What a client calls itself and what it can do, read from its first bytes, which are not encrypted: which of our old algorithms it
//! needed.
//!
//! SSH agrees on the first of the client's list that is in ours (RFC 4253, section 7.1); the library does so and does not tell.

use std::sync::{Arc, Mutex, PoisonError};

use russh::Preferred;

/// Longest beginning that is looked at: a version line and a KEXINIT are much shorter.
const LONGEST: usize = 16 << 10;
const KEXINIT: u8 = 20;

/// Gathers the beginning of a connection until KEXINIT is in it.
#[derive(Debug, Default)]
pub struct Offer {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    bytes: Vec<u8>,
    lists: Option<Lists>,
}

/// The lists of a KEXINIT that matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Lists {
    client: Arc<str>,
    kex: Vec<String>,
    host_key: Vec<String>,
    cipher: Vec<String>,
    mac: Vec<String>,
}

impl Offer {
    /// Adds bytes of the client; true once nothing more is needed.
    pub fn look(&self, bytes: &[u8]) -> bool {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let room = LONGEST.saturating_sub(inner.bytes.len());
        inner.bytes.extend(bytes.iter().take(room));
        inner.lists = read(&inner.bytes);
        let done = inner.lists.is_some() || inner.bytes.len() >= LONGEST;
        if done {
            inner.bytes = Vec::new();
        }
        done
    }

    /// What it calls itself, as far as it can be printed.
    #[must_use]
    pub fn client(&self) -> Option<Arc<str>> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.lists.as_ref().map(|lists| lists.client.clone())
    }

    /// Algorithms agreed upon that `modern` does not have, out of `offered`.
    #[must_use]
    pub fn old(&self, offered: &Preferred, modern: &Preferred) -> Vec<String> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(lists) = &inner.lists else { return Vec::new() };
        let keys = |preferred: &Preferred| preferred.key.iter().map(ToString::to_string).collect::<Vec<_>>();
        fn names<N: AsRef<str>>(list: &[N]) -> Vec<String> {
            list.iter().map(|name| name.as_ref().to_owned()).collect()
        }
        let rows = [
            (&lists.kex, names(&offered.kex), names(&modern.kex)),
            (&lists.host_key, keys(offered), keys(modern)),
            (&lists.cipher, names(&offered.cipher), names(&modern.cipher)),
            (&lists.mac, names(&offered.mac), names(&modern.mac)),
        ];
        let mut old = Vec::new();
        for (theirs, ours, modern) in rows {
            if let Some(agreed) = theirs.iter().find(|name| ours.contains(name)).filter(|agreed| !modern.contains(agreed)) {
                old.push(agreed.clone());
            }
        }
        // With GCM and ChaCha20 no separate MAC is used, whatever was agreed.
        let sealed = lists.cipher.iter().find(|name| names(&offered.cipher).contains(name));
        if sealed.is_some_and(|cipher| cipher.contains("gcm") || cipher.contains("poly1305")) {
            old.retain(|name| !name.starts_with("hmac"));
        }
        old
    }
}

fn read(bytes: &[u8]) -> Option<Lists> {
    let mut rest = bytes;
    // A client may say something before its version.
    let client = loop {
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let (line, after) = rest.split_at_checked(end + 1)?;
        rest = after;
        if line.starts_with(b"SSH-") {
            let line = line.trim_ascii_end().iter().take(100);
            break line.map(|byte| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '?' }).collect::<String>();
        }
    };
    let length = usize::try_from(number(&mut rest)?).ok()?;
    let packet = rest.get(..length)?;
    let mut packet = packet.get(1..)?;
    if take(&mut packet, 1)?.first() != Some(&KEXINIT) {
        return None;
    }
    take(&mut packet, 16)?;
    let kex = names(&mut packet)?;
    let host_key = names(&mut packet)?;
    let cipher = names(&mut packet)?;
    names(&mut packet)?;
    let mac = names(&mut packet)?;
    Some(Lists { client: client.into(), kex, host_key, cipher, mac })
}

fn take<'b>(bytes: &mut &'b [u8], count: usize) -> Option<&'b [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

fn number(bytes: &mut &[u8]) -> Option<u32> {
    take(bytes, 4)?.try_into().ok().map(u32::from_be_bytes)
}

fn names(bytes: &mut &[u8]) -> Option<Vec<String>> {
    let length = usize::try_from(number(bytes)?).ok()?;
    let text = std::str::from_utf8(take(bytes, length)?).ok()?;
    Some(text.split(',').map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Compat;
    use crate::intake::sftp::server::algorithms::preferred;

    fn hello(lists: [&str; 5]) -> Vec<u8> {
        let mut packet = vec![4, KEXINIT];
        packet.extend([9; 16]);
        for list in lists {
            packet.extend(u32::try_from(list.len()).unwrap().to_be_bytes());
            packet.extend(list.as_bytes());
        }
        let mut bytes = b"hello\r\nSSH-2.0-Vecchio_1.0\r\n".to_vec();
        bytes.extend(u32::try_from(packet.len()).unwrap().to_be_bytes());
        bytes.extend(packet);
        bytes
    }

    #[test]
    fn only_what_was_agreed_and_is_old_is_told() {
        let modern = ["curve25519-sha256", "ssh-ed25519", "aes256-gcm@openssh.com", "aes256-ctr", "hmac-sha1"];
        let table: &[([&str; 5], &[&str])] = &[
            (modern, &[]),
            (
                [
                    "diffie-hellman-group1-sha1,diffie-hellman-group14-sha1",
                    "ssh-dss,ssh-rsa",
                    "blowfish-cbc,aes128-cbc",
                    "x",
                    "hmac-md5,hmac-sha1",
                ],
                &["diffie-hellman-group14-sha1", "ssh-rsa", "aes128-cbc", "hmac-sha1"],
            ),
            (["ecdh-sha2-nistp256", "rsa-sha2-512,ssh-rsa", "aes128-ctr", "x", "hmac-sha2-256"], &["ecdh-sha2-nistp256", "hmac-sha2-256"]),
            (["sconosciuto", "", "", "", ""], &[]),
        ];
        for (lists, want) in table {
            let bytes = hello(*lists);
            for cut in [1, 7, 30, bytes.len()] {
                let offer = Offer::default();
                let mut done = false;
                for piece in bytes.chunks(cut) {
                    done = done || offer.look(piece);
                }
                assert!(done, "{lists:?} cut by {cut}");
                let old = offer.old(&preferred(Compat::Legacy), &preferred(Compat::Moderno));
                assert_eq!(&old, want, "{lists:?} cut by {cut}");
                assert_eq!(offer.client().as_deref(), Some("SSH-2.0-Vecchio_1.0"), "{lists:?} cut by {cut}");
            }
        }
    }

    #[test]
    fn garbage_is_looked_at_only_so_far() {
        for bytes in [b"SSH-2.0-x\r\n\xff\xff\xff\xff".to_vec(), vec![b'a'; 100_000], vec![0; 100_000], Vec::new()] {
            let offer = Offer::default();
            for piece in bytes.chunks(1_000) {
                offer.look(piece);
            }
            assert!(offer.old(&preferred(Compat::Legacy), &preferred(Compat::Moderno)).is_empty());
            assert!(offer.inner.lock().unwrap().bytes.len() <= LONGEST);
        }
    }
}

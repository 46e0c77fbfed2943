//! `[sftp]` and `[gestionale.sftp]`: the door gestionali upload through, and who may come in.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use jiff::civil::Date;
use russh::keys::PublicKey;
use serde::Deserialize;

use super::SecretRef;
use super::address::check_secret;
use super::check::{Add, ConfigFault};
use crate::flow::shape::{Key, Kind, may, need};

/// `[sftp]`: the SFTP server. Without it nothing listens. Seconds are real time.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SftpConfig {
    /// `[[sftp.listen]]`: at least one.
    pub listen: Vec<SftpListener>,
    /// Folder of the host keys, made on the first start; default `<data>/chiavi-ssh`.
    #[serde(default)]
    pub host_keys: Option<PathBuf>,
    #[serde(flatten)]
    pub limits: SftpLimits,
}

/// Timers and ceilings of `[sftp]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct SftpLimits {
    /// From the connection to a successful login (seconds).
    pub login_grace_s: u64,
    /// Sessions that ask for nothing are ended after this long (seconds).
    pub idle_s: u64,
    /// Sessions whose client takes nothing of what it asked for are ended after this long (seconds).
    pub stalled_s: u64,
    /// How often a silent client is asked whether it is there (seconds); three silences end the session.
    pub keepalive_s: u64,
    /// At the stop of the service, how long running transfers may take to end (seconds).
    pub stop_grace_s: u64,
    /// Bytes in one direction after which new keys are agreed.
    pub rekey_bytes: u64,
    /// Connections of all accounts together.
    pub max_connections: u64,
    /// Connections that have not logged in yet.
    pub max_unauthenticated: u64,
    /// Channels of one connection.
    pub max_channels: u64,
    /// Files and folders that one session may have open.
    pub max_handles: u64,
    /// Largest file that is taken (bytes), by offset.
    pub max_file_bytes: u64,
    /// Whether addresses that guess passwords are slowed down, then banned.
    pub defender: bool,
    /// First ban (seconds); each one after it is twice as long, up to a day.
    pub ban_s: u64,
}

impl Default for SftpLimits {
    fn default() -> Self {
        SftpLimits {
            login_grace_s: 60,
            idle_s: 1_800,
            stalled_s: 300,
            keepalive_s: 60,
            stop_grace_s: 20,
            rekey_bytes: 1 << 30,
            max_connections: 2_000,
            max_unauthenticated: 100,
            max_channels: 4,
            max_handles: 256,
            max_file_bytes: 16 << 30,
            defender: true,
            ban_s: 900,
        }
    }
}

/// `[[sftp.listen]]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SftpListener {
    /// `address:port`; `[::]:2222` takes IPv4 too.
    pub address: String,
    #[serde(default)]
    pub compat: Compat,
}

impl SftpListener {
    /// Where it listens.
    pub fn socket(&self) -> Option<SocketAddr> {
        self.address.parse().ok()
    }
}

/// Which algorithms a listener offers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compat {
    /// What `ssh-audit` approves of.
    #[default]
    Moderno,
    /// Adds what clients of ten years ago need; each use is logged with its account.
    Legacy,
}

/// `[gestionale.sftp]`: how the gestionale comes in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SftpAccount {
    /// The name it logs in with.
    pub user: String,
    /// Public keys, each a line of `authorized_keys` without options.
    #[serde(default)]
    pub keys: Vec<String>,
    /// What `messo password` printed, or where it lies.
    #[serde(default)]
    pub password: Option<String>,
    /// Networks it may come from (`10.1.0.0/16`); none: anywhere.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// Bytes it may keep in its folders (0: no limit).
    #[serde(default)]
    pub quota_bytes: u64,
    /// Files it may keep in its folders (0: no limit).
    #[serde(default)]
    pub quota_files: u64,
    /// Sessions at one time: clients open one more for each transfer.
    #[serde(default = "default_sessions")]
    pub sessions: u32,
    /// Last day on which it may log in (Rome).
    #[serde(default)]
    pub expires: Option<String>,
    /// Whether it may delete and move what messo publishes.
    #[serde(default = "yes")]
    pub may_delete: bool,
}

fn default_sessions() -> u32 {
    10
}

fn yes() -> bool {
    true
}

/// `10.1.0.0/16`, `2001:db8::/32`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Whether the address is in it; an IPv4 address told as IPv6 counts as IPv4.
    #[must_use]
    pub fn holds(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let shift = 32 - u32::from(self.bits);
                let cut = |address: std::net::Ipv4Addr| u32::from(address).checked_shr(shift).unwrap_or(0);
                cut(own) == cut(other)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let shift = 128 - u32::from(self.bits);
                let cut = |address: std::net::Ipv6Addr| u128::from(address).checked_shr(shift).unwrap_or(0);
                cut(own) == cut(other)
            }
            _ => false,
        }
    }
}

/// Why a text is no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a network")]
pub struct NotANetwork;

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| NotANetwork)?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NotANetwork)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        if bits > most { Err(NotANetwork) } else { Ok(Network { address, bits }) }
    }
}

/// A key of `authorized_keys`: one that can be used, without options or certificates.
pub fn read_public_key(line: &str) -> Option<PublicKey> {
    let key = PublicKey::from_openssh(line.trim()).ok()?;
    let big_enough = match key.key_data() {
        russh::keys::ssh_key::public::KeyData::Rsa(rsa) => rsa.n().as_positive_bytes().is_some_and(|modulus| modulus.len() >= 256),
        russh::keys::ssh_key::public::KeyData::Ed25519(_) | russh::keys::ssh_key::public::KeyData::Ecdsa(_) => true,
        _ => false,
    };
    big_enough.then_some(key)
}

/// Memory (KiB), rounds and lanes of a password's hash that are still checked at each login.
const MOST_MEMORY: u32 = 256 << 10;
const MOST_ROUNDS: u32 = 16;
const MOST_LANES: u32 = 8;

/// Whether it is a hash that `messo password` may have printed.
pub fn is_password_hash(text: &str) -> bool {
    let Ok(hash) = argon2::PasswordHash::new(text) else { return false };
    let Ok(params) = argon2::Params::try_from(&hash) else { return false };
    hash.algorithm.as_str() == "argon2id"
        && hash.hash.is_some()
        && hash.salt.is_some()
        && params.m_cost() <= MOST_MEMORY
        && params.t_cost() <= MOST_ROUNDS
        && params.p_cost() <= MOST_LANES
}

impl SftpAccount {
    /// Its password, when it is said where it lies.
    pub fn password_place(&self) -> Option<SecretRef> {
        self.password.as_ref().filter(|text| !text.starts_with('$')).map(|text| SecretRef(text.clone()))
    }

    pub(super) fn check(&self, key: &dyn Fn(&str) -> String, add: Add<'_>) {
        let good = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if !(1..=64).contains(&self.user.len()) || !self.user.chars().all(good) || self.user.starts_with('-') {
            add(&key("user"), ConfigFault::User);
        }
        for (number, line) in self.keys.iter().enumerate() {
            if read_public_key(line).is_none() {
                add(&key(&format!("keys[{number}]")), ConfigFault::PublicKey);
            }
        }
        match (&self.password, self.password_place()) {
            (Some(_), Some(place)) => check_secret(&place, &key("password"), &mut |at, fault| {
                // Neither a place nor a hash: perhaps the password itself.
                add(at, if fault == ConfigFault::Secret { ConfigFault::PasswordHash } else { fault });
            }),
            (Some(hash), None) if !is_password_hash(hash) => add(&key("password"), ConfigFault::PasswordHash),
            (None, _) if self.keys.is_empty() => add(&key("keys"), ConfigFault::NoLogin),
            _ => {}
        }
        for (number, network) in self.addresses.iter().enumerate() {
            if network.parse::<Network>().is_err() {
                add(&key(&format!("addresses[{number}]")), ConfigFault::Network);
            }
        }
        if self.expires.as_ref().is_some_and(|date| date.parse::<Date>().is_err()) {
            add(&key("expires"), ConfigFault::Date);
        }
    }
}

impl SftpConfig {
    pub(super) fn check(&self, add: Add<'_>) {
        if self.listen.is_empty() {
            add("sftp.listen", ConfigFault::Empty);
        }
        for (number, listener) in self.listen.iter().enumerate() {
            let key = format!("sftp.listen[{number}].address");
            match listener.socket() {
                None => add(&key, ConfigFault::Listen),
                Some(socket) if self.listen.iter().take(number).any(|before| before.socket() == Some(socket)) && socket.port() != 0 => {
                    add(&key, ConfigFault::ListenTwice);
                }
                Some(_) => {}
            }
        }
        if self.limits.max_unauthenticated > self.limits.max_connections {
            add("sftp.max_unauthenticated", ConfigFault::Order { other: "max_connections" });
        }
    }
}

const DAY: i64 = 86_400;

/// The keys of `[sftp]`.
pub(super) const SFTP: &[Key] = &[
    need("listen", Kind::Tables(&[need("address", Kind::Text), may("compat", Kind::Word(&["moderno", "legacy"]))])),
    may("host_keys", Kind::Text),
    may("login_grace_s", Kind::Whole(1, 3_600)),
    may("idle_s", Kind::Whole(1, 7 * DAY)),
    may("stalled_s", Kind::Whole(1, DAY)),
    may("keepalive_s", Kind::Whole(1, DAY)),
    may("stop_grace_s", Kind::Whole(0, 3_600)),
    may("rekey_bytes", Kind::Whole(1 << 20, 1 << 30)),
    may("max_connections", Kind::Whole(1, 100_000)),
    may("max_unauthenticated", Kind::Whole(1, 100_000)),
    may("max_channels", Kind::Whole(1, 64)),
    may("max_handles", Kind::Whole(1, 100_000)),
    may("max_file_bytes", Kind::Whole(1, 1 << 44)),
    may("defender", Kind::Flag),
    may("ban_s", Kind::Whole(1, DAY)),
];

/// The keys of `[gestionale.sftp]`.
pub(super) const ACCOUNT: &[Key] = &[
    need("user", Kind::Text),
    may("keys", Kind::Texts),
    may("password", Kind::Text),
    may("addresses", Kind::Texts),
    may("quota_bytes", Kind::Whole(0, 1 << 50)),
    may("quota_files", Kind::Whole(0, 1 << 40)),
    may("sessions", Kind::Whole(1, 1_000)),
    may("expires", Kind::Text),
    may("may_delete", Kind::Flag),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_their_addresses() {
        let table = [
            ("10.1.0.0/16", "10.1.255.3", Some(true)),
            ("10.1.0.0/16", "10.2.0.1", Some(false)),
            ("10.1.0.0/16", "::ffff:10.1.2.3", Some(true)),
            ("0.0.0.0/0", "203.0.113.9", Some(true)),
            ("0.0.0.0/0", "2001:db8::1", Some(false)),
            ("::/0", "2001:db8::1", Some(true)),
            ("2001:db8:1::/48", "2001:db8:1:ff::9", Some(true)),
            ("2001:db8:1::/48", "2001:db8:2::9", Some(false)),
            ("192.0.2.7", "192.0.2.7", Some(true)),
            ("192.0.2.7", "192.0.2.8", Some(false)),
            ("192.0.2.0/33", "192.0.2.8", None),
            ("192.0.2", "192.0.2.8", None),
            ("", "192.0.2.8", None),
        ];
        for (network, address, want) in table {
            let got = network.parse::<Network>().ok().map(|network| network.holds(address.parse().unwrap()));
            assert_eq!(got, want, "{network} {address}");
        }
    }

    #[test]
    fn only_argon2id_of_a_sane_cost_is_a_password() {
        let good = "$argon2id$v=19$m=8192,t=1,p=1$YWJjZGVmZ2hpamtsbW5vcA$9sTbSlTio3Biev89thdrlKKiCaYsjjYVJxGAL3swxpQ";
        let table = [
            (good.to_owned(), true),
            (good.replace("m=8192", "m=4194304"), false),
            (good.replace("t=1", "t=100"), false),
            (good.replace("argon2id", "argon2i"), false),
            ("segreto".to_owned(), false),
            ("$argon2id$v=19$m=8192,t=1,p=1$YWJjZGVmZ2hpamtsbW5vcA".to_owned(), false),
            ("$2b$12$abcdefghijklmnopqrstuv".to_owned(), false),
        ];
        for (text, want) in table {
            assert_eq!(is_password_hash(&text), want, "{text}");
        }
    }

    #[test]
    fn keys_are_lines_of_authorized_keys() {
        let ed = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ ufficio@esempio";
        let table = [
            (ed.to_owned(), true),
            (format!("  {ed}\n"), true),
            (format!("no-pty {ed}"), false),
            ("ssh-ed25519 AAAA".to_owned(), false),
            (ed.split(' ').nth(1).unwrap().to_owned(), false),
            (String::new(), false),
        ];
        for (line, want) in table {
            assert_eq!(read_public_key(&line).is_some(), want, "{line}");
        }
    }
}

//! Who guesses passwords is slowed down, then banned for a time. Pure: time is an argument, nothing is stored here.
//!
//! Addresses are judged, never accounts: strangers cannot lock a gestionale out. Behind one public address there may be a whole
//! office, so that a login that succeeds forgives what its address did wrong before: nameless things and its own account's. Whoever
//! has one account gains nothing from it for guessing another.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use jiff::{SignedDuration, Timestamp};

/// What an address did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offence {
    /// A wrong password, or a key that is not the account's, after all it had to offer. It counts the same for a user that does not
    /// exist: nobody learns from it who does.
    WrongSecret,
    /// Kept a place for strangers until its time was over. Who merely comes and goes is a monitor.
    NoLogin,
    /// Spoke something that is not SSH, or not SFTP.
    Garbage,
}

impl Offence {
    fn points(self) -> f64 {
        match self {
            Offence::WrongSecret => 10.0,
            Offence::Garbage => 5.0,
            Offence::NoLogin => 5.0,
        }
    }
}

/// What is done with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Welcome,
    /// Its logins are answered later by so much.
    Slow(SignedDuration),
    Banned {
        until: Timestamp,
    },
}

/// Points past which a login is answered later, and past which the address is banned.
const SLOW: u32 = 30;
const BAN: u32 = 100;
/// Half of the points are forgotten in this time, little by little.
const HALF_LIFE: SignedDuration = SignedDuration::from_mins(10);
/// Each ban doubles the next one, up to this.
const LONGEST_BAN: SignedDuration = SignedDuration::from_hours(24);
/// An address that did nothing wrong for this long starts anew.
pub const FORGET: SignedDuration = SignedDuration::from_hours(48);
/// Accounts that one address got wrong and that are told apart.
const ACCOUNTS: usize = 16;
/// Addresses that are remembered: past it the oldest are forgotten.
const MOST: usize = 20_000;

/// A ban, as it is kept and shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ban {
    /// The address, or its /64.
    pub address: String,
    pub since: Timestamp,
    pub until: Timestamp,
    /// Bans of that address so far, this one included.
    pub times: u32,
}

#[derive(Debug, Clone)]
struct Record {
    /// By the account whose secret was wrong; the empty name for what strangers do.
    points: Vec<(String, f64)>,
    /// When `points` were right.
    at: Timestamp,
    since: Timestamp,
    until: Option<Timestamp>,
    times: u32,
}

/// The memory of addresses.
#[derive(Debug)]
pub struct Defender {
    first_ban: SignedDuration,
    records: HashMap<IpAddr, Record>,
}

/// What stands for an address: itself, or the /64 that an IPv6 client has for itself.
#[must_use]
pub fn judged(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

/// How a judged address is written: `192.0.2.1`, `2001:db8:1:2::/64`.
#[must_use]
pub fn shown(address: IpAddr) -> String {
    match judged(address) {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("{v6}/64"),
    }
}

/// Reads back what [`shown`] wrote, or any address.
#[must_use]
pub fn read(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    text.strip_suffix("/64").unwrap_or(text).parse().ok().map(judged)
}

impl Defender {
    /// `first_ban`: how long the first ban of an address lasts.
    #[must_use]
    pub fn new(first_ban: SignedDuration) -> Defender {
        Defender { first_ban, records: HashMap::new() }
    }

    /// Takes back a ban of an earlier run; one that is over makes the next one longer.
    pub fn restore(&mut self, ban: &Ban) {
        if let Some(address) = read(&ban.address) {
            let record = Record { points: Vec::new(), at: ban.since, since: ban.since, until: Some(ban.until), times: ban.times };
            self.records.insert(address, record);
        }
    }

    /// Whether that address may come in now.
    #[must_use]
    pub fn look(&self, address: IpAddr, now: Timestamp) -> Verdict {
        let Some(record) = self.records.get(&judged(address)) else { return Verdict::Welcome };
        if let Some(until) = record.until.filter(|until| *until > now) {
            return Verdict::Banned { until };
        }
        match record.total_at(now) {
            points if points < SLOW => Verdict::Welcome,
            points => Verdict::Slow(SignedDuration::from_millis(i64::from(points.min(BAN)) * 50)),
        }
    }

    /// An address did something wrong; the ban that follows from it, when one does.
    pub fn offend(&mut self, address: IpAddr, offence: Offence, account: Option<&str>, now: Timestamp) -> Option<Ban> {
        let address = judged(address);
        if self.records.len() >= MOST && !self.records.contains_key(&address) {
            self.make_room(now);
        }
        let fresh = || Record { points: Vec::new(), at: now, since: now, until: None, times: 0 };
        let record = self.records.entry(address).or_insert_with(fresh);
        if now.duration_since(record.at) > FORGET && record.until.is_none_or(|until| now.duration_since(until) > FORGET) {
            *record = fresh();
        }
        record.settle(now);
        record.add(account.unwrap_or_default(), offence.points());
        if record.total_at(now) < BAN || record.until.is_some_and(|until| until > now) {
            return None;
        }
        let doubled = self.first_ban.saturating_mul(1i32 << record.times.min(20));
        let until = now.saturating_add(doubled.min(LONGEST_BAN)).unwrap_or(Timestamp::MAX);
        record.points.clear();
        record.since = now;
        record.until = Some(until);
        record.times = record.times.saturating_add(1);
        Some(Ban { address: shown(address), since: now, until, times: record.times })
    }

    /// Someone logged in from there: the points of that account and of strangers are forgotten, not how often it was banned.
    pub fn forgive(&mut self, address: IpAddr, account: &str, now: Timestamp) {
        if let Some(record) = self.records.get_mut(&judged(address)) {
            record.settle(now);
            record.points.retain(|(whose, _)| !whose.is_empty() && whose != account);
        }
    }

    /// An operator lifts a ban, and forgets the rest too. Whether there was one.
    pub fn lift(&mut self, address: IpAddr, now: Timestamp) -> bool {
        self.records.remove(&judged(address)).is_some_and(|record| record.until.is_some_and(|until| until > now))
    }

    /// Addresses that are banned now, the longest first.
    #[must_use]
    pub fn bans(&self, now: Timestamp) -> Vec<Ban> {
        let banned = self.records.iter().filter_map(|(address, record)| {
            let until = record.until.filter(|until| *until > now)?;
            Some(Ban { address: shown(*address), since: record.since, until, times: record.times })
        });
        let mut bans: Vec<Ban> = banned.collect();
        bans.sort_by(|a, b| b.until.cmp(&a.until).then_with(|| a.address.cmp(&b.address)));
        bans
    }

    /// Forgets what is over; if that is not enough, the tenth that was quiet for longest and is not banned.
    fn make_room(&mut self, now: Timestamp) {
        let over = |record: &Record| record.until.is_none_or(|until| until <= now);
        self.records.retain(|_, record| !(over(record) && now.duration_since(record.at) > FORGET));
        if self.records.len() < MOST {
            return;
        }
        let mut quiet: Vec<(bool, Timestamp, IpAddr)> =
            self.records.iter().map(|(address, record)| (!over(record), record.at, *address)).collect();
        quiet.sort_unstable();
        for (_, _, address) in quiet.into_iter().take(MOST / 10) {
            self.records.remove(&address);
        }
    }
}

impl Record {
    /// What is left of a point at that time.
    fn left(&self, now: Timestamp) -> f64 {
        let halves = now.duration_since(self.at).as_secs_f64().max(0.0) / HALF_LIFE.as_secs_f64();
        0.5f64.powf(halves)
    }

    /// All points, to the nearest whole one.
    fn total_at(&self, now: Timestamp) -> u32 {
        (self.points.iter().map(|(_, points)| points).sum::<f64>() * self.left(now)).round() as u32
    }

    /// Forgets what is to be forgotten by now.
    fn settle(&mut self, now: Timestamp) {
        let left = self.left(now);
        self.points.iter_mut().for_each(|(_, points)| *points *= left);
        self.points.retain(|(_, points)| *points >= 0.01);
        self.at = self.at.max(now);
    }

    fn add(&mut self, account: &str, more: f64) {
        let full = self.points.len() >= ACCOUNTS;
        // One that is past telling apart goes with the last that was told: it is forgiven only with that one.
        let place = self.points.iter().position(|(whose, _)| whose == account).or(full.then_some(ACCOUNTS - 1));
        match place.and_then(|place| self.points.get_mut(place)) {
            Some((_, points)) => *points += more,
            None => self.points.push((account.to_owned(), more)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    /// (second, address, what it did, what follows): `ok`, `slow`, `ban <seconds>`.
    #[test]
    fn addresses_are_slowed_down_then_banned() {
        use Offence::{Garbage, NoLogin, WrongSecret};
        let a = "203.0.113.7";
        let same64 = ["2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:3::1"];
        type Row<'a> = (i64, &'a str, Option<Offence>, &'a str);
        let table: &[(&str, Vec<Row<'_>>)] = &[
            ("a typing error harms nobody", vec![(0, a, Some(WrongSecret), "ok"), (5, a, Some(WrongSecret), "ok"), (9, a, None, "ok")]),
            (
                "the third is slow",
                vec![(0, a, Some(WrongSecret), "ok"), (1, a, Some(WrongSecret), "ok"), (2, a, Some(WrongSecret), "slow")],
            ),
            (
                "what was long ago counts half",
                vec![(0, a, Some(WrongSecret), "ok"), (0, a, Some(WrongSecret), "ok"), (600, a, Some(WrongSecret), "ok")],
            ),
            (
                "ten guesses are a ban",
                [(0, a, Some(WrongSecret), "ok"); 2]
                    .into_iter()
                    .chain([(0, a, Some(WrongSecret), "slow"); 7])
                    .chain([(0, a, Some(WrongSecret), "ban 900"), (899, a, None, "ban 1"), (900, a, None, "ok")])
                    .collect(),
            ),
            (
                "a program that tries every nine minutes with an old password",
                (0..200).map(|at| (at * 540, a, Some(WrongSecret), "ok")).collect(),
            ),
            (
                "others are not concerned",
                vec![(0, a, Some(Garbage), "ok"), (0, "203.0.113.8", None, "ok"), (0, "::ffff:203.0.113.7", Some(NoLogin), "ok")],
            ),
            (
                "an IPv6 client has its whole /64",
                vec![
                    (0, same64[0], Some(WrongSecret), "ok"),
                    (0, same64[1], Some(WrongSecret), "ok"),
                    (0, same64[0], Some(WrongSecret), "slow"),
                    (0, same64[2], None, "ok"),
                ],
            ),
        ];
        for (name, rows) in table {
            let mut defender = Defender::new(SignedDuration::from_secs(900));
            for (second, address, offence, want) in rows {
                let address: IpAddr = address.parse().unwrap();
                let ban = offence.and_then(|offence| defender.offend(address, offence, None, at(*second)));
                let got = match defender.look(address, at(*second)) {
                    Verdict::Welcome => "ok".to_owned(),
                    Verdict::Slow(_) => "slow".to_owned(),
                    Verdict::Banned { until } => format!("ban {}", until.duration_since(at(*second)).as_secs()),
                };
                assert_eq!(&got, want, "{name}: second {second} {address} {offence:?}");
                assert_eq!(ban.is_some(), offence.is_some() && want.starts_with("ban"), "{name}: second {second}");
            }
        }
    }

    fn ban(defender: &mut Defender, address: IpAddr, second: i64) -> Ban {
        (0..10).find_map(|_| defender.offend(address, Offence::WrongSecret, None, at(second))).unwrap()
    }

    #[test]
    fn bans_grow_survive_and_are_lifted() {
        let address: IpAddr = "203.0.113.7".parse().unwrap();
        let mut defender = Defender::new(SignedDuration::from_secs(900));
        let first = ban(&mut defender, address, 0);
        assert_eq!((first.until, first.times, first.address.as_str()), (at(900), 1, "203.0.113.7"));
        let mut again = Defender::new(SignedDuration::from_secs(900));
        again.restore(&first);
        assert_eq!(again.look(address, at(10)), Verdict::Banned { until: at(900) });
        assert_eq!(again.bans(at(10)), [first]);
        let second = ban(&mut again, address, 1_000);
        assert_eq!((second.until, second.times), (at(1_000 + 1_800), 2), "the second ban is twice as long");
        let mut later = Defender::new(SignedDuration::from_secs(900));
        later.restore(&second);
        assert_eq!((later.look(address, at(5_000)), later.bans(at(5_000)).len()), (Verdict::Welcome, 0), "it was over at the restart");
        assert_eq!(ban(&mut later, address, 5_000).until, at(5_000 + 3_600), "and is not forgotten");
        assert!(again.lift(address, at(1_001)) && !again.lift(address, at(1_001)));
        assert_eq!(again.look(address, at(1_001)), Verdict::Welcome);
        assert!(again.bans(at(1_001)).is_empty());
        for round in 0..30 {
            ban(&mut again, address, 100_000 * (round + 1));
        }
        let longest = again.bans(at(100_000 * 30));
        assert_eq!(longest[0].until, at(100_000 * 30 + 86_400), "never longer than a day");
    }

    #[test]
    fn a_login_forgives_and_memory_is_bounded() {
        let address: IpAddr = "203.0.113.7".parse().unwrap();
        let mut defender = Defender::new(SignedDuration::from_secs(900));
        for account in [None, None, Some("polizia"), Some("polizia"), Some("anagrafe"), Some("anagrafe"), Some("anagrafe")] {
            defender.offend(address, Offence::WrongSecret, account, at(0));
        }
        defender.forgive(address, "polizia", at(0));
        assert!(matches!(defender.look(address, at(0)), Verdict::Slow(_)), "who has one account may not guess another for ever");
        defender.forgive(address, "anagrafe", at(0));
        assert_eq!(defender.look(address, at(0)), Verdict::Welcome);
        for number in 0..1_000 {
            defender.offend(address, Offence::Garbage, Some(&number.to_string()), at(0));
        }
        assert!(defender.records.values().all(|record| record.points.len() <= ACCOUNTS));
        let banned: IpAddr = "198.51.100.1".parse().unwrap();
        ban(&mut defender, banned, 0);
        for number in 0..(MOST as u32 + 500) {
            defender.offend(IpAddr::V4(std::net::Ipv4Addr::from(0x0a00_0000 + number)), Offence::NoLogin, None, at(1));
        }
        assert!(defender.records.len() <= MOST, "{}", defender.records.len());
        assert!(matches!(defender.look(banned, at(1)), Verdict::Banned { .. }), "a flood of addresses does not free one that is banned");
    }

    #[test]
    fn addresses_are_read_as_they_are_shown() {
        for (text, want) in [
            ("192.0.2.1", Some("192.0.2.1")),
            ("2001:db8:1:2:3::4", Some("2001:db8:1:2::/64")),
            ("2001:db8:1:2::/64", Some("2001:db8:1:2::/64")),
            ("::ffff:192.0.2.1", Some("192.0.2.1")),
            ("pippo", None),
        ] {
            assert_eq!(read(text).map(shown).as_deref(), want, "{text}");
        }
    }
}

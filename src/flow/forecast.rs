//! When the last act of a batch is expected to leave, ente by ente: calls and money of each day, hours of the flow, what is in
//! the queue before. Pure; an estimate for receipts, on which nothing depends.

use jiff::civil::{Date, DateTime, Time};

/// SEND's base fee for each recipient, cents.
pub const BASE_FEE: u64 = 100;
/// Files announced by one `preload` call (`reference send.md` 3).
const FILES_OF_A_CALL: u64 = 15;
/// Calls that follow a POST for each recipient: price, legal facts.
const FOLLOW_UPS: u64 = 3;
/// New sends leave this share of a day's calls to follow-ups (percent).
const RESERVE: u64 = 5;
/// Days looked ahead: who needs more is told this many.
const HORIZON: u64 = 3_650;

/// What an ente may do in a Rome day; 0 is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    pub calls_per_day: u64,
    pub calls_per_second: u64,
    /// Cents of base fees.
    pub spend_per_day: u64,
    /// Hours of the flow, `from` before `to`; `None`: at any time.
    pub window: Option<(Time, Time)>,
}

/// Acts to be sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    pub acts: u64,
    pub recipients: u64,
    pub files: u64,
}

impl Work {
    fn calls(self) -> u64 {
        self.acts + self.recipients * FOLLOW_UPS + self.files.div_ceil(FILES_OF_A_CALL)
    }

    fn cents(self) -> u64 {
        self.recipients * BASE_FEE
    }

    fn and(self, other: Work) -> Work {
        Work { acts: self.acts + other.acts, recipients: self.recipients + other.recipients, files: self.files + other.files }
    }
}

/// What of today's limits is used already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    pub calls: u64,
    pub cents: u64,
}

/// The Rome day on which the last of `own` leaves, after what is `ahead` in the queue of the ente. `now` is Rome time. `None`: the
/// limits never let it.
pub fn last_send(limits: &Limits, ahead: Work, own: Work, used: Used, now: DateTime) -> Option<Date> {
    let work = ahead.and(own);
    let (from, to) = limits.window.unwrap_or((Time::MIN, Time::MAX));
    let whole_day = seconds(from, to);
    let left_today = if now.time() >= to { 0 } else { seconds(now.time().max(from), to) };
    let rate = |seconds: u64| if limits.calls_per_second == 0 { u64::MAX } else { limits.calls_per_second.saturating_mul(seconds) };
    let quota = if limits.calls_per_day == 0 { u64::MAX } else { (limits.calls_per_day - limits.calls_per_day * RESERVE / 100).max(1) };
    let spend = if limits.spend_per_day == 0 { u64::MAX } else { limits.spend_per_day / BASE_FEE * BASE_FEE };
    let open_today = left_today > 0;
    let calls = Days {
        today: if open_today { rate(left_today).min(quota.saturating_sub(used.calls)) } else { 0 },
        each: rate(whole_day).min(quota),
    };
    let cents = Days { today: if open_today { spend.saturating_sub(used.cents) } else { 0 }, each: spend };
    let days = calls.needed(work.calls())?.max(cents.needed(work.cents())?).min(HORIZON);
    now.date().checked_add(jiff::Span::new().days(i64::try_from(days).ok()?)).ok()
}

/// Something of which there is so much today, and so much on each day after.
struct Days {
    today: u64,
    each: u64,
}

impl Days {
    /// Days after today until `wanted` is through.
    fn needed(&self, wanted: u64) -> Option<u64> {
        match wanted.saturating_sub(self.today) {
            0 => Some(0),
            _ if self.each == 0 => None,
            rest => Some(rest.div_ceil(self.each)),
        }
    }
}

fn seconds(from: Time, to: Time) -> u64 {
    u64::try_from(to.duration_since(from).as_secs()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::{date, time};

    #[test]
    fn the_day_of_the_last_act() {
        let none = Limits::default();
        let calls = |calls_per_day| Limits { calls_per_day, ..none };
        let money = |spend_per_day| Limits { spend_per_day, ..none };
        let hours = |limits, from, to| Limits { window: Some((time(from, 0, 0, 0), time(to, 0, 0, 0))), ..limits };
        let acts = |acts| Work { acts, recipients: acts, files: acts };
        let (nothing, unused) = (Work::default(), Used::default());
        // Limits, ahead, own, used today, hour now: days after today.
        let table = [
            ("no limit", none, nothing, acts(100_000), unused, 9, Some(0)),
            ("fits today", calls(1_000), nothing, acts(200), unused, 9, Some(0)),
            ("95 of 100 calls a day, 4 an act and the preloads", calls(100), nothing, acts(120), unused, 9, Some(5)),
            ("what is ahead goes first", calls(100), acts(120), acts(1), unused, 9, Some(5)),
            ("today is half used", calls(100), nothing, acts(20), Used { calls: 50, cents: 0 }, 9, Some(1)),
            ("many files are many calls", calls(1_000), nothing, Work { acts: 10, recipients: 10, files: 30_000 }, unused, 9, Some(2)),
            ("three euro a day, five acts", money(300), nothing, acts(5), unused, 9, Some(1)),
            ("a fee is not divided", money(399), nothing, acts(6), unused, 9, Some(1)),
            ("two of three euro are spent", money(300), nothing, acts(2), Used { calls: 0, cents: 200 }, 9, Some(1)),
            ("every recipient costs", money(300), nothing, Work { acts: 1, recipients: 7, files: 1 }, unused, 9, Some(2)),
            ("never", money(99), nothing, acts(1), unused, 9, None),
            ("before the hours", hours(none, 10, 14), nothing, acts(5), unused, 9, Some(0)),
            ("after the hours", hours(none, 10, 14), nothing, acts(5), unused, 15, Some(1)),
            ("after the hours, with money", hours(money(300), 10, 14), nothing, acts(5), unused, 15, Some(2)),
            (
                "calls a second in the hours",
                hours(Limits { calls_per_second: 1, ..none }, 10, 11),
                nothing,
                acts(1_000),
                unused,
                9,
                Some(1),
            ),
            ("the rest of the hour", hours(Limits { calls_per_second: 1, ..none }, 8, 10), nothing, acts(1_000), unused, 9, Some(1)),
            ("far away", calls(1), nothing, acts(1_000_000), unused, 9, Some(3_650)),
        ];
        let today = date(2026, 11, 22);
        for (what, limits, ahead, own, used, hour, want) in table {
            let got = last_send(&limits, ahead, own, used, today.at(hour, 0, 0, 0));
            let want = want.map(|days| today.checked_add(jiff::Span::new().days(days)).unwrap());
            assert_eq!(got, want, "{what}");
        }
    }
}

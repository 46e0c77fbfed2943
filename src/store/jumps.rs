//! The machine's clock jumped: instants kept for later are moved with it, or an hour back would be an hour of silence, and an hour on
//! a lease that ends under a worker. What a clock that was ahead wrote down as done is not done for years to come.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, params};

use super::codec::{at, ms, optional};
use super::{Store, StoreError, engine};
use crate::domain::calendar::in_rome;

const LEASES: &str = "UPDATE job SET lease_until = lease_until + ?1 WHERE state = 'IN_CORSO' AND lease_until >= 0";
const WAITING: &str = "UPDATE job SET due_at = due_at + ?1 WHERE state = 'ATTESA' AND due_at > ?2";
const ORDERS: &str = "UPDATE batch_order SET due_at = due_at + ?1 WHERE done = 0 AND due_at > ?2";
const HEARD: &str = "UPDATE act SET heard_at = ?1 WHERE state IN ('INVIATO', 'IN_CONSEGNA', 'IN_ANNULLAMENTO') AND heard_at > ?1";
/// Mails under way keep their lease; for how long one was tried already is a span, not an instant.
const MAIL_LEASES: &str =
    "UPDATE mail SET lease_until = lease_until + ?1, failed_at = failed_at + ?1 WHERE state = 'IN_CORSO' AND lease_until >= 0";
const MAIL_TRIED: &str = "UPDATE mail SET failed_at = failed_at + ?1 WHERE state = 'ATTESA' AND due_at >= 0";
const MAIL_WAITING: &str = "UPDATE mail SET due_at = due_at + ?1 WHERE state = 'ATTESA' AND due_at > ?2";
const MAIL_WINDOWS: &str = "UPDATE mail_window SET until = until + ?1 WHERE until > ?2";
/// The reports of days that have not ended yet count as made up to the last day that has.
const REPORTS: &str = "UPDATE setting SET value = ?1 WHERE name >= 'rapporto/' AND name < 'rapporto0' AND value > ?1";
const ROUNDS: &str = "UPDATE setting SET value = ?1 WHERE name = 'conservazione.giorno' AND value > ?1";
const KNOWN: &str = "UPDATE setting SET value = ?1 WHERE name >= 'noto_dal/' AND name < 'noto_dal0' \
     AND CAST(value AS INTEGER) > CAST(?1 AS INTEGER)";
const SEEN: &str = "INSERT INTO setting (name, value) VALUES ('ora_vista', ?1) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
const SEEN_BEFORE: &str = "SELECT value FROM setting WHERE name = 'ora_vista'";

impl Store {
    /// The clock has jumped by that much, back if negative, and says `now`. Leases keep their length. After a jump back what waits comes
    /// sooner by as much: what waits for a certain hour looks at the hour again, or is told before it. What the clock said is set to `now`
    /// with it: a jump is never moved with twice.
    pub async fn clock_jumped(&self, by: SignedDuration, now: Timestamp) -> Result<(), StoreError> {
        let millis = i64::try_from(by.as_millis()).unwrap_or(if by.is_negative() { i64::MIN / 4 } else { i64::MAX / 4 });
        self.write(move |db| {
            for sql in [LEASES, MAIL_LEASES, MAIL_TRIED] {
                db.prepare_cached(sql)?.execute([millis])?;
            }
            if millis < 0 {
                for sql in [WAITING, ORDERS, MAIL_WAITING, MAIL_WINDOWS] {
                    db.prepare_cached(sql)?.execute(params![millis, ms(now)])?;
                }
                db.prepare_cached(HEARD)?.execute([ms(now)])?;
                forget_days_to_come(db, now)?;
            }
            db.prepare_cached(SEEN)?.execute([ms(now).to_string()])?;
            engine::raise_alert_for(db, "OROLOGIO_SPOSTATO", None, None, &format!("{} s", by.as_secs()), now)
        })
        .await?;
        self.ring();
        Ok(())
    }

    /// What the clock said the last time, before a stop perhaps.
    pub async fn clock_said(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read(seen).await
    }

    /// Remembers what the clock says, unless it said a later time before: then it has jumped back, and whoever finds that out moves what
    /// waits, after a restart if need be ([`Store::clock_jumped`]).
    pub async fn clock_says(&self, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |db| {
            if seen(db)?.is_none_or(|before| before < now) {
                db.prepare_cached(SEEN)?.execute([ms(now).to_string()])?;
            }
            Ok(())
        })
        .await
    }
}

fn seen(db: &Connection) -> Result<Option<Timestamp>, StoreError> {
    let before: Option<String> = optional(db.prepare_cached(SEEN_BEFORE)?.query_row([], |row| row.get(0)))?;
    Ok(before.and_then(|text| text.parse().ok()).map(at))
}

/// A clock that ran ahead has made reports and rounds of days to come, and known things since then.
fn forget_days_to_come(db: &Connection, now: Timestamp) -> Result<(), StoreError> {
    let today = in_rome(now).date();
    let yesterday = today.yesterday().unwrap_or(today);
    db.prepare_cached(REPORTS)?.execute([yesterday.to_string()])?;
    db.prepare_cached(ROUNDS)?.execute([today.to_string()])?;
    db.prepare_cached(KNOWN)?.execute([ms(now).to_string()])?;
    Ok(())
}

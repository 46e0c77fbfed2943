//! The machine's clock jumped: instants kept for later are moved with it, or an hour back would be an hour of silence, and an hour on
//! a lease that ends under a worker.

use jiff::{SignedDuration, Timestamp};
use rusqlite::params;

use super::codec::{at, ms, optional};
use super::{Store, StoreError, engine};

const LEASES: &str = "UPDATE job SET lease_until = lease_until + ?1 WHERE state = 'IN_CORSO' AND lease_until >= 0";
const WAITING: &str = "UPDATE job SET due_at = due_at + ?1 WHERE state = 'ATTESA' AND due_at > ?2";
const ORDERS: &str = "UPDATE batch_order SET due_at = due_at + ?1 WHERE done = 0 AND due_at > ?2";
const HEARD: &str = "UPDATE act SET heard_at = ?1 WHERE state IN ('INVIATO', 'IN_CONSEGNA', 'IN_ANNULLAMENTO') AND heard_at > ?1";
const SEEN: &str = "INSERT INTO setting (name, value) VALUES ('ora_vista', ?1) ON CONFLICT (name) DO UPDATE SET value = excluded.value";

impl Store {
    /// The clock has jumped by that much, back if negative, and says `now`. Leases keep their length. After a jump back what waits comes
    /// sooner by as much: what waits for a certain hour looks at the hour again.
    pub async fn clock_jumped(&self, by: SignedDuration, now: Timestamp) -> Result<(), StoreError> {
        let millis = i64::try_from(by.as_millis()).unwrap_or(if by.is_negative() { i64::MIN / 4 } else { i64::MAX / 4 });
        self.write(move |db| {
            db.prepare_cached(LEASES)?.execute([millis])?;
            if millis < 0 {
                db.prepare_cached(WAITING)?.execute(params![millis, ms(now)])?;
                db.prepare_cached(ORDERS)?.execute(params![millis, ms(now)])?;
                db.prepare_cached(HEARD)?.execute([ms(now)])?;
            }
            engine::raise_alert_for(db, "OROLOGIO_SPOSTATO", None, None, &format!("{} s", by.as_secs()), now)
        })
        .await?;
        self.ring();
        Ok(())
    }

    /// Remembers what the clock says; answers what it said the last time, before a stop perhaps.
    pub async fn clock_says(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        self.write(move |db| {
            let sql = "SELECT value FROM setting WHERE name = 'ora_vista'";
            let before: Option<String> = optional(db.prepare_cached(sql)?.query_row([], |row| row.get(0)))?;
            db.prepare_cached(SEEN)?.execute([ms(now).to_string()])?;
            Ok(before.and_then(|text| text.parse().ok()).map(at))
        })
        .await
    }
}

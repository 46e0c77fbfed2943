//! A store full of positions for `messo bench price`: each with its act, so that its timer reckons it as any other.

use rusqlite::params;

use crate::store::{Store, StoreError};

/// What such a store holds.
#[derive(Debug, Clone)]
pub struct PriceSample {
    pub positions: u64,
    /// Ente that sends and is paid.
    pub creditor: String,
    pub pt: String,
    /// JSON of the flow of every act.
    pub flow: String,
    /// JSON of every act; `#NOTICE#` is its notice.
    pub content: String,
    /// JSON of the price of every position, as the service keeps it.
    pub sheet: String,
    /// Timers that are due in each second from `now` on, as far as there are positions.
    pub timers_per_second: u64,
    /// Milliseconds since 1970.
    pub now: i64,
}

const ACTS: &str = "
WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
INSERT INTO act (id, sender, source, reference, submission, batch_id, content_batch, ordinal, row, place, flow, flow_digest, key_id, protocol,
  token, request_id, iun, staged, state, state_data, state_version, revision, live, content_digest, recipients, files, applies_cost, amount,
  resubmissions, sent_at, accepted_at, heard_at, created_at, updated_at, positions)
SELECT unhex(printf('019b%028x', n)), ?2, 'banco', printf('VERB-%09d/2026', n), 1, zeroblob(16), zeroblob(16), n, n + 1, 'lotto.csv', 'banco',
  zeroblob(32), 'generale', printf('2026/%07d', n), printf('%016x%048d', n, 0), printf('UkVRLSVEU0VORC0%012d', n),
  printf('ADEG-HJKL-%04d-202611-%s-1', n % 10000, char(65 + n % 26)), 0, 'IN_CONSEGNA',
  printf('{\"s\":\"InDelivery\",\"iun\":\"ADEG-HJKL-%04d-202611-%s-1\"}', n % 10000, char(65 + n % 26)), 1, 9, 1, randomblob(32), 1, 2, 1, 10000,
  0, ?3, ?3, ?3, ?3, ?3, 1 FROM n";

const CONTENTS: &str = "
WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
INSERT INTO act_content (act_id, json) SELECT unhex(printf('019b%028x', n)),
  replace(?2, '#NOTICE#', printf('%016d%02d', 3010000000000000 + n, (3010000000000000 + n) % 93)) FROM n";

const RECIPIENTS: &str = "
WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
INSERT INTO recipient (act_id, idx, completed_at, perfection, analog_cost, citizen_cost)
SELECT unhex(printf('019b%028x', n)), 0, ?2 - 86400000, 'VISIONE', 0, 200 FROM n";

const NOTICES: &str = "
WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
INSERT INTO notice (act_id, recipient, item, creditor, notice_code, apply_cost)
SELECT unhex(printf('019b%028x', n)), 0, 0, ?2, printf('%016d%02d', 3010000000000000 + n, (3010000000000000 + n) % 93), 1 FROM n";

const POSITIONS: &str = "
WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
INSERT INTO position (n, id, creditor, notice, sender, act_id, pt, costs, state, state_data, state_version, revision, wanted, wanted_cost, cost,
  sheet, created_at, updated_at)
SELECT (3010000000000000 + n) * 100 + (3010000000000000 + n) % 93, unhex(printf('019c%028x', n)), ?2,
  printf('%016d%02d', 3010000000000000 + n, (3010000000000000 + n) % 93), ?2,
  unhex(printf('019b%028x', n)), ?3, 'pull', 'APERTA', '{\"s\":\"Open\"}', 1, 3, 7000, 0, 200, ?4, ?5, ?5 FROM n";

const TIMERS: &str = "
WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
INSERT INTO job (id, subject_kind, subject_id, kind, key, version, payload, channel, lane, priority, due_at, state, created_at)
SELECT unhex(printf('019d%028x', n)), 'posizione', unhex(printf('019c%028x', n)), 'RICALCOLA', '', 1, '{\"e\":\"Reckon\"}', '', 0,
  ?2 + n * 1000 / ?3, ?2 + n * 1000 / ?3, 'ATTESA', ?2 FROM n";

impl Store {
    /// Fills an empty store.
    pub async fn fill_for_prices(&self, sample: PriceSample) -> Result<(), StoreError> {
        self.write(move |db| {
            let count = i64::try_from(sample.positions).unwrap_or(i64::MAX);
            let PriceSample { creditor, pt, now, .. } = &sample;
            db.execute("INSERT INTO flow_definition (digest, name, json) VALUES (zeroblob(32), 'banco', ?1)", [&sample.flow])?;
            db.execute(ACTS, params![count, creditor, now])?;
            db.execute(CONTENTS, params![count, sample.content])?;
            db.execute(RECIPIENTS, params![count, now])?;
            db.execute(NOTICES, params![count, creditor])?;
            db.execute(POSITIONS, params![count, creditor, pt, sample.sheet, now])?;
            let timers = i64::try_from(sample.timers_per_second).unwrap_or(0);
            if timers > 0 {
                db.execute(TIMERS, params![count, now, timers])?;
            }
            Ok(())
        })
        .await
    }

    /// How many positions have been reckoned.
    pub async fn reckoned_positions(&self) -> Result<u64, StoreError> {
        self.read(|db| {
            let count: i64 = db.query_row("SELECT count(*) FROM position WHERE reckoned_on IS NOT NULL", [], |row| row.get(0))?;
            Ok(u64::try_from(count).unwrap_or(0))
        })
        .await
    }
}

//! A store full of acts for `messo bench export`: only what an export reads, in one transaction.

use crate::domain::standing::ExportKind;
use crate::store::{Export, Store, StoreError};

/// Name of the gestionale in such a store.
const SOURCE: &str = "misura";
/// States that each act went through: the first before the window, the others in it.
const STATES: u64 = 3;

const ACTS: &str = "
WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
INSERT INTO act (id, sender, source, reference, submission, batch_id, content_batch, ordinal, row, place, flow, flow_digest, key_id, protocol,
  token, request_id, iun, staged, state, state_data, state_version, revision, live, content_digest, recipients, files, applies_cost, amount,
  resubmissions, sent_at, accepted_at, closed_at, heard_at, created_at, updated_at)
SELECT unhex(printf('019b%028x', n)), '01234567897', ?2, printf('VERB-%09d/2026', n), 1, zeroblob(16), zeroblob(16), n, n + 1, 'lotto.csv', 'cds',
  zeroblob(32), 'principale', printf('2026/%07d', n), printf('%016x%048d', n, 0), printf('UkVRLSVEU0VORC0%012d', n),
  printf('ADEG-HJKL-%04d-202611-%s-1', n % 10000, char(65 + n % 26)), 0, 'PERFEZIONATO',
  printf('{\"s\":\"Completed\",\"iun\":\"ADEG-HJKL-%04d-202611-%s-1\"}', n % 10000, char(65 + n % 26)), 1, 9, 1, randomblob(32), 1, 2, 1, 4200, 0,
  1795000000000, 1795000100000, 1795400000000, 1795400000000, 1794900000000, 1795400000000 FROM n";

const STANDINGS: &str = "
WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
INSERT INTO standing (source, line, recipient, recipients, act_id, at, closed, state, suspended, code, protocol, iun, notices, amount, vat, pa_fee,
  base_fee, paper, citizen_cost, accepted_at, completed_at, perfection, attestations, submission)
SELECT ?2, ?1 * ?3 + n, 0, 1, unhex(printf('019b%028x', n)), 1795000000000 + ?3 * 100000000 + n * 13, ?3 = 2,
  CASE ?3 WHEN 0 THEN 'INVIATO' WHEN 1 THEN 'IN_CONSEGNA' ELSE 'PERFEZIONATO' END, NULL, NULL, printf('2026/%07d', n),
  CASE WHEN ?3 > 0 THEN printf('ADEG-HJKL-%04d-202611-%s-1', n % 10000, char(65 + n % 26)) END, printf('302%015d', n), 4200 + n % 900, 22, 100,
  CASE WHEN ?3 > 0 THEN 100 END, CASE WHEN ?3 > 0 THEN 530 END, CASE WHEN ?3 > 1 THEN 847 END,
  CASE WHEN ?3 > 0 THEN 1795000100000 + n END, CASE WHEN ?3 > 1 THEN 1795300000000 + n * 61 END,
  CASE WHEN ?3 > 1 THEN 'DECORRENZA_TERMINI' END, CASE WHEN ?3 > 1 THEN 2 ELSE 0 END, 1 FROM n";

const FACTS: &str = "
WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
INSERT INTO legal_fact (act_id, key, category, element_id, recipient, happened_at, ordinal, state, name, sha256, size, stored_at, indexed, line)
SELECT unhex(printf('019b%028x', n)), printf('PN_LEGAL_FACTS-%032x-%d.pdf', n, f.f), 'ANALOG_DELIVERY', 'elemento', CASE f.f WHEN 2 THEN 0 END,
  1795300000000, f.f, 'CONSERVATA', printf('2026/ADEG-HJKL-%04d-202611-%s-1/%02d_ANALOG_DELIVERY.pdf', n % 10000, char(65 + n % 26), f.f),
  randomblob(32), 40000, 1795300000000, 1, ?1 + n FROM n, (SELECT 1 AS f UNION ALL SELECT 2) f";

impl Store {
    /// Fills an empty store with `acts` acts; answers the export that prints them all.
    pub async fn fill_for_export(&self, acts: u64) -> Result<Export, StoreError> {
        let count = i64::try_from(acts).unwrap_or(i64::MAX);
        self.write(move |db| {
            db.execute(ACTS, rusqlite::params![count, SOURCE])?;
            for state in 0..STATES {
                db.execute(STANDINGS, rusqlite::params![count, SOURCE, state as i64])?;
            }
            db.execute(FACTS, [count])?;
            let lines = STATES as i64 * count;
            db.execute("INSERT INTO counter (source, next_line, next_file) VALUES (?1, ?2, 1)", rusqlite::params![SOURCE, lines + 1])?;
            Ok(())
        })
        .await?;
        Ok(Export {
            source: SOURCE.to_owned(),
            number: 1,
            kind: ExportKind::Changed,
            day: jiff::civil::Date::constant(2026, 11, 23),
            after: acts,
            to: acts * STATES,
            created_at: jiff::Timestamp::UNIX_EPOCH,
            previous_csv: None,
            previous_xml: None,
        })
    }
}

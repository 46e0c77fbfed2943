-- Looking for a drop by its name or bytes, deleting personal data, the books of operators.

CREATE INDEX batch_by_name ON batch (original_name COLLATE NOCASE) WHERE original_name IS NOT NULL;
CREATE INDEX batch_by_digest ON batch (sha256) WHERE sha256 IS NOT NULL;
CREATE INDEX door_event_by_name ON door_event (name COLLATE NOCASE) WHERE name IS NOT NULL;
CREATE INDEX door_event_by_target ON door_event (target COLLATE NOCASE) WHERE target IS NOT NULL;
CREATE INDEX door_event_by_digest ON door_event (sha256) WHERE sha256 IS NOT NULL;
CREATE INDEX alert_by_batch ON alert (batch_id) WHERE batch_id IS NOT NULL;

-- When the personal data of an act or of a batch was deleted. What was done stays: states, digests, history, lines.
ALTER TABLE act ADD COLUMN erased_at INTEGER;
ALTER TABLE batch ADD COLUMN erased_at INTEGER;
CREATE INDEX act_to_erase ON act (sender, closed_at, id) WHERE erased_at IS NULL AND closed_at IS NOT NULL;
-- Acts whose files came with another batch than their row.
CREATE INDEX act_elsewhere ON act (content_batch) WHERE content_batch <> batch_id;
CREATE INDEX batch_to_erase ON batch (finished_at, id) WHERE erased_at IS NULL AND finished_at IS NOT NULL;

CREATE INDEX batch_order_changed ON batch_order (act_id) WHERE json IS NOT NULL;

-- A deletion, from the decision to its end: begun before anything is touched, so that a restart goes on with it.
CREATE TABLE erasure (
  subject_kind TEXT NOT NULL,      -- notifica, lotto
  subject_id BLOB NOT NULL,
  cause TEXT NOT NULL,             -- CONSERVAZIONE, RICHIESTA
  archive BLOB,                    -- digest of the archive with its files
  sender TEXT,
  closed_at INTEGER,
  begun_at INTEGER NOT NULL,
  ended_at INTEGER,
  facts_at INTEGER,                -- its legal facts, which have a term of their own
  noted_at INTEGER,                -- of a RICHIESTA: written outside of the data folder
  PRIMARY KEY (subject_kind, subject_id)
) WITHOUT ROWID;
CREATE INDEX erasure_open ON erasure (archive, subject_kind) WHERE ended_at IS NULL;
CREATE INDEX erasure_to_note ON erasure (begun_at) WHERE noted_at IS NULL AND cause = 'RICHIESTA';
CREATE INDEX erasure_facts ON erasure (sender, closed_at, subject_id) WHERE facts_at IS NULL AND subject_kind = 'notifica' AND ended_at IS NOT NULL;

-- The books may be shortened from their beginning up to the instant in `setting`, which only retention moves forward.
DROP TRIGGER door_event_stays;
CREATE TRIGGER door_event_stays BEFORE DELETE ON door_event
WHEN OLD.at >= coalesce((SELECT CAST(value AS INTEGER) FROM setting WHERE name = 'registro.da'), 0)
BEGIN SELECT raise(ABORT, 'append only'); END;
-- Names can be taken out, not changed.
CREATE TRIGGER door_event_names_go BEFORE UPDATE OF name, target ON door_event
WHEN NEW.name IS NOT NULL AND NEW.name IS NOT OLD.name OR NEW.target IS NOT NULL AND NEW.target IS NOT OLD.target
BEGIN SELECT raise(ABORT, 'append only'); END;

-- Orders of operators, written before they are carried out, each followed by a row that says how it ended. `seal` is the
-- SHA-256 of the seal before it and of the row: a row that was changed or taken out is seen.
CREATE TABLE operator_event (
  id INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  of INTEGER,                      -- the order whose end this row tells
  who TEXT NOT NULL,
  command TEXT NOT NULL,
  about TEXT NOT NULL,             -- its arguments, JSON: ids, references, codes, keyed digests
  why TEXT,
  outcome TEXT,                    -- OK, or a code
  seal BLOB NOT NULL
);
CREATE INDEX operator_event_by_time ON operator_event (at);
CREATE UNIQUE INDEX operator_event_of ON operator_event (of) WHERE of IS NOT NULL;
CREATE TRIGGER operator_event_stays BEFORE DELETE ON operator_event
WHEN OLD.at >= coalesce((SELECT CAST(value AS INTEGER) FROM setting WHERE name = 'registro.da'), 0)
BEGIN SELECT raise(ABORT, 'append only'); END;
CREATE TRIGGER operator_event_is_final BEFORE UPDATE ON operator_event BEGIN SELECT raise(ABORT, 'append only'); END;
CREATE TRIGGER operator_event_is_new BEFORE INSERT ON operator_event
WHEN EXISTS (SELECT 1 FROM operator_event WHERE id = NEW.id) BEGIN SELECT raise(ABORT, 'append only'); END;

-- Acts whose personal data may go: closed, nothing left to do about them, not open again under another submission.
CREATE VIEW act_erasable AS
SELECT a.id, a.sender, a.closed_at, a.content_batch FROM act a
WHERE a.erased_at IS NULL AND a.closed_at IS NOT NULL AND a.staged = 0 AND a.park_code IS NULL
AND a.state IN ('PERFEZIONATO', 'ANNULLATO', 'RIFIUTATO', 'RITIRATO')
AND NOT EXISTS (SELECT 1 FROM erasure e WHERE e.subject_kind = 'notifica' AND e.subject_id = a.id)
AND NOT EXISTS (SELECT 1 FROM job j WHERE j.subject_kind = 'notifica' AND j.subject_id = a.id)
AND NOT EXISTS (SELECT 1 FROM batch_order o WHERE o.act_id = a.id AND o.done = 0)
AND NOT EXISTS (SELECT 1 FROM act n WHERE n.sender = a.sender AND n.source = a.source AND n.reference = a.reference
  AND n.submission > a.submission AND n.closed_at IS NULL);

-- Acts by the batch whose archive holds their files.
CREATE VIEW act_of_archive AS
SELECT a.batch_id AS batch, a.id, a.state, a.park_code, a.erased_at FROM act a WHERE a.content_batch = a.batch_id
UNION ALL
SELECT a.content_batch AS batch, a.id, a.state, a.park_code, a.erased_at FROM act a WHERE a.content_batch <> a.batch_id;

-- Batches of which no act has personal data any more, and nothing is left to do.
CREATE VIEW batch_erasable AS
SELECT b.id, b.source, b.sender, b.sha256, b.finished_at FROM batch b
WHERE b.erased_at IS NULL AND b.finished_at IS NOT NULL
AND NOT EXISTS (SELECT 1 FROM erasure e WHERE e.subject_kind = 'lotto' AND e.subject_id = b.id)
AND NOT EXISTS (SELECT 1 FROM act a WHERE a.content_batch = b.id AND a.content_batch <> a.batch_id AND a.erased_at IS NULL)
AND NOT EXISTS (SELECT 1 FROM act a WHERE a.batch_id = b.id AND a.erased_at IS NULL)
AND NOT EXISTS (SELECT 1 FROM batch_order o WHERE o.batch_id = b.id AND o.done = 0)
AND NOT EXISTS (SELECT 1 FROM job j WHERE j.subject_kind = 'lotto' AND j.subject_id = b.id);

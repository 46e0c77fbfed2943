-- Batches whose new sends an operator has stopped. Their jobs are set aside (job.state FERMO) when their turn comes.
CREATE TABLE batch_pause (batch_id BLOB PRIMARY KEY, since INTEGER NOT NULL, who TEXT NOT NULL, why TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX job_set_aside ON job (subject_id) WHERE state = 'FERMO';

-- A batch that is read from the kept archive of another (or, after a restore, of its own).
CREATE TABLE batch_replay (batch_id BLOB PRIMARY KEY, of BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX batch_replay_of ON batch_replay (of);

-- The store was put back from a copy. Until it is released nothing new is sent; until `watch_until` an act that goes to SEND for
-- the first time is looked for there before.
CREATE TABLE restore (
  id INTEGER PRIMARY KEY,
  backup TEXT NOT NULL,            -- name of the copy
  copied_at INTEGER NOT NULL,
  restored_at INTEGER NOT NULL,
  watch_until INTEGER NOT NULL,
  released_at INTEGER,
  who TEXT,
  why TEXT
);
-- Acts that SEND must be asked about; `waits`: nothing is released before.
CREATE TABLE restore_open (act_id BLOB PRIMARY KEY, waits INTEGER NOT NULL, queued INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE INDEX restore_to_queue ON restore_open (act_id) WHERE queued = 0;
CREATE INDEX restore_waits ON restore_open (act_id) WHERE waits = 1;
-- What happened after the copy and was seen outside of it.
CREATE TABLE restore_gap (
  id INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,              -- NUMERI, LOTTO, ATTO, EVENTO, DEPOSITO, CANCELLAZIONE
  source TEXT NOT NULL,            -- gestionale; of an event, ente/key
  about TEXT NOT NULL,             -- id of a drop, reference, request, name of a folder
  sender TEXT,
  iun TEXT,
  sha256 BLOB,
  data TEXT NOT NULL,              -- ids, codes, numbers and instants, JSON
  UNIQUE (kind, source, about)
);
CREATE INDEX batch_by_archive ON batch (sha256) WHERE sha256 IS NOT NULL;

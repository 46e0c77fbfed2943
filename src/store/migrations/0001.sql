-- Instants are milliseconds since 1970 (UTC); ids are the 16 bytes of a UUIDv7; digests are 32 bytes; amounts are euro cents.
-- Personal data lives only in batch.original_name, batch.batch_file, batch_order.json, door_event.name and .target (the same names), publication.name (it repeats the drop's),
-- problem.data, reject.data, act_content, timeline.data and refusal: rows and cells that can be deleted.

CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);

CREATE TABLE batch (
  id BLOB PRIMARY KEY,
  source TEXT NOT NULL,
  original_name TEXT,
  flow_hint TEXT,
  dry_run INTEGER NOT NULL,
  received_at INTEGER NOT NULL,
  finished_at INTEGER,
  state TEXT NOT NULL,             -- RICEVUTO, IN_LETTURA, then the state of the receipt
  sha256 BLOB,
  size INTEGER,
  layout TEXT,
  batch_file TEXT,
  batch_entry INTEGER,
  bare INTEGER NOT NULL DEFAULT 0,
  flow TEXT,
  flow_digest BLOB,
  sender TEXT,
  acts INTEGER NOT NULL DEFAULT 0,
  accepted INTEGER NOT NULL DEFAULT 0,
  refused INTEGER NOT NULL DEFAULT 0,
  duplicates INTEGER NOT NULL DEFAULT 0,
  warnings INTEGER NOT NULL DEFAULT 0,
  problems INTEGER NOT NULL DEFAULT 0,
  duplicate_of BLOB,
  hold TEXT,
  guard_first INTEGER NOT NULL DEFAULT 0,   -- acts that go first, alone
  guard_max INTEGER NOT NULL DEFAULT 100,   -- percent of them that may be refused
  guard_open INTEGER NOT NULL DEFAULT 0,    -- of those, still without an answer
  guard_refused INTEGER NOT NULL DEFAULT 0,
  forecast INTEGER,
  started INTEGER NOT NULL DEFAULT 0        -- every act of it was started; orders may still wait
);
CREATE INDEX batch_by_content ON batch (source, sha256);
CREATE INDEX batch_by_state ON batch (state, received_at);
CREATE INDEX batch_by_time ON batch (received_at, id);

-- Rome day on which the last act of each ente of a batch is expected to leave; NULL: its limits never let it.
CREATE TABLE batch_forecast (batch_id BLOB NOT NULL, sender TEXT NOT NULL, last_day TEXT, PRIMARY KEY (batch_id, sender)) WITHOUT ROWID;

CREATE TABLE problem (
  batch_id BLOB NOT NULL,
  seq INTEGER NOT NULL,
  code TEXT NOT NULL,
  severity TEXT NOT NULL,
  data TEXT,
  PRIMARY KEY (batch_id, seq)
) WITHOUT ROWID;

CREATE TABLE reject (
  batch_id BLOB NOT NULL,
  ordinal INTEGER NOT NULL,
  act_id BLOB,
  data TEXT NOT NULL,              -- place, reasons, files
  published INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (batch_id, ordinal)
) WITHOUT ROWID;

CREATE TABLE flow_definition (digest BLOB PRIMARY KEY, name TEXT NOT NULL, json TEXT NOT NULL);

CREATE TABLE act (
  id BLOB PRIMARY KEY,
  sender TEXT NOT NULL,
  source TEXT NOT NULL,
  reference TEXT NOT NULL,
  submission INTEGER NOT NULL,
  batch_id BLOB NOT NULL,
  content_batch BLOB NOT NULL,     -- whose archive holds its files
  ordinal INTEGER NOT NULL,
  row INTEGER NOT NULL,
  place TEXT NOT NULL,
  flow TEXT NOT NULL,
  flow_digest BLOB NOT NULL,
  key_id TEXT NOT NULL,
  protocol TEXT,
  token TEXT NOT NULL,
  request_id TEXT,
  iun TEXT,
  staged INTEGER NOT NULL,
  state TEXT NOT NULL,
  state_data TEXT NOT NULL,
  state_version INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  live INTEGER NOT NULL,
  hold TEXT,
  content_digest BLOB NOT NULL,
  recipients INTEGER NOT NULL,
  files INTEGER NOT NULL,
  applies_cost INTEGER NOT NULL,
  amount INTEGER,
  notify_by INTEGER,
  deadline_told INTEGER,
  replaces BLOB,
  resubmissions INTEGER NOT NULL,
  guard INTEGER NOT NULL DEFAULT 0, -- 1: among the first of its batch, 2: it has answered
  park_code TEXT,
  flag_code TEXT,
  spend_day TEXT,
  sent_at INTEGER,
  accepted_at INTEGER,
  closed_at INTEGER,
  heard_at INTEGER,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  UNIQUE (sender, source, reference, submission)
);
CREATE INDEX act_by_batch ON act (batch_id, ordinal);
CREATE INDEX act_staged ON act (batch_id, ordinal) WHERE staged = 1;
CREATE INDEX act_held ON act (batch_id, hold, ordinal) WHERE hold IS NOT NULL;
CREATE INDEX act_guarded ON act (batch_id) WHERE guard > 0;
-- Random names are found by their beginnings, which tell them apart: 9 characters of an IUN are 8 random letters, and a request
-- is the IUN in base64. Whole, these indexes would outgrow the page cache, and each act would cost more the more there are.
CREATE INDEX act_by_iun ON act (substr(iun, 1, 9)) WHERE iun IS NOT NULL;
CREATE INDEX act_by_request ON act (substr(request_id, 1, 12)) WHERE request_id IS NOT NULL;
CREATE UNIQUE INDEX act_by_token ON act (substr(token, 1, 16));
CREATE INDEX act_by_protocol ON act (protocol) WHERE protocol IS NOT NULL;
CREATE INDEX act_by_reference ON act (reference);
CREATE INDEX act_replaces ON act (replaces) WHERE replaces IS NOT NULL;
CREATE INDEX act_parked ON act (park_code, sender, updated_at) WHERE park_code IS NOT NULL;
-- The sender is there to be counted without a look at the acts.
CREATE INDEX act_by_state ON act (state, heard_at, sender);
CREATE INDEX act_by_term ON act (notify_by) WHERE notify_by IS NOT NULL AND accepted_at IS NULL AND live = 1;

CREATE TABLE act_content (act_id BLOB PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID;

-- What may stand in only one live act: protocol of an ente, document for a recipient, notice of a creditor (hashes).
CREATE TABLE live_key (kind TEXT NOT NULL, key BLOB NOT NULL, act_id BLOB NOT NULL, PRIMARY KEY (kind, key, act_id)) WITHOUT ROWID;
CREATE INDEX live_key_by_act ON live_key (act_id);

CREATE TABLE recipient (
  act_id BLOB NOT NULL,
  idx INTEGER NOT NULL,
  completed_at INTEGER,
  perfection TEXT,
  delivered INTEGER NOT NULL DEFAULT 0,
  unreachable INTEGER NOT NULL DEFAULT 0,
  deceased INTEGER NOT NULL DEFAULT 0,
  analog_cost INTEGER NOT NULL DEFAULT 0,
  citizen_cost INTEGER,
  citizen_paper INTEGER,           -- analog_cost when citizen_cost was asked for: with another one it is stale
  completed_line INTEGER,
  PRIMARY KEY (act_id, idx)
) WITHOUT ROWID;

CREATE TABLE notice (
  act_id BLOB NOT NULL,
  recipient INTEGER NOT NULL,
  item INTEGER NOT NULL,
  creditor TEXT NOT NULL,
  notice_code TEXT NOT NULL,
  apply_cost INTEGER NOT NULL,
  PRIMARY KEY (act_id, recipient, item)
) WITHOUT ROWID;
CREATE INDEX notice_by_code ON notice (notice_code, creditor);

-- An order of a batch about an act that is already known; carried out when the batch is started.
CREATE TABLE batch_order (
  batch_id BLOB NOT NULL,
  ordinal INTEGER NOT NULL,
  act_id BLOB NOT NULL,
  action TEXT NOT NULL,
  place TEXT NOT NULL,
  json TEXT,
  done INTEGER NOT NULL DEFAULT 0,
  due_at INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (batch_id, ordinal)
) WITHOUT ROWID;
CREATE INDEX batch_order_open ON batch_order (batch_id, due_at) WHERE done = 0;
CREATE INDEX batch_order_by_act ON batch_order (act_id) WHERE done = 0;

CREATE TABLE archive_entry (
  archive BLOB NOT NULL,
  entry INTEGER NOT NULL,
  data_start INTEGER NOT NULL,
  compressed INTEGER NOT NULL,
  size INTEGER NOT NULL,
  crc INTEGER NOT NULL,
  method TEXT NOT NULL,
  sha256 BLOB NOT NULL,
  header_offset INTEGER NOT NULL,
  PRIMARY KEY (archive, entry)
) WITHOUT ROWID;

CREATE TABLE upload (
  act_id BLOB NOT NULL,
  file INTEGER NOT NULL,
  key TEXT NOT NULL,
  version_token TEXT NOT NULL,
  sha256 BLOB NOT NULL,
  uploaded_at INTEGER NOT NULL,
  PRIMARY KEY (act_id, file)
) WITHOUT ROWID;

CREATE TABLE timeline (
  n INTEGER PRIMARY KEY,           -- grows in the order elements came
  act_id BLOB NOT NULL,
  element_id TEXT NOT NULL,
  element_key BLOB NOT NULL,       -- first half of the SHA-256 of element_id, which is long: what is searched
  category TEXT NOT NULL,          -- empty: voided before it came
  recipient INTEGER,
  happened_at INTEGER NOT NULL,
  received_at INTEGER NOT NULL,
  analog_cost INTEGER,
  voided_by TEXT,
  data TEXT,
  UNIQUE (act_id, element_key)
);

-- Events whose act is not known yet: kept while a POST of that key is without answer.
CREATE TABLE orphan_event (channel TEXT NOT NULL, event_id TEXT NOT NULL, request_id TEXT, iun TEXT, received_at INTEGER NOT NULL, data TEXT NOT NULL, PRIMARY KEY (channel, event_id)) WITHOUT ROWID;
CREATE INDEX orphan_by_request ON orphan_event (request_id);

CREATE TABLE history (
  subject_kind TEXT NOT NULL,
  subject_id BLOB NOT NULL,
  seq INTEGER NOT NULL,
  at INTEGER NOT NULL,
  event TEXT NOT NULL,
  state TEXT,
  data TEXT,                       -- ids, codes and digests only
  PRIMARY KEY (subject_kind, subject_id, seq)
) WITHOUT ROWID;

CREATE TABLE job (
  id BLOB PRIMARY KEY,
  subject_kind TEXT NOT NULL,
  subject_id BLOB NOT NULL,
  kind TEXT NOT NULL,
  key TEXT NOT NULL,
  version INTEGER NOT NULL,
  payload TEXT NOT NULL,
  channel TEXT NOT NULL,           -- ente/key whose calls it makes, or '' for work of our own
  lane INTEGER NOT NULL,           -- 0 follow-up, 1 new sends, 2 afterwards, 3 files
  priority INTEGER NOT NULL,       -- deadline of the act
  due_at INTEGER NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  state TEXT NOT NULL,             -- ATTESA (due later), PRONTO, IN_CORSO, SOSPESO
  owner TEXT,
  lease_until INTEGER,
  fence INTEGER NOT NULL DEFAULT 0,
  error TEXT,
  created_at INTEGER NOT NULL,
  UNIQUE (subject_kind, subject_id, kind, key)
) WITHOUT ROWID;
-- A job is in at most one of these: each step of its life moves it between two.
CREATE INDEX job_ready ON job (channel, lane, priority, id) WHERE state = 'PRONTO';
CREATE INDEX job_due ON job (due_at) WHERE state = 'ATTESA';
CREATE INDEX job_taken ON job (lease_until) WHERE state = 'IN_CORSO';
CREATE INDEX job_parked ON job (subject_kind, subject_id) WHERE state = 'SOSPESO';

-- A key that SEND refuses stops its whole ente. resumed: who resumed it and why, until its acts go on.
CREATE TABLE channel_stop (channel TEXT PRIMARY KEY, sender TEXT NOT NULL, code TEXT NOT NULL, since INTEGER NOT NULL, resumed TEXT);
CREATE INDEX channel_stop_by_sender ON channel_stop (sender);

-- What operators were told of and is not over: told once when it begins and once when it ends, restarts notwithstanding.
-- data: what goes with it (JSON).
CREATE TABLE trouble (code TEXT NOT NULL, about TEXT NOT NULL, since INTEGER NOT NULL, data TEXT, PRIMARY KEY (code, about)) WITHOUT ROWID;

-- closed_line: the last one that is in a file.
CREATE TABLE counter (source TEXT PRIMARY KEY, next_line INTEGER NOT NULL, next_file INTEGER NOT NULL, closed_line INTEGER NOT NULL DEFAULT 0);

-- Flows with lines that are in no file yet, and since when.
CREATE TABLE pending_flow (source TEXT NOT NULL, flow TEXT NOT NULL, oldest INTEGER NOT NULL, PRIMARY KEY (source, flow)) WITHOUT ROWID;

CREATE TABLE line (
  source TEXT NOT NULL,
  line INTEGER NOT NULL,
  act_id BLOB NOT NULL,
  batch_id BLOB NOT NULL,
  recipient INTEGER,
  state TEXT NOT NULL,
  event TEXT NOT NULL,
  happened_at INTEGER NOT NULL,
  written_at INTEGER NOT NULL,
  data TEXT NOT NULL,
  PRIMARY KEY (source, line)
) WITHOUT ROWID;
CREATE INDEX line_by_act ON line (act_id, line);

-- Why SEND refused an act, as a line of it tells. SEND's words may quote what it refused.
CREATE TABLE refusal (
  act_id BLOB NOT NULL,
  line INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  code TEXT NOT NULL,
  recipient INTEGER,
  element TEXT,
  detail TEXT,
  PRIMARY KEY (act_id, line, seq)
) WITHOUT ROWID;

-- One row per file that a gestionale may read: prepared under a temporary name, then renamed, then told here.
CREATE TABLE publication (
  id BLOB PRIMARY KEY,
  source TEXT NOT NULL,
  kind TEXT NOT NULL,              -- RICEVUTA, SCARTO, ESITO, ATTESTAZIONE, INDICE
  number INTEGER,
  folder TEXT NOT NULL,
  name TEXT NOT NULL,
  temporary TEXT NOT NULL,
  sha256 BLOB NOT NULL,
  size INTEGER NOT NULL,
  first_line INTEGER,
  last_line INTEGER,
  subject BLOB,
  state TEXT NOT NULL,             -- DA_COPIARE (an attestation that is nowhere but here), PREPARATO, PUBBLICATO
  created_at INTEGER NOT NULL
) WITHOUT ROWID;
-- A name is given once. Attestations, of which there are many, lie in a folder of their act: found by it, they stay in order.
CREATE UNIQUE INDEX publication_by_name ON publication (source, folder, name) WHERE kind <> 'ATTESTAZIONE';
CREATE UNIQUE INDEX publication_of_act ON publication (subject, name) WHERE kind = 'ATTESTAZIONE';
CREATE INDEX publication_open ON publication (state) WHERE state = 'PREPARATO';
CREATE INDEX publication_to_copy ON publication (source, created_at) WHERE state = 'DA_COPIARE';
CREATE INDEX publication_by_number ON publication (source, kind, number) WHERE number IS NOT NULL;
CREATE INDEX publication_by_subject ON publication (subject);

CREATE TABLE legal_fact (
  act_id BLOB NOT NULL,
  key TEXT NOT NULL,
  category TEXT NOT NULL,
  element_id TEXT NOT NULL,
  recipient INTEGER,
  happened_at INTEGER NOT NULL,
  ordinal INTEGER NOT NULL,
  state TEXT NOT NULL,             -- ANNUNCIATA, CONSERVATA
  name TEXT,
  sha256 BLOB,
  size INTEGER,
  stored_at INTEGER,
  indexed INTEGER NOT NULL DEFAULT 0, -- number of the index that lists it
  PRIMARY KEY (act_id, key)
) WITHOUT ROWID;
CREATE INDEX legal_fact_to_index ON legal_fact (stored_at, name) WHERE indexed = 0 AND state = 'CONSERVATA';

CREATE TABLE stream (
  channel TEXT NOT NULL,
  stream_id TEXT NOT NULL,
  title TEXT NOT NULL,             -- says which groups it covers
  last_event_id TEXT,
  created_at INTEGER NOT NULL,
  replaced_at INTEGER,             -- another took its place: it is read to its end
  read_at INTEGER NOT NULL,        -- when SEND last gave a page of it, to the hour where pages are empty
  PRIMARY KEY (channel, stream_id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX stream_in_use ON stream (channel) WHERE replaced_at IS NULL;

CREATE TABLE quota (sender TEXT NOT NULL, day TEXT NOT NULL, calls INTEGER NOT NULL, spent INTEGER NOT NULL, PRIMARY KEY (sender, day)) WITHOUT ROWID;

CREATE TABLE alert (
  id INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  code TEXT NOT NULL,
  source TEXT,
  sender TEXT,
  batch_id BLOB,
  act_id BLOB,
  about TEXT NOT NULL,             -- ids and codes only
  flow TEXT,
  data TEXT                        -- counts and codes, JSON
);
CREATE INDEX alert_by_time ON alert (at);
CREATE INDEX alert_by_code ON alert (code, sender);
CREATE INDEX alert_by_about ON alert (code, about, at);

-- What was done at the SFTP door. Append-only: only the names, which may hold personal data, can be taken out.
CREATE TABLE door_event (
  id INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  act TEXT NOT NULL,
  account TEXT,
  address TEXT NOT NULL,
  client TEXT,
  name TEXT,
  target TEXT,
  bytes INTEGER,
  sha256 BLOB,
  outcome TEXT NOT NULL
);
CREATE INDEX door_event_by_time ON door_event (at);
CREATE INDEX door_event_by_account ON door_event (account, at);
CREATE TRIGGER door_event_stays BEFORE DELETE ON door_event BEGIN SELECT raise(ABORT, 'append only'); END;
CREATE TRIGGER door_event_is_final BEFORE UPDATE OF id, at, act, account, address, client, bytes, sha256, outcome ON door_event
BEGIN SELECT raise(ABORT, 'append only'); END;

-- Real time.
CREATE TABLE door_ban (address TEXT PRIMARY KEY, since INTEGER NOT NULL, until INTEGER NOT NULL, times INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX door_ban_by_end ON door_ban (until);

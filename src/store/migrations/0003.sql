-- Reconciliation exports: where each act stands after each line of the ledger that changed what is printed of it.
-- Append-only, so that any window of lines is printed again with the same bytes. `notices` can be blanked: they lead to a person.

CREATE TABLE standing (
  source TEXT NOT NULL,
  line INTEGER NOT NULL,
  recipient INTEGER NOT NULL,
  recipients INTEGER NOT NULL,
  act_id BLOB NOT NULL,
  at INTEGER NOT NULL,             -- when the line was written
  closed INTEGER NOT NULL,
  state TEXT NOT NULL,
  suspended TEXT,
  code TEXT,
  protocol TEXT,
  iun TEXT,
  notices TEXT NOT NULL,
  amount INTEGER,
  vat INTEGER,
  pa_fee INTEGER,
  base_fee INTEGER,
  paper INTEGER,
  citizen_cost INTEGER,
  accepted_at INTEGER,
  completed_at INTEGER,
  perfection TEXT,
  attestations INTEGER NOT NULL,
  submission INTEGER NOT NULL,     -- as it was then: after a restore SEND may show that it is another
  PRIMARY KEY (source, line, recipient)
) WITHOUT ROWID;
CREATE INDEX standing_by_act ON standing (act_id, line);
CREATE TRIGGER standing_is_final BEFORE UPDATE OF source, line, recipient, recipients, act_id, at, closed, state, suspended, code, protocol, iun,
  amount, vat, pa_fee, base_fee, paper, citizen_cost, accepted_at, completed_at, perfection, attestations, submission ON standing
BEGIN SELECT raise(ABORT, 'append only'); END;

-- The line that told it: an attestation is printed from there on.
ALTER TABLE legal_fact ADD COLUMN line INTEGER;

-- What each export covers: lines after after_line, up to to_line (of APERTI: every act, as it stood at to_line).
CREATE TABLE export (
  source TEXT NOT NULL,
  number INTEGER NOT NULL,         -- without gaps
  kind TEXT NOT NULL,              -- VARIATI, APERTI
  day TEXT NOT NULL,               -- the Rome night it was due
  after_line INTEGER NOT NULL,
  to_line INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  previous_csv BLOB,               -- SHA-256 of the file before
  previous_xml BLOB,
  PRIMARY KEY (source, number)
) WITHOUT ROWID;

-- What can no longer be printed as it was. first_line 0: standings up to last_line that a later one, also up to there, had followed.
CREATE TABLE standing_gone (source TEXT NOT NULL, first_line INTEGER NOT NULL, last_line INTEGER NOT NULL, at INTEGER NOT NULL, done INTEGER NOT NULL, PRIMARY KEY (source, first_line, last_line)) WITHOUT ROWID;

-- Mails to operators. `recipient` is an address of an operator: personal data, gone with its row.

-- One row per mail and recipient: one SMTP transaction.
CREATE TABLE mail (
  id BLOB PRIMARY KEY,
  sender TEXT NOT NULL,            -- ente; '' for the installation
  kind TEXT NOT NULL,              -- word of AlertKind
  recipient TEXT NOT NULL,
  message_id TEXT NOT NULL,
  state TEXT NOT NULL,             -- ATTESA, IN_CORSO, INVIATA, RIFIUTATA, ABBANDONATA
  alone INTEGER NOT NULL,          -- a report: nothing is added to it
  created_at INTEGER NOT NULL,
  due_at INTEGER NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,  -- times that the server put the recipient off
  failed_at INTEGER,               -- the first of them
  doubtful INTEGER NOT NULL DEFAULT 0,  -- times it was handed over and no answer is known
  repeats INTEGER NOT NULL DEFAULT 0,   -- times it was handed over again after that
  lease_until INTEGER,
  fence INTEGER NOT NULL DEFAULT 0,
  error TEXT,
  closed_at INTEGER
) WITHOUT ROWID;
CREATE INDEX mail_due ON mail (due_at, id) WHERE state = 'ATTESA';
CREATE INDEX mail_taken ON mail (lease_until) WHERE state = 'IN_CORSO';
CREATE INDEX mail_open ON mail (sender, kind, recipient) WHERE state = 'ATTESA' AND doubtful = 0 AND alone = 0;
CREATE INDEX mail_by_key ON mail (sender, kind, recipient, created_at);
CREATE INDEX mail_closed ON mail (closed_at) WHERE closed_at IS NOT NULL;
CREATE INDEX mail_given_up ON mail (closed_at) WHERE state IN ('RIFIUTATA', 'ABBANDONATA');
CREATE INDEX mail_repeated ON mail (repeats) WHERE repeats > 0;

-- What a mail tells: how often each code, and the first alerts themselves.
CREATE TABLE mail_code (
  mail_id BLOB NOT NULL,
  code TEXT NOT NULL,
  flow TEXT NOT NULL,              -- '': none
  alerts INTEGER NOT NULL,
  first_at INTEGER NOT NULL,
  last_at INTEGER NOT NULL,
  PRIMARY KEY (mail_id, code, flow)
) WITHOUT ROWID;
CREATE TABLE mail_alert (mail_id BLOB NOT NULL, alert_id INTEGER NOT NULL, PRIMARY KEY (mail_id, alert_id)) WITHOUT ROWID;

-- What was handed over, as long as it may have to be handed over again.
CREATE TABLE mail_content (mail_id BLOB PRIMARY KEY, subject TEXT NOT NULL, text TEXT NOT NULL, html TEXT NOT NULL) WITHOUT ROWID;

-- Until when what happens is collected into one mail, after the one that went.
CREATE TABLE mail_window (sender TEXT NOT NULL, kind TEXT NOT NULL, recipient TEXT NOT NULL, until INTEGER NOT NULL, PRIMARY KEY (sender, kind, recipient)) WITHOUT ROWID;
CREATE INDEX mail_window_by_end ON mail_window (until);

-- Alerts before this program could mail are old news.
INSERT INTO setting (name, value) SELECT 'mail_cursor', coalesce(max(id), 0) FROM alert;

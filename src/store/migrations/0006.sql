-- Debt positions: one row per notice of a creditor that a configured PT has, whichever acts and recipients name it (table `notice`).
-- Nothing here tells who owes: that is in act_content.

-- How many positions an act names: those with none are never looked up.
ALTER TABLE act ADD COLUMN positions INTEGER NOT NULL DEFAULT 0;

-- Which PT has the notices of a creditor, as the configuration says: written at each start and reload. In order, the first that fits.
CREATE TABLE payment_route (
  creditor TEXT NOT NULL,
  n INTEGER NOT NULL,
  aux INTEGER,
  code TEXT,
  pt TEXT NOT NULL,
  costs TEXT NOT NULL,             -- word of CostChannel
  managed INTEGER NOT NULL,
  PRIMARY KEY (creditor, n)
) WITHOUT ROWID;

CREATE TABLE position (
  n INTEGER PRIMARY KEY,           -- its notice as a number, unless a position of another creditor has that: a price is found without an index
  id BLOB NOT NULL UNIQUE,
  creditor TEXT NOT NULL,
  notice TEXT NOT NULL,
  sender TEXT NOT NULL,            -- ente whose act named it last
  act_id BLOB NOT NULL,            -- the act that its amount follows
  pt TEXT NOT NULL,
  costs TEXT NOT NULL,             -- word of CostChannel: the one way of the cost
  state TEXT NOT NULL,
  state_data TEXT NOT NULL,
  state_version INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  -- What the PT holds, as it was read last.
  held_state TEXT,
  asked INTEGER,
  base INTEGER,                    -- the same before messo changed anything: the amount of a notice that the act does not state
  fee INTEGER,
  held_due TEXT,
  pt_id TEXT,                      -- its own id of the position
  read_at INTEGER,
  -- What it should hold.
  wanted INTEGER,
  wanted_cost INTEGER,
  cost INTEGER,                    -- of notification, whoever asks the citizen for it
  reckoned_on TEXT,                -- Rome day
  next_day TEXT,                   -- Rome day on which the amount changes by time alone
  whole_before INTEGER,            -- what the citizen had to pay, cost and all, before the Rome day of whole_since
  whole_since TEXT,
  fault TEXT,                      -- code: there is no sum
  sheet TEXT,                      -- the price of each day to come, JSON: what a PT that asks is answered from
  pushed_at INTEGER,               -- messo has changed it
  ticket TEXT,                     -- of a change that the PT has taken in charge
  paid_at INTEGER,
  paid INTEGER,
  park_code TEXT,
  due_apart INTEGER NOT NULL DEFAULT 0, -- a person said that it is due though another notice of its debt was paid
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX position_by_notice ON position (notice, creditor);
CREATE INDEX position_by_state ON position (state, pt);
CREATE INDEX position_by_pt_id ON position (pt, pt_id) WHERE pt_id IS NOT NULL;
CREATE INDEX position_by_ticket ON position (pt, ticket) WHERE ticket IS NOT NULL;
CREATE INDEX position_parked ON position (park_code, sender) WHERE park_code IS NOT NULL;
CREATE INDEX position_by_date ON position (next_day) WHERE next_day IS NOT NULL;

-- Positions whose cost goes PULL at a PT that replaces what it has by messo's answer: as it held them when it was read last. Names
-- people: a row goes with the content of the act that its position follows.
CREATE TABLE position_whole (
  position_id BLOB PRIMARY KEY,
  json TEXT NOT NULL
) WITHOUT ROWID;

-- Payments that PTs told, each once. Of a notice that no act names too: a person is told.
CREATE TABLE payment (
  creditor TEXT NOT NULL,
  notice TEXT NOT NULL,
  receipt TEXT NOT NULL,           -- of the PT; without one, instant, amount and whether it is the whole
  named INTEGER NOT NULL,          -- the receipt is the PT's
  pt TEXT NOT NULL,
  paid_at INTEGER NOT NULL,
  amount INTEGER NOT NULL,
  whole INTEGER NOT NULL,
  polled INTEGER NOT NULL,         -- its PT said so (and named it so) when it was asked
  learnt_at INTEGER NOT NULL,
  PRIMARY KEY (creditor, notice, receipt)
) WITHOUT ROWID;

-- Days that do not count (appeal). until_day NULL: until further notice.
CREATE TABLE suspension (
  position_id BLOB NOT NULL,
  seq INTEGER NOT NULL,
  act_id BLOB NOT NULL,            -- the act that was followed: a notification that is cancelled takes its stopped days along
  from_day TEXT NOT NULL,
  until_day TEXT,
  who TEXT NOT NULL,
  why TEXT NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (position_id, seq)
) WITHOUT ROWID;

-- Acts that an amount still follows: its position is neither paid nor closed, and there are dates or questions to its PT to come, days
-- that stand still, or a person is expected. Where the debt was paid with another notice there is no amount to follow.
CREATE VIEW act_followed AS
SELECT n.act_id, p.id AS position_id FROM notice n JOIN position p ON p.notice = n.notice_code AND p.creditor = n.creditor
WHERE p.act_id = n.act_id AND p.state IN ('DA_VERIFICARE', 'APERTA', 'IN_MODIFICA', 'FERMA')
AND p.park_code IS NOT 'PAGATO_CON_ALTRO_AVVISO'
AND (p.state <> 'APERTA' OR p.next_day IS NOT NULL
  OR EXISTS (SELECT 1 FROM suspension s WHERE s.position_id = p.id AND s.until_day IS NULL)
  OR EXISTS (SELECT 1 FROM job j WHERE j.subject_kind = 'posizione' AND j.subject_id = p.id));

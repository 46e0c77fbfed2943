-- What PTs told of changes under a ticket that no position has: told before the ticket was recorded, perhaps. Applied when a position
-- records it; kept for some days. Holds no personal data.
CREATE TABLE early_outcome (
  pt TEXT NOT NULL,
  ticket TEXT NOT NULL,
  code TEXT,                       -- why the PT did not make the change, in its own word; NULL: it made it
  why TEXT,                        -- the same in ours (WhyUndone)
  reads INTEGER NOT NULL,          -- the PT can be read back
  told_at INTEGER NOT NULL,
  PRIMARY KEY (pt, ticket)
) WITHOUT ROWID;
CREATE INDEX early_outcome_by_age ON early_outcome (told_at);

-- What a PT held before the change that it took in charge, was silent about, and is taken to hold: right again if it refuses it after all.
ALTER TABLE position ADD COLUMN asked_before INTEGER;
ALTER TABLE position ADD COLUMN due_before TEXT;
-- It was told another amount and nobody knows whether it arrived: whatever it is taken to hold, what is due is told again.
ALTER TABLE position ADD COLUMN unsure INTEGER NOT NULL DEFAULT 0;

-- What messo made of the PT's own amount in the life before this one, JSON: a PT may still hold it when another act names the position.
ALTER TABLE position ADD COLUMN past TEXT;

-- Costs of notification that the citizen was asked for in this life, each until before a Rome day, JSON: what was due when a payment that
-- is learnt late was made.
ALTER TABLE position ADD COLUMN costs_before TEXT;

-- How often in a row its PT told later that it has not made the change and may be told it again; whether it said that it is being paid.
ALTER TABLE position ADD COLUMN again INTEGER NOT NULL DEFAULT 0;
ALTER TABLE position ADD COLUMN being_paid INTEGER NOT NULL DEFAULT 0;

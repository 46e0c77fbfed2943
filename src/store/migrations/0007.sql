-- What exports print of payments: what a recipient owes and what was paid with its notices (cents), when last,
-- and the same notice by notice (`due/paid` between bars, in the order of `notices`).
ALTER TABLE standing ADD COLUMN due INTEGER;
ALTER TABLE standing ADD COLUMN paid INTEGER;
ALTER TABLE standing ADD COLUMN paid_at INTEGER;
ALTER TABLE standing ADD COLUMN payments TEXT;
-- The notices ask for one debt between them: one of them is paid.
ALTER TABLE standing ADD COLUMN alternatives INTEGER NOT NULL DEFAULT 0;
DROP TRIGGER standing_is_final;
CREATE TRIGGER standing_is_final BEFORE UPDATE OF source, line, recipient, recipients, act_id, at, closed, state, suspended, code, protocol, iun,
  amount, vat, pa_fee, base_fee, paper, citizen_cost, accepted_at, completed_at, perfection, attestations, submission, due, paid, paid_at, payments, alternatives ON standing
BEGIN SELECT raise(ABORT, 'append only'); END;

-- What the gestionale was last told that a position asks for, cost included, where messo does not tell its PT.
ALTER TABLE position ADD COLUMN told INTEGER;

//! Ready-made amount rules, each with its norm, and how a flow or a batch states a rule: whole, or a ready-made one with some keys
//! of its own.
//!
//! A ready-made rule is a starting point: whoever names it may say otherwise in every key. Norms: `reference pt.md` 5.4, 5.5.

use jiff::civil::{Date, date};
use serde::{Deserialize, Serialize};

use super::act::vocabulary;
use super::amount_rule::{
    AmountRule, AmountStep, Charge, CostBearers, CostPolicy, FromEvent, HolidayPolicy, PercentOf, Rounding, SanctionTable, StepAmount,
    WhenMissing, WhoseCompletion,
};
use super::money::Cents;

vocabulary!(
    /// A ready-made rule.
    AmountPreset {
        /// Fine served by notification: 70 % of the minimum for 5 days, the minimum for 60, then half of the maximum.
        Cds = "cds",
        /// The same, contested on the spot: days from the contestation.
        CdsContested = "cds-contestazione",
        /// A fine without the discount of 5 days (confiscation of the vehicle or suspension of the licence).
        CdsWhole = "cds-senza-riduzione",
        TariReminder = "tari-sollecito",
        TariAssessment = "tari-accertamento",
        ImuAssessment = "imu-accertamento",
        School = "servizi-scolastici",
        Patrimony = "entrate-patrimoniali",
        /// An enforceable assessment with the charge of collection, once the term has passed.
        Collection = "onere-riscossione",
    }
);

impl AmountPreset {
    /// The law that it follows.
    #[must_use]
    pub fn norm(self) -> &'static str {
        match self {
            AmountPreset::Cds => "artt. 202, c. 1, e 203, c. 3, D.Lgs. 285/1992; decorrenza: art. 26 D.L. 76/2020",
            AmountPreset::CdsContested => "artt. 200, 202, c. 1, e 203, c. 3, D.Lgs. 285/1992",
            AmountPreset::CdsWhole => "artt. 202, c. 1, terzo periodo, e 203, c. 3, D.Lgs. 285/1992",
            AmountPreset::TariReminder => "art. 1, c. 641-668, L. 147/2013 e regolamento TARI dell'ente (almeno 30 giorni)",
            AmountPreset::TariAssessment => "art. 1, c. 792, L. 160/2019; c. 695, L. 147/2013; art. 13 D.Lgs. 471/1997; L. 742/1969",
            AmountPreset::ImuAssessment => "art. 1, c. 774 e 792, L. 160/2019; art. 13 D.Lgs. 471/1997; L. 742/1969",
            AmountPreset::School => "artt. 1219 e 1224 c.c. e regolamento dell'ente",
            AmountPreset::Patrimony => "art. 1, c. 792, lett. a), L. 160/2019 (sessanta giorni dalla notifica)",
            AmountPreset::Collection => "art. 1, c. 792, 803, lett. a), e 804, L. 160/2019; L. 742/1969",
        }
    }

    /// The rule, costs added.
    #[must_use]
    pub fn rule(self) -> AmountRule {
        let whole = |from, days| AmountStep::percent(from, days, 10_000);
        let fine = |from, discount: bool| {
            let of = |days, percent, of| AmountStep { of, ..AmountStep::percent(from, days, percent) };
            let mut steps = vec![of(Some(60), 10_000, PercentOf::Minimum), of(None, 5_000, PercentOf::Maximum)];
            if discount {
                steps.insert(0, of(Some(5), 7_000, PercentOf::Minimum));
            }
            steps
        };
        // Payment is due within the term of appeal, which stands still in August.
        let assessed = || AmountStep { summer: true, ..whole(FromEvent::Completion, Some(60)) };
        let charged = |days, percent, cap| {
            let charge = Some(Charge { percent, cap: Some(Cents(cap)) });
            AmountStep { charge, ..whole(FromEvent::Enforceable, days) }
        };
        let steps = match self {
            AmountPreset::Cds => fine(FromEvent::Completion, true),
            AmountPreset::CdsContested => fine(FromEvent::Contestation, true),
            AmountPreset::CdsWhole => fine(FromEvent::Completion, false),
            AmountPreset::TariReminder | AmountPreset::School => {
                vec![whole(FromEvent::Completion, Some(30)), whole(FromEvent::Completion, None)]
            }
            AmountPreset::TariAssessment | AmountPreset::ImuAssessment => vec![assessed(), whole(FromEvent::Completion, None)],
            AmountPreset::Patrimony => vec![whole(FromEvent::Completion, Some(60)), whole(FromEvent::Completion, None)],
            AmountPreset::Collection => vec![assessed(), charged(Some(60), 300, 30_000), charged(None, 600, 60_000)],
        };
        AmountRule { preset: Some(self), steps, ..AmountRule::flat(CostPolicy::Added) }
    }
}

/// Sanction for tax not paid in time, art. 13, c. 1, D.Lgs. 471/1997: since the day of a violation, hundredths of a percent.
/// D.Lgs. 87/2024 lowered it for violations from 1 September 2024; those before 2016 can no longer be assessed.
pub const OMITTED_PAYMENT: &[(Date, u32)] = &[(date(1998, 4, 1), 3_000), (date(2024, 9, 1), 2_500)];

/// What part of the tax the sanction is, `late` days after the violation, as (numerator, denominator): the rate of the violation's
/// date, half of it up to 90 days, a fifteenth of that half for each day up to 15. `None`: older than the table.
#[must_use]
pub fn omitted_payment(violation: Date, late: u32) -> Option<(i128, i128)> {
    let (_, rate) = OMITTED_PAYMENT.iter().rev().find(|(since, _)| violation >= *since)?;
    let rate = i128::from(*rate);
    Some(match late {
        0..=15 => (rate * i128::from(late), 10_000 * 2 * 15),
        16..=90 => (rate, 10_000 * 2),
        _ => (rate, 10_000),
    })
}

/// A rule as somebody states it.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StatedRule {
    pub preset: Option<AmountPreset>,
    pub base: Option<Cents>,
    pub steps: Option<Vec<AmountStep>>,
    pub costs: Option<CostPolicy>,
    pub bearers: Option<CostBearers>,
    pub completion: Option<WhoseCompletion>,
    pub holidays: Option<HolidayPolicy>,
    pub rounding: Option<Rounding>,
    pub extra: Option<Cents>,
    pub sanction: Option<SanctionTable>,
    pub semester: Option<u32>,
    pub floor: Option<Cents>,
    pub ceiling: Option<Cents>,
    pub valid_from: Option<Date>,
    pub valid_until: Option<Date>,
    pub missing: Option<WhenMissing>,
}

impl StatedRule {
    /// What is stated wins, the rest is `rule`'s: a row that names the ready-made rule of its flow has what the ente has added to it.
    /// `None`: it names another one, or none (then it is whole by itself).
    #[must_use]
    pub fn over(&self, rule: &AmountRule) -> Option<AmountRule> {
        (self.preset.is_some() && self.preset == rule.preset).then(|| self.laid_over(rule))
    }

    fn laid_over(&self, rule: &AmountRule) -> AmountRule {
        AmountRule {
            preset: rule.preset,
            base: self.base.or(rule.base),
            steps: self.steps.clone().unwrap_or_else(|| rule.steps.clone()),
            costs: self.costs.unwrap_or(rule.costs),
            bearers: self.bearers.unwrap_or(rule.bearers),
            completion: self.completion.unwrap_or(rule.completion),
            holidays: self.holidays.unwrap_or(rule.holidays),
            rounding: self.rounding.unwrap_or(rule.rounding),
            extra: self.extra.or(rule.extra),
            sanction: self.sanction.or(rule.sanction),
            semester: self.semester.or(rule.semester),
            floor: self.floor.or(rule.floor),
            ceiling: self.ceiling.or(rule.ceiling),
            valid_from: self.valid_from.or(rule.valid_from),
            valid_until: self.valid_until.or(rule.valid_until),
            missing: self.missing.unwrap_or(rule.missing),
        }
    }
}

impl From<StatedRule> for AmountRule {
    /// Without a ready-made rule, costs and steps must be stated: who states only one has no step, and [`AmountRule::check`] says so.
    fn from(mut stated: StatedRule) -> AmountRule {
        let nothing = AmountRule { steps: Vec::new(), ..AmountRule::flat(CostPolicy::NotAdded) };
        if stated.preset.is_none() && stated.costs.is_none() {
            stated.steps = None;
        }
        stated.laid_over(&stated.preset.map_or(nothing, AmountPreset::rule))
    }
}

impl AmountRule {
    /// What `due` is of a step, when it is the whole of something.
    #[must_use]
    pub fn asks_whole(&self, of: PercentOf) -> bool {
        self.steps.iter().any(|step| step.of == of && step.due == StepAmount::Percent(10_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::amount_rule::AmountRuleError;

    #[test]
    fn every_ready_made_rule_makes_sense_and_survives_the_store() {
        for preset in AmountPreset::ALL {
            let rule = preset.rule();
            assert_eq!(rule.check(), Ok(()), "{preset}");
            assert!(!preset.norm().is_empty(), "{preset}");
            let text = serde_json::to_string(&rule).unwrap();
            assert_eq!(serde_json::from_str::<AmountRule>(&text).unwrap(), rule, "{text}");
            // What is set apart from steps could not be taken away again: the preset must leave it to whoever names it.
            let plain = AmountRule { preset: Some(*preset), steps: rule.steps.clone(), ..AmountRule::flat(CostPolicy::Added) };
            assert_eq!(rule, plain, "{preset}");
        }
    }

    #[test]
    fn what_is_stated_wins_over_the_ready_made() {
        let read = |text: &str| toml::from_str::<AmountRule>(text);
        assert_eq!(read("preset = 'cds'").unwrap(), AmountPreset::Cds.rule());
        let own = read("preset = 'cds'\nextra = 1250\nsemester = 1000\nmissing = 'importo'\ncompletion = 'ultimo'\ncosts = 'non_aggiunti'")
            .unwrap();
        assert_eq!((own.extra, own.semester, own.missing), (Some(Cents(1_250)), Some(1_000), WhenMissing::Flat));
        assert_eq!((own.completion, own.costs), (WhoseCompletion::Last, CostPolicy::NotAdded));
        assert_eq!(own.steps, AmountPreset::Cds.rule().steps);
        let steps = "[[steps]]\nfrom = 'perfezionamento'\ndue = { percent = 10000 }";
        assert_eq!(read(&format!("preset = 'cds'\n{steps}")).unwrap().steps.len(), 1);
        assert!(read(&format!("costs = 'aggiunti'\n{steps}")).is_ok());
        for unread in ["preset = 'multe'", "preset = 'cds'\nsconto = 1"] {
            assert!(read(unread).is_err(), "{unread}");
        }
        // Laid over what the flow says of the same ready-made rule.
        let stated = |text: &str| toml::from_str::<StatedRule>(text).unwrap();
        assert_eq!(stated("preset = 'cds'").over(&own), Some(own.clone()));
        let row = stated("preset = 'cds'\nextra = 0\ncosts = 'aggiunti'").over(&own).unwrap();
        assert_eq!((row.extra, row.costs, row.semester, row.missing), (Some(Cents(0)), CostPolicy::Added, Some(1_000), WhenMissing::Flat));
        let row = stated(&format!("preset = 'cds'\n{steps}")).over(&own).unwrap();
        assert_eq!((row.steps.len(), row.extra), (1, Some(Cents(1_250))));
        for other in ["preset = 'cds-contestazione'", "base = 4200\ncosts = 'aggiunti'", ""] {
            assert_eq!(stated(other).over(&own), None, "{other}");
        }
        for half in ["", "costs = 'aggiunti'", steps] {
            assert_eq!(read(half).unwrap().check(), Err(AmountRuleError::Empty), "{half}");
        }
    }

    #[test]
    fn the_rate_follows_the_violation() {
        let table: &[(&str, u32, Option<f64>)] = &[
            ("2024-08-31", 400, Some(0.30)),
            ("2024-09-01", 400, Some(0.25)),
            ("2024-09-01", 91, Some(0.25)),
            ("2024-09-01", 90, Some(0.125)),
            ("2024-09-01", 16, Some(0.125)),
            ("2024-09-01", 15, Some(0.125)),
            ("2024-09-01", 6, Some(0.05)),
            ("2024-08-31", 15, Some(0.15)),
            ("2024-08-31", 1, Some(0.01)),
            ("2024-08-31", 0, Some(0.0)),
            ("1997-12-31", 400, None),
        ];
        for (day, late, want) in table {
            let got = omitted_payment(day.parse().unwrap(), *late).map(|(part, of)| part as f64 / of as f64);
            assert!(
                got.zip(*want).is_none_or(|(got, want)| (got - want).abs() < 1e-12) && got.is_some() == want.is_some(),
                "{day} {late}: {got:?}"
            );
        }
    }
}

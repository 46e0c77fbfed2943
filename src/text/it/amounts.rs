//! Italian for what is due: each line of a breakdown as the office and the citizen may read it, and why there is no sum.

use jiff::civil::Date;

use crate::domain::amount_rule::{AmountFault, AmountRuleError, Breakdown, BreakdownLine, FromEvent, PercentOf, StepAmount};
use crate::domain::money::Cents;

/// A breakdown, line by line; the last line is the total.
#[must_use]
pub fn lines(sum: &Breakdown) -> Vec<String> {
    let several = sum.lines.iter().filter(|line| matches!(line, BreakdownLine::Cost { .. })).count() > 1;
    let mut lines: Vec<String> = sum.lines.iter().map(|line| one(line, sum.step, several)).collect();
    let until = sum.until.map(|until| format!(" fino al {}", day(until))).unwrap_or_default();
    lines.push(format!("Totale{until}: {}", euro(sum.total)));
    lines
}

fn one(line: &BreakdownLine, step: usize, several: bool) -> String {
    use BreakdownLine as L;
    match line {
        L::Base { of, amount } => {
            let name = match of {
                PercentOf::Base => "Importo base",
                PercentOf::Minimum => "Minimo edittale",
                PercentOf::Maximum => "Massimo edittale",
            };
            format!("{name}: {}", euro(*amount))
        }
        L::Sanction { violation, late, amount } => {
            let late = match late {
                0 => ", nessun ritardo".to_owned(),
                1 => ", un giorno di ritardo".to_owned(),
                2..=90 => format!(", {late} giorni di ritardo"),
                _ => String::new(),
            };
            format!("Sanzione per omesso o tardivo versamento (violazione del {}{late}): {}", day(*violation), euro(*amount))
        }
        L::Step { from, event, days, until, moved, due, amount } => {
            let when = match days {
                None if step == 0 => "In ogni momento".to_owned(),
                None => "Oltre i termini precedenti".to_owned(),
                Some(days) => within(*from, *event, *days, *until, *moved),
            };
            match due {
                StepAmount::Percent(percent) => format!("{when}: {} = {}", percent_of(*percent), euro(*amount)),
                StepAmount::Fixed(_) => format!("{when}: {}", euro(*amount)),
            }
        }
        L::Semesters { since, count: 1, amount } => format!("Maggiorazione per un semestre intero dal {}: {}", day(*since), euro(*amount)),
        L::Semesters { since, count, amount } => {
            format!("Maggiorazione per {count} semestri interi dal {}: {}", day(*since), euro(*amount))
        }
        L::Charge { percent, cap, amount } => {
            let cap = cap.map(|cap| format!(", al massimo {}", euro(cap))).unwrap_or_default();
            format!("Onere di riscossione ({}{cap}): {}", percent_of(*percent), euro(*amount))
        }
        L::Floor(amount) => format!("Mai meno di: {}", euro(*amount)),
        L::Ceiling(amount) => format!("Mai più di: {}", euro(*amount)),
        L::ToTheEuro(amount) => format!("Arrotondamento all'euro: {}", euro(*amount)),
        L::Extra(amount) => format!("Spese dell'ente: {}", euro(*amount)),
        L::Suspended { since } => format!("Termini sospesi dal {}: i giorni non si contano", day(*since)),
        L::Flat { why, amount } => format!("Importo dell'atto, senza applicare la regola ({}): {}", fault(*why), euro(*amount)),
        L::Cost { recipient, amount } if several => format!("Costo di notifica del destinatario {}: {}", recipient + 1, euro(*amount)),
        L::Cost { amount, .. } => format!("Costo di notifica: {}", euro(*amount)),
        L::CostNotAdded => "Costo di notifica: non aggiunto".to_owned(),
        L::CostInPosition => "Costo di notifica: lo scrive SEND nella posizione".to_owned(),
        L::NotNotifiedYet => "Costo di notifica: nessuno finché SEND non accetta la notifica".to_owned(),
    }
}

fn within(from: FromEvent, event: Option<Date>, days: u32, until: Option<Date>, moved: bool) -> String {
    let event_name = match from {
        FromEvent::ActDate => "dalla data dell'atto",
        FromEvent::Completion => "dalla notifica",
        FromEvent::Contestation => "dalla contestazione",
        FromEvent::Enforceable => "dal giorno in cui l'atto è esecutivo",
    };
    let days = if days == 1 { "un giorno".to_owned() } else { format!("{days} giorni") };
    let until = match (event, until) {
        (None, _) => " (non ancora perfezionata)".to_owned(),
        (Some(_), None) => " (termine sospeso)".to_owned(),
        (Some(_), Some(until)) if moved => format!(" (fino al {}, primo giorno utile)", day(until)),
        (Some(_), Some(until)) => format!(" (fino al {})", day(until)),
    };
    format!("Entro {days} {event_name}{until}")
}

/// Why there is no sum.
#[must_use]
pub fn fault(fault: AmountFault) -> &'static str {
    match fault {
        AmountFault::NoBase => "manca l'importo",
        AmountFault::NoSuchBase(PercentOf::Base) => "manca l'importo base",
        AmountFault::NoSuchBase(PercentOf::Minimum) => "manca il minimo edittale",
        AmountFault::NoSuchBase(PercentOf::Maximum) => "manca il massimo edittale",
        AmountFault::NoSuchDate(FromEvent::ActDate) => "manca la data dell'accertamento",
        AmountFault::NoSuchDate(FromEvent::Contestation) => "manca la data della contestazione",
        AmountFault::NoSuchDate(FromEvent::Completion | FromEvent::Enforceable) => "manca la data da cui contare i giorni",
        AmountFault::NoViolation => "manca la data della violazione",
        AmountFault::OutOfValidity => "la regola non vale per la data dell'atto",
        AmountFault::DoesNotAddUp => "l'importo dell'atto non è fra quelli della regola",
        AmountFault::NotPositive => "l'importo sarebbe zero o negativo",
        AmountFault::TooLarge => "l'importo supererebbe 999.999.999,99 euro",
    }
}

/// What a rule should be instead, for whoever writes it in a batch.
#[must_use]
pub fn rule_error(error: AmountRuleError) -> &'static str {
    match error {
        AmountRuleError::Empty => "la regola non ha passi",
        AmountRuleError::DaysDoNotGrow => "i giorni dei passi devono crescere",
        AmountRuleError::EndlessInTheMiddle => "solo l'ultimo passo può essere senza giorni",
        AmountRuleError::TooMany => "la regola ha più di 20 passi",
        AmountRuleError::NoTermBefore => "il primo passo non può contare da `esecutivita`",
        AmountRuleError::FloorOverCeiling => "il minimo della regola supera il massimo",
        AmountRuleError::Validity => "la regola finisce di valere prima di cominciare",
        AmountRuleError::SemesterWithoutTerm => "la maggiorazione per semestre vuole un ultimo passo senza giorni, dopo almeno un altro",
    }
}

fn euro(amount: Cents) -> String {
    super::mail::euro(amount.0)
}

fn day(date: Date) -> String {
    date.strftime("%d/%m/%Y").to_string()
}

fn percent_of(hundredths: u32) -> String {
    match hundredths % 100 {
        0 => format!("{} %", hundredths / 100),
        rest => format!("{},{rest:02} %", hundredths / 100),
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::domain::amount_rule::{
        AmountFacts, AmountPreset, AmountRule, CostBearers, CostPolicy, RecipientFacts, Rounding, SanctionTable, Suspension, amount_due,
    };

    fn told(rule: &AmountRule, facts: &AmountFacts, day: Date) -> String {
        lines(&amount_due(rule, facts, day).unwrap()).join("\n")
    }

    fn fine() -> AmountFacts {
        let holder = RecipientFacts { completed: Some(date(2027, 1, 7)), price: Some(Cents(847)), ..RecipientFacts::default() };
        AmountFacts {
            amount: Some(Cents(4_200)),
            minimum: Some(Cents(4_200)),
            maximum: Some(Cents(17_300)),
            violation: Some(date(2026, 9, 14)),
            recipients: vec![holder, RecipientFacts { analog_cost: Cents(530), ..RecipientFacts::default() }],
            applies_cost: true,
            notified: true,
            pa_fee: 100,
            vat: 22,
            ..AmountFacts::default()
        }
    }

    #[test]
    fn a_fine_through_its_windows() {
        let cds = AmountPreset::Cds.rule();
        insta::assert_snapshot!(told(&cds, &fine(), date(2027, 1, 8)), @r"
        Minimo edittale: 42,00 €
        Entro 5 giorni dalla notifica (fino al 12/01/2027): 70 % = 29,40 €
        Costo di notifica: 8,47 €
        Totale fino al 12/01/2027: 37,87 €
        ");
        insta::assert_snapshot!(told(&cds, &fine(), date(2027, 1, 13)), @r"
        Minimo edittale: 42,00 €
        Entro 60 giorni dalla notifica (fino al 08/03/2027): 100 % = 42,00 €
        Costo di notifica: 8,47 €
        Totale fino al 08/03/2027: 50,47 €
        ");
        let late = AmountRule { semester: Some(1_000), extra: Some(Cents(1_250)), bearers: CostBearers::All, ..cds.clone() };
        insta::assert_snapshot!(told(&late, &fine(), date(2028, 3, 9)), @r"
        Massimo edittale: 173,00 €
        Oltre i termini precedenti: 50 % = 86,50 €
        Maggiorazione per 2 semestri interi dal 09/03/2027: 17,30 €
        Spese dell'ente: 12,50 €
        Costo di notifica del destinatario 1: 8,47 €
        Costo di notifica del destinatario 2: 8,47 €
        Totale fino al 08/09/2028: 133,24 €
        ");
        let unknown = AmountFacts { recipients: vec![RecipientFacts::default()], notified: false, ..fine() };
        insta::assert_snapshot!(told(&cds, &unknown, date(2027, 1, 8)), @r"
        Minimo edittale: 42,00 €
        Entro 5 giorni dalla notifica (non ancora perfezionata): 70 % = 29,40 €
        Costo di notifica: nessuno finché SEND non accetta la notifica
        Totale: 29,40 €
        ");
        let held = AmountFacts { suspensions: vec![Suspension { from: date(2027, 1, 9), until: None }], ..fine() };
        let asked = AmountRule { costs: CostPolicy::AlreadyInPosition, ..cds };
        insta::assert_snapshot!(told(&asked, &held, date(2027, 6, 1)), @r"
        Minimo edittale: 42,00 €
        Entro 5 giorni dalla notifica (termine sospeso): 70 % = 29,40 €
        Termini sospesi dal 09/01/2027: i giorni non si contano
        Costo di notifica: lo scrive SEND nella posizione
        Totale: 29,40 €
        ");
    }

    #[test]
    fn taxes_charges_and_what_is_missing() {
        let tax = AmountFacts { amount: Some(Cents(2_000_050)), minimum: None, violation: Some(date(2026, 6, 16)), ..fine() };
        let assessed =
            AmountRule { sanction: Some(SanctionTable::OmittedPayment), rounding: Rounding::Euro, ..AmountPreset::Collection.rule() };
        insta::assert_snapshot!(told(&assessed, &tax, date(2027, 3, 9)), @r"
        Importo base: 20.000,50 €
        Sanzione per omesso o tardivo versamento (violazione del 16/06/2026): 5.000,13 €
        Entro 60 giorni dal giorno in cui l'atto è esecutivo (fino al 08/05/2027): 100 % = 25.000,63 €
        Onere di riscossione (3 %, al massimo 300,00 €): 300,00 €
        Arrotondamento all'euro: 25.301,00 €
        Costo di notifica: 8,47 €
        Totale fino al 08/05/2027: 25.309,47 €
        ");
        let flat = AmountRule { missing: crate::domain::amount_rule::WhenMissing::Flat, ..AmountPreset::Cds.rule() };
        insta::assert_snapshot!(told(&flat, &AmountFacts { applies_cost: false, ..tax }, date(2027, 3, 9)), @r"
        Importo dell'atto, senza applicare la regola (manca il minimo edittale): 20.000,50 €
        Costo di notifica: non aggiunto
        Totale: 20.000,50 €
        ");
    }

    #[test]
    fn moved_days_and_percents() {
        let moved =
            AmountFacts { recipients: vec![RecipientFacts { completed: Some(date(2026, 12, 20)), ..RecipientFacts::default() }], ..fine() };
        assert_eq!(
            lines(&amount_due(&AmountPreset::Cds.rule(), &moved, date(2026, 12, 20)).unwrap())[1],
            "Entro 5 giorni dalla notifica (fino al 28/12/2026, primo giorno utile): 70 % = 29,40 €"
        );
        for (hundredths, want) in [(7_000, "70 %"), (3_333, "33,33 %"), (5, "0,05 %"), (0, "0 %")] {
            assert_eq!(percent_of(hundredths), want);
        }
    }
}

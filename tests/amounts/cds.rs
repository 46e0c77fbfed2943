//! Fines of the Codice della Strada, dated: 70 % of the minimum within 5 days, the minimum within 60, then half of the maximum
//! (artt. 202 and 203 D.Lgs. 285/1992). The dates of the table were reckoned apart from messo, on a printed calendar and by a script.

use jiff::Timestamp;
use jiff::civil::Date;
use messo::domain::amount_due::digital_term;
use messo::domain::amount_rule::{
    AmountFacts, AmountFault, AmountPreset, AmountRule, CostPolicy, RecipientFacts, Suspension, WhoseCompletion, amount_due,
    completion_day, next_change,
};
use messo::domain::calendar::Calendar;
use messo::domain::money::Cents;

use super::day;

/// (completion, patron, last day of the discount, last day of the minimum, why)
type Row = (&'static str, Option<&'static str>, &'static str, &'static str, &'static str);

#[rustfmt::skip]
const WINDOWS: &[Row] = &[
    ("2026-11-23", None, "2026-11-28", "2027-01-22", "sabato: non si sposta"),
    ("2026-11-22", None, "2026-11-27", "2027-01-21", "venerdì feriale: nessuno spostamento"),
    ("2026-11-24", None, "2026-11-30", "2027-01-23", "domenica: va a lunedì"),
    ("2026-09-30", None, "2026-10-05", "2026-11-30", "il sessantesimo giorno è domenica: va a lunedì"),
    ("2026-09-29", None, "2026-10-05", "2026-11-28", "il sessantesimo giorno è sabato: non si sposta"),
    ("2026-12-27", None, "2027-01-02", "2027-02-25", "Capodanno di venerdì: va a sabato, che è un giorno come gli altri"),
    ("2026-12-26", None, "2026-12-31", "2027-02-24", "ultimo giorno dell'anno, feriale"),
    ("2026-11-02", None, "2026-11-07", "2027-01-02", "sessantesimo giorno a Capodanno: va a sabato 2"),
    ("2026-11-01", None, "2026-11-06", "2026-12-31", "sessantesimo giorno il 31 dicembre"),
    ("2027-12-27", None, "2028-01-03", "2028-02-25", "Capodanno di sabato, poi domenica: va a lunedì 3"),
    ("2027-01-01", None, "2027-01-07", "2027-03-02", "Epifania di mercoledì: va a giovedì"),
    ("2028-01-01", None, "2028-01-07", "2028-03-01", "Epifania di giovedì: va a venerdì"),
    ("2026-11-07", None, "2026-11-12", "2027-01-07", "sessantesimo giorno all'Epifania"),
    ("2026-03-31", None, "2026-04-07", "2026-05-30", "Pasqua, poi Lunedì dell'Angelo: va a martedì 7"),
    ("2026-04-01", None, "2026-04-07", "2026-06-01", "Lunedì dell'Angelo: va a martedì 7"),
    ("2026-03-30", None, "2026-04-04", "2026-05-29", "sabato santo: non è festivo"),
    ("2026-03-29", None, "2026-04-03", "2026-05-28", "venerdì santo: non è festivo in Italia"),
    ("2027-03-23", None, "2027-03-30", "2027-05-22", "Pasqua di marzo, il giorno in cui comincia l'ora legale"),
    ("2027-01-28", None, "2027-02-02", "2027-03-30", "sessantesimo giorno il Lunedì dell'Angelo"),
    ("2028-04-12", None, "2028-04-18", "2028-06-12", "Lunedì dell'Angelo di anno bisestile"),
    ("2026-02-04", None, "2026-02-09", "2026-04-07", "sessantesimo giorno a Pasqua: va a martedì"),
    ("2026-04-20", None, "2026-04-27", "2026-06-19", "Liberazione di sabato, poi domenica: va a lunedì 27"),
    ("2027-04-20", None, "2027-04-26", "2027-06-19", "Liberazione di domenica: va a lunedì 26"),
    ("2028-04-20", None, "2028-04-26", "2028-06-19", "Liberazione di martedì"),
    ("2026-04-26", None, "2026-05-02", "2026-06-25", "Festa del lavoro di venerdì: va a sabato 2"),
    ("2027-04-26", None, "2027-05-03", "2027-06-25", "Festa del lavoro di sabato, poi domenica: va a lunedì 3"),
    ("2026-03-02", None, "2026-03-07", "2026-05-02", "sessantesimo giorno il 1° maggio"),
    ("2026-05-28", None, "2026-06-03", "2026-07-27", "Festa della Repubblica di martedì"),
    ("2026-04-03", None, "2026-04-08", "2026-06-03", "sessantesimo giorno il 2 giugno"),
    ("2026-08-10", None, "2026-08-17", "2026-10-09", "Ferragosto di sabato, poi domenica: va a lunedì 17"),
    ("2027-08-10", None, "2027-08-16", "2027-10-09", "Ferragosto di domenica: va a lunedì 16"),
    ("2026-06-15", None, "2026-06-20", "2026-08-14", "agosto si conta: il pagamento non ha sospensione feriale"),
    ("2026-07-12", None, "2026-07-17", "2026-09-10", "agosto tutto dentro i sessanta giorni: si conta"),
    ("2027-09-29", None, "2027-10-05", "2027-11-29", "San Francesco 2027 è lunedì festivo (L. 151/2025): va a martedì 5"),
    ("2025-09-28", None, "2025-10-03", "2025-11-27", "il 4 ottobre 2025 non era festivo, il 3 nemmeno"),
    ("2025-09-29", None, "2025-10-04", "2025-11-28", "San Francesco 2025, sabato: non ancora festivo, non si sposta"),
    ("2028-08-05", None, "2028-08-10", "2028-10-05", "sessantesimo giorno a San Francesco 2028, mercoledì: va a giovedì"),
    ("2024-08-05", None, "2024-08-10", "2024-10-04", "4 ottobre 2024, venerdì: non ancora festivo"),
    ("2026-10-27", None, "2026-11-02", "2026-12-28", "Ognissanti di domenica: va a lunedì 2"),
    ("2027-10-27", None, "2027-11-02", "2027-12-27", "Ognissanti di lunedì: va a martedì 2"),
    ("2026-12-03", None, "2026-12-09", "2027-02-01", "Immacolata di martedì: va a mercoledì 9"),
    ("2026-10-09", None, "2026-10-14", "2026-12-09", "sessantesimo giorno all'Immacolata"),
    ("2026-12-20", None, "2026-12-28", "2027-02-18", "Natale, Santo Stefano di sabato, domenica: va a lunedì 28"),
    ("2026-12-21", None, "2026-12-28", "2027-02-19", "Santo Stefano di sabato, poi domenica: va a lunedì 28"),
    ("2027-12-20", None, "2027-12-27", "2028-02-18", "Natale di sabato, Santo Stefano di domenica: va a lunedì 27"),
    ("2026-10-26", None, "2026-10-31", "2026-12-28", "sessantesimo giorno a Natale: va a lunedì 28"),
    ("2026-12-19", None, "2026-12-24", "2027-02-17", "vigilia di Natale: feriale"),
    ("2028-02-24", None, "2028-02-29", "2028-04-24", "il quinto giorno è il 29 febbraio"),
    ("2028-02-29", None, "2028-03-06", "2028-04-29", "perfezionata il 29 febbraio; il quinto giorno è domenica"),
    ("2028-02-25", None, "2028-03-01", "2028-04-26", "il 29 febbraio sta fra i cinque giorni"),
    ("2027-02-24", None, "2027-03-01", "2027-04-26", "anno non bisestile: dopo il 28 febbraio viene il 1° marzo"),
    ("2027-12-31", None, "2028-01-05", "2028-02-29", "sessantesimo giorno il 29 febbraio"),
    ("2028-02-01", None, "2028-02-07", "2028-04-01", "sessanta giorni a cavallo del 29 febbraio"),
    ("2027-02-01", None, "2027-02-06", "2027-04-02", "sessanta giorni a cavallo di un febbraio di 28"),
    ("2026-03-24", None, "2026-03-30", "2026-05-23", "domenica del cambio d'ora di marzo (23 ore): va a lunedì"),
    ("2026-10-20", None, "2026-10-26", "2026-12-19", "domenica del cambio d'ora di ottobre (25 ore): va a lunedì"),
    ("2026-08-27", None, "2026-09-01", "2026-10-26", "lunedì dopo il cambio d'ora"),
    ("2026-06-19", Some("06-24"), "2026-06-25", "2026-08-18", "patrono (24 giugno, mercoledì): va a giovedì"),
    ("2026-06-19", None, "2026-06-24", "2026-08-18", "24 giugno in un ente senza patrono configurato: non si sposta"),
    ("2026-10-08", Some("12-07"), "2026-10-13", "2026-12-09", "patrono di Milano, lunedì, poi l'Immacolata: va a mercoledì 9"),
    ("2026-09-14", Some("09-19"), "2026-09-21", "2026-11-13", "patrono di Napoli di sabato, poi domenica: va a lunedì"),
    ("2027-04-30", Some("06-29"), "2027-05-05", "2027-06-30", "patrono di Roma, martedì: va a mercoledì"),
];

/// A fine of the speed limit: minimum 42, maximum 173 EUR.
pub fn fine(completed: Option<Date>) -> AmountFacts {
    AmountFacts {
        amount: Some(Cents(4_200)),
        minimum: Some(Cents(4_200)),
        maximum: Some(Cents(17_300)),
        recipients: vec![RecipientFacts { completed, ..RecipientFacts::default() }],
        ..AmountFacts::default()
    }
}

fn due(rule: &AmountRule, facts: &AmountFacts, day: Date) -> i64 {
    amount_due(rule, facts, day).unwrap_or_else(|fault| panic!("{day}: {fault}")).due.0
}

#[test]
fn windows_end_on_their_day() {
    assert!(WINDOWS.len() >= 60);
    let rule = AmountPreset::Cds.rule();
    for (completed, patron, five, sixty, why) in WINDOWS {
        let (at, five, sixty) = (day(completed), day(five), day(sixty));
        let calendar = Calendar { patron: patron.map(|patron| patron.parse().unwrap()), ..Calendar::default() };
        let facts = AmountFacts { calendar, ..fine(Some(at)) };
        let after = |day: Date| day.tomorrow().unwrap();
        let table = [
            (at.yesterday().unwrap(), 2_940, Some(five)),
            (at, 2_940, Some(five)),
            (five, 2_940, Some(five)),
            (after(five), 4_200, Some(sixty)),
            (sixty, 4_200, Some(sixty)),
            (after(sixty), 8_650, None),
            (sixty.checked_add(jiff::ToSpan::years(3)).unwrap(), 8_650, None),
        ];
        for (on, want, until) in table {
            let got = amount_due(&rule, &facts, on).unwrap();
            assert_eq!((got.due.0, got.until), (want, until), "perfezionata il {completed}, il {on}: {why}");
            assert_eq!(next_change(&rule, &facts, on), until.map(after), "{completed}, {on}: {why}");
        }
    }
}

#[test]
fn before_completion_the_first_window_applies() {
    for on in ["2024-01-01", "2026-11-23", "2099-12-31"] {
        let got = amount_due(&AmountPreset::Cds.rule(), &fine(None), day(on)).unwrap();
        assert_eq!((got.due.0, got.until, got.step), (2_940, None, 0), "{on}");
        assert_eq!(next_change(&AmountPreset::Cds.rule(), &fine(None), day(on)), None, "{on}");
    }
}

/// Deliveries by PEC and views, at their instant: (delivered, viewed, completion, last day of the discount, why)
type Delivery = (&'static str, Option<&'static str>, &'static str, &'static str, &'static str);

#[rustfmt::skip]
const DELIVERIES: &[Delivery] = &[
    ("2026-11-16T15:00:00+01:00", None, "2026-11-23", "2026-11-28", "consegna alle 15: settimo giorno"),
    ("2026-11-16T20:59:59+01:00", None, "2026-11-23", "2026-11-28", "un secondo prima delle 21: settimo giorno"),
    ("2026-11-16T21:00:00+01:00", None, "2026-11-23", "2026-11-28", "alle 21 in punto: non è dopo le 21"),
    ("2026-11-16T21:00:01+01:00", None, "2026-11-24", "2026-11-30", "dopo le 21: ottavo giorno; il quinto è domenica"),
    ("2026-11-16T23:59:59+01:00", None, "2026-11-24", "2026-11-30", "un secondo prima di mezzanotte: ottavo giorno"),
    ("2026-11-16T23:30:00Z", None, "2026-11-24", "2026-11-30", "a Roma è già il 17, dopo mezzanotte: settimo giorno dal 17"),
    ("2026-07-01T19:30:00Z", None, "2026-07-09", "2026-07-14", "d'estate le 19:30 UTC sono le 21:30 di Roma: ottavo giorno"),
    ("2026-12-01T19:30:00Z", None, "2026-12-08", "2026-12-14", "d'inverno le 19:30 UTC sono le 20:30 di Roma; il quinto giorno è domenica 13"),
    ("2026-03-28T21:30:00+01:00", None, "2026-04-05", "2026-04-10", "notte del cambio d'ora di marzo: ottavo giorno"),
    ("2026-10-24T21:30:00+02:00", None, "2026-11-01", "2026-11-06", "notte del cambio d'ora di ottobre: ottavo giorno"),
    ("2026-12-24T22:00:00+01:00", None, "2027-01-01", "2027-01-07", "perfezionata a Capodanno; il quinto giorno è l'Epifania"),
    ("2028-02-21T22:00:00+01:00", None, "2028-02-29", "2028-03-06", "perfezionata il 29 febbraio; il quinto giorno è domenica"),
    ("2026-11-16T15:00:00+01:00", Some("2026-11-16T22:30:00+01:00"), "2026-11-16", "2026-11-21", "vista la sera stessa: conta il giorno della visione, anche dopo le 21"),
    ("2026-11-16T15:00:00+01:00", Some("2026-11-17T23:59:00+01:00"), "2026-11-17", "2026-11-23", "vista il giorno dopo; il quinto è domenica 22"),
    ("2026-11-16T15:00:00+01:00", Some("2026-11-17T23:30:00Z"), "2026-11-18", "2026-11-23", "vista alle 00:30 di Roma del 18"),
    ("2026-11-16T15:00:00+01:00", Some("2026-11-25T09:00:00+01:00"), "2026-11-23", "2026-11-28", "vista dopo il termine: il termine resta"),
];

#[test]
fn a_delivery_counts_from_its_completion() {
    let rule = AmountPreset::Cds.rule();
    for (delivered, viewed, completed, five, why) in DELIVERIES {
        let delivered: Timestamp = delivered.parse().unwrap();
        let viewed: Option<Timestamp> = viewed.map(|viewed| viewed.parse().unwrap());
        // SEND's own element: so many days after the delivery, at its hour in Rome.
        let term = digital_term(delivered);
        let rome = delivered.in_tz("Europe/Rome").unwrap();
        let refined = term.to_datetime(rome.time()).in_tz("Europe/Rome").unwrap().timestamp();
        let got = completion_day(viewed, Some(refined));
        assert_eq!(got, Some(day(completed)), "{delivered}: {why}");
        let first = amount_due(&rule, &fine(got), day(completed)).unwrap();
        assert_eq!((first.due.0, first.until), (2_940, Some(day(five))), "{delivered}: {why}");
    }
    assert_eq!(completion_day(None, None), None);
}

/// (from, last) of each suspension, the last may be open.
type Held = &'static [(&'static str, Option<&'static str>)];

/// (completion, suspensions, day, due, last day, stands still, why)
type Stop = (&'static str, Held, &'static str, i64, Option<&'static str>, bool, &'static str);

#[rustfmt::skip]
const STOPS: &[Stop] = &[
    ("2026-11-02", &[("2026-11-10", None)], "2026-11-09", 4_200, None, false, "il giorno prima del ricorso: il termine non si conosce più"),
    ("2026-11-02", &[("2026-11-10", None)], "2026-11-10", 4_200, None, true, "primo giorno di sospensione"),
    ("2026-11-02", &[("2026-11-10", None)], "2028-11-10", 4_200, None, true, "due anni dopo il ricorso pende ancora"),
    ("2026-11-02", &[("2026-11-10", Some("2026-11-19"))], "2026-11-20", 4_200, Some("2027-01-11"), false, "dieci giorni fermi: da venerdì 1 gennaio a lunedì 11"),
    ("2026-11-02", &[("2026-11-10", Some("2026-11-19"))], "2027-01-12", 8_650, None, false, "il giorno dopo il termine allungato"),
    ("2026-11-02", &[("2026-11-05", None)], "2026-11-30", 2_940, None, true, "sospesa al terzo giorno: lo sconto resta fermo"),
    ("2026-11-02", &[("2026-11-05", Some("2026-11-30"))], "2026-12-03", 2_940, Some("2026-12-03"), false, "ripresa: restano tre giorni di sconto"),
    ("2026-11-02", &[("2026-11-05", Some("2026-11-30"))], "2026-12-04", 4_200, Some("2027-01-27"), false, "finito lo sconto, sessanta giorni più ventisei"),
    ("2026-11-02", &[("2026-11-08", None)], "2026-11-08", 4_200, None, true, "il quinto giorno era sabato 7: lo sconto era già finito"),
    ("2026-11-03", &[("2026-11-09", None)], "2026-11-20", 2_940, None, true, "il quinto giorno, domenica 8, va a lunedì 9 che è fermo: lo sconto resta"),
    ("2026-11-03", &[("2026-11-09", Some("2026-11-20"))], "2026-11-20", 2_940, Some("2026-11-21"), true, "e finisce al primo giorno che conta, sabato 21"),
    ("2026-11-02", &[("2026-11-01", Some("2026-11-10"))], "2026-11-10", 2_940, Some("2026-11-16"), true, "perfezionata durante la sospensione; il quinto giorno è domenica 15"),
    ("2026-11-02", &[("2026-10-01", Some("2026-10-31"))], "2026-11-07", 2_940, Some("2026-11-07"), false, "sospensione finita prima: non conta"),
    ("2026-11-02", &[("2026-11-04", Some("2026-11-05")), ("2026-11-05", Some("2026-11-06"))], "2026-11-10", 2_940, Some("2026-11-10"), false, "due sospensioni che si toccano: tre giorni, non quattro"),
    ("2026-11-02", &[("2026-11-06", Some("2026-11-05"))], "2026-11-07", 2_940, Some("2026-11-07"), false, "fine prima dell'inizio: nessuna sospensione"),
    ("2026-11-02", &[("2027-01-03", None)], "2027-03-01", 8_650, None, true, "ricorso dopo il sessantesimo giorno (spostato a sabato 2 gennaio): il dovuto è già la metà del massimo"),
];

#[test]
fn days_that_stand_still_are_added() {
    let rule = AmountPreset::Cds.rule();
    for (completed, held, on, want, until, still, why) in STOPS {
        let suspensions = held.iter().map(|(from, until)| Suspension { from: day(from), until: until.map(day) }).collect();
        let facts = AmountFacts { suspensions, ..fine(Some(day(completed))) };
        let got = amount_due(&rule, &facts, day(on)).unwrap();
        assert_eq!((got.due.0, got.until, got.suspended), (*want, until.map(day), *still), "{completed} {held:?} {on}: {why}");
    }
}

#[test]
fn a_rework_that_moves_the_date_is_followed_both_ways() {
    // (completion before, after, day, due before, due after, why)
    let table = [
        ("2026-11-20", "2026-11-10", "2026-11-23", 2_940, 4_200, "data corretta all'indietro: lo sconto era finito"),
        ("2026-11-10", "2026-11-20", "2026-11-23", 4_200, 2_940, "data corretta in avanti: lo sconto torna"),
        ("2026-11-20", "2026-09-01", "2026-11-23", 2_940, 8_650, "corretta di mesi: oltre il sessantesimo giorno"),
        ("2026-09-01", "2026-11-20", "2026-11-23", 8_650, 2_940, "e al contrario"),
        (
            "2028-02-29",
            "2028-02-28",
            "2028-03-05",
            2_940,
            4_200,
            "dal 29 al 28 febbraio: il quinto giorno era sabato 4, poi domenica 5 va a lunedì",
        ),
    ];
    let rule = AmountPreset::Cds.rule();
    for (before, after, on, first, then, why) in table {
        let of = |completed: &str| due(&rule, &fine(Some(day(completed))), day(on));
        assert_eq!((of(before), of(after)), (first, then), "{before} -> {after}, {on}: {why}");
    }
    // The outcome taken away altogether: the first window again.
    assert_eq!(due(&rule, &fine(None), day("2027-06-01")), 2_940);
}

#[test]
fn contested_on_the_spot_counts_from_the_contestation() {
    let rule = AmountPreset::CdsContested.rule();
    let contested = |on: Option<&str>, completed| AmountFacts { contestation: on.map(day), ..fine(completed) };
    let table = [
        ("2026-11-02", "2026-11-02", 2_940, "il giorno della contestazione"),
        ("2026-11-02", "2026-11-07", 2_940, "quinto giorno"),
        ("2026-11-02", "2026-11-08", 4_200, "sesto giorno"),
        ("2026-11-02", "2027-01-02", 4_200, "sessantesimo a Capodanno: va al 2"),
        ("2026-11-02", "2027-01-03", 8_650, "oltre"),
    ];
    for (contestation, on, want, why) in table {
        // When and whether the act is served as well changes nothing.
        for completed in [None, Some(day("2026-12-20"))] {
            assert_eq!(due(&rule, &contested(Some(contestation), completed), day(on)), want, "{contestation} {on}: {why}");
        }
    }
    let nobody_knows = amount_due(&rule, &contested(None, Some(day("2026-11-02"))), day("2026-11-03"));
    assert!(matches!(nobody_knows, Err(AmountFault::NoSuchDate(_))), "{nobody_knows:?}");
}

#[test]
fn without_the_discount_and_with_semesters() {
    let whole = AmountPreset::CdsWhole.rule();
    let facts = fine(Some(day("2026-11-23")));
    for (on, want) in [("2026-11-23", 4_200), ("2027-01-22", 4_200), ("2027-01-23", 8_650)] {
        assert_eq!(due(&whole, &facts, day(on)), want, "{on}");
    }
    // Off by default; on, a tenth for each whole semester from the day after the term (art. 27, c. 6, L. 689/1981).
    let late = AmountRule { semester: Some(1_000), extra: Some(Cents(1_250)), ..AmountPreset::Cds.rule() };
    let table = [
        ("2027-01-22", 4_200 + 1_250, Some("2027-01-22"), "ultimo giorno del minimo, più le spese dell'ente"),
        ("2027-01-23", 8_650 + 1_250, Some("2027-07-22"), "nessun semestre intero"),
        ("2027-07-22", 8_650 + 1_250, Some("2027-07-22"), "l'ultimo giorno del primo semestre"),
        ("2027-07-23", 9_515 + 1_250, Some("2028-01-22"), "un semestre"),
        ("2028-01-23", 10_380 + 1_250, Some("2028-07-22"), "due semestri, senza interesse sull'interesse"),
        ("2032-01-23", 17_300 + 1_250, Some("2032-07-22"), "dieci semestri"),
    ];
    for (on, want, until, why) in table {
        let got = amount_due(&late, &facts, day(on)).unwrap();
        assert_eq!((got.due.0, got.until), (want, until.map(day)), "{on}: {why}");
    }
    let held = Suspension { from: day("2027-03-01"), until: Some(day("2027-03-31")) };
    let held = AmountFacts { suspensions: vec![held], ..facts };
    for (on, want) in [("2027-08-22", 8_650), ("2027-08-23", 9_515)] {
        assert_eq!(due(&late, &held, day(on)), want + 1_250, "{on}: trentuno giorni fermi spostano il semestre di trentuno");
    }
}

#[test]
fn several_recipients_complete_as_the_rule_says() {
    let at = |completed: Option<&str>| RecipientFacts { completed: completed.map(day), ..RecipientFacts::default() };
    // (completions, holder, whose, day, due)
    use WhoseCompletion as W;
    let table = [
        ([Some("2026-11-02"), Some("2026-11-16")], 0, W::Holder, "2026-11-08", 4_200),
        ([Some("2026-11-02"), Some("2026-11-16")], 1, W::Holder, "2026-11-08", 2_940),
        ([Some("2026-11-02"), Some("2026-11-16")], 1, W::First, "2026-11-08", 4_200),
        ([Some("2026-11-02"), Some("2026-11-16")], 0, W::Last, "2026-11-08", 2_940),
        ([Some("2026-11-02"), Some("2026-11-16")], 0, W::Last, "2026-11-21", 2_940),
        ([Some("2026-11-02"), Some("2026-11-16")], 0, W::Last, "2026-11-22", 4_200),
        ([Some("2026-11-02"), None], 0, W::Last, "2027-11-08", 2_940),
        ([None, Some("2026-11-02")], 0, W::First, "2026-11-08", 4_200),
        ([None, Some("2026-11-02")], 0, W::Holder, "2026-11-08", 2_940),
        ([None, None], 0, W::First, "2026-11-08", 2_940),
    ];
    for (completed, holder, whose, on, want) in table {
        let facts = AmountFacts { holder, recipients: completed.map(at).to_vec(), ..fine(None) };
        let rule = AmountRule { completion: whose, ..AmountPreset::Cds.rule() };
        assert_eq!(due(&rule, &facts, day(on)), want, "{completed:?} {holder} {whose} {on}");
    }
    // A holder that is not there, and nobody at all: the first window, never a panic.
    assert_eq!(due(&AmountPreset::Cds.rule(), &AmountFacts { holder: 9, ..fine(Some(day("2026-11-02"))) }, day("2027-11-08")), 2_940);
    let nobody = AmountFacts { recipients: Vec::new(), ..fine(None) };
    let last = AmountRule { completion: W::Last, ..AmountPreset::Cds.rule() };
    assert_eq!(due(&last, &nobody, day("2027-11-08")), 2_940);
}

#[test]
fn the_cost_is_never_discounted() {
    let price = RecipientFacts { completed: Some(day("2026-11-23")), price: Some(Cents(847)), ..RecipientFacts::default() };
    let facts = AmountFacts { recipients: vec![price], applies_cost: true, notified: true, pa_fee: 100, vat: 22, ..fine(None) };
    for (on, want) in [("2026-11-23", 2_940), ("2026-12-31", 4_200), ("2027-06-01", 8_650)] {
        let got = amount_due(&AmountPreset::Cds.rule(), &facts, day(on)).unwrap();
        assert_eq!((got.total.0, got.due.0, got.cost.0), (want + 847, want, 847), "{on}");
        for costs in [CostPolicy::NotAdded, CostPolicy::AlreadyInPosition] {
            let got = amount_due(&AmountRule { costs, ..AmountPreset::Cds.rule() }, &facts, day(on)).unwrap();
            assert_eq!((got.total.0, got.cost.0), (want, 0), "{on} {costs}");
        }
    }
}

//! TARI, IMU and the other revenue of an ente, dated (L. 160/2019, c. 792-804; art. 13 D.Lgs. 471/1997).

use messo::domain::amount_rule::{AmountFacts, AmountFault, AmountRule, RecipientFacts, amount_due};
use messo::domain::money::Cents;

use super::day;

/// (rule as a flow writes it, base in cents, violation, completion, day, due, last day, why)
type Row = (&'static str, i64, Option<&'static str>, Option<&'static str>, &'static str, i64, Option<&'static str>, &'static str);

const IMU: &str = "preset = 'imu-accertamento'\nsanction = 'omesso_versamento'";
const EURO: &str = "preset = 'tari-accertamento'\nsanction = 'omesso_versamento'\nrounding = 'euro'";
const SATURDAY: &str = "preset = 'tari-sollecito'\nholidays = 'sposta_sabato'";

#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("preset = 'tari-sollecito'", 25_000, None, None, "2026-10-01", 25_000, None, "sollecito non ancora perfezionato"),
    ("preset = 'tari-sollecito'", 25_000, None, Some("2026-10-01"), "2026-10-02", 25_000, Some("2026-10-31"), "trenta giorni: sabato 31 ottobre non si sposta"),
    ("preset = 'tari-sollecito'", 25_000, None, Some("2026-10-02"), "2026-10-02", 25_000, Some("2026-11-02"), "il trentesimo giorno è Ognissanti, domenica: va a lunedì"),
    ("preset = 'tari-sollecito'", 25_000, None, Some("2026-10-01"), "2026-11-01", 25_000, None, "oltre il termine il sollecito chiede lo stesso importo"),
    (SATURDAY, 25_000, None, Some("2026-10-01"), "2026-10-31", 25_000, Some("2026-11-02"), "con il rinvio dal sabato (D.L. 70/2011): domenica è Ognissanti, va a lunedì 2"),
    ("preset = 'tari-accertamento'", 32_000, None, Some("2026-03-02"), "2026-03-02", 32_000, Some("2026-05-02"), "il sessantesimo giorno è il 1° maggio, venerdì: va a sabato"),
    ("preset = 'tari-accertamento'", 32_000, None, Some("2026-06-01"), "2026-06-01", 32_000, Some("2026-07-31"), "sessanta giorni che finiscono prima di agosto"),
    ("preset = 'tari-accertamento'", 32_000, None, Some("2026-06-02"), "2026-06-02", 32_000, Some("2026-09-01"), "cinquantanove giorni al 31 luglio: il sessantesimo è il 1° settembre"),
    ("preset = 'tari-accertamento'", 32_000, None, Some("2026-07-20"), "2026-07-20", 32_000, Some("2026-10-19"), "undici giorni di luglio, agosto fermo, quarantanove da settembre"),
    ("preset = 'tari-accertamento'", 32_000, None, Some("2026-08-10"), "2026-08-10", 32_000, Some("2026-10-30"), "perfezionato in agosto: il primo giorno è il 1° settembre"),
    ("preset = 'tari-accertamento'", 32_000, None, Some("2022-06-01"), "2022-06-01", 32_000, Some("2022-09-01"), "il sessantesimo giorno è domenica 31 luglio: va a lunedì, che è agosto, quindi al 1° settembre"),
    (IMU, 100_000, Some("2024-06-17"), Some("2026-03-02"), "2026-03-02", 130_000, Some("2026-05-02"), "violazione prima del 1° settembre 2024: 30 per cento"),
    (IMU, 100_000, Some("2024-08-31"), Some("2026-03-02"), "2026-03-02", 130_000, Some("2026-05-02"), "ultimo giorno del 30 per cento"),
    (IMU, 100_000, Some("2024-09-01"), Some("2026-03-02"), "2026-03-02", 125_000, Some("2026-05-02"), "primo giorno del 25 per cento: conta la violazione, non l'atto"),
    (IMU, 100_000, Some("2024-12-16"), None, "2026-03-02", 125_000, None, "saldo 2024, atto non ancora perfezionato"),
    (IMU, 100_000, Some("2026-06-16"), None, "2026-06-16", 100_000, Some("2026-06-16"), "pagato il giorno della scadenza: nessuna sanzione"),
    (IMU, 100_000, Some("2026-06-16"), None, "2026-06-17", 100_833, Some("2026-06-17"), "un giorno di ritardo: un quindicesimo del 12,5 per cento"),
    (IMU, 100_000, Some("2026-06-16"), None, "2026-06-26", 108_333, Some("2026-06-26"), "dieci giorni: dieci quindicesimi"),
    (IMU, 100_000, Some("2026-06-16"), None, "2026-07-01", 112_500, Some("2026-09-14"), "quindici giorni: 12,5 per cento"),
    (IMU, 100_000, Some("2026-06-16"), None, "2026-09-14", 112_500, Some("2026-09-14"), "novanta giorni: ancora la metà"),
    (IMU, 100_000, Some("2026-06-16"), None, "2026-09-15", 125_000, None, "novantuno giorni: 25 per cento"),
    (IMU, 100_000, Some("2024-06-17"), None, "2024-06-18", 101_000, Some("2024-06-18"), "prima della riforma: un quindicesimo del 15 per cento"),
    (IMU, 100_000, Some("2024-06-17"), None, "2024-09-15", 115_000, Some("2024-09-15"), "prima della riforma, novanta giorni: 15 per cento"),
    (EURO, 33_350, Some("2024-12-16"), None, "2026-03-02", 41_700, None, "333,50 + 83,38 = 416,88: all'euro, 417"),
    (EURO, 33_320, Some("2024-12-16"), None, "2026-03-02", 41_700, None, "333,20 + 83,30 = 416,50: cinquanta centesimi vanno in su"),
    (EURO, 33_312, Some("2024-12-16"), None, "2026-03-02", 41_600, None, "333,12 + 83,28 = 416,40: in giù"),
    ("preset = 'onere-riscossione'", 500_000, None, Some("2026-03-02"), "2026-05-02", 500_000, Some("2026-05-02"), "entro il termine nessun onere"),
    ("preset = 'onere-riscossione'", 500_000, None, Some("2026-03-02"), "2026-05-03", 515_000, Some("2026-07-02"), "esecutivo dal 3 maggio: 3 per cento fino al sessantesimo giorno"),
    ("preset = 'onere-riscossione'", 500_000, None, Some("2026-03-02"), "2026-07-03", 530_000, None, "poi 6 per cento"),
    ("preset = 'onere-riscossione'", 1_000_000, None, Some("2026-03-02"), "2026-05-03", 1_030_000, Some("2026-07-02"), "3 per cento di 10.000: proprio il limite di 300 euro"),
    ("preset = 'onere-riscossione'", 2_000_000, None, Some("2026-03-02"), "2026-05-03", 2_030_000, Some("2026-07-02"), "il 3 per cento sarebbe 600: al massimo 300"),
    ("preset = 'onere-riscossione'", 2_000_000, None, Some("2026-03-02"), "2026-07-03", 2_060_000, None, "il 6 per cento sarebbe 1.200: al massimo 600"),
    ("preset = 'onere-riscossione'", 500_000, None, Some("2026-07-20"), "2026-10-20", 515_000, Some("2026-12-19"), "agosto fermo nel termine di ricorso; l'altro termine finisce sabato 19 dicembre"),
    ("preset = 'entrate-patrimoniali'", 18_000, None, Some("2026-07-20"), "2026-07-20", 18_000, Some("2026-09-18"), "entrate patrimoniali: agosto si conta"),
    ("preset = 'servizi-scolastici'", 9_050, None, Some("2026-12-02"), "2026-12-02", 9_050, Some("2027-01-02"), "il trentesimo giorno è Capodanno: va a sabato 2"),
];

fn facts(base: i64, violation: Option<&str>, completed: Option<&str>) -> AmountFacts {
    AmountFacts {
        amount: Some(Cents(base)),
        violation: violation.map(day),
        recipients: vec![RecipientFacts { completed: completed.map(day), ..RecipientFacts::default() }],
        ..AmountFacts::default()
    }
}

#[test]
fn dated_taxes() {
    assert!(ROWS.len() >= 20);
    for (rule, base, violation, completed, on, want, until, why) in ROWS {
        let rule: AmountRule = toml::from_str(rule).unwrap();
        let got = amount_due(&rule, &facts(*base, *violation, *completed), day(on)).unwrap_or_else(|fault| panic!("{why}: {fault}"));
        assert_eq!((got.due.0, got.until), (*want, until.map(day)), "{rule:?} {completed:?} {on}: {why}");
    }
}

#[test]
fn what_a_rule_needs_and_what_it_holds_for() {
    let step = "costs = 'aggiunti'\n[[steps]]\nfrom = 'perfezionamento'\ndue = { percent = 10000 }\n";
    let table = [
        (IMU.to_owned(), None, Err(AmountFault::NoViolation), "nessuna data di violazione"),
        (IMU.to_owned(), Some("1997-01-01"), Err(AmountFault::OutOfValidity), "prima della tabella"),
        (format!("valid_from = '2024-09-01'\n{step}"), Some("2024-08-31"), Err(AmountFault::OutOfValidity), "regola non ancora in vigore"),
        (format!("valid_from = '2024-09-01'\n{step}"), Some("2024-09-01"), Ok(100_000), "primo giorno"),
        (format!("valid_until = '2024-09-01'\n{step}"), Some("2024-09-01"), Ok(100_000), "ultimo giorno"),
        (format!("valid_until = '2024-09-01'\n{step}"), Some("2024-09-02"), Err(AmountFault::OutOfValidity), "regola scaduta"),
        (format!("valid_until = '2024-09-01'\n{step}"), None, Err(AmountFault::NoViolation), "senza data non si sa"),
        (format!("floor = 120000\n{step}"), None, Ok(120_000), "mai meno"),
        (format!("ceiling = 80000\n{step}"), None, Ok(80_000), "mai più"),
        (format!("extra = 1250\nceiling = 80000\n{step}"), None, Ok(81_250), "le spese dell'ente stanno sopra il limite"),
        (format!("base = 5\n{step}"), None, Ok(5), "la base della regola vince sull'importo"),
        (format!("base = 0\n{step}"), None, Err(AmountFault::NotPositive), "zero non si chiede"),
        (format!("base = 99999999999\nextra = 1\n{step}"), None, Err(AmountFault::TooLarge), "oltre 999.999.999,99"),
        (format!("base = 99999999999\n{step}"), None, Ok(99_999_999_999), "il massimo di un avviso"),
        (
            "preset = 'cds'".to_owned(),
            None,
            Err(AmountFault::NoSuchBase(messo::domain::amount_rule::PercentOf::Minimum)),
            "manca il minimo",
        ),
        ("preset = 'cds'\nmissing = 'importo'".to_owned(), None, Ok(100_000), "manca il minimo: l'importo dell'atto"),
        ("preset = 'cds-contestazione'\nmissing = 'importo'".to_owned(), None, Ok(100_000), "manca tutto: l'importo dell'atto"),
    ];
    for (rule, violation, want, why) in table {
        let read: AmountRule = toml::from_str(&rule).unwrap();
        let got = amount_due(&read, &facts(100_000, violation, None), day("2026-03-02")).map(|sum| sum.due.0);
        assert_eq!(got, want, "{rule}: {why}");
    }
}

#[test]
fn a_sum_that_the_rule_never_asks_stays_as_it_is() {
    // 54 EUR are the minimum and 12 of the ente's own: nobody said so, nothing is changed.
    let read = |text: &str| toml::from_str::<AmountRule>(text).unwrap();
    let of = |amount| AmountFacts { minimum: Some(Cents(4_200)), maximum: Some(Cents(17_300)), ..facts(amount, None, Some("2026-11-23")) };
    let table = [
        ("preset = 'cds'\nmissing = 'importo'", 5_400, 5_400),
        ("preset = 'cds'\nmissing = 'importo'\nextra = 1200", 5_400, 4_140),
        ("preset = 'cds'\nmissing = 'importo'", 4_200, 2_940),
        ("preset = 'cds'\nmissing = 'importo'", 2_940, 2_940),
        ("preset = 'cds'\nmissing = 'importo'", 8_650, 2_940),
        ("preset = 'cds'", 5_400, 2_940),
    ];
    for (rule, amount, want) in table {
        let got = amount_due(&read(rule), &of(amount), day("2026-11-23")).unwrap();
        assert_eq!(got.due.0, want, "{rule} {amount}");
    }
    let silent = AmountFacts { amount: None, ..of(0) };
    assert_eq!(amount_due(&read("preset = 'cds'\nmissing = 'importo'"), &silent, day("2026-11-23")).unwrap().due.0, 2_940);
}

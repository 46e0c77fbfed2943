//! Acts with payments, end to end: verified at their PT before anything goes to SEND, refused or told by policy, paid, suspended,
//! waited for. The real binary, SEND's simulator and those of the PTs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a failed step ends the test")]

mod common;

use std::fs;
use std::io::Write;
use std::net::SocketAddr;

use common::exported::cents;
use common::office::{Ente, Office, Row, SOON, Simulator, batch, csv, http, http_json, shared_clock};
use common::{free_port, wait_for};
use jiff::civil::Date;
use serde_json::{Value, json};

const ENTE: &str = "01234567897";
const SOURCE: &str = "verbali";
/// Who owes with the citizen of every act.
const OTHER: &str = "VRDLCU85M41F205J";

/// A flow with payments; `keys` are those of `[pagamenti]`.
fn paying(name: &str, mode: &str, keys: &str) -> String {
    format!(
        "name = \"{name}\"\ntitle = \"Prova {name}\"\ntaxonomy_code = \"010101P\"\ncommunication_type = \"AR_REGISTERED_LETTER\"\n\
         fee_policy = \"DELIVERY_MODE\"\npago_pa_int_mode = \"{mode}\"\npa_fee = 100\nvat = 22\npayment = \"required\"\n[pagamenti]\n{keys}\n"
    )
}

/// A notice of that application code, with its check digits.
fn notice(code: u64, number: u64) -> String {
    let base = (300 + code) * 10_000_000_000_000 + number;
    format!("{base}{:02}", base % 93)
}

/// An act of 42,00 euro with one notice.
fn act(reference: &str, notice: &str) -> Row {
    Row::new(ENTE, reference)
        .with("importo", "42,00")
        .with("avviso_numero_1", notice)
        .with("avviso_creditore_1", ENTE)
        .with("avviso_applica_costi_1", "SI")
}

struct Town {
    send: Simulator,
    office: Office,
    pts: SocketAddr,
    health: SocketAddr,
    clock: String,
}

/// The office with its PTs; `started`: whether they answer.
fn town(factor: u32, flows: &[(&str, &str, &str)], started: bool) -> Town {
    let clock = shared_clock(factor);
    let port = free_port();
    let send = if started { Simulator::start_with_partners(&clock, port) } else { Simulator::start(&clock, "") };
    let more = "[[ente.pagamenti]]\npt = \"gov\"\naux = 3\ncode = \"02\"\ncosts = \"push\"\n[[ente.pagamenti]]\npt = \"muto\"\naux = 3\n\
                code = \"05\"\ncosts = \"nessuno\"\n[[ente.pagamenti]]\npt = \"gpd\"\naux = 3\ncode = \"07\"\ncosts = \"async\"\n\
                [[ente.pagamenti]]\npt = \"efil\"\naux = 3\ncode = \"06\"\nente = \"01234567897\"\ncosts = \"push\"\n\
                [[ente.pagamenti]]\npt = \"gpd\"\naux = 3\ncode = \"08\"\ncosts = \"push\"\n\
                [[ente.pagamenti]]\npt = \"pu\"\naux = 3\ncode = \"09\"\ncosts = \"push\"\n";
    let key = format!("{ENTE}-pagamenti");
    let texts: Vec<String> = flows.iter().map(|(name, mode, keys)| paying(name, mode, keys)).collect();
    let names: Vec<&str> = flows.iter().map(|(name, ..)| *name).collect();
    let office = Office::new(&clock, &send.url(), &[Ente { tax_id: ENTE, key: &key, more }], &[(SOURCE, &[ENTE], &names)], &texts);
    fs::write(office.dir().join("chiavi/pt"), "prova-prova").unwrap();
    let mut config = fs::OpenOptions::new().append(true).open(office.dir().join("messo.toml")).unwrap();
    let hours = if started { 48 } else { 1 };
    let health: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    write!(
        config,
        "[salute]\nlisten = \"{health}\"\n[[pt]]\nname = \"gov\"\nkind = \"govpay\"\nurl = \"http://127.0.0.1:{port}/govpay/backend/api/pendenze/rs/basic/v2\"\n\
         username = \"messo\"\npassword = \"file:chiavi/pt\"\nwait_hours = {hours}\n[[pt]]\nname = \"muto\"\nkind = \"non_gestito\"\n\
         [[pt]]\nname = \"gpd\"\nkind = \"gpd\"\nurl = \"http://127.0.0.1:{port}/gpd/debt-positions-service\"\napi_key = \"file:chiavi/pt\"\n\
         [[pt]]\nname = \"efil\"\nkind = \"efil\"\nurl = \"http://127.0.0.1:{port}/efil\"\napi_key = \"file:chiavi/pt\"\n\
         [[pt]]\nname = \"pu\"\nkind = \"pu\"\nurl = \"http://127.0.0.1:{port}/pu/sil\"\ntoken_url = \"http://127.0.0.1:{port}/pu/auth/oauth/token\"\n\
         client_id = \"messo\"\nclient_secret = \"file:chiavi/pt\"\n"
    )
    .unwrap();
    Town { send, office, pts: ([127, 0, 0, 1], port).into(), health, clock }
}

impl Town {
    fn debt(&self, notice: &str, amount: i64, state: &str) {
        self.debt_until(notice, amount, state, None);
    }

    /// The debt of the second of two who owe jointly.
    fn debt_of_other(&self, notice: &str, amount: i64) {
        let debt = json!({"creditor": ENTE, "notice": notice, "position_id": format!("POS-{notice}"), "amount": amount, "state": "unpaid",
            "payer_tax_id": OTHER, "payer_name": "Lucia Verdi", "remittance": "Verbale", "due_type": "MULTE"});
        assert_eq!(http_json(self.pts, "POST", "/_pt/debts", &debt).0, 201);
    }

    fn debt_until(&self, notice: &str, amount: i64, state: &str, due_date: Option<Date>) {
        let debt = json!({"due_date": due_date.map(|day| day.to_string()), "creditor": ENTE, "notice": notice, "position_id": format!("POS-{notice}"), "amount": amount, "state": state,
            "payer_tax_id": "RSSMRA80A01H501U", "payer_name": "Mario Rossi", "remittance": "Verbale", "due_type": "MULTE"});
        let (status, body) = http_json(self.pts, "POST", "/_pt/debts", &debt);
        assert_eq!(status, 201, "{body}");
    }

    fn pay(&self, notice: &str) {
        let (status, body) = http_json(self.pts, "POST", "/_pt/pay", &json!({"creditor": ENTE, "notice": notice}));
        assert_eq!(status, 200, "{body}");
    }

    fn held(&self, notice: &str) -> Value {
        let (status, body) = http(self.pts, "GET", &format!("/_pt/debts/{ENTE}/{notice}"), &[]);
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// A figure of the page that Prometheus reads; 0: it is not there.
    fn figure(&self, name: &str) -> u64 {
        let (status, page) = http(self.health, "GET", "/metrics", &[]);
        assert_eq!(status, 200, "{page}");
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0, |value| value.parse().unwrap())
    }

    fn show(&self, notice: &str) -> Value {
        self.office.ask(&["posizione", "show", ENTE, notice])
    }
}

#[test]
fn what_the_pt_does_not_know_or_take_never_goes_to_send_and_what_is_paid_is_told_everywhere() {
    let flows = [("rifiuta", "SYNC", "verify = \"refuse\"\ntolerance_cents = 5\nnotify_paid_to_send = true")];
    let mut town = town(86_400, &flows, true);
    let [good, unknown, dear, paid, cancelled, stopped] = [1, 2, 3, 4, 5, 6].map(|number| notice(2, number));
    town.debt(&good, 4_203, "unpaid"); // within tolerance
    town.debt(&dear, 5_000, "unpaid");
    town.debt(&paid, 4_200, "paid");
    town.debt(&cancelled, 4_200, "cancelled");
    town.debt(&stopped, 4_200, "unpaid");
    town.office.start();
    let rows = [
        act("BUONO", &good),
        act("IGNOTO", &unknown),
        act("CARO", &dear),
        act("PAGATO", &paid),
        act("ANNULLATO", &cancelled),
        act("RICORSO", &stopped),
    ];
    let office = &town.office;
    office.answered(SOURCE, "rifiuta", "lotto.zip", &batch(&rows), "PRESA_IN_CARICO", &[]);
    let refused = [
        ("IGNOTO", "IUV_SCONOSCIUTO"),
        ("CARO", "IMPORTO_DIVERSO_DAL_PT"),
        ("PAGATO", "POSIZIONE_GIA_PAGATA"),
        ("ANNULLATO", "IUV_NON_PAGABILE"),
    ];
    for (reference, code) in refused {
        let line = office.wait_state(SOURCE, reference, "RIFIUTATO");
        assert_eq!((line["codice"].as_str(), line["evento"].as_str()), (code, "AVVISO_NON_PAGABILE"), "{reference}");
        assert!(line["motivi"].contains("avviso 302") && !line["motivi"].contains("SEND ha rifiutato"), "{}", line["motivi"]);
        assert!(town.send.of(reference).is_empty(), "{reference} went to SEND");
    }
    for (notice, amount) in [(&dear, 5_000), (&paid, 4_200), (&cancelled, 4_200)] {
        assert_eq!((town.held(notice)["amount"].as_i64(), town.held(notice)["changes"].as_array().unwrap().len()), (Some(amount), 0));
    }
    let (_, reject) = office.reject(SOURCE, "lotto.zip", true);
    assert!(!reject.is_empty());

    // The appeal of one, by the gestionale and by an operator.
    let order = Row::order(ENTE, "RICORSO", "sospendi").with("sospensione_dal", "2026-11-24");
    office.answered(SOURCE, "rifiuta", "ricorso.csv", csv(&[order]).as_bytes(), "PRESA_IN_CARICO", &[]);
    office.wait_line(SOURCE, "RICORSO", "suspended", |line| line["evento"] == "TERMINI_SOSPESI" && line["avviso"] == stopped);
    assert_eq!(town.show(&stopped)["suspensions"], json!([{"from": "2026-11-24", "until": null}]));
    let ran = office.command(&["posizione", "riprendi", ENTE, &stopped, "--al", "2027-01-31", "--motivo", "ricorso respinto"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    office.wait_line(SOURCE, "RICORSO", "resumed", |line| line["evento"] == "TERMINI_RIPRESI");
    assert_eq!(town.show(&stopped)["suspensions"], json!([{"from": "2026-11-24", "until": "2027-01-31"}]));
    let again = office.command(&["posizione", "riprendi", ENTE, &stopped, "--al", "2027-01-31", "--motivo", "di nuovo"]);
    assert!(again.code == 1 && again.err.contains("non sono sospesi"), "{again:?}");

    // The cost of the good one is asked at the PT; then it is paid.
    office.wait_state(SOURCE, "BUONO", "PERFEZIONATO");
    let cost = office.wait_line(SOURCE, "BUONO", "cost", |line| line["evento"] == "COSTO");
    let due = 4_200 + cents(&cost["costo_cittadino"]);
    wait_for("the PT asks for the cost", SOON, || (town.held(&good)["amount"] == due).then_some(()));
    let told =
        office.wait_line(SOURCE, "BUONO", "told", |line| line["evento"] == "IMPORTO_AGGIORNATO" && cents(&line["importo_dovuto"]) == due);
    assert_eq!((told["avviso"].as_str(), cents(&told["importo_costi"]), told["creditore"].as_str()), (good.as_str(), due - 4_200, ENTE));
    town.pay(&good);
    let line = office.wait_line(SOURCE, "BUONO", "paid", |line| line["evento"] == "PAGATO");
    assert_eq!((cents(&line["importo_pagato"]), line["codice"].as_str(), line["stato"].as_str()), (due, "", "INFORMAZIONE"));
    // SEND was told, and says so itself.
    office.wait_line(SOURCE, "BUONO", "payment at SEND", |line| line["evento"] == "PAYMENT");
    wait_for("told", SOON, || town.show(&good)["history"].to_string().contains("COMUNICATO_A_SEND").then_some(()));
    let shown = town.show(&good);
    assert_eq!((shown["position"]["state"].as_str(), shown["payments"].as_array().unwrap().len()), (Some("PAGATA"), 1));
    assert!(shown["breakdown"].to_string().contains("Totale"), "{shown}");
    let text = office.command(&["posizione", "show", ENTE, &good]).out;
    assert!(text.contains("pagata: non si tocca più") && text.contains("Quanto è dovuto oggi"), "{text}");
    assert!(!text.contains("Rossi") && !text.contains("RSSMRA"), "{text}");
    assert!(office.command(&["act", "show", "BUONO"]).out.contains(&good), "the act shows its positions");
    assert_eq!(office.command(&["posizione", "show", ENTE, "300000000000000000"]).code, 1);
    town.office.stop();
}

#[test]
fn a_flow_that_warns_tells_and_goes_on_and_an_unmanaged_pt_is_said_to_be_one() {
    let flows = [("avvisa", "SYNC", "verify = \"warn\""), ("ignora", "SYNC", "verify = \"ignore\"")];
    let mut town = town(86_400, &flows, true);
    let [dear, unmanaged, unknown] = [notice(2, 11), notice(5, 12), notice(2, 13)];
    town.debt(&dear, 5_000, "unpaid");
    town.office.start();
    let office = &town.office;
    let rows = [act("CARO", &dear), act("MUTO", &unmanaged)];
    office.answered(SOURCE, "avvisa", "lotto.zip", &batch(&rows), "PRESA_IN_CARICO", &[]);
    office.answered(SOURCE, "ignora", "ignora.zip", &batch(&[act("IGNOTO", &unknown)]), "PRESA_IN_CARICO", &[]);
    for reference in ["CARO", "MUTO", "IGNOTO"] {
        office.wait_state(SOURCE, reference, "ACCETTATO");
        town.send.only(reference);
    }
    let events = |reference: &str, event: &str| {
        let story = office.story(SOURCE, reference);
        story.into_iter().filter(|line| line["evento"] == event).map(|line| line["codice"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(events("CARO", "VERIFICA_AVVISO"), ["IMPORTO_DIVERSO_DAL_PT"]);
    assert_eq!(events("MUTO", "VERIFICA_AVVISO"), Vec::<String>::new());
    assert_eq!(events("MUTO", "POSIZIONE_NON_GESTITA").len(), 1, "said once");
    assert_eq!(events("IGNOTO", "VERIFICA_AVVISO"), Vec::<String>::new());
    // An order about days of what nobody follows comes back.
    let order = csv(&[Row::order(ENTE, "MUTO", "sospendi")]);
    office.answered(SOURCE, "avvisa", "ordine.csv", order.as_bytes(), "PRESA_IN_CARICO", &[]);
    office
        .wait_line(SOURCE, "MUTO", "refused", |line| line["evento"] == "ORDINE_RESPINTO" && line["codice"] == "NESSUNA_POSIZIONE_GESTITA");
    town.office.stop();
}

#[test]
fn send_writes_its_cost_at_gpd_only_on_what_is_there() {
    let flows = [("asincrono", "ASYNC", "verify = \"ignore\""), ("sincrono", "SYNC", "verify = \"refuse\"")];
    let mut town = town(86_400, &flows, true);
    let [there, absent, nameless] = [21, 22, 23].map(|number| notice(7, number));
    let synchronous = notice(8, 23);
    town.debt(&there, 4_200, "unpaid");
    town.debt(&nameless, 4_200, "unpaid");
    town.debt(&synchronous, 4_200, "unpaid");
    town.office.start();
    let office = &town.office;
    let of = |reference: &str, notice: &str| act(reference, notice).with("posizione_id", &format!("POS-{notice}"));
    let rows = [of("PRESENTE", &there), of("ASSENTE", &absent), act("SENZA_ID", &nameless)];
    office.answered(SOURCE, "asincrono", "lotto.zip", &batch(&rows), "PRESA_IN_CARICO", &[]);
    office.answered(SOURCE, "sincrono", "sincrono.zip", &batch(&[of("SINCRONO", &synchronous)]), "PRESA_IN_CARICO", &[]);
    let line = office.wait_state(SOURCE, "ASSENTE", "RIFIUTATO");
    assert_eq!(line["codice"], "IUV_SCONOSCIUTO", "although the flow ignores what a PT says: SEND would refuse it, and charge it");
    let line = office.wait_state(SOURCE, "SENZA_ID", "RIFIUTATO");
    assert_eq!(line["codice"], "ID_POSIZIONE_MANCANTE", "GPD could not be asked: nobody has seen it there");
    assert!(town.send.of("ASSENTE").is_empty() && town.send.of("SENZA_ID").is_empty());
    office.wait_state(SOURCE, "PRESENTE", "PERFEZIONATO");
    let cost = office.wait_line(SOURCE, "PRESENTE", "cost", |line| line["evento"] == "COSTO");
    let due = 4_200 + cents(&cost["costo_cittadino"]);
    office.wait_line(SOURCE, "PRESENTE", "told", |line| line["evento"] == "IMPORTO_AGGIORNATO" && cents(&line["importo_dovuto"]) == due);
    let held = town.held(&there);
    assert_eq!(held["amount"], 4_200, "messo never puts the cost there: {held}");
    // Of an act that SEND takes as SYNC nobody else adds it at GPD.
    office.wait_state(SOURCE, "SINCRONO", "PERFEZIONATO");
    let cost = office.wait_line(SOURCE, "SINCRONO", "cost", |line| line["evento"] == "COSTO");
    let due = 4_200 + cents(&cost["costo_cittadino"]);
    wait_for("GPD asks for the cost", SOON, || (town.held(&synchronous)["amount"] == due).then_some(()));
    assert!(office.story(SOURCE, "SINCRONO").iter().all(|line| line["evento"] != "VERIFICA_AVVISO"), "nothing to remark");
    town.pay(&there);
    let line = office.wait_line(SOURCE, "PRESENTE", "paid", |line| line["evento"] == "PAGATO");
    assert_eq!((cents(&line["importo_pagato"]), line["codice"].as_str()), (due, ""), "the cost that GPD added was due");
    town.office.stop();
}

#[test]
fn a_pt_that_only_says_paid_is_believed_and_send_is_told() {
    let mut town = town(86_400, &[("rifiuta", "SYNC", "verify = \"refuse\"\nnotify_paid_to_send = true")], true);
    let paid = notice(6, 31);
    town.debt(&paid, 4_200, "unpaid");
    town.office.start();
    let office = &town.office;
    office.answered(SOURCE, "rifiuta", "lotto.zip", &batch(&[act("SOLO", &paid)]), "PRESA_IN_CARICO", &[]);
    office.wait_state(SOURCE, "SOLO", "PERFEZIONATO");
    let cost = office.wait_line(SOURCE, "SOLO", "cost", |line| line["evento"] == "COSTO");
    let due = 4_200 + cents(&cost["costo_cittadino"]);
    wait_for("the PT asks for the cost", SOON, || (town.held(&paid)["amount"] == due).then_some(()));
    town.pay(&paid);
    let line = office.wait_line(SOURCE, "SOLO", "paid", |line| line["evento"] == "PAGATO");
    assert_eq!((cents(&line["importo_pagato"]), line["codice"].as_str()), (due, "PAGATO_IMPORTO_NON_COMUNICATO"), "as it was asked for");
    office.wait_line(SOURCE, "SOLO", "payment at SEND", |line| line["evento"] == "PAYMENT");
    assert_eq!(town.show(&paid)["position"]["state"], "PAGATA");
    town.office.stop();
}

#[test]
fn the_pts_last_day_never_keeps_the_citizen_from_paying_what_is_due() {
    let rule = "verify = \"ignore\"\nkeep_open_days = 30\n[amount_rule]\nbase = 4200\ncosts = \"aggiunti\"\nsteps = [\
                { from = \"perfezionamento\", days = 2, due = { percent = 7000 } }, { from = \"perfezionamento\", days = 4, due = \
                { percent = 10000 } }, { from = \"perfezionamento\", due = { percent = 15000 } }]";
    let mut town = town(86_400, &[("multe", "SYNC", rule)], true);
    let today = |town: &Town| town.office.now().in_tz("Europe/Rome").unwrap().date();
    let day = |add: i32| today(&town).checked_add(jiff::Span::new().days(add)).unwrap();
    // A day is a second: past before the verification; past before SEND has it, or before completion; past in the last step.
    let debts = [("PASSATA", notice(2, 41), -1), ("VICINA", notice(2, 42), 5), ("LONTANA", notice(2, 43), 40)];
    for (_, notice, add) in &debts {
        town.debt_until(notice, 4_200, "unpaid", Some(day(*add)));
    }
    town.office.start();
    let office = &town.office;
    let rows: Vec<Row> = debts.iter().map(|(reference, notice, _)| act(reference, notice)).collect();
    office.answered(SOURCE, "multe", "lotto.zip", &batch(&rows), "PRESA_IN_CARICO", &[]);
    let until = |notice: &str| town.held(notice)["due_date"].as_str().and_then(|day| day.parse::<Date>().ok()).unwrap();
    for (reference, notice, _) in &debts {
        office.wait_state(SOURCE, reference, "PERFEZIONATO");
        let cost = office.wait_line(SOURCE, reference, "cost", |line| line["evento"] == "COSTO");
        let due = 6_300 + cents(&cost["costo_cittadino"]);
        wait_for(&format!("{reference}: the last step is asked for"), SOON, || (town.held(notice)["amount"] == due).then_some(()));
        // Of the first again and again, for it has no end.
        let first = if *reference == "PASSATA" { until(notice) } else { Date::MIN };
        wait_for(&format!("{reference}: open for long"), SOON, || {
            let (held, shown) = (until(notice), town.show(notice));
            (held > first && held > today(&town) && shown["position"]["state"] == "APERTA").then_some(())
        });
        assert_eq!(town.held(notice)["amount"], due, "{reference}");
        town.pay(notice);
        let line = office.wait_line(SOURCE, reference, "paid", |line| line["evento"] == "PAGATO");
        assert_eq!((cents(&line["importo_pagato"]), line["codice"].as_str()), (due, ""), "{reference}");
    }
    assert!(!office.alerted("SCADENZA_NON_SPOSTATA"));
    town.office.stop();
}

#[test]
fn a_position_is_cancelled_with_its_act_only_where_the_flow_wants_it() {
    let flows = [("toglie", "SYNC", "verify = \"refuse\"\non_cancel = \"annulla\""), ("lascia", "SYNC", "verify = \"refuse\"")];
    let mut town = town(86_400, &flows, true);
    let [gone, stays, paid] = [51, 52, 53].map(|number| notice(2, number));
    for notice in [&gone, &stays, &paid] {
        town.debt(notice, 4_200, "unpaid");
    }
    town.office.start();
    let office = &town.office;
    office.answered(SOURCE, "toglie", "toglie.zip", &batch(&[act("VIA", &gone), act("SALDATO", &paid)]), "PRESA_IN_CARICO", &[]);
    office.answered(SOURCE, "lascia", "lascia.zip", &batch(&[act("RESTA", &stays)]), "PRESA_IN_CARICO", &[]);
    for reference in ["VIA", "SALDATO", "RESTA"] {
        office.wait_line(SOURCE, reference, "cost", |line| line["evento"] == "IMPORTO_AGGIORNATO");
    }
    town.pay(&paid);
    for (flow, reference) in [("toglie", "VIA"), ("toglie", "SALDATO"), ("lascia", "RESTA")] {
        let order = csv(&[Row::order(ENTE, reference, "annulla")]);
        office.answered(SOURCE, flow, &format!("{reference}.csv"), order.as_bytes(), "PRESA_IN_CARICO", &[]);
        office.wait_state(SOURCE, reference, "ANNULLATO");
    }
    office.wait_line(SOURCE, "VIA", "cancelled", |line| line["evento"] == "POSIZIONE_ANNULLATA" && line["avviso"] == gone);
    assert_eq!(town.held(&gone)["state"], "cancelled");
    wait_for("closed", SOON, || (town.show(&gone)["position"]["state"] == "CHIUSA").then_some(()));
    wait_for("the cost is taken back", SOON, || (town.held(&stays)["amount"] == 4_200).then_some(()));
    assert_eq!((town.held(&stays)["state"].as_str(), town.held(&paid)["state"].as_str()), (Some("unpaid"), Some("paid")));
    town.office.stop();
}

/// An act of two who owe jointly, each with a notice of the whole: two rows of one reference.
fn joint(reference: &str, notices: [&str; 2], ids: [&str; 2], id: &str) -> [Row; 2] {
    let [first, second] =
        [0, 1].map(|index| act(reference, notices[index]).with("avviso_posizione_id_1", ids[index]).with("posizione_id", id));
    [first, second.with("codice_fiscale", OTHER).with("denominazione", "Lucia Verdi")]
}

#[test]
fn each_of_several_notices_is_changed_by_its_own_id_and_one_payment_stops_the_others() {
    let flows = [("solidale", "SYNC", "verify = \"refuse\"\nnotify_paid_to_send = true")];
    let mut town = town(21_600, &flows, true);
    let [shared_a, shared_b, own_a, own_b] = [61, 62, 63, 64].map(|number| notice(9, number));
    let [gpd_a, gpd_b] = [65, 66].map(|number| notice(8, number));
    for (a, b) in [(&shared_a, &shared_b), (&own_a, &own_b), (&gpd_a, &gpd_b)] {
        town.debt(a, 4_200, "unpaid");
        town.debt_of_other(b, 4_200);
    }
    town.office.start();
    let office = &town.office;
    let id = |notice: &str| format!("POS-{notice}");
    let rows = [
        joint("UNO", [&shared_a, &shared_b], ["", ""], &id(&shared_a)),
        joint("CIASCUNO", [&own_a, &own_b], [&id(&own_a), &id(&own_b)], &id(&own_a)),
        joint("GPD", [&gpd_a, &gpd_b], ["", ""], &id(&gpd_a)),
    ];
    office.answered(SOURCE, "solidale", "lotto.zip", &batch(rows.as_flattened()), "PRESA_IN_CARICO", &[]);
    // GPD says which notices a position has: nobody waits for it to answer otherwise.
    let line = office.wait_state(SOURCE, "GPD", "RIFIUTATO");
    assert_eq!(line["codice"], "ID_POSIZIONE_MANCANTE", "{line:?}");
    // PU does not: with one id for two nothing is changed, and the office is told of both.
    for reference in ["UNO", "CIASCUNO"] {
        office.wait_state(SOURCE, reference, "ACCETTATO");
    }
    let asks = |notice: &str| town.held(notice)["amount"].as_i64().unwrap();
    wait_for("each has its cost", SOON, || (asks(&own_a) > 4_200 && asks(&own_b) > 4_200).then_some(()));
    let told: Vec<_> = office.story(SOURCE, "UNO").into_iter().filter(|line| line["evento"] == "VERIFICA_AVVISO").collect();
    let mut notices: Vec<&str> = told.iter().map(|line| line["avviso"].as_str()).collect();
    notices.sort_unstable();
    assert_eq!(notices, [shared_a.as_str(), shared_b.as_str()], "{told:?}");
    assert!(told.iter().all(|line| line["codice"] == "ID_POSIZIONE_MANCANTE"), "{told:?}");
    assert!(office.story(SOURCE, "CIASCUNO").iter().all(|line| line["evento"] != "VERIFICA_AVVISO"));
    // One pays: the debt is paid, and the notice of the other is not asked for any more.
    town.pay(&own_a);
    let amount = town.held(&own_a)["paid_amount"].as_i64().unwrap();
    let line = office.wait_line(SOURCE, "CIASCUNO", "the other stands still", |line| {
        line["evento"] == "POSIZIONE_FERMA" && line["codice"] == "PAGATO_CON_ALTRO_AVVISO"
    });
    assert_eq!((line["avviso"].as_str(), line["importo_pagato"].as_str()), (own_b.as_str(), ""), "{line:?}");
    wait_for("the operators are told", SOON, || office.alerted("PAGATO_CON_ALTRO_AVVISO").then_some(()));
    let paid: Vec<_> = office.story(SOURCE, "CIASCUNO").into_iter().filter(|line| line["evento"] == "PAGATO").collect();
    assert_eq!(paid.len(), 1, "one payment: {paid:?}");
    assert_eq!((paid[0]["avviso"].as_str(), cents(&paid[0]["importo_pagato"])), (own_a.as_str(), amount));
    assert_eq!(
        (&town.show(&own_b)["position"]["state"], town.held(&own_b)["state"].as_str()),
        (&json!("FERMA"), Some("unpaid")),
        "untouched"
    );
    for notice in [&shared_a, &shared_b, &gpd_a, &gpd_b] {
        assert_eq!((asks(notice), town.held(notice)["changes"].as_array().unwrap().len()), (4_200, 0), "{notice}");
    }
    let ran = office.command(&["posizione", "retry", ENTE, &own_b, "--reason", "dovuto a parte"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    wait_for("it goes on", SOON, || (town.show(&own_b)["position"]["state"] == "APERTA").then_some(()));
    town.office.stop();
}

#[test]
fn a_pt_that_does_not_answer_is_waited_for_then_a_person_resumes() {
    let mut town = town(7_200, &[("rifiuta", "SYNC", "verify = \"refuse\"")], false);
    let good = notice(2, 31);
    town.office.start();
    town.office.answered(SOURCE, "rifiuta", "lotto.zip", &batch(&[act("ATTESA", &good)]), "PRESA_IN_CARICO", &[]);
    let line = town.office.wait_state(SOURCE, "ATTESA", "SOSPESO");
    assert_eq!(line["codice"], "PT_NON_RISPONDE");
    assert!(town.send.of("ATTESA").is_empty());
    wait_for("operators are told of the PT", SOON, || town.office.alerted("PT_NON_RAGGIUNGIBILE").then_some(()));
    let calls = |outcome: &str| format!("messo_remote_calls_total{{remote=\"pt/gov\",operation=\"read\",outcome=\"{outcome}\"}}");
    assert!(town.figure(&calls("no_answer")) > 0 && town.figure(&calls("ok")) == 0);
    assert_eq!(town.figure("messo_remote_up{remote=\"pt/gov\"}"), 0);
    assert_eq!(town.figure("messo_remote_up{remote=\"pt/gpd\"}"), 1, "nobody has asked it");

    let _partners = Simulator::start_with_partners(&town.clock, town.pts.port());
    town.debt(&good, 4_200, "unpaid");
    let ran = town.office.command(&["act", "retry", "ATTESA", "--reason", "il PT risponde"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    town.office.wait_state(SOURCE, "ATTESA", "ACCETTATO");
    town.send.only("ATTESA");
    wait_for("operators are told that it is back", SOON, || town.office.alerted("PT_DI_NUOVO_RAGGIUNGIBILE").then_some(()));
    assert!(town.figure(&calls("ok")) > 0);
    assert_eq!(town.figure("messo_remote_up{remote=\"pt/gov\"}"), 1);
    town.office.stop();
}

#[test]
fn check_warns_of_payments_that_no_pt_follows() {
    let clock = shared_clock(1);
    let key = format!("{ENTE}-x");
    let office = |more: &str| {
        let enti = [Ente { tax_id: ENTE, key: &key, more }];
        Office::new(&clock, "http://127.0.0.1:9", &enti, &[(SOURCE, &[ENTE], &["cds", "suap"])], &[])
    };
    let ran = office("").command(&["check"]);
    assert!(ran.code == 0 && ran.out.contains("avviso: l'ente 01234567897") && ran.out.contains("(cds)"), "{ran:?}");
    let with = office("[[ente.pagamenti]]\npt = \"muto\"\ncosts = \"nessuno\"\n");
    let mut config = fs::OpenOptions::new().append(true).open(with.dir().join("messo.toml")).unwrap();
    writeln!(config, "[[pt]]\nname = \"muto\"\nkind = \"non_gestito\"").unwrap();
    let ran = with.command(&["check"]);
    assert!(ran.code == 0 && ran.out.contains("avviso: gli avvisi dell'ente 01234567897 che vanno a muto (tutti gli altri)"), "{ran:?}");
    assert!(!ran.out.contains("non ha [[ente.pagamenti]]") && !ran.out.contains("ASYNC"), "{ran:?}");
}

#[test]
fn check_warns_of_flows_whose_mode_fits_no_way() {
    let clock = shared_clock(1);
    let key = format!("{ENTE}-x");
    let table = [
        // mode of the flow, channel of GPD, what is said
        ("SYNC", "async", Some("nessuno lo chiede al cittadino")),
        ("SYNC", "push", None),
        ("ASYNC", "async", None),
        ("ASYNC", "push", None),
    ];
    let elsewhere = "[[ente.pagamenti]]\npt = \"gov\"\ncosts = \"push\"\n";
    for (mode, costs, said) in table {
        let more = format!("[[ente.pagamenti]]\npt = \"gpd\"\ncosts = \"{costs}\"\n");
        let enti = [Ente { tax_id: ENTE, key: &key, more: &more }];
        let office = Office::new(&clock, "http://127.0.0.1:9", &enti, &[(SOURCE, &[ENTE], &["multe"])], &[paying("multe", mode, "")]);
        fs::write(office.dir().join("chiavi/pt"), "prova-prova").unwrap();
        let mut config = fs::OpenOptions::new().append(true).open(office.dir().join("messo.toml")).unwrap();
        writeln!(config, "[[pt]]\nname = \"gpd\"\nkind = \"gpd\"\nurl = \"http://127.0.0.1:9\"\napi_key = \"file:chiavi/pt\"").unwrap();
        let ran = office.command(&["check"]);
        assert_eq!(ran.code, 0, "{mode} {costs}: {ran:?}");
        match said {
            Some(said) => assert!(ran.out.contains(said) && ran.out.contains("multe"), "{mode} {costs}: {ran:?}"),
            None => assert!(!ran.out.contains("avviso: i flussi"), "{mode} {costs}: {ran:?}"),
        }
    }
    let enti = [Ente { tax_id: ENTE, key: &key, more: elsewhere }];
    let office = Office::new(&clock, "http://127.0.0.1:9", &enti, &[(SOURCE, &[ENTE], &["multe"])], &[paying("multe", "ASYNC", "")]);
    fs::write(office.dir().join("chiavi/pt"), "prova-prova").unwrap();
    let mut config = fs::OpenOptions::new().append(true).open(office.dir().join("messo.toml")).unwrap();
    let gov =
        "[[pt]]\nname = \"gov\"\nkind = \"govpay\"\nurl = \"http://127.0.0.1:9\"\nusername = \"messo\"\npassword = \"file:chiavi/pt\"";
    writeln!(config, "{gov}").unwrap();
    let ran = office.command(&["check"]);
    assert!(ran.code == 0 && ran.out.contains("nessun [[ente.pagamenti]] dell'ente 01234567897 va a GPD"), "{ran:?}");
}

#[test]
fn an_update_that_piemontepay_says_later_it_has_not_made_is_followed_by_what_it_says() {
    // Half an hour of silence is real time enough for an answer.
    let clock = shared_clock(10_000);
    let (port, door) = (free_port(), free_port());
    let send = Simulator::start_with_partners(&clock, port);
    let more = "[[ente.pagamenti]]\npt = \"piemonte\"\naux = 3\ncode = \"09\"\nservice = \"0007\"\ncosts = \"push\"\n";
    let key = format!("{ENTE}-piemonte");
    let flow = paying("sollecito", "SYNC", "verify = \"ignore\"");
    let enti = [Ente { tax_id: ENTE, key: &key, more }];
    let mut office = Office::new(&clock, &send.url(), &enti, &[(SOURCE, &[ENTE], &["sollecito"])], &[flow]);
    fs::write(office.dir().join("chiavi/pt"), "prova-prova").unwrap();
    let mut config = fs::OpenOptions::new().append(true).open(office.dir().join("messo.toml")).unwrap();
    write!(
        config,
        "[rest]\nlisten = \"127.0.0.1:{door}\"\n[[pt]]\nname = \"piemonte\"\nkind = \"piemontepay\"\n\
         url = \"http://127.0.0.1:{port}/piemontepay/soap\"\nusername = \"messo\"\npassword = \"file:chiavi/pt\"\n[pt.chiama]\n\
         username = \"ppay\"\npassword = \"file:chiavi/pt\"\n"
    )
    .unwrap();
    let pts = SocketAddr::from(([127, 0, 0, 1], port));
    let put = |notice: &str| {
        let debt = json!({"creditor": ENTE, "notice": notice, "position_id": format!("POS-{notice}"), "amount": 4_200, "state": "unpaid",
            "payer_tax_id": "RSSMRA80A01H501U", "payer_name": "Mario Rossi", "remittance": "Verbale", "due_type": "0007"});
        assert_eq!(http_json(pts, "POST", "/_pt/debts", &debt).0, 201);
    };
    let held = |notice: &str| -> Value { serde_json::from_str(&http(pts, "GET", &format!("/_pt/debts/{ENTE}/{notice}"), &[]).1).unwrap() };
    let outcomes = |codes: &[&str]| {
        let told = json!({"callback_url": format!("http://127.0.0.1:{door}/pt/piemonte/soap"), "username": "ppay", "password": "prova-prova",
            "delay_ms": 0, "outcomes": codes});
        assert_eq!(http_json(pts, "POST", "/piemontepay/_config", &told).0, 204);
    };
    let of =
        |reference: &str, notice: &str| act(reference, notice).with("pec", "visione@pec.it").with("posizione_id", &format!("POS-{notice}"));
    let [good, gone] = [notice(9, 41), notice(9, 42)];
    put(&good);
    put(&gone);
    outcomes(&["200", "399"]);
    office.start();
    office.answered(SOURCE, "sollecito", "uno.zip", &batch(&[of("RIPROVA", &good)]), "PRESA_IN_CARICO", &[]);
    // Not now, then it does not know itself: the same amount again, until it is there.
    let line = office.wait_line(SOURCE, "RIPROVA", "told", |line| {
        line["evento"] == "IMPORTO_AGGIORNATO" && held(&good)["amount"] == cents(&line["importo_dovuto"]) && held(&good)["amount"] != 4_200
    });
    assert!(cents(&line["importo_costi"]) > 0, "{line:?}");
    let history = office.ask(&["posizione", "show", ENTE, &good])["history"].to_string();
    assert!(history.contains("\"200\"") && history.contains("\"399\""), "{history}");
    assert!(office.story(SOURCE, "RIPROVA").iter().all(|line| line["evento"] != "POSIZIONE_FERMA"), "nobody was needed");
    // Cancelled there: a person is told so, and the amount stays.
    outcomes(&["179"]);
    office.answered(SOURCE, "sollecito", "due.zip", &batch(&[of("ANNULLATA", &gone)]), "PRESA_IN_CARICO", &[]);
    office.wait_line(SOURCE, "ANNULLATA", "parked", |line| {
        line["evento"] == "POSIZIONE_FERMA" && line["codice"] == "POSIZIONE_ANNULLATA_DAL_PT"
    });
    wait_for("the operators are told", SOON, || office.alerted("POSIZIONE_ANNULLATA_DAL_PT").then_some(()));
    assert_eq!(held(&gone)["amount"], 4_200);
    office.stop();
}

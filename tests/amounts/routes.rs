//! Which partner tecnologico has a notice: by ente, aux digit, application or segregation code (`reference pt.md` 5.1).

use messo::config::Institution;

/// An ente with one PT for each kind of notice, the narrow ways before the wide ones.
const ENTE: &str = r#"
tax_id = "02438750586"
denomination = "Comune di Esempio"
ambiente = "collaudo"
send_url = "http://127.0.0.1:1"
[[pagamenti]]
pt = "regione"
aux = 3
code = "47"
costs = "push"
[[pagamenti]]
pt = "gpd"
aux = 3
code = "02"
costs = "async"
[[pagamenti]]
pt = "vecchio"
aux = 0
code = "01"
costs = "pull"
[[pagamenti]]
pt = "senza-codice"
aux = 2
costs = "nessuno"
[[pagamenti]]
pt = "altri-tre"
aux = 3
costs = "push"
"#;

fn whose(ente: &Institution, notice: &str) -> Option<String> {
    ente.route(notice).map(|route| route.pt.clone())
}

#[test]
fn a_notice_goes_to_the_first_way_that_fits() {
    let ente: Institution = toml::from_str(ENTE).unwrap();
    let table = [
        ("347250123456789084", Some("regione"), "aux 3, segregazione 47"),
        ("302000000000000184", Some("gpd"), "aux 3, segregazione 02"),
        ("302000000000000185", Some("gpd"), "cifre di controllo sbagliate: il partner è quello lo stesso"),
        ("304040000000000255", Some("altri-tre"), "aux 3, una segregazione che nessuna via nomina"),
        ("001000000000000141", Some("vecchio"), "aux 0, codice applicativo 01"),
        ("004040400002428331", None, "aux 0, codice applicativo 04: di nessuno"),
        ("200000000000000103", Some("senza-codice"), "aux 2 non ha codice"),
        ("247250123456789012", Some("senza-codice"), "aux 2: le cifre dopo la prima non sono un codice"),
        ("123456789012345678", None, "aux 1: nessuna via"),
        ("402000000000000184", None, "aux sconosciuto"),
        ("30200000000000018", None, "diciassette cifre"),
        ("", None, "vuoto"),
    ];
    for (notice, want, why) in table {
        assert_eq!(whose(&ente, notice).as_deref(), want, "{notice}: {why}");
    }
}

#[test]
fn the_order_of_the_ways_decides() {
    let wide = ENTE.replacen("aux = 3\ncode = \"47\"", "aux = 3", 1);
    let ente: Institution = toml::from_str(&wide).unwrap();
    for notice in ["347250123456789084", "302000000000000184", "304040000000000255"] {
        assert_eq!(whose(&ente, notice).as_deref(), Some("regione"), "{notice}");
    }
    let any = ENTE.replacen("aux = 3\ncode = \"47\"\n", "", 1);
    let ente: Institution = toml::from_str(&any).unwrap();
    for notice in ["123456789012345678", "001000000000000141", "200000000000000103"] {
        assert_eq!(whose(&ente, notice).as_deref(), Some("regione"), "{notice}");
    }
}

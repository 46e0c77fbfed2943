//! A municipality whose partner tecnologici call: the hub with `[rest]`, the PTs' own simulators in this process, a client of each
//! contract.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use messo::clock::Clock;
use messo::sandbox::pt::{Debt, Debts, PtOptions, PtRunning};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::common::office::{Ente, Office, Row, batch};
use super::common::{free_port, wait_for};

pub const ENTE: &str = "01234567897";
pub const OTHER: &str = "00907501001";
/// Credentials with which every PT calls: user, password.
pub const USER: &str = "pt";
pub const PASSWORD: &str = "una-password-lunga-e-a-caso";
/// What vouchers of the ente's e-service are for.
pub const AUDIENCE: &str = "https://comune.prova.example/prezzi";
pub const NAMES: [&str; 4] = ["veneto", "unitaria", "piemonte", "govpay"];
/// What every act asks for, cents.
pub const AMOUNT: i64 = 10_000;

/// Reduced for two days after completion, whole up to the fourth, half as much again afterwards; SEND's cost added.
const FLOW: &str = r#"
name = "multe"
title = "Multe di prova"
taxonomy_code = "010101P"
communication_type = "REGISTERED_LETTER_890"
fee_policy = "DELIVERY_MODE"
pago_pa_int_mode = "SYNC"
pa_fee = 100
vat = 22
payment = "required"
[amount_rule]
base = 10000
costs = "aggiunti"
# A last day that moved would make two windows end together on some dates.
holidays = "non_sposta"
steps = [
  { from = "perfezionamento", days = 2, due = { percent = 7000 } },
  { from = "perfezionamento", days = 4, due = { percent = 10000 } },
  { from = "perfezionamento", due = { percent = 15000 } },
]
[guard]
first_acts = 10000
max_refused_percent = 100
[pagamenti]
verify = "ignore"
cost_place = "SPESE"
"#;

/// An 18-digit notice of the PT at that place of [`NAMES`].
pub fn notice(pt: usize, number: u64) -> String {
    let base = format!("3{:02}{number:013}", pt + 2);
    let rest = base.parse::<u64>().unwrap() % 93;
    format!("{base}{rest:02}")
}

/// The act with that notice.
pub fn reference(pt: usize, number: u64) -> String {
    format!("ATTO-{pt}-{number}")
}

/// A PT's answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The code inside a SOAP answer.
    pub fn code(&self) -> String {
        let (_, rest) = self.text.split_once("<c:Codice>").unwrap_or_else(|| panic!("{self:?}"));
        rest.split('<').next().unwrap().to_owned()
    }
}

pub struct World {
    pub office: Office,
    pub rest: SocketAddr,
    pub debts: Arc<Debts>,
    pub runtime: tokio::runtime::Runtime,
    /// Signs the vouchers of the ente's e-service, and of everybody's.
    pdnd: EcdsaKeyPair,
    client: reqwest::Client,
    pts: PtRunning,
}

impl World {
    /// Not started yet. `rest`: more lines of `[rest]`.
    pub fn new(clock: &str, send: &str, rest: &str) -> World {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let debts = Arc::new(Debts::default());
        let options = PtOptions {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            clock: clock.parse().unwrap(),
            debts: debts.clone(),
            username: "messo".into(),
            password: "segreta".into(),
        };
        let pts = runtime.block_on(messo::sandbox::pt::start(options)).unwrap();
        let routes = |other: bool| -> String {
            let each = NAMES.iter().enumerate().map(|(index, pt)| {
                // The second ente gave the codes to others: what is MyPay's here is PU's there.
                let code = if other { (index + 1) % NAMES.len() + 2 } else { index + 2 };
                let service = if *pt == "govpay" { "GESTIONALE" } else { "0007" };
                format!(
                    "[[ente.pagamenti]]\npt = \"{pt}\"\naux = 3\ncode = \"{code:02}\"\nente = \"{}\"\nservice = \"{service}\"\ncosts = \"pull\"\n",
                    if *pt == "veneto" { "c_x999" } else { ENTE }
                )
            });
            each.collect()
        };
        let (own, others) = (routes(false), routes(true));
        let enti =
            [Ente { tax_id: ENTE, key: "01234567897-prova", more: &own }, Ente { tax_id: OTHER, key: "00907501001-prova", more: &others }];
        let office = Office::new(clock, send, &enti, &[("polizia", &[ENTE], &["multe"])], &[FLOW.to_owned()]);
        let dir = office.dir().to_owned();
        fs::write(dir.join("password-pt"), "segreta").unwrap();
        fs::write(dir.join("password-chiama"), PASSWORD).unwrap();
        let pdnd = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let der: PublicKeyX509Der<'_> = pdnd.public_key().as_der().unwrap();
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der.as_ref()));
        fs::write(dir.join("pdnd.pem"), pem).unwrap();
        let rest_at = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let mut text = fs::read_to_string(dir.join("messo.toml")).unwrap();
        text.push_str(&format!("[rest]\nlisten = \"{rest_at}\"\n{rest}\n"));
        let url = pts.url();
        for (name, kind, block) in [
            ("veneto", "mypay", format!("url = \"{url}/mypay\"\npassword = \"file:password-pt\"\n")),
            (
                "unitaria",
                "pu",
                format!(
                    "url = \"{url}/pu/sil\"\ntoken_url = \"{url}/pu/auth/oauth/token\"\nclient_id = \"messo\"\nclient_secret = \"file:password-pt\"\n"
                ),
            ),
            (
                "piemonte",
                "piemontepay",
                format!("url = \"{url}/piemontepay/soap\"\nusername = \"messo\"\npassword = \"file:password-pt\"\nprofile = \"soap\"\n"),
            ),
            (
                "govpay",
                "govpay",
                format!("url = \"{url}/govpay/backend/api/pendenze/rs/basic/v2\"\nusername = \"messo\"\npassword = \"file:password-pt\"\n"),
            ),
        ] {
            text.push_str(&format!(
                "[[pt]]\nname = \"{name}\"\nkind = \"{kind}\"\n{block}[pt.chiama]\nusername = \"{USER}\"\npassword = \"file:password-chiama\"\n"
            ));
            if name == "unitaria" {
                text.push_str(&format!("voucher_key = \"pdnd.pem\"\nvoucher_audience = \"{AUDIENCE}\"\nvoucher_client = \"pu\"\n"));
            }
        }
        fs::write(dir.join("messo.toml"), text).unwrap();
        // The hub closes what is idle while it is used again: a call on its own connection cannot meet that.
        let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
        World { office, rest: rest_at, debts, runtime, pdnd, client, pts }
    }

    /// One act for each PT: its debt at the PT, then the batch.
    pub fn deposit(&self, name: &str, number: u64) {
        let balance = r#"[{"capitolo":"MULTE","accertamento":"2026/1","ufficio":"PL","importo":"100.00"}]"#;
        let rows: Vec<Row> = (0..NAMES.len())
            .map(|pt| {
                let code = notice(pt, number);
                self.debts.put(debt(&code, &format!("POS-{pt}-{number}")));
                Row::new(ENTE, &reference(pt, number))
                    .with("pec", "visione@pec.it")
                    .with("importo", "100,00")
                    .with("avviso_numero_1", &code)
                    .with("avviso_creditore_1", ENTE)
                    .with("avviso_applica_costi_1", "SI")
                    .with("posizione_id", &format!("POS-{pt}-{number}"))
                    .with("tipo_dovuto", "CDS")
                    .with("causale", "Verbale di prova")
                    .with("bilancio", &format!("\"{}\"", balance.replace('"', "\"\"")))
            })
            .collect();
        self.office.answered("polizia", "multe", name, &batch(&rows), "PRESA_IN_CARICO", &[]);
    }

    /// One call.
    pub fn call(&self, base: &str, method: &str, path: &str, headers: &[(&str, &str)], body: Option<Vec<u8>>) -> Answer {
        let mut request = self.client.request(method.parse().unwrap(), format!("{base}{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        self.runtime.block_on(async {
            let answer = request.send().await.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
            let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
            Answer { status, headers, text: answer.text().await.unwrap() }
        })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.rest)
    }

    /// Where the simulators of the PTs answer.
    #[allow(dead_code, reason = "not every test that has this house pays")]
    pub fn pts(&self) -> String {
        self.pts.url()
    }

    pub fn post(&self, base: &str, path: &str, authorization: Option<&str>, body: &Value) -> Answer {
        let mut headers = vec![("content-type", "application/json"), ("agid-jwt-signature", "non.verificata.qui")];
        headers.extend(authorization.map(|shown| ("authorization", shown)));
        self.call(base, "POST", path, &headers, Some(body.to_string().into_bytes()))
    }

    /// A header with a voucher that ends in so many seconds.
    pub fn voucher(&self, audience: &str, ends_in: i64) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let end = Clock::REAL.now().as_second() + ends_in;
        let claims = json!({"aud": audience, "client_id": "pu", "purposeId": "prezzi", "exp": end});
        let text = format!("{}.{}", part(&json!({"alg": "ES256", "typ": "at+jwt"})), part(&claims));
        let signature = self.pdnd.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
        format!("Bearer {text}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    pub fn basic() -> String {
        format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")))
    }

    /// Logs in by the contract of MyPay; `base` ends before `/login`.
    pub fn login(&self, base: &str) -> String {
        let answer = self.post(base, "/login", None, &json!({"username": USER, "password": PASSWORD}));
        assert_eq!((answer.status, &answer.json()["esito"]), (200, &json!("OK")), "{answer:?}");
        format!("Bearer {}", answer.json()["token"].as_str().unwrap())
    }

    pub fn legacy(&self, base: &str, token: &str, creditor: &str, notice: &str) -> Answer {
        let body = json!({"cfEnteCreditore": creditor, "numeroAvviso": notice, "importoPosizione": "S"});
        self.post(base, "/notification-price", Some(token), &body)
    }

    pub fn native(&self, base: &str, creditor: &str, notice: &str) -> Answer {
        self.post(base, "/amount-update", Some(&format!("Bearer {PASSWORD}")), &json!({"orgFiscalCode": creditor, "nav": notice}))
    }

    pub fn get(&self, base: &str, path: &str) -> Answer {
        self.call(base, "GET", path, &[("authorization", &World::basic())], None)
    }

    pub fn soap(&self, base: &str, path: &str, body: &str) -> Answer {
        let text = format!(
            "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns:t=\"http://www.csi.it/epay/epaywso/epaywso2enti/types\" \
             xmlns:c=\"http://www.csi.it/epay/epaywso/types\"><s:Body>{body}</s:Body></s:Envelope>"
        );
        let headers = [("authorization", &*World::basic()), ("content-type", "text/xml; charset=utf-8"), ("soapaction", "\"\"")];
        self.call(base, "POST", path, &headers, Some(text.into_bytes()))
    }

    /// The operators were told.
    pub fn wait_alert(&self, code: &str) {
        wait_for(code, super::common::office::SOON, || self.office.alerted(code).then_some(()));
    }
}

fn debt(notice: &str, position: &str) -> Debt {
    serde_json::from_value(json!({
        "creditor": ENTE, "notice": notice, "position_id": position, "amount": AMOUNT, "state": "unpaid", "due_date": "2099-12-31",
        "payer_tax_id": "RSSMRA80A01H501U", "payer_name": "Mario Rossi", "remittance": "Verbale di prova", "due_type": "CDS",
        "more": {"codIpaEnte": "c_x999"},
    }))
    .unwrap()
}

/// A receipt of the node (`paSendRTV2`).
pub fn receipt(notice: &str, amount: i64, id: &str) -> String {
    format!(
        "<receipt><receiptId>{id}</receiptId><noticeNumber>{notice}</noticeNumber><fiscalCode>{ENTE}</fiscalCode><outcome>OK</outcome>\
         <creditorReferenceId>{}</creditorReferenceId><paymentAmount>{}.{:02}</paymentAmount>\
         <paymentDateTime>2026-11-23T10:00:00</paymentDateTime></receipt>",
        &notice[1..],
        amount / 100,
        amount % 100
    )
}

/// RT 6.2, or MyPay's `Pagati`, which name these parts alike.
pub fn older_receipt(root: &str, notice: &str, amount: i64, iur: &str) -> String {
    format!(
        "<{root}><dominio><identificativoDominio>{ENTE}</identificativoDominio></dominio><datiPagamento><codiceEsitoPagamento>0\
         </codiceEsitoPagamento><importoTotalePagato>{}.{:02}</importoTotalePagato><identificativoUnivocoVersamento>{}\
         </identificativoUnivocoVersamento><datiSingoloPagamento><dataEsitoSingoloPagamento>2026-11-23</dataEsitoSingoloPagamento>\
         <identificativoUnivocoRiscossione>{iur}</identificativoUnivocoRiscossione></datiSingoloPagamento></datiPagamento></{root}>",
        amount / 100,
        amount % 100,
        &notice[1..]
    )
}

pub fn base64(text: &str) -> String {
    STANDARD.encode(text)
}

/// PU's event.
pub fn native_event(notice: &str, amount: i64, id: &str) -> Value {
    json!({
        "encodedReceipt": base64(&receipt(notice, amount, id)),
        "paymentData": {
            "orgFiscalCode": ENTE, "nav": notice, "amountCents": amount, "debtPositionTypeOrgCode": "CDS", "iuv": &notice[1..],
            "iud": "POS", "paymentDate": "2026-11-23T10:00:00+01:00",
            "debtor": {"fullName": "Mario Rossi", "entityType": "F", "fiscalCode": "RSSMRA80A01H501U"},
        },
    })
}

/// GovPay's.
pub fn govpay_event(notice: &str, amount: i64, id: &str) -> Value {
    let (euro, at) = (amount as f64 / 100.0, "2026-11-23T10:00:00+01:00");
    let known = json!({"idA2A": "GESTIONALE", "idPendenza": "POS", "dataCaricamento": at});
    json!({
        "dominio": {"idDominio": ENTE, "ragioneSociale": "Comune di Prova"}, "iuv": &notice[1..], "idRicevuta": id, "importo": euro,
        "esito": "ESEGUITO", "stato": "RT_ACCETTATA_PA", "istitutoAttestante": {"idPSP": "99999", "denominazione": "Banca di Prova"},
        "modello": "Pagamento ad iniziativa PSP", "dataPagamento": at, "data": at,
        "pendenza": {
            "idA2A": "GESTIONALE", "idPendenza": "POS", "dataCaricamento": at, "idTipoPendenza": "CDS", "dominio": {"idDominio": ENTE},
            "causale": "Verbale di prova", "importo": euro, "numeroAvviso": notice,
            "soggettoPagatore": {"tipo": "F", "identificativo": "RSSMRA80A01H501U", "anagrafica": "Mario Rossi"},
            "voci": [{
                "codEntrata": "CDS", "idVocePendenza": "1", "descrizione": "Verbale di prova", "pendenza": known,
                "riscossione": {"iuv": &notice[1..], "iur": id, "indice": 1, "tipo": "ENTRATA", "importo": euro, "data": at},
            }],
        },
    })
}

/// PiemontePAY's.
pub fn piemonte_event(creditor: &str, notices: &[(&str, i64, &str)]) -> String {
    let one = |(notice, amount, iur): &(&str, i64, &str)| {
        format!(
            "<t:NotificaPagamento><t:IUV>{}</t:IUV><t:ImportoPagato>{}.{:02}</t:ImportoPagato><t:DataEsitoPagamento>2026-11-23</t:DataEsitoPagamento>\
             <t:SoggettoDebitore><c:PersonaFisica><c:Cognome>Rossi</c:Cognome><c:Nome>Mario</c:Nome></c:PersonaFisica>\
             <c:IdentificativoUnivocoFiscale>RSSMRA80A01H501U</c:IdentificativoUnivocoFiscale></t:SoggettoDebitore>\
             <t:DatiTransazionePSP><t:IdPSP>PSP</t:IdPSP><t:DataOraAvvioTransazione>2026-11-23T10:00:00</t:DataOraAvvioTransazione>\
             <t:IUR>{iur}</t:IUR></t:DatiTransazionePSP><t:CodiceAvviso>{notice}</t:CodiceAvviso></t:NotificaPagamento>",
            &notice[1..],
            amount / 100,
            amount % 100
        )
    };
    let total: i64 = notices.iter().map(|(_, amount, _)| amount).sum();
    format!(
        "<t:TrasmettiNotifichePagamentoRequest><t:Testata><t:IdMessaggio>M1</t:IdMessaggio><t:CFEnteCreditore>{creditor}</t:CFEnteCreditore>\
         <t:CodiceVersamento>0007</t:CodiceVersamento><t:PagamentiSpontanei>false</t:PagamentiSpontanei><t:NumeroPagamenti>{}</t:NumeroPagamenti>\
         <t:ImportoTotalePagamenti>{}.{:02}</t:ImportoTotalePagamenti></t:Testata><t:CorpoNotifichePagamento><t:ElencoNotifichePagamento>{}\
         </t:ElencoNotifichePagamento></t:CorpoNotifichePagamento></t:TrasmettiNotifichePagamentoRequest>",
        notices.len(),
        total / 100,
        total % 100,
        notices.iter().map(one).collect::<String>()
    )
}

/// The head of a message of PiemontePAY, with what its kind has besides.
fn head(rest: &str) -> String {
    format!(
        "<t:IdMessaggio>M3</t:IdMessaggio><t:CFEnteCreditore>{ENTE}</t:CFEnteCreditore><t:CodiceVersamento>0007</t:CodiceVersamento>{rest}"
    )
}

/// PiemontePAY says that the last day of these IUV has passed.
pub fn expired_event(iuvs: &[&str]) -> String {
    let one = |iuv: &&str| {
        format!(
            "<t:AvvisoScaduto><t:IUV>{iuv}</t:IUV><t:DataScadenza>2026-11-20</t:DataScadenza><t:Importo>100.00</t:Importo></t:AvvisoScaduto>"
        )
    };
    let counts = format!(
        "<t:NumeroAvvisiScaduti>{0}</t:NumeroAvvisiScaduti><t:ImportoTotaleAvvisiScaduti>{0}00.00</t:ImportoTotaleAvvisiScaduti>",
        iuvs.len()
    );
    format!(
        "<t:TrasmettiAvvisiScadutiRequest><t:Testata>{}</t:Testata><t:CorpoAvvisiScaduti><t:ElencoAvvisiScaduti>{}</t:ElencoAvvisiScaduti>\
         </t:CorpoAvvisiScaduti></t:TrasmettiAvvisiScadutiRequest>",
        head(&counts),
        iuvs.iter().map(one).collect::<String>()
    )
}

/// PiemontePAY hands on a request that a payment be given back.
pub fn asked_back_event(notice: &str, amount: i64) -> String {
    let (iuv, sum) = (&notice[1..], format!("{}.{:02}", amount / 100, amount % 100));
    let bank = "<t:IstitutoAttestante><c:PersonaGiuridica><c:RagioneSociale>Banca di Prova</c:RagioneSociale></c:PersonaGiuridica>\
                <c:IdentificativoUnivocoFiscale>00907501001</c:IdentificativoUnivocoFiscale></t:IstitutoAttestante>";
    let at = "2026-11-23T10:00:00";
    let xml = base64("<RR/>");
    format!(
        "<t:TrasmettiRichiesteDiRevocaRequest><t:Testata>{head}</t:Testata><t:CorpoRichiesteDiRevoca><t:RichiestaDiRevocaResponse>\
         <t:IdentificativoDominio>{ENTE}</t:IdentificativoDominio><t:ApplicationId>PPAY</t:ApplicationId>\
         <t:IdentificativoMessaggioEsito>ER-1</t:IdentificativoMessaggioEsito><t:DataOraMessaggioEsito>{at}</t:DataOraMessaggioEsito>\
         <t:RiferimentoMessaggioRevoca>RR-1</t:RiferimentoMessaggioRevoca><t:RiferimentoDataOraRevoca>{at}</t:RiferimentoDataOraRevoca>{bank}\
         <t:ImportoPagato>{sum}</t:ImportoPagato><t:IUV>{iuv}</t:IUV><t:CodiceContestoPagamento>CCP1</t:CodiceContestoPagamento>\
         <t:InvioOkRispostaRevoca>true</t:InvioOkRispostaRevoca><t:XML>{xml}</t:XML><t:DatiSingoloEsitoRevoca>\
         <t:SingoloImportoRevocato>{sum}</t:SingoloImportoRevocato><t:IUR>p1</t:IUR><t:CausaleEsito>prova</t:CausaleEsito>\
         <t:DatiAggiuntiviEsito>prova</t:DatiAggiuntiviEsito></t:DatiSingoloEsitoRevoca></t:RichiestaDiRevocaResponse><t:ElencoRichiesteDiRevoca>\
         <t:RichiestaDiRevoca><t:IdentificativoDominio>{ENTE}</t:IdentificativoDominio><t:ApplicationId>PPAY</t:ApplicationId>\
         <t:IdentificativoMessaggioRevoca>RR-1</t:IdentificativoMessaggioRevoca><t:DataOraMessaggioRevoca>{at}</t:DataOraMessaggioRevoca>{bank}\
         <t:ImportoPagato>{sum}</t:ImportoPagato><t:IUV>{iuv}</t:IUV><t:CodiceContestoPagamento>CCP1</t:CodiceContestoPagamento>\
         <t:TipoRevoca>1</t:TipoRevoca><t:XML>{xml}</t:XML><t:ListaDatiSingolaRevoca><t:DatiSingolaRevoca>\
         <t:SingoloImportoRevocato>{sum}</t:SingoloImportoRevocato><t:IUR>p1</t:IUR><t:Causale>prova</t:Causale>\
         <t:DatiAggiuntivi>prova</t:DatiAggiuntivi></t:DatiSingolaRevoca></t:ListaDatiSingolaRevoca></t:RichiestaDiRevoca>\
         </t:ElencoRichiesteDiRevoca></t:CorpoRichiesteDiRevoca></t:TrasmettiRichiesteDiRevocaRequest>",
        head = head(&format!("<t:NumeroPagamenti>1</t:NumeroPagamenti><t:ImportoTotalePagamenti>{sum}</t:ImportoTotalePagamenti>")),
    )
}

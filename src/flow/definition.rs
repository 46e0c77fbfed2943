//! `flows/*.toml`: one kind of act each. The file picks among steps that exist; Rust decides what is legal.
//!
//! The twelve services are compiled in ([`shipped`]); a file of the same name in the folder of the configuration takes the place
//! of one, a new name adds one. A file is refused as a whole, with every problem and its line.

use jiff::civil::Time;
use serde::{Deserialize, Serialize};

use super::shape::{Document, Key, Kind, Located, ShapeFault, may, need};
use crate::domain::act::{CommunicationType, FeePolicy, PagoPaIntMode};
use crate::domain::amount_rule::{AmountRule, AmountRuleError};

/// One flow. Each act keeps the definition it began with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowDefinition {
    /// Also the name of the drop's sub-folder (`in/cds/`). `[a-z0-9-]{1,32}`.
    pub name: String,
    /// Italian title, for receipts.
    pub title: String,
    pub taxonomy_code: String,
    pub communication_type: CommunicationType,
    pub fee_policy: FeePolicy,
    /// Default when the row says nothing. With payments and DELIVERY_MODE it must be stated here or in the row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pago_pa_int_mode: Option<PagoPaIntMode>,
    /// Euro cents 0..=100, default of the rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pa_fee: Option<u32>,
    /// Percent 0..=100, default of the rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vat: Option<u32>,
    /// Subject of acts whose layout has none (Piattaforma Unitaria), at most 134 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    pub payment: PaymentPolicy,
    /// Amount rule of acts that bring none, applied later by the payment flow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_rule: Option<AmountRule>,
    /// Layouts expected; another one is taken with a warning. Empty: any.
    #[serde(default)]
    pub layouts: Vec<String>,
    #[serde(default)]
    pub acceptance: Acceptance,
    /// A PDF of the archive that no row names.
    #[serde(default)]
    pub unreferenced_files: UnreferencedFiles,
    #[serde(default)]
    pub checks: Checks,
    #[serde(default)]
    pub sending: Sending,
    /// Minutes between two outcome files, at least (0: as soon as something changed).
    #[serde(default)]
    pub outcome_minutes: u32,
    /// Term of notification of acts that state none, in days from the drop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify_within_days: Option<u32>,
    #[serde(default)]
    pub guard: MoneyGuard,
    /// What is done about the notices of managed PTs.
    #[serde(default, rename = "pagamenti")]
    pub payments: Payments,
}

/// Whether acts of the flow carry payments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentPolicy {
    Required,
    Allowed,
    Forbidden,
}

/// What a refused row does to its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Acceptance {
    /// Good rows go on, refused ones come back in `scarti/`.
    #[default]
    GoodRows,
    /// One refused row refuses the batch.
    AllOrNothing,
}

/// What a file that no row names does to its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnreferencedFiles {
    /// The drop is refused: a forgotten row is an act never served.
    #[default]
    Refuse,
    Warn,
}

/// Severity of a check that depends on data that ages, or that samples break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckLevel {
    Off,
    Warn,
    Refuse,
}

/// `[checks]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Checks {
    /// Mod-93 check digits of notice codes (`reference pt.md` 5.1).
    pub notice_check_digits: CheckLevel,
    /// Comune, province and CAP against the shipped table.
    pub municipality: CheckLevel,
    /// Characters that SEND may not take in addresses are transliterated to ASCII instead of refused.
    pub transliterate: bool,
    /// Page rule of senders not enabled for mail over 20 grams (`reference send.md` 2).
    pub light_mail: bool,
}

impl Default for Checks {
    fn default() -> Self {
        Checks { notice_check_digits: CheckLevel::Warn, municipality: CheckLevel::Warn, transliterate: true, light_mail: false }
    }
}

/// When accepted acts go to SEND.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "when", deny_unknown_fields)]
pub enum Sending {
    #[default]
    AtOnce,
    /// Every day between two hours, Rome time (`from` < `to`).
    Hours { from: Time, to: Time },
    /// Not until an operator releases the batch.
    Held,
}

/// Stops a batch that SEND keeps refusing: every refusal is billed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MoneyGuard {
    /// These go first, alone.
    pub first_acts: u32,
    /// Over this percentage refused among them, the rest is parked.
    pub max_refused_percent: u32,
}

impl Default for MoneyGuard {
    fn default() -> Self {
        MoneyGuard { first_acts: 20, max_refused_percent: 10 }
    }
}

/// What follows when a notice and what its PT, or its own QR, says of it do not agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentCheck {
    /// The act comes back as refused, before anything of it is asked of SEND.
    #[default]
    Refuse,
    /// The gestionale is told, the act goes on.
    Warn,
    Ignore,
}

/// `[pagamenti]`: notices that a managed PT has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Payments {
    /// Its PT does not know the notice, cannot take the payment, has another amount or another creditor.
    pub verify: PaymentCheck,
    /// By how much the PT's amount may differ from the act's, cents, 0..=100000.
    pub tolerance_cents: u32,
    /// SEND is told of a notice that is wholly paid: it may stop the letter (`reference send.md` 7), which an act that must be served
    /// whatever is paid (accertamento, ingiunzione) cannot afford.
    pub notify_paid_to_send: bool,
    /// Line of bilancio, component or transfer to which the cost of notification goes; `None`: with the rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_place: Option<String>,
    /// The QR of the attached notice says something else than the row.
    pub qr: PaymentCheck,
    /// While it can be paid without a last day that is known (before completion, while days stand still, in the last step of its rule)
    /// its PT is not to close it for so many days from today; 0: the PT's own date holds.
    pub keep_open_days: u32,
    /// What becomes of the position at its PT when its act is cancelled by an order.
    pub on_cancel: OnCancel,
}

/// What becomes of the debt of an act that is cancelled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnCancel {
    /// It stays as the PT had it before messo; what messo added is taken back.
    #[default]
    #[serde(rename = "lascia")]
    Leave,
    /// It is cancelled too, where the PT can.
    #[serde(rename = "annulla")]
    Cancel,
}

/// Half a year: longer than the slowest notification by paper takes from its acceptance to its completion (two attempts, a deposit, the
/// postal procedures: `reference send.md` 5), so that a date that was moved once seldom has to be moved again before the first window.
pub const KEEP_OPEN_DAYS: u32 = 180;

impl Default for Payments {
    fn default() -> Self {
        Payments {
            verify: PaymentCheck::Refuse,
            tolerance_cents: 0,
            notify_paid_to_send: false,
            cost_place: None,
            qr: PaymentCheck::Warn,
            keep_open_days: KEEP_OPEN_DAYS,
            on_cancel: OnCancel::Leave,
        }
    }
}

/// What is wrong with a flow file, and where.
pub type DefinitionProblem = Located<DefinitionFault>;

/// What may be wrong with a flow. Sentences are in `text::it::config`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DefinitionFault {
    Shape(ShapeFault),
    /// Not `[a-z0-9-]{1,32}`.
    Name,
    /// The file must be called like the flow.
    FileName {
        wanted: String,
    },
    /// `prova` is the folder of dry runs.
    ReservedName,
    /// Empty, too long (characters) or on several lines.
    Text {
        max: usize,
    },
    TaxonomyUnknown {
        found: String,
    },
    /// Last letter P: with payment; N: without.
    TaxonomyAndPayment {
        found: String,
    },
    /// DELIVERY_MODE needs it.
    FeeMissing,
    /// Payments may occur and nothing says who updates the amount.
    IntModeMissing,
    /// Payments never occur and yet someone should update the amount.
    IntModeUseless,
    /// `from` is not before `to`.
    Hours,
    /// Payments never occur and yet it is said what to do about them.
    PaymentsUseless,
    AmountRule(AmountRuleError),
}

impl DefinitionFault {
    /// The code printed by `messo check`: never renamed once released.
    pub fn code(&self) -> &'static str {
        match self {
            DefinitionFault::Shape(fault) => fault.code(),
            DefinitionFault::Name => "NOME_NON_VALIDO",
            DefinitionFault::FileName { .. } => "NOME_E_FILE_DIVERSI",
            DefinitionFault::ReservedName => "NOME_RISERVATO",
            DefinitionFault::Text { .. } => "TESTO_NON_VALIDO",
            DefinitionFault::TaxonomyUnknown { .. } => "TASSONOMIA_SCONOSCIUTA",
            DefinitionFault::TaxonomyAndPayment { .. } => "TASSONOMIA_E_PAGAMENTO",
            DefinitionFault::FeeMissing => "POLITICA_COSTI_INCOMPLETA",
            DefinitionFault::IntModeMissing => "MODALITA_PAGOPA_MANCANTE",
            DefinitionFault::IntModeUseless => "MODALITA_PAGOPA_INCOERENTE",
            DefinitionFault::Hours => "FASCIA_ORARIA_NON_VALIDA",
            DefinitionFault::PaymentsUseless => "PAGAMENTI_INCOERENTI",
            DefinitionFault::AmountRule(_) => "REGOLA_IMPORTO_NON_VALIDA",
        }
    }
}

const CHECK_LEVEL: Kind = Kind::Word(&["off", "warn", "refuse"]);
const PAYMENT_CHECK: Kind = Kind::Word(&["refuse", "warn", "ignore"]);
const CENTS: Kind = Kind::Whole(0, 99_999_999_999);
const STEP: &[Key] = &[
    need("from", Kind::Word(&["data_atto", "perfezionamento", "contestazione", "esecutivita"])),
    may("days", Kind::Whole(0, 3_650)),
    need("due", Kind::Either(&[may("percent", Kind::Whole(0, 1_000_000)), may("fixed", CENTS)])),
    may("of", Kind::Word(&["base", "minimo", "massimo"])),
    may("charge", Kind::Table(&[need("percent", Kind::Whole(0, 1_000_000)), may("cap", CENTS)])),
    may("summer", Kind::Flag),
];
/// A ready-made rule, or costs and steps: [`AmountRule::check`] tells which lacks.
const AMOUNT_RULE: &[Key] = &[
    may(
        "preset",
        Kind::Word(&[
            "cds",
            "cds-contestazione",
            "cds-senza-riduzione",
            "tari-sollecito",
            "tari-accertamento",
            "imu-accertamento",
            "servizi-scolastici",
            "entrate-patrimoniali",
            "onere-riscossione",
        ]),
    ),
    may("base", CENTS),
    may("costs", Kind::Word(&["aggiunti", "non_aggiunti", "in_posizione"])),
    may("steps", Kind::Tables(STEP)),
    may("bearers", Kind::Word(&["intestatario", "tutti"])),
    may("completion", Kind::Word(&["intestatario", "primo", "ultimo"])),
    may("holidays", Kind::Word(&["sposta", "sposta_sabato", "non_sposta"])),
    may("rounding", Kind::Word(&["commerciale", "difetto", "eccesso", "euro"])),
    may("extra", CENTS),
    may("sanction", Kind::Word(&["omesso_versamento"])),
    may("semester", Kind::Whole(0, 1_000_000)),
    may("floor", CENTS),
    may("ceiling", CENTS),
    may("valid_from", Kind::Text),
    may("valid_until", Kind::Text),
    may("missing", Kind::Word(&["errore", "importo"])),
];
const KEYS: &[Key] = &[
    need("name", Kind::Text),
    need("title", Kind::Text),
    need("taxonomy_code", Kind::Text),
    need("communication_type", Kind::Word(&["AR_REGISTERED_LETTER", "REGISTERED_LETTER_890"])),
    need("fee_policy", Kind::Word(&["FLAT_RATE", "DELIVERY_MODE"])),
    may("pago_pa_int_mode", Kind::Word(&["NONE", "SYNC", "ASYNC"])),
    may("pa_fee", Kind::Whole(0, 100)),
    may("vat", Kind::Whole(0, 100)),
    may("subject", Kind::Text),
    need("payment", Kind::Word(&["required", "allowed", "forbidden"])),
    may("amount_rule", Kind::Table(AMOUNT_RULE)),
    may("layouts", Kind::Texts),
    may("acceptance", Kind::Word(&["good_rows", "all_or_nothing"])),
    may("unreferenced_files", Kind::Word(&["refuse", "warn"])),
    may(
        "checks",
        Kind::Table(&[
            may("notice_check_digits", CHECK_LEVEL),
            may("municipality", CHECK_LEVEL),
            may("transliterate", Kind::Flag),
            may("light_mail", Kind::Flag),
        ]),
    ),
    may(
        "sending",
        Kind::Tagged("when", &[("at_once", &[]), ("hours", &[need("from", Kind::TimeOfDay), need("to", Kind::TimeOfDay)]), ("held", &[])]),
    ),
    may("outcome_minutes", Kind::Whole(0, 10_080)),
    may("notify_within_days", Kind::Whole(1, 3_650)),
    may("guard", Kind::Table(&[may("first_acts", Kind::Whole(1, 10_000)), may("max_refused_percent", Kind::Whole(0, 100))])),
    may(
        "pagamenti",
        Kind::Table(&[
            may("verify", PAYMENT_CHECK),
            may("tolerance_cents", Kind::Whole(0, 100_000)),
            may("notify_paid_to_send", Kind::Flag),
            may("cost_place", Kind::Text),
            may("qr", PAYMENT_CHECK),
            may("keep_open_days", Kind::Whole(0, 730)),
            may("on_cancel", Kind::Word(&["lascia", "annulla"])),
        ]),
    ),
];

impl FlowDefinition {
    /// Reads a flow file; `file` is its name in the problems, and its stem must be the name of the flow.
    pub fn parse(text: &str, file: &str) -> Result<FlowDefinition, Vec<DefinitionProblem>> {
        let mut document = Document::read(text, KEYS);
        let flow: Option<FlowDefinition> = document.rest();
        let mut problems: Vec<DefinitionProblem> = Vec::new();
        let mut add = |line, key: &str, fault| problems.push(Located { file: file.to_string(), line, key: key.to_string(), fault });
        for (line, key, fault) in &document.faults {
            add(*line, key, DefinitionFault::Shape(fault.clone()));
        }
        if let Some(flow) = &flow {
            // One sentence a key is enough.
            for (key, fault) in flow.check().into_iter().filter(|(key, _)| !document.is_wrong(key)) {
                add(document.line_of(key), key, fault);
            }
            let stem = std::path::Path::new(file).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            if stem != flow.name {
                add(document.line_of("name"), "name", DefinitionFault::FileName { wanted: format!("{}.toml", flow.name) });
            }
        }
        match flow {
            Some(flow) if problems.is_empty() => Ok(flow),
            _ => {
                problems.sort_by_key(|problem| problem.line);
                Err(problems)
            }
        }
    }

    /// Everything that contradicts itself or the rules of SEND: (key, fault).
    pub fn check(&self) -> Vec<(&'static str, DefinitionFault)> {
        let mut faults = Vec::new();
        if !is_name(&self.name) {
            faults.push(("name", DefinitionFault::Name));
        } else if self.name == "prova" {
            faults.push(("name", DefinitionFault::ReservedName));
        }
        if !is_line(&self.title, 100) {
            faults.push(("title", DefinitionFault::Text { max: 100 }));
        }
        if self.subject.as_deref().is_some_and(|subject| !is_line(subject, 134)) {
            faults.push(("subject", DefinitionFault::Text { max: 134 }));
        }
        if self.layouts.iter().any(|layout| !is_line(layout, 64)) {
            faults.push(("layouts", DefinitionFault::Text { max: 64 }));
        }
        let payments = self.payment != PaymentPolicy::Forbidden;
        let code = self.taxonomy_code.as_str();
        if !is_known_taxonomy(code) {
            faults.push(("taxonomy_code", DefinitionFault::TaxonomyUnknown { found: code.chars().take(20).collect() }));
        } else if code.ends_with('P') != payments {
            faults.push(("taxonomy_code", DefinitionFault::TaxonomyAndPayment { found: code.to_string() }));
        }
        if self.fee_policy == FeePolicy::DeliveryMode {
            for (key, value) in [("pa_fee", self.pa_fee), ("vat", self.vat)] {
                if value.is_none() {
                    faults.push((key, DefinitionFault::FeeMissing));
                }
            }
        }
        match self.pago_pa_int_mode {
            None if payments => faults.push(("pago_pa_int_mode", DefinitionFault::IntModeMissing)),
            Some(PagoPaIntMode::Sync | PagoPaIntMode::Async) if !payments => {
                faults.push(("pago_pa_int_mode", DefinitionFault::IntModeUseless));
            }
            _ => {}
        }
        if let Some(Err(error)) = self.amount_rule.as_ref().map(AmountRule::check) {
            faults.push(("amount_rule", DefinitionFault::AmountRule(error)));
        }
        if let Sending::Hours { from, to } = &self.sending
            && from >= to
        {
            faults.push(("sending", DefinitionFault::Hours));
        }
        if !payments && self.payments != Payments::default() {
            faults.push(("pagamenti", DefinitionFault::PaymentsUseless));
        }
        if self.payments.cost_place.as_deref().is_some_and(|place| !is_line(place, 140)) {
            faults.push(("pagamenti.cost_place", DefinitionFault::Text { max: 140 }));
        }
        faults
    }
}

/// The files of the twelve services of the PNRR, as they are compiled in: (file, text).
pub const SHIPPED: &[(&str, &str)] = &[
    ("flows/cds.toml", include_str!("../../flows/cds.toml")),
    ("flows/extra-cds.toml", include_str!("../../flows/extra-cds.toml")),
    ("flows/tributi-pagamento.toml", include_str!("../../flows/tributi-pagamento.toml")),
    ("flows/tributi.toml", include_str!("../../flows/tributi.toml")),
    ("flows/patrimonio-pagamento.toml", include_str!("../../flows/patrimonio-pagamento.toml")),
    ("flows/patrimonio.toml", include_str!("../../flows/patrimonio.toml")),
    ("flows/scuola.toml", include_str!("../../flows/scuola.toml")),
    ("flows/anagrafe.toml", include_str!("../../flows/anagrafe.toml")),
    ("flows/suap.toml", include_str!("../../flows/suap.toml")),
    ("flows/ordinanze-pagamento.toml", include_str!("../../flows/ordinanze-pagamento.toml")),
    ("flows/ordinanze.toml", include_str!("../../flows/ordinanze.toml")),
    ("flows/coattiva.toml", include_str!("../../flows/coattiva.toml")),
];

/// The twelve flows that messo brings along. A test reads each of them, so none is ever left out.
pub fn shipped() -> Vec<FlowDefinition> {
    SHIPPED.iter().filter_map(|(file, text)| FlowDefinition::parse(text, file).ok()).collect()
}

/// `[a-z0-9-]{1,32}`: names of flows and gestionali.
pub fn is_name(name: &str) -> bool {
    (1..=32).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// Not empty, on one line, at most `max` characters.
fn is_line(text: &str, max: usize) -> bool {
    !text.trim().is_empty() && text.chars().count() <= max && !text.chars().any(char::is_control)
}

/// Whether SEND's list has the code (`reference send.md` 3, list of June 2026).
fn is_known_taxonomy(code: &str) -> bool {
    const CODES: &str = "010101P 010102P 010103N 010104N 010201P 010202N 010301P 010302N 010401N 010401P 010501N 010601N 010701P 010702N \
     010801N 010801P 010901N 011001N 011101N 020101P 020301P 020302N 020401P 020402N 020403N 020501P 020502N 020601P \
     020602N 020701P 020702N 020801N 020901N 020902N 021001N 021101N 021102N 021201N 021202N 021301N 030101P 030102N \
     030201P 030202N 030301P 030302N 030401P 030402N 030501N 030601P 040101N 040201N 040301P 040302N 040303N 040304N \
     050101P 050201N 050201P 050301N 050301P 050401P 050501N 050501P 060101P 060201P 060301P 070101P 070201P 070202N \
     070301P 070302N 070401P 070402P 080101N 080102N 080201N 080301N 080302P 090101P 100101P 100102N 100103P 100104N \
     100105P 100106N 100107N 110101P 120101P 120102P 120103P 120201P 130101P";
    CODES.split(' ').any(|known| known == code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::amount_rule::{
        AmountFacts, AmountPreset, CostBearers, CostPolicy, HolidayPolicy, Rounding, SanctionTable, WhenMissing, WhoseCompletion,
        amount_due,
    };

    const GOOD: &str = r#"name = "x"
title = "Prova"
taxonomy_code = "010101P"
communication_type = "REGISTERED_LETTER_890"
fee_policy = "DELIVERY_MODE"
pago_pa_int_mode = "SYNC"
pa_fee = 100
vat = 22
payment = "required"
"#;

    #[test]
    fn the_twelve_services_are_shipped() {
        // name, taxonomy, 890, with payment: PRODUCT's twelve kinds of act.
        let table = [
            ("cds", "010101P", true, true),
            ("extra-cds", "010102P", true, true),
            ("tributi-pagamento", "010201P", false, true),
            ("tributi", "010202N", false, false),
            ("patrimonio-pagamento", "010301P", false, true),
            ("patrimonio", "010302N", false, false),
            ("scuola", "010401P", false, true),
            ("anagrafe", "010501N", false, false),
            ("suap", "010601N", false, false),
            ("ordinanze-pagamento", "010701P", true, true),
            ("ordinanze", "010702N", true, false),
            ("coattiva", "010801P", true, true),
        ];
        for ((file, text), (name, taxonomy, registered, payments)) in SHIPPED.iter().zip(table) {
            let flow = FlowDefinition::parse(text, file).unwrap_or_else(|problems| panic!("{file}: {problems:?}"));
            assert_eq!(flow.name, name);
            assert_eq!(flow.taxonomy_code, taxonomy, "{name}");
            assert_eq!(flow.communication_type == CommunicationType::Act890, registered, "{name}");
            assert_eq!(flow.payment != PaymentPolicy::Forbidden, payments, "{name}");
            let (fees, mode) = if payments {
                ((FeePolicy::DeliveryMode, Some(100), Some(22)), PagoPaIntMode::Sync)
            } else {
                ((FeePolicy::FlatRate, None, None), PagoPaIntMode::None)
            };
            assert_eq!((flow.fee_policy, flow.pa_fee, flow.vat), fees, "{name}");
            assert_eq!(flow.pago_pa_int_mode, Some(mode), "{name}");
            assert!(flow.subject.is_some(), "{name}: Piattaforma Unitaria rows have no subject");
            // An accertamento or an ingiunzione is served whatever was paid meanwhile: SEND is not told, for it may stop the letter.
            let told = payments && !matches!(name, "tributi-pagamento" | "ordinanze-pagamento" | "coattiva");
            assert_eq!(flow.payments, Payments { notify_paid_to_send: told, ..Payments::default() }, "{name}");
        }
        assert_eq!(shipped().len(), 12);
    }

    #[test]
    fn every_contradiction_is_found_with_its_line() {
        let table: &[(&str, &str, u32, &str)] = &[
            ("name = \"x\"", "name = \"X\"", 1, "NOME_NON_VALIDO"),
            ("name = \"x\"", "name = \"y\"", 1, "NOME_E_FILE_DIVERSI"),
            ("title = \"Prova\"", "title = \" \"", 2, "TESTO_NON_VALIDO"),
            ("010101P", "010199P", 3, "TASSONOMIA_SCONOSCIUTA"),
            ("010101P", "010202N", 3, "TASSONOMIA_E_PAGAMENTO"),
            ("REGISTERED_LETTER_890", "RACCOMANDATA", 4, "PAROLA_NON_AMMESSA"),
            ("pa_fee = 100\n", "", 1, "POLITICA_COSTI_INCOMPLETA"),
            ("vat = 22\n", "", 1, "POLITICA_COSTI_INCOMPLETA"),
            ("vat = 22", "vat = 101", 8, "NUMERO_FUORI_LIMITE"),
            ("pago_pa_int_mode = \"SYNC\"\n", "", 1, "MODALITA_PAGOPA_MANCANTE"),
            ("payment = \"required\"", "payment = \"required\"\nsubject = \"a\\nb\"", 10, "TESTO_NON_VALIDO"),
            (
                "payment = \"required\"",
                "payment = \"required\"\nsending = { when = \"hours\", from = \"18:00\", to = \"08:00\" }",
                10,
                "FASCIA_ORARIA_NON_VALIDA",
            ),
            ("payment = \"required\"", "payment = \"required\"\n[guard]\nfirst_acts = 0", 11, "NUMERO_FUORI_LIMITE"),
            (
                "payment = \"required\"",
                "payment = \"required\"\n[amount_rule]\nbase = 1\ncosts = \"aggiunti\"\nsteps = []",
                10,
                "REGOLA_IMPORTO_NON_VALIDA",
            ),
            ("payment = \"required\"", "payment = \"required\"\nstep = 1", 10, "CHIAVE_SCONOSCIUTA"),
            ("payment = \"required\"", "payment = \"required\"\n[pagamenti]\nverify = \"maybe\"", 11, "PAROLA_NON_AMMESSA"),
            ("payment = \"required\"", "payment = \"required\"\n[pagamenti]\ntolerance_cents = -1", 11, "NUMERO_FUORI_LIMITE"),
            ("payment = \"required\"", "payment = \"required\"\n[pagamenti]\ncost_place = \"\"", 11, "TESTO_NON_VALIDO"),
            ("payment = \"required\"", "payment = \"required\"\n[pagamenti]\nverifica = \"warn\"", 11, "CHIAVE_SCONOSCIUTA"),
            ("payment = \"required\"", "payment = \"forbidden\"\n[pagamenti]\nverify = \"warn\"", 10, "PAGAMENTI_INCOERENTI"),
        ];
        assert!(FlowDefinition::parse(GOOD, "x.toml").is_ok());
        for (from, to, line, code) in table {
            let text = GOOD.replacen(from, to, 1);
            assert_ne!(text, GOOD, "{from}");
            let problems = FlowDefinition::parse(&text, "x.toml").unwrap_err();
            let got: Vec<_> = problems.iter().map(|problem| (problem.line, problem.fault.code())).collect();
            assert!(got.contains(&(*line, code)), "{to}: {got:?}");
        }
    }

    #[test]
    fn a_subject_may_have_134_characters_and_no_more() {
        for (length, good) in [(134, true), (135, false)] {
            let text = format!("{GOOD}subject = \"{}\"\n", "è".repeat(length));
            assert_eq!(FlowDefinition::parse(&text, "x.toml").is_ok(), good, "{length}");
        }
    }

    #[test]
    fn every_key_of_the_struct_is_listed_and_read() {
        let text = format!(
            "{GOOD}layouts = [\"messo_xml\"]\nacceptance = \"all_or_nothing\"\nunreferenced_files = \"warn\"\noutcome_minutes = 5\n\
             notify_within_days = 90\nsubject = \"Verbale\"\nsending = {{ when = \"hours\", from = \"08:00\", to = \"18:30\" }}\n\
             [amount_rule]\nbase = 4200\ncosts = \"aggiunti\"\nsteps = [{{ from = \"perfezionamento\", days = 5, due = {{ percent = 7000 }} }}, \
             {{ from = \"perfezionamento\", due = {{ fixed = 8400 }} }}]\n[checks]\nnotice_check_digits = \"refuse\"\nmunicipality = \"off\"\n\
             transliterate = false\nlight_mail = true\n[guard]\nfirst_acts = 5\nmax_refused_percent = 0\n\
             [pagamenti]\nverify = \"warn\"\ntolerance_cents = 5\nnotify_paid_to_send = true\ncost_place = \"3.02\"\nqr = \"ignore\"\nkeep_open_days = 0\non_cancel = \"annulla\"\n"
        );
        let flow = FlowDefinition::parse(&text, "x.toml").unwrap();
        // Whatever the struct would write is a key that the list knows: nothing was forgotten in either.
        let written = serde_json::to_value(&flow).unwrap();
        let listed: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
        let mut written: Vec<&str> = written.as_object().unwrap().keys().map(String::as_str).collect();
        let mut listed = listed;
        written.sort();
        listed.sort();
        assert_eq!(written, listed);
        assert_eq!(flow.guard, MoneyGuard { first_acts: 5, max_refused_percent: 0 });
        assert_eq!(flow.amount_rule.unwrap().steps.len(), 2);
        let payments = Payments {
            verify: PaymentCheck::Warn,
            tolerance_cents: 5,
            notify_paid_to_send: true,
            cost_place: Some("3.02".into()),
            qr: PaymentCheck::Ignore,
            keep_open_days: 0,
            on_cancel: OnCancel::Cancel,
        };
        assert_eq!(flow.payments, payments);
    }

    #[test]
    fn every_key_of_an_amount_rule_is_listed_and_read() {
        let rule = "preset = \"cds\"\nbase = 1\ncosts = \"aggiunti\"\nbearers = \"tutti\"\ncompletion = \"primo\"\nholidays = \"sposta_sabato\"\n\
                    rounding = \"euro\"\nextra = 1\nsanction = \"omesso_versamento\"\nsemester = 1000\nfloor = 1\nceiling = 2\n\
                    valid_from = \"2024-09-01\"\nvalid_until = \"2026-12-31\"\nmissing = \"importo\"\n\
                    steps = [{ from = \"perfezionamento\", days = 5, due = { percent = 7000 }, of = \"minimo\", summer = true, \
                    charge = { percent = 300, cap = 30000 } }, { from = \"esecutivita\", due = { fixed = 1 } }]";
        let flow = FlowDefinition::parse(&format!("{GOOD}[amount_rule]\n{rule}\n"), "x.toml").unwrap();
        let written = serde_json::to_value(flow.amount_rule.unwrap()).unwrap();
        let names = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<std::collections::BTreeSet<_>>();
        let listed = |keys: &[Key]| keys.iter().map(|key| key.name.to_owned()).collect::<std::collections::BTreeSet<_>>();
        assert_eq!((names(&written), names(&written["steps"][0])), (listed(AMOUNT_RULE), listed(STEP)));
        let words: [(&str, &[&str]); 8] = [
            ("preset", &AmountPreset::ALL.iter().map(|word| word.as_str()).collect::<Vec<_>>()),
            ("costs", &CostPolicy::ALL.iter().map(|word| word.as_str()).collect::<Vec<_>>()),
            ("bearers", &CostBearers::ALL.iter().map(|word| word.as_str()).collect::<Vec<_>>()),
            ("completion", &WhoseCompletion::ALL.iter().map(|word| word.as_str()).collect::<Vec<_>>()),
            ("holidays", &HolidayPolicy::ALL.iter().map(|word| word.as_str()).collect::<Vec<_>>()),
            ("rounding", &Rounding::ALL.iter().map(|word| word.as_str()).collect::<Vec<_>>()),
            ("sanction", &SanctionTable::ALL.iter().map(|word| word.as_str()).collect::<Vec<_>>()),
            ("missing", &WhenMissing::ALL.iter().map(|word| word.as_str()).collect::<Vec<_>>()),
        ];
        for (name, all) in words {
            let listed = AMOUNT_RULE.iter().find_map(|key| match &key.kind {
                Kind::Word(words) if key.name == name => Some(*words),
                _ => None,
            });
            assert_eq!(listed, Some(all), "{name}");
        }
        for half in ["base = 1", "costs = \"aggiunti\"", "steps = [{ from = \"perfezionamento\", due = { percent = 7000 } }]"] {
            let problems = FlowDefinition::parse(&format!("{GOOD}[amount_rule]\n{half}\n"), "x.toml").unwrap_err();
            assert_eq!(problems[0].fault, DefinitionFault::AmountRule(AmountRuleError::Empty), "{half}");
        }
    }

    #[test]
    fn shipped_rules_leave_rows_as_they_were() {
        for flow in shipped() {
            let Some(rule) = &flow.amount_rule else { continue };
            // Ready-made, and never a reason not to ask for the row's amount.
            assert!(rule.preset.is_some() && rule.missing == WhenMissing::Flat, "{}", flow.name);
            let facts = AmountFacts { amount: Some(crate::domain::money::Cents(5_432)), ..AmountFacts::default() };
            let due = amount_due(rule, &facts, jiff::civil::date(2026, 11, 23)).unwrap().due;
            assert_eq!(due.get(), 5_432, "{}", flow.name);
        }
    }
}

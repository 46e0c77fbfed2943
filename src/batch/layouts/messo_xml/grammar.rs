//! The grammar of messo XML 1.0: `schemas/messo-lotto-1.0.xsd` as tables. `tests/xsd_agreement.rs` holds the two together.

use crate::batch::layouts::draft::{MAX_DOCUMENTS, MAX_ECHO, MAX_PAYMENTS, MAX_RECIPIENTS, MAX_STEPS, Slot};
use crate::batch::problem::Code;

/// The namespace of messo XML 1.0.
pub const NAMESPACE: &str = "urn:messo:lotto:1.0";

/// An element that holds elements.
#[derive(Debug)]
pub struct Group {
    pub kind: Kind,
    /// Name that findings about the element itself carry (no field of an act has a `/` in its name).
    pub path: &'static str,
    pub children: &'static [Child],
    /// Children in any order, each as often as it likes up to this many together; otherwise in the order listed.
    pub any_of: Option<usize>,
}

/// What reading has to do when a group begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Batch,
    Header,
    Act,
    Recipient,
    Address,
    Notice,
    F24,
    Document,
    Rule,
    Step,
    Echo,
    Plain,
}

/// One child of a group.
#[derive(Debug)]
pub struct Child {
    pub name: &'static str,
    pub what: What,
    /// It must be there.
    pub required: bool,
    /// It must not be empty (always so when required).
    pub filled: bool,
    pub max: usize,
    /// Said of one too many.
    pub too_many: Code,
}

/// What an element holds.
#[derive(Debug)]
pub enum What {
    /// The value of a field. `exact`: blanks inside are kept (the file names and references of others), not collapsed.
    Value {
        slot: Slot,
        exact: bool,
    },
    /// A value of the batch's header.
    Header(HeaderSlot),
    /// Text that is not read: what an earlier reject said.
    Ignored,
    Group(&'static Group),
}

/// Values of the batch's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderSlot {
    Sender,
    Flow,
    Reference,
    Count,
}

const fn child(name: &'static str, what: What, required: bool) -> Child {
    Child { name, what, required, filled: required, max: 1, too_many: Code::FieldTwice }
}
const fn must(name: &'static str, slot: Slot) -> Child {
    child(name, What::Value { slot, exact: false }, true)
}
const fn may(name: &'static str, slot: Slot) -> Child {
    child(name, What::Value { slot, exact: false }, false)
}
const fn exact(name: &'static str, slot: Slot, required: bool) -> Child {
    child(name, What::Value { slot, exact: true }, required)
}
/// One of a choice: present or not, but never empty.
const fn either(name: &'static str, slot: Slot) -> Child {
    Child { filled: true, ..may(name, slot) }
}
const fn group(name: &'static str, group: &'static Group, required: bool) -> Child {
    child(name, What::Group(group), required)
}
const fn many(name: &'static str, of: &'static Group, max: usize, too_many: Code) -> Child {
    Child { name, what: What::Group(of), required: false, filled: false, max, too_many }
}
const fn list(kind: Kind, path: &'static str, children: &'static [Child]) -> Group {
    Group { kind, path, children, any_of: None }
}

/// `lotto`
pub static BATCH: Group = list(
    Kind::Batch,
    "/lotto",
    &[group("intestazione", &HEADER, true), Child { required: true, ..many("atto", &ACT, usize::MAX, Code::FieldTwice) }],
);

static HEADER: Group = list(
    Kind::Header,
    "/lotto/intestazione",
    &[
        child("ente", What::Header(HeaderSlot::Sender), true),
        child("flusso", What::Header(HeaderSlot::Flow), false),
        child("riferimento", What::Header(HeaderSlot::Reference), false),
        child("numeroAtti", What::Header(HeaderSlot::Count), false),
    ],
);

static ACT: Group = list(
    Kind::Act,
    "/atto",
    &[
        exact("riferimento", Slot::Reference, true),
        may("azione", Slot::Action),
        may("ente", Slot::Sender),
        exact("protocollo", Slot::Protocol, false),
        may("oggetto", Slot::Subject),
        may("descrizione", Slot::Abstract),
        may("tassonomia", Slot::Taxonomy),
        may("tipoComunicazione", Slot::Communication),
        may("politicaCosti", Slot::FeePolicy),
        may("costoEnte", Slot::PaFee),
        may("iva", Slot::Vat),
        may("modalitaPagopa", Slot::IntMode),
        may("importo", Slot::Amount),
        may("scadenzaPagamento", Slot::Expiration),
        may("gruppo", Slot::Group),
        may("lingua", Slot::Language),
        may("denominazioneEnte", Slot::SenderName),
        may("iunAnnullato", Slot::CancelledIun),
        may("termineNotifica", Slot::NotifyBy),
        may("forza", Slot::Force),
        may("sospensioneDal", Slot::StoppedFrom),
        may("sospensioneAl", Slot::StoppedUntil),
        group("destinatari", &RECIPIENTS, false),
        group("documenti", &DOCUMENTS, false),
        group("regolaImporto", &RULE, false),
        group("posizione", &POSITION, false),
        group("eco", &ECHO, false),
        many("scarto", &REJECT, usize::MAX, Code::FieldTwice),
    ],
);

static RECIPIENTS: Group = list(Kind::Plain, "/destinatari", &[many("destinatario", &RECIPIENT, MAX_RECIPIENTS, Code::RecipientsTooMany)]);

static RECIPIENT: Group = list(
    Kind::Recipient,
    "/destinatario",
    &[
        must("tipo", Slot::Kind),
        must("codiceFiscale", Slot::TaxId),
        must("denominazione", Slot::Denomination),
        may("pec", Slot::Pec),
        group("indirizzo", &ADDRESS, false),
        group("pagamenti", &PAYMENTS, false),
    ],
);

static ADDRESS: Group = list(
    Kind::Address,
    "/indirizzo",
    &[
        may("presso", Slot::At),
        must("via", Slot::Address),
        may("dettagli", Slot::AddressDetails),
        may("cap", Slot::Zip),
        must("comune", Slot::Municipality),
        may("frazione", Slot::MunicipalityDetails),
        may("provincia", Slot::Province),
        may("statoEstero", Slot::ForeignState),
    ],
);

static PAYMENTS: Group = Group {
    kind: Kind::Plain,
    path: "/pagamenti",
    children: &[many("avviso", &NOTICE, MAX_PAYMENTS, Code::PaymentsTooMany), many("f24", &F24, MAX_PAYMENTS, Code::PaymentsTooMany)],
    any_of: Some(MAX_PAYMENTS),
};

static NOTICE: Group = list(
    Kind::Notice,
    "/avviso",
    &[
        must("numero", Slot::Notice),
        must("creditore", Slot::NoticeCreditor),
        must("applicaCosti", Slot::NoticeCost),
        group("allegato", &ATTACHMENT, false),
        may("posizioneId", Slot::NoticePosition),
    ],
);

static ATTACHMENT: Group = list(Kind::Plain, "/allegato", &[exact("file", Slot::NoticeFile, true), may("sha256", Slot::NoticeSha)]);

static F24: Group =
    list(Kind::F24, "/f24", &[must("titolo", Slot::F24Title), must("applicaCosti", Slot::F24Cost), group("metadati", &METADATA, true)]);

static METADATA: Group = list(Kind::Plain, "/metadati", &[exact("file", Slot::F24File, true), may("sha256", Slot::F24Sha)]);

static DOCUMENTS: Group = list(Kind::Plain, "/documenti", &[many("documento", &DOCUMENT, MAX_DOCUMENTS, Code::DocumentsTooMany)]);

static DOCUMENT: Group = list(
    Kind::Document,
    "/documento",
    &[
        exact("file", Slot::Document, true),
        may("titolo", Slot::DocumentTitle),
        may("sha256", Slot::DocumentSha),
        may("condiviso", Slot::DocumentShared),
    ],
);

static RULE: Group = list(
    Kind::Rule,
    "/regolaImporto",
    &[
        // Without a ready-made rule, base, costs and steps are required: the draft says so, for every layout.
        either("preset", Slot::RulePreset),
        either("base", Slot::RuleBase),
        either("costi", Slot::RuleCosts),
        may("costiDi", Slot::RuleBearers),
        may("perfezionamento", Slot::RuleCompletion),
        may("festivi", Slot::RuleHolidays),
        may("arrotondamento", Slot::RuleRounding),
        may("spese", Slot::RuleExtra),
        may("sanzione", Slot::RuleSanction),
        may("semestre", Slot::RuleSemester),
        may("nonMenoDi", Slot::RuleFloor),
        may("nonPiuDi", Slot::RuleCeiling),
        may("validaDal", Slot::RuleValidFrom),
        may("validaAl", Slot::RuleValidUntil),
        many("passo", &STEP, MAX_STEPS, Code::AmountRuleInvalid),
    ],
);

static STEP: Group = list(
    Kind::Step,
    "/passo",
    &[
        must("da", Slot::StepFrom),
        may("giorni", Slot::StepDays),
        either("percento", Slot::StepPercent),
        either("importo", Slot::StepAmount),
        may("di", Slot::StepOf),
        may("onere", Slot::StepCharge),
        may("onereMassimo", Slot::StepCap),
        may("feriale", Slot::StepSummer),
    ],
);

static POSITION: Group = list(
    Kind::Plain,
    "/posizione",
    &[
        may("id", Slot::PositionId),
        may("tipoDovuto", Slot::DueType),
        may("causale", Slot::Remittance),
        may("bilancio", Slot::Balance),
        may("importoMinimo", Slot::Minimum),
        may("importoMassimo", Slot::Maximum),
        may("dataViolazione", Slot::ViolationDate),
        may("dataAccertamento", Slot::AssessmentDate),
        may("dataContestazione", Slot::ContestationDate),
        may("gruppoAvvisi", Slot::NoticeGroup),
    ],
);

static ECHO: Group = list(Kind::Plain, "/eco", &[many("campo", &ECHO_FIELD, MAX_ECHO, Code::EchoTooMany)]);

static ECHO_FIELD: Group = list(Kind::Echo, "/campo", &[must("nome", Slot::EchoName), exact("valore", Slot::Echo, false)]);

static REJECT: Group = list(Kind::Plain, "/scarto", &[child("codice", What::Ignored, false), child("motivo", What::Ignored, false)]);

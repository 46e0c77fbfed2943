//! The names of an act's fields as messo CSV 1.0 spells them: the one vocabulary in which rules point at a field.
//!
//! A layout translates a [`Field`] to its own column or XPath, so a rule is written once for all layouts.

/// A place in an act: `name`, for the recipient and the numbered item (payment, document, step, ...) it belongs to, both from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Field {
    pub name: &'static str,
    pub recipient: Option<usize>,
    pub item: Option<usize>,
}

impl Field {
    /// A field of the act itself.
    pub const fn act(name: &'static str) -> Field {
        Field { name, recipient: None, item: None }
    }
    /// A field of a recipient.
    pub const fn of(name: &'static str, recipient: usize) -> Field {
        Field { name, recipient: Some(recipient), item: None }
    }
    /// A numbered field of the act (documents, echo fields, steps).
    pub const fn nth(name: &'static str, item: usize) -> Field {
        Field { name, recipient: None, item: Some(item) }
    }
    /// A numbered field of a recipient (payments).
    pub const fn of_nth(name: &'static str, recipient: usize, item: usize) -> Field {
        Field { name, recipient: Some(recipient), item: Some(item) }
    }
}

macro_rules! names {
    ($($const:ident = $name:literal),+ $(,)?) => {
        $(#[doc = concat!("`", $name, "`")] pub const $const: &str = $name;)+
        /// Every field name.
        pub const ALL: &[&str] = &[$($name),+];
    };
}

names! {
    // the act
    REFERENCE = "riferimento", ACTION = "azione", SENDER = "ente", PROTOCOL = "protocollo", SUBJECT = "oggetto", ABSTRACT = "descrizione",
    TAXONOMY = "tassonomia", COMMUNICATION = "tipo_comunicazione", FEE_POLICY = "politica_costi", PA_FEE = "costo_ente", VAT = "iva",
    INT_MODE = "modalita_pagopa", AMOUNT = "importo", EXPIRATION = "scadenza_pagamento", GROUP = "gruppo", LANGUAGE = "lingua",
    SENDER_NAME = "denominazione_ente", CANCELLED_IUN = "iun_annullato", NOTIFY_BY = "termine_notifica", FORCE = "forza",
    STOPPED_FROM = "sospensione_dal", STOPPED_UNTIL = "sospensione_al",
    // the recipient
    RECIPIENT_TYPE = "tipo_destinatario", TAX_ID = "codice_fiscale", DENOMINATION = "denominazione", PEC = "pec", AT = "presso",
    ADDRESS = "indirizzo", ADDRESS_DETAILS = "dettagli_indirizzo", ZIP = "cap", MUNICIPALITY = "comune",
    MUNICIPALITY_DETAILS = "frazione", PROVINCE = "provincia", FOREIGN_STATE = "stato_estero",
    // numbered, of the recipient
    NOTICE = "avviso_numero", NOTICE_CREDITOR = "avviso_creditore", NOTICE_COST = "avviso_applica_costi", NOTICE_FILE = "avviso_file",
    NOTICE_SHA = "avviso_sha256", NOTICE_POSITION = "avviso_posizione_id", F24_TITLE = "f24_titolo", F24_COST = "f24_applica_costi", F24_FILE = "f24_file", F24_SHA = "f24_sha256",
    // numbered, of the act
    DOCUMENT = "documento_file", DOCUMENT_TITLE = "documento_titolo", DOCUMENT_SHA = "documento_sha256", DOCUMENT_SHARED = "documento_condiviso",
    ECHO_NAME = "eco_nome", ECHO = "eco",
    // amount rule
    RULE_BASE = "regola_base", RULE_COSTS = "regola_costi", STEP_FROM = "regola_da", STEP_DAYS = "regola_giorni",
    STEP_PERCENT = "regola_percento", STEP_AMOUNT = "regola_importo", STEP_OF = "regola_di", STEP_CHARGE = "regola_onere",
    STEP_CAP = "regola_onere_massimo", STEP_SUMMER = "regola_feriale",
    RULE_PRESET = "regola_preset", RULE_COMPLETION = "regola_perfezionamento", RULE_BEARERS = "regola_costi_di",
    RULE_HOLIDAYS = "regola_festivi", RULE_ROUNDING = "regola_arrotondamento", RULE_EXTRA = "regola_spese",
    RULE_SANCTION = "regola_sanzione", RULE_SEMESTER = "regola_semestre", RULE_FLOOR = "regola_non_meno_di",
    RULE_CEILING = "regola_non_piu_di", RULE_VALID_FROM = "regola_valida_dal", RULE_VALID_UNTIL = "regola_valida_al",
    // position
    POSITION_ID = "posizione_id", DUE_TYPE = "tipo_dovuto", REMITTANCE = "causale", BALANCE = "bilancio", MINIMUM = "importo_minimo",
    MAXIMUM = "importo_massimo", VIOLATION_DATE = "data_violazione", ASSESSMENT_DATE = "data_accertamento",
    CONTESTATION_DATE = "data_contestazione", NOTICE_GROUP = "gruppo_avvisi",
}

//! `flows/*.toml`: one kind of act each. The file picks among steps that exist; Rust decides what is legal.

use jiff::civil::Time;
use serde::{Deserialize, Serialize};

use crate::domain::act::{CommunicationType, FeePolicy, PagoPaIntMode};
use crate::domain::amount_rule::AmountRule;

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

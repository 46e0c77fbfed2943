//! The act as the business talks about it: what a row of any layout becomes, before and after it is checked.
//!
//! Texts are kept as the gestionale wrote them (trimmed); `batch::validate` says whether SEND will take them. Every field
//! that a SEND v2.5 request can carry is here (OpenAPI `NewNotificationRequestV25`), with the same English name.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::amount_rule::{AmountRule, StatedRule};
use super::digest::Sha256;
use super::money::Cents;

macro_rules! vocabulary {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $word)] $variant),+ }

        impl $name {
            /// Every value, in the order of the specification.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The word used in files and APIs.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word),+ }
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl std::str::FromStr for $name {
            type Err = ();
            /// Letter case is ignored.
            fn from_str(text: &str) -> Result<Self, ()> {
                $name::ALL.iter().copied().find(|value| value.as_str().eq_ignore_ascii_case(text)).ok_or(())
            }
        }
    };
}
pub(crate) use vocabulary;

vocabulary!(
    /// What the gestionale wants done with the act.
    Action {
        /// Notify it.
        Insert = "inserisci",
        /// Change it, only while nothing reached SEND.
        Modify = "modifica",
        /// Cancel, wait for the cancellation, send anew.
        Replace = "sostituisci",
        /// Cancel it.
        Cancel = "annulla",
        /// The days in which it can be paid stand still (appeal).
        Suspend = "sospendi",
        /// They count again.
        Resume = "riprendi",
    }
);

impl Action {
    /// Whether it speaks of an act already known, by its reference alone: whatever else the row holds is ignored.
    #[must_use]
    pub fn is_bare(self) -> bool {
        matches!(self, Action::Cancel | Action::Suspend | Action::Resume)
    }
}

vocabulary!(
    /// Who bears the cost of notification (`notificationFeePolicy`).
    FeePolicy { FlatRate = "FLAT_RATE", DeliveryMode = "DELIVERY_MODE" }
);
vocabulary!(
    /// The registered letter used on paper (`physicalCommunicationType`). 890 where the law wants service of the act (L. 890/1982).
    CommunicationType { Ar = "AR_REGISTERED_LETTER", Act890 = "REGISTERED_LETTER_890" }
);
vocabulary!(
    /// Who adds SEND's cost to the debt position (`pagoPaIntMode`).
    PagoPaIntMode { None = "NONE", Sync = "SYNC", Async = "ASYNC" }
);
vocabulary!(
    /// A second language beside Italian (`additionalLanguages`; `SL` as the code of SEND has it).
    Language { De = "DE", Sl = "SL", Fr = "FR" }
);
vocabulary!(
    /// Natural or legal person (`recipientType`). Sole traders are PF.
    RecipientType { Pf = "PF", Pg = "PG" }
);

/// One act to be notified (or an order about one already known).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Act {
    /// Tax id of the ente that sends (`senderTaxId`, 11 digits).
    pub sender_tax_id: String,
    /// The gestionale's own reference, unique for ever per (ente, gestionale). 1..=128 characters.
    pub reference: String,
    pub action: Action,
    /// `paProtocolNumber`. May be absent on arrival; never when the request is POSTed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    #[serde(rename = "abstract", default, skip_serializing_if = "Option::is_none")]
    pub abstract_text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taxonomy_code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub communication_type: Option<CommunicationType>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fee_policy: Option<FeePolicy>,
    /// Euro cents, 0..=100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pa_fee: Option<u32>,
    /// Percent, 0..=100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vat: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pago_pa_int_mode: Option<PagoPaIntMode>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Cents>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_expiration_date: Option<Date>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub additional_language: Option<Language>,
    /// `senderDenomination`, when the row repeats it; otherwise the ente's from the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender_denomination: Option<String>,
    /// IUN of an earlier act that this one replaces: stored and echoed by SEND, nothing more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled_iun: Option<String>,
    pub recipients: Vec<Recipient>,
    pub documents: Vec<FileRef>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_rule: Option<AmountRule>,
    /// The same as the row states it, until it is laid over that of the flow ([`StatedRule::over`]): never stored.
    #[serde(skip)]
    pub stated_rule: Option<Box<StatedRule>>,
    /// What a payment partner needs to rewrite the position.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<PositionData>,
    /// Last day for the act to be notified (term of the law or of the office).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify_by: Option<Date>,
    /// Reason to serve it although protocol, or document and recipient, are those of a live act.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<String>,
    /// Of [`Action::Suspend`] and [`Action::Resume`]: first and last day that do not count, as far as the row says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_from: Option<Date>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_until: Option<Date>,
    /// Up to ten fields given back in every esito: (name, value), in the order they came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub echo: Vec<(String, String)>,
}

/// One person or body to be notified.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recipient {
    pub recipient_type: RecipientType,
    pub tax_id: String,
    pub denomination: String,
    /// PEC address (`digitalDomicile`, type PEC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pec: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<PhysicalAddress>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub payments: Vec<Payment>,
}

/// A postal address, field by field as in `NotificationPhysicalAddress`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PhysicalAddress {
    /// "presso".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    pub address: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address_details: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zip: Option<String>,
    pub municipality: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub municipality_details: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub province: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreign_state: Option<String>,
}

/// One item of `payments[]`: exactly one of the two here (an item with both is two rows of ours).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Payment {
    PagoPa {
        /// 18 digits.
        notice_code: String,
        /// 11 digits.
        creditor_tax_id: String,
        apply_cost: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attachment: Option<FileRef>,
        /// The PT's own id of the position of this notice alone ([`PositionData::position_id`] is of the act).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        position_id: Option<String>,
    },
    F24 {
        title: String,
        apply_cost: bool,
        metadata: FileRef,
    },
}

/// A file of the drop, named as the row names it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileRef {
    /// Name inside the archive, with `/`.
    pub file: String,
    /// `title` of a document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The digest that the row gives, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_sha256: Option<Sha256>,
    /// Declared to serve several acts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared: bool,
    /// The archive entry that holds it and its digest, once found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<StoredFile>,
}

/// Where a file's bytes are: an entry of the kept archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFile {
    /// Index of the entry in the archive's central directory.
    pub entry: u32,
    pub sha256: Sha256,
    /// Bytes, uncompressed.
    pub size: u64,
}

/// What a partner tecnologico needs to rewrite the position behind the notice. All optional, used by the payment flow.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PositionData {
    /// IUPD, IUD or idPendenza. With more than one notice only a PT that ties notices to it can be asked by it
    /// ([`super::position::Capabilities::ties_position_id`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remittance_information: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balance: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum: Option<Cents>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum: Option<Cents>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub violation_date: Option<Date>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assessment_date: Option<Date>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contestation_date: Option<Date>,
    /// Notices that are alternatives of one debt carry the same group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notice_group: Option<String>,
}

impl Act {
    /// Every file that the act names: documents, then payment attachments and F24 metadata by recipient.
    pub fn files(&self) -> impl Iterator<Item = &FileRef> {
        self.documents.iter().chain(self.recipients.iter().flat_map(|recipient| recipient.payments.iter()).filter_map(Payment::file))
    }

    /// The same, to fill in where each is stored.
    pub fn files_mut(&mut self) -> impl Iterator<Item = &mut FileRef> {
        let payments = self.recipients.iter_mut().flat_map(|recipient| recipient.payments.iter_mut());
        self.documents.iter_mut().chain(payments.filter_map(Payment::file_mut))
    }

    /// Every pagoPA notice: (recipient index, creditor, notice code).
    pub fn notices(&self) -> impl Iterator<Item = (usize, &str, &str)> {
        self.recipients.iter().enumerate().flat_map(|(index, recipient)| {
            recipient.payments.iter().filter_map(move |payment| match payment {
                Payment::PagoPa { notice_code, creditor_tax_id, .. } => Some((index, creditor_tax_id.as_str(), notice_code.as_str())),
                Payment::F24 { .. } => None,
            })
        })
    }

    /// What the act says of the position of a notice: with the notice's own id, else with that of the act when it has no other notice.
    pub fn position_of(&self, creditor: &str, notice: &str) -> PositionData {
        let mut data = self.position.clone().unwrap_or_default();
        let payments = self.recipients.iter().flat_map(|recipient| &recipient.payments);
        let own = payments.filter_map(|payment| match payment {
            Payment::PagoPa { notice_code, creditor_tax_id, position_id, .. } if notice_code == notice && creditor_tax_id == creditor => {
                position_id.clone()
            }
            _ => None,
        });
        let alone = || self.notices().all(|(_, its_creditor, its_code)| (its_creditor, its_code) == (creditor, notice));
        let of_act = data.position_id.take();
        data.position_id = own.into_iter().next().or_else(|| of_act.filter(|_| alone()));
        data
    }

    /// The digest of what would be served: equal for the same act dropped twice, whatever file and row it came from.
    ///
    /// Where the bytes lie (entry numbers) and the names of files do not count; their digests do.
    pub fn content_digest(&self) -> Sha256 {
        let mut plain = self.clone();
        for file in plain.files_mut() {
            if let Some(stored) = &mut file.stored {
                file.given_sha256 = Some(stored.sha256);
                file.file = String::new();
            }
            file.stored = None;
            file.shared = false;
        }
        plain.force = None;
        Sha256::of(&serde_json::to_vec(&plain).unwrap_or_default())
    }
}

impl Payment {
    /// The attachment or the F24 metadata.
    pub fn file(&self) -> Option<&FileRef> {
        match self {
            Payment::PagoPa { attachment, .. } => attachment.as_ref(),
            Payment::F24 { metadata, .. } => Some(metadata),
        }
    }

    fn file_mut(&mut self) -> Option<&mut FileRef> {
        match self {
            Payment::PagoPa { attachment, .. } => attachment.as_mut(),
            Payment::F24 { metadata, .. } => Some(metadata),
        }
    }
}

impl FileRef {
    /// A file named by a row, nothing else known yet.
    pub fn named(file: impl Into<String>) -> FileRef {
        FileRef { file: file.into(), title: None, given_sha256: None, shared: false, stored: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_an_act_is_that_of_its_only_notice() {
        const CREDITOR: &str = "01234567897";
        let act = |notices: &[(&str, Option<&str>)], of_act: Option<&str>| -> Act {
            let payment = |(code, id): &(&str, Option<&str>)| serde_json::json!({ "kind": "pagopa", "notice_code": code, "creditor_tax_id": CREDITOR, "apply_cost": true, "position_id": id });
            let recipients: Vec<_> = notices
                .iter()
                .map(|one| serde_json::json!({ "recipient_type": "PF", "tax_id": "", "denomination": "", "payments": [payment(one)] }))
                .collect();
            let position = serde_json::json!({ "position_id": of_act, "due_type": "CDS" });
            serde_json::from_value(serde_json::json!({ "sender_tax_id": CREDITOR, "reference": "V-1", "action": "inserisci", "documents": [], "recipients": recipients, "position": position })).unwrap()
        };
        type Case<'a> = (&'a [(&'a str, Option<&'a str>)], Option<&'a str>, &'a str, Option<&'a str>);
        let table: [Case<'_>; 8] = [
            (&[("A", None)], Some("I"), "A", Some("I")),
            (&[("A", Some("IA"))], Some("I"), "A", Some("IA")),
            (&[("A", None)], None, "A", None),
            // One notice on two recipients is one.
            (&[("A", None), ("A", None)], Some("I"), "A", Some("I")),
            (&[("A", None), ("B", None)], Some("I"), "A", None),
            (&[("A", Some("IA")), ("B", None)], Some("I"), "B", None),
            (&[("A", Some("IA")), ("B", Some("IB"))], Some("I"), "B", Some("IB")),
            (&[("A", Some("IA")), ("B", Some("IB"))], None, "A", Some("IA")),
        ];
        for (notices, of_act, asked, want) in table {
            let data = act(notices, of_act).position_of(CREDITOR, asked);
            assert_eq!(data.position_id.as_deref(), want, "{asked} of {notices:?}, act {of_act:?}");
            assert_eq!(data.due_type.as_deref(), Some("CDS"), "the rest is of all of them");
        }
    }
}

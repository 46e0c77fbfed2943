//! An act under construction: what XML elements and CSV cells fill in, one field at a time.
//!
//! The two ways of writing a value (schema types in XML, Italian office habits in CSV) are [`Dialect`]s; where a value goes
//! and how long it may be is the same for all. A value that cannot be read leaves a finding and no value, or the value cut
//! at its limit: the act is refused anyway, and the other rules still see something sensible.

pub mod finish;

use jiff::civil::Date;

use crate::batch::fields::{self, Field};
use crate::batch::problem::{Code, Finding};
use crate::domain::act::{Act, Action, PhysicalAddress, PositionData, RecipientType};
use crate::domain::amount_rule::{
    AmountPreset, CostBearers, CostPolicy, FromEvent, HolidayPolicy, PercentOf, Rounding, SanctionTable, StatedRule, WhoseCompletion,
};
use crate::domain::digest::Sha256;
use crate::domain::money::Cents;

/// Findings kept of one act: enough to correct it, few enough to stay small.
const MAX_FINDINGS: usize = 100;
/// Recipients of an act (`send.md` 3).
pub const MAX_RECIPIENTS: usize = 15;
/// Documents of an act (`send.md` 3).
pub const MAX_DOCUMENTS: usize = 15;
/// Payments of a recipient.
pub const MAX_PAYMENTS: usize = 50;
/// Steps of an amount rule.
pub const MAX_STEPS: usize = 20;
/// Echo fields of an act.
pub const MAX_ECHO: usize = 10;
/// Files kept of those that rows name and the act cannot hold, and bytes of their names together.
const MAX_SURPLUS: usize = 1_000;
const MAX_SURPLUS_BYTES: usize = 64 << 10;

/// Which part of an act a field belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Act,
    Recipient,
    Notice,
    F24,
    Document,
    Echo,
    Step,
}

macro_rules! slots {
    ($($slot:ident = $name:ident $part:ident $max:literal),+ $(,)?) => {
        /// A field of the act, as a small number: [`fields`] has its name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Slot { $($slot),+ }
        impl Slot {
            /// Every field.
            pub const ALL: &'static [Slot] = &[$(Slot::$slot),+];
            /// Its name in the vocabulary of rules.
            pub fn name(self) -> &'static str {
                match self { $(Slot::$slot => fields::$name),+ }
            }
            /// What it is a field of.
            pub fn part(self) -> Part {
                match self { $(Slot::$slot => Part::$part),+ }
            }
            /// Most characters of its value; for typed values, of its text.
            pub fn limit(self) -> usize {
                match self { $(Slot::$slot => $max),+ }
            }
        }
    };
}

slots! {
    Reference = REFERENCE Act 128, Action = ACTION Act 20, Sender = SENDER Act 11, Protocol = PROTOCOL Act 256,
    Subject = SUBJECT Act 134, Abstract = ABSTRACT Act 1024, Taxonomy = TAXONOMY Act 7, Communication = COMMUNICATION Act 32,
    FeePolicy = FEE_POLICY Act 32, PaFee = PA_FEE Act 3, Vat = VAT Act 3, IntMode = INT_MODE Act 8, Amount = AMOUNT Act 16,
    Expiration = EXPIRATION Act 10, Group = GROUP Act 64, Language = LANGUAGE Act 2, SenderName = SENDER_NAME Act 88,
    CancelledIun = CANCELLED_IUN Act 25, NotifyBy = NOTIFY_BY Act 10, Force = FORCE Act 256,
    StoppedFrom = STOPPED_FROM Act 10, StoppedUntil = STOPPED_UNTIL Act 10,
    Kind = RECIPIENT_TYPE Recipient 2, TaxId = TAX_ID Recipient 16, Denomination = DENOMINATION Recipient 88, Pec = PEC Recipient 320,
    At = AT Recipient 256, Address = ADDRESS Recipient 1024, AddressDetails = ADDRESS_DETAILS Recipient 1024, Zip = ZIP Recipient 15,
    Municipality = MUNICIPALITY Recipient 256, MunicipalityDetails = MUNICIPALITY_DETAILS Recipient 256,
    Province = PROVINCE Recipient 256, ForeignState = FOREIGN_STATE Recipient 256,
    Notice = NOTICE Notice 18, NoticeCreditor = NOTICE_CREDITOR Notice 11, NoticeCost = NOTICE_COST Notice 5,
    NoticeFile = NOTICE_FILE Notice 512, NoticeSha = NOTICE_SHA Notice 64, NoticePosition = NOTICE_POSITION Notice 128,
    F24Title = F24_TITLE F24 512, F24Cost = F24_COST F24 5, F24File = F24_FILE F24 512, F24Sha = F24_SHA F24 64,
    Document = DOCUMENT Document 512, DocumentTitle = DOCUMENT_TITLE Document 512, DocumentSha = DOCUMENT_SHA Document 64,
    DocumentShared = DOCUMENT_SHARED Document 5,
    EchoName = ECHO_NAME Echo 64, Echo = ECHO Echo 256,
    RuleBase = RULE_BASE Act 16, RuleCosts = RULE_COSTS Act 16, StepFrom = STEP_FROM Step 20, StepDays = STEP_DAYS Step 4,
    StepPercent = STEP_PERCENT Step 6, StepAmount = STEP_AMOUNT Step 16, StepOf = STEP_OF Step 8, StepCharge = STEP_CHARGE Step 6,
    StepCap = STEP_CAP Step 16, StepSummer = STEP_SUMMER Step 5,
    RulePreset = RULE_PRESET Act 32, RuleCompletion = RULE_COMPLETION Act 16, RuleBearers = RULE_BEARERS Act 16,
    RuleHolidays = RULE_HOLIDAYS Act 16, RuleRounding = RULE_ROUNDING Act 16, RuleExtra = RULE_EXTRA Act 16,
    RuleSanction = RULE_SANCTION Act 32, RuleSemester = RULE_SEMESTER Act 6, RuleFloor = RULE_FLOOR Act 16,
    RuleCeiling = RULE_CEILING Act 16, RuleValidFrom = RULE_VALID_FROM Act 10, RuleValidUntil = RULE_VALID_UNTIL Act 10,
    PositionId = POSITION_ID Act 128, DueType = DUE_TYPE Act 64, Remittance = REMITTANCE Act 512, Balance = BALANCE Act 1024,
    Minimum = MINIMUM Act 16, Maximum = MAXIMUM Act 16, ViolationDate = VIOLATION_DATE Act 10, AssessmentDate = ASSESSMENT_DATE Act 10,
    ContestationDate = CONTESTATION_DATE Act 10, NoticeGroup = NOTICE_GROUP Act 64,
}

/// How a layout writes values that are not plain text.
pub trait Dialect {
    /// An amount in euro.
    fn amount(&self, text: &str) -> Option<Cents>;
    /// A day.
    fn date(&self, text: &str) -> Option<Date>;
    /// Yes or no.
    fn flag(&self, text: &str) -> Option<bool>;
    /// One word of a vocabulary: whether `text` is `word`.
    fn is_word(&self, text: &str, word: &str) -> bool;
    /// Hundredths of a percent.
    fn percent(&self, text: &str) -> Option<u32>;
    /// What is wrong with the text of a code (tax id, notice, CAP), when this way of writing can tell.
    fn check(&self, slot: Slot, text: &str) -> Option<Code>;
    /// What to write instead of what [`Dialect::check`] refuses with `code`.
    fn hint(&self, code: Code) -> Option<&'static str> {
        let _ = code;
        None
    }
    /// The value without what was put around it, and the warning with which the office learns that it was read so.
    fn tidy<'t>(&self, slot: Slot, text: &'t str) -> (&'t str, Option<Code>) {
        let _ = slot;
        (text, None)
    }
    /// The forms to write instead, for the office: amounts, dates, flags.
    fn wanted(&self) -> [&'static str; 3];
}

/// A recipient under construction.
#[derive(Debug, Default)]
pub struct RecipientDraft {
    kind: Option<RecipientType>,
    tax_id: String,
    denomination: String,
    pec: Option<String>,
    address: Option<PhysicalAddress>,
    /// In the order they came.
    payments: Vec<PaymentDraft>,
}

#[derive(Debug, Default)]
struct PaymentDraft {
    f24: bool,
    /// Number of the group in layouts that number them, from 0.
    number: usize,
    /// Notice code or title of the F24.
    code: String,
    creditor: String,
    cost: Option<bool>,
    file: Option<String>,
    sha: Option<Sha256>,
    /// The PT's own id of the position of a notice.
    position: Option<String>,
}

#[derive(Debug, Default)]
struct DocumentDraft {
    file: Option<String>,
    title: Option<String>,
    sha: Option<Sha256>,
    shared: bool,
}

#[derive(Debug, Default)]
struct StepDraft {
    from: Option<FromEvent>,
    days: Option<u32>,
    percent: Option<u32>,
    amount: Option<Cents>,
    of: Option<PercentOf>,
    charge: Option<u32>,
    cap: Option<Cents>,
    summer: bool,
}

#[derive(Debug, Default)]
struct RuleDraft {
    /// All but its steps.
    stated: StatedRule,
    steps: Vec<StepDraft>,
}

/// What is known of an act so far.
#[derive(Debug)]
pub struct Draft {
    act: Act,
    findings: Vec<Finding>,
    recipients: Vec<RecipientDraft>,
    documents: Vec<DocumentDraft>,
    echo: Vec<(Option<String>, String)>,
    rule: Option<RuleDraft>,
    surplus: Vec<String>,
    surplus_bytes: usize,
}

/// A finished act.
#[derive(Debug)]
pub struct Drafted {
    pub act: Act,
    pub findings: Vec<Finding>,
    /// See [`Draft::name_file`].
    pub surplus: Vec<String>,
}

impl Drafted {
    /// Every file that the rows name.
    pub fn into_files(self) -> Vec<String> {
        let Drafted { act, mut surplus, .. } = self;
        surplus.extend(act.files().filter(|file| !file.file.is_empty()).map(|file| file.file.clone()));
        surplus
    }
}

impl Draft {
    /// Nothing known yet.
    pub fn new() -> Draft {
        let act = Act {
            sender_tax_id: String::new(),
            reference: String::new(),
            action: Action::Insert,
            protocol: None,
            subject: None,
            abstract_text: None,
            taxonomy_code: None,
            communication_type: None,
            fee_policy: None,
            pa_fee: None,
            vat: None,
            pago_pa_int_mode: None,
            amount: None,
            payment_expiration_date: None,
            group: None,
            additional_language: None,
            sender_denomination: None,
            cancelled_iun: None,
            recipients: Vec::new(),
            documents: Vec::new(),
            amount_rule: None,
            stated_rule: None,
            position: None,
            notify_by: None,
            force: None,
            stopped_from: None,
            stopped_until: None,
            echo: Vec::new(),
        };
        Draft {
            act,
            findings: Vec::new(),
            recipients: Vec::new(),
            documents: Vec::new(),
            echo: Vec::new(),
            rule: None,
            surplus: Vec::new(),
            surplus_bytes: 0,
        }
    }

    /// Adds a finding (the first hundred).
    pub fn find(&mut self, finding: Finding) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
        }
    }

    /// A file that a row names and that has no place in the act: it belongs to the refused act all the same, and its row is to
    /// blame for it, not the file.
    pub fn name_file(&mut self, written: &str) {
        let bytes = self.surplus_bytes + written.len();
        let fits = self.surplus.len() < MAX_SURPLUS && bytes <= MAX_SURPLUS_BYTES;
        if fits && !written.is_empty() && !self.surplus.iter().any(|known| known == written) {
            self.surplus.push(written.to_owned());
            self.surplus_bytes = bytes;
        }
    }

    /// The act's reference as read so far.
    pub fn reference(&self) -> &str {
        &self.act.reference
    }

    /// The ente named by the act, or `sender` when it names none.
    pub fn default_sender(&mut self, sender: &str) {
        if self.act.sender_tax_id.is_empty() {
            self.act.sender_tax_id.push_str(sender);
        }
    }

    /// Recipients so far.
    pub fn recipients(&self) -> usize {
        self.recipients.len()
    }

    /// A recipient begins. `false`: one too many, and its values must not be set.
    pub fn begin_recipient(&mut self) -> bool {
        if self.recipients.len() >= MAX_RECIPIENTS {
            return false;
        }
        self.recipients.push(RecipientDraft::default());
        true
    }

    /// An address begins, even if nothing follows.
    pub fn begin_address(&mut self) {
        self.address();
    }

    /// An amount rule begins, even if nothing follows.
    pub fn begin_rule(&mut self) {
        self.rule();
    }

    /// The payments, documents, steps and echo fields seen so far of `part` (payments: of the current recipient).
    pub fn count(&self, part: Part) -> usize {
        match part {
            Part::Act => 1,
            Part::Recipient => self.recipients.len(),
            Part::Notice | Part::F24 => {
                let of_kind = |payment: &&PaymentDraft| payment.f24 == (part == Part::F24);
                self.recipients.last().map_or(0, |recipient| recipient.payments.iter().filter(of_kind).count())
            }
            Part::Document => self.documents.len(),
            Part::Echo => self.echo.len(),
            Part::Step => self.rule.as_ref().map_or(0, |rule| rule.steps.len()),
        }
    }

    /// Where `slot` of the numbered group `item` stands.
    pub fn field(&self, slot: Slot, item: usize) -> Field {
        let recipient = self.recipients.len().saturating_sub(1);
        match slot.part() {
            Part::Act => Field::act(slot.name()),
            Part::Recipient => Field::of(slot.name(), recipient),
            Part::Notice | Part::F24 => Field::of_nth(slot.name(), recipient, item),
            Part::Document | Part::Echo | Part::Step => Field::nth(slot.name(), item),
        }
    }

    fn recipient(&mut self) -> &mut RecipientDraft {
        if self.recipients.is_empty() {
            self.recipients.push(RecipientDraft::default());
        }
        last_of(&mut self.recipients)
    }

    fn address(&mut self) -> &mut PhysicalAddress {
        self.recipient().address.get_or_insert_default()
    }

    fn payment(&mut self, f24: bool, number: usize) -> &mut PaymentDraft {
        let payments = &mut self.recipient().payments;
        let found = payments.iter().position(|payment| payment.f24 == f24 && payment.number == number);
        let index = found.unwrap_or_else(|| {
            payments.push(PaymentDraft { f24, number, ..PaymentDraft::default() });
            payments.len() - 1
        });
        nth_of(payments, index)
    }

    fn rule(&mut self) -> &mut RuleDraft {
        self.rule.get_or_insert_default()
    }

    fn stated(&mut self) -> &mut StatedRule {
        &mut self.rule().stated
    }

    fn position(&mut self) -> &mut PositionData {
        self.act.position.get_or_insert_default()
    }

    /// As [`Draft::set`], but what is wrong with `text` is not told: nothing looks at it.
    pub fn set_unjudged(&mut self, slot: Slot, item: usize, text: &str, dialect: &dyn Dialect) {
        let told = self.findings.len();
        self.set(slot, item, text, dialect);
        self.findings.truncate(told);
    }

    /// Puts `text` (trimmed, not empty) in its place; `item` is the number of its group, from 0 (notices
    /// and F24 are counted apart).
    pub fn set(&mut self, slot: Slot, item: usize, text: &str, dialect: &dyn Dialect) {
        let field = self.field(slot, item);
        let written = text;
        let (text, changed) = dialect.tidy(slot, text);
        if let Some(code) = changed {
            self.find(Finding::warning(field, code).found(written).expected(text));
        }
        if let Some(code) = dialect.check(slot, text) {
            let finding = Finding::error(field, code).found(text);
            self.find(match dialect.hint(code) {
                Some(hint) => finding.expected(hint),
                None => finding,
            });
        }
        match slot {
            Slot::Reference => self.act.reference = self.text(field, slot, text),
            Slot::Action => {
                if let Some(action) = self.word(field, text, Action::ALL, Action::as_str, dialect) {
                    self.act.action = action;
                }
            }
            Slot::Sender => self.act.sender_tax_id = cut(text, 64),
            Slot::Protocol => self.act.protocol = Some(self.text(field, slot, text)),
            Slot::Subject => self.act.subject = Some(self.text(field, slot, text)),
            Slot::Abstract => self.act.abstract_text = Some(self.text(field, slot, text)),
            Slot::Taxonomy => self.act.taxonomy_code = Some(cut(text, 64)),
            Slot::Communication => {
                use crate::domain::act::CommunicationType as C;
                self.act.communication_type = self.word(field, text, C::ALL, C::as_str, dialect);
            }
            Slot::FeePolicy => {
                use crate::domain::act::FeePolicy as F;
                self.act.fee_policy = self.word(field, text, F::ALL, F::as_str, dialect);
            }
            Slot::PaFee => self.act.pa_fee = self.number(field, slot, text),
            Slot::Vat => self.act.vat = self.number(field, slot, text),
            Slot::IntMode => {
                use crate::domain::act::PagoPaIntMode as M;
                self.act.pago_pa_int_mode = self.word(field, text, M::ALL, M::as_str, dialect);
            }
            Slot::Amount => self.act.amount = self.amount(field, text, dialect),
            Slot::Expiration => self.act.payment_expiration_date = self.date(field, text, dialect),
            Slot::Group => self.act.group = Some(self.text(field, slot, text)),
            Slot::Language => {
                use crate::domain::act::Language as L;
                self.act.additional_language = self.word(field, text, L::ALL, L::as_str, dialect);
            }
            Slot::SenderName => self.act.sender_denomination = Some(self.text(field, slot, text)),
            Slot::CancelledIun => self.act.cancelled_iun = Some(cut(text, 64)),
            Slot::NotifyBy => self.act.notify_by = self.date(field, text, dialect),
            Slot::Force => self.act.force = Some(self.text(field, slot, text)),
            Slot::StoppedFrom => self.act.stopped_from = self.date(field, text, dialect),
            Slot::StoppedUntil => self.act.stopped_until = self.date(field, text, dialect),
            Slot::Kind => self.recipient().kind = self.word(field, text, RecipientType::ALL, RecipientType::as_str, dialect),
            Slot::TaxId => self.recipient().tax_id = cut(text, 64),
            Slot::Denomination => self.recipient().denomination = self.text(field, slot, text),
            Slot::Pec => self.recipient().pec = Some(self.text(field, slot, text)),
            Slot::At => self.address().at = Some(self.text(field, slot, text)),
            Slot::Address => self.address().address = self.text(field, slot, text),
            Slot::AddressDetails => self.address().address_details = Some(self.text(field, slot, text)),
            Slot::Zip => self.address().zip = Some(self.text(field, slot, text)),
            Slot::Municipality => self.address().municipality = self.text(field, slot, text),
            Slot::MunicipalityDetails => self.address().municipality_details = Some(self.text(field, slot, text)),
            Slot::Province => self.address().province = Some(self.text(field, slot, text)),
            Slot::ForeignState => self.address().foreign_state = Some(self.text(field, slot, text)),
            Slot::Notice => self.payment(false, item).code = cut(text, 64),
            Slot::NoticeCreditor => self.payment(false, item).creditor = cut(text, 64),
            Slot::NoticeCost => self.payment(false, item).cost = self.flag(field, text, dialect),
            Slot::NoticeFile => self.payment(false, item).file = Some(self.text(field, slot, text)),
            Slot::NoticeSha => self.payment(false, item).sha = self.sha(field, text),
            Slot::NoticePosition => self.payment(false, item).position = Some(self.text(field, slot, text)),
            Slot::F24Title => self.payment(true, item).code = self.text(field, slot, text),
            Slot::F24Cost => self.payment(true, item).cost = self.flag(field, text, dialect),
            Slot::F24File => self.payment(true, item).file = Some(self.text(field, slot, text)),
            Slot::F24Sha => self.payment(true, item).sha = self.sha(field, text),
            Slot::Document => grown(&mut self.documents, item).file = Some(self.text(field, slot, text)),
            Slot::DocumentTitle => grown(&mut self.documents, item).title = Some(self.text(field, slot, text)),
            Slot::DocumentSha => grown(&mut self.documents, item).sha = self.sha(field, text),
            Slot::DocumentShared => grown(&mut self.documents, item).shared = self.flag(field, text, dialect).unwrap_or(false),
            Slot::EchoName => grown(&mut self.echo, item).0 = Some(self.text(field, slot, text)),
            Slot::Echo => grown(&mut self.echo, item).1 = self.text(field, slot, text),
            Slot::RuleBase => self.stated().base = self.amount(field, text, dialect),
            Slot::RuleCosts => self.stated().costs = self.word(field, text, CostPolicy::ALL, CostPolicy::as_str, dialect),
            Slot::RulePreset => self.stated().preset = self.word(field, text, AmountPreset::ALL, AmountPreset::as_str, dialect),
            Slot::RuleCompletion => {
                self.stated().completion = self.word(field, text, WhoseCompletion::ALL, WhoseCompletion::as_str, dialect);
            }
            Slot::RuleBearers => self.stated().bearers = self.word(field, text, CostBearers::ALL, CostBearers::as_str, dialect),
            Slot::RuleHolidays => self.stated().holidays = self.word(field, text, HolidayPolicy::ALL, HolidayPolicy::as_str, dialect),
            Slot::RuleRounding => self.stated().rounding = self.word(field, text, Rounding::ALL, Rounding::as_str, dialect),
            Slot::RuleExtra => self.stated().extra = self.amount(field, text, dialect),
            Slot::RuleSanction => self.stated().sanction = self.word(field, text, SanctionTable::ALL, SanctionTable::as_str, dialect),
            Slot::RuleSemester => self.stated().semester = self.percent(field, text, dialect),
            Slot::RuleFloor => self.stated().floor = self.amount(field, text, dialect),
            Slot::RuleCeiling => self.stated().ceiling = self.amount(field, text, dialect),
            Slot::RuleValidFrom => self.stated().valid_from = self.date(field, text, dialect),
            Slot::RuleValidUntil => self.stated().valid_until = self.date(field, text, dialect),
            Slot::StepFrom => {
                let from = self.word(field, text, FromEvent::ALL, FromEvent::as_str, dialect);
                grown(&mut self.rule().steps, item).from = from;
            }
            Slot::StepDays => grown(&mut self.rule().steps, item).days = self.number(field, slot, text),
            Slot::StepPercent => grown(&mut self.rule().steps, item).percent = self.percent(field, text, dialect),
            Slot::StepOf => grown(&mut self.rule().steps, item).of = self.word(field, text, PercentOf::ALL, PercentOf::as_str, dialect),
            Slot::StepCharge => grown(&mut self.rule().steps, item).charge = self.percent(field, text, dialect),
            Slot::StepCap => grown(&mut self.rule().steps, item).cap = self.amount(field, text, dialect),
            Slot::StepSummer => grown(&mut self.rule().steps, item).summer = self.flag(field, text, dialect).unwrap_or(false),
            Slot::StepAmount => grown(&mut self.rule().steps, item).amount = self.amount(field, text, dialect),
            Slot::PositionId => self.position().position_id = Some(self.text(field, slot, text)),
            Slot::DueType => self.position().due_type = Some(self.text(field, slot, text)),
            Slot::Remittance => self.position().remittance_information = Some(self.text(field, slot, text)),
            Slot::Balance => self.position().balance = Some(self.text(field, slot, text)),
            Slot::Minimum => self.position().minimum = self.amount(field, text, dialect),
            Slot::Maximum => self.position().maximum = self.amount(field, text, dialect),
            Slot::ViolationDate => self.position().violation_date = self.date(field, text, dialect),
            Slot::AssessmentDate => self.position().assessment_date = self.date(field, text, dialect),
            Slot::ContestationDate => self.position().contestation_date = self.date(field, text, dialect),
            Slot::NoticeGroup => self.position().notice_group = Some(self.text(field, slot, text)),
        }
    }
}

impl Draft {
    fn text(&mut self, field: Field, slot: Slot, text: &str) -> String {
        let limit = slot.limit();
        if text.len() > limit && text.chars().nth(limit).is_some() {
            self.find(Finding::error(field, Code::FieldTooLong).found(text).expected(format!("{limit} caratteri")));
            return cut(text, limit);
        }
        text.to_owned()
    }

    fn word<T: Copy>(&mut self, field: Field, text: &str, all: &[T], as_str: fn(T) -> &'static str, dialect: &dyn Dialect) -> Option<T> {
        let found = all.iter().copied().find(|value| dialect.is_word(text, as_str(*value)));
        if found.is_none() {
            let words: Vec<&str> = all.iter().map(|value| as_str(*value)).collect();
            self.find(Finding::error(field, Code::ValueUnknown).found(text).expected(words.join(", ")));
        }
        found
    }

    fn number(&mut self, field: Field, slot: Slot, text: &str) -> Option<u32> {
        let limit = slot.limit();
        if text.len() <= limit && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().ok();
        }
        self.find(Finding::error(field, Code::NumberInvalid).found(text).expected(format!("da 1 a {limit} cifre")));
        None
    }

    fn amount(&mut self, field: Field, text: &str, dialect: &dyn Dialect) -> Option<Cents> {
        let amount = dialect.amount(text);
        if amount.is_none() {
            let [wanted, ..] = dialect.wanted();
            self.find(Finding::error(field, Code::AmountInvalid).found(text).expected(wanted));
        }
        amount
    }

    fn date(&mut self, field: Field, text: &str, dialect: &dyn Dialect) -> Option<Date> {
        let date = dialect.date(text);
        if date.is_none() {
            let [_, wanted, _] = dialect.wanted();
            self.find(Finding::error(field, Code::DateInvalid).found(text).expected(wanted));
        }
        date
    }

    fn percent(&mut self, field: Field, text: &str, dialect: &dyn Dialect) -> Option<u32> {
        let percent = dialect.percent(text);
        if percent.is_none() {
            self.find(Finding::error(field, Code::NumberInvalid).found(text));
        }
        percent
    }

    fn flag(&mut self, field: Field, text: &str, dialect: &dyn Dialect) -> Option<bool> {
        let flag = dialect.flag(text);
        if flag.is_none() {
            let [_, _, wanted] = dialect.wanted();
            self.find(Finding::error(field, Code::ValueUnknown).found(text).expected(wanted));
        }
        flag
    }

    fn sha(&mut self, field: Field, text: &str) -> Option<Sha256> {
        let sha = Sha256::parse(text);
        if sha.is_none() {
            self.find(
                Finding::error(field, Code::ValueUnknown).found(text).expected("SHA-256: 64 cifre esadecimali o 44 caratteri base64"),
            );
        }
        sha
    }
}

impl Default for Draft {
    fn default() -> Self {
        Draft::new()
    }
}

/// The first `limit` characters.
fn cut(text: &str, limit: usize) -> String {
    if text.len() <= limit { text.to_owned() } else { text.chars().take(limit).collect() }
}

/// The element `index`, after adding empty ones up to it. `index` comes from a column number or a count: both are small.
fn grown<T: Default>(items: &mut Vec<T>, index: usize) -> &mut T {
    while items.len() <= index {
        items.push(T::default());
    }
    nth_of(items, index)
}

#[expect(clippy::indexing_slicing, reason = "the callers have just put an element at `index`")]
fn nth_of<T>(items: &mut [T], index: usize) -> &mut T {
    &mut items[index]
}

fn last_of<T>(items: &mut [T]) -> &mut T {
    let last = items.len().saturating_sub(1);
    nth_of(items, last)
}

/// Reads `yyyy-mm-dd`, nothing else.
pub fn iso_date(text: &str) -> Option<Date> {
    let bytes = text.as_bytes();
    let shaped = bytes.len() == 10
        && bytes.first() != Some(&b'0')
        && bytes.iter().enumerate().all(|(at, byte)| if at == 4 || at == 7 { *byte == b'-' } else { byte.is_ascii_digit() });
    if !shaped {
        return None;
    }
    let part = |from: usize, to: usize| text.get(from..to).and_then(|digits| digits.parse::<i16>().ok());
    Date::new(part(0, 4)?, part(5, 7)? as i8, part(8, 10)? as i8).ok()
}

/// Reads `70` or `33.33` (with `point` as separator) as hundredths of a percent, up to 999.99.
pub fn hundredths(text: &str, point: char) -> Option<u32> {
    let (whole, decimals) = text.split_once(point).unwrap_or((text, "0"));
    let digits = |text: &str, most: usize| (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole, 3) || !digits(decimals, 2) {
        return None;
    }
    let parsed: u32 = decimals.parse().ok()?;
    Some(whole.parse::<u32>().ok()? * 100 + if decimals.len() == 1 { parsed * 10 } else { parsed })
}

//! The platform's synchronous checks (`send.md` 3): first the shape of the specification, then the rules across fields,
//! all collected in one `Problem`. Written apart from messo's own rules on purpose: two readings of the same facts.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::auth::Caller;
use super::model::{FileRef, Notice};
use super::patterns::{
    any_case_tax_id, date, digits, file_key, fiscal_code, iun, latin1, mail, one_line, printable_ascii, sha256, taxonomy_shape, vat_number,
    zip,
};
use super::reply::Problem;
use super::{request, taxonomy};

const GENERIC: &str = "PN_GENERIC_INVALIDPARAMETER";
const REQUIRED: &str = "PN_GENERIC_INVALIDPARAMETER_REQUIRED";
const PATTERN: &str = "PN_GENERIC_INVALIDPARAMETER_PATTERN";
const SIZE: &str = "PN_GENERIC_INVALIDPARAMETER_SIZE";
const ENUM: &str = "PN_GENERIC_INVALIDPARAMETER_ASSERTENUM";
const DUPLICATED: &str = "PN_GENERIC_INVALIDPARAMETER_DUPLICATED";

/// Recipients and documents of one request, each.
const MAX_ITEMS: usize = 15;
/// Characters of a line of the window envelope.
const LINE: usize = 44;

/// What the checks have read on their way.
#[derive(Debug, Default)]
pub struct Checked {
    /// Per recipient: notices, and whether each bears the cost.
    pub payments: Vec<Vec<(Notice, bool)>>,
    pub files: Vec<FileRef>,
}

/// Whether `foreignState` means Italy.
pub fn italian(foreign_state: &str) -> bool {
    let state = foreign_state.trim().to_uppercase();
    state.is_empty() || state.starts_with("ITAL")
}

/// Checks a whole request.
pub fn check(object: &Map<String, Value>, caller: &Caller) -> Result<Checked, Problem> {
    let mut checker = Checker { problem: Problem::new(400, "Bad Request"), unreadable: None };
    checker.shape(object);
    if let Some(element) = checker.unreadable {
        // The body cannot be bound: the platform tells nothing else.
        return Err(Problem::new(400, "Bad Request").error(GENERIC, Some(&element), "Invalid request body"));
    }
    let empty = Vec::new();
    let list = |name: &str| object.get(name).and_then(Value::as_array).unwrap_or(&empty);
    for (name, what) in [("recipients", "recipient"), ("documents", "attachment")] {
        if list(name).len() > MAX_ITEMS {
            return Err(Problem::new(400, "Bad Request").error(GENERIC, Some(name), format!("Max {what} count reached")));
        }
    }
    let checked = checker.rules(object, list("recipients"), list("documents"));
    if !checker.problem.is_empty() {
        return Err(checker.problem);
    }
    checker.sender(object, caller);
    if checker.problem.is_empty() { Ok(checked) } else { Err(checker.problem) }
}

struct Checker {
    problem: Problem,
    /// Element whose type is wrong.
    unreadable: Option<String>,
}

/// What a text must look like.
#[derive(Clone, Copy)]
struct Text {
    required: bool,
    min: usize,
    max: usize,
    pattern: fn(&str) -> bool,
}

impl Text {
    const fn line(required: bool, min: usize, max: usize) -> Text {
        Text { required, min, max, pattern: one_line }
    }
}

impl Checker {
    fn add(&mut self, code: &'static str, element: &str, detail: impl Into<String>) {
        self.problem.add(code, Some(element), detail);
    }

    fn wrong_type(&mut self, element: &str) {
        self.unreadable.get_or_insert_with(|| element.to_owned());
    }

    fn text(&mut self, object: &Map<String, Value>, at: &str, name: &str, rule: Text) {
        let element = format!("{at}{name}");
        match object.get(name) {
            None if rule.required => self.add(REQUIRED, &element, "must not be null"),
            None => {}
            Some(Value::String(text)) => {
                let length = text.chars().count();
                if length < rule.min || length > rule.max {
                    self.add(SIZE, &element, format!("size must be between {} and {}", rule.min, rule.max));
                } else if !(rule.pattern)(text) {
                    self.add(PATTERN, &element, "must match the pattern of the specification");
                }
            }
            Some(_) => self.wrong_type(&element),
        }
    }

    fn word(&mut self, object: &Map<String, Value>, at: &str, name: &str, required: bool, words: &[&str]) {
        let element = format!("{at}{name}");
        match object.get(name) {
            None if required => self.add(REQUIRED, &element, "must not be null"),
            None => {}
            Some(Value::String(text)) if words.contains(&text.as_str()) => {}
            // An unknown word of an enumeration cannot be bound either, but is told by name.
            Some(Value::String(_)) => self.add(ENUM, &element, format!("must be one of {}", words.join(", "))),
            Some(_) => self.wrong_type(&element),
        }
    }

    fn number(&mut self, object: &Map<String, Value>, name: &str, min: i64, max: i64) {
        match object.get(name) {
            None => {}
            Some(Value::Number(number)) => match number.as_i64() {
                Some(value) if value < min => {
                    self.add("PN_GENERIC_INVALIDPARAMETER_MIN", name, format!("must be greater than or equal to {min}"))
                }
                Some(value) if value > max => {
                    self.add("PN_GENERIC_INVALIDPARAMETER_MAX", name, format!("must be less than or equal to {max}"))
                }
                Some(_) => {}
                None => self.wrong_type(name),
            },
            Some(_) => self.wrong_type(name),
        }
    }

    fn items<'a>(&mut self, object: &'a Map<String, Value>, at: &str, name: &str, required: bool) -> Vec<(String, &'a Map<String, Value>)> {
        let element = format!("{at}{name}");
        match object.get(name) {
            None => {
                if required {
                    self.add(REQUIRED, &element, "must not be null");
                }
                Vec::new()
            }
            Some(Value::Array(items)) => {
                if required && items.is_empty() {
                    self.add(SIZE, &element, "size must be between 1 and 2147483647");
                }
                let objects = items.iter().enumerate().filter_map(|(index, item)| match item.as_object() {
                    Some(item) => Some((format!("{element}[{index}]."), item)),
                    None => {
                        self.wrong_type(&element);
                        None
                    }
                });
                objects.collect()
            }
            Some(_) => {
                self.wrong_type(&element);
                Vec::new()
            }
        }
    }

    fn object<'a>(
        &mut self,
        object: &'a Map<String, Value>,
        at: &str,
        name: &str,
        required: bool,
    ) -> Option<(String, &'a Map<String, Value>)> {
        let element = format!("{at}{name}");
        match object.get(name) {
            None => {
                if required {
                    self.add(REQUIRED, &element, "must not be null");
                }
                None
            }
            Some(Value::Object(inner)) => Some((format!("{element}."), inner)),
            Some(_) => {
                self.wrong_type(&element);
                None
            }
        }
    }

    /// Closed objects of the specification.
    fn closed(&mut self, object: &Map<String, Value>, at: &str, known: &[&str]) {
        if let Some(unknown) = object.keys().find(|name| !known.contains(&name.as_str())) {
            self.wrong_type(&format!("{at}{unknown}"));
        }
    }

    fn shape(&mut self, o: &Map<String, Value>) {
        let optional = |max, pattern| Text { required: false, min: 0, max, pattern };
        self.text(o, "", "idempotenceToken", optional(256, printable_ascii));
        self.text(o, "", "paProtocolNumber", Text::line(true, 0, 256));
        self.text(o, "", "subject", Text::line(true, 0, 134));
        self.text(o, "", "abstract", Text::line(false, 0, 1024));
        self.word(o, "", "notificationFeePolicy", true, &["FLAT_RATE", "DELIVERY_MODE"]);
        self.text(o, "", "cancelledIun", Text { required: false, min: 25, max: 25, pattern: iun });
        self.word(o, "", "physicalCommunicationType", true, &["AR_REGISTERED_LETTER", "REGISTERED_LETTER_890"]);
        self.text(
            o,
            "",
            "senderDenomination",
            Text { required: true, min: 1, max: 88, pattern: |text| latin1(text) && !text.contains('|') },
        );
        self.text(o, "", "senderTaxId", Text { required: true, min: 11, max: 11, pattern: digits });
        self.text(o, "", "group", optional(1024, printable_ascii));
        self.number(o, "amount", i64::from(i32::MIN), i64::from(i32::MAX));
        self.text(o, "", "paymentExpirationDate", Text { required: false, min: 10, max: 10, pattern: date });
        self.text(o, "", "taxonomyCode", Text { required: true, min: 7, max: 7, pattern: taxonomy_shape });
        self.number(o, "paFee", 0, 100);
        self.number(o, "vat", 0, 100);
        self.word(o, "", "pagoPaIntMode", false, &["NONE", "SYNC", "ASYNC"]);
        match o.get("additionalLanguages") {
            None => {}
            Some(Value::Array(items)) if items.iter().all(Value::is_string) => {}
            Some(_) => self.wrong_type("additionalLanguages"),
        }
        for (at, recipient) in self.items(o, "", "recipients", true) {
            self.recipient(&at, recipient);
        }
        for (at, document) in self.items(o, "", "documents", true) {
            self.attachment(&at, document, "application/pdf");
            self.text(document, &at, "title", Text::line(false, 1, 512));
            self.text(document, &at, "docIdx", Text { required: false, min: 1, max: 3, pattern: digits });
        }
    }

    fn recipient(&mut self, at: &str, o: &Map<String, Value>) {
        self.closed(o, at, &["recipientType", "taxId", "denomination", "digitalDomicile", "physicalAddress", "payments"]);
        self.word(o, at, "recipientType", true, &["PF", "PG"]);
        self.text(o, at, "taxId", Text { required: true, min: 11, max: 16, pattern: any_case_tax_id });
        self.text(o, at, "denomination", Text { required: true, min: 1, max: 88, pattern: latin1 });
        if let Some((at, domicile)) = self.object(o, at, "digitalDomicile", false) {
            self.word(domicile, &at, "type", true, &["PEC"]);
            self.text(domicile, &at, "address", Text { required: true, min: 0, max: 320, pattern: mail });
        }
        if let Some((at, address)) = self.object(o, at, "physicalAddress", true) {
            self.text(address, &at, "at", Text::line(false, 0, LINE));
            self.text(address, &at, "address", Text::line(true, 2, 1024));
            self.text(address, &at, "addressDetails", Text::line(false, 0, 1024));
            self.text(address, &at, "zip", Text { required: false, min: 0, max: 15, pattern: zip });
            self.text(address, &at, "municipality", Text::line(true, 2, 256));
            for name in ["municipalityDetails", "province", "foreignState"] {
                self.text(address, &at, name, Text::line(false, 0, 256));
            }
        }
        for (at, payment) in self.items(o, at, "payments", false) {
            self.closed(payment, &at, &["pagoPa", "f24"]);
            if payment.is_empty() {
                self.add(SIZE, &at, "must hold pagoPa or f24");
            }
            if let Some((at, pago_pa)) = self.object(payment, &at, "pagoPa", false) {
                self.text(pago_pa, &at, "noticeCode", Text { required: true, min: 18, max: 18, pattern: digits });
                self.text(pago_pa, &at, "creditorTaxId", Text { required: true, min: 11, max: 11, pattern: digits });
                self.flag(pago_pa, &at, "applyCost");
                if let Some((at, attachment)) = self.object(pago_pa, &at, "attachment", false) {
                    self.attachment(&at, attachment, "application/pdf");
                }
            }
            if let Some((at, f24)) = self.object(payment, &at, "f24", false) {
                self.text(f24, &at, "title", Text::line(true, 1, usize::MAX));
                self.flag(f24, &at, "applyCost");
                if let Some((at, attachment)) = self.object(f24, &at, "metadataAttachment", true) {
                    self.attachment(&at, attachment, "application/json");
                }
            }
        }
    }

    fn flag(&mut self, object: &Map<String, Value>, at: &str, name: &str) {
        let element = format!("{at}{name}");
        match object.get(name) {
            None => self.add(REQUIRED, &element, "must not be null"),
            Some(Value::Bool(_)) => {}
            Some(_) => self.wrong_type(&element),
        }
    }

    fn attachment(&mut self, at: &str, o: &Map<String, Value>, content_type: &'static str) {
        match o.get("contentType") {
            Some(Value::String(found)) if found == content_type => {}
            Some(Value::String(_)) => self.add(PATTERN, &format!("{at}contentType"), format!("must be {content_type}")),
            None => self.add(REQUIRED, &format!("{at}contentType"), "must not be null"),
            Some(_) => self.wrong_type(&format!("{at}contentType")),
        }
        if let Some((at, digests)) = self.object(o, at, "digests", true) {
            self.text(digests, &at, "sha256", Text { required: true, min: 44, max: 44, pattern: sha256 });
        }
        if let Some((at, reference)) = self.object(o, at, "ref", true) {
            self.text(reference, &at, "key", Text { required: true, min: 1, max: 512, pattern: file_key });
            self.text(reference, &at, "versionToken", Text::line(true, 0, 256));
        }
    }

    /// Rules across fields, on a body of the right shape.
    fn rules(&mut self, object: &Map<String, Value>, recipients: &[Value], documents: &[Value]) -> Checked {
        let mut checked = Checked::default();
        let word = |value: &Value, path: &str| value.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let policy = object.get("notificationFeePolicy").and_then(Value::as_str).unwrap_or_default();
        if policy == "DELIVERY_MODE" {
            for name in ["paFee", "vat"] {
                if !object.contains_key(name) {
                    self.add(GENERIC, name, format!("{name} is required with notificationFeePolicy DELIVERY_MODE"));
                }
            }
        }
        let mut own_documents = HashSet::new();
        for (index, document) in documents.iter().enumerate() {
            self.file(&mut checked, &mut own_documents, document, true, "PN_NOTIFICATION_ATTACHMENTS", &format!("documents[{index}]"));
        }
        let (mut tax_ids, mut notices) = (HashSet::new(), HashSet::new());
        for (index, recipient) in recipients.iter().enumerate() {
            let at = format!("recipients[{index}]");
            let tax_id: String = word(recipient, "/taxId").replace(' ', "").to_uppercase();
            let right = if word(recipient, "/recipientType") == "PF" { fiscal_code(&tax_id) } else { vat_number(&tax_id) };
            if !right {
                self.add(GENERIC, &format!("{at}.taxId"), format!("Invalid taxId for recipient {index}"));
            }
            if !tax_ids.insert(tax_id) {
                self.add(DUPLICATED, &format!("{at}.taxId"), format!("Duplicated recipient taxId for recipient {index}"));
            }
            if let Some(address) = recipient.get("physicalAddress").and_then(Value::as_object) {
                self.address(&at, index, address);
            }
            let mut files = own_documents.clone();
            let mut mine = Vec::new();
            let (mut pago_pa, mut f24) = (Vec::new(), Vec::new());
            for (number, payment) in recipient.get("payments").and_then(Value::as_array).into_iter().flatten().enumerate() {
                let at = format!("{at}.payments[{number}]");
                let apply = |kind: &str| payment.get(kind).and_then(|kind| kind.get("applyCost")).and_then(Value::as_bool);
                pago_pa.extend(apply("pagoPa"));
                f24.extend(apply("f24"));
                if let Some(notice) = Notice::parse(&word(payment, "/pagoPa/creditorTaxId"), &word(payment, "/pagoPa/noticeCode")) {
                    if !notices.insert(notice) {
                        self.add(DUPLICATED, &at, format!("Duplicated iuv {{creditorTaxId+noticeCode}} on recipient {index}"));
                    }
                    mine.push((notice, apply("pagoPa").unwrap_or(false)));
                }
                if let Some(attachment) = payment.pointer("/pagoPa/attachment") {
                    self.file(&mut checked, &mut files, attachment, false, "PN_NOTIFICATION_ATTACHMENTS", &at);
                }
                if let Some(attachment) = payment.pointer("/f24/metadataAttachment") {
                    self.file(&mut checked, &mut files, attachment, false, "PN_F24_META", &at);
                }
            }
            for (kind, flags) in [("pagoPA", &pago_pa), ("F24", &f24)] {
                let any = flags.iter().any(|flag| *flag);
                if policy == "FLAT_RATE" && any {
                    self.add(GENERIC, &at, format!("{kind} applyCostFlg must be false for FLAT_RATE notifications, recipient {index}"));
                }
                if policy == "DELIVERY_MODE" && !flags.is_empty() && !any {
                    self.add(
                        GENERIC,
                        &at,
                        format!(
                            "{kind} applyCostFlg must be true on at least one payment for DELIVERY_MODE notifications, recipient {index}"
                        ),
                    );
                }
            }
            checked.payments.push(mine);
        }
        checked
    }

    fn file(&mut self, checked: &mut Checked, seen: &mut HashSet<String>, attachment: &Value, document: bool, prefix: &str, at: &str) {
        let Some(file) = request::file_ref(attachment, document) else { return };
        if !file.key.starts_with(prefix) {
            self.add(GENERIC, &format!("{at}.ref.key"), format!("Key of a wrong kind: {prefix} is expected"));
        }
        if !seen.insert(format!("{}{}", file.key, file.sha256)) {
            self.add(DUPLICATED, at, "Same attachment compares more then once in the same request");
        }
        checked.files.push(file);
    }

    fn address(&mut self, at: &str, index: usize, address: &Map<String, Value>) {
        let field = |name: &str| address.get(name).and_then(Value::as_str).unwrap_or_default().trim();
        let at = format!("{at}.physicalAddress");
        for name in ["at", "address", "addressDetails", "municipality", "municipalityDetails", "province", "foreignState"] {
            if !latin1(field(name)) {
                self.add(GENERIC, &format!("{at}.{name}"), format!("Field {name} in recipient {index} contains invalid characters"));
            }
        }
        // Orders of a test in the street: what messo's own rules would not let through.
        let street = field("address").to_uppercase();
        if street.contains("@FAIL-RICHIESTA") {
            self.add(GENERIC, &format!("{at}.address"), format!("Field address in recipient {index} contains invalid characters"));
            self.add(GENERIC, &format!("{at}.zip"), format!("Zip of recipient {index} does not match the municipality"));
        }
        if street.contains("@FAIL-IGNOTO") {
            self.add("PN_DELIVERY_SANDBOX_UNKNOWN", &at, format!("A rule that no client knows refuses recipient {index}"));
        }
        if italian(field("foreignState")) && field("province").is_empty() {
            self.add(GENERIC, &format!("{at}.province"), format!("No province provided in physical address of recipient {index}"));
        }
        let lines = [
            ("address", field("address").to_owned()),
            ("addressDetails", field("addressDetails").to_owned()),
            ("foreignState", field("foreignState").to_owned()),
            ("zip, municipality and province", joined(&[field("zip"), field("municipality"), field("province")])),
            ("at and municipalityDetails", joined(&[field("at"), field("municipalityDetails")])),
        ];
        for (name, line) in lines {
            if line.chars().count() > LINE {
                self.add(GENERIC, &at, format!("Field {name} in recipient {index} exceed max length of {LINE} chars"));
            }
        }
    }

    /// Who sends: told after everything else is right.
    fn sender(&mut self, object: &Map<String, Value>, caller: &Caller) {
        let word = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
        let languages: Vec<&str> =
            object.get("additionalLanguages").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        if languages.len() > 1 || languages.iter().any(|language| !["DE", "SL", "FR"].contains(language)) {
            self.add("PN_DELIVERY_INVALIDADDITIONALLANGS", "additionalLanguages", "At most one of DE, SL, FR");
        }
        if word("senderTaxId") != caller.tax_id {
            self.add("PN_DELIVERY_INVALID_SENDER_TAX_ID", "senderTaxId", "Sender tax id does not match the institution of the API key");
        }
        if !taxonomy::known(word("taxonomyCode")) {
            self.add(
                "PN_GENERIC_INVALIDPARAMETER_TAXONOMYCODE",
                "taxonomyCode",
                format!("Taxonomy code {} is not known", word("taxonomyCode")),
            );
        }
        let group = word("group");
        let known = |group: &str| caller.active_groups.as_ref().is_none_or(|active| active.iter().any(|mine| mine == group));
        let mine = caller.groups.is_empty() || caller.groups.iter().any(|mine| mine == group);
        let allowed = if group.is_empty() { caller.groups.is_empty() } else { known(group) && mine };
        if !allowed {
            self.add("PN_DELIVERY_INVALIDPARAMETER_GROUP", "group", "Group not active, or not among those of the API key");
        }
    }
}

fn joined(parts: &[&str]) -> String {
    let filled: Vec<&str> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
    filled.join(" ")
}

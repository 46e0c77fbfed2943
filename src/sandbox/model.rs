//! What the simulator remembers of a notification, kept small: a timeline element is some sixty bytes, and its JSON is
//! written when someone asks for it.

use std::collections::HashMap;

use crate::domain::digest::Sha256;

/// Milliseconds of business time since the Unix epoch.
pub type Millis = i64;

pub const MINUTE: Millis = 60_000;
pub const HOUR: Millis = 60 * MINUTE;
pub const DAY: Millis = 24 * HOUR;

/// "No recipient": the element speaks of the whole notification.
pub const NOBODY: u8 = u8::MAX;

macro_rules! categories {
    ($($name:ident $word:literal $prefix:literal $default:literal),+ $(,)?) => {
        /// `TimelineElementCategoryV28`, as far as the stories use it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Category { $($name),+ }

        impl Category {
            /// Every category the simulator can emit.
            pub const ALL: &'static [Category] = &[$(Category::$name),+];

            /// The word of the specification.
            pub fn as_str(self) -> &'static str {
                match self { $(Category::$name => $word),+ }
            }

            /// How `elementId` begins: not always the category, as on the real platform.
            pub fn id_prefix(self) -> &'static str {
                match self { $(Category::$name => $prefix),+ }
            }

            /// Whether the stream filter `DEFAULT` lets it through (`send.md` 5).
            pub fn in_default_filter(self) -> bool {
                match self { $(Category::$name => $default),+ }
            }
        }
    };
}

categories! {
    ValidateAddresses "VALIDATE_NORMALIZE_ADDRESSES_REQUEST" "VALIDATE_NORMALIZE_ADDRESSES_REQUEST" false,
    NormalizedAddress "NORMALIZED_ADDRESS" "NORMALIZED_ADDRESS" false,
    SenderAckCreationRequest "SENDER_ACK_CREATION_REQUEST" "SENDER_ACK_CREATION_REQUEST" false,
    RequestAccepted "REQUEST_ACCEPTED" "REQUEST_ACCEPTED" true,
    RequestRefused "REQUEST_REFUSED" "REQUEST_REFUSED" true,
    AarCreationRequest "AAR_CREATION_REQUEST" "AAR_CREATION_REQUEST" false,
    AarGeneration "AAR_GENERATION" "AAR_GEN" false,
    GetAddress "GET_ADDRESS" "GET_ADDRESS" false,
    PublicRegistryCall "PUBLIC_REGISTRY_CALL" "PUBLIC_REGISTRY_CALL" false,
    PublicRegistryResponse "PUBLIC_REGISTRY_RESPONSE" "PUBLIC_REGISTRY_RESPONSE" false,
    ScheduleDigital "SCHEDULE_DIGITAL_WORKFLOW" "SCHEDULE_DIGITAL_WORKFLOW" false,
    PrepareDigital "PREPARE_DIGITAL_DOMICILE" "PREPARE_DIGITAL_DOMICILE" false,
    SendDigital "SEND_DIGITAL_DOMICILE" "SEND_DIGITAL" true,
    DigitalProgress "SEND_DIGITAL_PROGRESS" "DIGITAL_PROG" false,
    DigitalFeedback "SEND_DIGITAL_FEEDBACK" "SEND_DIGITAL_FEEDBACK" true,
    DigitalDeliveryCreation "DIGITAL_DELIVERY_CREATION_REQUEST" "DIGITAL_DELIVERY_CREATION_REQUEST" false,
    DigitalSuccess "DIGITAL_SUCCESS_WORKFLOW" "DIGITAL_SUCCESS_WORKFLOW" true,
    DigitalFailure "DIGITAL_FAILURE_WORKFLOW" "DIGITAL_FAILURE_WORKFLOW" true,
    PrepareSimpleLetter "PREPARE_SIMPLE_REGISTERED_LETTER" "PREPARE_SIMPLE_REGISTERED_LETTER" false,
    SendSimpleLetter "SEND_SIMPLE_REGISTERED_LETTER" "SEND_SIMPLE_REGISTERED_LETTER" true,
    SimpleLetterProgress "SEND_SIMPLE_REGISTERED_LETTER_PROGRESS" "SEND_SIMPLE_REGISTERED_LETTER_PROGRESS" true,
    ScheduleAnalog "SCHEDULE_ANALOG_WORKFLOW" "SCHEDULE_ANALOG_WORKFLOW" false,
    PrepareAnalog "PREPARE_ANALOG_DOMICILE" "PREPARE_ANALOG_DOMICILE" false,
    PrepareAnalogFailure "PREPARE_ANALOG_DOMICILE_FAILURE" "PREPARE_ANALOG_DOMICILE_FAILURE" false,
    SendAnalog "SEND_ANALOG_DOMICILE" "SEND_ANALOG_DOMICILE" true,
    AnalogProgress "SEND_ANALOG_PROGRESS" "SEND_ANALOG_PROGRESS" true,
    AnalogFeedback "SEND_ANALOG_FEEDBACK" "SEND_ANALOG_FEEDBACK" true,
    AnalogSuccess "ANALOG_SUCCESS_WORKFLOW" "ANALOG_SUCCESS_WORKFLOW" true,
    AnalogFailure "ANALOG_FAILURE_WORKFLOW" "ANALOG_FAILURE_WORKFLOW" true,
    UnreachableCreation "COMPLETELY_UNREACHABLE_CREATION_REQUEST" "COMPLETELY_UNREACHABLE_CREATION_REQUEST" false,
    CompletelyUnreachable "COMPLETELY_UNREACHABLE" "COMPLETELY_UNREACHABLE" true,
    RecipientDeceased "ANALOG_WORKFLOW_RECIPIENT_DECEASED" "ANALOG_WORKFLOW_RECIPIENT_DECEASED" true,
    ScheduleRefinement "SCHEDULE_REFINEMENT" "SCHEDULE_REFINEMENT_WORKFLOW" false,
    Refinement "REFINEMENT" "REFINEMENT" true,
    ViewedCreation "NOTIFICATION_VIEWED_CREATION_REQUEST" "NOTIFICATION_VIEWED_CREATION_REQUEST" false,
    Viewed "NOTIFICATION_VIEWED" "NOTIFICATION_VIEWED" true,
    Payment "PAYMENT" "NOTIFICATION_PAID" false,
    CancellationRequest "NOTIFICATION_CANCELLATION_REQUEST" "NOTIFICATION_CANCELLATION_REQUEST" false,
    Cancelled "NOTIFICATION_CANCELLED" "NOTIFICATION_CANCELLED" true,
    Reworked "NOTIFICATION_TIMELINE_REWORKED" "NOTIFICATION_TIMELINE_REWORKED" false,
}

/// `NotificationStatusV26`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    InValidation,
    Accepted,
    Refused,
    Delivering,
    Delivered,
    Viewed,
    EffectiveDate,
    Unreachable,
    Cancelled,
    ReturnedToSender,
}

impl Status {
    /// Every status.
    pub const ALL: [Status; 10] = [
        Status::InValidation,
        Status::Accepted,
        Status::Refused,
        Status::Delivering,
        Status::Delivered,
        Status::Viewed,
        Status::EffectiveDate,
        Status::Unreachable,
        Status::Cancelled,
        Status::ReturnedToSender,
    ];

    /// The word of the specification.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::InValidation => "IN_VALIDATION",
            Status::Accepted => "ACCEPTED",
            Status::Refused => "REFUSED",
            Status::Delivering => "DELIVERING",
            Status::Delivered => "DELIVERED",
            Status::Viewed => "VIEWED",
            Status::EffectiveDate => "EFFECTIVE_DATE",
            Status::Unreachable => "UNREACHABLE",
            Status::Cancelled => "CANCELLED",
            Status::ReturnedToSender => "RETURNED_TO_SENDER",
        }
    }
}

/// One element: planned until its `seen` instant, part of the timeline after.
#[derive(Debug, Clone, Copy)]
pub struct Element {
    pub category: Category,
    /// Recipient, or [`NOBODY`].
    pub rec: u8,
    pub attempt: u8,
    /// Number of a progress among its likes; of a payment among the recipient's.
    pub idx: u8,
    /// 0, or the correction it belongs to.
    pub rework: u8,
    /// Status of the notification after it; meaningful once emitted.
    pub status: Status,
    /// Withdrawn by a later correction.
    pub void: bool,
    /// Favourable outcome, available address, success: by category.
    pub ok: bool,
    /// `deliveryDetailCode`.
    pub code: &'static str,
    /// `deliveryFailureCause`.
    pub cause: &'static str,
    /// Euro cents of the letter; of the notification where it completes or ends it.
    pub cost: i32,
    /// When it happened.
    pub at: Millis,
    /// When SEND learned of it, and publishes it.
    pub seen: Millis,
    /// A date told inside (`schedulingDate`, previous attempt).
    pub date: Millis,
}

impl Element {
    /// An element that SEND learns of as it happens.
    pub fn new(category: Category, rec: u8, at: Millis) -> Element {
        Element {
            category,
            rec,
            attempt: 0,
            idx: 0,
            rework: 0,
            status: Status::InValidation,
            void: false,
            ok: true,
            code: "",
            cause: "",
            cost: 0,
            at,
            seen: at,
            date: at,
        }
    }
}

/// How a recipient's way ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Open,
    Reached,
    Unreachable,
    Deceased,
}

/// A pagoPA payment: creditor and notice as numbers (11 and 18 digits).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Notice {
    pub creditor: u64,
    pub code: u64,
}

impl Notice {
    /// From the digits of the request, which are already checked.
    pub fn parse(creditor: &str, code: &str) -> Option<Notice> {
        let digits = |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(creditor, 11) || !digits(code, 18) {
            return None;
        }
        Some(Notice { creditor: creditor.parse().ok()?, code: code.parse().ok()? })
    }

    /// The 11 digits of the creditor.
    pub fn creditor_text(&self) -> String {
        format!("{:011}", self.creditor)
    }

    /// The 18 digits of the notice.
    pub fn code_text(&self) -> String {
        format!("{:018}", self.code)
    }
}

/// What the address orders (`send.md` 10 and `docs/sandbox.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paper {
    Delivered,
    Refused,
    Untraceable,
    DiscoveredThenDelivered,
    DiscoveredThenUntraceable,
    Stored,
    Unaccounted,
    ForceMajeure,
    Deceased,
}

/// The letter that goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    Ar,
    Act890,
    Foreign,
}

/// One recipient, as far as the story and the price need.
#[derive(Debug)]
pub struct Recipient {
    pub tax_id: Box<str>,
    pub natural_person: bool,
    /// JSON object of the physical address, as sent.
    pub address: Box<str>,
    /// Special digital domicile, or empty.
    pub pec: Box<str>,
    pub pec_fails: bool,
    pub views: Option<Millis>,
    pub reworked: bool,
    pub paper: Paper,
    pub product: Product,
    /// Refusals that the address orders.
    pub refusals: &'static [&'static str],
    pub payments: Box<[(Notice, bool)]>,
    pub end: End,
    pub viewed_at: Millis,
    pub refined_at: Millis,
    /// Date of the scheduled refinement, 0 until known.
    pub term: Millis,
}

/// A file named by a request.
#[derive(Debug)]
pub struct FileRef {
    pub key: Box<str>,
    pub version: Box<str>,
    pub sha256: Sha256,
    pub document: bool,
}

/// Where a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Waiting,
    Accepted,
    Refused,
}

/// One asynchronous refusal reason.
#[derive(Debug)]
pub struct Refusal {
    pub code: &'static str,
    pub detail: String,
    pub rec: u8,
}

/// One notification request, and what became of it.
#[derive(Debug)]
pub struct Notification {
    pub pa: u32,
    pub iun: Box<str>,
    pub protocol: Box<str>,
    pub token: Box<str>,
    pub group: Box<str>,
    /// The request as accepted (defaults and `docIdx` filled in): JSON members, without the outer braces.
    pub request: Box<str>,
    pub flat_rate: bool,
    pub async_mode: bool,
    pub pa_fee: u8,
    pub vat: u8,
    pub recipients: Box<[Recipient]>,
    pub files: Box<[FileRef]>,
    pub timeline: Vec<Element>,
    /// How many elements of `timeline` have happened; the rest is planned.
    pub emitted: usize,
    pub status: Status,
    pub phase: Phase,
    pub cancelling: bool,
    pub sent_at: Millis,
    pub refusals: Vec<Refusal>,
    /// Due instant of its entry in the timers.
    pub due: Millis,
}

impl Notification {
    /// The elements that happened.
    pub fn past(&self) -> &[Element] {
        self.timeline.get(..self.emitted).unwrap_or_default()
    }

    /// Paper cost of a recipient so far, euro cents net of VAT.
    pub fn paper_cost(&self, rec: u8) -> i64 {
        let letter =
            |element: &&Element| element.rec == rec && matches!(element.category, Category::SendAnalog | Category::SendSimpleLetter);
        self.past().iter().filter(letter).map(|element| i64::from(element.cost)).sum()
    }

    /// Whether the key's groups let it see this notification.
    pub fn visible_to(&self, groups: &[String]) -> bool {
        groups.is_empty() || groups.iter().any(|group| **group == *self.group)
    }
}

/// An uploaded or promised file.
#[derive(Debug)]
pub struct Upload {
    pub pa: u32,
    pub sha256: Sha256,
    pub json: bool,
    pub by_post: bool,
    pub secret: Box<str>,
    pub done: Option<Uploaded>,
}

/// What was kept of the bytes.
#[derive(Debug, Clone)]
pub struct Uploaded {
    pub version: Box<str>,
    pub sha256: Sha256,
    pub size: u64,
    /// Begins with `%PDF-`.
    pub pdf: bool,
    pub pages: u32,
    /// F24 metadata of an acceptable shape.
    pub f24: bool,
    pub at: Millis,
    /// The same in real time: retention never strikes within a real minute.
    pub real_at: Millis,
}

/// Notices in use over the whole platform.
pub type Notices = HashMap<Notice, u32>;

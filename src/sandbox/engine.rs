//! The platform's memory and its time: requests in, elements out when their business instant comes.
//!
//! One mutex, held for short sections and never across an await; one task drives a heap of due instants.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use jiff::tz::TimeZone;

use super::model::{Category, Element, End, MINUTE, Millis, NOBODY, Notice, Notices, Notification, Phase, Refusal, Status, Upload};
use super::pt::{DebtChange, DebtState, Debts};
use super::stories;
use super::streams::{Event, Stream};

/// What one administration has on the platform.
#[derive(Debug)]
pub struct Pa {
    pub tax_id: Box<str>,
    pub streams: Vec<Stream>,
    /// Business month (`YYYYMM`) and notifications counted in it.
    pub month: u32,
    pub sent_in_month: u32,
    pub light_mail_only: bool,
}

/// Everything that is not configuration.
#[derive(Debug, Default)]
pub struct State {
    pub pas: Vec<Pa>,
    pub pa_by_tax_id: HashMap<Box<str>, u32>,
    pub notifications: Vec<Notification>,
    pub by_iun: HashMap<Box<str>, u32>,
    /// `senderPaId##paProtocolNumber##idempotenceToken`.
    pub by_token: HashMap<Box<str>, u32>,
    pub by_notice: Notices,
    pub uploads: HashMap<Box<str>, Upload>,
    pub cold_facts_asked: HashSet<(u32, u32)>,
    timers: BinaryHeap<Reverse<(Millis, u32)>>,
    iun_counter: u64,
}

/// Where emitted elements are told, besides the streams.
pub type Told = Vec<(u32, u32)>;

/// Why a request was not taken.
#[derive(Debug)]
pub struct Conflict(pub Vec<&'static str>);

impl State {
    /// The administration with this tax id, made on first sight.
    pub fn pa(&mut self, tax_id: &str, light_mail_only: bool) -> u32 {
        if let Some(index) = self.pa_by_tax_id.get(tax_id) {
            return *index;
        }
        let index = u32::try_from(self.pas.len()).unwrap_or(u32::MAX);
        self.pas.push(Pa { tax_id: tax_id.into(), streams: Vec::new(), month: 0, sent_in_month: 0, light_mail_only });
        self.pa_by_tax_id.insert(tax_id.into(), index);
        index
    }

    /// One notification.
    pub fn notification(&self, index: u32) -> Option<&Notification> {
        self.notifications.get(index as usize)
    }

    /// The notification of this IUN, accepted, of this administration and visible to these groups.
    pub fn accepted(&self, iun: &str, pa: u32, groups: &[String]) -> Option<(u32, &Notification)> {
        let index = *self.by_iun.get(iun)?;
        let note = self.notification(index)?;
        (note.pa == pa && note.phase == Phase::Accepted && note.visible_to(groups)).then_some((index, note))
    }

    /// A free IUN of this year and month (`YYYYMM`).
    fn fresh_iun(&mut self, month: u32, seed: u64) -> Box<str> {
        loop {
            self.iun_counter += 1;
            let iun = compose_iun(super::faults::mix(seed ^ self.iun_counter), month);
            if !self.by_iun.contains_key(iun.as_str()) {
                return iun.into();
            }
        }
    }

    /// Takes a request whose synchronous checks passed, in one transaction over the three uniqueness keys: its IUN, and
    /// whether it is now the next to move.
    pub fn submit(&mut self, mut note: Notification, month: u32, seed: u64) -> Result<(Box<str>, bool), Conflict> {
        let pa = self.pas.get(note.pa as usize).map(|pa| pa.tax_id.clone()).unwrap_or_default();
        let token_key = token_key(&pa, &note.protocol, &note.token);
        let mut conflicts = Vec::new();
        if self.by_token.contains_key(token_key.as_str()) {
            conflicts.push("Duplicated notification for senderPaId##paProtocolNumber##idempotenceToken");
        }
        let notices = || note.recipients.iter().flat_map(|recipient| recipient.payments.iter().map(|(notice, _)| *notice));
        if notices().any(|notice| self.by_notice.contains_key(&notice)) {
            conflicts.push("Duplicated notification for creditorTaxId##noticeCode");
        }
        if !conflicts.is_empty() {
            return Err(Conflict(conflicts));
        }
        let index = u32::try_from(self.notifications.len()).unwrap_or(u32::MAX);
        for notice in note.recipients.iter().flat_map(|recipient| recipient.payments.iter().map(|(notice, _)| *notice)) {
            self.by_notice.insert(notice, index);
        }
        let iun = self.fresh_iun(month, seed);
        note.iun = iun.clone();
        note.timeline = stories::validation(note.recipients.len(), note.sent_at);
        self.by_token.insert(token_key.into(), index);
        self.by_iun.insert(iun.clone(), index);
        self.notifications.push(note);
        self.arm(index);
        let next = matches!(self.timers.peek(), Some(Reverse((_, first))) if *first == index);
        Ok((iun, next))
    }

    /// Sets the timer of a notification at its next planned element.
    fn arm(&mut self, index: u32) {
        let Some(note) = self.notifications.get_mut(index as usize) else { return };
        let Some(next) = note.timeline.get(note.emitted) else {
            note.due = 0;
            return;
        };
        note.due = next.seen;
        self.timers.push(Reverse((next.seen, index)));
    }

    /// The earliest due instant.
    pub fn next_due(&self) -> Option<Millis> {
        self.timers.peek().map(|Reverse((due, _))| *due)
    }

    /// Lets happen what is due at `now`, at most `limit` notifications; true when more is due.
    pub fn advance(&mut self, now: Millis, limit: usize, context: &Context<'_>, told: &mut Told) -> bool {
        for _ in 0..limit {
            match self.timers.peek() {
                Some(Reverse((due, _))) if *due <= now => {}
                _ => return false,
            }
            let Some(Reverse((due, index))) = self.timers.pop() else { return false };
            // A timer left behind by a change of plan: another one is set.
            if self.notification(index).is_none_or(|note| note.due != due) {
                continue;
            }
            while self.notification(index).and_then(|note| note.timeline.get(note.emitted)).is_some_and(|next| next.seen <= now) {
                self.emit(index, context, told);
            }
            self.arm(index);
        }
        true
    }

    /// Puts an element at the present and lets it happen.
    pub fn happen(&mut self, index: u32, element: Element, context: &Context<'_>, told: &mut Told) {
        if let Some(note) = self.notifications.get_mut(index as usize) {
            let emitted = note.emitted.min(note.timeline.len());
            note.timeline.insert(emitted, element);
            self.emit(index, context, told);
        }
    }

    /// Lets the next planned element happen.
    fn emit(&mut self, index: u32, context: &Context<'_>, told: &mut Told) {
        let State { notifications, by_notice, uploads, pas, .. } = self;
        let Some(note) = notifications.get_mut(index as usize) else { return };
        let position = note.emitted;
        if note.timeline.get(position).is_some_and(|element| element.category == Category::RequestAccepted) {
            let light = pas.get(note.pa as usize).is_some_and(|pa| pa.light_mail_only);
            answer(note, uploads, light, context);
        }
        let Some(mut element) = note.timeline.get(position).copied() else { return };
        let before = note.status;
        settle(note, &mut element);
        element.status = note.status;
        if let Some(slot) = note.timeline.get_mut(position) {
            *slot = element;
        }
        note.emitted += 1;
        if let Some(debts) = context.debts.filter(|_| note.async_mode) {
            write_fees(debts, note, element.category, context.now);
        }
        if matches!(element.category, Category::RequestRefused | Category::Cancelled) {
            for recipient in &note.recipients {
                for (notice, _) in &recipient.payments {
                    by_notice.remove(notice);
                }
            }
        }
        let position = u32::try_from(position).unwrap_or(u32::MAX);
        told.push((index, position));
        let changed = note.status != before || element.category == Category::RequestAccepted;
        if let Some(pa) = pas.get_mut(note.pa as usize) {
            if element.category == Category::RequestRefused {
                pa.sent_in_month = pa.sent_in_month.saturating_sub(1);
            }
            for stream in &mut pa.streams {
                if stream.wants(&element, changed, &note.group) {
                    stream.push(Event {
                        id: 0,
                        notification: index,
                        element: position,
                        at: element.seen,
                        real_at: context.real_now,
                        again: false,
                    });
                }
            }
        }
    }

    /// Asks for the cancellation of an accepted notification; the code of the answer.
    pub fn cancel(&mut self, index: u32, now: Millis, context: &Context<'_>, told: &mut Told) -> &'static str {
        let Some(note) = self.notifications.get_mut(index as usize) else { return "NOTIFICATION_REFUSED" };
        if note.cancelling {
            return "NOTIFICATION_ALREADY_CANCELLED";
        }
        note.cancelling = true;
        stories::inhibit(&mut note.timeline, note.emitted, now, None);
        let done = Element::new(Category::Cancelled, NOBODY, now + 10 * MINUTE);
        let place = note.emitted + note.timeline.iter().skip(note.emitted).take_while(|planned| planned.seen <= done.seen).count();
        note.timeline.insert(place, done);
        self.happen(index, Element::new(Category::CancellationRequest, NOBODY, now), context, told);
        self.arm(index);
        "NOTIFICATION_CANCELLATION_ACCEPTED"
    }

    /// Notes the payment of a notice; false when nobody uses it.
    pub fn pay(&mut self, notice: Notice, amount: i32, paid_at: Millis, context: &Context<'_>, told: &mut Told) -> bool {
        let Some(index) = self.by_notice.get(&notice).copied() else { return false };
        let Some(note) = self.notification(index) else { return false };
        if note.phase != Phase::Accepted {
            return false;
        }
        let found = note
            .recipients
            .iter()
            .enumerate()
            .find_map(|(rec, recipient)| recipient.payments.iter().position(|(mine, _)| *mine == notice).map(|payment| (rec, payment)));
        let Some((rec, payment)) = found else { return false };
        let mut element = Element::new(Category::Payment, u8::try_from(rec).unwrap_or(NOBODY), paid_at);
        element.idx = u8::try_from(payment).unwrap_or(u8::MAX);
        element.cost = amount;
        element.seen = context.now;
        self.happen(index, element, context, told);
        true
    }
}

/// What emission needs to know from outside.
#[derive(Debug)]
pub struct Context<'a> {
    pub now: Millis,
    /// Real time, for retention floors.
    pub real_now: Millis,
    pub rome: &'a TimeZone,
    /// Business time after which an unused upload is gone.
    pub file_retention: Millis,
    /// What GPD has, when it is simulated too: ASYNC looks for its positions there and writes the cost on them.
    pub debts: Option<&'a Debts>,
}

/// The key of `by_token`.
pub fn token_key(pa: &str, protocol: &str, token: &str) -> String {
    format!("{pa}##{protocol}##{token}")
}

/// The asynchronous checks; then the plan of deliveries, or the refusal.
fn answer(note: &mut Notification, uploads: &HashMap<Box<str>, Upload>, light: bool, context: &Context<'_>) {
    let refusals = asynchronous_checks(note, uploads, light, context);
    let Some(element) = note.timeline.get_mut(note.emitted) else { return };
    if refusals.is_empty() {
        note.phase = Phase::Accepted;
        let accepted_at = element.seen;
        let mut plan = stories::delivery(&note.recipients, accepted_at, context.rome);
        note.timeline.reserve_exact(plan.len());
        note.timeline.append(&mut plan);
    } else {
        element.category = Category::RequestRefused;
        element.cost = i32::try_from(note.recipients.len() * 100).unwrap_or(i32::MAX);
        note.timeline.truncate(note.emitted + 1);
        note.phase = Phase::Refused;
        note.refusals = refusals;
    }
}

fn asynchronous_checks(note: &Notification, uploads: &HashMap<Box<str>, Upload>, light: bool, context: &Context<'_>) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    let mut refuse = |code, detail: String, rec| refusals.push(Refusal { code, detail, rec });
    let mut pages = Vec::new();
    for file in &note.files {
        let found = uploads.get(&file.key).filter(|upload| upload.pa == note.pa);
        let Some((upload, done)) =
            found.and_then(|upload| Some((upload, upload.done.as_ref()?))).filter(|(_, done)| done.version == file.version)
        else {
            refuse("FILE_NOTFOUND", format!("Allegato non trovato. fileKey={}", file.key), NOBODY);
            continue;
        };
        let unused_too_long = done.at + context.file_retention < note.sent_at && done.real_at + MINUTE < context.real_now;
        if unused_too_long {
            refuse("FILE_NOTFOUND", format!("Allegato non trovato. fileKey={}", file.key), NOBODY);
        } else if done.sha256 != file.sha256 {
            refuse("FILE_SHA_ERROR", format!("Validazione fallita, sha256 diverso da quello dichiarato. fileKey={}", file.key), NOBODY);
        } else if !upload.json && done.size > 200 * 1024 * 1024 {
            refuse("FILE_PDF_TOOBIG_ERROR", format!("Il file supera i 200 MB. fileKey={}", file.key), NOBODY);
        } else if !upload.json && !done.pdf {
            refuse("FILE_PDF_INVALID_ERROR", format!("Il file non è un PDF. fileKey={}", file.key), NOBODY);
        } else if upload.json && !done.f24 {
            refuse("F24_METADATA_NOT_VALID", format!("I metadati F24 non rispettano lo schema. fileKey={}", file.key), NOBODY);
        }
        if file.document {
            pages.push(done.pages);
        }
    }
    let attachments = note.files.iter().any(|file| !file.document);
    let heavy = match pages.as_slice() {
        [one] => *one > 4,
        [one, two] => *one > 2 || *two > 2,
        _ => pages.len() > 2,
    };
    if light && (attachments || heavy) {
        refuse("SENDER_DISABLED_MORE_THAN_20_GRAMS", "Il mittente non è abilitato a invii superiori a 20 grammi".to_owned(), NOBODY);
    }
    for (rec, recipient) in note.recipients.iter().enumerate() {
        let rec = u8::try_from(rec).unwrap_or(NOBODY);
        for code in recipient.refusals {
            let detail = match *code {
                "TAXID_NOT_VALID" => "Il codice fiscale del destinatario non risulta valido".to_owned(),
                _ => format!("L'indirizzo del destinatario {rec} non ha superato i controlli di correttezza"),
            };
            refuse(*code, detail, rec);
        }
    }
    if note.async_mode {
        let mut notices = note.recipients.iter().flat_map(|recipient| recipient.payments.iter()).peekable();
        if notices.peek().is_none() {
            refuse("PAYMENT_NOT_VALID", "Modalità ASYNC senza pagamenti".to_owned(), NOBODY);
        }
        let missing = |notice: &Notice| match context.debts {
            Some(debts) => debts.get(&notice.creditor_text(), &notice.code_text()).is_none(),
            None => notice.code / 1_000_000_000_000 == 302_012,
        };
        for (notice, _) in notices.filter(|(notice, _)| missing(notice)) {
            refuse("PAYMENT_NOT_VALID", format!("Posizione debitoria non trovata in GPD: avviso {:018}", notice.code), NOBODY);
        }
    }
    refusals
}

/// ASYNC: the cost goes on the positions when it is known and whenever it grows, and comes off when the notification falls.
/// A position that was paid meanwhile keeps what it had.
fn write_fees(debts: &Debts, note: &Notification, category: Category, now: Millis) {
    use Category as C;
    let fallen = matches!(category, C::RequestRefused | C::Cancelled);
    if !fallen && !matches!(category, C::RequestAccepted | C::SendAnalog | C::SendSimpleLetter) {
        return;
    }
    let mut debts = debts.lock();
    for (rec, recipient) in note.recipients.iter().enumerate() {
        let paper = note.paper_cost(u8::try_from(rec).unwrap_or(NOBODY));
        for (notice, apply) in &recipient.payments {
            let fee = if fallen || note.flat_rate || !apply { 0 } else { super::price::total(paper, note.vat, note.pa_fee) };
            let debt = debts.get_mut(&(notice.creditor_text(), notice.code_text()));
            if let Some(debt) = debt.filter(|debt| debt.fee != fee && matches!(debt.state, DebtState::Unpaid | DebtState::Draft)) {
                debt.fee = fee;
                debt.changes.push(DebtChange { at: now, amount: debt.amount, fee });
            }
        }
    }
}

/// Applies an element to recipient and status (`send.md` 5), and fills in what is known only now.
fn settle(note: &mut Notification, element: &mut Element) {
    use Category as C;
    use Status as S;
    let rec = element.rec;
    let base = 100 + note.paper_cost(rec);
    let cost = i32::try_from(base).unwrap_or(i32::MAX);
    if let Some(recipient) = note.recipients.get_mut(usize::from(rec)) {
        match element.category {
            C::AnalogSuccess | C::DigitalDeliveryCreation => recipient.end = End::Reached,
            C::CompletelyUnreachable => recipient.end = End::Unreachable,
            C::RecipientDeceased => {
                recipient.end = End::Deceased;
                element.cost = cost;
            }
            C::ScheduleRefinement => recipient.term = element.date,
            C::Refinement => {
                recipient.refined_at = element.at;
                element.cost = cost;
            }
            C::Viewed => {
                element.cost = if recipient.refined_at == 0 { cost } else { 0 };
                recipient.viewed_at = if recipient.viewed_at == 0 { element.at } else { recipient.viewed_at };
            }
            _ => {}
        }
    }
    if element.category == C::Reworked {
        withdraw(note, rec);
    }
    if element.category == C::Cancelled {
        let open = note.recipients.iter().filter(|recipient| recipient.refined_at == 0 && recipient.viewed_at == 0).count();
        element.cost = i32::try_from(open * 100).unwrap_or(i32::MAX);
    }
    let ends = |wanted| note.recipients.iter().filter(|recipient| recipient.end == wanted).count();
    let several = note.recipients.len() > 1;
    let all_ended = ends(End::Open) == 0;
    note.status = match (note.status, element.category) {
        (S::Cancelled, _) | (S::Refused, _) => note.status,
        (_, C::RequestAccepted) => S::Accepted,
        (_, C::RequestRefused) => S::Refused,
        (_, C::Cancelled) => S::Cancelled,
        (S::Accepted, C::SendDigital | C::SendAnalog) => S::Delivering,
        (S::Accepted | S::Delivering | S::Delivered | S::Unreachable | S::EffectiveDate, C::Viewed) => S::Viewed,
        (S::Accepted | S::Delivering | S::Viewed, C::RecipientDeceased) if ends(End::Deceased) == note.recipients.len() => {
            S::ReturnedToSender
        }
        (S::Delivering, C::DigitalDeliveryCreation | C::AnalogSuccess | C::CompletelyUnreachable | C::RecipientDeceased) if all_ended => {
            if ends(End::Reached) > 0 {
                S::Delivered
            } else {
                S::Unreachable
            }
        }
        (S::Delivered | S::Unreachable, C::Refinement) => S::EffectiveDate,
        (S::Delivering, C::Refinement) if several => S::EffectiveDate,
        (status, _) => status,
    };
}

/// Marks the outcome of a recipient, and what followed from it, as withdrawn by a correction.
fn withdraw(note: &mut Notification, rec: u8) {
    let emitted = note.emitted;
    let attempt = note.timeline.get(emitted).map_or(0, |element| element.attempt);
    for element in note.timeline.iter_mut().take(emitted).filter(|element| element.rec == rec) {
        element.void |= match element.category {
            Category::AnalogFeedback => element.attempt == attempt,
            Category::AnalogSuccess | Category::ScheduleRefinement | Category::Refinement => true,
            _ => false,
        };
    }
    if let Some(recipient) = note.recipients.get_mut(usize::from(rec)) {
        recipient.refined_at = 0;
        recipient.term = 0;
    }
}

const IUN_ALPHABET: &[u8; 20] = b"ADEGHJKLMNPQRTUVWXYZ";

/// Twelve letters of `random`, year and month, check letter, version (`send.md` 4).
fn compose_iun(mut random: u64, month: u32) -> String {
    let mut iun = String::with_capacity(25);
    let mut sum = 0usize;
    for position in 0..12 {
        let letter = (random % 20) as usize;
        random /= 20;
        iun.push(char::from(IUN_ALPHABET.get(letter).copied().unwrap_or(b'A')));
        sum += letter + 1;
        if position % 4 == 3 {
            iun.push('-');
        }
    }
    let month = format!("{month:06}");
    sum += month.bytes().map(|digit| usize::from(digit.saturating_sub(b'0'))).sum::<usize>();
    let check = char::from(IUN_ALPHABET.get(sum % 20).copied().unwrap_or(b'A'));
    iun + &month + "-" + check.encode_utf8(&mut [0; 4]) + "-1"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_letter_is_that_of_a_real_iun() {
        // LJLH-GNTJ-DVXR-202209-J-1, printed in the SEND documentation.
        let letters = "LJLHGNTJDVXR";
        let mut random = 0u64;
        for letter in letters.bytes().rev() {
            random = random * 20 + IUN_ALPHABET.iter().position(|known| *known == letter).unwrap() as u64;
        }
        assert_eq!(compose_iun(random, 202_209), "LJLH-GNTJ-DVXR-202209-J-1");
    }
}

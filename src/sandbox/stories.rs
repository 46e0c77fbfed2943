//! Delivery stories: what will happen to a recipient, decided at acceptance from the address and the PEC, as in UAT
//! (`send.md` 10). Pure: the plan is a list of elements with their business instants.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::model::{Category, DAY, Element, HOUR, MINUTE, Millis, Paper, Recipient};
use super::postal::Codes;

/// Reads the orders hidden in the street and in the digital address.
pub fn script(street: &str, pec: &str) -> Script {
    let street = street.to_uppercase();
    let has = |word: &str| street.contains(word);
    let paper = if has("@FAIL-DISCOVERYIRREPERIBILE") {
        Paper::DiscoveredThenUntraceable
    } else if has("@FAIL-DISCOVERY") {
        Paper::DiscoveredThenDelivered
    } else if has("@FAIL-IRREPERIBILE") {
        Paper::Untraceable
    } else if has("@OK-GIACENZA") {
        Paper::Stored
    } else if has("@OK-NONRENDICONTABILE") {
        Paper::Unaccounted
    } else if has("@OK-CAUSAFORZAMAGGIORE") {
        Paper::ForceMajeure
    } else if has("@DECEDUTO") {
        Paper::Deceased
    } else if has("@FAIL_AR") || has("@FAIL_890") {
        Paper::Refused
    } else {
        Paper::Delivered
    };
    let refusals: &[&str] = match (has("@FAIL-INDIRIZZO"), has("@FAIL-TAXID")) {
        (true, true) => &["NOT_VALID_ADDRESS", "TAXID_NOT_VALID"],
        (true, false) => &["NOT_VALID_ADDRESS"],
        (false, true) => &["TAXID_NOT_VALID"],
        (false, false) => &[],
    };
    let pec = pec.to_lowercase();
    let (local, domain) = pec.split_once('@').unwrap_or((&pec, ""));
    Script {
        paper,
        refusals,
        pec_fails: domain.starts_with("fail."),
        views: if local.starts_with("visione-subito") {
            Some(MINUTE)
        } else {
            (has("@VISIONE") || local.starts_with("visione")).then_some(6 * HOUR)
        },
        reworked: has("@REWORK"),
    }
}

/// What an address orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Script {
    pub paper: Paper,
    pub refusals: &'static [&'static str],
    pub pec_fails: bool,
    /// The recipient opens it, this long after a digital delivery.
    pub views: Option<Millis>,
    pub reworked: bool,
}

/// The elements before the answer: the last is always `REQUEST_ACCEPTED`, which the engine turns into a refusal.
pub fn validation(recipients: usize, sent_at: Millis) -> Vec<Element> {
    let mut plan = vec![Element::new(Category::ValidateAddresses, super::model::NOBODY, sent_at + MINUTE)];
    for rec in 0..u8::try_from(recipients).unwrap_or(u8::MAX) {
        plan.push(Element::new(Category::NormalizedAddress, rec, sent_at + 2 * MINUTE));
    }
    plan.push(Element::new(Category::SenderAckCreationRequest, super::model::NOBODY, sent_at + 3 * MINUTE));
    plan.push(Element::new(Category::RequestAccepted, super::model::NOBODY, sent_at + 4 * MINUTE));
    plan
}

/// Everything that follows the acceptance for all recipients, in the order in which SEND learns of it.
pub fn delivery(recipients: &[Recipient], accepted_at: Millis, rome: &TimeZone) -> Vec<Element> {
    let mut plan = Vec::with_capacity(recipients.len() * 18);
    for (rec, recipient) in recipients.iter().enumerate() {
        let mut story = Story { rec: u8::try_from(rec).unwrap_or(u8::MAX), recipient, now: accepted_at, out: Vec::with_capacity(20) };
        story.tell(rome);
        plan.append(&mut story.out);
    }
    plan.sort_by_key(|element| element.seen);
    plan
}

struct Story<'a> {
    rec: u8,
    recipient: &'a Recipient,
    now: Millis,
    out: Vec<Element>,
}

impl Story<'_> {
    fn tell(&mut self, rome: &TimeZone) {
        self.after(MINUTE, Category::AarCreationRequest);
        self.after(MINUTE, Category::AarGeneration);
        self.after(MINUTE, Category::GetAddress).ok = false;
        if self.recipient.pec.is_empty() {
            let call = self.after(MINUTE, Category::PublicRegistryCall);
            call.ok = true; // asks for a general digital domicile
            self.after(2 * MINUTE, Category::PublicRegistryResponse).ok = false;
            self.after(MINUTE, Category::ScheduleAnalog).date = self.now + HOUR;
            self.paper();
        } else {
            self.after(MINUTE, Category::GetAddress).idx = 1; // the special domicile, after the missing one of the platform
            self.digital(rome);
        }
        if let Some(later) = self.recipient.views {
            self.view(later);
        }
    }

    /// Adds an element `wait` after the previous one.
    fn after(&mut self, wait: Millis, category: Category) -> &mut Element {
        self.now += wait;
        let element = Element::new(category, self.rec, self.now);
        self.push(element)
    }

    fn push(&mut self, element: Element) -> &mut Element {
        self.out.push(element);
        let last = self.out.len() - 1;
        #[expect(clippy::indexing_slicing, reason = "the element was pushed just above")]
        &mut self.out[last]
    }

    fn digital(&mut self, rome: &TimeZone) {
        if self.digital_attempt(0) {
            self.now += MINUTE;
            let late = Timestamp::from_millisecond(self.now).map(|at| at.to_zoned(rome.clone()).hour() >= 21).unwrap_or(false);
            let delivered_at = self.now;
            self.after(MINUTE, Category::DigitalDeliveryCreation);
            self.after(3 * MINUTE, Category::DigitalSuccess);
            self.refine(delivered_at + if late { 8 } else { 7 } * DAY);
            return;
        }
        let failed_at = self.now;
        let schedule = self.after(MINUTE, Category::ScheduleDigital);
        schedule.attempt = 1;
        schedule.date = failed_at + 7 * DAY;
        self.now = failed_at + 7 * DAY;
        self.after(MINUTE, Category::PrepareDigital).attempt = 1;
        self.digital_attempt(1);
        self.after(MINUTE, Category::DigitalDeliveryCreation).ok = false;
        self.after(3 * MINUTE, Category::DigitalFailure);
        let term = self.now + 15 * DAY;
        let codes = Codes::of(self.recipient.product);
        self.after(MINUTE, Category::PrepareSimpleLetter);
        self.refine(term);
        self.after(2 * HOUR, Category::SendSimpleLetter).cost = codes.simple_cost;
        let printed = self.after(DAY, Category::SimpleLetterProgress);
        printed.idx = 1;
        printed.code = "CON080";
        let delivered = self.after(2 * DAY, Category::SimpleLetterProgress);
        delivered.idx = 2;
        delivered.code = codes.simple_delivered;
    }

    fn digital_attempt(&mut self, attempt: u8) -> bool {
        let ok = !self.recipient.pec_fails;
        self.after(MINUTE, Category::SendDigital).attempt = attempt;
        let taken = self.after(2 * MINUTE, Category::DigitalProgress);
        taken.attempt = attempt;
        taken.idx = 1;
        taken.code = "C001";
        let answer = self.after(15 * MINUTE, Category::DigitalFeedback);
        answer.attempt = attempt;
        answer.ok = ok;
        answer.code = if ok { "C003" } else { "C004" };
        answer.cause = if ok { "" } else { "C004" };
        ok
    }

    fn paper(&mut self) {
        let codes = Codes::of(self.recipient.product);
        let paper = self.recipient.paper;
        self.now += HOUR;
        match paper {
            Paper::Delivered => self.letter(0, "", codes.delivered, "", true),
            Paper::ForceMajeure => self.letter(0, codes.force_majeure, codes.delivered, "", true),
            Paper::Unaccounted => self.letter(0, codes.unaccounted, codes.delivered, "", true),
            Paper::Stored => self.letter(0, codes.storage, codes.collected, "", true),
            Paper::Refused => self.letter(0, "", codes.undelivered, "M05", true),
            Paper::Deceased => {
                self.letter(0, "", codes.undelivered, "M02", true);
                self.after(MINUTE, Category::RecipientDeceased);
                return;
            }
            Paper::Untraceable => {
                self.letter(0, "", codes.untraceable, "M01", false);
                self.ask_registry(false);
                let failure = self.after(MINUTE, Category::PrepareAnalogFailure);
                failure.attempt = 1;
                failure.cause = "D00";
                return self.unreachable();
            }
            Paper::DiscoveredThenDelivered => {
                self.letter(0, "", codes.untraceable, "M01", false);
                self.ask_registry(true);
                self.letter(1, "", codes.delivered, "", true);
            }
            Paper::DiscoveredThenUntraceable => {
                self.letter(0, "", codes.untraceable, "M01", false);
                self.ask_registry(true);
                self.letter(1, "", codes.untraceable, "M01", false);
                return self.unreachable();
            }
        }
        let delivered_at = self.out.last().map_or(self.now, |element| element.at);
        let attempt = self.out.last().map_or(0, |element| element.attempt);
        self.after(MINUTE, Category::AnalogSuccess);
        self.refine(delivered_at + 10 * DAY);
        if self.recipient.reworked {
            self.rework(attempt, delivered_at, codes);
        }
    }

    /// One letter: handed over, printed, reported on, with its outcome as last element.
    fn letter(&mut self, attempt: u8, midway: &'static str, code: &'static str, cause: &'static str, ok: bool) {
        let codes = Codes::of(self.recipient.product);
        self.after(MINUTE, Category::PrepareAnalog).attempt = attempt;
        let sent = self.after(4 * HOUR, Category::SendAnalog);
        sent.attempt = attempt;
        sent.cost = codes.cost;
        let mut idx = 0;
        let mut progress = |story: &mut Self, wait: Millis, code: &'static str| {
            idx += 1;
            let element = story.after(wait, Category::AnalogProgress);
            element.attempt = attempt;
            element.idx = idx;
            element.code = code;
        };
        progress(self, 18 * HOUR, "CON080");
        progress(self, HOUR, "CON020");
        if !midway.is_empty() {
            progress(self, DAY, midway);
        }
        progress(self, DAY, if code == codes.delivered { codes.delivered_scan } else { codes.other_scan });
        // The scan and the outcome are of the same moment; SEND learns of it a few hours late.
        let outcome = self.after(MINUTE, Category::AnalogFeedback);
        outcome.attempt = attempt;
        outcome.code = code;
        outcome.cause = cause;
        outcome.ok = ok;
        outcome.seen += 3 * HOUR;
        self.now += 3 * HOUR;
    }

    fn ask_registry(&mut self, found: bool) {
        let call = self.after(MINUTE, Category::PublicRegistryCall);
        call.attempt = 1;
        call.ok = false; // asks for a physical address
        let answer = self.after(5 * MINUTE, Category::PublicRegistryResponse);
        answer.attempt = 1;
        answer.ok = found;
    }

    fn unreachable(&mut self) {
        self.after(MINUTE, Category::AnalogFailure);
        let failed_at = self.now;
        self.after(MINUTE, Category::UnreachableCreation).ok = false;
        self.after(5 * MINUTE, Category::CompletelyUnreachable);
        self.refine(failed_at + 10 * DAY);
    }

    /// Plans the completion at `term`; the story's own time stays where it is.
    fn refine(&mut self, term: Millis) {
        self.after(MINUTE, Category::ScheduleRefinement).date = term;
        self.push(Element::new(Category::Refinement, self.rec, term));
    }

    /// Support corrects the postal outcome after the completion: the letter had been delivered a day later.
    fn rework(&mut self, attempt: u8, delivered_at: Millis, codes: &Codes) {
        let began = delivered_at + 12 * DAY;
        let really = delivered_at + DAY;
        let rec = self.rec;
        for (minutes, category, at) in [
            (0, Category::Reworked, began),
            (1, Category::AnalogFeedback, really),
            (2, Category::AnalogSuccess, really),
            (3, Category::ScheduleRefinement, began + 3 * MINUTE),
            (4, Category::Refinement, really + 10 * DAY),
        ] {
            let mut element = Element::new(category, rec, at);
            element.seen = began + minutes * MINUTE;
            element.attempt = attempt;
            element.rework = u8::from(category != Category::Reworked);
            element.date = really + 10 * DAY;
            element.code = if category == Category::AnalogFeedback { codes.collected } else { "" };
            self.push(element);
        }
    }

    /// The recipient opens the notification: `later` than a digital delivery, a day after the first letter left.
    fn view(&mut self, later: Millis) {
        let first = |wanted: Category| self.out.iter().find(|element| element.category == wanted).map(|element| element.seen);
        let at = match (first(Category::DigitalSuccess), first(Category::SendAnalog)) {
            (Some(at), _) => at + later,
            (None, Some(at)) => at + DAY,
            (None, None) => self.out.iter().map(|element| element.seen).min().unwrap_or(self.now) + DAY,
        };
        inhibit(&mut self.out, 0, at, Some(self.rec));
        self.out.push(Element::new(Category::ViewedCreation, self.rec, at));
        let mut viewed = Element::new(Category::Viewed, self.rec, at);
        viewed.seen = at + MINUTE;
        self.out.push(viewed);
    }
}

/// Removes from the plan what no longer happens after `now`: sends not made and completions by term. Letters and mails
/// already handed over run their course. `rec = None`: for all recipients, and nothing but reports of sends remains.
pub fn inhibit(plan: &mut Vec<Element>, from: usize, now: Millis, rec: Option<u8>) {
    let mut sent = [0u32; 256];
    for element in plan.iter().filter(|element| element.seen <= now) {
        if matches!(element.category, Category::SendAnalog | Category::SendDigital | Category::SendSimpleLetter)
            && let Some(bits) = sent.get_mut(usize::from(element.rec))
        {
            *bits |= bit(element);
        }
    }
    let mut index = 0;
    plan.retain(|element| {
        let planned = index >= from;
        index += 1;
        if !planned || element.seen <= now || rec.is_some_and(|rec| rec != element.rec) {
            return true;
        }
        let report = matches!(
            element.category,
            Category::AnalogProgress
                | Category::AnalogFeedback
                | Category::DigitalProgress
                | Category::DigitalFeedback
                | Category::SimpleLetterProgress
        );
        if report {
            return element.rework == 0 && sent.get(usize::from(element.rec)).is_some_and(|bits| bits & bit(element) != 0);
        }
        rec.is_some()
            && element.rework == 0
            && matches!(
                element.category,
                Category::AnalogSuccess | Category::RecipientDeceased | Category::DigitalSuccess | Category::DigitalDeliveryCreation
            )
    });
}

fn bit(element: &Element) -> u32 {
    let kind = match element.category {
        Category::SendAnalog | Category::AnalogProgress | Category::AnalogFeedback => 0,
        Category::SendDigital | Category::DigitalProgress | Category::DigitalFeedback => 8,
        _ => 16,
    };
    1 << (kind + u32::from(element.attempt.min(7)))
}

#[cfg(test)]
mod tests {
    use super::super::model::{End, Product};
    use super::*;

    fn recipient(street: &str, pec: &str) -> Recipient {
        let script = script(street, pec);
        Recipient {
            tax_id: "RSSMRA80A01H501U".into(),
            natural_person: true,
            address: "{}".into(),
            pec: pec.into(),
            pec_fails: script.pec_fails,
            views: script.views,
            reworked: script.reworked,
            paper: script.paper,
            product: Product::Ar,
            refusals: script.refusals,
            payments: Box::default(),
            end: End::Open,
            viewed_at: 0,
            refined_at: 0,
            term: 0,
        }
    }

    #[test]
    fn an_address_tells_its_story() {
        let table: [(&str, &str, &[Category], &[Category]); 9] = [
            ("VIA ROMA 1", "", &[Category::AnalogSuccess, Category::Refinement], &[Category::SendDigital]),
            ("VIA ROMA 1", "prova@pec.it", &[Category::DigitalSuccess, Category::Refinement], &[Category::SendAnalog]),
            (
                "VIA ROMA 1",
                "prova@fail.it",
                &[Category::DigitalFailure, Category::SendSimpleLetter, Category::Refinement],
                &[Category::SendAnalog],
            ),
            ("VIA @FAIL-Irreperibile_AR", "", &[Category::CompletelyUnreachable, Category::Refinement], &[Category::AnalogSuccess]),
            ("VIA @FAIL-Discovery_AR", "", &[Category::AnalogSuccess, Category::Refinement], &[Category::CompletelyUnreachable]),
            ("VIA @FAIL-DiscoveryIrreperibile_AR", "", &[Category::CompletelyUnreachable], &[Category::AnalogSuccess]),
            ("VIA @DECEDUTO", "", &[Category::RecipientDeceased], &[Category::Refinement, Category::AnalogSuccess]),
            ("VIA @VISIONE", "", &[Category::Viewed], &[Category::Refinement]),
            ("VIA @REWORK", "", &[Category::Reworked, Category::Refinement], &[]),
        ];
        for (street, pec, there, absent) in table {
            let plan = delivery(&[recipient(street, pec)], 0, &TimeZone::UTC);
            let has = |wanted: &Category| plan.iter().any(|element| element.category == *wanted);
            assert!(there.iter().all(has), "{street} {pec}: {plan:?}");
            assert!(!absent.iter().any(has), "{street} {pec}: {plan:?}");
            assert!(plan.is_sorted_by_key(|element| element.seen), "{street} {pec}");
        }
    }

    #[test]
    fn terms_are_seven_ten_and_fifteen_days_from_their_event() {
        for (street, pec, from, days) in [
            ("VIA ROMA", "a@pec.it", Category::DigitalFeedback, 7),
            ("VIA ROMA", "a@fail.it", Category::DigitalFailure, 15),
            ("VIA ROMA", "", Category::AnalogFeedback, 10),
            ("VIA @FAIL-Irreperibile_AR", "", Category::AnalogFailure, 10),
        ] {
            let plan = delivery(&[recipient(street, pec)], 0, &TimeZone::UTC);
            let at = |wanted| plan.iter().rfind(|element| element.category == wanted).map(|element| element.at).unwrap();
            assert_eq!((at(Category::Refinement) - at(from)) / DAY, days, "{street} {pec}");
        }
    }

    #[test]
    fn what_is_stopped_leaves_letters_under_way_alone() {
        let mut plan = delivery(&[recipient("VIA ROMA", "")], 0, &TimeZone::UTC);
        let sent = plan.iter().find(|element| element.category == Category::SendAnalog).map(|element| element.seen).unwrap();
        inhibit(&mut plan, 0, sent + 1, None);
        let has = |wanted: Category| plan.iter().any(|element| element.category == wanted);
        assert!(has(Category::AnalogFeedback) && !has(Category::Refinement) && !has(Category::AnalogSuccess), "{plan:?}");
        let mut early = delivery(&[recipient("VIA ROMA", "")], 0, &TimeZone::UTC);
        inhibit(&mut early, 0, 0, None);
        assert!(early.is_empty(), "{early:?}");
    }
}

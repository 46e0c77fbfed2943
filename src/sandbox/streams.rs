//! Streams of events: filters, pages of fifty, confirmation by `lastEventId`, replacement (`send.md` 6).

use std::collections::VecDeque;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::engine::State;
use super::model::{Category, DAY, Element, MINUTE, Millis, Status};
use super::reply::{Problem, Reply};
use super::{App, auth::Caller, render};

/// Events in one page.
const PAGE: usize = 50;
/// How far the counter of a replacement begins after the replaced one's.
const REPLACEMENT_GAP: u64 = 1_000;
/// How long a disabled stream can still be read.
const DISABLED_FOR: Millis = 14 * DAY;

/// One event waiting in a stream.
#[derive(Debug, Clone, Copy)]
pub struct Event {
    pub id: u64,
    pub notification: u32,
    pub element: u32,
    pub at: Millis,
    pub real_at: Millis,
    /// The same element once more: it is not repeated again.
    pub again: bool,
}

/// One stream.
#[derive(Debug)]
pub struct Stream {
    pub id: Uuid,
    pub title: Box<str>,
    pub by_status: bool,
    pub groups: Vec<String>,
    pub filter_values: Vec<String>,
    pub wait_for_accepted: Option<bool>,
    pub activated_at: Millis,
    pub disabled_at: Option<Millis>,
    disabled_real: Millis,
    categories: u64,
    statuses: u16,
    next_id: u64,
    pub events: VecDeque<Event>,
    /// The last event that somebody has read: the same number is the same event ever after.
    told: u64,
    /// Real instant before which another reading is too early.
    not_before: Millis,
}

/// What a stream may do to its reader: order is by number only, and the same element may come under two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disturbance {
    /// Every event not yet read comes a second time, after the others.
    Duplicate,
    /// What happened last has the lowest number.
    Shuffle,
}

impl Stream {
    /// Whether an element goes into it.
    pub fn wants(&self, element: &Element, changed: bool, group: &str) -> bool {
        if self.disabled_at.is_some() || !(self.groups.is_empty() || self.groups.iter().any(|mine| mine == group)) {
            return false;
        }
        if self.by_status {
            changed && self.statuses & (1 << element.status as u16) != 0
        } else {
            self.categories & (1 << element.category as u64) != 0
        }
    }

    /// Appends an event under the next number; drops what nobody read for seven business days (and a real minute).
    pub fn push(&mut self, event: Event) {
        while self.events.front().is_some_and(|oldest| oldest.at + 7 * DAY < event.at && oldest.real_at + MINUTE < event.real_at) {
            self.events.pop_front();
        }
        self.next_id += 1;
        self.events.push_back(Event { id: self.next_id, ..event });
    }

    fn disable(&mut self, now: Millis) {
        (self.disabled_at, self.disabled_real) = (Some(now), App::real_now());
    }

    /// Disturbs the page that is about to be read, as far as nobody has read it before.
    fn disturb(&mut self, kind: Disturbance, now: Millis, real_now: Millis) {
        let page = self.events.len().min(PAGE);
        let first = self.events.iter().take(page).position(|event| event.id > self.told).unwrap_or(page);
        let fresh: Vec<Event> = self.events.range(first..page).copied().collect();
        match kind {
            Disturbance::Duplicate if self.disabled_at.is_none() => {
                for event in fresh.into_iter().filter(|event| !event.again) {
                    self.next_id += 1;
                    self.events.push_back(Event { id: self.next_id, at: now, real_at: real_now, again: true, ..event });
                }
            }
            // Nothing is added to a disabled stream.
            Disturbance::Duplicate => {}
            Disturbance::Shuffle => {
                for (event, other) in self.events.range_mut(first..page).zip(fresh.iter().rev()) {
                    *event = Event { id: event.id, ..*other };
                }
            }
        }
    }

    fn allows(&self, caller: &Caller) -> bool {
        let mine = &caller.groups;
        if mine.is_empty() {
            return true;
        }
        !self.groups.is_empty() && self.groups.iter().all(|group| mine.contains(group))
    }

    fn set_filter(&mut self, values: Vec<String>) {
        let (mut categories, mut statuses) = (0u64, 0u16);
        for value in &values {
            for category in
                Category::ALL.iter().filter(|category| value == category.as_str() || (value == "DEFAULT" && category.in_default_filter()))
            {
                categories |= 1 << *category as u64;
            }
            for status in Status::ALL.iter().filter(|status| value == status.as_str() || value == "DEFAULT") {
                statuses |= 1 << *status as u16;
            }
        }
        // Empty = everything this version knows.
        (self.categories, self.statuses) = if values.is_empty() { (u64::MAX, u16::MAX) } else { (categories, statuses) };
        self.filter_values = values;
    }

    fn metadata(&self) -> Reply {
        let mut out = String::with_capacity(512);
        out.push_str("{\"streamId\":\"");
        out.push_str(&self.id.to_string());
        out.push_str("\",\"title\":");
        render::text(&mut out, &self.title);
        out.push_str(if self.by_status { ",\"eventType\":\"STATUS\"" } else { ",\"eventType\":\"TIMELINE\"" });
        for (name, list) in [("groups", &self.groups), ("filterValues", &self.filter_values)] {
            out.push_str(",\"");
            out.push_str(name);
            out.push_str("\":[");
            for (index, item) in list.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                render::text(&mut out, item);
            }
            out.push(']');
        }
        if let Some(wait) = self.wait_for_accepted {
            out.push_str(if wait { ",\"waitForAccepted\":true" } else { ",\"waitForAccepted\":false" });
        }
        out.push_str(",\"activationDate\":");
        render::instant(&mut out, self.activated_at);
        if let Some(at) = self.disabled_at {
            out.push_str(",\"disabledDate\":");
            render::instant(&mut out, at);
        }
        out.push_str(",\"version\":\"v29\"}");
        Reply::json(200, out)
    }
}

fn forbidden(detail: &str) -> Reply {
    Problem::new(403, "Forbidden").error("PN_WEBHOOK_FORBIDDEN", None, detail).reply()
}

fn not_found() -> Reply {
    Problem::new(404, "Not Found").error("PN_WEBHOOK_NOT_FOUND", None, "Stream non trovato").reply()
}

/// What a creation or a change asks for.
struct Wish {
    title: String,
    by_status: bool,
    groups: Vec<String>,
    filter_values: Vec<String>,
    wait_for_accepted: Option<bool>,
    replaced: Option<Uuid>,
}

impl Wish {
    fn read(body: &[u8]) -> Result<Wish, Reply> {
        let mut problem = Problem::new(400, "Bad Request");
        let value = super::reply::body_value(body)?;
        let empty = Map::new();
        let object = value.as_object().unwrap_or(&empty);
        let list = |name: &str, problem: &mut Problem, required: bool| match object.get(name) {
            Some(Value::Array(items)) if items.iter().all(Value::is_string) => {
                items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            None if !required => Vec::new(),
            _ => {
                problem.add("PN_GENERIC_INVALIDPARAMETER_REQUIRED", Some(name), "must not be null");
                Vec::new()
            }
        };
        let groups = list("groups", &mut problem, true);
        let filter_values: Vec<String> = list("filterValues", &mut problem, false);
        let word = |value: &String| (4..=256).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
        if !filter_values.iter().all(word) {
            problem.add("PN_GENERIC_INVALIDPARAMETER_PATTERN", Some("filterValues"), "must match \"^[A-Z_]+$\"");
        }
        let title = object.get("title").and_then(Value::as_str).unwrap_or_default().to_owned();
        if !object.get("title").is_some_and(Value::is_string) {
            problem.add("PN_GENERIC_INVALIDPARAMETER_REQUIRED", Some("title"), "must not be null");
        } else if title.chars().count() > 256 || title.contains('\n') {
            problem.add("PN_GENERIC_INVALIDPARAMETER_SIZE", Some("title"), "size must be between 0 and 256");
        }
        let by_status = match object.get("eventType").and_then(Value::as_str) {
            Some("STATUS") => true,
            Some("TIMELINE") => false,
            _ => {
                problem.add("PN_GENERIC_INVALIDPARAMETER_ASSERTENUM", Some("eventType"), "must be STATUS or TIMELINE");
                false
            }
        };
        let replaced = match object.get("replacedStreamId").map(|value| value.as_str().and_then(|text| text.parse().ok())) {
            None => None,
            Some(Some(id)) => Some(id),
            Some(None) => {
                problem.add("PN_GENERIC_INVALIDPARAMETER_PATTERN", Some("replacedStreamId"), "must be a UUID");
                None
            }
        };
        let wait_for_accepted = object.get("waitForAccepted").and_then(Value::as_bool);
        if problem.is_empty() {
            Ok(Wish { title, by_status, groups, filter_values, wait_for_accepted, replaced })
        } else {
            Err(problem.reply())
        }
    }
}

/// `POST /streams`.
pub fn create(app: &App, caller: &Caller, body: &[u8]) -> Reply {
    let wish = match Wish::read(body) {
        Ok(wish) => wish,
        Err(reply) => return reply,
    };
    if !caller.groups.is_empty() && (wish.groups.is_empty() || !wish.groups.iter().all(|group| caller.groups.contains(group))) {
        return forbidden("I gruppi dello stream non sono fra quelli della chiave");
    }
    let now = app.now();
    let mut state = app.lock();
    let Some(streams) = streams_of(&mut state, caller, now) else { return not_found() };
    let mut first_id = 0;
    if let Some(replaced) = wish.replaced {
        let Some(old) = streams.iter().find(|stream| stream.id == replaced) else { return not_found() };
        if !old.allows(caller) || old.disabled_at.is_some() {
            return forbidden("Lo stream da sostituire non è utilizzabile con questa chiave");
        }
        first_id = old.next_id + REPLACEMENT_GAP;
    }
    // The one that is replaced leaves its place.
    let active = streams.iter().filter(|stream| stream.disabled_at.is_none() && Some(stream.id) != wish.replaced).count();
    if active >= app.limits.max_streams {
        return Problem::new(409, "Conflict")
            .error("PN_WEBHOOK_MAXSTREAMSCOUNTREACHED", None, "Numero massimo di stream raggiunto")
            .reply();
    }
    if let Some(old) = streams.iter_mut().find(|stream| Some(stream.id) == wish.replaced) {
        old.disable(now);
    }
    let mut stream = Stream {
        id: crate::clock::new_uuid(),
        title: wish.title.into(),
        by_status: wish.by_status,
        groups: wish.groups,
        filter_values: Vec::new(),
        wait_for_accepted: wish.wait_for_accepted,
        activated_at: now,
        disabled_at: None,
        disabled_real: 0,
        categories: 0,
        statuses: 0,
        next_id: first_id,
        events: VecDeque::new(),
        told: 0,
        not_before: 0,
    };
    stream.set_filter(wish.filter_values);
    let reply = stream.metadata();
    streams.push(stream);
    reply
}

/// The streams of an administration. One that is disabled is readable for fourteen business days (and a real minute), then gone.
fn streams_of<'a>(state: &'a mut State, caller: &Caller, now: Millis) -> Option<&'a mut Vec<Stream>> {
    let streams = state.pas.get_mut(caller.pa as usize).map(|pa| &mut pa.streams)?;
    streams.retain(|stream| !is_gone(stream.disabled_at, stream.disabled_real, now, App::real_now()));
    Some(streams)
}

/// `GET /streams`.
pub fn list(app: &App, caller: &Caller) -> Reply {
    let now = app.now();
    let mut state = app.lock();
    let mut out = String::from("[");
    for stream in streams_of(&mut state, caller, now).into_iter().flatten() {
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str("{\"streamId\":\"");
        out.push_str(&stream.id.to_string());
        out.push_str("\",\"title\":");
        render::text(&mut out, &stream.title);
        out.push('}');
    }
    out.push(']');
    Reply::json(200, out)
}

/// What is done with one stream.
#[derive(Debug, Clone, Copy)]
pub enum Action<'a> {
    Read,
    Update(&'a [u8]),
    Delete,
    Disable,
}

/// `GET`, `PUT`, `DELETE /streams/{id}` and `.../action/disable`.
pub fn act(app: &App, caller: &Caller, id: &str, action: Action<'_>) -> Reply {
    let Ok(id) = id.parse::<Uuid>() else { return bad_id() };
    let wish = match action {
        Action::Update(body) => match Wish::read(body) {
            Ok(wish) => Some(wish),
            Err(reply) => return reply,
        },
        _ => None,
    };
    let now = app.now();
    let mut state = app.lock();
    let Some(streams) = streams_of(&mut state, caller, now) else { return not_found() };
    let Some(position) = streams.iter().position(|stream| stream.id == id) else { return not_found() };
    let Some(stream) = streams.get_mut(position) else { return not_found() };
    if !stream.allows(caller) {
        return forbidden("La chiave non ha i gruppi dello stream");
    }
    match (action, wish) {
        (Action::Delete, _) => {
            streams.remove(position);
            Reply::empty(204)
        }
        (Action::Disable, _) => {
            if stream.disabled_at.is_some() {
                return forbidden("Lo stream è già disabilitato");
            }
            stream.disable(now);
            stream.metadata()
        }
        (Action::Update(_), Some(wish)) => {
            if stream.disabled_at.is_some() {
                return forbidden("Uno stream disabilitato non si modifica");
            }
            let grows = stream.groups.is_empty() == wish.groups.is_empty() && stream.groups.iter().all(|group| wish.groups.contains(group));
            let wait_changes = wish.wait_for_accepted.is_some_and(|wait| wait != stream.wait_for_accepted.unwrap_or(false));
            if !grows || wait_changes {
                return forbidden("I gruppi si possono solo aggiungere e waitForAccepted non cambia");
            }
            stream.title = wish.title.into();
            stream.by_status = wish.by_status;
            stream.groups = wish.groups;
            stream.set_filter(wish.filter_values);
            stream.metadata()
        }
        _ => stream.metadata(),
    }
}

fn is_gone(disabled_at: Option<Millis>, disabled_real: Millis, now: Millis, real_now: Millis) -> bool {
    disabled_at.is_some_and(|at| at + DISABLED_FOR <= now && disabled_real + MINUTE <= real_now)
}

fn bad_id() -> Reply {
    Problem::new(400, "Bad Request").error("PN_GENERIC_INVALIDPARAMETER", Some("streamId"), "must be a UUID").reply()
}

/// `GET /streams/{id}/events?lastEventId=`.
///
/// `disturbed`: the events that are read for the first time now come out of order, or once more later.
pub fn events(app: &App, caller: &Caller, id: &str, last: Option<&str>, disturbed: Option<Disturbance>) -> Reply {
    let Ok(id) = id.parse::<Uuid>() else { return bad_id() };
    let last = match last.map(parse_event_id) {
        None => None,
        Some(Some(number)) => Some(number),
        Some(None) => {
            let detail = "must match \"^0\\d{37}$\"";
            return Problem::new(400, "Bad Request").error("PN_GENERIC_INVALIDPARAMETER_PATTERN", Some("lastEventId"), detail).reply();
        }
    };
    let real_now = App::real_now();
    let pause = app.stream_pause_ms();
    let mut guard = app.lock();
    let state = &mut *guard;
    let page: Vec<Event> = {
        let Some(streams) = streams_of(state, caller, app.now()) else { return not_found() };
        let Some(stream) = streams.iter_mut().find(|stream| stream.id == id) else { return not_found() };
        if !stream.allows(caller) {
            return forbidden("La chiave non ha i gruppi dello stream");
        }
        if app.limits.enforce_stream_pause && real_now < stream.not_before {
            let wait = stream.not_before - real_now;
            let problem = Problem::new(429, "Too Many Requests").error("PN_STREAM_RETRY_AFTER_ERROR", None, "Lettura troppo ravvicinata");
            return problem.reply().with_header("retry-after", wait.to_string());
        }
        if let Some(last) = last {
            let read = stream.events.partition_point(|event| event.id <= last);
            stream.events.drain(..read);
        }
        if let Some(kind) = disturbed {
            stream.disturb(kind, app.now(), real_now);
        }
        let page: Vec<Event> = stream.events.iter().take(PAGE).copied().collect();
        stream.told = stream.told.max(page.last().map_or(0, |event| event.id));
        stream.not_before = if page.is_empty() { real_now + i64::from(pause) } else { 0 };
        page
    };
    let mut out = String::with_capacity(2 + page.len() * 700);
    out.push('[');
    for event in &page {
        let Some(note) = state.notification(event.notification) else { continue };
        if out.len() > 1 {
            out.push(',');
        }
        render::event(&mut out, event, note);
    }
    out.push(']');
    let wait = if page.is_empty() { pause } else { 0 };
    Reply::json(200, out).with_header("retry-after", wait.to_string())
}

/// 38 digits beginning with 0. A number larger than any of ours confirms everything.
fn parse_event_id(text: &str) -> Option<u64> {
    if text.len() != 38 || !text.starts_with('0') || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse::<u128>().ok()?.try_into().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disabled_stream_is_gone_after_fourteen_days_and_a_real_minute() {
        let table = [
            (None, 99 * DAY, 99 * MINUTE, false),
            (Some(DAY), 14 * DAY, 99 * MINUTE, false),
            (Some(DAY), 15 * DAY, MINUTE, true),
            (Some(DAY), 15 * DAY, MINUTE - 1, false),
        ];
        for (disabled_at, now, real_now, gone) in table {
            assert_eq!(is_gone(disabled_at, 0, now, real_now), gone, "disabled at {disabled_at:?}, now {now} ({real_now} real)");
        }
    }
}

//! Who calls: API keys, PDND vouchers, usage plans. Refusals have the gateway's own shape, not a `Problem`.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::Value;

use super::model::Millis;
use super::reply::{Reply, percent_decoded};
use super::{App, UsagePlan};

/// Seconds a voucher lives, in real time.
const VOUCHER_SECONDS: i64 = 600;

/// Which administrations exist.
#[derive(Debug, Clone)]
pub enum Admission {
    /// A key of the form `<11 digits>[-<anything>]` belongs to the administration with that tax id. A part `pdnd` after
    /// a dash makes it want a voucher; a part `gruppo=ID` binds it to a group (repeatable).
    Any,
    /// Only these, with their keys.
    Only(Vec<SandboxInstitution>),
}

/// One administration of a closed list.
#[derive(Debug, Clone, Default)]
pub struct SandboxInstitution {
    pub tax_id: String,
    pub keys: Vec<SandboxKey>,
    /// Active groups; a request may name no other.
    pub groups: Vec<String>,
    /// Not enabled for mail over 20 grams.
    pub light_mail_only: bool,
    /// Notifications it may send in a business month.
    pub monthly_quota: Option<u32>,
    /// Switched off: `PN_DELIVERY_SEND_IS_DISABLED`.
    pub disabled: bool,
}

/// One API key.
#[derive(Debug, Clone, Default)]
pub struct SandboxKey {
    pub key: String,
    /// Groups it is bound to; empty = sees all.
    pub groups: Vec<String>,
    /// Whether `Authorization: Bearer <voucher>` is demanded (and otherwise refused).
    pub pdnd: bool,
}

/// Who is calling.
#[derive(Debug, Clone)]
pub struct Caller {
    pub pa: u32,
    pub tax_id: String,
    pub groups: Vec<String>,
    /// Groups a request may name; `None` = any.
    pub active_groups: Option<Vec<String>>,
    pub monthly_quota: Option<u32>,
    pub disabled: bool,
}

/// Keys, vouchers and usage.
#[derive(Debug)]
pub struct Gatekeeper {
    admission: Admission,
    usage: Option<UsagePlan>,
    /// Voucher to the real instant it expires.
    vouchers: Mutex<HashMap<String, Millis>>,
    assertions_seen: Mutex<HashMap<String, Millis>>,
    buckets: Mutex<HashMap<String, Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Millis,
    day: i64,
    used: u64,
}

/// Refuses as AWS API Gateway does.
pub fn gateway(status: u16, message: &str) -> Reply {
    Reply::json(status, format!("{{\"message\":\"{message}\"}}"))
}

impl Gatekeeper {
    /// Nobody has called yet.
    pub fn new(admission: Admission, usage: Option<UsagePlan>) -> Gatekeeper {
        Gatekeeper { admission, usage, vouchers: Mutex::default(), assertions_seen: Mutex::default(), buckets: Mutex::default() }
    }

    /// Whether some administration may not send heavy mail, so that pages have to be counted.
    pub fn weighs_mail(&self) -> bool {
        matches!(&self.admission, Admission::Only(list) if list.iter().any(|institution| institution.light_mail_only))
    }

    fn find(&self, key: &str) -> Option<(Caller, bool, bool)> {
        match &self.admission {
            Admission::Any => {
                let mut parts = key.split('-');
                let tax_id = parts.next().filter(|digits| digits.len() == 11 && digits.bytes().all(|byte| byte.is_ascii_digit()))?;
                let groups = parts.clone().filter_map(|part| part.strip_prefix("gruppo=")).map(str::to_owned).collect();
                let pdnd = parts.any(|part| part == "pdnd");
                let caller = Caller { pa: 0, tax_id: tax_id.to_owned(), groups, active_groups: None, monthly_quota: None, disabled: false };
                Some((caller, pdnd, false))
            }
            Admission::Only(institutions) => institutions.iter().find_map(|institution| {
                let found = institution.keys.iter().find(|mine| mine.key == key)?;
                let caller = Caller {
                    pa: 0,
                    tax_id: institution.tax_id.clone(),
                    groups: found.groups.clone(),
                    active_groups: Some(institution.groups.clone()),
                    monthly_quota: institution.monthly_quota,
                    disabled: institution.disabled,
                };
                Some((caller, found.pdnd, institution.light_mail_only))
            }),
        }
    }

    /// The caller behind the headers, or the gateway's refusal.
    pub fn identify(&self, app: &App, key: Option<&str>, authorization: Option<&str>) -> Result<Caller, Reply> {
        let Some(key) = key else { return Err(gateway(401, "Unauthorized")) };
        let Some((mut caller, pdnd, light)) = self.find(key) else { return Err(gateway(403, "Forbidden")) };
        let now = App::real_now();
        match (pdnd, authorization) {
            (false, None) => {}
            (true, Some(header)) => {
                let voucher = header.strip_prefix("Bearer ").unwrap_or_default();
                let vouchers = self.vouchers.lock().unwrap_or_else(PoisonError::into_inner);
                if vouchers.get(voucher).is_none_or(|expires| *expires <= now) {
                    return Err(gateway(401, "Unauthorized"));
                }
            }
            _ => return Err(gateway(401, "Unauthorized")),
        }
        if let Some(plan) = self.usage {
            self.spend(&caller.tax_id, plan, now)?;
        }
        caller.pa = app.lock().pa(&caller.tax_id, light);
        Ok(caller)
    }

    fn spend(&self, tax_id: &str, plan: UsagePlan, now: Millis) -> Result<(), Reply> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let day = now.div_euclid(super::model::DAY);
        let bucket = buckets.entry(tax_id.to_owned()).or_insert(Bucket { tokens: plan.burst, at: now, day, used: 0 });
        if bucket.day != day {
            (bucket.day, bucket.used) = (day, 0);
        }
        if bucket.used >= plan.per_day {
            return Err(gateway(429, "Limit Exceeded"));
        }
        bucket.tokens = (bucket.tokens + (now - bucket.at) as f64 / 1000.0 * plan.per_second).min(plan.burst);
        bucket.at = now;
        if bucket.tokens < 1.0 {
            return Err(gateway(429, "Too Many Requests"));
        }
        bucket.tokens -= 1.0;
        bucket.used += 1;
        Ok(())
    }

    /// `POST /_pdnd/token`: judges the shape of the client assertion and gives a voucher.
    pub fn token(&self, app: &App, body: &[u8]) -> Reply {
        match self.judge_assertion(app, body) {
            Ok(()) => {
                let voucher = self.issue(app);
                Reply::json(200, format!("{{\"access_token\":\"{voucher}\",\"expires_in\":{VOUCHER_SECONDS},\"token_type\":\"Bearer\"}}"))
            }
            Err(detail) => {
                let body = serde_json::json!({
                    "type": "about:blank", "status": 400, "title": "Bad request",
                    "errors": [{"code": "015-0008", "detail": detail}],
                });
                Reply::problem(400, body.to_string())
            }
        }
    }

    fn issue(&self, app: &App) -> String {
        let now = App::real_now();
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let id = crate::clock::new_uuid();
        let header = part(serde_json::json!({"alg": "RS256", "typ": "at+jwt", "kid": "sandbox", "use": "sig"}));
        let claims = part(serde_json::json!({"iss": "uat.interop.pagopa.it", "aud": app.addr.to_string(), "jti": id.to_string(),
            "iat": now / 1000, "nbf": now / 1000, "exp": now / 1000 + VOUCHER_SECONDS}));
        let signature = URL_SAFE_NO_PAD.encode(digest(&SHA256, format!("{}{header}.{claims}", app.seed).as_bytes()).as_ref());
        let voucher = format!("{header}.{claims}.{signature}");
        let mut vouchers = self.vouchers.lock().unwrap_or_else(PoisonError::into_inner);
        vouchers.retain(|_, expires| *expires > now);
        vouchers.insert(voucher.clone(), now + VOUCHER_SECONDS * 1000);
        voucher
    }

    fn judge_assertion(&self, app: &App, body: &[u8]) -> Result<(), String> {
        let text = std::str::from_utf8(body).map_err(|_| "il corpo non è un modulo")?;
        let form: HashMap<String, String> = text
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (percent_decoded(name), percent_decoded(value)))
            .collect();
        let field = |name: &str| form.get(name).filter(|value| !value.is_empty()).ok_or_else(|| format!("manca {name}"));
        if field("grant_type")? != "client_credentials" {
            return Err("grant_type deve essere client_credentials".to_owned());
        }
        if field("client_assertion_type")? != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
            return Err("client_assertion_type non valido".to_owned());
        }
        let client_id = field("client_id")?;
        let mut parts = field("client_assertion")?.split('.');
        let (Some(header), Some(claims), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err("client_assertion non è un JWT".to_owned());
        };
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| "client_assertion: base64url non valido".to_owned());
        let object =
            |part: &str| serde_json::from_slice::<Value>(&decode(part)?).map_err(|_| "client_assertion: JSON non valido".to_owned());
        let (header, claims) = (object(header)?, object(claims)?);
        let word = |value: &Value, name: &str| {
            value
                .get(name)
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
                .ok_or_else(|| format!("client_assertion: manca {name}"))
        };
        if word(&header, "alg")? != "RS256" || !word(&header, "typ")?.eq_ignore_ascii_case("jwt") {
            return Err("client_assertion: attesi alg RS256 e typ JWT".to_owned());
        }
        word(&header, "kid")?;
        if decode(signature)?.len() < 256 {
            return Err("client_assertion: la firma non è di una chiave RSA di almeno 2048 bit".to_owned());
        }
        if &word(&claims, "iss")? != client_id || &word(&claims, "sub")? != client_id {
            return Err("client_assertion: iss e sub devono essere il client_id".to_owned());
        }
        if claims.get("aud").is_none_or(Value::is_null) {
            return Err("client_assertion: manca aud".to_owned());
        }
        word(&claims, "purposeId")?;
        let jti = word(&claims, "jti")?;
        let instant = |name: &str| claims.get(name).and_then(Value::as_i64).ok_or_else(|| format!("client_assertion: manca {name}"));
        let (iat, exp) = (instant("iat")?, instant("exp")?);
        // The caller may live in business time, PDND lives in real time: either is taken.
        let alive = |now: Timestamp| iat <= now.as_second() + 60 && now.as_second() < exp;
        if exp <= iat || !(alive(app.clock.now()) || alive(crate::clock::Clock::REAL.now())) {
            return Err("client_assertion scaduta o non ancora valida".to_owned());
        }
        let now = App::real_now();
        let mut seen = self.assertions_seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|_, at| *at + super::model::HOUR > now);
        if seen.insert(jti, now).is_some() {
            return Err("client_assertion già usata (jti)".to_owned());
        }
        Ok(())
    }
}

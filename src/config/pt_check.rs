//! What `[[pt]]` and `[[ente.pagamenti]]` must be beyond their form: what each kind needs and may not have, and which notices go where.

use reqwest::Url;

use super::address::{check_secret, check_token_url, is_loopback};
use super::check::{Add, ConfigFault, LineOf, shown};
use super::{PaymentRoute, PtConfig, PtKind, folders};
use crate::domain::position::CostChannel;
use crate::flow::definition::is_name;
use crate::flow::shape::ShapeFault;

/// What may be wrong with them. Sentences are in `text::it::pt`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PtFault {
    /// A key without which that kind cannot work.
    Missing { kind: PtKind },
    /// A key that means nothing for that kind: whoever wrote it expects something of it.
    Useless { kind: PtKind },
    /// A profile that the kind does not have.
    Profile { allowed: &'static [&'static str] },
    /// The address of GPD ends with a version that is not that of the profile.
    Version { profile: &'static str },
    /// A key of a login without the others.
    HalfLogin { with: &'static str },
    /// A file that is not there.
    File { path: String, reason: String },
    /// What is wrong in the description of a declared PT.
    Definition(DescriptionFault),
    /// A route to a PT that is not there.
    Unknown { name: String },
    /// Not two digits.
    Code,
    /// Notices with that aux digit have no such code.
    CodeAndAux,
    /// An earlier route may take the same notices.
    Overlap { line: u32 },
    /// The PT cannot have the cost that way.
    Costs { allowed: Vec<&'static str> },
    /// The PT must be let in to ask.
    NobodyAsks,
}

impl PtFault {
    /// The code printed by `messo check`: never renamed once released.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            PtFault::Missing { .. } => "DATO_PT_MANCANTE",
            PtFault::Useless { .. } => "DATO_PT_INUTILE",
            PtFault::Profile { .. } => "PROFILO_PT_SCONOSCIUTO",
            PtFault::Version { .. } => "VERSIONE_PT_DISCORDE",
            PtFault::HalfLogin { .. } => "ACCESSO_PT_INCOMPLETO",
            PtFault::File { .. } => "FILE_NON_LEGGIBILE",
            PtFault::Definition(_) => "DESCRIZIONE_PT_NON_VALIDA",
            PtFault::Unknown { .. } => "PT_NON_CONFIGURATO",
            PtFault::Code | PtFault::CodeAndAux => "CODICE_AVVISI_NON_VALIDO",
            PtFault::Overlap { .. } => "AVVISI_CONTESI",
            PtFault::Costs { .. } | PtFault::NobodyAsks => "CANALE_COSTI_NON_POSSIBILE",
        }
    }
}

/// What may be wrong in the description of a declared PT. Its reader is with its connector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DescriptionFault {
    #[error("{}", .0.code())]
    Shape(ShapeFault),
    /// A template that does not compile, or that fails with sample data.
    #[error("template: {problem:?} {detail}")]
    Template { problem: TemplateProblem, detail: String },
    /// With sample data the body is not what `format` says; why, as its parser says it (English).
    #[error("body: {detail}")]
    Body { detail: String },
    #[error("the path does not begin with a slash")]
    Path,
    #[error("no header can be that")]
    Header,
    /// Not a place in an answer: JSON pointer, or names with slashes.
    #[error("no place in an answer")]
    Place,
    #[error("not one of {}", .allowed.join(", "))]
    Word { allowed: Vec<&'static str> },
    /// A key that must be there because of another.
    #[error("`{key}` is missing")]
    Wanted { key: &'static str },
    /// Answers could be about any notice.
    #[error("nothing in the answer tells which notice it is about")]
    NoEcho,
    /// Credentials that the description uses and `[[pt]]` does not have.
    #[error("`{key}` of the block is missing")]
    Credential { key: &'static str },
}

/// What a template fails at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TemplateProblem {
    Syntax,
    /// A name that does not exist.
    UnknownName,
    UnknownFilter,
    /// A value that may be missing is written without asking whether it is there.
    MayBeMissing,
    /// Lists and tables are written with the filter `json` only.
    NotAText,
    /// Templates include nothing.
    Include,
    TooManySteps,
    TooLong,
    Other,
}

/// Versions of the import file of MyPay (`reference pt.md` 6.1); the first is used when none is told.
pub const FILE_VERSIONS: &[&str] = &["1_3", "1_0", "1_1", "1_2", "1_4"];
/// Versions of GPD; the first is used when none is told.
pub const GPD_VERSIONS: &[&str] = &["v3", "v1"];

/// Installations of MyPay that messo knows; the first is taken when none is told.
pub const MYPAY_INSTALLATIONS: &[&str] = &["veneto", "trento", "puglia", "campania", "lombardia", "altro", "altro-senza-posizioni"];
/// Interfaces of PiemontePAY; the first is used when none is told.
pub const PIEMONTEPAY_WAYS: &[&str] = &["soap", "rest"];
/// Interfaces of PU: the one for gestionali.
pub const PU_WAYS: &[&str] = &["sil"];

/// Keys that a kind must have, and those it may have besides.
fn keys(kind: PtKind) -> (&'static [&'static str], &'static [&'static str]) {
    match kind {
        PtKind::Gpd => (&["url", "api_key"], &["profile", "identity", "ca"]),
        PtKind::GovPay => (&["url", "username", "password"], &["identity", "ca", "chiama"]),
        PtKind::MyPay => (&["url", "password"], &["profile", "identity", "ca", "chiama"]),
        PtKind::Pu => (&["url", "token_url", "client_id", "client_secret"], &["profile", "identity", "ca", "chiama"]),
        PtKind::PiemontePay => (&["url"], &["profile", "username", "password", "identity", "ca", "chiama"]),
        PtKind::EFil => (&["url", "api_key"], &["identity", "ca"]),
        PtKind::Declared => (
            &["url", "definition"],
            &["username", "password", "api_key", "token_url", "client_id", "client_secret", "identity", "ca", "chiama"],
        ),
        PtKind::File => (&["folder"], &["profile"]),
        PtKind::Unmanaged => (&[], &[]),
    }
}

/// How the cost of notification may reach the payments of a kind: SEND itself writes it at GPD and nowhere else (of acts in ASYNC mode;
/// of the others messo adds it there too), and nothing asks messo on behalf of GPD or of a folder.
fn channels(kind: PtKind) -> &'static [CostChannel] {
    match kind {
        PtKind::Gpd => &[CostChannel::Async, CostChannel::Push, CostChannel::None],
        PtKind::GovPay | PtKind::MyPay | PtKind::Pu | PtKind::PiemontePay | PtKind::Declared => {
            &[CostChannel::Push, CostChannel::Pull, CostChannel::None]
        }
        PtKind::EFil | PtKind::File => &[CostChannel::Push, CostChannel::None],
        PtKind::Unmanaged => &[CostChannel::None],
    }
}

impl PtConfig {
    /// Whether all that it calls is on this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.strange_host().is_none()
    }

    /// The first host of another machine that it calls.
    pub(super) fn strange_host(&self) -> Option<String> {
        let host = |text: &String| Url::parse(text).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
        [&self.url, &self.token_url].into_iter().flatten().map(host).find(|host| !is_loopback(host))
    }

    pub(super) fn check(&self, key: &str, add: Add<'_>) {
        let kind = self.kind;
        let fault = |fault| ConfigFault::Pt(fault);
        if !is_name(&self.name) {
            add(&format!("{key}.name"), ConfigFault::Name);
        }
        let present = [
            ("url", self.url.is_some()),
            ("profile", self.profile.is_some()),
            ("username", self.username.is_some()),
            ("password", self.password.is_some()),
            ("api_key", self.api_key.is_some()),
            ("token_url", self.token_url.is_some()),
            ("client_id", self.client_id.is_some()),
            ("client_secret", self.client_secret.is_some()),
            ("identity", self.identity.is_some()),
            ("ca", self.ca.is_some()),
            ("definition", self.definition.is_some()),
            ("folder", self.folder.is_some()),
            ("chiama", self.chiama.is_some()),
        ];
        let (needed, allowed) = keys(kind);
        for (name, present) in present {
            let at = format!("{key}.{name}");
            match present {
                false if needed.contains(&name) || self.basic(name) => add(&at, fault(PtFault::Missing { kind })),
                true if !needed.contains(&name) && !allowed.contains(&name) => add(&at, fault(PtFault::Useless { kind })),
                _ => {}
            }
        }
        for (name, url) in [("url", &self.url), ("token_url", &self.token_url)] {
            if let Some(url) = url {
                check_token_url(url, &format!("{key}.{name}"), add);
                // Paths and questions are written after it.
                if Url::parse(url).is_ok_and(|url| url.query().is_some()) {
                    add(&format!("{key}.{name}"), ConfigFault::Url);
                }
            }
        }
        let secrets = [
            ("password", &self.password),
            ("api_key", &self.api_key),
            ("client_secret", &self.client_secret),
            ("identity", &self.identity),
        ];
        for (name, secret) in secrets {
            if let Some(secret) = secret {
                check_secret(secret, &format!("{key}.{name}"), add);
            }
        }
        if let Some(calls) = &self.chiama {
            check_secret(&calls.password, &format!("{key}.chiama.password"), add);
            if calls.username.trim().is_empty() {
                add(&format!("{key}.chiama.username"), ConfigFault::User);
            }
        }
        self.check_access(key, add);
        let profiles = match kind {
            PtKind::Gpd => GPD_VERSIONS,
            PtKind::File => FILE_VERSIONS,
            PtKind::MyPay => MYPAY_INSTALLATIONS,
            PtKind::PiemontePay => PIEMONTEPAY_WAYS,
            PtKind::Pu => PU_WAYS,
            _ => &[],
        };
        if self.profile.as_deref().is_some_and(|profile| !profiles.is_empty() && !profiles.contains(&profile)) {
            add(&format!("{key}.profile"), fault(PtFault::Profile { allowed: profiles }));
        }
        if let Some(profile) = self.other_version() {
            add(&format!("{key}.url"), fault(PtFault::Version { profile }));
        }
        for (name, path) in [("ca", &self.ca), ("definition", &self.definition)] {
            let Some(path) = path else { continue };
            let reason = match std::fs::metadata(path) {
                Err(error) => folders::reason(&error),
                Ok(found) if !found.is_file() => "non è un file".to_owned(),
                Ok(_) => continue,
            };
            add(&format!("{key}.{name}"), fault(PtFault::File { path: path.display().to_string(), reason }));
        }
        if let Some(folder) = self.folder.as_ref().filter(|_| kind == PtKind::File) {
            folders::usable_exchange(&format!("{key}.folder"), folder, add);
        }
    }

    fn check_access(&self, key: &str, add: Add<'_>) {
        let (needed, allowed) = keys(self.kind);
        let mut half = |name: &str, with| {
            if needed.contains(&name) || allowed.contains(&name) {
                add(&format!("{key}.{name}"), ConfigFault::Pt(PtFault::HalfLogin { with }));
            }
        };
        let password_alone = self.kind == PtKind::MyPay;
        match (&self.username, &self.password) {
            (Some(_), None) => half("username", "password"),
            (None, Some(_)) if !password_alone => half("password", "username"),
            _ => {}
        }
        let token = [
            ("token_url", self.token_url.is_some()),
            ("client_id", self.client_id.is_some()),
            ("client_secret", self.client_secret.is_some()),
        ];
        let given = token.iter().filter(|(_, given)| *given).count();
        if let Some((name, _)) = token.iter().find(|(_, given)| *given).filter(|_| given < 3 && self.kind != PtKind::Pu) {
            half(name, "token_url, client_id, client_secret");
        }
    }

    /// Whether a key is half of the login that PiemontePAY's REST cannot do without.
    fn basic(&self, name: &str) -> bool {
        let rest = self.kind == PtKind::PiemontePay && self.profile.as_deref() == Some("rest");
        rest && self.username.is_none() && self.password.is_none() && matches!(name, "username" | "password")
    }

    /// The version of GPD that the profile stands for, when the address ends with another.
    fn other_version(&self) -> Option<&'static str> {
        let first = GPD_VERSIONS.first()?;
        let profile = GPD_VERSIONS.iter().find(|version| **version == self.profile.as_deref().unwrap_or(first))?;
        let url = self.url.as_deref().filter(|_| self.kind == PtKind::Gpd)?;
        let end = url.trim_end_matches('/').rsplit('/').next()?;
        (end != *profile && GPD_VERSIONS.contains(&end)).then_some(profile)
    }
}

/// Whether some notice fits both.
fn meet(one: &PaymentRoute, other: &PaymentRoute) -> bool {
    let no_code = |route: &PaymentRoute| matches!(route.aux, Some(1 | 2));
    let aux = one.aux.is_none() || other.aux.is_none() || one.aux == other.aux;
    let code = one.code.is_none() || other.code.is_none() || one.code == other.code;
    let apart = (one.code.is_some() && no_code(other)) || (other.code.is_some() && no_code(one));
    aux && code && !apart
}

/// Whether every notice that fits `inner` fits `outer`.
fn covers(outer: &PaymentRoute, inner: &PaymentRoute) -> bool {
    (outer.aux.is_none() || outer.aux == inner.aux) && (outer.code.is_none() || outer.code == inner.code)
}

/// The routes of one ente; `at` is its key, `names` those of all PTs, broken ones too.
pub(super) fn check_routes(
    at: &str,
    routes: &[PaymentRoute],
    pts: &[(usize, PtConfig)],
    names: &[String],
    add: Add<'_>,
    line_of: LineOf<'_>,
) {
    for (number, route) in routes.iter().enumerate() {
        let own = format!("{at}.pagamenti[{number}]");
        let key = |name: &str| format!("{own}.{name}");
        let mut fault = |name: &str, fault| add(&key(name), ConfigFault::Pt(fault));
        if let Some(code) = &route.code {
            if code.len() != 2 || !code.bytes().all(|byte| byte.is_ascii_digit()) {
                fault("code", PtFault::Code);
            } else if matches!(route.aux, Some(1 | 2)) {
                fault("code", PtFault::CodeAndAux);
            }
        }
        if !names.contains(&route.pt) {
            fault("pt", PtFault::Unknown { name: shown(&route.pt) });
        }
        if let Some((_, pt)) = pts.iter().find(|(_, pt)| pt.name == route.pt) {
            let kind = pt.kind;
            let allowed = channels(kind);
            if !allowed.contains(&route.costs) {
                fault("costs", PtFault::Costs { allowed: allowed.iter().map(|channel| channel.as_str()).collect() });
            } else if route.costs == CostChannel::Pull && pt.chiama.is_none() {
                fault("costs", PtFault::NobodyAsks);
            }
            if route.ente.is_none() && matches!(kind, PtKind::MyPay | PtKind::EFil | PtKind::File) {
                fault("ente", PtFault::Missing { kind });
            }
            if route.service.as_deref().is_none_or(str::is_empty) && matches!(kind, PtKind::File | PtKind::PiemontePay) {
                fault("service", PtFault::Missing { kind });
            }
        }
        // What is more particular may come first: the rest of the notices is for a later route.
        let rival = routes.iter().take(number).position(|before| meet(before, route) && (covers(before, route) || !covers(route, before)));
        if let Some(before) = rival {
            add(&own, ConfigFault::Pt(PtFault::Overlap { line: line_of(&format!("{at}.pagamenti[{before}]")) }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_routes_never_contend_for_a_notice() {
        let route = |aux: Option<u8>, code: Option<&str>| PaymentRoute {
            pt: "x".into(),
            aux,
            code: code.map(str::to_owned),
            ente: None,
            service: None,
            costs: CostChannel::None,
        };
        // Of each pair, whether the second may follow the first.
        let table = [
            ((None, None), (None, None), false),
            ((None, None), (Some(3), None), false),
            ((Some(3), None), (None, None), true),
            ((Some(3), Some("47")), (Some(3), None), true),
            ((Some(3), Some("47")), (None, None), true),
            ((Some(3), None), (Some(3), Some("47")), false),
            ((Some(3), Some("47")), (Some(3), Some("48")), true),
            ((Some(3), Some("47")), (Some(0), Some("47")), true),
            ((None, Some("47")), (Some(0), Some("47")), false),
            ((Some(0), Some("47")), (None, Some("47")), true),
            ((None, Some("47")), (Some(3), None), false),
            ((None, Some("47")), (Some(1), None), true),
            ((Some(2), None), (None, Some("47")), true),
            ((Some(0), None), (Some(3), None), true),
        ];
        for (first, second, want) in table {
            let routes = [route(first.0, first.1), route(second.0, second.1)];
            let mut codes = Vec::new();
            check_routes("ente[0]", &routes, &[], &["x".to_owned()], &mut |_, fault| codes.push(fault.code()), &|_| 7);
            assert_eq!(codes.is_empty(), want, "{first:?} then {second:?}: {codes:?}");
        }
    }

    #[test]
    fn each_kind_says_how_the_cost_may_come() {
        let table = [
            (PtKind::Gpd, "async push nessuno"),
            (PtKind::GovPay, "push pull nessuno"),
            (PtKind::MyPay, "push pull nessuno"),
            (PtKind::Pu, "push pull nessuno"),
            (PtKind::PiemontePay, "push pull nessuno"),
            (PtKind::EFil, "push nessuno"),
            (PtKind::Declared, "push pull nessuno"),
            (PtKind::File, "push nessuno"),
            (PtKind::Unmanaged, "nessuno"),
        ];
        for (kind, want) in table {
            let words: Vec<&str> = channels(kind).iter().map(|channel| channel.as_str()).collect();
            assert_eq!(words.join(" "), want, "{kind}");
        }
    }
}

//! Sentences of `messo check`: what is wrong in the configuration and in the flow files, and what to write instead.

use std::collections::BTreeMap;

use crate::config::load::{LoadedConfig, Problems};
use crate::config::{Config, ConfigFault, PaymentRoute, PtKind};
use crate::domain::act::{FeePolicy, PagoPaIntMode};
use crate::domain::alert::AlertKind;
use crate::domain::amount_rule::AmountRuleError;
use crate::domain::position::CostChannel;
use crate::flow::definition::{DefinitionFault, FlowDefinition, PaymentPolicy};
use crate::flow::shape::{Expected, Located, ShapeFault};

/// `file:riga: [CODICE] chiave: frase`.
pub fn line(problem: &Located<ConfigFault>) -> String {
    let Located { file, line, key, fault } = problem;
    let key = if key.is_empty() { String::new() } else { format!("{key}: ") };
    let text = format!("{file}:{line}: [{}] {key}{}", fault.code(), sentence(fault));
    // A key or value of a broken file may run over several lines; a problem is one line.
    if text.contains(char::is_control) { text.replace(char::is_control, " ") } else { text }
}

/// Every problem, one a line.
pub fn lines(problems: &Problems) -> String {
    problems.list.iter().map(|problem| line(problem) + "\n").collect()
}

/// What a valid configuration holds.
pub fn valid(loaded: &LoadedConfig) -> String {
    let (enti, gestionali) = (loaded.config.institutions.len(), loaded.config.sources.len());
    format!("{}: configurazione valida (enti: {enti}, gestionali: {gestionali}, flussi: {})", loaded.file.display(), loaded.flows.len())
}

/// What is valid and yet not what most want: notices that messo does not follow, costs of notification that nobody would ask for, alerts
/// that nobody would be told of.
pub fn warnings(loaded: &LoadedConfig) -> Vec<String> {
    let config = &loaded.config;
    let mut lines = Vec::new();
    for ente in &config.institutions {
        let of_sources = config.sources.iter().filter(|source| source.enti.contains(&ente.tax_id)).flat_map(|source| &source.flows);
        let paying: BTreeMap<&str, &FlowDefinition> = of_sources
            .filter_map(|name| loaded.flow(name).filter(|flow| flow.payment != PaymentPolicy::Forbidden).map(|flow| (name.as_str(), flow)))
            .collect();
        let id = &ente.tax_id;
        if ente.payments.is_empty() && !paying.is_empty() {
            let names: Vec<&str> = paying.keys().copied().collect();
            lines.push(format!(
                "avviso: l'ente {id} invia atti con pagamenti ({}) e non ha [[ente.pagamenti]]: messo non ne verifica gli IUV e non ne aggiorna \
                 gli importi (costo di notifica: canale \"nessuno\")",
                names.join(", ")
            ));
        }
        for route in ente.payments.iter().filter(|route| config.pt(&route.pt).is_some_and(|pt| !pt.is_managed())) {
            lines.push(format!(
                "avviso: gli avvisi dell'ente {id} che vanno a {} ({}) non sono gestiti: messo non ne verifica gli IUV e non ne aggiorna gli \
                 importi (costo di notifica: canale \"nessuno\")",
                route.pt,
                which(route)
            ));
        }
        let at_gpd = ente.payments.iter().any(|route| config.pt(&route.pt).is_some_and(|pt| pt.kind == PtKind::Gpd));
        lines.extend(modes(id, &ente.payments, at_gpd, &paying));
    }
    lines.extend(untold(config));
    lines
}

/// Kinds that are of no flow, or must not be missed whatever the flow.
const WANTED: [AlertKind; 4] = [AlertKind::Person, AlertKind::Key, AlertKind::Remote, AlertKind::Stream];

/// Alerts that would be mailed to nobody.
fn untold(config: &Config) -> Vec<String> {
    let Some(mail) = &config.mail else {
        return vec![
            "avviso: manca [mail]: nessuno riceve posta quando un lotto è scartato, un atto aspetta una persona o una chiave è rifiutata; si vede \
             soltanto con «messo status» e nelle misure"
                .to_owned(),
        ];
    };
    let mut lines = Vec::new();
    if mail.to.is_empty() {
        lines.push(
            "avviso: [mail] to è vuoto: nessuno riceve gli avvisi di tutta l'installazione (disco, orologio, copie, gestionali di più enti)".to_owned(),
        );
    }
    for ente in &config.institutions {
        // A rule that switches them off is somebody's decision.
        let covered = |kind: &AlertKind| ente.notices.iter().any(|rule| rule.covers(*kind, None));
        let missing: Vec<&str> = WANTED.iter().filter(|kind| !covered(kind)).map(|kind| kind.as_str()).collect();
        if !missing.is_empty() {
            lines.push(format!(
                "avviso: dell'ente {} nessuno riceve gli avvisi di genere {}: nessun [[ente.avvisi]] senza flows li comprende",
                ente.tax_id,
                missing.join(", ")
            ));
        }
    }
    lines
}

/// Which notices a route takes.
fn which(route: &PaymentRoute) -> String {
    match (route.aux, &route.code) {
        (None, None) => "tutti gli altri".to_owned(),
        (Some(aux), None) => format!("aux {aux}"),
        (None, Some(code)) => format!("codice {code}"),
        (Some(aux), Some(code)) => format!("aux {aux}, codice {code}"),
    }
}

/// Flows whose mode at SEND fits no route of the ente: an ASYNC act is looked for at GPD, and of any other SEND writes no cost there.
fn modes(id: &str, routes: &[PaymentRoute], at_gpd: bool, flows: &BTreeMap<&str, &FlowDefinition>) -> Vec<String> {
    let mut lines = Vec::new();
    if routes.is_empty() {
        return lines;
    }
    let names = |wanted: fn(&FlowDefinition) -> bool| -> Vec<&str> {
        flows.iter().filter(|(_, flow)| flow.fee_policy == FeePolicy::DeliveryMode && wanted(flow)).map(|(name, _)| *name).collect()
    };
    let asynchronous = names(|flow| flow.pago_pa_int_mode == Some(PagoPaIntMode::Async));
    if !asynchronous.is_empty() && !at_gpd {
        lines.push(format!(
            "avviso: i flussi {} usano pago_pa_int_mode = \"ASYNC\" e nessun [[ente.pagamenti]] dell'ente {id} va a GPD: SEND cerca gli avvisi \
             là, e se non li trova rifiuta l'atto e addebita 1 euro a destinatario",
            asynchronous.join(", ")
        ));
    }
    let others = names(|flow| flow.pago_pa_int_mode != Some(PagoPaIntMode::Async));
    let asked = |route: &PaymentRoute| matches!(route.costs, CostChannel::Push | CostChannel::Pull);
    if !others.is_empty() && routes.iter().any(|route| route.costs == CostChannel::Async) && !routes.iter().any(asked) {
        lines.push(format!(
            "avviso: i flussi {} non usano pago_pa_int_mode = \"ASYNC\" e i percorsi dell'ente {id} hanno costs = \"async\": SEND non scrive il \
             costo di notifica su GPD e nessuno lo chiede al cittadino; mettere costs = \"push\", o ASYNC nel flusso",
            others.join(", ")
        ));
    }
    lines
}

/// What is wrong and what to write instead.
pub fn sentence(fault: &ConfigFault) -> String {
    match fault {
        ConfigFault::Shape(fault) => shape(fault),
        ConfigFault::Flow(fault) => flow(fault),
        ConfigFault::Unreadable { reason } => format!("il file non si può leggere: {reason}"),
        ConfigFault::Name => "sono ammesse solo lettere minuscole, cifre e trattini, al massimo 32 caratteri".into(),
        ConfigFault::Installation => "sono ammesse solo lettere minuscole, cifre e trattini, al massimo 40 caratteri".into(),
        ConfigFault::Twice { line } => format!("lo stesso valore è già usato alla riga {line}"),
        ConfigFault::Empty => "l'elenco è vuoto: indicare almeno un elemento".into(),
        ConfigFault::TaxId => "non è un codice fiscale di ente: servono 11 cifre con la cifra di controllo giusta".into(),
        ConfigFault::Denomination => "da 1 a 88 caratteri Latin-1 stampabili, senza la barra verticale".into(),
        ConfigFault::UnknownInstitution { tax_id } => format!("l'ente {tax_id} non è configurato: aggiungere un blocco [[ente]]"),
        ConfigFault::UnknownFlow { name } => format!("il flusso «{name}» non esiste: né fra quelli di messo né nella cartella dei flussi"),
        ConfigFault::NotGranted { what } => format!("«{what}» non è fra quelli concessi a questo gestionale"),
        ConfigFault::NestedFolder { other } => {
            format!("la cartella contiene, o è contenuta in, quella di «{other}»: ogni gestionale vedrebbe i file dell'altro")
        }
        ConfigFault::SameFolder { other } => format!("è la stessa cartella di «{other}»: ogni gestionale deve avere la sua"),
        ConfigFault::FolderNotUsable { path, user, reason } => {
            format!("la cartella {path} non è utilizzabile dall'utente {user}: {reason}")
        }
        ConfigFault::Url => {
            "non è un indirizzo valido: scrivere per esempio https://api.notifichedigitali.it, senza percorso né credenziali".into()
        }
        ConfigFault::UrlNotSecure { host } => format!("verso {host} è obbligatorio https"),
        ConfigFault::EnvironmentAndUrl { host, wanted } => {
            format!("l'indirizzo {host} richiede ambiente = \"{}\"", wanted.as_str().to_lowercase())
        }
        ConfigFault::Secret => "qui va il luogo del segreto, mai il segreto: file:PERCORSO, env:NOME oppure credential:NOME".into(),
        ConfigFault::NoKey => "l'ente non ha chiavi: aggiungere almeno un blocco [[ente.key]]".into(),
        ConfigFault::Order { other } => format!("non può superare {other}"),
        ConfigFault::Burst => "con un limite al secondo la raffica deve essere almeno uguale al limite".into(),
        ConfigFault::SocketPath => "il percorso del socket è troppo lungo: al massimo 107 byte".into(),
        ConfigFault::Listen => "non è un indirizzo di ascolto: scrivere per esempio \"0.0.0.0:2222\"".into(),
        ConfigFault::BeyondLoopback => {
            "la pagina di salute non ha password: usare un indirizzo di questa macchina (127.0.0.1), oppure scrivere beyond_loopback = true"
                .into()
        }
        ConfigFault::ListenPlain => {
            "nome e password viaggerebbero in chiaro: indicare certificate e key, oppure behind_proxy = true se davanti c'è un proxy che cifra"
                .into()
        }
        ConfigFault::HalfTls => "certificate e key vanno indicati insieme".into(),
        ConfigFault::NoRest => "il PT non potrebbe chiamare: aggiungere il blocco [rest]".into(),
        ConfigFault::ListenTwice => "un altro ascolto usa già questo indirizzo".into(),
        ConfigFault::User => "il nome utente ammette lettere, cifre, punto, trattino e trattino basso, al massimo 64 caratteri".into(),
        ConfigFault::PublicKey => {
            "non è una chiave pubblica utilizzabile: copiare la riga intera del file .pub, senza opzioni (RSA da almeno 2048 bit)".into()
        }
        ConfigFault::PasswordHash => {
            "qui va la riga stampata da «messo password», oppure il suo luogo (file:, env:, credential:), mai la password".into()
        }
        ConfigFault::NoLogin => "l'account non ha né chiavi né password: nessuno potrebbe entrare".into(),
        ConfigFault::Network => "non è una rete: scrivere per esempio \"10.1.0.0/16\" oppure un solo indirizzo".into(),
        ConfigFault::Date => "non è una data: scrivere per esempio \"2027-12-31\"".into(),
        ConfigFault::DayOfYear => "non è un giorno di ogni anno: scrivere mese e giorno, per esempio \"06-24\"".into(),
        ConfigFault::Weekday => "non è un giorno della settimana: scrivere lun, mar, mer, gio, ven, sab o dom".into(),
        ConfigFault::NoListener => "il gestionale ha un account SFTP, ma manca il blocco [sftp] con almeno un [[sftp.listen]]".into(),
        ConfigFault::ClockNotReal { host } => {
            format!("l'orologio accelerato è ammesso solo con simulatori su questa macchina, non con {host}")
        }
        ConfigFault::Mail(fault) => super::mail::fault(fault),
        ConfigFault::Pt(fault) => super::pt::fault(fault),
    }
}

pub(super) fn shape(fault: &ShapeFault) -> String {
    match fault {
        ShapeFault::Syntax { message } => format!("riga non valida in TOML ({message})"),
        ShapeFault::KeyTwice => "la chiave è già presente nello stesso blocco".into(),
        ShapeFault::UnknownKey { near: Some(near) } => format!("chiave sconosciuta: forse «{near}»?"),
        ShapeFault::UnknownKey { near: None } => "chiave sconosciuta".into(),
        ShapeFault::MissingKey => "manca questa chiave, che è obbligatoria".into(),
        ShapeFault::WrongType { expected, found } => format!("serve {}, non {}", wanted(*expected), kind(found)),
        ShapeFault::NotOneOf { found, allowed } => format!("«{found}» non è ammesso: scrivere {}", choices(allowed)),
        ShapeFault::OutOfRange { min, max } => format!("il numero deve stare fra {min} e {max}"),
        ShapeFault::NotATime => "non è un'ora: scrivere per esempio \"08:30\"".into(),
        ShapeFault::NotExactlyOne { of } => format!("serve una sola chiave fra {}", choices(of)),
        ShapeFault::Unreadable { message } => format!("il valore non si può leggere ({message})"),
    }
}

fn flow(fault: &DefinitionFault) -> String {
    match fault {
        DefinitionFault::Shape(fault) => shape(fault),
        DefinitionFault::Name => "sono ammesse solo lettere minuscole, cifre e trattini, al massimo 32 caratteri".into(),
        DefinitionFault::FileName { wanted } => format!("il file deve chiamarsi come il flusso: {wanted}"),
        DefinitionFault::ReservedName => "«prova» è il nome della cartella delle prove: scegliere un altro nome".into(),
        DefinitionFault::Text { max } => format!("una sola riga, non vuota, di al massimo {max} caratteri"),
        DefinitionFault::TaxonomyUnknown { found } => format!("il codice «{found}» non è nella tassonomia di SEND"),
        DefinitionFault::TaxonomyAndPayment { found } => {
            format!(
                "il codice {found} contraddice payment: la lettera P vuole \"required\" o \"allowed\", la lettera N vuole \"forbidden\""
            )
        }
        DefinitionFault::FeeMissing => "con DELIVERY_MODE servono sia pa_fee sia vat".into(),
        DefinitionFault::IntModeMissing => "il flusso ammette pagamenti: indicare NONE, SYNC oppure ASYNC".into(),
        DefinitionFault::IntModeUseless => "il flusso non ammette pagamenti: scrivere NONE oppure togliere la chiave".into(),
        DefinitionFault::PaymentsUseless => "il flusso non ammette pagamenti: togliere il blocco [pagamenti]".into(),
        DefinitionFault::Hours => "from deve venire prima di to, nello stesso giorno".into(),
        DefinitionFault::AmountRule(error) => match error {
            AmountRuleError::Empty => "serve `preset`, oppure `costs` e almeno un passo in `steps`".into(),
            AmountRuleError::DaysDoNotGrow => "i giorni dei passi devono crescere".into(),
            AmountRuleError::EndlessInTheMiddle => "solo l'ultimo passo può essere senza giorni".into(),
            AmountRuleError::TooMany => "la regola ha più di 20 passi".into(),
            AmountRuleError::NoTermBefore => "il primo passo non può contare da `esecutivita`".into(),
            AmountRuleError::FloorOverCeiling => "il minimo (`floor`) supera il massimo (`ceiling`)".into(),
            AmountRuleError::Validity => "`valid_from` è dopo `valid_until`".into(),
            AmountRuleError::SemesterWithoutTerm => "`semester` vuole un ultimo passo senza giorni, dopo almeno un altro".into(),
        },
    }
}

fn wanted(expected: Expected) -> &'static str {
    match expected {
        Expected::Text => "un testo fra virgolette",
        Expected::Whole => "un numero intero",
        Expected::Flag => "true oppure false",
        Expected::ListOfTexts => "un elenco di testi, come [\"a\", \"b\"]",
        Expected::ListOfTables => "un blocco con doppie parentesi quadre, come [[ente]]",
        Expected::Table => "un blocco con una parentesi quadra, come [watch]",
        Expected::TableOfTexts => "un blocco di chiavi e testi",
    }
}

fn kind(found: &str) -> &str {
    match found {
        "string" => "un testo",
        "integer" => "un numero intero",
        "float" => "un numero con decimali",
        "boolean" => "true o false",
        "datetime" => "una data",
        "array" => "un elenco",
        "table" => "un blocco",
        other => other,
    }
}

fn choices(words: &[&str]) -> String {
    words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
}

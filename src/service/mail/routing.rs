//! Who is told of what, and when: the rules of the configuration, applied to one alert. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Time;
use jiff::{Timestamp, ToSpan};

use crate::config::{Config, NoticeRule};
use crate::domain::alert::{self, AlertKind};
use crate::service::rome;
use crate::store::{Addressed, ToldAlert};

/// The rules, taken out of a configuration.
#[derive(Debug, Clone, Default)]
pub struct Routing {
    /// By tax id.
    rules: BTreeMap<String, Vec<NoticeRule>>,
    /// Enti that each gestionale may send for.
    sources: BTreeMap<String, Vec<String>>,
    /// Who is told of the installation.
    general: Vec<String>,
}

/// The report of a day.
pub const REPORT: &str = "RAPPORTO_DEL_GIORNO";

impl Routing {
    /// Without `[mail]` nobody is told of anything.
    #[must_use]
    pub fn of(config: &Config) -> Routing {
        let Some(mail) = &config.mail else { return Routing::default() };
        Routing {
            rules: config.institutions.iter().map(|own| (own.tax_id.clone(), own.notices.clone())).collect(),
            sources: config.sources.iter().map(|source| (source.name.clone(), source.enti.clone())).collect(),
            general: mail.to.clone(),
        }
    }

    /// Each recipient once: at once, if one of the rules says so.
    #[must_use]
    pub fn addressed(&self, alert: &ToldAlert, now: Timestamp) -> Vec<Addressed> {
        let kind = alert::kind_of(&alert.code);
        let alone = kind == AlertKind::Report;
        let Some((sender, rules)) = self.rules_of(alert) else {
            let of_all = |recipient: &String| Addressed { sender: String::new(), kind, recipient: recipient.clone(), due: None, alone };
            return self.general.iter().collect::<BTreeSet<_>>().into_iter().map(of_all).collect();
        };
        let covering = || rules.iter().filter(|rule| rule.covers(kind, alert.flow.as_deref()));
        if covering().any(|rule| rule.off) {
            return Vec::new();
        }
        let mut recipients: BTreeMap<&str, Option<Timestamp>> = BTreeMap::new();
        for rule in covering() {
            let due = rule.at.map(|at| next(at, now));
            for recipient in &rule.to {
                // `None`, at once, is the least.
                let known = recipients.entry(recipient).or_insert(due);
                *known = (*known).min(due);
            }
        }
        let one = |(recipient, due): (&str, _)| Addressed { sender: sender.to_owned(), kind, recipient: recipient.to_owned(), due, alone };
        recipients.into_iter().map(one).collect()
    }

    /// The ente that an alert is about. One about a gestionale of a single ente is about that ente.
    fn rules_of(&self, alert: &ToldAlert) -> Option<(&str, &[NoticeRule])> {
        let ente = |tax_id: &str| self.rules.get_key_value(tax_id).map(|(tax_id, rules)| (tax_id.as_str(), rules.as_slice()));
        let named = alert.sender.as_deref();
        named.and_then(ente).or_else(|| {
            let source = alert.source.as_deref().or(named)?;
            match self.sources.get(source).map(Vec::as_slice) {
                Some([only]) => ente(only),
                _ => None,
            }
        })
    }
}

/// The next time it is that hour in Rome.
fn next(hour: Time, now: Timestamp) -> Timestamp {
    let today = rome(now);
    let at = |days: i64| {
        let day = today.date().checked_add(days.days()).ok()?;
        Some(day.to_datetime(hour).to_zoned(today.time_zone().clone()).ok()?.timestamp())
    };
    [at(0), at(1)].into_iter().flatten().find(|at| *at > now).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTE: &str = "02438750586";

    fn rule(kinds: &[&str], flows: &[&str], to: &[&str], at: Option<&str>) -> NoticeRule {
        let texts = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        NoticeRule { kinds: texts(kinds), flows: texts(flows), to: texts(to), at: at.map(|at| at.parse().unwrap()), off: to.is_empty() }
    }

    fn routing(rules: Vec<NoticeRule>) -> Routing {
        Routing {
            rules: BTreeMap::from([(ENTE.to_owned(), rules), ("00907501001".to_owned(), Vec::new())]),
            sources: BTreeMap::from([
                ("polizia".to_owned(), vec![ENTE.to_owned()]),
                ("casa".to_owned(), vec![ENTE.to_owned(), "00907501001".to_owned()]),
            ]),
            general: vec!["ced@e.it".to_owned(), "turno@e.it".to_owned(), "ced@e.it".to_owned()],
        }
    }

    fn told(code: &str, sender: Option<&str>, source: Option<&str>, flow: Option<&str>) -> ToldAlert {
        let own = |text: Option<&str>| text.map(str::to_owned);
        ToldAlert { code: code.to_owned(), sender: own(sender), source: own(source), flow: own(flow) }
    }

    #[test]
    fn each_recipient_is_told_once_by_the_rules_of_the_ente() {
        let now: Timestamp = "2026-11-23T09:05:00Z".parse().unwrap();
        let routing = routing(vec![
            rule(&["lotti"], &["cds"], &["vigili@e.it"], None),
            rule(&["lotti", "persona"], &[], &["ced@e.it", "vigili@e.it"], Some("08:00")),
            rule(&["remoti"], &[], &["ced@e.it"], None),
            rule(&["anomalie"], &[], &[], None),
            rule(&["anomalie"], &[], &["ced@e.it"], None),
            rule(&["rapporto"], &[], &["sindaco@e.it"], None),
        ]);
        let eight = "2026-11-24T07:00:00Z";
        type Told<'a> = &'a [(&'a str, Option<&'a str>)];
        let table: &[(ToldAlert, Told<'_>)] = &[
            (told("LOTTO_SCARTATO", Some(ENTE), None, Some("cds")), &[("ced@e.it", Some(eight)), ("vigili@e.it", None)]),
            (told("LOTTO_SCARTATO", Some(ENTE), None, Some("tari")), &[("ced@e.it", Some(eight)), ("vigili@e.it", Some(eight))]),
            (told("LOTTO_SCARTATO", None, Some("polizia"), None), &[("ced@e.it", Some(eight)), ("vigili@e.it", Some(eight))]),
            (told("SEND_NON_RAGGIUNGIBILE", Some(ENTE), None, None), &[("ced@e.it", None)]),
            (told("FATTO_INATTESO", Some(ENTE), None, Some("cds")), &[]),
            (told("TERMINE_VICINO", Some(ENTE), None, Some("cds")), &[]),
            (told("RAPPORTO_DEL_GIORNO", Some(ENTE), None, None), &[("sindaco@e.it", None)]),
            (told("LOTTO_SCARTATO", Some("00907501001"), None, None), &[]),
        ];
        for (alert, want) in table {
            let got = routing.addressed(alert, now);
            let shown: Vec<(&str, Option<Timestamp>)> = got.iter().map(|one| (one.recipient.as_str(), one.due)).collect();
            let want: Vec<(&str, Option<Timestamp>)> = want.iter().map(|(to, due)| (*to, due.map(|due| due.parse().unwrap()))).collect();
            assert_eq!(shown, want, "{alert:?}");
            assert!(got.iter().all(|one| one.alone == (alert.code == REPORT) && one.sender == *alert.sender.as_deref().unwrap_or(ENTE)));
        }
    }

    #[test]
    fn what_is_of_no_ente_goes_to_the_general_list() {
        let now = Timestamp::UNIX_EPOCH;
        let routing = routing(vec![rule(&[], &[], &["vigili@e.it"], None)]);
        for alert in [
            told("DISCO_QUASI_PIENO", None, None, None),
            told("GESTIONALE_SILENZIOSO", None, Some("casa"), None),
            told("GESTIONALE_SILENZIOSO", Some("casa"), None, None),
            told("LOTTO_SCARTATO", Some("99999999999"), None, None),
        ] {
            let got = routing.addressed(&alert, now);
            let shown: Vec<(&str, &str)> = got.iter().map(|one| (one.sender.as_str(), one.recipient.as_str())).collect();
            assert_eq!(shown, [("", "ced@e.it"), ("", "turno@e.it")], "{alert:?}");
        }
        assert_eq!(Routing::default().addressed(&told("DISCO_QUASI_PIENO", None, None, None), now), []);
    }

    #[test]
    fn the_hour_is_that_of_rome_across_the_change_of_clocks() {
        let table = [
            ("2026-11-23T06:59:00Z", "2026-11-23T07:00:00Z"),
            ("2026-11-23T07:00:00Z", "2026-11-24T07:00:00Z"),
            ("2026-10-24T07:00:00Z", "2026-10-25T07:00:00Z"), // the clocks go back in between
            ("2026-03-28T08:00:00Z", "2026-03-29T06:00:00Z"),
        ];
        for (now, want) in table {
            let got = next("08:00".parse().unwrap(), now.parse().unwrap());
            assert_eq!(got, want.parse::<Timestamp>().unwrap(), "{now}");
        }
    }
}

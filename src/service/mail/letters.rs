//! What a mail says, out of what the store keeps of it.

use std::collections::BTreeMap;

use super::routing::REPORT;
use crate::config::Config;
use crate::domain::alert::AlertKind;
use crate::domain::daily::DailyReport;
use crate::outbox::mail::{Content, Group, Institution, Letter, Notice, Unreached};
use crate::service::Hub;
use crate::store::{LeasedMail, MailCode, MailContent, MailNotice, StoreError};

/// The letter of a mail.
pub async fn letter(hub: &Hub, mail: &LeasedMail) -> Result<Letter, StoreError> {
    let settings = hub.settings();
    let content = hub.store.mail_content(mail.lease.id).await?;
    let content = match report(&content) {
        Some(report) => {
            let given_up = hub.store.given_up_before(mail).await?;
            let unreached = given_up.into_iter().map(|one| Unreached { recipient: one.recipient, error: one.error, at: one.at });
            Content::Report(Box::new(report), unreached.collect())
        }
        None => told(content),
    };
    Ok(Letter {
        installation: hub.config.installation.clone(),
        institution: institution(&settings, &mail.sender),
        kind: mail.kind.parse().unwrap_or(AlertKind::Person),
        written_at: hub.clock.now(),
        content,
    })
}

/// An ente, as letters name it.
#[must_use]
pub fn institution(config: &Config, tax_id: &str) -> Option<Institution> {
    config.institution(tax_id).map(|own| Institution {
        tax_id: own.tax_id.clone(),
        denomination: own.denomination.clone(),
        environment: own.ambiente.as_str().to_owned(),
    })
}

fn report(content: &MailContent) -> Option<DailyReport> {
    let only = content.alerts.first().filter(|alert| alert.code == REPORT)?;
    serde_json::from_str(only.data.as_deref()?).ok()
}

/// One alert alone, or all of them by code.
fn told(content: MailContent) -> Content {
    let total: u64 = content.codes.iter().map(|code| code.alerts).sum();
    let mut alerts: Vec<Notice> = content.alerts.into_iter().map(notice).collect();
    if total <= 1
        && let Some(only) = alerts.pop()
    {
        return Content::One(only);
    }
    let mut groups: Vec<Group> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for MailCode { code, alerts, first_at, last_at, .. } in content.codes {
        match places.get(&code).and_then(|index| groups.get_mut(*index)) {
            Some(group) => {
                group.alerts += alerts;
                group.first_at = group.first_at.min(first_at);
                group.last_at = group.last_at.max(last_at);
            }
            None => {
                places.insert(code.clone(), groups.len());
                groups.push(Group { code, alerts, first_at, last_at, notices: Vec::new() });
            }
        }
    }
    for alert in alerts {
        if let Some(group) = places.get(&alert.code).and_then(|index| groups.get_mut(*index)) {
            group.notices.push(alert);
        }
    }
    Content::Digest(groups)
}

fn notice(alert: MailNotice) -> Notice {
    Notice {
        code: alert.code,
        at: alert.at,
        source: alert.source,
        flow: alert.flow,
        batch: alert.batch,
        act: alert.act,
        reference: alert.reference,
        protocol: alert.protocol,
        about: alert.about,
        data: alert.data.and_then(|data| serde_json::from_str(&data).ok()).unwrap_or_default(),
    }
}

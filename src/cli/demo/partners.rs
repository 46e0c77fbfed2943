//! The partner tecnologici of the demo: what an example's `pt.json` says they hold, the citizens who pay, and whether each position
//! ended with the amounts it should have gone through.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::examples::Example;
use crate::clock::Clock;
use crate::sandbox::pt::{self, Debt, DebtState, Debts, PtOptions, PtRunning};
use crate::service::Hub;

/// User and password of all of them, both ways.
pub const USER: &str = "demo";
pub const PASSWORD: &str = "demo-demo-demo-demo-demo";

/// `pt.json`: the partner of an example's notices.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Story {
    /// As in `[[pt]]`.
    pub kind: String,
    #[serde(default)]
    pub profile: Option<String>,
    /// Second and third digit of its notices.
    pub code: String,
    /// What it calls the ente.
    #[serde(default)]
    pub ente: Option<String>,
    #[serde(default)]
    pub service: Option<String>,
    /// How the cost of notification gets there.
    pub costs: String,
    /// What it holds before the drop.
    pub debts: Vec<Debt>,
    /// Notices that a citizen pays as soon as so much is asked, cents.
    #[serde(default)]
    pub pays: BTreeMap<String, i64>,
    pub ends: BTreeMap<String, End>,
}

/// How a position ends.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// As messo has it.
    pub state: String,
    /// What is asked, one after the other, cents: cost of notification included. Empty: nobody knows. From the first to the last; a day
    /// being a second, an amount in between that held for hours may have been passed over.
    pub amounts: Vec<i64>,
}

/// The simulators at work.
pub struct Partners {
    running: PtRunning,
    pub debts: Arc<Debts>,
    http: reqwest::Client,
    paid: Vec<String>,
}

impl Partners {
    /// Starts them with everything that the examples say they hold.
    pub async fn start(listen: SocketAddr, clock: Clock, examples: &[Example]) -> Result<Partners, String> {
        let debts = Arc::new(Debts::default());
        for debt in stories(examples).flat_map(|(_, story)| &story.debts) {
            debts.put(debt.clone());
        }
        let options = PtOptions { listen, clock, debts: debts.clone(), username: USER.to_owned(), password: PASSWORD.to_owned() };
        let running = pt::start(options).await.map_err(|error| error.to_string())?;
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().map_err(|error| error.to_string())?;
        Ok(Partners { running, debts, http, paid: Vec::new() })
    }

    /// `http://address`
    pub fn url(&self) -> String {
        self.running.url()
    }

    /// `[[pt]]` blocks, each kind once; under `folder` lies the password.
    pub fn blocks(&self, examples: &[Example], password: &str) -> String {
        let mut kinds = BTreeMap::new();
        for (_, story) in stories(examples) {
            kinds.insert(story.kind.as_str(), story.profile.as_deref());
        }
        let mut text = String::new();
        for (kind, profile) in kinds {
            text.push_str(&format!("\n[[pt]]\nname = \"{}\"\nkind = \"{kind}\"\n", name_of(kind)));
            let secret = format!("file:{password}");
            let url = self.url();
            match kind {
                "gpd" => text.push_str(&format!("url = \"{url}/gpd/debt-positions-service\"\napi_key = \"{secret}\"\n")),
                "govpay" => text.push_str(&format!(
                    "url = \"{url}/govpay/backend/api/pendenze/rs/basic/v2\"\nusername = \"{USER}\"\npassword = \"{secret}\"\n"
                )),
                "mypay" => text.push_str(&format!("url = \"{url}/mypay\"\npassword = \"{secret}\"\n")),
                "piemontepay" => {
                    text.push_str(&format!("url = \"{url}/piemontepay/soap\"\nusername = \"{USER}\"\npassword = \"{secret}\"\n"));
                }
                _ => {}
            }
            if let Some(profile) = profile {
                text.push_str(&format!("profile = \"{profile}\"\n"));
            }
            if kind != "gpd" && kind != "non_gestito" {
                text.push_str(&format!("[pt.chiama]\nusername = \"{USER}\"\npassword = \"{secret}\"\n"));
            }
        }
        text
    }

    /// Tells the simulators where the ente answers.
    pub async fn introduce(&self, rest: SocketAddr) -> Result<(), String> {
        let at = |path: &str| format!("http://{rest}/pt/{path}");
        let mypay = json!({
            "login_url": at("mypay/legacy/login"), "price_url": at("mypay/legacy/notification-price"),
            "notification_url": at("mypay/legacy/payment-notification"), "username": USER, "password": PASSWORD,
        });
        let piemontepay = json!({
            "callback_url": at("piemontepay/soap"), "cost_url": at("piemontepay/costo/{organization}/{iuv}"),
            "username": USER, "password": PASSWORD,
        });
        for (name, config) in [("mypay", mypay), ("piemontepay", piemontepay)] {
            let answer = self.http.post(format!("{}/{name}/_config", self.url())).json(&config).send().await;
            let good = answer.as_ref().is_ok_and(|answer| answer.status().is_success());
            if !good {
                return Err(format!("il simulatore di {name} non si configura"));
            }
        }
        Ok(())
    }

    /// Citizens pay what they were waiting for. Answers what happened, in Italian.
    pub async fn pay(&mut self, examples: &[Example]) -> Vec<String> {
        let mut told = Vec::new();
        for (example, story) in stories(examples) {
            for (notice, amount) in &story.pays {
                let due = self.debts.get(&example.expected.ente, notice).is_some_and(|debt| {
                    debt.state == DebtState::Unpaid && debt.amount + debt.fee == *amount && !self.paid.contains(notice)
                });
                if !due {
                    continue;
                }
                // Where the PT tells the ente of payments, it does.
                let path = match story.kind.as_str() {
                    "mypay" | "piemontepay" => format!("{}/{}/_pay", self.url(), story.kind),
                    _ => format!("{}/_pt/pay", self.url()),
                };
                let body = json!({ "creditor": example.expected.ente, "notice": notice });
                let answer = self.http.post(path).json(&body).timeout(Duration::from_secs(10)).send().await;
                if answer.is_ok_and(|answer| answer.status().is_success()) {
                    self.paid.push(notice.clone());
                    told.push(format!("  pagato l'avviso {notice}: {} euro presso {}", euro(*amount), story.kind));
                }
            }
        }
        told
    }

    /// What does not end as it should: one line each. Empty: all do.
    pub async fn differences(&self, hub: &Hub, example: &Example) -> Result<Vec<String>, crate::store::StoreError> {
        let Some(story) = &example.payments else { return Ok(Vec::new()) };
        let mut wrong = Vec::new();
        for (notice, end) in &story.ends {
            let ente = &example.expected.ente;
            let state = hub.store.position_of_notice(ente, notice).await?.map(|position| position.state);
            if state.as_deref() != Some(&end.state) {
                wrong.push(format!("posizione {notice}: {}, previsto {}", state.as_deref().unwrap_or("nessuna"), end.state));
            }
            let asked = self.debts.get(ente, notice).map(|debt| asked(story, &debt)).unwrap_or_default();
            if !goes_through(&asked, &end.amounts) {
                wrong.push(format!("importi {notice}: {asked:?}, previsti {:?}", end.amounts));
            }
        }
        Ok(wrong)
    }

    /// Jobs of positions that wait for a day to come: the rule's next date, the next question whether it was paid.
    pub async fn timers(&self, hub: &Hub, examples: &[Example]) -> Result<u64, crate::store::StoreError> {
        let mut timers = 0;
        for (example, story) in stories(examples) {
            for notice in story.ends.keys() {
                if let Some(position) = hub.store.position_of_notice(&example.expected.ente, notice).await? {
                    timers += hub.store.position_jobs(position.id).await?.iter().filter(|job| job.state == "ATTESA").count() as u64;
                }
            }
        }
        Ok(timers)
    }

    /// `riferimento: 70,00 → 72,00 → 102,00, pagata`: one line a position.
    pub fn journeys(&self, example: &Example) -> Vec<String> {
        let Some(story) = &example.payments else { return Vec::new() };
        let mut lines = Vec::new();
        for notice in story.ends.keys() {
            let way = match self.debts.get(&example.expected.ente, notice) {
                Some(debt) => {
                    let way: Vec<String> = asked(story, &debt).into_iter().map(euro).collect();
                    format!("{}{}", way.join(" → "), if debt.state == DebtState::Paid { ", pagato" } else { "" })
                }
                None => "importo non gestito".to_owned(),
            };
            lines.push(format!("avviso {notice} ({}): {way}", story.kind));
        }
        lines
    }
}

/// All that was asked for a debt, from the first amount on; the same amount written again counts once.
fn asked(story: &Story, debt: &Debt) -> Vec<i64> {
    let first = story.debts.iter().find(|first| first.notice == debt.notice).map(|first| first.amount + first.fee);
    let mut asked: Vec<i64> = first.into_iter().chain(debt.changes.iter().map(|change| change.amount + change.fee)).collect();
    asked.dedup();
    asked
}

/// What the configuration calls the PT of that kind.
pub fn name_of(kind: &str) -> String {
    kind.replace('_', "-")
}

/// From the first to the last of `amounts`, in order, nothing else on the way. Two months later, while slower examples go on, a rule may
/// ask for more.
fn goes_through(asked: &[i64], amounts: &[i64]) -> bool {
    let way = match asked.iter().position(|amount| Some(amount) == amounts.last()) {
        Some(end) => asked.get(..=end).unwrap_or_default(),
        None => return amounts.is_empty() && asked.is_empty(),
    };
    let mut rest = amounts.iter();
    way.first() == amounts.first() && way.iter().all(|amount| rest.any(|known| known == amount))
}

fn stories(examples: &[Example]) -> impl Iterator<Item = (&Example, &Story)> {
    examples.iter().filter_map(|example| Some((example, example.payments.as_ref()?)))
}

fn euro(cents: i64) -> String {
    crate::domain::money::Cents(cents).to_it()
}

#[cfg(test)]
mod tests {
    use super::goes_through;

    #[test]
    fn amounts_go_from_the_first_to_the_last_in_order() {
        let table: [(&[i64], bool); 6] = [
            (&[70, 72, 102], true),
            (&[70, 102], true),
            (&[70, 72], false),
            (&[70, 74, 102], false),
            (&[70, 72, 102, 202], true),
            (&[], false),
        ];
        for (asked, want) in table {
            assert_eq!(goes_through(asked, &[70, 72, 102]), want, "{asked:?}");
        }
        assert!(goes_through(&[], &[]), "nobody knows");
    }
}

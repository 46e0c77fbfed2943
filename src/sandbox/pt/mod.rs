//! Simulators of partner tecnologici, one file each, over one set of debts ([`Debts`]): what a test or the demo needs to look
//! inside and to move them is under `/_pt/`.
//!
//! `POST /_pt/debts` (a [`Debt`] as JSON) makes one; `GET /_pt/debts/{creditor}/{notice}` shows it with its changes;
//! `POST /_pt/pay` `{creditor, notice, amount, at}` pays it, now or at a business instant (absent amount: what is asked);
//! `POST /_pt/state` `{creditor, notice, state}` puts it in a state; `POST /_pt/faults` `{pt, operation, kind, times, ms}` makes
//! the next calls go wrong, `DELETE /_pt/faults` forgets what is left of them.

mod debts;
mod efil;
mod esempio;
mod faults;
mod govpay;
mod gpd;
mod mypay;
mod outward;
mod piemontepay;
mod pu;
mod xml;

pub use debts::{Debt, DebtChange, DebtState, Debts};

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::Timestamp;
use serde::Deserialize;
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::sandbox::listener;

/// How the simulators are started: all of them on one address, each under its own path.
#[derive(Debug, Clone)]
pub struct PtOptions {
    pub listen: SocketAddr,
    pub clock: Clock,
    pub debts: Arc<Debts>,
    /// User and password that every simulator wants (Basic, login, SOAP password); also its subscription key.
    pub username: String,
    pub password: String,
}

/// The simulators at work; they stop when it is dropped.
#[derive(Debug)]
pub struct PtRunning {
    pub addr: SocketAddr,
    server: JoinHandle<()>,
}

impl PtRunning {
    /// `http://address`, without a final slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }
}

impl Drop for PtRunning {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Starts all simulators on one port.
pub async fn start(options: PtOptions) -> std::io::Result<PtRunning> {
    let (listener, addr) = listener::bind(options.listen).await?;
    let shared = Arc::new(options);
    let plan = Arc::new(faults::Plan::default());
    // One line for each simulator: `.nest("/gpd", gpd::router(shared.clone()))`.
    let router = Router::new()
        .nest("/_pt", looks(shared.clone()).merge(orders(plan.clone())))
        .nest("/gpd", gpd::router(shared.clone()))
        .nest("/govpay", govpay::router(shared.clone()))
        .nest("/efil", efil::router(shared.clone()))
        .nest("/esempio", esempio::router(shared.clone()))
        .nest("/mypay", mypay::router(shared.clone()))
        .nest("/piemontepay", piemontepay::router(shared.clone()))
        .nest("/pu", pu::router(shared.clone()))
        .layer(axum::middleware::from_fn_with_state(plan, faults::disturb));
    let service = router.into_make_service_with_connect_info::<listener::Gate>();
    let server = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, service).await {
            tracing::error!(%error, "the simulators of the PTs stopped serving");
        }
    });
    Ok(PtRunning { addr, server })
}

#[derive(Deserialize)]
struct Pay {
    creditor: String,
    notice: String,
    /// Absent: what is asked when it is paid.
    #[serde(default)]
    amount: Option<i64>,
    /// Business time; absent: now.
    #[serde(default)]
    at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Put {
    creditor: String,
    notice: String,
    state: DebtState,
}

/// What tests and the demo look at and move.
fn looks(shared: Arc<PtOptions>) -> Router {
    Router::new()
        .route("/debts", post(make))
        .route("/debts/{creditor}/{notice}", get(show))
        .route("/pay", post(pay))
        .route("/state", post(put_state))
        .with_state(shared)
}

/// Faults are ordered and forgotten here.
fn orders(plan: Arc<faults::Plan>) -> Router {
    let add = |State(plan): State<Arc<faults::Plan>>, Json(fault): Json<faults::Fault>| async move { plan.add(fault) };
    let clear = |State(plan): State<Arc<faults::Plan>>| async move { plan.clear() };
    Router::new().route("/faults", post(add).delete(clear)).with_state(plan)
}

async fn make(State(shared): State<Arc<PtOptions>>, Json(debt): Json<Debt>) -> StatusCode {
    shared.debts.put(debt);
    StatusCode::CREATED
}

async fn show(State(shared): State<Arc<PtOptions>>, Path((creditor, notice)): Path<(String, String)>) -> Result<Json<Debt>, StatusCode> {
    shared.debts.get(&creditor, &notice).map(Json).ok_or(StatusCode::NOT_FOUND)
}

async fn pay(State(shared): State<Arc<PtOptions>>, Json(pay): Json<Pay>) -> StatusCode {
    match pay.at {
        None => pay_now(&shared, &pay),
        Some(at) => {
            tokio::spawn(async move {
                tokio::time::sleep(shared.clock.real_until(at)).await;
                pay_now(&shared, &pay);
            });
            StatusCode::ACCEPTED
        }
    }
}

fn pay_now(shared: &PtOptions, pay: &Pay) -> StatusCode {
    let now = shared.clock.now().as_millisecond();
    match shared.debts.lock().get_mut(&(pay.creditor.clone(), pay.notice.clone())) {
        Some(debt) if matches!(debt.state, DebtState::Unpaid | DebtState::BeingPaid) => {
            debt.state = DebtState::Paid;
            debt.paid_amount = Some(pay.amount.unwrap_or(debt.amount + debt.fee));
            debt.paid_at = Some(now);
            StatusCode::OK
        }
        Some(_) => StatusCode::CONFLICT,
        None => StatusCode::NOT_FOUND,
    }
}

async fn put_state(State(shared): State<Arc<PtOptions>>, Json(put): Json<Put>) -> StatusCode {
    match shared.debts.lock().get_mut(&(put.creditor, put.notice)) {
        Some(debt) => {
            debt.state = put.state;
            StatusCode::OK
        }
        None => StatusCode::NOT_FOUND,
    }
}

//! What the simulators ask the ente when somebody pays.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::world::*;

/// An ente that answers what it is told to, and remembers what it was asked.
struct Ente {
    url: String,
    heard: Arc<Mutex<Vec<(String, Value)>>>,
}

async fn ente(price: Value, cost: Value, slow: Duration) -> Ente {
    use axum::Router;
    use axum::body::Bytes;
    use axum::extract::Request;
    use axum::routing::any;
    let heard = Arc::new(Mutex::new(Vec::new()));
    let keep = heard.clone();
    let answer = move |request: Request| async move {
        let path = request.uri().path().to_owned();
        let bearer = request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
        let body: Bytes = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
        keep.lock().unwrap().push((path.clone(), serde_json::from_slice(&body).unwrap_or(json!(bearer))));
        match path.as_str() {
            "/login" => axum::Json(json!({ "esito": "OK", "token": "gettone" })),
            "/price" => {
                tokio::time::sleep(slow).await;
                assert_eq!(bearer, "Bearer gettone");
                axum::Json(price.clone())
            }
            path if path.starts_with("/costo") => axum::Json(cost.clone()),
            _ => axum::Json(json!({})),
        }
    };
    let router = Router::new().fallback(any(answer));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ente { url, heard }
}

/// What a citizen pays at the simulators follows from what the ente answers when it is asked.
#[test]
fn the_simulators_ask_the_price_when_somebody_pays() {
    runtime().block_on(async {
        let world = World::new().await;
        let bilancio = |euro: &str| format!("[{{\"capitolo\": \"1\", \"accertamento\": \"\", \"ufficio\": \"\", \"importo\": {euro}}}]");
        let price = |cents: i64, euro: &str| json!({ "numeroAvviso": notice(1), "importoPosizione": cents, "bilancio": bilancio(euro) });
        let table = [
            (json!({ "numeroAvviso": notice(1), "importoPosizione": 10_950 }), 200, Some(10_950)),
            (price(10_950, "109.50"), 200, Some(10_950)),
            (price(10_950, "109.49"), 409, None),
            (json!({ "codice": "002" }), 200, Some(10_000)),
            (json!({ "codice": "003" }), 200, Some(10_000)),
            (json!({ "codice": "004" }), 409, None),
            (json!({ "numeroAvviso": notice(2), "importoPosizione": 1 }), 200, Some(10_000)),
            (json!(["non è questo"]), 200, Some(10_000)),
        ];
        for (answer, status, paid) in table {
            world.debts.put(debt(1, 10_000));
            let ente = ente(answer.clone(), Value::Null, Duration::ZERO).await;
            let of = |path: &str| format!("{}{path}", ente.url);
            let outward = json!({ "login_url": of("/login"), "price_url": of("/price"), "notification_url": of("/paid"), "username": "u", "password": "p" });
            assert_eq!(world.post("/mypay/_config", outward).await.0, 204);
            let (got, said) = world.post("/mypay/_pay", json!({ "creditor": ENTE, "notice": notice(1) })).await;
            assert_eq!((got, world.of(1).paid_amount), (status, paid), "{answer}: {said}");
            let heard = ente.heard.lock().unwrap().clone();
            assert_eq!(heard[1], ("/price".to_owned(), json!({ "cfEnteCreditore": ENTE, "numeroAvviso": notice(1), "importoPosizione": "S" })));
            assert_eq!(heard.iter().any(|(path, body)| path == "/paid" && body["esito"].is_string() && body["rt"].is_string()), status == 200);
        }
        // Slow by more than five seconds: the old amount, and the citizen pays without costs.
        world.debts.put(debt(1, 10_000));
        let slow = ente(price(10_950, "109.50"), Value::Null, Duration::from_secs(6)).await;
        let outward = json!({ "login_url": format!("{}/login", slow.url), "price_url": format!("{}/price", slow.url) });
        world.post("/mypay/_config", outward).await;
        assert_eq!(world.post("/mypay/_pay", json!({ "creditor": ENTE, "notice": notice(1) })).await.0, 200);
        assert_eq!(world.of(1).paid_amount, Some(10_000));

        let costs = [
            (json!({ "importoTotale": 109.5, "importo": 109.5, "requiresCostUpdate": true }), true, 200, Some(10_950)),
            (json!({ "code": "004", "detail": "pagato" }), true, 409, None),
            (json!({ "importoTotale": 109.5 }), false, 200, Some(10_000)),
        ];
        for (answer, asks, status, paid) in costs {
            let mut debt = debt(2, 10_000);
            debt.more["requiresCostUpdate"] = json!(asks);
            world.debts.put(debt);
            let ente = ente(Value::Null, answer.clone(), Duration::ZERO).await;
            world.post("/piemontepay/_config", json!({ "cost_url": format!("{}/costo/{{organization}}/{{iuv}}", ente.url) })).await;
            let (got, said) = world.post("/piemontepay/_pay", json!({ "creditor": ENTE, "notice": notice(2) })).await;
            assert_eq!((got, world.of(2).paid_amount), (status, paid), "{answer}: {said}");
            let heard: Vec<String> = ente.heard.lock().unwrap().iter().map(|(path, _)| path.clone()).collect();
            assert_eq!(heard, if asks { vec![format!("/costo/{ENTE}/{}", &notice(2)[1..])] } else { Vec::new() });
        }
    });
}

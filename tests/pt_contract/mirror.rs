//! A PT that answers about another notice than the one it was asked about.

use super::*;

/// What stands between a partner and its PT, and puts another notice in every answer.
struct Mirror {
    target: String,
    from: [String; 2],
    to: [String; 2],
    http: reqwest::Client,
    changed: AtomicU32,
}

impl Mirror {
    /// The answer with the other notice, also inside what is in base64.
    fn replaced(&self, text: &str) -> String {
        let plain = |text: &str| text.replace(&self.from[0], &self.to[0]).replace(&self.from[1], &self.to[1]);
        let base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
        let mut out = String::new();
        for piece in text.split_inclusive(|c| !base64(c)) {
            let (word, end) = match piece.char_indices().last() {
                Some((at, last)) if !base64(last) => piece.split_at(at),
                _ => (piece, ""),
            };
            let inside = (word.len() > 40).then(|| STANDARD.decode(word).ok()).flatten().and_then(|bytes| String::from_utf8(bytes).ok());
            match inside {
                Some(inside) => out.push_str(&STANDARD.encode(plain(&inside))),
                None => out.push_str(word),
            }
            out.push_str(end);
        }
        let out = plain(&out);
        if out != text {
            self.changed.fetch_add(1, Ordering::Relaxed);
        }
        out
    }
}

async fn reflect(State(mirror): State<Arc<Mirror>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let url = format!("{}{}", mirror.target, parts.uri.path_and_query().unwrap());
    let mut headers = parts.headers;
    headers.remove("host");
    let answer = mirror.http.request(parts.method, url).headers(headers).body(body).send().await.unwrap();
    let (status, kind) = (answer.status(), answer.headers().get("content-type").cloned());
    let text = mirror.replaced(&answer.text().await.unwrap());
    let mut response = (status, Bytes::from(text)).into_response();
    if let Some(kind) = kind {
        response.headers_mut().insert("content-type", kind);
    }
    response
}

/// An answer about another notice is never used, to know or to change.
pub(super) async fn answers_about_another(world: &World) {
    let number = world.owe(DebtState::Unpaid);
    let (own, other) = (notice(number), notice(777));
    let mirror = Arc::new(Mirror {
        target: world.pts.url(),
        from: [own.clone(), own[1..].to_owned()],
        to: [other.clone(), other[1..].to_owned()],
        http: world.http.clone(),
        changed: AtomicU32::new(0),
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(reflect).with_state(mirror.clone());
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let confused = partner(world.subject, &base, world.folder.path(), 60).unwrap();
    let held = confused.verify(&world.route, &asked(number)).await;
    match &held {
        // Of what names no notice, or is said of the one asked for, neither notice nor amount is pretended.
        Ok(held) => assert!(held.notice.is_none() && held.amount.is_none(), "{held:?}"),
        Err(_) => {
            assert!(matches!(name(&held), "protocol" | "not found"), "{held:?}");
            assert!(mirror.changed.load(Ordering::Relaxed) > 0);
            let changed = confused.change(&world.route, &asked(number), &change("9/1", 12_300)).await;
            assert!(changed.is_err(), "{changed:?}");
            assert_eq!(world.of(number).amount, AMOUNT);
        }
    }
    server.abort();
}

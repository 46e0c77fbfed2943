//! What an act costs must not depend on how many others there are.

use std::time::Duration;

use super::*;

const CROWD: usize = 10_000;

#[tokio::test]
async fn an_act_costs_the_same_among_many() {
    let world = World::new();
    world.listen().await;
    life(&world, "modello", 2).await;
    let alone = best(&world, "soli").await;
    crowd(&world, CROWD);
    let opened = clock::monotonic();
    let World { store, dir, now, .. } = world;
    drop(store);
    let world = World { store: Store::open(dir.path()).unwrap(), dir, now, ..World::new() };
    world.store.free_leases().await.unwrap();
    assert!(opened.elapsed() < Duration::from_secs(20), "ready after {:?}", opened.elapsed());
    world.next_event.set(1_000_000);
    let among_many = best(&world, "folla").await;
    eprintln!("ten lives: {alone:?} alone, {among_many:?} among {CROWD} acts");
    // Only what reads them all is looked for here, a hundred times as much: `messo bench scale` measures on a quiet machine.
    assert!(among_many < alone * 10 + Duration::from_millis(500), "{alone:?} alone, {among_many:?} among many");
}

/// The best of three measurements of ten acts' lives.
async fn best(world: &World, name: &str) -> Duration {
    let mut best = Duration::MAX;
    for round in 0..3 {
        let begun = clock::monotonic();
        life(world, &format!("{name}{round}-"), 10).await;
        best = best.min(begun.elapsed());
    }
    best
}

/// From the drop to the completion, with what a running hub asks in between.
pub(super) async fn life(world: &World, prefix: &str, count: usize) {
    let names: Vec<String> = (0..count).map(|number| format!("{prefix}{number}")).collect();
    let batch = world.accept(names.iter().map(|name| act(name)).collect(), flow(5)).await;
    world.settle().await;
    for category in ["REQUEST_ACCEPTED", "SEND_ANALOG_DOMICILE", "SEND_ANALOG_FEEDBACK", "REFINEMENT"] {
        for _ in 0..2 {
            let mut page = Vec::new();
            for name in &names {
                let act = world.act(name).await;
                let want = if category == "REQUEST_ACCEPTED" { "INVIATO" } else { "IN_CONSEGNA" };
                if act.state == want {
                    page.push(world.event(name, category, json!({"recIndex": 0, "analogCost": 530})).await);
                }
            }
            world.tell(page).await;
            world.settle().await;
        }
        world.store.pending_lines(SOURCE).await.unwrap();
        world.store.tell_deadlines(world.now()).await.unwrap();
        world.store.resync(world.now() - SignedDuration::from_hours(168), None, world.now()).await.unwrap();
    }
    assert_eq!(world.states(batch).await, [("PERFEZIONATO".to_owned(), count as u64)]);
}

/// Copies the acts that are there, with all that hangs on them, until there are `count` more.
pub(super) fn crowd(world: &World, count: usize) {
    let db = rusqlite::Connection::open(world.dir.path().join("messo.db")).unwrap();
    db.busy_timeout(Duration::from_secs(30)).unwrap();
    db.execute_batch("PRAGMA cache_size = -200000").unwrap();
    let templates: i64 = db.query_row("SELECT count(*) FROM act", [], |row| row.get(0)).unwrap();
    let each = count as i64 / templates;
    db.execute_batch(&format!(
        "BEGIN; CREATE TEMP TABLE copy AS WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {each}) \
         SELECT a.id AS old, unhex(printf('%032x', row_number() OVER ())) AS new, n.n AS n FROM act a, n; CREATE INDEX temp.copy_old ON copy (old);"
    ))
    .unwrap();
    let own = [("act", "id"), ("act_content", "act_id"), ("recipient", "act_id"), ("notice", "act_id"), ("timeline", "act_id")];
    let more = [("history", "subject_id"), ("line", "act_id"), ("legal_fact", "act_id"), ("upload", "act_id"), ("live_key", "act_id")];
    for (table, key) in own.into_iter().chain(more) {
        let mut columns = db.prepare(&format!("SELECT name FROM pragma_table_info('{table}')")).unwrap();
        let mut columns: Vec<String> = columns.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
        columns.retain(|column| column != "n");
        let values: Vec<String> = columns
            .iter()
            .map(|column| match (table, column.as_str()) {
                (_, column) if column == key => "c.new".to_owned(),
                // They begin differently, as SEND's and ours do.
                ("act", "token" | "iun" | "request_id") => format!("lower(hex(randomblob(8))) || substr(t.{column}, 17)"),
                ("act", "reference" | "protocol") => format!("t.{column} || '-' || c.n"),
                ("live_key", "key") => "randomblob(16)".to_owned(),
                ("notice", "notice_code") => "t.notice_code + c.n".to_owned(),
                ("line", "source") => "'altri'".to_owned(),
                ("line", "line") => format!("t.line + c.n * {}", templates * 100),
                (_, column) => format!("t.{column}"),
            })
            .collect();
        db.execute_batch(&format!(
            "INSERT INTO {table} ({}) SELECT {} FROM {table} t JOIN copy c ON c.old = t.{key};",
            columns.join(", "),
            values.join(", ")
        ))
        .unwrap_or_else(|error| panic!("{table}: {error}"));
    }
    // Half of them are still under way.
    db.execute_batch("UPDATE act SET state = 'IN_CONSEGNA', state_data = json_object('s', 'InDelivery', 'iun', iun) WHERE rowid % 2 = 0 AND id IN (SELECT new FROM copy); COMMIT;")
        .unwrap();
}

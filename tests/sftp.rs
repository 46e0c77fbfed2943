//! The SFTP door of the real program, through the clients of this machine: OpenSSH's `sftp`, `scp` and `ssh`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed step of a test ends that test, with its message"
)]

#[path = "sftp/bounds.rs"]
mod bounds;
mod common;
#[allow(dead_code, reason = "tests/sftp_clients.rs uses the rest")]
#[path = "sftp/house.rs"]
mod house;
#[path = "sftp/logins.rs"]
mod logins;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;

use common::office::shared_clock;
use common::{require, wait_for};
use house::{House, bytes};

const SOON: Duration = Duration::from_secs(60);

#[test]
fn files_go_up_and_down_whatever_the_client_asks_for() {
    if !require("sftp") {
        return;
    }
    let house = House::start("", "");
    let local = house.local();
    let (big, small) = (bytes(9 << 20, 7), bytes(20_000, 3));
    fs::write(local.join("grande.bin"), &big).unwrap();
    fs::write(local.join("piccolo.bin"), &small).unwrap();
    let esiti = house.root().join("esiti");
    fs::create_dir_all(&esiti).unwrap();
    fs::write(esiti.join("esito.bin"), &big).unwrap();
    for options in [
        &["-R", "1024"][..],
        &["-R", "16", "-B", "261120"],
        &["-R", "1024", "-B", "261120"],
        &["-B", "1024"],
        &["-oRekeyLimit=1M"],
        &["-oCiphers=aes128-gcm@openssh.com"],
    ] {
        let script = "put grande.bin in/grande.part\nput -p piccolo.bin in/piccolo.part\nget in/grande.part indietro.bin\nget esiti/esito.bin esito.bin\n\
             rename in/grande.part in/altro.part\nls -l in\nrm in/altro.part\nrm in/piccolo.part\n";
        let ran = house.sftp(options, script);
        assert!(ran.ok, "{options:?}: {}", ran.text);
        assert_eq!(fs::read(local.join("indietro.bin")).unwrap(), big, "{options:?}");
        assert_eq!(fs::read(local.join("esito.bin")).unwrap(), big, "{options:?}");
        assert!(ran.text.contains("altro.part"), "{options:?}: {}", ran.text);
        fs::remove_file(local.join("indietro.bin")).unwrap();
        fs::remove_file(local.join("esito.bin")).unwrap();
    }
    // A transfer that stopped in the middle goes on where it was.
    fs::write(local.join("meta.part"), &big[..5 << 20]).unwrap();
    let ran = house.sftp(&[], "put meta.part in/ripreso.part\n");
    assert!(ran.ok, "{}", ran.text);
    fs::write(local.join("meta.part"), &big).unwrap();
    let ran = house.sftp(&[], "reput meta.part in/ripreso.part\nget in/ripreso.part giu.bin\n");
    assert!(ran.ok, "{}", ran.text);
    assert_eq!(fs::read(local.join("giu.bin")).unwrap(), big);
    fs::write(local.join("giu.bin"), &big[..3 << 20]).unwrap();
    let ran = house.sftp(&[], "reget in/ripreso.part giu.bin\n");
    assert!(ran.ok, "{}", ran.text);
    assert_eq!(fs::read(local.join("giu.bin")).unwrap(), big);
    house.nobody_is_left();
    let mut house = house;
    house.stop();
}

#[test]
fn keys_change_in_both_directions_under_load() {
    if !require("sftp") {
        return;
    }
    let house = House::start("rekey_bytes = 1048576\n", "");
    let local = house.local();
    let big = bytes(24 << 20, 9);
    fs::write(local.join("grande.bin"), &big).unwrap();
    for options in [&["-R", "256"][..], &["-R", "256", "-oRekeyLimit=1M"], &["-B", "261120", "-oCiphers=chacha20-poly1305@openssh.com"]] {
        let ran = house.sftp(options, "put grande.bin in/grande.part\nget in/grande.part giu.bin\nrm in/grande.part\n");
        assert!(ran.ok, "{options:?}: {}", ran.text);
        assert!(fs::read(local.join("giu.bin")).unwrap() == big, "{options:?}");
    }
    house.nobody_is_left();
}

/// A client that asks for a whole file and takes nothing; one that begins a packet and never ends it; one that breaks the rules.
#[test]
fn whoever_does_not_go_on_is_ended_and_the_others_are_not() {
    if !require("ssh") {
        return;
    }
    let house = House::start("stalled_s = 2\nidle_s = 6\n", "");
    let esiti = house.root().join("esiti");
    fs::create_dir_all(&esiti).unwrap();
    fs::write(esiti.join("e.bin"), bytes(12 << 20, 2)).unwrap();
    let mut deaf = house.idle_client();
    deaf.say(&house::packet(1, &[0, 0, 0, 3]));
    deaf.hear();
    deaf.say(&house::packet(3, &[&house::text(b"\0\0\0\x01")[4..], &house::text(b"/esiti/e.bin"), &[0, 0, 0, 1, 0, 0, 0, 0]].concat()));
    let answer = deaf.hear();
    assert_eq!(answer[0], 102, "a handle: {answer:?}");
    let handle = answer[5..].to_vec();
    let mut reads = Vec::new();
    for number in 0..384u32 {
        let offset = (u64::from(number) * 32_768).to_be_bytes();
        reads.extend(house::packet(5, &[&number.to_be_bytes(), handle.as_slice(), &offset, &32_768u32.to_be_bytes()].concat()));
    }
    deaf.say(&reads);
    let mut half = house.idle_client();
    half.say(&house::packet(1, &[0, 0, 0, 3]));
    half.hear();
    half.say(&[0, 0, 40, 0, 6, 1, 2, 3]);
    let mut rude = house.idle_client();
    rude.say(&[0x7f, 0xff, 0xff, 0xff, 9, 9, 9]);
    wait_for("the end of the rude one", SOON, || rude.try_wait());
    let ran = house.sftp(&[], "pwd\n");
    assert!(ran.ok, "{}", ran.text);
    wait_for("the end of those who stall", SOON, || (house.counts()["connections"] == 0).then_some(()));
    // Somebody who is merely quiet stays longer, then goes too.
    let quiet = house.idle_client();
    wait_for("a session", SOON, || (house.counts()["channels"] == 1).then_some(()));
    house.nobody_is_left();
    drop(quiet);
}

#[test]
fn what_is_not_sftp_is_answered_clearly() {
    if !require("scp") || !require("ssh") {
        return;
    }
    let house = House::start("", "");
    let local = house.local();
    fs::write(local.join("a.bin"), b"abc").unwrap();
    let target = format!("{}:in/a.part", house.login());
    let old = house.client("scp", &["-O", "a.bin", &target]);
    assert!(!old.ok && old.text.contains("scp -s"), "{}", old.text);
    let new = house.client("scp", &["-s", "a.bin", &target]);
    assert!(new.ok, "{}", new.text);
    for command in [&["uptime"][..], &[]] {
        let login = house.login();
        let mut args = vec!["-T", login.as_str()];
        args.extend(command);
        let shell = house.client("ssh", &args);
        assert!(!shell.ok && shell.text.contains("soltanto SFTP"), "{command:?}: {}", shell.text);
    }
    let ran = house.sftp(&[], "get nonesiste.bin x\n");
    assert!(!ran.ok, "{}", ran.text);
    let ran = house.sftp(&[], "put a.bin esiti/a.bin\n");
    assert!(!ran.ok, "{}", ran.text);
    house.booked("RICHIESTA_RIFIUTATA", "SFTP_SOLA_LETTURA");
    house.nobody_is_left();
}

#[test]
fn passwords_and_keys_open_and_strangers_are_banned_for_a_while() {
    if !require("sftp") {
        return;
    }
    let mut house = House::start("ban_s = 600\n", "");
    let right = house.with_password("corretta però lunga", "pwd\n");
    assert!(right.ok, "{}", right.text);
    let wrong = house.with_password("sbagliata", "pwd\n");
    assert!(!wrong.ok, "{}", wrong.text);
    house.booked("ACCESSO", "OK");
    house.booked("ACCESSO_RIFIUTATO", "PASSWORD_ERRATA");
    // Connected before, and still without a login: it goes with the ban.
    let mut early = TcpStream::connect(house.address()).unwrap();
    for _ in 0..12 {
        let ran = house.as_user("sconosciuto", "pwd\n");
        assert!(!ran.ok);
    }
    let bans = house.office().ask(&["defender", "list"]);
    assert_eq!(bans["bans"][0]["address"], "127.0.0.1", "{bans}");
    early.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let cut = early.read_to_end(&mut Vec::new());
    let waits = cut.is_err_and(|error| matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut));
    assert!(!waits, "a connection of a banned address stays");
    assert!(!house.sftp(&[], "pwd\n").ok, "banned, although it has the key");
    house.stop();
    house.start_again();
    assert!(!house.sftp(&[], "pwd\n").ok, "a restart forgets no ban");
    assert_eq!(house.office().command(&["defender", "lift", "127.0.0.1"]).code, 2, "without a reason");
    assert_eq!(house.office().command(&["defender", "lift", "127.0.0.1", "--reason", "è di RSSMRA80A01H501U"]).code, 2, "a codice fiscale");
    assert_eq!(
        house.office().ask(&["defender", "lift", "127.0.0.1", "--reason", "era il gestionale"])["bans"].as_array().unwrap().len(),
        0
    );
    assert_eq!(house.office().command(&["defender", "lift", "127.0.0.1", "--reason", "era il gestionale"]).code, 1, "once");
    let ran = house.sftp(&[], "pwd\n");
    assert!(ran.ok, "{}", ran.text);
    house.stop();
}

#[test]
fn old_algorithms_work_only_where_they_are_asked_for_and_are_told() {
    if !require("sftp") {
        return;
    }
    let mut house = House::start("", "");
    let modern = house.address().port();
    let legacy = common::free_port();
    house.stop();
    let listen = format!("[[sftp.listen]]\naddress = \"127.0.0.1:{legacy}\"\ncompat = \"legacy\"\n[[ente]]");
    house.write_config(&house.config_text().replacen("[[ente]]", &listen, 1));
    house.start_again();
    let old = ["-oKexAlgorithms=diffie-hellman-group14-sha1", "-oHostKeyAlgorithms=ssh-rsa", "-oCiphers=aes128-cbc", "-oMACs=hmac-sha1"];
    // A MAC counts only with a cipher that has none of its own.
    for options in [&old[..1], &old[1..2], &old[2..3], &["-oCiphers=aes256-ctr", old[3]]] {
        let ran = house.sftp(options, "pwd\n");
        assert!(!ran.ok, "{options:?}: {}", ran.text);
    }
    house.use_port(legacy);
    fs::write(house.local().join("a.bin"), bytes(3 << 20, 1)).unwrap();
    let ran = house.sftp(&old, "put a.bin in/a.part\nget in/a.part b.bin\n");
    assert!(ran.ok, "{}", ran.text);
    assert!(fs::read(house.local().join("b.bin")).unwrap() == bytes(3 << 20, 1));
    let log = house.office().log();
    let told = log.lines().find(|line| line.contains("algoritmi superati")).unwrap_or_else(|| panic!("{log}"));
    for word in ["polizia", "diffie-hellman-group14-sha1", "ssh-rsa", "aes128-cbc", "hmac-sha1"] {
        assert!(told.contains(word), "{word}: {told}");
    }
    let before = log.matches("algoritmi superati").count();
    let ran = house.sftp(&[], "pwd\n");
    assert!(ran.ok, "{}", ran.text);
    assert_eq!(house.office().log().matches("algoritmi superati").count(), before, "a modern client is not complained of");
    house.use_port(modern);
    house.stop();
}

#[test]
fn operators_prepare_passwords_and_read_fingerprints() {
    let ask = |lines: &str| {
        let mut command = common::messo(&["password"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, hash) = ask("lunga e segreta\nlunga e segreta\n");
    assert!(code == Some(0) && messo::config::sftp::is_password_hash(hash.trim()), "{hash}");
    for lines in ["una\naltra\n", "\n\n", "una\n", ""] {
        let (code, out) = ask(lines);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{lines:?}");
    }
    let mut house = House::start("", "");
    house.stop();
    let printed = house.office().command(&["sftp", "keys"]);
    assert_eq!((printed.code, printed.out.matches("SHA256:").count()), (0, 3), "{}", printed.out);
    assert_eq!(house.office().command(&["sftp", "status"]).code, 3, "nobody is there to ask");
    assert_eq!(house.office().command(&["defender", "lift", "pippo", "--reason", "prova"]).code, 2);
}

#[test]
fn sessions_are_counted_and_nobody_outlives_its_client() {
    if !require("sftp") {
        return;
    }
    let house = House::start("login_grace_s = 2\nmax_unauthenticated = 5\n", "sessions = 2\n");
    let mut open: Vec<_> = (0..2).map(|_| house.idle_client()).collect();
    wait_for("two sessions", SOON, || (house.counts()["channels"] == 2).then_some(()));
    let third = house.sftp(&[], "pwd\n");
    assert!(!third.ok && third.text.contains("troppe sessioni"), "{}", third.text);
    // SIGKILL: nobody says goodbye.
    open.clear();
    wait_for("the end of killed clients", SOON, || (house.counts()["connections"] == 0).then_some(()));
    // Silent strangers: as many as one address may have, then until their time is over. Who comes from elsewhere finds a place.
    let mut silent: Vec<TcpStream> = (0..9).map(|_| TcpStream::connect(house.address()).unwrap()).collect();
    wait_for("strangers", SOON, || (house.counts()["strangers"] == 4).then_some(()));
    let elsewhere = house.sftp(&["-oBindAddress=127.0.0.2"], "pwd\n");
    assert!(elsewhere.ok, "locked out by others: {}", elsewhere.text);
    for stream in &mut silent {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    }
    house.nobody_is_left();
    // Garbage instead of SSH.
    let mut garbage = TcpStream::connect(house.address()).unwrap();
    garbage.write_all(&[0xff; 4_096]).unwrap();
    let mut rest = Vec::new();
    let _ = garbage.read_to_end(&mut rest);
    house.nobody_is_left();
    let ran = house.sftp(&[], "pwd\n");
    assert!(ran.ok, "{}", ran.text);
}

/// Whoever opens as many connections as it may, and leaves just before its time is over, is told from who merely looks.
#[test]
fn strangers_who_linger_are_banned() {
    let house = House::start("login_grace_s = 60\nmax_unauthenticated = 200\n", "");
    let look = || (0..22).map(|_| TcpStream::connect(house.address()).unwrap()).collect::<Vec<_>>();
    drop(look());
    wait_for("the end of those who looked", SOON, || (house.counts()["connections"] == 0).then_some(()));
    let bans = |house: &House| house.office().ask(&["defender", "list"])["bans"].as_array().unwrap().len();
    assert_eq!(bans(&house), 0);
    let linger = look();
    wait_for("strangers", SOON, || (house.counts()["strangers"] == 22).then_some(()));
    std::thread::sleep(Duration::from_millis(10_500));
    drop(linger);
    wait_for("the ban", SOON, || (bans(&house) == 1).then_some(()));
}

#[test]
fn a_batch_that_is_put_is_taken_and_its_receipt_comes_back() {
    if !require("sftp") {
        return;
    }
    let mut house = House::start("", "");
    let local = house.local();
    fs::write(local.join("lotto.zip"), house.batch()).unwrap();
    let ran = house.sftp(&[], "put lotto.zip in/lotto.zip\nls in\n");
    assert!(ran.ok, "{}", ran.text);
    let receipt = wait_for("the receipt", SOON, || {
        let listed = house.sftp(&[], "ls -1 ricevute\n");
        listed.text.lines().find(|line| line.ends_with(".xml")).map(|line| line.trim().to_owned())
    });
    let ran = house.sftp(&[], &format!("get {receipt} ricevuta.xml\nrm {receipt}\n"));
    assert!(ran.ok, "{}", ran.text);
    let text = fs::read_to_string(local.join("ricevuta.xml")).unwrap();
    assert!(text.contains("<stato>PRESA_IN_CARICO"), "{text}");
    let upload = house.booked("CARICAMENTO", "OK");
    let digest = messo::domain::digest::Sha256::of(&fs::read(local.join("lotto.zip")).unwrap()).to_hex();
    assert_eq!((upload["sha256"].as_str(), upload["name"].as_str()), (Some(digest.as_str()), Some("/in/lotto.zip")), "{upload}");
    assert!(upload["client"].as_str().unwrap().starts_with("SSH-2.0-OpenSSH"), "{upload}");
    assert_eq!(upload["account"], "polizia", "{upload}");
    assert_eq!(house.booked("SCARICAMENTO", "OK")["bytes"], text.len());
    house.booked("CANCELLAZIONE", "OK");
    // One answer to "where is my batch?", from the door on.
    let found = house.office().ask(&["where", "LOTTO.ZIP"]);
    let steps = found["journeys"][0]["steps"].as_array().unwrap();
    let kinds: Vec<&str> = steps.iter().filter_map(|step| step["kind"].as_str()).collect();
    assert_eq!(kinds[..3], ["CARICATO_SFTP", "RICEVUTO", "ESAMINATO"], "{found}");
    assert_eq!((found["journeys"].as_array().unwrap().len(), &steps[0]["count"]), (1, &upload["bytes"]), "{found}");
    let others = house.office().ask(&["audit", "--account", "nessuno"]);
    assert_eq!(others["events"].as_array().unwrap().len(), 0, "{others}");
    let log = house.office().log();
    assert!(!log.contains("lotto.zip"), "names of files are not logged:\n{log}");
    house.stop();
}

/// A hundred acts: from the answer to CLOSE to the receipt that the gestionale can read.
#[test]
fn the_receipt_follows_the_answer_to_close_at_once() {
    if !require("ssh") {
        return;
    }
    let mut house = House::start("", "");
    let lot = house.batch_of(100);
    let mut client = house.idle_client();
    client.say(&house::packet(1, &[0, 0, 0, 3]));
    client.hear();
    let number = |number: u32| number.to_be_bytes();
    client.say(&house::packet(3, &[&number(1)[..], &house::text(b"/in/cento.zip"), &number(0x1a), &number(0)].concat()));
    let answer = client.hear();
    assert_eq!(answer[0], 102, "a handle: {answer:?}");
    let handle = answer[5..].to_vec();
    for (index, piece) in lot.chunks(32_768).enumerate() {
        let offset = (index as u64 * 32_768).to_be_bytes();
        client.say(&house::packet(6, &[&number(2)[..], &handle, &offset, &house::text(piece)].concat()));
        assert_eq!(client.hear()[..9], [101, 0, 0, 0, 2, 0, 0, 0, 0]);
    }
    client.say(&house::packet(4, &[&number(3)[..], &handle].concat()));
    assert_eq!(client.hear()[..9], [101, 0, 0, 0, 3, 0, 0, 0, 0]);
    let closed = messo::clock::monotonic();
    let receipts = house.root().join("ricevute");
    let mut seen = false;
    while !seen && closed.elapsed() < SOON {
        std::thread::sleep(Duration::from_millis(2));
        let names = fs::read_dir(&receipts).into_iter().flatten().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        seen = names.into_iter().any(|name| name.ends_with(".xml") && !name.starts_with('.'));
    }
    let took = closed.elapsed();
    println!("dalla risposta a CLOSE alla ricevuta di 100 atti: {:.3} s", took.as_secs_f64());
    let receipt = house.office().receipt("polizia", "cento.zip");
    assert_eq!(receipt.state, "PRESA_IN_CARICO", "{}", receipt.xml);
    let limit = if cfg!(debug_assertions) { 30.0 } else { 1.0 };
    assert!(took.as_secs_f64() < limit, "{took:?}");
    drop(client);
    house.stop();
}

#[test]
fn accounts_are_read_again_without_dropping_sessions() {
    if !require("sftp") {
        return;
    }
    let mut house = House::start("", "");
    let mut open = house.idle_client();
    wait_for("a session", SOON, || (house.counts()["channels"] == 1).then_some(()));
    let before = house.config_text();
    house.write_config(&before.replace("may_delete = true", "may_delete = \"forse\""));
    house.hang_up();
    wait_for("the refusal", SOON, || house.office().log().contains("TIPO_ERRATO").then_some(()));
    assert!(house.sftp(&[], "pwd\n").ok, "a broken file leaves the accounts as they were");
    house.write_config(&before.replace("user = \"polizia\"", "user = \"polizia2\""));
    house.hang_up();
    wait_for("the new accounts", SOON, || house.office().log().contains("account SFTP riletti").then_some(()));
    assert!(!house.sftp(&[], "pwd\n").ok, "the old name is gone");
    wait_for("the end of the session whose account is gone", SOON, || open.try_wait().map(drop));
    // Another account, of a gestionale that this hub did not know: it comes in at once, and what it drops is taken.
    let (_, block) = before.split_once("[[gestionale]]").unwrap();
    let block = block.replace("\"polizia\"", "\"anagrafe\"");
    fs::create_dir(house.office().dir().join("anagrafe")).unwrap();
    house.write_config(&format!("{before}\n[[gestionale]]{block}"));
    house.hang_up();
    house.use_user("anagrafe");
    wait_for("the new account", SOON, || house.sftp(&[], "pwd\n").ok.then_some(()));
    fs::write(house.local().join("nuovo.zip"), house.batch()).unwrap();
    assert!(house.sftp(&[], "put nuovo.zip in/nuovo.zip\n").ok);
    assert_eq!(house.office().receipt("anagrafe", "nuovo.zip").state, "PRESA_IN_CARICO");
    // With another folder it waits for a restart, and does not come in before.
    house.write_config(&format!("{before}\n[[gestionale]]{}", block.replace("root = \"anagrafe\"", "root = \"altrove\"")));
    house.hang_up();
    let told = |log: &str, what: &str| log.lines().any(|line| line.contains("solo dopo un riavvio") && line.contains(what));
    wait_for("the name of who moved", SOON, || told(&house.office().log(), "il gestionale anagrafe ha un'altra cartella").then_some(()));
    assert!(!house.sftp(&[], "pwd\n").ok, "a gestionale that moved");
    house.write_config(&before);
    house.hang_up();
    wait_for("the name of who is gone", SOON, || told(&house.office().log(), "il gestionale anagrafe non è più").then_some(()));
    assert!(!house.sftp(&[], "pwd\n").ok, "a gestionale that is gone");
    house.use_user("polizia");
    wait_for("the old accounts", SOON, || house.sftp(&[], "pwd\n").ok.then_some(()));
    house.stop();
}

/// A week of a hub in a few seconds.
#[test]
fn what_nobody_resumes_is_removed_while_the_hub_runs() {
    if !require("sftp") {
        return;
    }
    let mut house = House::at(&shared_clock(100_000), "", "");
    let local = house.local();
    fs::write(local.join("lento.bin"), bytes(4 << 20, 7)).unwrap();
    let staged = house.root().join(".messo/arrivo/lento.part");
    // 80 kbit/s: it does not end.
    let mut upload = house.spawn_killable(&["-l", "80"], "put lento.bin in/lento.part\n");
    wait_for("its first bytes", SOON, || staged.metadata().is_ok_and(|meta| meta.len() > 0).then_some(()));
    // Nine days of the hub: it is being written, so nobody removes it.
    std::thread::sleep(Duration::from_secs(8));
    assert!(staged.exists());
    upload.kill();
    wait_for("its end", SOON, || (!staged.exists()).then_some(()));
    house.stop();
}

#[test]
fn a_stop_lets_an_upload_end_and_takes_no_new_session() {
    if !require("sftp") {
        return;
    }
    let mut house = House::start("stop_grace_s = 60\n", "");
    let local = house.local();
    let body = bytes(6 << 20, 5);
    fs::write(local.join("lento.bin"), &body).unwrap();
    // 4 Mbit/s: twelve seconds.
    let upload = house.spawn_sftp(&["-l", "4000"], "put lento.bin in/lento.part\n");
    wait_for("the upload", SOON, || house.root().join(".messo/arrivo/lento.part").exists().then_some(()));
    let idle = house.idle_client();
    wait_for("two sessions", SOON, || (house.counts()["channels"] == 2).then_some(()));
    house.terminate();
    wait_for("no new connection", SOON, || TcpStream::connect(house.address()).is_err().then_some(()));
    drop(idle);
    let ran = house::finish(upload);
    assert!(ran.ok, "the upload that was under way ends: {}", ran.text);
    house.ended();
    assert!(fs::read(house.root().join("in/lento.part")).unwrap() == body, "closed, so it is where it counts");
}

/// A client that sends under a temporary name, gives it its own, and looks (WinSCP, lftp, rclone): all of it is one transfer.
#[test]
fn a_stop_lets_a_transfer_with_a_temporary_name_come_to_its_end() {
    if !require("sftp") {
        return;
    }
    let mut house = House::start("stop_grace_s = 30\n", "");
    let body = bytes(6 << 20, 5);
    fs::write(house.local().join("lento.bin"), &body).unwrap();
    let script = "put lento.bin in/lento.tmp.filepart\n!sleep 1\nrename in/lento.tmp.filepart in/lento.tmp\nls -l in/lento.tmp\n";
    let upload = house.spawn_sftp(&["-l", "16000"], script);
    wait_for("the upload", SOON, || house.root().join(".messo/arrivo/lento.tmp.filepart").exists().then_some(()));
    house.terminate();
    let ran = house::finish(upload);
    assert!(ran.ok && ran.text.contains("6291456"), "closed, renamed and looked at: {}", ran.text);
    house.ended();
    assert!(fs::read(house.root().join("in/lento.tmp")).unwrap() == body);
}

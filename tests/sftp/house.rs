//! A hub with an SFTP door, keys and scripts for the clients of this machine.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};
use serde_json::Value;

use crate::common::office::{Ente, Office, Row, batch, shared_clock};
use crate::common::{free_port, wait_for};

/// How a client ended, and all that it said.
pub struct Ran {
    pub ok: bool,
    pub text: String,
}

/// Bytes that look like nothing.
pub fn bytes(count: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_769) | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    })
    .take(count)
    .collect()
}

/// A client that is killed with its test.
pub struct Client(pub Child);

impl Client {
    pub fn try_wait(&mut self) -> Option<std::process::ExitStatus> {
        self.0.try_wait().unwrap()
    }
}

/// A packet of SFTP.
pub fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 1).unwrap();
    [&length.to_be_bytes(), &[kind][..], body].concat()
}

/// A text of SFTP.
pub fn text(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

impl Client {
    /// Writes to the channel, as it is.
    pub fn say(&mut self, bytes: &[u8]) {
        use std::io::Write;
        let input = self.0.stdin.as_mut().unwrap();
        input.write_all(bytes).unwrap();
        input.flush().unwrap();
    }

    /// The next packet, without its length.
    pub fn hear(&mut self) -> Vec<u8> {
        use std::io::Read;
        let output = self.0.stdout.as_mut().unwrap();
        let mut length = [0; 4];
        output.read_exact(&mut length).unwrap();
        let mut packet = vec![0; u32::from_be_bytes(length) as usize];
        output.read_exact(&mut packet).unwrap();
        packet
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for the end of a client.
pub fn finish(mut client: Client) -> Ran {
    use std::io::Read;
    let status = client.0.wait().unwrap();
    let mut text = String::new();
    if let Some(out) = &mut client.0.stdout {
        let _ = out.read_to_string(&mut text);
    }
    if let Some(err) = &mut client.0.stderr {
        let _ = err.read_to_string(&mut text);
    }
    Ran { ok: status.success(), text }
}

pub struct House {
    office: Office,
    port: u16,
    user: &'static str,
    local: tempfile::TempDir,
}

/// The ente of its acts.
pub const ENTE: &str = "02438750586";
/// What the account knows.
pub const PASSWORD: &str = "corretta però lunga";
/// Acts without payment.
const FLOW: &str = "tributi";

impl House {
    /// `door`: lines of `[sftp]`; `account`: lines of the account.
    pub fn start(door: &str, account: &str) -> House {
        House::at(&shared_clock(1), door, account)
    }

    /// In the time of `clock`.
    pub fn at(clock: &str, door: &str, account: &str) -> House {
        let local = tempfile::tempdir().unwrap();
        let key = local.path().join("chiave");
        let made = PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).unwrap();
        fs::write(&key, made.to_openssh(LineEnding::LF).unwrap()).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let public = made.public_key().to_openssh().unwrap();
        fs::write(key.with_extension("pub"), format!("{public}\n")).unwrap();
        let hash = messo::intake::sftp::server::password::hash(PASSWORD).unwrap();
        let port = free_port();
        let enti = [Ente { tax_id: ENTE, key: "chiave-di-prova", more: "" }];
        let office = Office::new(clock, "http://127.0.0.1:9", &enti, &[("polizia", &[ENTE], &[FLOW])], &[]);
        let path = office.dir().join("messo.toml");
        let text = fs::read_to_string(&path).unwrap();
        let text = text.replace("organization_ids", &format!("default_flow = \"{FLOW}\"\norganization_ids"));
        let (head, rest) = text.split_once("[[ente]]").unwrap();
        let text = format!(
            "{head}[sftp]\n{door}[[sftp.listen]]\naddress = \"127.0.0.1:{port}\"\n[[ente]]{rest}[gestionale.sftp]\nuser = \"polizia\"\n\
             keys = [\"{}\"]\npassword = \"{hash}\"\nmay_delete = true\n{account}",
            public.trim()
        );
        fs::write(&path, text).unwrap();
        let mut house = House { office, port, user: "polizia", local };
        house.start_again();
        house
    }

    pub fn start_again(&mut self) {
        self.office.start();
    }

    pub fn stop(&mut self) {
        self.office.stop();
    }

    pub fn office(&self) -> &Office {
        &self.office
    }

    /// The gestionale's folder.
    pub fn root(&self) -> PathBuf {
        self.office.dir().join("polizia")
    }

    /// Where clients run.
    pub fn local(&self) -> PathBuf {
        self.local.path().to_owned()
    }

    /// Clients go there from now on.
    pub fn use_port(&mut self, port: u16) {
        self.port = port;
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    pub fn login(&self) -> String {
        format!("{}@127.0.0.1", self.user)
    }

    /// Clients come in as this one from now on.
    pub fn use_user(&mut self, user: &'static str) {
        self.user = user;
    }

    /// A batch of one act.
    pub fn batch(&self) -> Vec<u8> {
        batch(&[Row::new(ENTE, "SFTP-1")])
    }

    /// A batch of so many acts.
    pub fn batch_of(&self, acts: usize) -> Vec<u8> {
        let rows: Vec<Row> = (1..=acts).map(|number| Row::new(ENTE, &format!("SFTP-{number}"))).collect();
        batch(&rows)
    }

    pub fn config_text(&self) -> String {
        fs::read_to_string(self.office.config()).unwrap()
    }

    pub fn write_config(&self, text: &str) {
        fs::write(self.office.config(), text).unwrap();
    }

    pub fn hang_up(&self) {
        self.office.signal(rustix::process::Signal::HUP);
    }

    pub fn terminate(&self) {
        self.office.signal(rustix::process::Signal::TERM);
    }

    /// After [`House::terminate`].
    pub fn ended(&mut self) {
        self.office.stop();
    }

    /// `messo sftp status`.
    pub fn counts(&self) -> Value {
        self.office.ask(&["sftp", "status"])
    }

    /// Waits for that line of the books.
    pub fn booked(&self, act: &str, outcome: &str) -> Value {
        wait_for(&format!("{act} {outcome} in the books"), std::time::Duration::from_secs(30), || {
            let audit = self.office.ask(&["audit"]);
            audit["events"].as_array().unwrap().iter().find(|event| event["act"] == act && event["outcome"] == outcome).cloned()
        })
    }

    /// No socket, no session, no channel, no worker.
    pub fn nobody_is_left(&self) {
        wait_for("nobody left", std::time::Duration::from_secs(30), || {
            let counts = self.counts();
            ["connections", "strangers", "sessions", "channels", "workers"].iter().all(|name| counts[*name] == 0).then_some(())
        });
    }

    /// The private key of the account.
    pub fn key(&self) -> PathBuf {
        self.local.path().join("chiave")
    }

    /// Options of `ssh` for a program that starts it: one line.
    pub fn ssh_options(&self) -> String {
        self.options().join(" ")
    }

    /// A batch of one act with that reference.
    pub fn batch_named(&self, reference: &str) -> Vec<u8> {
        batch(&[Row::new(ENTE, reference)])
    }

    /// Any program, where clients run, killed after two minutes: no client may hang.
    pub fn outside(&self, program: &Path, configure: impl FnOnce(&mut Command)) -> Ran {
        let mut command = Command::new("timeout");
        configure(command.args(["--kill-after=5", "120"]).arg(program));
        let ran = self.run(&mut command);
        if ran.ok { ran } else { Ran { text: format!("{command:?}\n{}", ran.text), ..ran } }
    }

    fn options(&self) -> Vec<String> {
        let key = self.local.path().join("chiave");
        [
            "-oBatchMode=yes",
            "-oStrictHostKeyChecking=no",
            "-oUserKnownHostsFile=/dev/null",
            "-oLogLevel=ERROR",
            "-oIdentitiesOnly=yes",
            "-oIdentityAgent=none",
        ]
        .map(str::to_owned)
        .into_iter()
        .chain([format!("-oPort={}", self.port), format!("-oIdentityFile={}", key.display())])
        .collect()
    }

    fn run(&self, command: &mut Command) -> Ran {
        let output = command.current_dir(self.local.path()).stdin(Stdio::null()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        Ran { ok: output.status.success(), text }
    }

    /// A program of OpenSSH, with a limit of time.
    pub fn client(&self, program: &str, args: &[&str]) -> Ran {
        self.run(Command::new("timeout").arg("120").arg(program).args(self.options()).args(args))
    }

    fn script(&self, text: &str) -> PathBuf {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let path = self.local.path().join(format!("comandi{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        fs::write(&path, text).unwrap();
        path
    }

    /// `sftp -b`: ends at the first command that fails.
    pub fn sftp(&self, options: &[&str], script: &str) -> Ran {
        let script = self.script(script);
        self.run(self.command(options, &script).arg(self.login()))
    }

    fn command(&self, options: &[&str], script: &Path) -> Command {
        let mut command = Command::new("timeout");
        command.arg("120").arg("sftp").args(self.options()).args(options).arg("-b").arg(script);
        command
    }

    pub fn spawn_sftp(&self, options: &[&str], script: &str) -> Client {
        let script = self.script(script);
        let mut command = self.command(options, &script);
        command.arg(self.login()).current_dir(self.local.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Client(command.spawn().unwrap())
    }

    /// `sftp` with these keys (`-oIdentityFile=...`) and no other.
    pub fn as_another_key(&self, identities: &[&str], script: &str) -> Ran {
        let script = self.script(script);
        let mut command = Command::new("timeout");
        command.args(["60", "sftp"]).args(self.options().iter().filter(|option| !option.contains("IdentityFile")));
        self.run(command.args(identities).arg("-b").arg(script).arg(self.login()))
    }

    /// `sftp` itself, with its `ssh`, to be killed in the middle.
    pub fn spawn_killable(&self, options: &[&str], script: &str) -> crate::common::Child {
        let script = self.script(script);
        let mut command = Command::new("sftp");
        command.args(self.options()).args(options).arg("-b").arg(script).arg(self.login()).current_dir(self.local.path());
        crate::common::Child::spawn("sftp", &mut command)
    }

    /// Another user, with our key.
    pub fn as_user(&self, user: &str, script: &str) -> Ran {
        let script = self.script(script);
        self.run(self.command(&[], &script).arg(format!("{user}@127.0.0.1")))
    }

    /// `sftp` that types a password, through `SSH_ASKPASS`.
    pub fn with_password(&self, password: &str, script: &str) -> Ran {
        let script = self.script(script);
        let asked = self.local.path().join("risposta");
        fs::write(&asked, format!("#!/bin/sh\nprintf '%s\\n' '{password}'\n")).unwrap();
        fs::set_permissions(&asked, fs::Permissions::from_mode(0o700)).unwrap();
        let mut command = Command::new("timeout");
        command.arg("60").arg("sftp").args([
            "-oPubkeyAuthentication=no",
            "-oPreferredAuthentications=password",
            "-oNumberOfPasswordPrompts=1",
        ]);
        // `-b` forbids questions: the script comes by standard input.
        command.args(self.options().iter().filter(|option| !option.contains("BatchMode"))).arg(self.login());
        command.env("SSH_ASKPASS", &asked).env("SSH_ASKPASS_REQUIRE", "force");
        command.current_dir(self.local.path()).stdin(fs::File::open(script).unwrap());
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        Ran { ok: output.status.success(), text }
    }

    /// A client that logged in and does nothing; killed when dropped.
    pub fn idle_client(&self) -> Client {
        let mut command = Command::new("ssh");
        command.args(self.options()).args(["-s", &self.login(), "sftp"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        Client(command.spawn().unwrap())
    }
}

//! `messo mail test`: sends one mail and says what failed, at which step. Exit codes: 0 taken by the server for every recipient,
//! 1 not, 2 wrongly asked.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use super::table::plain;
use crate::config;
use crate::connectors::mail::{MailError, Seen, ServerError, Step, recipient};
use crate::service::mail::proof::{self, ProofError, Told};
use crate::text::it;
use crate::text::it::mail as words;

/// La posta agli operatori.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Spedisce un messaggio di prova e dice che cosa non riesce, e a quale passo.
    Test {
        /// A chi; senza, agli indirizzi di [mail] to. Si può ripetere.
        #[arg(long, value_name = "INDIRIZZO")]
        to: Vec<String>,
        /// File di configurazione.
        #[arg(long, value_name = "FILE", default_value = "/etc/messo/messo.toml")]
        config: PathBuf,
    },
}

/// Runs the command.
pub fn run(args: Args) -> ExitCode {
    let What::Test { to, config } = args.what;
    let loaded = match config::load(&config) {
        Ok(loaded) => loaded,
        Err(problems) => {
            eprint!("{}", it::config::lines(&problems));
            return ExitCode::from(2);
        }
    };
    let Some(mail) = &loaded.config.mail else { return wrong(words::NO_MAIL) };
    let to = if to.is_empty() { mail.to.clone() } else { to };
    if to.is_empty() {
        return wrong(words::NO_RECIPIENT);
    }
    if let Some(bad) = to.iter().find(|address| recipient(address).is_none()) {
        return wrong(&words::not_an_address(&plain(bad)));
    }
    say(&format!("Server: {}:{} ({})", plain(&mail.host), mail.port(), format!("{:?}", mail.tls).to_lowercase()));
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return wrong(&error.to_string()),
    };
    match runtime.block_on(proof::prove(&loaded.config, mail, &to, tell)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(ProofError::Server(ServerError::Password(error))) => {
            eprintln!("messo: {}", words::secret(&error));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("messo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn wrong(why: &str) -> ExitCode {
    eprintln!("messo: {why}");
    ExitCode::from(2)
}

fn tell(told: Told<'_>) {
    match told {
        Told::Step(step) => say(&format!("- {}", words::step(step.as_str()))),
        Told::Recipient(address) => {
            say(&format!("- {}", words::step(Step::From.as_str())));
            say(&format!("- {} {}", words::step(Step::Recipient.as_str()), plain(address)));
        }
        Told::Taken(answer) => say(&format!("  consegnato al server: {}", plain(answer))),
        Told::Failed(error) => say(&failure(error)),
    }
}

/// Where it failed, what the server said, what to look at.
fn failure(error: &MailError) -> String {
    let (step, seen) = error.place();
    let code = error.code();
    let what = code.split_once(' ').map_or("", |(_, what)| what);
    let detail = match seen {
        Seen::Answer { code, words } => format!("il server ha risposto {code} {}", plain(words)),
        Seen::Silence if step == Step::Message => "il server non ha risposto in tempo (message_timeout_s)".to_owned(),
        Seen::Silence => "il server non ha risposto in tempo (timeout_s)".to_owned(),
        Seen::Broken(why) | Seen::Unprotected(why) | Seen::Nonsense(why) => plain(why),
    };
    format!("  NON RIUSCITO al passo «{}»: {detail}\n  {}", words::step(step.as_str()), words::advice(step.as_str(), what))
}

/// A reader that went away is no error.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

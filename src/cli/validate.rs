//! `messo validate`: the receipt a drop would get, offline. Exit 0 all good, 1 some refused, 2 all refused, 3 not usable.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::batch::archive::{Ceilings, Hashing};
use crate::batch::pipeline::{self, Judge, Judged, Senders, Stopped};
use crate::batch::problem::{Code, Problem, Severity};
use crate::clock::Clock;
use crate::config::{self, LoadedConfig, SourceSystem};
use crate::domain::outcome::ReceiptState;
use crate::flow::definition::{Acceptance, FlowDefinition, shipped};
use crate::outbox::place;
use crate::service::ingest::Allowed;
use crate::service::rome;
use crate::text::it;

/// Dice quale ricevuta avrebbe un lotto, senza inviare niente.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Il file: uno ZIP, oppure un .xml o .csv senza archivio.
    file: PathBuf,
    /// La configurazione: enti, chiavi, limiti. Senza, vale quello che dicono le righe.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Il gestionale che lo depositerebbe (con --config; altrimenti valgono gli enti di tutti).
    #[arg(long, requires = "config")]
    gestionale: Option<String>,
    /// Il flusso: il nome, o un file di flusso.
    #[arg(long)]
    flow: Option<String>,
    /// Un oggetto JSON sull'uscita.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: Args) -> ExitCode {
    match validate(&args) {
        Ok(code) => ExitCode::from(code),
        Err(message) => {
            eprintln!("messo validate: {message}");
            ExitCode::from(3)
        }
    }
}

struct Report {
    state: ReceiptState,
    layout: Option<String>,
    acts: u64,
    accepted: u64,
    refused: u64,
}

fn validate(args: &Args) -> Result<u8, String> {
    let loaded = args.config.as_deref().map(config::load).transpose().map_err(|problems| it::config::lines(&problems))?;
    let config = loaded.as_ref().map(|loaded| &loaded.config);
    let asked = flow(args, loaded.as_ref())?;
    if let (Some(wanted), Some(config)) = (&args.gestionale, config)
        && config.source(wanted).is_none()
    {
        return Err(format!("il gestionale «{wanted}» non è nella configurazione"));
    }
    let name = args.file.file_name().and_then(|name| name.to_str()).unwrap_or("lotto").to_owned();
    let file = File::open(&args.file).map_err(|error| format!("{}: {error}", args.file.display()))?;
    let limits = config.map(|config| config.limits.clone()).unwrap_or_default();
    let ceilings = Ceilings {
        max_entries: limits.max_entries,
        max_entry_bytes: limits.max_entry_bytes,
        max_total_bytes: limits.max_total_bytes,
        max_ratio: limits.max_ratio,
    };
    let mut spool = Spool::new().map_err(|error| format!("{}: {error}", std::env::temp_dir().display()))?;
    let mut report = Report { state: ReceiptState::Rejected, layout: None, acts: 0, accepted: 0, refused: 0 };
    let drop = Drop { file: &file, name: &name, ceilings: &ceilings, asked, loaded: loaded.as_ref(), args, max_acts: limits.max_acts };
    let outcome = drop.judge(&mut report, &mut spool);
    match outcome {
        Ok(()) => {}
        Err(Stopped::Refused(problem)) => {
            report.accepted = 0;
            report.refused = report.acts;
            spool.add(&problem);
        }
        Err(Stopped::Changed) => return Err(format!("{}: il file è cambiato mentre veniva letto", args.file.display())),
        Err(Stopped::Ours(error)) => return Err(format!("{}: {error}", args.file.display())),
    }
    report.state = match (report.accepted, report.refused) {
        (0, _) => ReceiptState::Rejected,
        (_, 0) => ReceiptState::Taken,
        _ => ReceiptState::Partial,
    };
    let print = if args.json { print_json(&report, spool) } else { print_text(&report, spool, &name) };
    print.map_err(|error| error.to_string())?;
    Ok(match (report.accepted, report.refused) {
        (0, 0) => 3,
        (0, _) => 2,
        (_, 0) => 0,
        _ => 1,
    })
}

fn flow(args: &Args, loaded: Option<&LoadedConfig>) -> Result<Option<FlowDefinition>, String> {
    let Some(name) = &args.flow else { return Ok(None) };
    let known = loaded.map_or_else(shipped, |loaded| loaded.flows.clone());
    if let Some(flow) = known.into_iter().find(|flow| flow.name == *name) {
        return Ok(Some(flow));
    }
    let text =
        std::fs::read_to_string(name).map_err(|error| format!("il flusso `{name}` non è tra quelli noti e non è un file: {error}"))?;
    FlowDefinition::parse(&text, name).map(Some).map_err(|problems| {
        problems.iter().map(|problem| format!("{name}:{}: [{}]", problem.line, problem.fault.code())).collect::<Vec<_>>().join("\n")
    })
}

/// What is judged, and by what.
struct Drop<'a> {
    file: &'a File,
    name: &'a str,
    ceilings: &'a Ceilings,
    /// `--flow`
    asked: Option<FlowDefinition>,
    loaded: Option<&'a LoadedConfig>,
    args: &'a Args,
    max_acts: u64,
}

impl Drop<'_> {
    /// The gestionali that may be the one that drops it.
    fn sources(&self) -> impl Iterator<Item = &SourceSystem> {
        let sources = self.loaded.map_or(&[][..], |loaded| &loaded.config.sources);
        sources.iter().filter(|source| self.args.gestionale.as_ref().is_none_or(|wanted| source.name == *wanted))
    }

    /// The flow it would be taken in: as asked; with a configuration, what the batch says or the gestionale's own.
    fn flow(&self, told: Option<&str>) -> Result<Option<FlowDefinition>, Stopped> {
        let (Some(loaded), None) = (self.loaded, &self.asked) else { return Ok(self.asked.clone()) };
        let allowed: Vec<&str> = self.sources().flat_map(|source| source.flows.iter().map(String::as_str)).collect();
        let own = match self.sources().collect::<Vec<_>>().as_slice() {
            [only] => only.default_flow.as_deref(),
            _ => None,
        };
        let problem = |code| Problem::of_drop(self.name, code).expected(allowed.join(", "));
        let Some(name) = told.or(own) else { return Err(problem(Code::FlowMissing).into()) };
        match loaded.flow(name).filter(|_| allowed.contains(&name)) {
            Some(flow) => Ok(Some(flow.clone())),
            None => Err(problem(Code::FlowUnknown).found(name).into()),
        }
    }

    fn judge(&self, report: &mut Report, spool: &mut Spool) -> Result<(), Stopped> {
        let (file, name) = (self.file, self.name);
        let opened = pipeline::open(file, name, self.ceilings)?;
        report.layout = Some(opened.layout.name().to_owned());
        let flow = self.flow(pipeline::header(file, &opened)?.flow.as_deref())?;
        let flow = flow.as_ref();
        let count_pages = flow.is_some_and(|flow| flow.checks.light_mail);
        let facts = pipeline::look_into(file, &opened, name, &Hashing { count_pages, ..Hashing::default() })?;
        let allowed = self.loaded.map(|loaded| Allowed::any(&loaded.config, self.sources()));
        let senders = allowed.as_ref().map(|allowed| allowed as &dyn Senders);
        let judge = Judge { flow, senders, today: Some(rome(Clock::REAL.now()).date()), max_acts: self.max_acts };
        let mut sink = |judged: Judged| {
            match judged {
                Judged::Good { warnings, .. } => {
                    report.acts += 1;
                    report.accepted += 1;
                    warnings.iter().for_each(|problem| spool.add(problem));
                }
                Judged::Bad { problems, .. } => {
                    report.acts += 1;
                    report.refused += 1;
                    problems.iter().for_each(|problem| spool.add(problem));
                }
                Judged::Revoke { problems, .. } => {
                    report.accepted -= 1;
                    report.refused += 1;
                    problems.iter().for_each(|problem| spool.add(problem));
                }
                Judged::Notice { problems } => problems.iter().for_each(|problem| spool.add(problem)),
            }
            ControlFlow::Continue(())
        };
        let totals = pipeline::judge(file, &opened, facts, &judge, &mut sink)?;
        totals.notices.iter().for_each(|problem| spool.add(problem));
        if report.refused > 0 && flow.is_some_and(|flow| flow.acceptance == Acceptance::AllOrNothing) {
            return Err(Problem::of_drop(name, Code::AllOrNothing).found(report.refused.to_string()).into());
        }
        Ok(())
    }
}

/// Problems, on disk as they come: a hostile batch has millions.
struct Spool {
    file: io::BufWriter<File>,
    failed: bool,
}

impl Spool {
    fn new() -> io::Result<Spool> {
        Ok(Spool { file: io::BufWriter::new(place::scratch(&std::env::temp_dir())?), failed: false })
    }

    fn add(&mut self, problem: &Problem) {
        let written = serde_json::to_writer(&mut self.file, problem).map_err(io::Error::from).and_then(|()| self.file.write_all(b"\n"));
        self.failed |= written.is_err();
    }

    fn read(mut self) -> io::Result<impl Iterator<Item = io::Result<Problem>>> {
        if self.failed {
            return Err(io::Error::other("i problemi non stanno nel disco temporaneo"));
        }
        self.file.flush()?;
        let mut file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        Ok(BufReader::new(file).lines().map(|line| serde_json::from_str(&line?).map_err(io::Error::from)))
    }
}

fn print_json(report: &Report, spool: Spool) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let head = serde_json::json!({
        "state": report.state, "layout": report.layout, "acts": report.acts, "accepted": report.accepted, "refused": report.refused,
    });
    let head = head.to_string();
    write!(out, "{},\"problems\":[", head.strip_suffix('}').unwrap_or(&head))?;
    for (index, problem) in spool.read()?.enumerate() {
        let problem = problem?;
        let comma = if index > 0 { "," } else { "" };
        let row = serde_json::json!({
            "file": problem.file, "row": problem.row, "column": problem.column, "code": problem.code, "severity": problem.severity,
            "message": it::problems::sentence(&problem), "remedy": crate::service::files::remedy(&problem.code), "act": problem.act,
        });
        write!(out, "{comma}{row}")?;
    }
    writeln!(out, "]}}")?;
    out.flush()
}

fn print_text(report: &Report, spool: Spool, name: &str) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    writeln!(out, "{name}: {}", report.state)?;
    writeln!(out, "tracciato {}", report.layout.as_deref().unwrap_or("non riconosciuto"))?;
    writeln!(out, "atti {}, buoni {}, da correggere {}", report.acts, report.accepted, report.refused)?;
    for problem in spool.read()? {
        let problem = problem?;
        let row = problem.row.map(|row| format!(", riga {row}")).unwrap_or_default();
        let column = problem.column.as_ref().map(|column| format!(", {column}")).unwrap_or_default();
        let severity = if problem.severity == Severity::Warning { "avviso " } else { "" };
        writeln!(out, "\n{}{row}{column}: {severity}{}", problem.file, problem.code)?;
        writeln!(out, "  {}", it::problems::sentence(&problem))?;
        let remedy = crate::service::files::remedy(&problem.code);
        if !remedy.is_empty() {
            writeln!(out, "  Che cosa fare: {remedy}")?;
        }
    }
    out.flush()
}

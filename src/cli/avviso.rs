//! `messo leggi-avviso`: the QR codes of the PDF on standard input, one JSON text a line. Hidden: the service starts it for each
//! notice, because a drawing of somebody else's file may take any time and memory; here both are bounded by the kernel.
//!
//! Exit codes: 0 read, 1 not readable. Killed or aborted: the file asked for more than it may have.

use std::io::{Read, Write};
use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::batch::pdf::codes::codes;

/// Legge i codici QR dell'avviso in PDF che arriva sullo standard input.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Address space, bytes: a page of 144 dpi takes about 20 MB, a large image in it some hundreds.
const MEMORY: u64 = 1 << 30;
/// CPU seconds; a page takes about 0.03.
const SECONDS: u64 = 10;
/// Bytes of a PDF.
const LONGEST: u64 = 200 << 20;

/// Runs the command.
pub fn run(_: Args) -> ExitCode {
    let limit = |resource, most| setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) });
    if limit(Resource::As, MEMORY).and_then(|()| limit(Resource::Cpu, SECONDS)).and_then(|()| limit(Resource::Core, 0)).is_err() {
        return ExitCode::FAILURE;
    }
    // What the renderer says of a broken file is of no use to anybody.
    std::panic::set_hook(Box::new(|_| {}));
    let mut bytes = Vec::new();
    if std::io::stdin().take(LONGEST).read_to_end(&mut bytes).is_err() {
        return ExitCode::FAILURE;
    }
    let Ok(texts) = codes(bytes) else { return ExitCode::FAILURE };
    let mut out = std::io::stdout().lock();
    for text in texts {
        let written = serde_json::to_string(&text).map_err(std::io::Error::other).and_then(|line| writeln!(out, "{line}"));
        if written.is_err() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

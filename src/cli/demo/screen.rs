//! What the demo shows while it runs: a bar for each batch on a terminal, a line for each change elsewhere.

use std::io::{IsTerminal, Write};

/// One batch as shown.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Row {
    pub name: String,
    /// State of the receipt, once there is one.
    pub receipt: Option<String>,
    /// (state, acts).
    pub states: Vec<(String, u64)>,
    pub closed: u64,
    pub acts: u64,
}

/// The screen.
pub struct Screen {
    terminal: bool,
    drawn: usize,
    last: Vec<Row>,
}

const BAR: u64 = 24;

impl Screen {
    /// Bars on a terminal, lines elsewhere.
    pub fn new() -> Screen {
        Screen { terminal: std::io::stdout().is_terminal(), drawn: 0, last: Vec::new() }
    }

    /// Shows the batches as they are now.
    pub fn show(&mut self, rows: &[Row]) {
        let mut out = std::io::stdout().lock();
        if self.terminal {
            if self.drawn > 0 {
                let _ = write!(out, "\x1b[{}A", self.drawn);
            }
            for row in rows {
                let _ = writeln!(out, "\x1b[2K{}", bar(row));
            }
            self.drawn = rows.len();
        } else {
            for (index, row) in rows.iter().enumerate() {
                if self.last.get(index) != Some(row) && row.receipt.is_some() {
                    let _ = writeln!(out, "{}", bar(row));
                }
            }
        }
        let _ = out.flush();
        self.last = rows.to_vec();
    }

    /// A line of news, above the bars.
    pub fn tell(&mut self, line: &str) {
        let mut out = std::io::stdout().lock();
        if self.terminal && self.drawn > 0 {
            let _ = write!(out, "\x1b[{}A\x1b[J", self.drawn);
            self.drawn = 0;
        }
        let _ = writeln!(out, "{line}");
        drop(out);
        if self.terminal {
            let rows = std::mem::take(&mut self.last);
            self.show(&rows);
        }
    }
}

fn bar(row: &Row) -> String {
    let full = (row.closed * BAR).checked_div(row.acts).unwrap_or(if row.receipt.is_some() { BAR } else { 0 });
    let bar: String = (0..BAR).map(|cell| if cell < full { '█' } else { '░' }).collect();
    let states: Vec<String> = row.states.iter().map(|(state, count)| format!("{state} {count}")).collect();
    format!("{:<24} {bar} {:<16} {}", row.name, row.receipt.as_deref().unwrap_or("in lettura"), states.join(", "))
}

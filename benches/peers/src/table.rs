//! The rounds of one model, as medians and ratios.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::measure::Measured;

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
pub enum Side {
    Llama,
    LlamaRepack,
    PhiLs,
}

impl Side {
    /// In the order they take turns.
    pub const ALL: [Self; 3] = [Self::Llama, Self::PhiLs, Self::LlamaRepack];

    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::LlamaRepack => "llama-repack",
            Self::PhiLs => "phi-ls",
        }
    }
}

/// What a number is, and whether more of it is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    TokensPerSecond,
    Seconds,
    Mib,
}

/// The rows, in the order of the table.
pub const ROWS: [(&str, Unit); 17] = [
    ("load", Unit::Seconds),
    ("prefill 64", Unit::TokensPerSecond),
    ("prefill 128", Unit::TokensPerSecond),
    ("prefill 512", Unit::TokensPerSecond),
    ("decode at 16", Unit::TokensPerSecond),
    ("decode at 512", Unit::TokensPerSecond),
    ("decode at 2048", Unit::TokensPerSecond),
    ("decode at 512, 2 rows", Unit::TokensPerSecond),
    ("decode at 512, 4 rows", Unit::TokensPerSecond),
    ("decode at 512, 8 rows", Unit::TokensPerSecond),
    ("first token: 512 new", Unit::Seconds),
    ("first token: the same again", Unit::Seconds),
    ("first token: last 16 differ", Unit::Seconds),
    ("first token: one appended", Unit::Seconds),
    ("first token: second half differs", Unit::Seconds),
    ("first token: another 64", Unit::Seconds),
    ("first token: back to the first", Unit::Seconds),
];

/// The last row; memory is no speed, so it is not in the picture.
const MEMORY: (&str, Unit) = ("peak memory", Unit::Mib);

/// All rounds of one model.
#[derive(Debug, Serialize, Deserialize)]
pub struct ModelTable {
    pub model: String,
    threads: usize,
    rounds: BTreeMap<Side, Vec<Measured>>,
}

/// One row: the medians of both sides, and how much better phi-ls is.
pub struct Row {
    pub name: &'static str,
    pub unit: Unit,
    pub llama: f64,
    /// llama.cpp was better with its own repacking.
    pub repacked: bool,
    pub phi_ls: f64,
    pub ratio: f64,
}

impl ModelTable {
    pub fn new(model: String, threads: usize) -> Self {
        Self { model, threads, rounds: BTreeMap::new() }
    }

    pub fn add(&mut self, side: Side, measured: Measured) {
        self.rounds.entry(side).or_default().push(measured);
    }

    /// The rows that were measured.
    pub fn rows(&self) -> impl Iterator<Item = Row> {
        ROWS.into_iter().chain([MEMORY]).filter_map(|(name, unit)| self.row(name, unit))
    }

    fn row(&self, name: &'static str, unit: Unit) -> Option<Row> {
        let plain = self.median(Side::Llama, name)?;
        let repack = self.median(Side::LlamaRepack, name)?;
        let phi_ls = self.median(Side::PhiLs, name)?;
        let more_is_better = unit == Unit::TokensPerSecond;
        let repacked = if more_is_better { repack > plain } else { repack < plain };
        let llama = if repacked { repack } else { plain };
        let ratio = if more_is_better { phi_ls / llama } else { llama / phi_ls };
        Some(Row { name, unit, llama, repacked, phi_ls, ratio })
    }

    fn median(&self, side: Side, name: &str) -> Option<f64> {
        let mut values: Vec<f64> =
            self.rounds.get(&side)?.iter().filter_map(|round| round.get(name).copied()).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    }

    pub fn markdown(&self) -> String {
        let rounds = self.rounds.get(&Side::PhiLs).map_or(0, Vec::len);
        let mut text = format!(
            "{}, {} threads, medians of {rounds} rounds (*: with llama.cpp's repacking)\n\n\
             | | llama.cpp | phi-ls | times as good |\n|---|---|---|---|\n",
            self.model, self.threads
        );
        for row in self.rows() {
            let star = if row.repacked { "*" } else { "" };
            let (llama, phi_ls) = (row.unit.show(row.llama), row.unit.show(row.phi_ls));
            text.push_str(&format!("| {} | {llama}{star} | {phi_ls} | {:.2} |\n", row.name, row.ratio));
        }
        text
    }
}

impl Unit {
    pub fn show(self, value: f64) -> String {
        match self {
            Self::TokensPerSecond => format!("{value:.1} tok/s"),
            Self::Seconds => format!("{value:.2} s"),
            Self::Mib => format!("{value:.0} MiB"),
        }
    }
}

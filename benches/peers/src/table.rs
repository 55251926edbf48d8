//! The rounds of one model, as medians and ratios.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::measure::{Numbers, Outcome};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
pub enum Side {
    Llama,
    LlamaRepack,
    Ik,
    PhiLs,
}

impl Side {
    /// All sides, in the order in which they take turns.
    pub const ALL: [Self; 4] = [Self::Llama, Self::PhiLs, Self::LlamaRepack, Self::Ik];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::LlamaRepack => "llama-repack",
            Self::Ik => "ik",
            Self::PhiLs => "phi-ls",
        }
    }
}

/// The unit of a number, and whether larger numbers are better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    TokensPerSecond,
    Seconds,
    Mib,
}

/// The rows, in the order of the table.
pub const ROWS: [(&str, Unit); 18] = [
    ("load", Unit::Seconds),
    ("prefill 64", Unit::TokensPerSecond),
    ("prefill 128", Unit::TokensPerSecond),
    ("prefill 512", Unit::TokensPerSecond),
    ("decode at 16", Unit::TokensPerSecond),
    ("decode at 128", Unit::TokensPerSecond),
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

/// The last row, which is not in the plot because it is not a speed.
const MEMORY: (&str, Unit) = ("peak memory", Unit::Mib);

/// All rounds of one model.
#[derive(Debug, Serialize, Deserialize)]
pub struct ModelTable {
    pub model: String,
    processor: String,
    threads: usize,
    sides: BTreeMap<Side, Vec<Outcome>>,
}

/// One row: the medians of all sides.
pub struct Row {
    pub name: &'static str,
    pub unit: Unit,
    pub llama: f64,
    /// Whether llama.cpp was better with its own repacking.
    pub repacked: bool,
    /// `None` if it was not requested, or cannot run the model.
    pub ik: Option<f64>,
    pub phi_ls: f64,
}

impl ModelTable {
    pub fn new(model: String, processor: String, threads: usize) -> Self {
        Self { model, processor, threads, sides: BTreeMap::new() }
    }

    pub fn add(&mut self, side: Side, outcome: Outcome) {
        self.sides.entry(side).or_default().push(outcome);
    }

    /// Whether ik_llama.cpp ran with this model.
    pub fn ik_loads(&self) -> bool {
        self.numbers(Side::Ik).next().is_some()
    }

    /// The rows that were measured.
    pub fn rows(&self) -> impl Iterator<Item = Row> {
        ROWS.into_iter().chain([MEMORY]).filter_map(|(name, unit)| self.row(name, unit))
    }

    fn row(&self, name: &'static str, unit: Unit) -> Option<Row> {
        let plain = self.median(Side::Llama, name)?;
        let repack = self.median(Side::LlamaRepack, name)?;
        let repacked = unit.times_as_good(repack, plain) > 1.0;
        let llama = if repacked { repack } else { plain };
        let (ik, phi_ls) = (self.median(Side::Ik, name), self.median(Side::PhiLs, name)?);
        Some(Row { name, unit, llama, repacked, ik, phi_ls })
    }

    fn median(&self, side: Side, name: &str) -> Option<f64> {
        let mut values: Vec<f64> = self.numbers(side).filter_map(|numbers| numbers.get(name).copied()).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    }

    fn outcomes(&self, side: Side) -> impl Iterator<Item = &Outcome> {
        self.sides.get(&side).into_iter().flatten()
    }

    fn numbers(&self, side: Side) -> impl Iterator<Item = &Numbers> {
        self.outcomes(side).filter_map(|outcome| match outcome {
            Outcome::Measured { numbers, .. } => Some(numbers),
            Outcome::DoesNotLoad(_) => None,
        })
    }

    pub fn markdown(&self) -> String {
        let rounds = self.numbers(Side::PhiLs).count();
        let mut text = format!(
            "{}, {} threads, medians of {rounds} rounds (*: with llama.cpp's repacking)\n\n{}\n",
            self.model,
            self.threads,
            self.setting()
        );
        let with_ik = self.sides.contains_key(&Side::Ik);
        text.push_str(if with_ik {
            "| | llama.cpp | ik_llama.cpp | phi-ls | times llama.cpp | times ik_llama.cpp |\n|---|---|---|---|---|---|\n"
        } else {
            "| | llama.cpp | phi-ls | times llama.cpp |\n|---|---|---|---|\n"
        });
        for row in self.rows() {
            let times = |peer| format!("{:.2}", row.unit.times_as_good(row.phi_ls, peer));
            let or_dash = |cell: Option<String>| cell.unwrap_or_else(|| "-".to_owned());
            let mut cells = vec![
                row.name.to_owned(),
                format!("{}{}", row.unit.show(row.llama), if row.repacked { "*" } else { "" }),
                or_dash(row.ik.map(|ik| row.unit.show(ik))),
                row.unit.show(row.phi_ls),
                times(row.llama),
                or_dash(row.ik.map(times)),
            ];
            if !with_ik {
                cells = [0, 1, 3, 4].map(|cell| std::mem::take(&mut cells[cell])).into();
            }
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
        text
    }

    /// The processor, and the instruction sets of each side, or why it did not run.
    fn setting(&self) -> String {
        let mut text = format!("- {}\n", self.processor);
        for (name, side) in [("llama.cpp", Side::Llama), ("ik_llama.cpp", Side::Ik), ("phi-ls", Side::PhiLs)] {
            if let Some(outcome) = self.outcomes(side).next() {
                let (Outcome::Measured { instructions: said, .. } | Outcome::DoesNotLoad(said)) = outcome;
                let _ = writeln!(text, "- {name}: {said}");
            }
        }
        text
    }
}

impl Unit {
    /// How many times as good `ours` is as `theirs`.
    pub fn times_as_good(self, ours: f64, theirs: f64) -> f64 {
        match self {
            Self::TokensPerSecond => ours / theirs,
            Self::Seconds | Self::Mib => theirs / ours,
        }
    }

    pub fn show(self, value: f64) -> String {
        match self {
            Self::TokensPerSecond => format!("{value:.1} tok/s"),
            Self::Seconds => format!("{value:.2} s"),
            Self::Mib => format!("{value:.0} MiB"),
        }
    }
}

//! llama.cpp and its descendants: one KV cache of numbered sequences that share positions, and how prompts use it.

use anyhow::Context as _;

use crate::peer::Peer;

/// Positions in the KV cache, enough for all measurements.
pub const CONTEXT: u32 = 2560;

/// Sequences: the prompts that are kept, and the lanes of a batch.
pub const MAX_SEQUENCES: u32 = 16;

/// An engine of this kind with [`CONTEXT`] positions and [`MAX_SEQUENCES`] sequences.
pub trait Sequences {
    /// Whether the cache can hold a prompt beside others that it has nothing in common with. If not, only the last
    /// prompt is kept.
    const KEEPS_PROMPTS: bool;

    /// One pass over entries of `(sequence, position, token)`, which computes the logits of those from `logits_from`
    /// on.
    fn pass(&mut self, entries: &[(usize, usize, u32)], logits_from: usize) -> anyhow::Result<()>;

    /// Drops the positions of `sequence` from `from` on.
    fn cut(&mut self, sequence: usize, from: usize);

    /// Adds the first `len` positions of `from` to sequence `to`.
    fn share(&mut self, from: usize, to: usize, len: usize);

    /// The instruction sets and options it was compiled with.
    fn instructions(&self) -> String;
}

/// Uses such an engine as a peer.
pub struct Sequenced<E> {
    engine: E,
    /// Length of sequence 0.
    len: usize,
    lanes: usize,
    /// Prompts of [`Peer::first_token`] that are kept, each in the sequence of its index.
    prompts: Vec<Vec<u32>>,
}

impl<E: Sequences> Sequenced<E> {
    pub fn new(engine: E) -> Self {
        Self { engine, len: 0, lanes: 0, prompts: Vec::new() }
    }

    /// Makes sequence `to` go on from the first `len` positions of `from`.
    fn copy(&mut self, from: usize, to: usize, len: usize) {
        self.engine.cut(to, 0);
        self.engine.share(from, to, len);
    }

    /// Reads `tokens` of `sequence` from `position` on, and computes the logits of the last one.
    fn read(&mut self, sequence: usize, position: usize, tokens: &[u32]) -> anyhow::Result<()> {
        let entries: Vec<_> =
            tokens.iter().enumerate().map(|(index, &token)| (sequence, position + index, token)).collect();
        self.engine.pass(&entries, tokens.len().saturating_sub(1))
    }
}

impl<E: Sequences> Peer for Sequenced<E> {
    fn instructions(&self) -> String {
        self.engine.instructions()
    }

    fn feed(&mut self, keep: usize, tokens: &[u32]) -> anyhow::Result<()> {
        for sequence in 1..MAX_SEQUENCES as usize {
            self.engine.cut(sequence, 0);
        }
        self.prompts.clear();
        self.engine.cut(0, keep);
        self.len = keep + tokens.len();
        self.read(0, keep, tokens)
    }

    fn fork(&mut self, lanes: usize) -> anyhow::Result<()> {
        for lane in 0..lanes {
            self.copy(0, 1 + lane, self.len);
        }
        self.lanes = self.len;
        Ok(())
    }

    fn decode(&mut self, tokens: &[u32]) -> anyhow::Result<()> {
        let entries: Vec<_> = tokens.iter().enumerate().map(|(lane, &token)| (1 + lane, self.lanes, token)).collect();
        self.lanes += 1;
        self.engine.pass(&entries, 0)
    }

    /// If possible, every earlier prompt is kept in a sequence of its own, which is the best that a user of the library
    /// can do; its server keeps fewer.
    fn first_token(&mut self, prompt: &[u32]) -> anyhow::Result<()> {
        if self.prompts.is_empty() {
            (0..MAX_SEQUENCES as usize).for_each(|sequence| self.engine.cut(sequence, 0));
        }
        let common = |earlier: &Vec<u32>| earlier.iter().zip(prompt).take_while(|(a, b)| a == b).count();
        let best = self.prompts.iter().map(common).enumerate().max_by_key(|(_, common)| *common);
        let (from, common) = best.unwrap_or((0, 0));
        let keep = common.min(prompt.len().saturating_sub(1));
        if !E::KEEPS_PROMPTS {
            self.prompts.clear();
        }
        let sequence = self.prompts.len();
        if from == sequence {
            self.engine.cut(sequence, keep);
        } else {
            self.copy(from, sequence, keep);
        }
        self.prompts.push(prompt.to_vec());
        self.read(sequence, keep, prompt.get(keep..).context("a prompt has a token")?)
    }
}

/// The names with `= 1` in the text of `llama_print_system_info`, which has the same format in all of these engines.
pub fn compiled_for(system_info: &str) -> String {
    let flags = system_info.split(['|', ':']).filter_map(|flag| flag.trim().strip_suffix("= 1"));
    flags.map(str::trim).collect::<Vec<_>>().join(" ")
}

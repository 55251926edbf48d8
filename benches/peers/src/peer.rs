//! The interface to an engine that is measured.

/// An engine with a loaded model. Sequence 0 is the one that prompts go to.
pub trait Peer {
    /// The instruction sets that it reports.
    fn instructions(&self) -> String;

    /// Keeps the first `keep` positions of sequence 0, reads `tokens` after them, and computes the logits of the last
    /// one.
    fn feed(&mut self, keep: usize, tokens: &[u32]) -> anyhow::Result<()>;

    /// Forks `lanes` sequences from sequence 0.
    fn fork(&mut self, lanes: usize) -> anyhow::Result<()>;

    /// One pass that adds one token to each of the forked sequences and computes their logits.
    fn decode(&mut self, tokens: &[u32]) -> anyhow::Result<()>;

    /// Reads a prompt up to its first logits, reusing what earlier prompts of this kind have left in caches.
    fn first_token(&mut self, prompt: &[u32]) -> anyhow::Result<()>;
}

//! What is asked of an engine to be measured.

/// An engine with a loaded model. Sequence 0 is the one that prompts go to.
pub trait Peer {
    /// The instruction sets it runs with, as it says itself.
    fn instructions(&self) -> String;

    /// Keeps the first `keep` positions of sequence 0 and reads `tokens` after them; the last one's logits are computed.
    fn feed(&mut self, keep: usize, tokens: &[u32]) -> anyhow::Result<()>;

    /// Makes `lanes` sequences that go on from sequence 0 as it is.
    fn fork(&mut self, lanes: usize) -> anyhow::Result<()>;

    /// One pass that adds one token to each of the forked sequences and computes their logits.
    fn decode(&mut self, tokens: &[u32]) -> anyhow::Result<()>;

    /// Reads a prompt, reusing whatever earlier prompts of this kind left that helps, as far as its first logits.
    fn first_token(&mut self, prompt: &[u32]) -> anyhow::Result<()>;
}

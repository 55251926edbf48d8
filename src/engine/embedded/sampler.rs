//! Chooses the next token, greedily or by seeded random numbers, and never a forbidden one.

use candle_core::{Device, Tensor};
use candle_transformers::generation::{LogitsProcessor, Sampling as CandleSampling};

use crate::engine::Sampling;
use crate::kernels::ops::log_sum_exp;
use crate::model::{ModelError, argmax};

/// A token and how sure the model was of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Choice {
    pub(super) token: u32,
    /// Natural logarithm of the token's probability among those that it was chosen from.
    pub(super) logprob: f32,
}

/// Chooses the tokens of one candidate.
pub(super) enum Sampler {
    Greedy,
    Random(Box<LogitsProcessor>),
    /// The rest of a given text, then greedy.
    Given(std::vec::IntoIter<u32>),
}

impl Sampler {
    /// The sampler of alternative `candidate` of `candidates`. The first of several is greedy, and each of the others
    /// draws its own random numbers.
    pub(super) fn for_candidate(sampling: &Sampling, candidate: usize, candidates: usize) -> Self {
        match *sampling {
            Sampling::Given(_) => Self::new(sampling),
            Sampling::Random { temperature, top_p, seed } if candidate > 0 || candidates <= 1 => {
                Self::new(&Sampling::Random { temperature, top_p, seed: seed.wrapping_add(candidate as u64) })
            }
            _ => Self::Greedy,
        }
    }

    pub(super) fn new(sampling: &Sampling) -> Self {
        match sampling {
            Sampling::Greedy => Self::Greedy,
            Sampling::Given(tokens) => Self::Given(tokens.clone().into_iter()),
            &Sampling::Random { temperature, top_p, seed } => {
                let sampling = CandleSampling::TopP { p: top_p, temperature };
                Self::Random(Box::new(LogitsProcessor::from_sampling(seed, sampling)))
            }
        }
    }

    /// Chooses among all ids. Forbidden ids already have a logit of negative infinity ([`forbid`]).
    pub(super) fn choose(&mut self, logits: &[f32]) -> Result<Choice, ModelError> {
        let token = match self {
            Self::Greedy => argmax(logits.iter().copied().enumerate()),
            Self::Given(rest) => rest.next().unwrap_or_else(|| argmax(logits.iter().copied().enumerate())),
            Self::Random(processor) => Tensor::from_slice(logits, logits.len(), &Device::Cpu)
                .and_then(|tensor| processor.sample(&tensor))
                .map_err(|error| ModelError::Compute(format!("sampling: {error}")))?,
        };
        Ok(Choice { token, logprob: logprob(logits, token) })
    }

    /// Chooses among `ids`, in the same way.
    pub(super) fn choose_of(&mut self, logits: &[f32], ids: &[u32]) -> Result<Choice, ModelError> {
        let mut among = vec![f32::NEG_INFINITY; logits.len()];
        ids.iter().for_each(|&id| among[id as usize] = logits[id as usize]);
        self.choose(&among)
    }

    /// The likeliest of `ids`, and how likely it is among them. The choice is not random, because the text is not free
    /// while healing.
    pub(super) fn choose_among(logits: &[f32], ids: &[u32]) -> Choice {
        let token = argmax(ids.iter().map(|&id| (id as usize, logits[id as usize])));
        let among: Vec<f32> = ids.iter().map(|&id| logits[id as usize]).collect();
        let max = logits[token as usize];
        Choice { token, logprob: max - log_sum_exp(&among, max) }
    }
}

/// Excludes `ids` from the choice.
pub(super) fn forbid(logits: &mut [f32], ids: &[u32]) {
    for &id in ids {
        if let Some(logit) = logits.get_mut(id as usize) {
            *logit = f32::NEG_INFINITY;
        }
    }
}

fn logprob(logits: &[f32], token: u32) -> f32 {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    logits[token as usize] - log_sum_exp(logits, max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greedy_takes_the_first_of_the_likeliest_and_never_a_forbidden_token() {
        let mut logits = [0.0, 3.0, 3.0, 1.0];
        assert_eq!(Sampler::Greedy.choose(&logits).unwrap().token, 1);
        forbid(&mut logits, &[1]);
        assert_eq!(Sampler::Greedy.choose(&logits).unwrap().token, 2);
        assert_eq!(Sampler::choose_among(&logits, &[0, 3]).token, 3);
    }

    #[test]
    fn log_probabilities_are_those_of_a_softmax() {
        let choice = Sampler::Greedy.choose(&[0.0, 2f32.ln(), 0.0]).unwrap();
        assert!((choice.logprob - 0.5f32.ln()).abs() < 1e-6);
        let among = Sampler::choose_among(&[0.0, 2f32.ln(), 0.0], &[0, 2]);
        assert!((among.logprob - 0.5f32.ln()).abs() < 1e-6, "one of two that are alike");
    }

    #[test]
    fn the_same_seed_gives_the_same_tokens() {
        let logits: Vec<f32> = (0..50).map(|i| (i as f32 * 0.7).sin()).collect();
        let draw = |seed| {
            let mut sampler = Sampler::new(&Sampling::Random { temperature: 1.0, top_p: 0.95, seed });
            (0..20).map(|_| sampler.choose(&logits).unwrap().token).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }
}

//! One job from prompt to text, in steps small enough that another job can come between: a prefill chunk, or one token
//! of every candidate.

use std::time::{Duration, Instant};

use super::draft::{BatchCost, Drafter};
use super::prefix_cache::PrefixCache;
use super::sampler::{Sampler, forbid};
use crate::engine::growing_text::GrowingText;
use crate::engine::{Candidate, EngineError, Generation, GenerationParams, Job, Sampling, StopReason};
use crate::model::tokenizer::{Healing, StreamDecoder};
use crate::model::{KvCache, LoadedModel, LogitRows, Logits, ModelError, PromptForm, Sequence};

/// Prompt tokens in one forward pass: the longest time the engine is deaf to a newer completion. With 64 the weights are
/// read and unpacked half as often as with 32, a tenth more tokens a second (measured); 128 gain no more.
pub const PREFILL_CHUNK: usize = 64;

/// A job under way.
pub(super) struct Run {
    /// The prompt as far as it is fed to the model: without what healing backed up over.
    tokens: Vec<u32>,
    /// Tokens of the whole prompt, healed ones included.
    prompt_tokens: usize,
    cached_tokens: usize,
    /// The form the prompt was asked in.
    form: PromptForm,
    healing: Healing,
    /// The prompt's cache while it is prefilled; handed to the lanes afterwards.
    prompt_cache: KvCache,
    /// One per candidate, once the prompt is prefilled.
    lanes: Vec<Lane>,
    submitted_at: Instant,
    first_token_at: Option<Instant>,
}

/// One candidate.
struct Lane {
    form: PromptForm,
    cache: KvCache,
    sampler: Sampler,
    healing: Healing,
    decoder: StreamDecoder,
    text: GrowingText,
    /// Chosen, not yet forwarded.
    next_token: u32,
    max_new_tokens: usize,
    generated: usize,
    /// Guesses at what comes next, where they cannot change the text: one greedy candidate.
    drafter: Option<Drafter>,
    drafted: usize,
    accepted: usize,
    /// Over the generated tokens that healing did not force.
    logprob_sum: f32,
    logprob_count: usize,
    finished: Option<StopReason>,
}

/// What every job's steps use in turn.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) logits: Logits,
    /// How dear further rows are, by what passes took so far.
    pub(super) cost: BatchCost,
}

/// Whether a job needs another step.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    More,
    Done,
}

impl Run {
    /// Encodes the prompt and takes the longest cached prefix; computes nothing yet.
    pub(super) fn start(
        job: &Job,
        submitted_at: Instant,
        loaded: &LoadedModel,
        prefixes: &mut PrefixCache,
    ) -> Result<Self, EngineError> {
        let encoded = loaded.encode(&job.prompt).map_err(EngineError::Unavailable)?;
        let config = loaded.model.config();
        let (needed, limit) = (encoded.tokens.len() + job.params.max_new_tokens, config.max_position_embeddings);
        if needed > limit {
            let limit = limit.saturating_sub(job.params.max_new_tokens);
            return Err(EngineError::PromptTooLong { tokens: encoded.tokens.len(), limit });
        }
        if encoded.tokens.is_empty() {
            return Err(EngineError::Failed("the prompt is empty: expected at least one token".to_owned()));
        }
        if let Sampling::Given(tokens) = &job.params.sampling
            && let Some(token) = tokens.iter().find(|token| **token as usize >= config.vocab_size)
        {
            let most = config.vocab_size;
            return Err(EngineError::Failed(format!("expected tokens below {most}, found token {token}")));
        }
        let factors = config.rope_factors(needed);
        let prompt_tokens = encoded.tokens.len();
        let mut tokens = encoded.tokens;
        let mut healing = Healing::default();
        if job.params.heal {
            let (keep, pending) = Healing::at(&loaded.tokenizer, &tokens, encoded.prefill_start);
            // At least one token has to be fed for the model to say anything.
            if keep > 0 {
                tokens.truncate(keep);
                healing = pending;
            }
        }
        let mut cache = prefixes.longest_prefix(&tokens, factors).unwrap_or_else(|| loaded.model.new_cache(factors));
        let cached_tokens = cache.tokens().len();
        // The last token is computed again even when it is cached: its logits are what comes next.
        cache.truncate(cached_tokens.min(tokens.len() - 1));
        prefixes.make_room(&cache, needed);
        Ok(Self {
            tokens,
            prompt_tokens,
            cached_tokens,
            form: encoded.form,
            healing,
            prompt_cache: cache,
            lanes: Vec::new(),
            submitted_at,
            first_token_at: None,
        })
    }

    /// One prefill chunk, or one token (with right guesses: several) of every unfinished candidate.
    pub(super) fn step(
        &mut self,
        job: &mut Job,
        loaded: &mut LoadedModel,
        scratch: &mut Scratch,
    ) -> Result<Progress, ModelError> {
        if self.prompt_cache.tokens().len() < self.tokens.len() {
            self.prefill_chunk(&job.params, loaded, &mut scratch.logits)?;
        } else {
            self.decode_tokens(loaded, scratch)?;
        }
        if self.prompt_cache.tokens().len() < self.tokens.len() {
            return Ok(Progress::More);
        }
        self.stream(job);
        let unfinished = self.lanes.iter().any(|lane| lane.finished.is_none());
        Ok(if unfinished { Progress::More } else { Progress::Done })
    }

    fn prefill_chunk(
        &mut self,
        params: &GenerationParams,
        loaded: &mut LoadedModel,
        logits: &mut Logits,
    ) -> Result<(), ModelError> {
        let done = self.prompt_cache.tokens().len();
        let end = (done + PREFILL_CHUNK).min(self.tokens.len());
        let last = end == self.tokens.len() && params.max_new_tokens > 0;
        let rows = if last { LogitRows::Last } else { LogitRows::None };
        let sequence = Sequence { tokens: &self.tokens[done..end], cache: &mut self.prompt_cache, logits: rows };
        loaded.model.forward(&mut [sequence], logits)?;
        if last {
            self.first_token_at = Some(Instant::now());
            forbid(&mut logits.values, loaded.forbidden_ids(self.form));
            for candidate in 0..params.candidates.max(1) {
                let mut lane = Lane::new(self, candidate, params);
                if params.speculate && params.candidates <= 1 && !matches!(params.sampling, Sampling::Random { .. }) {
                    lane.drafter = Some(Drafter::new(&self.tokens));
                }
                lane.choose(logits.row(0), loaded, Duration::ZERO)?;
                self.lanes.push(lane);
            }
        }
        Ok(())
    }

    /// Feeds every unfinished candidate's chosen token and guesses, all in one pass, and chooses their next ones.
    fn decode_tokens(&mut self, loaded: &mut LoadedModel, scratch: &mut Scratch) -> Result<(), ModelError> {
        let Scratch { logits, cost } = scratch;
        let elapsed = self.first_token_at.map_or(Duration::ZERO, |at| at.elapsed());
        let mut lanes: Vec<&mut Lane> = self.lanes.iter_mut().filter(|lane| lane.finished.is_none()).collect();
        let fed: Vec<Vec<u32>> = lanes.iter().map(|lane| lane.tokens_to_feed(cost)).collect();
        let mut sequences: Vec<Sequence<'_>> = lanes
            .iter_mut()
            .zip(&fed)
            .map(|(lane, tokens)| Sequence { tokens, cache: &mut lane.cache, logits: LogitRows::All })
            .collect();
        let started = Instant::now();
        loaded.model.forward(&mut sequences, logits)?;
        drop(sequences);
        cost.record(logits.rows(), started.elapsed());
        for row in logits.values.chunks_mut(logits.vocab_size) {
            forbid(row, loaded.forbidden_ids(self.form));
        }
        let mut first_row = 0;
        for (lane, fed) in lanes.into_iter().zip(&fed) {
            lane.take_verified(fed, first_row, logits, loaded, elapsed)?;
            first_row += fed.len();
        }
        Ok(())
    }

    /// Tells the job's owner what the first candidate has written for certain.
    fn stream(&mut self, job: &mut Job) {
        if let (Some(lane), Some(on_text)) = (self.lanes.first_mut(), job.on_text.as_mut()) {
            lane.text.tell(on_text);
        }
    }

    /// What the job came to.
    pub(super) fn generation(&self) -> Generation {
        let mut candidates: Vec<Candidate> = self.lanes.iter().map(Lane::candidate).collect();
        // The first is the model's best guess step by step and stays first; the others follow by confidence.
        if let Some((_, drawn)) = candidates.split_first_mut() {
            drawn.sort_by(Candidate::by_confidence);
        }
        let now = Instant::now();
        Generation {
            candidates,
            prompt_tokens: self.prompt_tokens,
            cached_tokens: self.cached_tokens,
            generated_tokens: self.lanes.iter().map(|lane| lane.generated).sum(),
            drafted_tokens: self.lanes.iter().map(|lane| lane.drafted).sum(),
            accepted_tokens: self.lanes.iter().map(|lane| lane.accepted).sum(),
            time_to_first_token: self.first_token_at.unwrap_or(now).duration_since(self.submitted_at),
            total: now.duration_since(self.submitted_at),
        }
    }

    /// Leaves what was computed for later prompts, finished or not: each finished chunk is a valid prefix.
    pub(super) fn leave_caches(self, prefixes: &mut PrefixCache) {
        if self.lanes.is_empty() {
            prefixes.insert(self.prompt_cache);
        }
        for lane in self.lanes {
            prefixes.insert(lane.cache);
        }
    }
}

impl Lane {
    fn new(run: &Run, candidate: usize, params: &GenerationParams) -> Self {
        Self {
            form: run.form,
            cache: run.prompt_cache.fork(),
            sampler: Sampler::for_candidate(&params.sampling, candidate, params.candidates),
            healing: run.healing.clone(),
            decoder: StreamDecoder::default(),
            text: GrowingText::new(&params.stop.of_form(run.form)),
            next_token: 0,
            max_new_tokens: params.max_new_tokens,
            generated: 0,
            drafter: None,
            drafted: 0,
            accepted: 0,
            logprob_sum: 0.0,
            logprob_count: 0,
            finished: None,
        }
    }

    /// The chosen token, then guesses at what follows it.
    fn tokens_to_feed(&self, cost: &BatchCost) -> Vec<u32> {
        let mut tokens = vec![self.next_token];
        if let Some(drafter) = self.drafter.as_ref().filter(|_| self.healing.required().is_empty()) {
            tokens.extend(drafter.draft(cost, self.max_new_tokens - self.generated));
        }
        tokens
    }

    /// Chooses after each fed token for as long as the guesses turn out right; what was fed beyond is taken back.
    fn take_verified(
        &mut self,
        fed: &[u32],
        first_row: usize,
        logits: &Logits,
        loaded: &LoadedModel,
        elapsed: Duration,
    ) -> Result<(), ModelError> {
        let before = self.cache.tokens().len() - fed.len();
        let mut right = 0;
        for row in 0..fed.len() {
            self.choose(logits.row(first_row + row), loaded, elapsed)?;
            if self.finished.is_some() || fed.get(row + 1) != Some(&self.next_token) {
                break;
            }
            right += 1;
        }
        self.cache.truncate(before + 1 + right);
        self.drafted += fed.len() - 1;
        self.accepted += right;
        if let Some(drafter) = &mut self.drafter {
            drafter.record(fed.len() - 1, right);
        }
        Ok(())
    }

    /// Chooses the next token from `logits` and takes in its text; finishes the lane where the rules say so.
    fn choose(&mut self, logits: &[f32], loaded: &LoadedModel, elapsed: Duration) -> Result<(), ModelError> {
        let choice = match self.healing.allowed(&loaded.tokenizer) {
            Some(ids) => Sampler::choose_among(logits, &ids),
            None => {
                let choice = self.sampler.choose(logits)?;
                self.logprob_sum += choice.logprob;
                self.logprob_count += 1;
                choice
            }
        };
        self.generated += 1;
        self.next_token = choice.token;
        if let Some(drafter) = &mut self.drafter {
            drafter.push(choice.token);
        }
        self.finished = self.take_in(choice.token, loaded, elapsed);
        Ok(())
    }

    /// Adds `token`'s text; says why the lane ends, if it does.
    fn take_in(&mut self, token: u32, loaded: &LoadedModel, elapsed: Duration) -> Option<StopReason> {
        if loaded.stop_ids(self.form).contains(&token) {
            return self.finish(StopReason::EndOfTurn, elapsed);
        }
        let bytes = loaded.tokenizer.bytes(token);
        let new_bytes = self.healing.advance(bytes);
        let text = self.decoder.push(&bytes[bytes.len() - new_bytes..]);
        if let Some(reason) = self.text.push(&text, elapsed) {
            return Some(reason);
        }
        if self.generated >= self.max_new_tokens {
            return self.finish(StopReason::MaxTokens, elapsed);
        }
        None
    }

    /// Ends the text with whatever bytes were held back, which may itself meet a stop rule.
    fn finish(&mut self, reason: StopReason, elapsed: Duration) -> Option<StopReason> {
        let rest = self.decoder.finish();
        Some(self.text.push(&rest, elapsed).unwrap_or_else(|| self.text.finish(reason)))
    }

    fn candidate(&self) -> Candidate {
        Candidate {
            text: self.text.kept().to_owned(),
            stop_reason: self.finished.unwrap_or(StopReason::MaxTokens),
            mean_logprob: Some(self.logprob_sum / self.logprob_count.max(1) as f32),
            form: self.form,
        }
    }
}

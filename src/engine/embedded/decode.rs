//! One job from prompt to text, in steps small enough that another job can run in between: a prefill chunk, or one
//! token of every candidate.

use std::time::{Duration, Instant};

use super::draft::{BatchCost, Drafter};
use super::pace::{PREFILL_CHUNK, Pace};
use super::prefix_cache::PrefixCache;
use super::sampler::{Choice, Sampler, forbid};
use crate::engine::growing_text::GrowingText;
use crate::engine::{
    Candidate, Certainty, EngineError, Generation, GenerationParams, Job, Priority, Sampling, StopReason,
};
use crate::model::tokenizer::{Healing, StreamDecoder};
use crate::model::{KvCache, LoadedModel, LogitRows, Logits, ModelError, Prompt, PromptForm, Sequence};
use crate::text::FirstName;

/// A prompt as tokens, and its cache.
struct Encoded {
    /// The tokens that are fed to the model: without those that healing writes again.
    tokens: Vec<u32>,
    /// Tokens of the whole prompt, including healed ones.
    prompt_tokens: usize,
    cached_tokens: usize,
    /// The form the prompt was asked in.
    form: PromptForm,
    healing: Healing,
    cache: KvCache,
}

/// A running job.
pub(super) struct Run {
    /// The prompt; once it is prefilled, its cache goes to the branches.
    prompt: Encoded,
    is_short: bool,
    /// One per candidate, once the prompt is prefilled.
    branches: Vec<Branch>,
    submitted_at: Instant,
    first_token_at: Option<Instant>,
}

/// One candidate.
struct Branch {
    form: PromptForm,
    cache: KvCache,
    sampler: Sampler,
    healing: Healing,
    /// Restricts the name that the text begins with to the known ones, until the name is complete.
    first_name: Option<FirstName>,
    is_corrected: Option<bool>,
    decoder: StreamDecoder,
    text: GrowingText,
    /// Chosen, but not yet fed to the model.
    next_token: u32,
    max_new_tokens: usize,
    generated: usize,
    /// Guesses the next tokens, if that cannot change the text: only for a single greedy candidate.
    drafter: Option<Drafter>,
    drafted: usize,
    accepted: usize,
    /// The certainty of the generated tokens that write something new.
    certainty: Option<Certainty>,
    finished: Option<StopReason>,
}

/// Scratch memory that the steps of all jobs share.
pub(super) struct Scratch {
    pub(super) logits: Logits,
    /// The cost of additional rows, measured on the passes so far.
    pub(super) cost: BatchCost,
    pub(super) pace: Pace,
}

impl Scratch {
    /// For a model that has not been measured yet.
    pub(super) fn new(loaded: &LoadedModel) -> Self {
        Self { logits: Logits::default(), cost: BatchCost::default(), pace: Pace::guessed(loaded.weight_bytes) }
    }
}

/// Whether a job needs another step.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    More,
    Done,
}

impl Encoded {
    /// Encodes `prompt` and looks up its longest cached prefix. Computes nothing yet.
    fn new(
        prompt: &Prompt,
        params: &GenerationParams,
        loaded: &LoadedModel,
        prefixes: &mut PrefixCache,
    ) -> Result<Self, EngineError> {
        let encoded = loaded.encode(prompt).map_err(EngineError::Unavailable)?;
        let config = loaded.model.config();
        let (needed, limit) = (encoded.tokens.len() + params.max_new_tokens, config.max_position_embeddings);
        if needed > limit {
            let limit = limit.saturating_sub(params.max_new_tokens);
            return Err(EngineError::PromptTooLong { tokens: encoded.tokens.len(), limit });
        }
        if encoded.tokens.is_empty() {
            return Err(EngineError::Failed("the prompt is empty: expected at least one token".to_owned()));
        }
        let factors = config.rope_factors(needed);
        let (prompt_tokens, mut tokens) = (encoded.tokens.len(), encoded.tokens);
        let mut healing = Healing::default();
        if params.heal {
            let (keep, pending) = Healing::at(&loaded.tokenizer, &tokens, encoded.prefill_start);
            // At least one token has to be fed to get logits.
            if keep > 0 {
                tokens.truncate(keep);
                healing = pending;
            }
        }
        let mut cache = prefixes.longest_prefix(&tokens, loaded.model.new_cache(factors));
        let cached_tokens = cache.tokens().len();
        // The last token is computed again even if it is cached, because its logits are needed.
        cache.truncate(cached_tokens.min(tokens.len() - 1));
        Ok(Self { tokens, prompt_tokens, cached_tokens, form: encoded.form, healing, cache })
    }

    /// Tokens that are still to be read.
    fn unread(&self) -> usize {
        self.tokens.len() - self.cache.tokens().len()
    }
}

impl Run {
    /// Chooses which prompt to use. Computes nothing yet.
    pub(super) fn start(
        job: &Job,
        submitted_at: Instant,
        loaded: &LoadedModel,
        prefixes: &mut PrefixCache,
        pace: &Pace,
    ) -> Result<Self, EngineError> {
        let vocab_size = loaded.model.config().vocab_size;
        if let Sampling::Given(tokens) = &job.params.sampling
            && let Some(token) = tokens.iter().find(|token| **token as usize >= vocab_size)
        {
            return Err(EngineError::Failed(format!("expected tokens below {vocab_size}, found token {token}")));
        }
        let mut prompt = Encoded::new(&job.prompt, &job.params, loaded, prefixes)?;
        let mut is_short = false;
        if let Some(short) = &job.short_prompt
            && job.priority == Priority::Interactive
            && pace.is_too_much(prompt.unread(), job.params.stop.time_budget)
        {
            let short = Encoded::new(short, &job.params, loaded, prefixes)?;
            is_short = short.unread() * 2 <= prompt.unread();
            prompt = if is_short { short } else { prompt };
        }
        prefixes.make_room(&prompt.cache, prompt.prompt_tokens + job.params.max_new_tokens);
        Ok(Self { prompt, is_short, branches: Vec::new(), submitted_at, first_token_at: None })
    }

    /// Computes one prefill chunk, or one token of every unfinished candidate (several if guesses are right).
    pub(super) fn step(
        &mut self,
        job: &mut Job,
        loaded: &mut LoadedModel,
        scratch: &mut Scratch,
    ) -> Result<Progress, ModelError> {
        if self.prompt.unread() > 0 {
            self.prefill_chunk(job, loaded, scratch)?;
        } else {
            self.decode_tokens(loaded, scratch)?;
        }
        if self.prompt.unread() > 0 {
            return Ok(Progress::More);
        }
        self.stream(job);
        let unfinished = self.branches.iter().any(|branch| branch.finished.is_none());
        Ok(if unfinished { Progress::More } else { Progress::Done })
    }

    fn prefill_chunk(&mut self, job: &Job, loaded: &mut LoadedModel, scratch: &mut Scratch) -> Result<(), ModelError> {
        let (Scratch { logits, pace, .. }, params) = (scratch, &job.params);
        let Encoded { tokens, cache, form, .. } = &mut self.prompt;
        let done = cache.tokens().len();
        // A completion may be requested while the chunk is computed.
        let chunk = if job.priority == Priority::WarmUp { pace.chunk() } else { PREFILL_CHUNK };
        let end = (done + chunk).min(tokens.len());
        let last = end == tokens.len() && params.max_new_tokens > 0;
        let rows = if last { LogitRows::Last } else { LogitRows::None };
        let started = Instant::now();
        let sequence = Sequence { tokens: &tokens[done..end], cache, logits: rows };
        loaded.model.forward(&mut [sequence], logits)?;
        // Background work may have waited between two layers.
        if job.priority != Priority::Background {
            pace.record(end - done, started.elapsed());
        }
        if last {
            self.first_token_at = Some(Instant::now());
            forbid(&mut logits.values, loaded.forbidden_ids(*form));
            for candidate in 0..params.candidates.max(1) {
                let mut branch = Branch::new(self, candidate, params);
                if params.speculate && params.candidates <= 1 && !matches!(params.sampling, Sampling::Random { .. }) {
                    branch.drafter = Some(Drafter::new(&self.prompt.tokens));
                }
                branch.choose(logits.row(0), loaded, Duration::ZERO)?;
                self.branches.push(branch);
            }
        }
        Ok(())
    }

    /// Feeds the chosen token and the guesses of every unfinished candidate in one pass, and chooses the next tokens.
    fn decode_tokens(&mut self, loaded: &mut LoadedModel, scratch: &mut Scratch) -> Result<(), ModelError> {
        let Scratch { logits, cost, .. } = scratch;
        let elapsed = self.first_token_at.map_or(Duration::ZERO, |at| at.elapsed());
        let mut branches: Vec<&mut Branch> =
            self.branches.iter_mut().filter(|branch| branch.finished.is_none()).collect();
        let fed: Vec<Vec<u32>> = branches.iter().map(|branch| branch.tokens_to_feed(cost)).collect();
        let mut sequences: Vec<Sequence<'_>> = branches
            .iter_mut()
            .zip(&fed)
            .map(|(branch, tokens)| Sequence { tokens, cache: &mut branch.cache, logits: LogitRows::All })
            .collect();
        let started = Instant::now();
        loaded.model.forward(&mut sequences, logits)?;
        drop(sequences);
        cost.record(logits.rows(), started.elapsed());
        for row in logits.values.chunks_mut(logits.vocab_size) {
            forbid(row, loaded.forbidden_ids(self.prompt.form));
        }
        let mut first_row = 0;
        for (branch, fed) in branches.into_iter().zip(&fed) {
            branch.take_verified(fed, first_row, logits, loaded, elapsed)?;
            first_row += fed.len();
        }
        Ok(())
    }

    /// Reports the part of the first candidate's text that is certain to the job's owner.
    fn stream(&mut self, job: &mut Job) {
        if let (Some(branch), Some(on_text)) = (self.branches.first_mut(), job.on_text.as_mut())
            && let Some(piece) = branch.text.next_piece(branch.certainty, branch.form)
        {
            on_text(piece);
        }
    }

    /// The result of the job.
    pub(super) fn generation(&self, pace: &Pace) -> Generation {
        let mut candidates: Vec<Candidate> = self.branches.iter().map(Branch::candidate).collect();
        // The first candidate is the greedy one and stays first; the others are ordered by certainty.
        if let Some((_, drawn)) = candidates.split_first_mut() {
            drawn.sort_by(Candidate::by_certainty);
        }
        let now = Instant::now();
        Generation {
            candidates,
            is_short: self.is_short,
            prompt_tokens: self.prompt.prompt_tokens,
            cached_tokens: self.prompt.cached_tokens,
            generated_tokens: self.branches.iter().map(|branch| branch.generated).sum(),
            drafted_tokens: self.branches.iter().map(|branch| branch.drafted).sum(),
            accepted_tokens: self.branches.iter().map(|branch| branch.accepted).sum(),
            is_corrected: self.branches.first().and_then(|branch| branch.is_corrected),
            time_to_first_token: self.first_token_at.unwrap_or(now).duration_since(self.submitted_at),
            total: now.duration_since(self.submitted_at),
            processor: Duration::ZERO,
            reading_speed: pace.measured(),
        }
    }

    /// Leaves what was computed to later prompts, even if the job is not finished, since each finished chunk is a valid
    /// prefix. `lasts` says whether such prompts will come on other days, too.
    pub(super) fn leave_caches(self, prefixes: &mut PrefixCache, lasts: bool) {
        if self.branches.is_empty() {
            prefixes.insert(self.prompt.cache, lasts);
        }
        for branch in self.branches {
            prefixes.insert(branch.cache, lasts);
        }
    }
}

impl Branch {
    fn new(run: &Run, candidate: usize, params: &GenerationParams) -> Self {
        Self {
            form: run.prompt.form,
            cache: run.prompt.cache.fork(),
            sampler: Sampler::for_candidate(&params.sampling, candidate, params.candidates),
            healing: run.prompt.healing.clone(),
            first_name: first_name(params),
            is_corrected: params.names.as_ref().map(|_| false),
            decoder: StreamDecoder::default(),
            text: GrowingText::new(&params.stop.of_form(run.prompt.form)),
            next_token: 0,
            max_new_tokens: params.max_new_tokens,
            generated: 0,
            drafter: None,
            drafted: 0,
            accepted: 0,
            certainty: None,
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

    /// Chooses after each fed token as long as the guesses turn out right. Tokens fed beyond that are removed from the
    /// cache.
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

    /// Chooses the next token from `logits` and adds its text. Finishes the branch if the rules say so.
    fn choose(&mut self, logits: &[f32], loaded: &LoadedModel, elapsed: Duration) -> Result<(), ModelError> {
        let choice = self.choice(logits, loaded)?;
        // A token that only repeats what the prompt already contains was not chosen freely.
        if loaded.tokenizer.bytes(choice.token).len() >= self.healing.required().len() {
            self.certainty = Some(Certainty::grown(self.certainty, choice.logprob));
        }
        self.generated += 1;
        self.next_token = choice.token;
        if let Some(drafter) = &mut self.drafter {
            drafter.push(choice.token);
        }
        self.finished = self.take_in(choice.token, loaded, elapsed);
        Ok(())
    }

    /// The next token, which has to write what healing requires and must not begin a name that cannot stand there.
    fn choice(&mut self, logits: &[f32], loaded: &LoadedModel) -> Result<Choice, ModelError> {
        let free = self.healing.allowed(&loaded.tokenizer);
        let named = self.first_name.as_ref().map(|name| self.named_ids(name, loaded)).filter(|ids| !ids.is_empty());
        let Some(named) = named else {
            // Either any name can stand here, or this vocabulary can write none of the known ones.
            self.first_name = None;
            return match free {
                Some(ids) => Ok(Sampler::choose_among(logits, &ids)),
                None => self.sampler.choose(logits),
            };
        };
        let likeliest = match &free {
            Some(ids) => Sampler::choose_among(logits, ids).token,
            None => Sampler::Greedy.choose(logits)?.token,
        };
        if named.binary_search(&likeliest).is_err() {
            self.is_corrected = Some(true);
        }
        match free {
            Some(_) => Ok(Sampler::choose_among(logits, &named)),
            None => self.sampler.choose_of(logits, &named),
        }
    }

    /// Sorted ids of tokens that write what healing requires and continue with `name`. If the name is complete, the
    /// text may end.
    fn named_ids(&self, name: &FirstName, loaded: &LoadedModel) -> Vec<u32> {
        let required = self.healing.required();
        let mut ids = loaded.tokenizer.naming_ids(required, name);
        if required.is_empty() && name.can_end() {
            ids.extend(loaded.stop_ids(self.form));
            ids.sort_unstable();
        }
        ids
    }

    /// Adds the text of `token`. Returns why the branch ends, if it does.
    fn take_in(&mut self, token: u32, loaded: &LoadedModel, elapsed: Duration) -> Option<StopReason> {
        if loaded.stop_ids(self.form).contains(&token) {
            return self.finish(StopReason::EndOfTurn, elapsed);
        }
        let bytes = loaded.tokenizer.bytes(token);
        let new_bytes = &bytes[bytes.len() - self.healing.advance(bytes)..];
        if let Some(name) = &mut self.first_name {
            name.advance(new_bytes);
        }
        self.first_name.take_if(|name| name.is_behind());
        let text = self.decoder.push(new_bytes);
        if let Some(reason) = self.text.push(&text, elapsed) {
            return Some(reason);
        }
        if self.generated >= self.max_new_tokens {
            return self.finish(StopReason::MaxTokens, elapsed);
        }
        None
    }

    /// Ends the text with the bytes that were held back, which may themselves meet a stop rule.
    fn finish(&mut self, reason: StopReason, elapsed: Duration) -> Option<StopReason> {
        let rest = self.decoder.finish();
        Some(self.text.push(&rest, elapsed).unwrap_or_else(|| self.text.finish(reason)))
    }

    fn candidate(&self) -> Candidate {
        Candidate {
            text: self.text.kept().to_owned(),
            stop_reason: self.finished.unwrap_or(StopReason::MaxTokens),
            certainty: self.certainty,
            form: self.form,
        }
    }
}

/// Restricts the name that a text begins with, unless the text is given.
fn first_name(params: &GenerationParams) -> Option<FirstName> {
    let names = params.names.as_ref().filter(|_| !matches!(params.sampling, Sampling::Given(_)));
    names.cloned().map(FirstName::of)
}

//! One job for a server, from the request to the generation.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::answer::{Answer, Turn};
use super::client::Client;
use super::events::Event;
use super::fault::Fault;
use super::link::Connection;
use super::owed::{Missing, Owed};
use super::reply::{Finish, Piece, Usage};
use super::request::{Request, read_only, request};
use crate::engine::growing_text::GrowingText;
use crate::engine::{Candidate, Certainty, Generation, GenerationParams, Priority, Sampling, StopReason, TextListener};
use crate::model::{Prompt, PromptForm};

/// How many events a server may send beyond one per token.
const SPARE_EVENTS: usize = 1000;

/// How long to wait, after a server has ended a text, for its count of tokens.
const LAST_WORD: Duration = Duration::from_millis(100);

/// A job as it is asked of a server.
pub(super) struct Question {
    pub(super) prompt: Prompt,
    pub(super) params: GenerationParams,
    pub(super) priority: Priority,
    pub(super) submitted_at: Instant,
    pub(super) on_text: Option<TextListener>,
    /// Whether text has been reported to its owner.
    pub(super) has_told: bool,
}

/// Sends the job's requests and waits until all of its texts are written. `turn` is held until the server is done with
/// them.
///
/// # Errors
/// If the server gives no answer, or breaks it off.
pub(super) async fn generate(
    connection: &Arc<Connection>,
    question: &mut Question,
    turn: Turn,
) -> Result<Generation, Fault> {
    let Question { prompt, params, priority, submitted_at, .. } = &*question;
    let Connection { client, abilities } = &**connection;
    if let Sampling::Given(_) = params.sampling {
        return Err(Fault::request(
            client.server(),
            "cannot be made to write a given text; use a model on this machine",
        ));
    }
    if params.max_new_tokens == 0 {
        return read_ahead(connection, prompt, params, *submitted_at, turn).await;
    }
    let with_logprobs = *priority == Priority::Interactive;
    let patience = match priority {
        Priority::Interactive => client.patience.interactive,
        Priority::WarmUp | Priority::Background => client.patience.background,
    };
    let ask = |candidate| request(abilities, prompt, params, candidate, with_logprobs);
    if prompt.next_edit.is_some() {
        return Err(Fault::request(client.server(), "cannot be asked for next edits; use a model on this machine"));
    }
    let request = ask(0);
    if prompt.is_fim_only() && request.form == PromptForm::Chat {
        return Err(Fault::request(
            client.server(),
            "cannot be asked to fill in the middle here; set `completion.layout` to \"auto\"",
        ));
    }
    let mut others = JoinSet::new();
    for candidate in 1..params.candidates {
        let (connection, request, turn) = (Arc::clone(connection), ask(candidate), turn.clone());
        let branch = Branch::new(&request, params);
        others.spawn(async move { branch.read(&connection, request, patience, turn, None).await });
    }
    let branch = Branch::new(&request, params);
    let mut tell = question.on_text.as_mut().map(|on_text| Telling { on_text, has_told: &mut question.has_told });
    let mut branches = vec![branch.read(connection, request, patience, turn, tell.as_mut()).await?];
    while let Some(joined) = others.join_next().await {
        // An alternative that fails is left out.
        branches.extend(joined.ok().and_then(Result::ok));
    }
    Ok(generation(branches, question.submitted_at))
}

/// Makes the server read a prompt, if it keeps what it has read.
async fn read_ahead(
    connection: &Arc<Connection>,
    prompt: &Prompt,
    params: &GenerationParams,
    submitted_at: Instant,
    turn: Turn,
) -> Result<Generation, Fault> {
    let mut usage = Usage::default();
    if connection.abilities.software.keeps_prefixes() {
        let Request { path, body, .. } = read_only(&connection.abilities, prompt, params);
        let (connection, outlives) = (Arc::clone(connection), turn.is_some());
        let ask = async move {
            let _turn = turn;
            connection.client.ask(path, &body, connection.client.patience.background).await
        };
        // A spawned task goes on when nobody waits for it any more.
        let answer = match outlives {
            true => tokio::spawn(ask).await.unwrap_or_else(|error| Err(Fault::here(error.to_string())))?,
            false => ask.await?,
        };
        usage = Piece::read(&answer).and_then(|piece| piece.usage).unwrap_or_default();
    }
    let generation = generation(Vec::new(), submitted_at);
    Ok(Generation { prompt_tokens: usage.prompt, cached_tokens: usage.cached, ..generation })
}

fn generation(branches: Vec<Branch>, submitted_at: Instant) -> Generation {
    let now = Instant::now();
    let usage = branches.first().map(|branch| branch.usage).unwrap_or_default();
    let first_token_at = branches.first().and_then(|branch| branch.first_token_at).unwrap_or(now);
    let generated_tokens = branches.iter().map(Branch::generated_tokens).sum();
    let mut candidates: Vec<Candidate> = branches.into_iter().map(Branch::candidate).collect();
    // The first candidate is the greedy one and stays first; the others are ordered by certainty.
    if let Some((_, drawn)) = candidates.split_first_mut() {
        drawn.sort_by(Candidate::by_certainty);
    }
    Generation {
        candidates,
        is_short: false,
        prompt_tokens: usage.prompt,
        cached_tokens: usage.cached,
        generated_tokens,
        drafted_tokens: 0,
        accepted_tokens: 0,
        is_corrected: None,
        time_to_first_token: first_token_at.duration_since(submitted_at),
        total: now.duration_since(submitted_at),
        processor: Duration::ZERO,
        reading_speed: None,
    }
}

/// Reports text to the owner of a job.
struct Telling<'a> {
    on_text: &'a mut TextListener,
    has_told: &'a mut bool,
}

/// One text while it streams in.
struct Branch {
    owed: Owed,
    form: PromptForm,
    text: GrowingText,
    max_new_tokens: usize,
    /// Tokens so far, judged by pieces of text and the server's counts, including those of the required start.
    tokens: usize,
    /// Those of them beyond the required start.
    new_tokens: usize,
    /// Log-probabilities of tokens whose text the server holds back, as vLLM does while it may begin a stop string.
    held_back: Vec<f32>,
    events: usize,
    certainty: Option<Certainty>,
    usage: Usage,
    first_token_at: Option<Instant>,
    /// Why the server has ended the text, if it has.
    said_finish: Option<Finish>,
    ended: Option<StopReason>,
    is_missing: bool,
}

impl Branch {
    fn new(request: &Request, params: &GenerationParams) -> Self {
        Self {
            owed: request.owed.clone(),
            form: request.form,
            text: GrowingText::new(&params.stop.of_form(request.form)),
            max_new_tokens: params.max_new_tokens,
            tokens: 0,
            new_tokens: 0,
            held_back: Vec::new(),
            events: 0,
            certainty: None,
            usage: Usage::default(),
            first_token_at: None,
            said_finish: None,
            ended: None,
            is_missing: false,
        }
    }

    /// Sends `request` and reads until the text ends. Then the connection is closed, so that the server writes no more.
    async fn read(
        mut self,
        connection: &Arc<Connection>,
        request: Request,
        patience: Duration,
        turn: Turn,
        mut tell: Option<&mut Telling<'_>>,
    ) -> Result<Self, Fault> {
        let client = &connection.client;
        let asked_at = Instant::now();
        let mut answer = Answer::to(connection, request, patience, turn);
        while self.ended.is_none() {
            let (since, patience) = match self.first_token_at {
                Some(_) => (Instant::now(), client.patience.between),
                None => (asked_at, patience),
            };
            let event = tokio::time::timeout_at((since + patience).into(), answer.next()).await;
            match event.unwrap_or_else(|_| Err(client.silent(patience)))? {
                Some(Event::Data(event)) => {
                    let piece = Piece::read(&event).ok_or_else(|| client.garbage(&event.to_string()))?;
                    self.take(piece);
                    self.check_length(client)?;
                }
                Some(Event::Done) => self.end(StopReason::EndOfTurn),
                None if self.said_finish.is_some() => self.end(StopReason::EndOfTurn),
                None => {
                    let characters = self.text.kept().chars().count();
                    return Err(client.broke_off(format!("expected its end, found none after {characters} characters")));
                }
            }
            if let Some(Telling { on_text, has_told }) = tell.as_deref_mut() {
                let certainty = self.certainty;
                if let Some(piece) = self.text.next_piece(certainty, self.form) {
                    **has_told = true;
                    on_text(piece);
                }
            }
        }
        if self.said_finish.is_some() {
            let _ = tokio::time::timeout(LAST_WORD, self.read_last_words(&mut answer)).await;
        }
        Ok(self)
    }

    /// Reads to the end of the answer if the server has ended the text itself, because some servers send their counts
    /// last.
    async fn read_last_words(&mut self, answer: &mut Answer) {
        while let Ok(Some(Event::Data(event))) = answer.next().await {
            self.usage = Piece::read(&event).and_then(|piece| piece.usage).unwrap_or(self.usage);
        }
    }

    /// Adds the contents of an event.
    fn take(&mut self, piece: Piece) {
        self.events += 1;
        self.usage = piece.usage.unwrap_or(self.usage);
        self.said_finish = piece.finish.or(self.said_finish);
        self.held_back.extend(piece.logprobs);
        if piece.text.is_empty() {
            return;
        }
        let first_token_at = *self.first_token_at.get_or_insert_with(Instant::now);
        let logprobs = std::mem::take(&mut self.held_back);
        let tokens = logprobs.len().max(1);
        self.tokens += tokens;
        match self.owed.take(&piece.text) {
            Err(Missing) => {
                self.is_missing = true;
                self.end(StopReason::EndOfTurn);
            }
            Ok(text) if text.is_empty() => {}
            Ok(text) => {
                self.new_tokens += tokens;
                let grown = |so_far, logprob: &f32| Some(Certainty::grown(so_far, *logprob));
                self.certainty = logprobs.iter().fold(self.certainty, grown);
                self.ended = self.text.push(&text, first_token_at.elapsed());
                if self.ended.is_none() && self.new_tokens >= self.max_new_tokens {
                    self.end(StopReason::MaxTokens);
                }
            }
        }
    }

    /// Ends the text, for `reason` unless the server has given another one.
    fn end(&mut self, reason: StopReason) {
        let reason = if self.said_finish == Some(Finish::Length) { StopReason::MaxTokens } else { reason };
        self.ended = Some(self.text.finish(reason));
    }

    /// Fails if the server sends far more than it was asked for.
    fn check_length(&self, client: &Client) -> Result<(), Fault> {
        match self.events > self.tokens + SPARE_EVENTS {
            true => Err(client.broke_off(format!("it has sent {} events without an end", self.events))),
            false => Ok(()),
        }
    }

    /// The server's count, if it has sent one for the whole text.
    fn generated_tokens(&self) -> usize {
        self.usage.generated.max(self.tokens)
    }

    fn candidate(self) -> Candidate {
        let is_answer = self.owed.is_paid() && !self.is_missing;
        if !is_answer {
            tracing::debug!("the answer does not begin with the expected text and is dropped");
        }
        Candidate {
            text: if is_answer { self.text.kept().to_owned() } else { String::new() },
            stop_reason: self.ended.unwrap_or(StopReason::EndOfTurn),
            certainty: self.certainty,
            form: self.form,
        }
    }
}

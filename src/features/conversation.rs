//! Conversations: an answered question and what is asked after it.

use crate::config::SHORT_CONTEXT_TOKENS;
use crate::context::cost;
use crate::engine::Generation;
use crate::model::Prompt;
use crate::prompt::follow_up;

use super::explain::{ExplainPlan, params};
use super::question::{AssistantOptions, NotAsked, TOKENS_PER_BYTE};

/// The number of tokens that an answer must have room for.
const LEAST_ANSWER: usize = 128;

/// Tokens of a question beside its text (the tags of the turns), and what an estimate may be wrong by.
const TURN_TOKENS: usize = 16;

/// A question, or several in a row, with the answer to the last one.
#[derive(Debug, Clone, PartialEq)]
pub struct Conversation {
    prompt: Prompt,
    /// As the model wrote it: what is shown may differ, and would then no longer match the model's cache.
    answer: String,
    tokens: usize,
}

impl Conversation {
    /// The conversation in which `prompt` was answered by `generation`; `None` if it was not.
    pub fn new(prompt: Prompt, generation: &Generation) -> Option<Self> {
        let answer = generation.candidates.first()?.text.clone();
        let tokens = generation.prompt_tokens + generation.generated_tokens;
        (!answer.trim().is_empty()).then_some(Self { prompt, answer, tokens })
    }

    /// What to ask the model to continue with `question`.
    ///
    /// # Errors
    /// Why the model is not asked.
    pub fn follow_up(&self, question: &str, options: &AssistantOptions) -> Result<ExplainPlan, NotAsked> {
        if let Some(refusal) = &options.refusal {
            return Err(NotAsked::Excluded(refusal.clone()));
        }
        let question = question.trim();
        if question.is_empty() {
            return Err(NotAsked::NoQuestion);
        }
        let asked = (cost(question) as f64 * TOKENS_PER_BYTE) as usize + TURN_TOKENS;
        let room = self.room(asked, options)?;
        let prompt = follow_up(&self.prompt, &self.answer, question);
        Ok(ExplainPlan { prompt, params: params(room), cut: false })
    }

    /// Tokens for the answer to a question of `asked` tokens.
    fn room(&self, asked: usize, options: &AssistantOptions) -> Result<usize, NotAsked> {
        let (tokens, limit) = (self.tokens + asked, options.context_tokens + options.max_tokens);
        let rest = |limit: usize| limit.checked_sub(tokens).filter(|rest| *rest >= LEAST_ANSWER);
        // Beyond the short context everything so far would be read again, with other rotary factors: a shorter answer is
        // the better bargain as long as there is room for one.
        let short = limit.min(SHORT_CONTEXT_TOKENS as usize);
        let room = rest(short).or_else(|| rest(limit));
        let room = room.ok_or(NotAsked::ConversationTooLong { tokens: tokens + LEAST_ANSWER, limit })?;
        Ok(room.min(options.max_tokens))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::engine::{Candidate, Certainty, StopReason};
    use crate::model::{PromptForm, Role, Turn};

    fn conversation(answer: &str, prompt_tokens: usize) -> Option<Conversation> {
        let candidate = Candidate {
            text: answer.to_owned(),
            stop_reason: StopReason::EndOfTurn,
            certainty: Some(Certainty::of(0.0)),
            form: PromptForm::Chat,
        };
        let generation = Generation {
            candidates: vec![candidate],
            is_short: false,
            prompt_tokens,
            cached_tokens: 0,
            generated_tokens: 100,
            drafted_tokens: 0,
            accepted_tokens: 0,
            is_corrected: None,
            time_to_first_token: Duration::ZERO,
            total: Duration::ZERO,
            reading_speed: None,
            processor: Duration::ZERO,
        };
        let turns = vec![Turn { role: Role::User, text: "What?".to_owned() }];
        Conversation::new(Prompt { turns, ..Prompt::default() }, &generation)
    }

    fn options(context_tokens: usize) -> AssistantOptions {
        AssistantOptions { refusal: None, context_tokens, max_tokens: 1024 }
    }

    #[test]
    fn a_question_follows_the_answer_as_the_model_wrote_it() {
        let conversation = conversation(" It sums <b>. ", 10).expect("it was answered");
        let plan = conversation.follow_up(" Why?\n", &options(3072)).expect("there is room");
        let texts: Vec<_> = plan.prompt.turns.iter().map(|turn| turn.text.as_str()).collect();
        assert_eq!(texts, ["What?", " It sums <b>. ", "Why?"]);
        assert_eq!(plan.params.max_new_tokens, 1024);
        assert_eq!(conversation.follow_up(" \n", &options(3072)).unwrap_err(), NotAsked::NoQuestion);
    }

    #[test]
    fn nothing_follows_where_nothing_was_said() {
        assert_eq!(conversation(" \n", 10), None);
    }

    /// Tokens for an answer after a conversation of `tokens`, with `assistant.contextTokens` at `context_tokens`.
    fn check_room(tokens: usize, context_tokens: usize, expected: Option<usize>) {
        let conversation = conversation("It sums.", tokens - 100).expect("it was answered");
        let plan = conversation.follow_up("Why?", &options(context_tokens));
        let room = plan.as_ref().map(|plan| plan.params.max_new_tokens).ok();
        assert_eq!(room, expected, "{tokens} of {context_tokens}: {plan:?}");
    }

    #[test]
    fn answers_take_the_room_that_is_left() {
        check_room(2000, 3072, Some(1024));
        check_room(3579, 3072, Some(500));
        check_room(3979, 3072, None);
        // With a longer context, but within the short factors as long as that leaves room.
        check_room(3579, 8192, Some(500));
        check_room(3979, 8192, Some(1024));
        check_room(9000, 8192, Some(199));
    }
}

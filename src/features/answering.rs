//! A question, from an editor or the command line: what the model is asked, what its answer results in, and whether to
//! ask once more.

use crate::context::{Snapshot, Surroundings};
use crate::engine::{Candidate, Generation, GenerationParams, StopReason};
use crate::model::Prompt;
use crate::prompt::fence;

use super::commit::{self, CommitPlan};
use super::edit::{self, Change, EditPlan, Rejection};
use super::explain::{self, ExplainPlan};
use super::question::{AssistantOptions, NotAsked, Question};

/// What the model is asked.
#[derive(Debug, Clone)]
pub enum Plan {
    /// The person reads the answer.
    Explain(ExplainPlan),
    /// The answer becomes an edit of the document it was asked about.
    Edit(EditPlan, Snapshot),
    /// The answer is the message of a commit.
    Commit(CommitPlan),
}

/// What an answer results in.
#[derive(Debug)]
pub enum Outcome {
    /// Markdown to read.
    Text(String),
    Change(Change),
    /// It cannot be used; asking again with this plan, which includes the reason, can help.
    AskAgain(Box<Plan>, Rejection),
    /// It cannot be used, but [`Plan::readable`] can be shown.
    Rejected(Rejection),
    /// The model wrote nothing.
    NoAnswer,
}

impl Plan {
    /// What to ask the model for `question`.
    ///
    /// # Errors
    /// Why the model is not asked.
    pub fn new(
        snapshot: &Snapshot,
        surroundings: &Surroundings,
        question: &Question,
        options: &AssistantOptions,
    ) -> Result<Self, NotAsked> {
        match question.action.is_edit() {
            true => {
                let plan = edit::plan(snapshot, surroundings, question, options)?;
                Ok(Self::Edit(plan, snapshot.clone()))
            }
            false => explain::plan(snapshot, surroundings, question, options).map(Self::Explain),
        }
    }

    pub fn prompt(&self) -> &Prompt {
        match self {
            Self::Explain(plan) => &plan.prompt,
            Self::Edit(plan, _) => &plan.prompt,
            Self::Commit(plan) => &plan.prompt,
        }
    }

    pub fn params(&self) -> &GenerationParams {
        match self {
            Self::Explain(plan) => &plan.params,
            Self::Edit(plan, _) => &plan.params,
            Self::Commit(plan) => &plan.params,
        }
    }

    /// The outcome of `generation`, which was made for this plan. It is asked again at most once.
    pub fn outcome(&self, generation: &Generation) -> Outcome {
        let answer = generation.candidates.first().filter(|answer| !answer.text.trim().is_empty());
        let Some(answer) = answer else { return Outcome::NoAnswer };
        match self {
            Self::Explain(_) => Outcome::Text(self.readable(answer)),
            Self::Commit(_) => match self.readable(answer) {
                message if message.is_empty() => Outcome::NoAnswer,
                message => Outcome::Text(message),
            },
            Self::Edit(plan, snapshot) => match edit::finish(plan, snapshot, answer) {
                Ok(change) => Outcome::Change(change),
                Err(reason) if reason.is_retryable() && !plan.is_retry => {
                    let again = edit::retry(plan, &answer.text, &reason);
                    Outcome::AskAgain(Box::new(Self::Edit(again, snapshot.clone())), reason)
                }
                Err(reason) => Outcome::Rejected(reason),
            },
        }
    }

    /// `answer` for reading, as Markdown with notes for the person; a commit message is plain text.
    pub fn readable(&self, answer: &Candidate) -> String {
        match self {
            Self::Explain(plan) => {
                let mut text = explain::finish(&answer.text);
                text.push_str(&notes(plan, answer));
                text
            }
            Self::Edit(plan, _) if plan.fence.is_empty() => explain::finish(&answer.text),
            Self::Commit(_) => commit::finish(answer),
            // The prompt has opened the block that the answer continues.
            Self::Edit(..) => {
                let fence = fence("", &answer.text);
                format!("{fence}\n{}\n{fence}", answer.text.trim_end())
            }
        }
    }
}

fn notes(plan: &ExplainPlan, answer: &Candidate) -> String {
    let mut notes = String::new();
    if answer.stop_reason == StopReason::MaxTokens {
        notes.push_str("\n\n(The answer was cut off here, at the limit set by `assistant.maxTokens`.)");
    }
    if plan.cut {
        notes.push_str("\n\n(The code was too long; the model saw only part of it.)");
    }
    notes
}

//! Plans for a document: the settings as options, the short form of a prompt, and the prefill of what is likely to be asked.

use super::document_state::DocumentState;
use crate::config::{Backend, CompletionSettings};
use crate::context::{Anchor, Reading, Snapshot};
use crate::engine::{CancelFlag, Generation, Job, Priority};
use crate::features::inline_completion::{self, CompletionOptions, InlineRequest, Plan, Skip, Trigger};
use crate::model::Prompt;
use crate::server::documents::Document;
use crate::server::event::{CompletionEvent, Event, SessionSender};

/// Tokens of code that a model reads however slow it is, and before it is known how fast it is.
const LEAST_TOKENS: usize = 64;

/// How long a prompt is that a model reads in about a second, by what engines say of its speed.
#[derive(Debug)]
pub(super) struct ShortLength {
    tokens: usize,
}

impl Default for ShortLength {
    fn default() -> Self {
        Self { tokens: LEAST_TOKENS }
    }
}

impl ShortLength {
    /// Takes note of how fast the model was. The length stays while it is about right: with another one, windows move.
    pub(super) fn learn(&mut self, generation: &Generation) {
        let Some(speed) = generation.reading_speed else { return };
        let wanted = (speed as usize).max(LEAST_TOKENS);
        if wanted * 2 >= self.tokens * 3 || wanted * 3 <= self.tokens * 2 {
            self.tokens = wanted;
        }
    }
}

/// What to ask the model for `request`, or why nothing.
pub(super) fn plan(
    document: &Document,
    anchor: &mut Anchor,
    request: InlineRequest,
    reading: Reading,
    settings: &CompletionSettings,
) -> Result<Plan, Skip> {
    inline_completion::plan(&document.snapshot, request, &options(document, reading, settings), anchor)
}

/// The short form of what `plan` asks, for the case that little of the whole has been read. A server that others use too is
/// fast enough.
pub(super) fn short_prompt(
    document: &Document,
    anchor: &mut Anchor,
    plan: &Plan,
    length: &ShortLength,
    reading: Reading,
    settings: &CompletionSettings,
) -> Option<Prompt> {
    let is_local = settings.backend == Backend::Embedded;
    let short = || inline_completion::short_prompt(plan, &options(document, reading, settings), length.tokens, anchor);
    is_local.then(short).flatten()
}

fn options(document: &Document, reading: Reading, settings: &CompletionSettings) -> CompletionOptions {
    let options = CompletionOptions::new(settings, &document.snapshot.language_id, document.is_excluded());
    CompletionOptions { reading, ..options }
}

/// The job that prefills what a request at `cursor` would ask; nothing where such a request would ask nothing. `session` is
/// told of its end.
pub(super) fn warm_up(
    document: &Document,
    state: &mut DocumentState,
    cursor: usize,
    reading: Reading,
    settings: &CompletionSettings,
    session: SessionSender,
) -> Option<Job> {
    let request = InlineRequest { offset: cursor, trigger: Trigger::Automatic, selected: None };
    let mut plan = plan(document, &mut state.anchor, request, reading, settings).ok()?;
    plan.params.max_new_tokens = 0;
    let (number, cancel) = (document.number, CancelFlag::default());
    state.warm_up = Some(cancel.clone());
    Some(Job {
        priority: Priority::WarmUp,
        document: number,
        prompt: plan.prompt,
        short_prompt: None,
        params: plan.params,
        cancel,
        on_text: None,
        on_done: Box::new(move |outcome| {
            session.send(Event::Completion { document: number, event: CompletionEvent::WarmedUp(outcome) });
        }),
    })
}

/// The job that reads the window at `cursor` if it has to be placed again.
pub(super) fn settle(
    document: &Document,
    state: &mut DocumentState,
    cursor: usize,
    reading: Reading,
    settings: &CompletionSettings,
    session: SessionSender,
) -> Option<Job> {
    state.anchor.settle(&document.snapshot, cursor);
    if state.anchor.is_placed() {
        return None;
    }
    warm_up(document, state, cursor, reading, settings, session)
}

/// What to ask for at `offset` of `snapshot`, which `document` would be if a completion were accepted.
pub(super) fn plan_accepted(
    document: &Document,
    anchor: &Anchor,
    snapshot: &Snapshot,
    offset: usize,
    reading: Reading,
    settings: &CompletionSettings,
) -> Option<Plan> {
    let request = InlineRequest { offset, trigger: Trigger::Automatic, selected: None };
    // It may never come to that: the document's own prompts begin where they did.
    inline_completion::plan(snapshot, request, &options(document, reading, settings), &mut anchor.clone()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_follows_the_speed_and_not_its_noise() {
        let mut length = ShortLength::default();
        let mut after = |speed: Option<f32>| {
            let generation = Generation { reading_speed: speed, ..Generation::default() };
            length.learn(&generation);
            length.tokens
        };
        assert_eq!(after(None), 64);
        assert_eq!(after(Some(26.0)), 64);
        assert_eq!(after(Some(150.0)), 150);
        assert_eq!(after(Some(180.0)), 150);
        assert_eq!(after(Some(110.0)), 150);
        assert_eq!(after(Some(80.0)), 80);
        assert_eq!(after(Some(1000.0)), 1000);
    }
}

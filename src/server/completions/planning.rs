//! Plans for a document: the settings as options, the short form of a prompt, and the prefill of what is likely to be asked.

use super::document_state::DocumentState;
use crate::config::{Backend, CompletionSettings};
use crate::context::{Anchor, Reading, Snapshot};
use crate::engine::{CancelFlag, Job, Priority};
use crate::features::inline_completion::{self, CompletionOptions, InlineRequest, Plan, Skip, Trigger, Variation};
use crate::model::Prompt;
use crate::server::documents::Document;
use crate::server::event::{CompletionEvent, Event, SessionSender};
use crate::statistics::Acceptance;

/// What completions in `document` go by.
pub(super) fn options(
    document: &Document,
    settings: &CompletionSettings,
    reading: Reading,
    acceptance: Acceptance,
    variation: Variation,
) -> CompletionOptions {
    let options = CompletionOptions::new(settings, &document.snapshot.language_id, document.is_excluded());
    CompletionOptions { reading, acceptance, ..options.varied(variation) }
}

/// What to ask the model for `request`, or why nothing.
pub(super) fn plan(
    document: &Document,
    anchor: &mut Anchor,
    request: InlineRequest,
    options: &CompletionOptions,
) -> Result<Plan, Skip> {
    inline_completion::plan(&document.snapshot, request, options, anchor)
}

/// The short form of what `plan` asks, of about so many tokens, for the case that little of the whole has been read. A server that others use too is
/// fast enough.
pub(super) fn short_prompt(
    backend: &Backend,
    anchor: &mut Anchor,
    plan: &Plan,
    tokens: usize,
    options: &CompletionOptions,
) -> Option<Prompt> {
    let is_local = *backend == Backend::Embedded;
    let short = || inline_completion::short_prompt(plan, options, tokens, anchor);
    is_local.then(short).flatten()
}

/// The job that prefills what a request at `cursor` would ask; nothing where such a request would ask nothing. `session` is
/// told of its end.
pub(super) fn warm_up(
    document: &Document,
    state: &mut DocumentState,
    cursor: usize,
    options: &CompletionOptions,
    session: SessionSender,
) -> Option<Job> {
    let request = InlineRequest { offset: cursor, trigger: Trigger::Automatic, selected: None };
    let mut plan = plan(document, &mut state.anchor, request, options).ok()?;
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
    options: &CompletionOptions,
    session: SessionSender,
) -> Option<Job> {
    state.anchor.settle(&document.snapshot, cursor);
    if state.anchor.is_placed() {
        return None;
    }
    warm_up(document, state, cursor, options, session)
}

/// What to ask for at `offset` of `snapshot`, which a document would be if a completion were accepted.
pub(super) fn plan_accepted(
    anchor: &Anchor,
    snapshot: &Snapshot,
    offset: usize,
    options: &CompletionOptions,
) -> Option<Plan> {
    let request = InlineRequest { offset, trigger: Trigger::Automatic, selected: None };
    // It may never come to that: the document's own prompts begin where they did.
    inline_completion::plan(snapshot, request, options, &mut anchor.clone()).ok()
}

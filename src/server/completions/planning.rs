//! Plans for a document: the settings as options, and the prefill of what is likely to be asked.

use super::document_state::DocumentState;
use crate::config::CompletionSettings;
use crate::context::{Anchor, Reading, Snapshot};
use crate::engine::{CancelFlag, Job, Priority};
use crate::features::inline_completion::{self, CompletionOptions, InlineRequest, Plan, Skip, Trigger};
use crate::server::documents::Document;

/// What to ask the model for `request`, or why nothing.
pub(super) fn plan(
    document: &Document,
    anchor: &mut Anchor,
    request: InlineRequest,
    reading: Reading,
    settings: &CompletionSettings,
) -> Result<Plan, Skip> {
    let options = CompletionOptions::new(settings, &document.snapshot.language_id, document.is_excluded());
    let options = CompletionOptions { reading, ..options };
    inline_completion::plan(&document.snapshot, request, &options, anchor)
}

/// The job that prefills what a request at `cursor` would ask; nothing where such a request would ask nothing.
pub(super) fn warm_up(
    document: &Document,
    state: &mut DocumentState,
    cursor: usize,
    reading: Reading,
    settings: &CompletionSettings,
) -> Option<Job> {
    let request = InlineRequest { offset: cursor, trigger: Trigger::Automatic, selected: None };
    let mut plan = plan(document, &mut state.anchor, request, reading, settings).ok()?;
    plan.params.max_new_tokens = 0;
    let cancel = CancelFlag::default();
    state.warm_up = Some(cancel.clone());
    Some(Job {
        priority: Priority::WarmUp,
        document: document.number,
        prompt: plan.prompt,
        params: plan.params,
        cancel,
        on_text: None,
        on_done: Box::new(|outcome| match outcome {
            Ok(generation) => tracing::trace!(prompt_tokens = generation.prompt_tokens, "warmed up"),
            Err(error) => tracing::trace!("not warmed up: {error}"),
        }),
    })
}

/// The job that reads the window at `cursor` if it has to be placed anew.
pub(super) fn settle(
    document: &Document,
    state: &mut DocumentState,
    cursor: usize,
    reading: Reading,
    settings: &CompletionSettings,
) -> Option<Job> {
    state.anchor.settle(&document.snapshot, cursor);
    if state.anchor.is_placed() {
        return None;
    }
    warm_up(document, state, cursor, reading, settings)
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
    let options = CompletionOptions::new(settings, &snapshot.language_id, document.is_excluded());
    let options = CompletionOptions { reading, ..options };
    // It may never come to that: the document's own prompts begin where they did.
    inline_completion::plan(snapshot, request, &options, &mut anchor.clone()).ok()
}

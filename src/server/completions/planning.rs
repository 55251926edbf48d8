//! Plans for a document: the settings as options, the short form of a prompt, and the prefill of what is likely to be asked.

use super::document_state::{DocumentState, WarmUp};
use crate::config::{Backend, CompletionSettings};
use crate::context::{Anchor, Reading, Snapshot};
use crate::engine::{CancelFlag, GenerationParams, Job, Priority};
use crate::features::inline_completion::{self, CompletionOptions, InlineRequest, Plan, Skip, Trigger};
use crate::model::Prompt;
use crate::server::documents::Document;
use crate::server::event::{CompletionEvent, Event, SessionSender};

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

/// The short form of what `plan` asks, of about so many tokens, for the case that little of the whole has been read. A server that others use too is
/// fast enough.
pub(super) fn short_prompt(
    document: &Document,
    anchor: &mut Anchor,
    plan: &Plan,
    tokens: usize,
    reading: Reading,
    settings: &CompletionSettings,
) -> Option<Prompt> {
    let is_local = settings.backend == Backend::Embedded;
    let short = || inline_completion::short_prompt(plan, &options(document, reading, settings), tokens, anchor);
    is_local.then(short).flatten()
}

fn options(document: &Document, reading: Reading, settings: &CompletionSettings) -> CompletionOptions {
    let options = CompletionOptions::new(settings, &document.snapshot.language_id, document.is_excluded());
    CompletionOptions { reading, ..options }
}

/// What prefills nobody has asked for are planned with.
pub(super) struct Means<'a> {
    pub reading: Reading,
    /// Tokens of a short prompt.
    pub short_tokens: usize,
    pub settings: &'a CompletionSettings,
    /// Told of their end.
    pub session: &'a SessionSender,
}

/// Chooses the window for a request at `cursor`: that of a place that was visited, if it serves there and the document's own does
/// not.
pub(super) fn choose_window(
    document: &Document,
    state: &mut DocumentState,
    cursor: usize,
    reading: Reading,
    settings: &CompletionSettings,
) {
    let limits = options(document, reading, settings).limits();
    let serves = |anchor: &Anchor| anchor.serves(&document.snapshot, cursor, limits);
    if let Some(visited) = state.visited.take_if(|visited| !serves(&state.anchor) && serves(visited)) {
        state.anchor = visited;
    }
}

/// The job that prefills what a request at `cursor` would ask, where nobody has written yet: its short form first, if that
/// `is_first` and the model is so slow that there is one. Nothing where the document's window serves and has been read. That window
/// stays where it is, for somebody who only looks and comes back.
pub(super) fn visit(
    document: &Document,
    state: &mut DocumentState,
    cursor: usize,
    is_first: bool,
    means: &Means<'_>,
) -> Option<Job> {
    let limits = options(document, means.reading, means.settings).limits();
    let serves = state.anchor.serves(&document.snapshot, cursor, limits);
    if serves && !state.is_cold {
        return None;
    }
    // Somebody who looks around moves no window.
    let visited = state.visited.take().unwrap_or_default();
    let own = (!serves && state.anchor.is_placed()).then(|| std::mem::replace(&mut state.anchor, visited));
    state.is_cold |= own.is_none();
    // Where nothing would be offered yet, something may be after the next key.
    let plan = planned(document, state, cursor, Trigger::Invoked, means);
    if let Some(own) = own {
        state.visited = Some(std::mem::replace(&mut state.anchor, own));
    }
    let mut plan = plan?;
    let Means { reading, short_tokens, settings, .. } = *means;
    let short =
        is_first.then(|| short_prompt(document, &mut state.short_anchor, &plan, short_tokens, reading, settings));
    let short = short.flatten();
    let is_short = short.is_some();
    plan.prompt = short.unwrap_or(plan.prompt);
    Some(prefill(document, state, plan, WarmUp { cancel: CancelFlag::default(), cursor, is_short }, means))
}

/// The job that prefills what a request at `cursor` would ask; nothing where such a request would ask nothing.
pub(super) fn warm_up(document: &Document, state: &mut DocumentState, cursor: usize, means: &Means<'_>) -> Option<Job> {
    let plan = planned(document, state, cursor, Trigger::Automatic, means)?;
    Some(prefill(document, state, plan, WarmUp { cancel: CancelFlag::default(), cursor, is_short: false }, means))
}

fn planned(
    document: &Document,
    state: &mut DocumentState,
    offset: usize,
    trigger: Trigger,
    means: &Means<'_>,
) -> Option<Plan> {
    let request = InlineRequest { offset, trigger, selected: None };
    plan(document, &mut state.anchor, request, means.reading, means.settings).ok()
}

/// The job that reads the prompt of `plan`, as `warm_up`.
fn prefill(document: &Document, state: &mut DocumentState, plan: Plan, warm_up: WarmUp, means: &Means<'_>) -> Job {
    let (number, cancel, session) = (document.number, warm_up.cancel.clone(), means.session.clone());
    state.warm_up = Some(warm_up);
    Job {
        priority: Priority::WarmUp,
        document: number,
        prompt: plan.prompt,
        short_prompt: None,
        params: GenerationParams { max_new_tokens: 0, effort: means.settings.effort, ..plan.params },
        cancel,
        on_text: None,
        on_done: Box::new(move |outcome| {
            session.send(Event::Completion { document: number, event: CompletionEvent::WarmedUp(outcome) });
        }),
    }
}

/// The job that reads the window at `cursor` if it has to be placed again.
pub(super) fn settle(document: &Document, state: &mut DocumentState, cursor: usize, means: &Means<'_>) -> Option<Job> {
    state.anchor.settle(&document.snapshot, cursor);
    if state.anchor.is_placed() {
        return None;
    }
    warm_up(document, state, cursor, means)
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
    let plan = inline_completion::plan(snapshot, request, &options(document, reading, settings), &mut anchor.clone());
    let mut plan = plan.ok()?;
    plan.params.effort = settings.effort;
    Some(plan)
}

//! Plans for a document: the settings as options, the short form of a prompt, and the prefill of what is likely to be asked.

use super::document_state::{DocumentState, WarmUp};
use crate::config::{Backend, CompletionSettings};
use crate::context::{Anchor, Reading, Snapshot};
use crate::engine::{CancelFlag, GenerationParams, Job, Priority};
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

/// What prefills nobody has asked for are planned with.
pub(super) struct Means<'a> {
    pub options: &'a dyn Fn() -> CompletionOptions,
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
    options: &CompletionOptions,
) {
    let limits = options.limits();
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
    let options = (means.options)();
    let serves = state.anchor.serves(&document.snapshot, cursor, options.limits());
    if serves && !state.is_cold {
        return None;
    }
    // Somebody who looks around moves no window.
    let visited = state.visited.take().unwrap_or_default();
    let own = (!serves && state.anchor.is_placed()).then(|| std::mem::replace(&mut state.anchor, visited));
    state.is_cold |= own.is_none();
    // Where nothing would be offered yet, something may be after the next key.
    let plan = planned(document, state, cursor, Trigger::Invoked, &options);
    if let Some(own) = own {
        state.visited = Some(std::mem::replace(&mut state.anchor, own));
    }
    let mut plan = plan?;
    let (backend, anchor) = (&means.settings.backend, &mut state.short_anchor);
    let short = is_first.then(|| short_prompt(backend, anchor, &plan, means.short_tokens, &options)).flatten();
    let is_short = short.is_some();
    plan.prompt = short.unwrap_or(plan.prompt);
    Some(prefill(document, state, plan, WarmUp { cancel: CancelFlag::default(), cursor, is_short }, means))
}

/// The job that prefills what a request at `cursor` would ask; nothing where such a request would ask nothing.
pub(super) fn warm_up(document: &Document, state: &mut DocumentState, cursor: usize, means: &Means<'_>) -> Option<Job> {
    let plan = planned(document, state, cursor, Trigger::Automatic, &(means.options)())?;
    Some(prefill(document, state, plan, WarmUp { cancel: CancelFlag::default(), cursor, is_short: false }, means))
}

fn planned(
    document: &Document,
    state: &mut DocumentState,
    offset: usize,
    trigger: Trigger,
    options: &CompletionOptions,
) -> Option<Plan> {
    let request = InlineRequest { offset, trigger, selected: None };
    plan(document, &mut state.anchor, request, options).ok()
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

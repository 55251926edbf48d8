//! Plans for a document: the settings as options, the short form of a prompt, and prefills of likely requests.

use super::document_state::{DocumentState, WarmUp};
use crate::config::{Backend, CompletionSettings};
use crate::context::{Anchor, Reading, Snapshot};
use crate::engine::{CancelFlag, GenerationParams, Job, Priority};
use crate::features::inline_completion::{self, CompletionOptions, InlineRequest, Plan, Skip, Trigger, Variation};
use crate::model::Prompt;
use crate::server::documents::Document;
use crate::server::event::{CompletionEvent, Event, SessionSender};
use crate::statistics::Acceptance;

/// The options for completions in `document`.
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

/// What to ask the model for `request`, or why it is not asked.
pub(super) fn plan(
    document: &Document,
    anchor: &mut Anchor,
    request: InlineRequest,
    options: &CompletionOptions,
) -> Result<Plan, Skip> {
    inline_completion::plan(&document.snapshot, request, options, anchor)
}

/// The short form of the prompt of `plan`, with about `tokens` tokens, in case little of the whole prompt has been
/// read. A server is fast enough without.
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

/// What is needed to plan prefills that nobody has asked for.
pub(super) struct Means<'a> {
    pub options: &'a dyn Fn() -> CompletionOptions,
    /// The number of tokens of a short prompt.
    pub short_tokens: usize,
    pub settings: &'a CompletionSettings,
    /// Receives an event when they end.
    pub session: &'a SessionSender,
}

/// Chooses the window for a request at `cursor`: that of a visited place, if it suits and the document's own does not.
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

/// The job that prefills the prompt of a request at `cursor`, where nobody has written yet. The short form comes first,
/// if it `is_first` and the model is so slow that there is one. Nothing is prefilled if the document's window suits and
/// has been read. That window stays where it is, since the person may come back.
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
    // Looking around does not move the document's window.
    let visited = state.visited.take().unwrap_or_default();
    let own = (!serves && state.anchor.is_placed()).then(|| std::mem::replace(&mut state.anchor, visited));
    state.is_cold |= own.is_none();
    // A place without a completion may get one after the next key, so plan as if it was requested explicitly.
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

/// The job that prefills the prompt of a request at `cursor`, unless such a request would not ask the model.
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

/// The job that reads the prompt of `plan`, recorded as `warm_up`.
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

/// What to ask at `offset` of `snapshot`, which is a document as if a completion were accepted.
pub(super) fn plan_accepted(
    anchor: &Anchor,
    snapshot: &Snapshot,
    offset: usize,
    options: &CompletionOptions,
) -> Option<Plan> {
    let request = InlineRequest { offset, trigger: Trigger::Automatic, selected: None };
    // The completion may not be accepted, so the document's own window stays where it is.
    inline_completion::plan(snapshot, request, options, &mut anchor.clone()).ok()
}

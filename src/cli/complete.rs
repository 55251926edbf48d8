//! `phi-ls complete`: one inline completion, without an editor.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::place::{SourcePosition, cursor_offset, read_snapshot, surroundings, workspaces_around};
use super::{ModelArgs, millis};
use crate::config::{Backend, Confidence, Enabled, Role, Settings};
use crate::context::{Anchor, Snapshot};
use crate::engine::{
    self, CancelFlag, Engine, EngineEvent, Gate, Generation, Job, Priority, StartOptions, TextListener, embedded,
};
use crate::features::completability::why_not_completed;
use crate::features::inline_completion::{self, CompletionOptions, InlineItem, InlineRequest, Trigger};
use crate::hub::ModelRef;
use crate::text::{PositionEncoding, position_at};

#[derive(clap::Args)]
pub(super) struct CompleteArgs {
    /// The position: FILE:LINE:COLUMN, with line and column counted from 1
    place: SourcePosition,
    #[command(flatten)]
    model: ModelArgs,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// The result of a completion, shown or not.
pub(super) struct Completed {
    pub(super) item: Option<InlineItem>,
    pub(super) generation: Generation,
}

pub(super) fn complete(args: &CompleteArgs) -> anyhow::Result<()> {
    let mut snapshot = read_snapshot(&args.place.path)?;
    let offset = cursor_offset(&args.place, &snapshot.text)?;
    let settings = args.model.settings();
    let workspaces = workspaces_around(&args.place.path, &settings.exclude);
    let refusal = workspaces.refusal(&args.place.path);
    if let Some(reason) = why_not_completed(refusal.as_ref(), &settings.completion, &snapshot.language_id) {
        bail!(reason);
    }
    if settings.completion.other_files {
        snapshot.surroundings = Arc::new(surroundings(workspaces, &args.place.path));
    }
    let engine = start_engine_of(&args.model, &[Role::Completion], &settings)?;
    let options = options_for(&snapshot, &settings);
    let completed = complete_with(&engine, &snapshot, offset, Trigger::Automatic, &options)?;
    if args.json {
        println!("{}", to_json(&completed, &snapshot));
    } else if let Some(item) = &completed.item {
        println!("{}", item.insert_text);
    } else {
        eprintln!("phi-ls: the model has no useful completion here");
    }
    Ok(())
}

/// An engine for one command, with a progress bar while it loads.
pub(super) fn start_engine(model: &ModelArgs) -> anyhow::Result<Engine> {
    let settings = Settings { threads: model.threads, ..Settings::default() };
    start_engine_with(model.reference()?, Role::Completion, &settings)
}

/// The engine that the settings name for the first of `roles`: a model server, or else the model that
/// [`ModelArgs::reference_for`] finds.
pub(super) fn start_engine_of(model: &ModelArgs, roles: &[Role], settings: &Settings) -> anyhow::Result<Engine> {
    let role = roles[0];
    let reference = match settings.backend(role) {
        Backend::Embedded => model.reference_for(roles, settings)?,
        Backend::OpenAi(_) => super::model_of(role, settings).1.parse()?,
    };
    start_engine_with(reference, role, settings)
}

/// The same, with the model at `reference` if one has to be loaded.
fn start_engine_with(reference: ModelRef, role: Role, settings: &Settings) -> anyhow::Result<Engine> {
    let may_load = settings.backend(role).may_load_a_model();
    let kv_budget_bytes = if may_load { super::kv_budget_bytes(&reference, role, settings) } else { 0 };
    let load_options = settings.clone();
    let loader = Box::new(move || embedded::load::loader(reference, super::load_options_of(&load_options)));
    let options = StartOptions {
        load_at_start: true,
        idle_unload: None,
        kv_budget_bytes,
        keep: None,
        minute: Duration::from_secs(60),
        gate: Gate::default(),
        // There is only one job, so the engine process is not used.
        program: None,
    };
    let bar = super::loading_bar();
    let on_event = move |event| match event {
        EngineEvent::Loading(fraction) => bar.set_position((fraction * 1000.0) as u64),
        EngineEvent::Ready { .. } | EngineEvent::Failed(_) => bar.finish_and_clear(),
        EngineEvent::Busy | EngineEvent::Idle | EngineEvent::Unloaded | EngineEvent::Shared(_) => {}
    };
    engine::start_for(role, settings, options, loader, Box::new(on_event)).context("cannot start the engine's thread")
}

/// The options from `settings` for a file that may be completed.
pub(super) fn options_for(snapshot: &Snapshot, settings: &Settings) -> CompletionOptions {
    let options = CompletionOptions::new(&settings.completion, &snapshot.language_id, false);
    // A person who names a position wants a completion, however long it takes.
    CompletionOptions { enabled: Enabled::On, confidence: Confidence::Low, time_budget: Duration::MAX, ..options }
}

/// Computes one completion with the given options.
pub(super) fn complete_with(
    engine: &Engine,
    snapshot: &Snapshot,
    offset: usize,
    trigger: Trigger,
    options: &CompletionOptions,
) -> anyhow::Result<Completed> {
    let request = InlineRequest { offset, trigger, selected: None };
    let plan = inline_completion::plan(snapshot, request, options, &mut Anchor::default())
        .map_err(|skip| anyhow::anyhow!("no completion here: {skip}"))?;
    let generation = generate(engine, &plan.prompt, &plan.params, Priority::Interactive, None)?;
    let item = generation.candidates.first().and_then(|best| inline_completion::finish(&plan, best));
    Ok(Completed { item, generation })
}

/// Submits a job and waits for its result.
pub(super) fn generate(
    engine: &Engine,
    prompt: &crate::model::Prompt,
    params: &crate::engine::GenerationParams,
    priority: Priority,
    on_text: Option<TextListener>,
) -> anyhow::Result<Generation> {
    let (sender, receiver) = mpsc::channel();
    engine.submit(Job {
        priority,
        document: 0,
        prompt: prompt.clone(),
        short_prompt: None,
        params: params.clone(),
        cancel: CancelFlag::default(),
        on_text,
        // Sending fails only if this function has returned.
        on_done: Box::new(move |outcome| drop(sender.send(outcome))),
    });
    Ok(receiver.recv().context("the engine ended without an answer; see its messages above")??)
}

fn to_json(completed: &Completed, snapshot: &Snapshot) -> serde_json::Value {
    let generation = &completed.generation;
    let position = |offset| {
        let position = position_at(&snapshot.text, offset, PositionEncoding::Utf16);
        serde_json::json!({ "line": position.line, "character": position.character })
    };
    let item = completed.item.as_ref();
    serde_json::json!({
        "text": item.map_or("", |item| item.insert_text.as_str()),
        "range": item.map(|item| {
            serde_json::json!({ "start": position(item.range.start), "end": position(item.range.end) })
        }),
        "stop_reason": generation.candidates.first().map(|candidate| candidate.stop_reason),
        "prompt_tokens": generation.prompt_tokens,
        "cached_tokens": generation.cached_tokens,
        "generated_tokens": generation.generated_tokens,
        "time_to_first_token_ms": millis(generation.time_to_first_token),
        "total_ms": millis(generation.total),
    })
}

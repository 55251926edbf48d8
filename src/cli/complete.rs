//! `phi-ls complete`: one inline completion, without an editor.

use std::sync::mpsc;
use std::time::Duration;

use anyhow::Context as _;

use super::place::{Place, cursor_offset, read_snapshot};
use super::{ModelArgs, millis};
use crate::config::{ExcludeMatcher, Settings};
use crate::context::{Anchor, Snapshot};
use crate::engine::{
    self, CancelFlag, Engine, EngineEvent, EngineOptions, Gate, Generation, Job, Priority, TextListener,
};
use crate::features::inline_completion::{self, CompletionOptions, InlineItem, InlineRequest, Trigger};
use crate::text::{PositionEncoding, position_at};

#[derive(clap::Args)]
pub(super) struct CompleteArgs {
    /// Where: FILE:LINE:COLUMN, both counted from 1
    place: Place,
    #[command(flatten)]
    model: ModelArgs,
    /// One JSON object instead of the text
    #[arg(long)]
    json: bool,
}

/// What a completion came to, shown or not.
pub(super) struct Completed {
    pub(super) item: Option<InlineItem>,
    pub(super) generation: Generation,
}

pub(super) fn complete(args: &CompleteArgs) -> anyhow::Result<()> {
    let snapshot = read_snapshot(&args.place.path)?;
    let offset = cursor_offset(&args.place, &snapshot.text)?;
    let engine = start_engine(&args.model)?;
    let completed = complete_at(&engine, &snapshot, offset)?;
    if args.json {
        println!("{}", to_json(&completed, &snapshot));
    } else if let Some(item) = &completed.item {
        println!("{}", item.insert_text);
    } else {
        eprintln!("phi-ls: the model had nothing useful to add here");
    }
    Ok(())
}

/// An engine of its own for a command, with a progress bar while it loads.
pub(super) fn start_engine(model: &ModelArgs) -> anyhow::Result<Engine> {
    let reference = model.reference()?;
    let kv_budget_bytes = super::kv_budget_bytes(&reference, &Settings::default());
    let loader = engine::load::loader(reference, model.load_options());
    let options = EngineOptions { load_at_start: true, idle_unload: None, kv_budget_bytes, gate: Gate::default() };
    let bar = super::loading_bar();
    let on_event = move |event| match event {
        EngineEvent::Loading(fraction) => bar.set_position((fraction * 1000.0) as u64),
        EngineEvent::Ready { .. } | EngineEvent::Failed(_) => bar.finish_and_clear(),
        EngineEvent::Busy | EngineEvent::Idle | EngineEvent::Unloaded => {}
    };
    Engine::start(loader, options, Box::new(on_event)).context("cannot start the engine's thread")
}

/// Plans, generates and shapes one completion, as the server does.
pub(super) fn complete_at(engine: &Engine, snapshot: &Snapshot, offset: usize) -> anyhow::Result<Completed> {
    complete_with(engine, snapshot, offset, Trigger::Automatic, &options_for(snapshot))
}

/// The default settings, as they apply to a file.
pub(super) fn options_for(snapshot: &Snapshot) -> CompletionOptions {
    let excluded = snapshot.path.as_deref().is_some_and(|path| ExcludeMatcher::new(&[]).excludes(path));
    let options = CompletionOptions::new(&Settings::default().completion, &snapshot.language_id, excluded);
    // A person who names a place has all the time the answer takes.
    CompletionOptions { time_budget: Duration::MAX, ..options }
}

/// One completion with given options.
pub(super) fn complete_with(
    engine: &Engine,
    snapshot: &Snapshot,
    offset: usize,
    trigger: Trigger,
    options: &CompletionOptions,
) -> anyhow::Result<Completed> {
    let request = InlineRequest { offset, trigger, selected: None };
    let plan = inline_completion::plan(snapshot, request, options, &mut Anchor::default())
        .map_err(|skip| anyhow::anyhow!("nothing to complete here: {skip}"))?;
    let generation = generate(engine, &plan.prompt, &plan.params, Priority::Interactive, None)?;
    let item = generation.candidates.first().and_then(|best| inline_completion::finish(&plan, snapshot, best));
    Ok(Completed { item, generation })
}

/// Hands a job in and waits for what it comes to.
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
        params: params.clone(),
        cancel: CancelFlag::default(),
        on_text,
        // Nobody listens any more only if this function has returned.
        on_done: Box::new(move |outcome| drop(sender.send(outcome))),
    });
    Ok(receiver.recv().context("the engine ended without an answer")??)
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

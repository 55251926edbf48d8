//! What is kept between sessions: a model continues where it was, its text is the same to the last bit, and files that
//! are damaged, of another model or too many are not used and are removed.

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use phi_ls::config::Source;
use phi_ls::engine::embedded::{self, EngineOptions, KeepOptions, kept_prefixes};
use phi_ls::engine::{CancelFlag, Engine, Gate, Generation, GenerationParams, Job, Priority};
use phi_ls::kernels::attention::{KvType, PAGE_LEN};
use phi_ls::kernels::pool::ThreadPool;
use phi_ls::model::{self, LoadOptions, LoadedModel, Prompt};
use serde_json::json;

use crate::engine::shared::until;
use crate::support::scripted_model::{Counters, Script, scripted};
use crate::support::test_options::{TestOptions, rest_of};
use crate::support::test_server::{TestServer, URI};
use crate::support::tiny_gguf::TinyModel;

/// A limit above the size of all files in any of these tests.
const PLENTY: u64 = 64 << 20;

const CODE: &str =
    "def total(items):\n    result = 0\n    for item in items:\n        result += item.price\n    return ";

/// A model in a folder of its own, with the folder for its prefixes.
struct Home {
    folder: tempfile::TempDir,
    kv_type: KvType,
}

impl Home {
    fn new(model: &TinyModel, kv_type: KvType) -> Self {
        let home = Self { folder: tempfile::tempdir().unwrap(), kv_type };
        std::fs::write(home.model(), model.bytes()).unwrap();
        home
    }

    fn model(&self) -> PathBuf {
        self.folder.path().join("tiny.gguf")
    }

    fn prefixes(&self) -> PathBuf {
        self.folder.path().join("kept").join(kept_prefixes::FOLDER)
    }

    fn files(&self) -> Vec<PathBuf> {
        page_files(&self.prefixes())
    }

    /// An engine, as after a restart, that keeps up to `limit_bytes` as soon as it is idle.
    fn engine(&self, limit_bytes: u64) -> Engine {
        let (path, kv_type) = (self.model(), self.kv_type);
        let loader = move |progress: &mut dyn FnMut(f32)| {
            model::load(&path, &LoadOptions { pool: Arc::new(ThreadPool::new(1)), kv_type }, progress)
        };
        let keep = KeepOptions { folder: self.prefixes(), limit_bytes, after: Duration::ZERO };
        let options = EngineOptions {
            load_at_start: false,
            idle_unload: None,
            kv_budget_bytes: 64 << 20,
            keep: Some(keep),
            gate: Gate::default(),
        };
        embedded::start(Box::new(loader), options, Box::new(|_| {})).unwrap()
    }

    /// Waits until everything that was read for `generation` is in files.
    fn until_kept(&self, generation: &Generation) {
        // The last token was never read.
        let tokens = generation.prompt_tokens + generation.generated_tokens - 1;
        until("all is kept", || self.files().len() == tokens.div_ceil(PAGE_LEN));
    }
}

/// The page files below `folder`, the newest last.
pub(crate) fn page_files(folder: &Path) -> Vec<PathBuf> {
    let folders = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let files = folders.flat_map(|folder| std::fs::read_dir(folder.path()).into_iter().flatten().flatten());
    let mut files: Vec<_> = files
        .filter_map(|file| Some((file.metadata().ok()?.modified().ok()?, file.path())))
        .filter(|(_, path)| path.extension().is_some_and(|extension| extension == "kv"))
        .collect();
    files.sort();
    files.into_iter().map(|(_, path)| path).collect()
}

fn run_as(engine: &Engine, priority: Priority, text: &str) -> Generation {
    let (sender, receiver) = mpsc::channel();
    engine.submit(Job {
        priority,
        document: 1,
        prompt: Prompt { prefill: text.to_owned(), ..Prompt::default() },
        short_prompt: None,
        params: GenerationParams { max_new_tokens: 40, ..GenerationParams::default() },
        cancel: CancelFlag::default(),
        on_text: None,
        on_done: Box::new(move |outcome| drop(sender.send(outcome))),
    });
    receiver.recv_timeout(Duration::from_secs(60)).expect("every job is answered").expect("a generation")
}

fn run(engine: &Engine, text: &str) -> Generation {
    run_as(engine, Priority::Interactive, text)
}

fn setups() -> impl Iterator<Item = Home> {
    let models = [TinyModel::phi3(), TinyModel::llama()];
    models.into_iter().flat_map(|model| [KvType::F16, KvType::Q8_0].map(|kv_type| Home::new(&model, kv_type)))
}

#[test]
fn after_a_restart_nothing_is_read_again_and_the_text_is_the_same_to_the_last_bit() {
    for home in setups() {
        let first = home.engine(PLENTY);
        let cold = run(&first, CODE);
        assert_eq!(cold.cached_tokens, 0);
        let warm = run(&first, CODE);
        home.until_kept(&warm);
        drop(first);

        let second = home.engine(PLENTY);
        let restored = run(&second, CODE);
        assert_eq!(restored.cached_tokens, restored.prompt_tokens, "{:?}", home.kv_type);
        assert_eq!(restored.candidates, warm.candidates, "{:?}", home.kv_type);
        if home.kv_type == KvType::F16 {
            assert_eq!(restored.candidates, cold.candidates);
        }
        // Another prompt, which differs in the middle of a page.
        let longer = run(&home.engine(PLENTY), &format!("{}self.name", &CODE[..70]));
        assert!(longer.cached_tokens > PAGE_LEN, "{}", longer.cached_tokens);
    }
}

#[test]
fn what_was_computed_in_another_way_is_not_used() {
    let home = Home::new(&TinyModel::phi3(), KvType::F16);
    let generation = run(&home.engine(PLENTY), CODE);
    let first = home.engine(PLENTY);
    assert_eq!(run(&first, CODE).candidates, generation.candidates);
    home.until_kept(&generation);
    drop(first);
    let q8 = Home { folder: home.folder, kv_type: KvType::Q8_0 };
    assert_eq!(run(&q8.engine(PLENTY), CODE).cached_tokens, 0, "another format");
    // Both formats are kept, until the model changes.
    let home = Home { folder: q8.folder, kv_type: KvType::F16 };
    assert_eq!(run(&home.engine(PLENTY), CODE).cached_tokens, generation.prompt_tokens);
    let before = home.files();
    std::fs::write(home.model(), TinyModel { seed: 2, ..TinyModel::phi3() }.bytes()).unwrap();
    let other = home.engine(PLENTY);
    assert_eq!(run(&other, CODE).cached_tokens, 0, "another model");
    assert!(before.iter().all(|file| !file.exists()), "what nobody can use any more is deleted");
}

#[test]
fn a_damaged_file_is_not_used_and_goes() {
    let damages: [fn(&Path, Vec<u8>); 3] = [
        |path, bytes| std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap(),
        |path, mut bytes| {
            *bytes.last_mut().unwrap() ^= 1;
            std::fs::write(path, bytes).unwrap();
        },
        |path, _| std::fs::write(path, "").unwrap(),
    ];
    for damage in damages {
        let home = Home::new(&TinyModel::phi3(), KvType::F16);
        let first = home.engine(PLENTY);
        let expected = run(&first, CODE);
        home.until_kept(&expected);
        drop(first);
        let mut cached = Vec::new();
        for file in home.files() {
            damage(&file, std::fs::read(&file).unwrap());
            let again = home.engine(PLENTY);
            let generation = run(&again, CODE);
            assert_eq!(generation.candidates, expected.candidates);
            cached.push(generation.cached_tokens);
            // It is written again after it was read, and the next engine continues with it.
            home.until_kept(&expected);
        }
        // The pages before the damaged one are still used.
        cached.sort_unstable();
        let pages = home.files().len();
        let expected: Vec<_> = (0..pages).map(|page| (page * PAGE_LEN).min(expected.prompt_tokens)).collect();
        assert_eq!(cached, expected);
    }
}

#[test]
fn what_is_kept_is_bounded_and_what_was_used_last_stays() {
    let home = Home::new(&TinyModel::phi3(), KvType::F16);
    let place = |number: u32| format!("{number}{number}{number} {CODE}");
    let engine = home.engine(PLENTY);
    let generation = run(&engine, &place(1));
    home.until_kept(&generation);
    let (limit, before) = (kept_prefixes::kept_bytes(&home.prefixes()), home.files());
    drop(engine);
    // The same limit, with another prompt of the same length.
    let engine = home.engine(limit);
    let second = run(&engine, &place(2));
    until("the second place is kept", || home.files().iter().all(|file| !before.contains(file)));
    drop(engine);
    home.until_kept(&second);
    assert!(kept_prefixes::kept_bytes(&home.prefixes()) <= limit);
    assert_eq!(run(&home.engine(limit), &place(2)).cached_tokens, second.prompt_tokens);
    assert!(run(&home.engine(limit), &place(1)).cached_tokens < PAGE_LEN, "what made room is gone");
    // With 0, nothing is kept, and existing files are removed.
    assert_eq!(run(&home.engine(0), &place(2)).cached_tokens, 0);
    assert!(!home.prefixes().exists());
}

#[test]
fn questions_are_not_kept() {
    let home = Home::new(&TinyModel::phi3(), KvType::F16);
    let engine = home.engine(PLENTY);
    run_as(&engine, Priority::Background, &CODE.repeat(3));
    let generation = run(&engine, CODE);
    home.until_kept(&generation);
    assert!(generation.cached_tokens >= CODE.len() / 2, "in memory it is of use");
}

/// Text that is longer than many windows.
pub(crate) fn long_text() -> String {
    let item = "def area(width, height):\n    total = width * height\n    return total\n\n\n";
    format!("{}x = \n{}", item.repeat(100), item.repeat(100))
}

/// A server that keeps files in `folder`.
fn server(folder: &Path, settings: serde_json::Value) -> TestServer {
    let model = folder.join("scripted.gguf");
    if !model.exists() {
        std::fs::write(&model, "a model").unwrap();
    }
    let counters = Counters::default();
    let counted = counters.clone();
    let script: Script = Arc::new(|text: &str| rest_of("foo(1)", text));
    let load = move || Ok(LoadedModel { path: model.clone(), ..scripted(Arc::clone(&script), counted.clone()) });
    TestServer::initialized(TestOptions {
        counters,
        kept: Some(folder.join("kept")),
        settings: vec![(Source::Flags, settings)],
        minute: Duration::from_millis(60),
        ..TestOptions::loading(load)
    })
}

/// How many tokens are read for a completion in the middle of `text`, in a new session that keeps up to `mib` MiB.
pub(crate) fn tokens_read(folder: &Path, mib: u64, text: &str) -> usize {
    let mut server = server(folder, json!({"completion.keptPrefixesMiB": mib}));
    server.open(URI, "python", text);
    assert_eq!(server.complete(500, 4), ["foo(1)"]);
    let read = server.counters.tokens();
    if mib > 0 {
        let prefixes = folder.join("kept").join(kept_prefixes::FOLDER);
        // Wrong guesses are not kept.
        until("what was read is kept", || (page_files(&prefixes).len() + 1) * PAGE_LEN >= read);
    }
    server.finish();
    read
}

#[test]
fn the_first_completion_after_a_restart_costs_what_a_warm_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let text = long_text();
    let first = tokens_read(folder.path(), 64, &text);
    assert!(first > 1000, "{first}");
    let again = tokens_read(folder.path(), 64, &text);
    assert!(again < 100, "{again} tokens were read again");
    // If the file has been changed in the meantime, its window is placed again.
    let changed = tokens_read(folder.path(), 64, &text.replacen("area", "volume", 90));
    assert!(changed > 200, "{changed}");
}

//! Replays one trace from its first message to its last, with its own server and client, and records what the person
//! sees.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::ReplayArgs;
use super::client::{Answer, Client};
use super::given::{Given, give};
use super::measures::{Key, Origin, Played, Requests, Work};
use super::screen::{Change, Screen};
use super::trace::Trace;
use super::trace_entry::{Hand, TraceEntry};
use crate::config::Source;
use crate::config::machine::processor_time;
use crate::engine::Generation;
use crate::lsp::ACCEPTED_COMMAND;
use crate::server::{ModelLoader, Observer, ServerOptions};
use crate::text::PositionEncoding;

/// A time limit that is longer than any model takes to load or to complete.
const PATIENCE: Duration = Duration::from_secs(600);

/// How often to look whether a completion is complete.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// The first id of this client's own requests, above those of traces.
const OWN_IDS: i64 = 1 << 40;

/// Added to the URI of the copy that questions are about.
const QUESTION_SUFFIX: &str = ".question";

/// A server and a client, what the person sees, and what has not been answered yet.
pub(super) struct Run<'a> {
    args: &'a ReplayArgs,
    client: Client,
    screen: Screen,
    watch: Arc<Watch>,
    /// What the model writes, whatever its weights.
    given: Option<Arc<Given>>,
    keys: Vec<Key>,
    requests: Requests,
    /// Requests for completions that have not been answered yet, by the id that they were sent with.
    pending: BTreeMap<i64, Asked>,
    /// The newest request and its parameters, which are about the text and the cursor as they are.
    newest: Option<(i64, Value)>,
    own_requests: i64,
    /// The question that is asked repeatedly once a document is open.
    question: Option<Value>,
    asks: bool,
    questions_asked: usize,
    /// When the model was loaded, and the processor time until then.
    ready: Option<(Instant, Option<Duration>)>,
}

/// A request for a completion.
struct Asked {
    at: Instant,
    params: Value,
    /// Whether it repeats an earlier request because there is more.
    is_again: bool,
    /// The index of the key that it belongs to, when that was pressed, and how many requests had been answered from
    /// memory until then.
    key: usize,
    pressed: Instant,
    recalled: usize,
}

/// Observes the server's work.
#[derive(Default)]
struct Watch {
    recalled: AtomicUsize,
    /// Whether a requested completion is being written.
    is_writing: AtomicBool,
    work: Mutex<Work>,
}

impl Watch {
    fn recalled(&self) -> usize {
        self.recalled.load(Ordering::SeqCst)
    }

    fn is_writing(&self) -> bool {
        self.is_writing.load(Ordering::SeqCst)
    }

    fn with<T>(&self, look: impl FnOnce(&mut Work) -> T) -> T {
        look(&mut self.work.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Observer for Watch {
    fn recalled(&self) {
        self.recalled.fetch_add(1, Ordering::SeqCst);
    }

    fn text(&self, text: &str) {
        self.is_writing.store(true, Ordering::SeqCst);
        self.with(|work| work.characters += text.chars().count());
    }

    fn completion(&self, generation: &Generation) {
        self.with(|work| work.generations.push(generation.clone()));
        self.is_writing.store(false, Ordering::SeqCst);
    }

    fn broken_off(&self) {
        self.is_writing.store(false, Ordering::SeqCst);
    }

    fn prepared(&self, generation: &Generation) {
        self.with(|work| work.prepared.push(generation.clone()));
    }
}

impl<'a> Run<'a> {
    pub(super) fn start(args: &'a ReplayArgs, trace: &Trace, assistant: Option<&str>) -> anyhow::Result<Self> {
        let watch = Arc::new(Watch::default());
        let given = args.given.then(|| Arc::new(Given::new(trace)));
        let options = ServerOptions {
            settings: vec![(Source::Flags, args.settings(assistant)?)],
            observer: Some(Arc::clone(&watch) as Arc<dyn Observer>),
            ..ServerOptions::new(loader(given.clone()))
        };
        Ok(Self {
            args,
            client: Client::start(options)?,
            screen: Screen::default(),
            watch,
            given,
            keys: Vec::new(),
            requests: Requests::default(),
            pending: BTreeMap::new(),
            newest: None,
            own_requests: 0,
            question: None,
            asks: assistant.is_some(),
            questions_asked: 0,
            ready: None,
        })
    }

    pub(super) fn run(mut self, trace: &Trace) -> anyhow::Result<Played> {
        let mut started = Instant::now();
        for entry in &trace.entries {
            let is_typed = entry.method() == "textDocument/didChange";
            if self.is_left_out(entry) {
                continue;
            }
            if is_typed && self.args.keys.is_some_and(|most| self.edits() >= most) {
                break;
            }
            let at = if self.args.full_speed { Instant::now() } else { started + entry.at() };
            self.listen_until(at)?;
            match entry.method() {
                "initialize" => self.initialize(&entry.message)?,
                "textDocument/didOpen" if self.ready.is_none() => {
                    self.begin(&entry.message)?;
                    // The time to load models does not count as typing.
                    started = Instant::now().checked_sub(entry.at()).unwrap_or(started);
                }
                "shutdown" | "exit" => break,
                _ => started += self.forward(entry)?,
            }
        }
        self.finish(&trace.name)
    }

    fn edits(&self) -> usize {
        self.keys.iter().filter(|key| key.is_edit).count()
    }

    /// With --wait, nothing is cancelled, and a completion that was accepted in a recording is not one of those that
    /// are shown now.
    fn is_left_out(&self, entry: &TraceEntry) -> bool {
        (self.args.waits() && entry.method() == "$/cancelRequest")
            || entry.message["params"]["command"] == ACCEPTED_COMMAND
    }

    /// Initializes the server with the capabilities of the trace, and those that this client needs for its figures.
    fn initialize(&mut self, message: &Value) -> anyhow::Result<()> {
        let mut message = message.clone();
        let id = message["id"].as_i64().context("expected `initialize` to have a number as id")?;
        let own = &mut message["params"]["capabilities"]["experimental"]["phiLs"];
        own["answers"] = true.into();
        own["completionGrew"] = true.into();
        // The client is this process, so the server need not watch another one.
        message["params"]["processId"] = Value::Null;
        message["params"]["initializationOptions"] = Value::Null;
        self.client.send(&message)?;
        let answer = self.client.wait_for(id, PATIENCE)?;
        self.screen.encoding = match answer.message["result"]["capabilities"]["positionEncoding"].as_str() {
            Some("utf-8") => PositionEncoding::Utf8,
            Some("utf-32") => PositionEncoding::Utf32,
            _ => PositionEncoding::Utf16,
        };
        Ok(())
    }

    /// Opens the first document, so that the model is loaded, and waits for the answer to the first question.
    fn begin(&mut self, opened: &Value) -> anyhow::Result<()> {
        self.screen.open(&opened["params"]);
        self.client.send(opened)?;
        self.client.wait_until_ready(PATIENCE)?;
        self.ready = Some((Instant::now(), processor_time()));
        if self.asks { self.ask_about_a_copy(opened) } else { Ok(()) }
    }

    /// Sends a message. Returns how long its answer was waited for.
    fn forward(&mut self, entry: &TraceEntry) -> anyhow::Result<Duration> {
        self.keep_asking()?;
        let now = Instant::now();
        match entry.method() {
            "textDocument/didOpen" => self.screen.open(&entry.message["params"]),
            "textDocument/didChange" => self.edit(entry, now)?,
            _ if entry.asks_for_completion() => self.note_request(&entry.message, now),
            _ => {}
        }
        self.client.send(&entry.message)?;
        if entry.asks_for_completion() && self.args.waits() {
            self.wait_for_text()?;
            return Ok(now.elapsed());
        }
        Ok(Duration::ZERO)
    }

    /// Handles an edit: the person types, or accepts what is on the screen.
    fn edit(&mut self, entry: &TraceEntry, now: Instant) -> anyhow::Result<()> {
        let typed = self.screen.edit(&entry.message["params"]);
        self.newest = None;
        self.begin_key(now, true);
        let key = self.keys.last_mut().expect("just begun");
        // Pasted text is not compared with what was on the screen.
        if entry.hand != Hand::Pasted {
            key.typed = typed.characters;
            key.on_screen = typed.on_screen;
            key.accepted = typed.accepted;
        }
        match typed.command {
            Some(command) => self.tell_accepted(&command),
            None => Ok(()),
        }
    }

    fn begin_key(&mut self, now: Instant, is_edit: bool) {
        let ready = self.ready.map_or(now, |(at, _)| at);
        self.take_in_work();
        if let Some(last) = self.keys.last_mut().filter(|_| self.watch.is_writing()) {
            // It would have continued.
            last.complete_text = None;
        }
        self.keys.push(Key { at: now.saturating_duration_since(ready), is_edit, ..Key::default() });
    }

    fn tell_accepted(&mut self, command: &Value) -> anyhow::Result<()> {
        let id = format!("accepted {}", self.keys.len());
        let params = json!({"command": command["command"], "arguments": command["arguments"]});
        let method = "workspace/executeCommand";
        self.client.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
    }

    /// Notes a request for a completion, which belongs to the newest key, or to a jump of the cursor.
    fn note_request(&mut self, message: &Value, now: Instant) {
        let Some(id) = message["id"].as_i64() else { return };
        if self.keys.last().is_none_or(|key| !key.is_edit || key.asked) {
            self.begin_key(now, false);
        }
        let key = self.keys.len() - 1;
        let last = &mut self.keys[key];
        last.asked = true;
        let pressed = self.ready.map_or(now, |(ready, _)| ready + last.at);
        let params = message["params"].clone();
        self.newest = Some((id, params.clone()));
        let recalled = self.watch.recalled();
        self.pending.insert(id, Asked { at: now, params, is_again: false, key, pressed, recalled });
        if let Some(given) = &self.given {
            given.note_request();
        }
    }

    /// Repeats the last request, because there is more of its answer.
    fn ask_again(&mut self) -> anyhow::Result<()> {
        let Some((id, params)) = &self.newest else { return Ok(()) };
        // A request that still waits gets the whole text anyway.
        if self.pending.contains_key(id) || self.keys.is_empty() {
            return Ok(());
        }
        let (key, now, params) = (self.keys.len() - 1, Instant::now(), params.clone());
        let pressed = self.ready.map_or(now, |(ready, _)| ready + self.keys[key].at);
        self.own_requests += 1;
        let id = OWN_IDS + self.own_requests;
        let method = "textDocument/inlineCompletion";
        self.client.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))?;
        self.newest = Some((id, params.clone()));
        let recalled = self.watch.recalled();
        self.pending.insert(id, Asked { at: now, params, is_again: true, key, pressed, recalled });
        Ok(())
    }

    /// Processes the server's messages until `until`.
    fn listen_until(&mut self, until: Instant) -> anyhow::Result<()> {
        while self.client.listen_for(until, Client::has_news)? {
            self.take_in_news()?;
        }
        Ok(())
    }

    /// Waits until the newest request is answered and its completion is complete.
    fn wait_for_text(&mut self) -> anyhow::Result<()> {
        self.wait_for_answer()?;
        // A model that is still writing, or wrote while the answer was on its way, may have more text.
        if self.keys.last().is_some_and(|key| key.origin == Some(Origin::Model)) {
            let limit = Instant::now() + PATIENCE;
            while self.watch.is_writing() && Instant::now() < limit {
                self.listen_until(Instant::now() + LOOK_AGAIN)?;
            }
            self.wait_for_answer()?;
            self.ask_again()?;
            self.wait_for_answer()?;
        }
        Ok(())
    }

    fn wait_for_answer(&mut self) -> anyhow::Result<()> {
        let limit = Instant::now() + PATIENCE;
        while let Some((id, _)) = self.newest.clone().filter(|(id, _)| self.pending.contains_key(id)) {
            if !self.client.listen_for(limit, Client::has_news)? {
                bail!("no answer to request {id} after {} s", PATIENCE.as_secs());
            }
            self.take_in_news()?;
        }
        Ok(())
    }

    fn take_in_news(&mut self) -> anyhow::Result<()> {
        for (id, answer) in self.client.take_answers() {
            if let Some(asked) = self.pending.remove(&id) {
                self.answered(id, &asked, &answer);
            }
        }
        let uri = self.newest.as_ref().and_then(|(_, params)| params["textDocument"]["uri"].as_str());
        if self.client.take_grown().iter().any(|grown| Some(grown.as_str()) == uri) {
            self.ask_again()?;
        }
        Ok(())
    }

    fn answered(&mut self, id: i64, asked: &Asked, answer: &Answer) {
        let result = &answer.message["result"];
        let items = result.get("items").unwrap_or(result).as_array().map(Vec::as_slice).unwrap_or_default();
        let took = answer.at.saturating_duration_since(asked.at);
        match answer.message.get("error") {
            _ if asked.is_again => {}
            Some(_) => self.requests.cancelled += 1,
            None if items.is_empty() => self.requests.empty.push(took),
            None => self.requests.shown.push(took),
        }
        if self.newest.as_ref().is_none_or(|(newest, _)| *newest != id) || answer.message.get("error").is_some() {
            return;
        }
        self.take_in_work();
        let key = &mut self.keys[asked.key];
        key.is_answered = true;
        let change = self.screen.show(&asked.params, items);
        key.replaced += usize::from(change == Change::Replaced);
        if !items.is_empty() {
            let since_key = answer.at.saturating_duration_since(asked.pressed);
            if key.first_text.is_none() || change != Change::Nothing {
                key.complete_text = Some(since_key);
            }
            key.first_text.get_or_insert(since_key);
            let is_recalled = self.watch.recalled() > asked.recalled;
            key.origin.get_or_insert(if is_recalled { Origin::Memory } else { Origin::Model });
        }
    }

    /// Assigns the tokens that were computed since the last call to the newest key.
    fn take_in_work(&mut self) {
        let computed = self.watch.with(|work| {
            let new = work.generations.iter().skip(work.counted);
            let tokens: usize = new.map(|it| it.prompt_tokens.saturating_sub(it.cached_tokens)).sum();
            work.counted = work.generations.len();
            tokens
        });
        if let Some(key) = self.keys.last_mut() {
            key.prefilled += computed;
        }
    }

    /// Opens a copy of a document, asks for an explanation of it, and waits until the answer has begun.
    fn ask_about_a_copy(&mut self, opened: &Value) -> anyhow::Result<()> {
        let mut opened = opened.clone();
        let uri = opened["params"]["textDocument"]["uri"].as_str().context("expected a URI in `didOpen`")?.to_owned();
        let uri = format!("{uri}{QUESTION_SUFFIX}");
        opened["params"]["textDocument"]["uri"] = uri.as_str().into();
        self.client.send(&opened)?;
        let lines = opened["params"]["textDocument"]["text"].as_str().map_or(0, |text| text.lines().count());
        let range = json!({"start": {"line": 0, "character": 0}, "end": {"line": lines, "character": 0}});
        let arguments = json!({"uri": uri, "action": "explainCode", "range": range, "exact": true});
        self.question = Some(json!({"command": "phi-ls.ask", "arguments": [arguments]}));
        self.keep_asking()?;
        let limit = Instant::now() + PATIENCE;
        let has_begun = |client: &Client| client.answer_pieces > 0 || client.answers_done > 0;
        if !self.client.listen_for(limit, has_begun)? || self.client.answer_pieces == 0 {
            bail!("the assistant gave no answer to replay against; try `phi-ls ask` with its model");
        }
        Ok(())
    }

    /// Asks again if the last question is answered.
    fn keep_asking(&mut self) -> anyhow::Result<()> {
        self.listen_until(Instant::now())?;
        let Some(question) = self.question.as_ref().filter(|_| self.client.answers_done == self.questions_asked) else {
            return Ok(());
        };
        self.questions_asked += 1;
        let id = format!("question {}", self.questions_asked);
        let message = json!({"jsonrpc": "2.0", "id": id, "method": "workspace/executeCommand", "params": question});
        self.client.send(&message)
    }

    /// Waits for what is still under way, and returns the results.
    fn finish(mut self, name: &str) -> anyhow::Result<Played> {
        let limit = Instant::now() + PATIENCE;
        while let Some((id, _)) = self.pending.first_key_value() {
            let id = *id;
            if !self.client.listen_for(limit, Client::has_news)? {
                bail!("no answer to request {id} after {} s", PATIENCE.as_secs());
            }
            self.take_in_news()?;
        }
        self.take_in_work();
        let mut work = self.watch.with(std::mem::take);
        let before = self.ready.and_then(|(_, before)| before);
        let spent = processor_time().zip(before).map(|(now, before)| now.saturating_sub(before));
        work.processor = spent.filter(|_| self.args.server.is_none());
        let (keys, requests, answer_pieces) = (self.keys, self.requests, self.client.answer_pieces);
        Ok(Played { name: name.to_owned(), keys, requests, work, answer_pieces })
    }
}

/// A loader of the models in the settings, which write what is `given`, if anything.
fn loader(given: Option<Arc<Given>>) -> ModelLoader {
    let models = crate::cli::serve::loader();
    Arc::new(move |name, settings| {
        let mut load = models(name, settings);
        let given = given.clone();
        Box::new(move |progress| {
            let loaded = load(progress)?;
            Ok(match &given {
                Some(given) => give(loaded, Arc::clone(given)),
                None => loaded,
            })
        })
    })
}

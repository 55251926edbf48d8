//! Every setting and every command has an effect: for each of them, a check here observes it. A setting or command
//! without a check fails the test.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use phi_ls::config::{Settings, Source};
use phi_ls::engine::embedded::Loader;
use phi_ls::statistics::{self, What};
use serde_json::{Value, json};

use crate::cli::stdio::Server;
use crate::download::pull::{phi_ls, run};
use crate::engine::kept::{long_text, tokens_read};
use crate::engine::shared::{is_alive, kill, until};
use crate::questions::actions::{TEXT, capabilities, choose};
use crate::support::model_server::{ModelServer, begin, event, probed, writing};
use crate::support::test_options::{TestOptions, rest_of};
use crate::support::test_server::{TestServer, URI, completion_params};
use crate::support::tiny_gguf::TinyModel;

/// What a server did during a check: which models it loaded and what they read.
#[derive(Default)]
struct Seen {
    /// The settings that each engine was created from, with its model's name.
    loads: Vec<(String, Settings)>,
    /// The names of the models that were loaded, repeatedly if they were unloaded in between.
    loaded: Vec<String>,
    /// The text that had been read whenever a token was chosen.
    read: Vec<String>,
}

/// A server with `settings` whose models write `answer`, with `text` open.
struct Observed {
    server: TestServer,
    seen: Arc<Mutex<Seen>>,
}

fn observed(settings: &Value, answer: &'static str, text: &str) -> Observed {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let read = Arc::clone(&seen);
    let inner = TestOptions::scripted(move |text| {
        read.lock().unwrap().read.push(text.to_owned());
        rest_of(answer, text)
    });
    let (loads, model) = (Arc::clone(&seen), inner.loader);
    let loader = move |name: &str, settings: &Settings| -> Loader {
        loads.lock().unwrap().loads.push((name.to_owned(), settings.clone()));
        let (name, loads, mut load) = (name.to_owned(), Arc::clone(&loads), model(name, settings));
        Box::new(move |progress| {
            loads.lock().unwrap().loaded.push(name.clone());
            load(progress)
        })
    };
    // The setting under test takes precedence over the others.
    let settings = vec![(Source::Flags, settings.clone())];
    let minute = Duration::from_millis(1);
    let options = TestOptions::scripted(|_| String::new());
    let mut server = TestServer::start(TestOptions { loader: Arc::new(loader), settings, minute, ..options });
    server.initialize(json!({"capabilities": capabilities()}));
    server.open(URI, "python", text);
    Observed { server, seen }
}

/// A model server that writes `from(there)` and reports this log-probability for each token.
fn as_sure_as(logprob: f64) -> ModelServer {
    ModelServer::start(move |asked, stream| {
        if !probed(asked, stream, "vllm") {
            begin(stream);
            for text in [" from(", "there)"] {
                let logprobs = json!({"content": [{"token": text, "logprob": logprob}]});
                let choice = json!({"delta": {"content": text}, "logprobs": logprobs, "finish_reason": null});
                event(stream, &json!({"choices": [choice]}));
            }
            let _ = std::io::Write::write_all(stream, b"data: [DONE]\n\n");
        }
    })
}

/// The completion at the end of `line` in `text`.
fn completion(settings: Value, answer: &'static str, text: &str, line: usize) -> Vec<String> {
    let mut observed = observed(&settings, answer, text);
    let end = text.lines().nth(line).expect("a line").len();
    let offered = observed.server.complete(line as u32, end as u32);
    observed.server.finish();
    offered
}

/// The length in bytes of the longest prompt that was read for a completion or an answer.
fn prompt_bytes(seen: &Mutex<Seen>) -> usize {
    seen.lock().unwrap().read.iter().map(String::len).max().expect("a model was asked")
}

/// The report of `phi-ls doctor` with `settings` in the user's `config.toml`.
fn doctor(settings: &str) -> Value {
    let home = tempfile::tempdir().expect("a temporary folder");
    let folder = home.path().join("phi-ls");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::write(folder.join("config.toml"), settings).expect("a file");
    let (output, stdout, stderr) = run(&mut phi_ls(&["doctor", "--json"], home.path(), "http://127.0.0.1:1"));
    assert!(output.status.success(), "{stderr}");
    let findings: Value = serde_json::from_str(&stdout).expect("JSON");
    // On macOS, the settings are in another folder than the one written here.
    if cfg!(target_os = "linux") {
        assert_eq!(findings["problems"], json!([]));
    }
    findings
}

/// The engine process of a real server with these settings, once its model is loaded; `None` if the model is in the
/// server itself.
fn engine_process(settings: &str) -> Option<u64> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model = folder.path().join("tiny.gguf");
    std::fs::write(&model, TinyModel::phi3().bytes()).expect("a model");
    let model = model.to_str().expect("UTF-8");
    let mut server = Server::start_with(settings, &["serve", "--completion-model", model], folder.path());
    server.open_with_a_hole();
    let shared = !settings.contains("shared = false");
    let loaded = |message: &Value| {
        let status = &message["params"];
        let sharing = &status["sharing"];
        message["method"] == "phi-ls/status"
            && status["state"] == "ready"
            && (!shared || sharing["models"][0] == "Tiny test model")
    };
    let status = server.read_until(loaded).expect("a model");
    server.end();
    status["params"]["sharing"]["processId"].as_u64()
}

const BLOCK: &str = "\n    first = 1\n    second = 2\n    third = 3\n";

const LONG: &str = "def area(width, height):\n    total = width * height\n    return total\n\n\n";

const SETTINGS: &[(&str, fn())] = &[
    ("completion.enabled", || {
        assert_eq!(completion(json!({}), "foo(1)", "x = \n", 0), ["foo(1)"]);
        assert_eq!(completion(json!({"completion.enabled": false}), "foo(1)", "x = \n", 0), [""; 0]);
    }),
    ("completion.languages", || {
        let languages = |python: Value| json!({"completion.languages": {"python": python}});
        for off in [json!(false), json!("manual")] {
            assert_eq!(completion(languages(off), "foo(1)", "x = \n", 0), [""; 0]);
        }
    }),
    ("completion.model", || {
        let mut observed = observed(&json!({"completion.model": "another"}), "foo(1)", "x = \n");
        observed.server.status("ready");
        assert_eq!(observed.seen.lock().unwrap().loads[0].0, "another");
        observed.server.finish();
    }),
    ("completion.backend", || {
        let model_server = ModelServer::start(writing(&[" from(", "there)"]));
        let backend = json!({"kind": "openai", "baseUrl": model_server.url});
        assert_eq!(completion(json!({"completion.backend": backend}), "here(1)", "x = \n", 0), ["from(there)"]);
        assert_eq!(completion(json!({"completion.backend": "embedded"}), "here(1)", "x = \n", 0), ["here(1)"]);
    }),
    ("completion.contextTokens", || {
        let read = |tokens: usize| {
            let text = format!("{}x = \n", LONG.repeat(100));
            let mut observed = observed(&json!({"completion.contextTokens": tokens}), "foo(1)", &text);
            assert_eq!(observed.server.complete(500, 4), ["foo(1)"]);
            observed.server.finish();
            prompt_bytes(&observed.seen)
        };
        assert!(read(300) + 1000 < read(1536));
    }),
    ("completion.maxTokens", || {
        // One token of this model is one byte.
        assert_eq!(completion(json!({"completion.maxTokens": 40}), "alpha + beta", "x = \n", 0), ["alpha + beta"]);
        let cut = completion(json!({"completion.maxTokens": 5}), "alpha + beta", "x = \n", 0);
        assert!(cut.iter().all(|text| text.len() <= 5), "{cut:?}");
    }),
    ("completion.multiline", || {
        let lines = |multiline: &str| {
            let offered = completion(json!({"completion.multiline": multiline}), BLOCK, "def f():\nx = 1\n", 0);
            offered.first().map_or(0, |text| text.lines().count())
        };
        assert!(lines("never") <= 1 && lines("always") > 2);
    }),
    ("completion.layout", || {
        // The scripted model has chat turns, but no tokens to fill in the middle.
        let offered = |layout: &str| completion(json!({"completion.layout": layout}), "foo(1)", "x = \n", 0);
        for layout in ["auto", "chat"] {
            assert_eq!(offered(layout), ["foo(1)"], "{layout}");
        }
        assert_eq!(offered("fim"), [""; 0]);
    }),
    ("completion.otherFiles", || {
        let read = |is_on: bool| {
            let text = "from .shapes import circle\n\n\nx = \n";
            let mut observed = observed(&json!({"completion.otherFiles": is_on}), "foo(1)", text);
            let shapes = "def circle(radius):\n    return radius\n";
            observed.server.open(&URI.replace("main", "shapes"), "python", shapes);
            assert_eq!(observed.server.complete(3, 4), ["foo(1)"]);
            observed.server.finish();
            let seen = observed.seen.lock().unwrap();
            seen.read.iter().any(|prompt| prompt.contains("def circle(radius):"))
        };
        assert_eq!((read(true), read(false)), (true, false));
    }),
    ("completion.knownNames", || {
        let text =
            "class Shape:\n    def area(self):\n        return 1\n\n    def twice(self):\n        return 2 * self.\n";
        let offered = |is_on: bool| {
            let settings = json!({"completion.knownNames": is_on});
            completion(settings, "around()", text, 5).first().cloned().unwrap_or_default()
        };
        assert!(offered(true).starts_with("area"), "{}", offered(true));
        assert_eq!(offered(false), "around()");
    }),
    ("completion.inComments", || {
        let offered = |is_on: bool| completion(json!({"completion.inComments": is_on}), "it", "x = 1  # add \n", 0);
        assert_eq!((offered(true), offered(false)), (vec!["it".to_owned()], vec![]));
    }),
    ("completion.inStrings", || {
        let offered =
            |is_on: bool| completion(json!({"completion.inStrings": is_on}), "it", "x = \"\"\"add \nend\"\"\"\n", 0);
        assert_eq!((offered(true), offered(false)), (vec!["it".to_owned()], vec![]));
    }),
    ("completion.confidence", || {
        let model_server = as_sure_as(-3.0);
        let backend = json!({"kind": "openai", "baseUrl": model_server.url});
        let offered = |confidence: &str| {
            let settings = json!({"completion.backend": backend, "completion.confidence": confidence});
            completion(settings, "", "x = \n", 0)
        };
        assert_eq!(offered("low"), ["from(there)"]);
        assert_eq!((offered("balanced"), offered("high")), (vec![], vec![]));
    }),
    ("completion.timeBudgetMs", || {
        let lines = |budget: u64| {
            let offered = completion(json!({"completion.timeBudgetMs": budget}), BLOCK, "def f():\nx = 1\n", 0);
            offered.first().map_or(0, |text| text.lines().count())
        };
        // The time is over before the end of the first line, so the text ends there.
        assert!(lines(0) < lines(600_000), "{} {}", lines(0), lines(600_000));
    }),
    ("completion.prepareNext", || {
        let mut observed = observed(&json!({"completion.prepareNext": true}), "first(1)", "x = \n");
        assert_eq!(observed.server.complete(0, 4), ["first(1)"]);
        // After a job that nobody has asked for, the engine is busy once more.
        observed.server.notification("phi-ls/status", |status| status["state"] == "busy");
        observed.server.notification("phi-ls/status", |status| status["message"] == "ready");
        observed.server.notification("phi-ls/status", |status| status["state"] == "busy");
        observed.server.notification("phi-ls/status", |status| status["message"] == "ready");
        observed.server.finish();
    }),
    ("completion.effort", || {
        let prepared = |effort: &str| {
            let settings = json!({"completion.effort": effort, "completion.prepareNext": true});
            let mut observed = observed(&settings, "first(1)", "x = \n");
            assert_eq!(observed.server.complete(0, 4), ["first(1)"]);
            let times = if effort == "eco" { 1 } else { 2 };
            for _ in 0..times {
                observed.server.notification("phi-ls/status", |status| status["state"] == "busy");
                observed.server.notification("phi-ls/status", |status| status["message"] == "ready");
            }
            observed.server.finish();
            observed.seen.lock().unwrap().read.iter().filter(|read| read.contains("x = first(1)\n")).count()
        };
        assert_eq!(prepared("eco"), 0);
        assert!(prepared("eager") > 0);
    }),
    ("completion.popup", || {
        let items = |is_on: bool| {
            let mut observed = observed(&json!({"completion.popup": is_on}), "foo(1)", "x = \n");
            let list = observed.server.call("textDocument/completion", completion_params(URI, 0, 4));
            observed.server.finish();
            list["items"].as_array().expect("a list").len()
        };
        assert_eq!((items(false), items(true)), (0, 1));
    }),
    ("completion.statistics", || {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("statistics.jsonl");
        let is_shown = |record: &statistics::Record| matches!(record.what, What::Shown { .. });
        let shown = || statistics::read(&file).unwrap().iter().filter(|record| is_shown(record)).count();
        let counted = |on: bool| {
            let options = TestOptions {
                settings: vec![(Source::Flags, json!({"completion.statistics": on}))],
                statistics: Some(file.clone()),
                ..TestOptions::scripted(|text| rest_of("foo(1)", text))
            };
            let mut server = TestServer::start(options);
            server.initialize(json!({"capabilities": capabilities()}));
            server.open(URI, "python", "x = \n");
            assert_eq!(server.complete(0, 4), ["foo(1)"]);
            // The completion is recorded after the answer has been sent.
            if on {
                until("it is counted", || shown() == 1);
            }
            server.finish();
            shown()
        };
        assert_eq!((counted(false), counted(true)), (0, 1));
        // A model without fitted weights has to be more certain after its completions are dismissed.
        let model_server = as_sure_as(-1.0);
        let offered = |on: bool| {
            let backend = json!({"kind": "openai", "baseUrl": model_server.url});
            let settings = json!({"completion.backend": backend, "completion.statistics": on});
            let settings = vec![(Source::Flags, settings)];
            let options = TestOptions::scripted(|_| String::new());
            let mut server = TestServer::start(TestOptions { settings, statistics: Some(file.clone()), ..options });
            server.initialize(json!({"capabilities": capabilities()}));
            server.open(URI, "python", "x = \n");
            let offered = server.complete(0, 4);
            server.finish();
            offered
        };
        assert_eq!(offered(true), ["from(there)"]);
        for _ in 0..60 {
            statistics::append(&file, "python", &model_server.url, What::Dismissed).unwrap();
        }
        assert_eq!((offered(true), offered(false)), (vec![], vec!["from(there)".to_owned()]));
    }),
    ("completion.idleUnloadMinutes", || {
        let mut observed = observed(&json!({"completion.idleUnloadMinutes": 1}), "foo(1)", "x = \n");
        observed.server.notification("phi-ls/status", |status| status["message"] == "unloaded until needed");
        observed.server.finish();
    }),
    ("completion.keptPrefixesMiB", || {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let read = |mib: u64| tokens_read(folder.path(), mib, &long_text());
        let cold = read(64);
        assert!(read(64) * 10 < cold);
        assert!(read(0) * 2 > cold);
        assert!(read(64) * 2 > cold, "what there was has been deleted");
    }),
    ("assistant.model", || {
        let mut observed = observed(&json!({"assistant.model": "another"}), "It multiplies.", TEXT);
        let id = choose(&mut observed.server, "Explain this function");
        assert_eq!(observed.server.result(id)["text"], "It multiplies.");
        assert!(observed.seen.lock().unwrap().loads.iter().any(|(name, _)| name == "another"));
        observed.server.finish();
    }),
    ("assistant.backend", || {
        let model_server = ModelServer::start(writing(&["It comes ", "from there."]));
        let backend = json!({"kind": "openai", "baseUrl": model_server.url});
        let mut observed = observed(&json!({"assistant.backend": backend}), "It multiplies.", TEXT);
        let id = choose(&mut observed.server, "Explain this function");
        assert_eq!(observed.server.result(id)["text"], "It comes from there.");
        observed.server.finish();
    }),
    ("assistant.contextTokens", || {
        let read = |tokens: usize| {
            let body = "    total = width * height\n".repeat(300);
            let text = format!("def area(width, height):\n{body}    return total\n");
            let mut observed = observed(&json!({"assistant.contextTokens": tokens}), "It multiplies.", &text);
            let id = choose(&mut observed.server, "Explain this function");
            assert_eq!(observed.server.result(id)["reason"], Value::Null);
            observed.server.finish();
            prompt_bytes(&observed.seen)
        };
        assert!(read(400) + 1000 < read(3072));
    }),
    ("assistant.maxTokens", || {
        let mut observed = observed(&json!({"assistant.maxTokens": 5}), "It multiplies.", TEXT);
        let id = choose(&mut observed.server, "Explain this function");
        let text = observed.server.result(id)["text"].as_str().expect("an answer").to_owned();
        assert!(text.starts_with("It mu\n") && text.contains("at the limit set by `assistant.maxTokens`"), "{text}");
        observed.server.finish();
    }),
    ("assistant.idleUnloadMinutes", || {
        let settings = json!({"assistant.model": "another", "assistant.idleUnloadMinutes": 1});
        let mut observed = observed(&settings, "It multiplies.", TEXT);
        // A minute is a millisecond here, so sooner or later the model is unloaded when a question arrives.
        let asked = (0..1000).find(|_| {
            let id = choose(&mut observed.server, "Explain this function");
            assert_eq!(observed.server.result(id)["reason"], Value::Null);
            observed.seen.lock().unwrap().loaded.iter().filter(|name| *name == "another").count() > 1
        });
        assert!(asked.is_some(), "it was never given back");
        observed.server.finish();
    }),
    ("assistant.whenItDoesNotFit", || {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| {
            let path = folder.path().join(name);
            std::fs::File::create(&path).and_then(|file| file.set_len(1 << 30)).expect("a file");
            path.to_str().expect("UTF-8").to_owned()
        };
        let models = [path("completion.gguf"), path("assistant.gguf")];
        let answers = |policy: &str| {
            let settings = json!({
                "completion.model": models[0], "assistant.model": models[1], "memoryBudgetMiB": 1536,
                "assistant.whenItDoesNotFit": policy,
            });
            let mut observed = observed(&settings, "It multiplies.", TEXT);
            let id = choose(&mut observed.server, "Explain this function");
            let text = observed.server.result(id)["text"].as_str().unwrap_or_default().to_owned();
            if policy != "swap" {
                observed.server.notification("window/showMessage", |message| {
                    message["message"].as_str().is_some_and(|text| text.contains("does not fit into memory"))
                });
            }
            observed.server.finish();
            let seen = observed.seen.lock().unwrap();
            (text, seen.loads.iter().any(|(name, _)| *name == models[1]))
        };
        assert_eq!(answers("fallback"), ("It multiplies.".to_owned(), false));
        assert_eq!(answers("swap"), ("It multiplies.".to_owned(), true));
        assert_eq!(answers("refuse"), (String::new(), false));
    }),
    ("engine.shared", || {
        let sharing = |settings: &str| engine_process(settings);
        assert_eq!(sharing("engine.shared = false"), None);
        assert!(sharing("engine.shared = true\nengine.lingerMinutes = 0").is_some());
        assert_eq!(doctor("engine.shared = false")["engine"]["shared"], false);
    }),
    ("engine.lingerMinutes", || {
        let left_by = |minutes: u64| {
            let pid = engine_process(&format!("engine.lingerMinutes = {minutes}")).expect("an engine process");
            u32::try_from(pid).expect("a process")
        };
        let pid = left_by(0);
        until("the process leaves", || !is_alive(pid));
        // This test does not wait for a whole minute.
        let pid = left_by(1);
        std::thread::sleep(Duration::from_secs(1));
        assert!(is_alive(pid));
        kill(pid);
    }),
    ("threads", || {
        assert_eq!(doctor("threads = 3")["threads"], 3);
        let mut observed = observed(&json!({"threads": 3}), "foo(1)", "x = \n");
        observed.server.status("ready");
        assert_eq!(observed.seen.lock().unwrap().loads[0].1.threads, 3);
        observed.server.finish();
    }),
    ("memoryBudgetMiB", || {
        let findings = doctor("memoryBudgetMiB = 1000");
        assert_eq!(findings["memory"]["budget_bytes"], 1000 << 20);
        assert_eq!(findings["both_fit"], false);
        let fits = findings["fits"].as_array().expect("a list");
        let fitting: Vec<&str> =
            fits.iter().filter(|fit| fit["fits"] == true).filter_map(|fit| fit["alias"].as_str()).collect();
        assert_eq!(fitting, ["qwen2.5-coder-0.5b", "starter"]);
        assert_eq!(findings["recommendation"]["models"], json!(["qwen2.5-coder-0.5b"]));
        let findings = doctor("memoryBudgetMiB = 100000");
        assert_eq!(findings["both_fit"], true);
        assert_eq!(findings["recommendation"]["models"], json!(["phi-3.5-mini", "phi-4-mini"]));
        let fits = findings["fits"].as_array().expect("a list");
        assert!(fits.iter().all(|fit| fit["fits_beside"] == true), "{fits:?}");
    }),
    ("kvCacheType", || {
        let needed = |settings: &str| doctor(settings)["fits"][0]["needed_bytes"].as_u64().expect("a number");
        assert!(needed("kvCacheType = \"q8_0\"") < needed("kvCacheType = \"f16\""));
        let mut observed = observed(&json!({"kvCacheType": "q8_0"}), "foo(1)", "x = \n");
        observed.server.status("ready");
        assert_eq!(observed.seen.lock().unwrap().loads[0].1.kv_cache_type, phi_ls::config::KvCacheType::Q8_0);
        observed.server.finish();
    }),
    ("exclude", || {
        assert_eq!(completion(json!({"exclude": ["**/main.py"]}), "foo(1)", "x = \n", 0), [""; 0]);
    }),
];

#[test]
fn every_setting_has_an_effect() {
    let checked: Vec<&str> = SETTINGS.iter().map(|(key, _)| *key).collect();
    let keys: Vec<&str> = Settings::describe().iter().map(|description| description.key).collect();
    assert_eq!(checked, keys, "each setting has a check in `SETTINGS`, in the order of the table");
    for (key, check) in SETTINGS {
        println!("{key}");
        check();
    }
}

/// A folder with files for the commands.
struct Workbench {
    folder: tempfile::TempDir,
}

impl Workbench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let bench = Self { folder };
        std::fs::create_dir(bench.path("code")).expect("a folder");
        std::fs::write(bench.path("code/area.py"), LONG.repeat(8)).expect("a file");
        std::fs::write(bench.path("tiny.gguf"), TinyModel::phi3().bytes()).expect("a model");
        let document = json!({"uri": "file:///a.py", "languageId": "python", "version": 1, "text": LONG});
        let position = json!({"line": 1, "character": 26});
        let messages = [
            json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"capabilities": {}}}),
            json!({"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": {"textDocument": document}}),
            json!({"jsonrpc": "2.0", "id": 2, "method": "textDocument/completion", "params": {
                "textDocument": {"uri": "file:///a.py"}, "position": position,
            }}),
        ];
        let lines = messages.map(|message| format!("{}\n", json!({"ms": 0, "message": message})));
        std::fs::write(bench.path("trace.jsonl"), lines.concat()).expect("a file");
        bench
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().expect("UTF-8").to_owned()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = phi_ls(arguments, &self.folder.path().join("models"), "http://127.0.0.1:1");
        command.env("XDG_RUNTIME_DIR", self.folder.path());
        command
    }

    /// The output of a command, which has to succeed.
    fn output(&self, arguments: &[&str]) -> String {
        let (output, stdout, stderr) = run(&mut self.command(arguments));
        assert!(output.status.success(), "{arguments:?}: {stderr}");
        stdout
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let stdout = self.output(arguments);
        serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {stdout}"))
    }
}

/// A check that observes what a command does.
type CommandCheck = fn(&Workbench);

const COMMANDS: &[(&str, CommandCheck)] = &[
    ("serve", |bench| {
        let mut command = bench.command(&["serve"]);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"capabilities":{}}}"#;
        let message = format!("Content-Length: {}\r\n\r\n{body}", body.len());
        // It ends at the end of the input.
        std::io::Write::write_all(&mut process.stdin.take().unwrap(), message.as_bytes()).unwrap();
        let output = String::from_utf8(process.wait_with_output().unwrap().stdout).unwrap();
        assert!(output.contains("\"capabilities\""), "{output}");
    }),
    ("try", |bench| {
        let output = bench.output(&["try", "--model", &bench.path("tiny.gguf"), "--threads", "1"]);
        assert!(output.contains("Completion.") && output.contains("Explanation of a problem"), "{output}");
    }),
    ("complete", |bench| {
        let place = format!("{}:2:27", bench.path("code/area.py"));
        let report = bench.json(&["complete", &place, "--model", &bench.path("tiny.gguf"), "--json"]);
        assert!(report["prompt_tokens"].as_u64() > Some(0), "{report}");
    }),
    ("ask", |bench| {
        let place = format!("{}:2", bench.path("code/area.py"));
        let report = bench.json(&["ask", "explain", &place, "--model", &bench.path("tiny.gguf"), "--json"]);
        assert!(report["generated_tokens"].as_u64() > Some(0), "{report}");
        // Staged changes are read, and standard output contains only the answer.
        let git = |arguments: &[&str]| {
            let output = Command::new("git").current_dir(bench.path("code")).args(arguments).output().unwrap();
            assert!(output.status.success(), "{arguments:?}");
        };
        git(&["init", "-q"]);
        git(&["add", "area.py"]);
        let mut command = bench.command(&["ask", "commit", "--model", &bench.path("tiny.gguf"), "--json"]);
        let (output, stdout, stderr) = run(command.current_dir(bench.path("code")));
        assert!(output.status.success(), "{stderr}");
        let report: Value = serde_json::from_str(&stdout).unwrap();
        assert!(report["prompt_tokens"].as_u64() > Some(0) && report["answer"] != "", "{report}");
        // Only models made for next edits are asked for one.
        git(&["-c", "user.name=A", "-c", "user.email=a@example.com", "commit", "-qm", "Begin"]);
        let (output, _, stderr) =
            run(&mut bench.command(&["ask", "next", &place, "--model", &bench.path("tiny.gguf")]));
        assert!(!output.status.success() && stderr.contains("has no token for the start of a file"), "{stderr}");
    }),
    ("pull", |bench| {
        let (output, _, stderr) = run(&mut bench.command(&["pull", "hf:owner/repo/m.gguf"]));
        assert!(!output.status.success() && stderr.contains("cannot reach http://127.0.0.1:1/owner"), "{stderr}");
    }),
    ("models", |bench| {
        let models = bench.folder.path().join("models");
        std::fs::create_dir_all(&models).unwrap();
        std::fs::copy(bench.path("tiny.gguf"), models.join("tiny.gguf")).unwrap();
        assert_eq!(bench.json(&["models", "--json"])[0]["name"], "Tiny test model");
        let all = bench.json(&["models", "--all", "--json"]);
        let listed: Vec<&str> = all.as_array().unwrap().iter().filter_map(|choice| choice["model"].as_str()).collect();
        assert_eq!((listed[0], listed.last().unwrap().ends_with("tiny.gguf")), ("phi-3.5-mini", true), "{listed:?}");
        assert!(all[0]["installed"].is_null() && all[0]["bytes"].as_u64() > Some(1 << 30), "{}", all[0]);
        assert_eq!(all[0]["quantisations"].as_array().map(Vec::len), Some(6), "{}", all[0]);
        assert!(all[0]["quantisations"][0]["quality"].is_string() && all[0]["advice"].is_string(), "{}", all[0]);
        std::fs::remove_dir_all(&models).unwrap();
    }),
    ("doctor", |bench| assert!(bench.json(&["doctor", "--json"])["cores"].as_u64() > Some(0))),
    ("stats", |bench| {
        let stats = |arguments: &[&str]| {
            let mut command = bench.command(&[&["stats"], arguments].concat());
            let (output, stdout, stderr) = run(command.env("XDG_DATA_HOME", bench.folder.path().join("data")));
            assert!(output.status.success(), "{stderr}");
            stdout
        };
        let empty: Value = serde_json::from_str(&stats(&["--json"])).unwrap();
        let file = PathBuf::from(empty["file"].as_str().unwrap());
        assert!(file.starts_with(bench.folder.path()), "{}", file.display());
        statistics::append(&file, "python", "starter", What::Shown { latency_ms: 40 }).unwrap();
        statistics::append(&file, "python", "starter", What::Accepted { characters: 7, part: false }).unwrap();
        let counted: Value = serde_json::from_str(&stats(&["--json"])).unwrap();
        assert_eq!(counted["languages"]["python"]["characters_accepted"], 7, "{counted}");
        assert!(stats(&[]).contains("starter"), "a table");
        // The threshold of a model without fitted weights moves when completions are dismissed.
        let thresholds = |counted: &Value| counted["thresholds"]["another"]["balanced"].as_f64();
        statistics::append(&file, "python", "another", What::Dismissed).unwrap();
        let few: Value = serde_json::from_str(&stats(&["--json"])).unwrap();
        for _ in 0..60 {
            statistics::append(&file, "python", "another", What::Dismissed).unwrap();
        }
        let many: Value = serde_json::from_str(&stats(&["--json"])).unwrap();
        assert!(thresholds(&many) > thresholds(&few) && thresholds(&few) > Some(0.0), "{few} {many}");
        assert_eq!(many["thresholds"]["starter"], few["thresholds"]["starter"]);
        assert!(stats(&[]).contains("adjusted to the latest 61"), "{}", stats(&[]));
        stats(&["--delete"]);
        assert!(!file.exists());
    }),
    ("completions", |bench| {
        for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
            let script = bench.output(&["completions", shell]);
            assert!(script.contains("doctor") && script.contains("completion-model"), "{shell}: {script}");
        }
    }),
    ("man", |bench| {
        let folder = bench.folder.path().join("man");
        bench.output(&["man", folder.to_str().unwrap()]);
        for (page, word) in [("phi-ls.1", "phi\\-ls\\-doctor(1)"), ("phi-ls-ask.1", "instruction")] {
            let text = std::fs::read_to_string(folder.join(page)).expect("a page");
            assert!(text.contains(word), "{page}: {text}");
        }
    }),
    ("engine", |bench| {
        let mut process = bench.command(&["engine"]).spawn().expect("the program starts");
        let processes = || bench.json(&["doctor", "--json"])["engine"]["processes"].clone();
        let found = (0..1000).map(|_| processes()).find(|processes| processes[0]["pid"] == process.id());
        process.kill().unwrap();
        process.wait().unwrap();
        assert!(found.is_some_and(|processes| processes[0]["setup"]["completion_model"] == "phi-3.5-mini"));
    }),
    ("bench", |bench| {
        let model = bench.path("tiny.gguf");
        let report = bench.json(&["bench", "--model", &model, "-p", "40", "-n", "4", "-r", "1", "--json"]);
        assert!(report["decode_tokens_per_second"].as_f64() > Some(0.0), "{report}");
        // The memory rule includes 150 MiB of working memory.
        assert!(report["needed_bytes"].as_u64() > Some(150 << 20), "{report}");
        if let Some(peak) = report["peak_rss_bytes"].as_u64() {
            assert!(report["needed_bytes"].as_u64() > Some(peak), "{report}");
        }
    }),
    ("replay", |bench| {
        let arguments = ["replay", &bench.path("trace.jsonl"), "--model", &bench.path("tiny.gguf"), "--wait", "--json"];
        assert_eq!(bench.json(&arguments)["alone"]["generations"], 1);
    }),
    ("eval", |bench| {
        let (code, model, page) = (bench.path("code"), bench.path("tiny.gguf"), bench.path("page.html"));
        let arguments = ["eval", &code, "--model", &model, "--holes", "2", "--page", &page, "--json"];
        let report = bench.json(&arguments);
        assert_eq!(report["holes"].as_array().map(Vec::len), Some(2), "{report}");
        assert!(report["holes"][0]["prompt_tokens"].as_u64() > Some(0), "{report}");
        assert!(std::fs::read_to_string(&page).unwrap().contains("<article"));
        // The same holes with a smaller prompt for comparison, and compared with an earlier report.
        let smaller = bench.json(&[&arguments[..], &["--versus", "completion.contextTokens=256"]].concat());
        let tokens = |report: &Value| {
            report["compared"].as_array().unwrap().iter().find(|row| row["figure"] == "prompt tokens").cloned().unwrap()
        };
        assert!(tokens(&smaller)["after"].as_f64() < tokens(&smaller)["before"].as_f64(), "{smaller}");
        let earlier = bench.path("report.json");
        std::fs::write(&earlier, report.to_string()).unwrap();
        let again = bench.json(&[&arguments[..], &["--against", &earlier]].concat());
        assert_eq!(tokens(&again)["after"], tokens(&again)["before"], "{again}");
        // Several variants, each compared with the first or the longest.
        let several = |flag: &str| bench.json(&["eval", &code, "--model", &model, "--holes", "2", flag, "--json"]);
        let length = |report: &Value, name: &str| {
            let row = report["summary"].as_array().unwrap().iter().find(|row| row["name"] == name).cloned();
            row.unwrap_or_else(|| panic!("{name}: {report}"))["summary"]["prompt_tokens"].as_f64().unwrap()
        };
        let layouts = several("--layouts=plain,example");
        assert!(length(&layouts, "plain") < length(&layouts, "today"), "{layouts}");
        assert!(length(&layouts, "example") > length(&layouts, "today"), "{layouts}");
        let parts = several("--parts=path");
        assert!(length(&parts, "without path") < length(&parts, "whole"), "{parts}");
        let lengths = several("--context-tokens=64,512");
        assert!(length(&lengths, "64") < length(&lengths, "512"), "{lengths}");
        // Reports of several variants can be combined, too.
        let (one, other) = (bench.path("one.json"), bench.path("other.json"));
        std::fs::write(&one, parts.to_string()).unwrap();
        std::fs::write(&other, parts.to_string()).unwrap();
        let both = bench.json(&["eval", "--report", &one, "--report", &other, "--json"]);
        assert_eq!(both["summary"][1]["summary"]["holes"], 4, "{both}");
    }),
    ("tokenize", |bench| {
        let mut command = bench.command(&["tokenize", "--model", &bench.path("tiny.gguf")]);
        let (output, stdout, stderr) =
            run(command.stdin(Stdio::from(std::fs::File::open(bench.path("code/area.py")).unwrap())));
        assert!(output.status.success() && stdout.starts_with("{\"ids\":["), "{stderr}");
    }),
    ("logits", |bench| {
        let report = bench.json(&["logits", "--model", &bench.path("tiny.gguf"), "--tokens", "5,6", "--greedy", "3"]);
        assert_eq!(report["greedy"].as_array().map(Vec::len), Some(3));
    }),
];

/// Names and descriptions of the commands, as `phi-ls --help` lists them: the usual ones, then those for developers.
fn listed_commands() -> Vec<(String, String)> {
    let (_, help, _) = run(&mut phi_ls(&["--help"], Path::new("/nowhere"), "http://127.0.0.1:1"));
    ["\nCommands:\n", "\nDeveloper commands:\n"].iter().flat_map(|heading| commands_under(heading, &help)).collect()
}

fn commands_under(heading: &str, help: &str) -> Vec<(String, String)> {
    let list = help.split(heading).nth(1).unwrap_or_else(|| panic!("expected {heading:?} in {help}"));
    let list = list.split("\n\n").next().unwrap_or_default();
    // A long description continues on the next line, further to the right.
    let mut commands: Vec<(String, String)> = Vec::new();
    for line in list.lines() {
        match (line.strip_prefix("  ").and_then(|line| line.split_once(' ')), commands.last_mut()) {
            (Some((name, description)), _) if !name.is_empty() => {
                commands.push((name.to_owned(), description.trim().to_owned()));
            }
            (_, Some((_, description))) => *description = format!("{description} {}", line.trim()),
            (_, None) => panic!("expected a command, found {line:?}"),
        }
    }
    commands
}

#[test]
fn every_command_has_an_effect() {
    let listed = listed_commands();
    let names: Vec<&str> = listed.iter().map(|(name, _)| name.as_str()).filter(|name| *name != "help").collect();
    let checked: Vec<&str> = COMMANDS.iter().map(|(name, _)| *name).collect();
    assert_eq!(checked, names, "each command has a check in `COMMANDS`, in the order of the help");
    let bench = Workbench::new();
    for (name, check) in COMMANDS {
        println!("{name}");
        check(&bench);
    }
}

#[test]
fn the_help_describes_each_command_and_not_its_flags() {
    let (_, help, _) = run(&mut phi_ls(&["--help"], Path::new("/nowhere"), "http://127.0.0.1:1"));
    assert!(help.starts_with("A language server that completes code"), "{help}");
    let listed = listed_commands();
    let descriptions: BTreeSet<&str> = listed.iter().map(|(_, description)| description.as_str()).collect();
    assert_eq!(descriptions.len(), listed.len(), "no two commands do the same: {listed:?}");
    for (name, description) in &listed {
        if name != "help" {
            let (_, own, _) = run(&mut phi_ls(&[name, "--help"], Path::new("/nowhere"), "http://127.0.0.1:1"));
            let own: String = own.split("\n\n").next().unwrap_or_default().replace('\n', " ");
            assert!(own.starts_with(description.as_str()), "{name}: {own} is not {description}");
        }
    }
}

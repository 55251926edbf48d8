//! The settings as users write them: every key, wrong keys, wrong values, and which source wins.

use std::time::Duration;

use phi_ls::config::{self, Enabled, KvCacheType, Multiline, Settings, Source, WhenItDoesNotFit};
use serde_json::{Value, json};

/// Applies `value` to the defaults and compares the problems' texts.
fn check(value: Value, expected_problems: &[&str]) -> Settings {
    let mut settings = Settings::default();
    let problems: Vec<String> = settings.apply(&value, Source::Editor).iter().map(ToString::to_string).collect();
    assert_eq!(problems, expected_problems, "for {value}");
    settings
}

#[test]
fn every_key_is_read() {
    let settings = check(
        json!({
            "completion": {
                "enabled": false,
                "languages": {"rust": true, "markdown": false, "python": "manual"},
                "model": "starter",
                "backend": {"kind": "openai", "baseUrl": "http://localhost:8080/v1"},
                "contextTokens": 2000,
                "maxTokens": 100,
                "multiline": "never",
                "layout": "chat",
                "otherFiles": false,
                "knownNames": false,
                "inComments": false,
                "inStrings": false,
                "confidence": "high",
                "timeBudgetMs": 900,
                "prepareNext": false,
                "effort": "eco",
                "keptPrefixesMiB": 7,
                "popup": true,
                "statistics": false,
                "idleUnloadMinutes": 30,
            },
            "assistant": {
                "model": "/models/a.gguf",
                "backend": {"kind": "openai", "baseUrl": "http://localhost:8081"},
                "contextTokens": 8000,
                "maxTokens": 500,
                "idleUnloadMinutes": 0,
                "whenItDoesNotFit": "swap",
            },
            "engine": {"shared": false, "lingerMinutes": 3},
            "threads": 4,
            "memoryBudgetMiB": 6000,
            "kvCacheType": "q8_0",
            "exclude": ["generated/**"],
        }),
        &[],
    );
    assert!(!settings.completion.enabled);
    assert_eq!(settings.completion.languages["rust"], Enabled::On);
    assert_eq!(settings.completion.languages["markdown"], Enabled::Off);
    assert_eq!(settings.completion.languages["python"], Enabled::Manual);
    assert_eq!(settings.completion.model, "starter");
    assert_eq!(settings.completion.backend.server().expect("a server").base_url, "http://localhost:8080");
    assert_eq!(settings.completion.context_tokens, 2000);
    assert_eq!(settings.completion.max_tokens, 100);
    assert_eq!(settings.completion.multiline, Multiline::Never);
    assert!(!settings.completion.other_files);
    assert!(!settings.completion.known_names);
    assert_eq!(settings.completion.time_budget, Duration::from_millis(900));
    assert!(!settings.completion.prepare_next);
    assert_eq!(settings.completion.idle_unload, Some(Duration::from_secs(30 * 60)));
    assert_eq!(settings.assistant.model, "/models/a.gguf");
    assert_eq!(settings.assistant.backend.server().expect("a server").base_url, "http://localhost:8081");
    assert_eq!(settings.assistant.context_tokens, 8000);
    assert_eq!(settings.assistant.max_tokens, 500);
    assert_eq!(settings.assistant.idle_unload, None);
    assert_eq!(settings.assistant.when_it_does_not_fit, WhenItDoesNotFit::Swap);
    assert_eq!(settings.threads, 4);
    assert_eq!(settings.memory_budget_mib, 6000);
    assert_eq!(settings.kv_cache_type, KvCacheType::Q8_0);
    assert_eq!(settings.exclude, ["generated/**"]);
    // Check that no key is left out above.
    let value = |settings: &Settings| serde_json::to_value(settings).expect("settings are JSON");
    let (read, defaults) = (value(&settings), value(&Settings::default()));
    for description in Settings::describe() {
        let pointer = format!("/{}", description.key.replace('.', "/"));
        assert_ne!(read.pointer(&pointer), defaults.pointer(&pointer), "{} is not set above", description.key);
    }
}

#[test]
fn every_documented_key_takes_its_own_default_nested_and_dotted() {
    for description in Settings::describe() {
        let dotted = json!({description.key: description.default});
        assert_eq!(check(dotted, &[]), Settings::default());
        let nested = description.key.rsplit('.').fold(description.default.clone(), |value, part| json!({part: value}));
        assert_eq!(check(nested, &[]), Settings::default());
        assert!(description.schema.is_object() && !description.doc.is_empty(), "{}", description.key);
    }
}

#[test]
fn every_default_is_documented() {
    fn leaves(prefix: &str, value: &Value, keys: &[&str]) -> Vec<String> {
        match value {
            Value::Object(object) if !keys.contains(&prefix) => {
                let dot = if prefix.is_empty() { "" } else { "." };
                object.iter().flat_map(|(name, value)| leaves(&format!("{prefix}{dot}{name}"), value, keys)).collect()
            }
            _ => vec![prefix.to_owned()],
        }
    }
    let mut keys: Vec<&str> = Settings::describe().iter().map(|description| description.key).collect();
    let defaults = serde_json::to_value(Settings::default()).expect("settings are JSON");
    let mut fields = leaves("", &defaults, &keys);
    keys.sort_unstable();
    fields.sort_unstable();
    assert_eq!(fields, keys);
}

#[test]
fn every_ill_typed_value_is_reported_and_its_default_kept() {
    for description in Settings::describe() {
        let mut settings = Settings::default();
        let problems = settings.apply(&json!({description.key: [[1.5]]}), Source::Editor);
        assert_eq!(settings, Settings::default(), "{}", description.key);
        assert_eq!(problems.len(), 1, "{}: {problems:?}", description.key);
        assert_eq!(problems[0].key, description.key);
        let message = &problems[0].message;
        assert!(message.contains("expected ") && message.contains("found "), "{message}");
        assert!(message.ends_with(&format!("keeping {}", description.default)), "{message}");
    }
}

#[test]
fn unknown_keys_are_named_with_the_nearest_known_one() {
    check(
        json!({"completion": {"maxTokns": 5}}),
        &[
            "the editor's settings: `completion.maxTokns`: there is no such setting; did you mean `completion.maxTokens`?",
        ],
    );
    check(
        json!({"memory_budget": 5}),
        &["the editor's settings: `memory_budget`: there is no such setting; did you mean `memoryBudgetMiB`?"],
    );
    check(
        json!({"assistant.contexttokens": 5}),
        &[
            "the editor's settings: `assistant.contexttokens`: there is no such setting; did you mean `assistant.contextTokens`?",
        ],
    );
}

/// These settings will come with the features that read them. Until then, a person who sets one is told that it has no
/// effect.
#[test]
fn settings_of_features_to_come_are_unknown() {
    let mut settings = Settings::default();
    let value = json!({"telemetry": {"enabled": false}});
    let problems = settings.apply(&value, Source::Editor);
    let keys: Vec<&str> = problems.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys, ["telemetry"]);
    assert!(problems.iter().all(|problem| problem.message == "there is no such setting"), "{problems:?}");
}

#[test]
fn only_a_name_like_another_is_taken_for_it() {
    let check = |key: &str, expected: Option<&str>| {
        let message = Settings::default().apply(&json!({key: 5}), Source::Editor).remove(0).message;
        let suggestion = expected.map_or_else(String::new, |expected| format!("; did you mean `{expected}`?"));
        assert_eq!(message, format!("there is no such setting{suggestion}"), "{key}");
    };
    check("model", Some("completion.model"));
    check("assistantModel", Some("assistant.model"));
    check("completions.multi_line", Some("completion.multiline"));
    check("completion.thread", Some("threads"));
    check("assistant.maxToken", Some("assistant.maxTokens"));
    for key in ["telemetry.enabled", "backend.model", "backend.kind", "completion.colour", "fontSize", "x", "debug"] {
        check(key, None);
    }
}

#[test]
fn wrong_values_say_what_was_expected_and_what_was_kept() {
    check(
        json!({"threads": -1, "completion.multiline": "sometimes"}),
        &[
            "the editor's settings: `completion.multiline`: expected one of \"auto\", \"never\", \"always\", \
             found \"sometimes\"; keeping \"auto\"",
            "the editor's settings: `threads`: expected a whole number from 0 to 1024, found -1; keeping 0",
        ],
    );
    check(
        json!({"completion": 5}),
        &["the editor's settings: `completion`: expected an object, found 5; it is ignored"],
    );
    check(json!("fast"), &["the editor's settings: expected an object, found \"fast\""]);
}

#[test]
fn one_wrong_value_does_not_cost_the_others() {
    let settings = check(
        json!({"completion": {"languages": {"rust": "manual", "go": 3}, "model": "starter"}, "exclude": ["*.log", 7]}),
        &[
            "the editor's settings: `completion.languages`: go: expected true, false or \"manual\", found 3; left out",
            "the editor's settings: `exclude`: expected a glob, found 7; left out",
        ],
    );
    assert_eq!(settings.completion.language(["rust"]), Enabled::Manual);
    assert_eq!(settings.completion.language(["go"]), Enabled::On);
    assert_eq!(settings.completion.model, "starter");
    assert_eq!(settings.exclude, ["*.log"]);
}

#[test]
fn what_is_wrong_altogether_costs_nothing_that_was_set_before() {
    let (settings, problems) = Settings::from_layers(&[
        (Source::File, json!({"exclude": ["*.log"], "completion.languages": {"go": false}})),
        (Source::Editor, json!({"exclude": [7], "completion.languages": {"c": 3}})),
    ]);
    assert_eq!(settings.exclude, ["*.log"]);
    let texts: Vec<String> = problems.iter().map(|problem| problem.message.clone()).collect();
    assert!(texts[0].ends_with("found 3; keeping {\"go\":false}"), "{texts:?}");
    assert!(texts[1].ends_with("found 7; keeping [\"*.log\"]"), "{texts:?}");
}

#[test]
fn completion_budgets_are_judged_as_a_pair() {
    let settings = check(json!({"completion": {"contextTokens": 3072, "maxTokens": 1024}}), &[]);
    assert_eq!((settings.completion.context_tokens, settings.completion.max_tokens), (3072, 1024));
    let settings = check(json!({"completion.contextTokens": 4000, "completion.maxTokens": 96}), &[]);
    assert_eq!((settings.completion.context_tokens, settings.completion.max_tokens), (4000, 96));
    let settings = check(
        json!({"completion": {"contextTokens": 4090, "model": "starter"}}),
        &["the editor's settings: `completion.contextTokens`: completion.contextTokens (4090) and \
           completion.maxTokens (96) may add up to 4096, found 4186; keeping 1536"],
    );
    assert_eq!((settings.completion.context_tokens, settings.completion.max_tokens), (1536, 96));
    assert_eq!(settings.completion.model, "starter");
}

#[test]
fn shapes_that_editors_send_are_understood() {
    assert_eq!(check(Value::Null, &[]), Settings::default());
    assert_eq!(check(json!({"threads": null, "completion": null}), &[]), Settings::default());
    assert_eq!(check(json!({"phi-ls": {"threads": 3}}), &[]).threads, 3);
    assert_eq!(check(json!({"threads": 3.0}), &[]).threads, 3);
    assert_eq!(check(json!({"completion.languages.c": false}), &[]).completion.language(["c"]), Enabled::Off);
}

#[test]
fn what_stands_beside_the_phi_ls_object_counts_too() {
    let value = json!({"phi-ls": {"threads": 3}, "completion": {"model": "starter"}, "threads": 2, "gopls": {"x": 1}});
    // Editors also send the settings of other servers.
    let settings = check(value.clone(), &[]);
    assert_eq!((settings.threads, settings.completion.model.as_str()), (3, "starter"));
    // Other programs do not read this file.
    let problems = Settings::default().apply(&value, Source::File);
    let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["config.toml: `gopls`: there is no such setting"]);
}

#[test]
fn later_sources_win() {
    let (settings, problems) = Settings::from_layers(&[
        (Source::Flags, json!({"threads": 3})),
        (Source::Editor, json!({"threads": 2, "completion": {"maxTokens": 20, "languages": {"c": false}}})),
        (
            Source::File,
            json!({"threads": 1, "completion": {"maxTokens": 10, "languages": {"go": false}}, "kvCacheType": "q8_0"}),
        ),
    ]);
    assert_eq!(problems, []);
    assert_eq!(settings.threads, 3);
    assert_eq!(settings.completion.max_tokens, 20);
    assert_eq!(settings.kv_cache_type, KvCacheType::Q8_0);
    assert_eq!(settings.completion.languages.len(), 2);
}

#[test]
fn toml_files_are_the_same_object() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("config.toml");
    assert_eq!(config::read_file(&path), (Value::Null, Vec::new()));

    let text = "threads = 2\n[completion]\nmodel = \"starter\"\nlanguages = { rust = \"manual\" }\n";
    std::fs::write(&path, text).expect("a file");
    let (value, problems) = config::read_file(&path);
    assert_eq!(problems, []);
    let settings = check(value, &[]);
    assert_eq!((settings.threads, settings.completion.model.as_str()), (2, "starter"));
    assert_eq!(settings.completion.language(["rust"]), Enabled::Manual);

    std::fs::write(&path, "threads = 2\nmodel = \n").expect("a file");
    let (value, problems) = config::read_file(&path);
    assert_eq!(value, Value::Null);
    assert_eq!(problems.len(), 1);
    let message = problems[0].to_string();
    assert!(message.starts_with("config.toml: ") && message.contains("config.toml: line 2: "), "{message}");
    assert!(message.ends_with("; the whole file is ignored"), "{message}");
}

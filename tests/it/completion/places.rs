//! Where completions are offered: the table in `tests/fixtures/places.txt`.

use std::collections::BTreeSet;

use phi_ls::config::CompletionSettings;
use phi_ls::context::Anchor;
use phi_ls::features::inline_completion::{CompletionOptions, InlineRequest, Trigger, plan};

use crate::support::documents::document;

/// The lines of the table: language, verdict, fixture.
fn places() -> Vec<(String, String, String)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/places.txt");
    let table = std::fs::read_to_string(path).expect("the table is readable");
    let mut language = String::new();
    let mut places = Vec::new();
    for line in table.lines() {
        if let Some(name) = line.strip_prefix("# ") {
            language = name.to_owned();
        } else if let Some((verdict, fixture)) = line.split_once(' ').filter(|_| !language.is_empty()) {
            places.push((language.clone(), verdict.to_owned(), fixture.trim_start_matches(' ').replace('↵', "\n")));
        }
    }
    places
}

/// The result of a request at `$0`.
fn verdict(language_id: &str, fixture: &str, trigger: Trigger) -> String {
    let offset = fixture.find("$0").unwrap_or_else(|| panic!("{fixture} marks no cursor"));
    let snapshot = document(language_id, &fixture.replacen("$0", "", 1));
    let options = CompletionOptions::new(&CompletionSettings::default(), language_id, false);
    let request = InlineRequest { offset, trigger, selected: None };
    match plan(&snapshot, request, &options, &mut Anchor::default()) {
        Ok(_) => "asks".to_owned(),
        Err(skip) => format!("{skip:?}"),
    }
}

#[test]
fn completions_are_offered_where_they_fit() {
    let places = places();
    let mut wrong = Vec::new();
    for (language, expected, fixture) in &places {
        let found = verdict(language, fixture, Trigger::Automatic);
        if found != *expected {
            wrong.push(format!("{language}: {fixture}\n  expected {expected}, found {found}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} places:\n{}", wrong.len(), places.len(), wrong.join("\n"));
    let languages: BTreeSet<_> = places.iter().map(|(language, ..)| language).collect();
    assert!(places.len() >= 80 && languages.len() >= 9, "the table has {} places in {languages:?}", places.len());
}

#[test]
fn who_asks_by_hand_gets_one_everywhere() {
    for (language, _, fixture) in places() {
        assert_eq!(verdict(&language, &fixture, Trigger::Invoked), "asks", "{language}: {fixture}");
    }
}

//! Whatever a model writes, and wherever the cursor is, the shown text fits into the document.

use phi_ls::config::CompletionSettings;
use phi_ls::context::{Anchor, Snapshot};
use phi_ls::engine::{Candidate, Certainty, StopReason, TextPiece};
use phi_ls::features::inline_completion::{
    CompletionOptions, Growth, InlineItem, InlineRequest, Plan, Trigger, finish, plan,
};
use phi_ls::model::PromptForm;

use crate::support::documents::{DOCUMENTS, Lcg, document};

/// Pieces of model texts: code, closers, white space, noise, characters of several bytes.
const PIECES: &[&str] = &[
    "foo",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "\"",
    "'",
    "`",
    ";",
    ", ",
    "\n",
    "\n    ",
    "\n\t",
    "    ",
    "\t",
    " ",
    "return a + b",
    "é",
    "漢字",
    "😀",
    "```",
    "```rust\n",
    "<|end|>",
    "Sure, here is the code:\n",
    "// ",
    "# ",
    "\r\n",
    "=> ",
    ":",
    "\\",
    "\\\"",
    "a.b.a.b.a.b.a.b.a.b",
    "\n}\n",
    ");",
];

fn plan_at(snapshot: &Snapshot, offset: usize, trigger: Trigger) -> Option<Plan> {
    let options = CompletionOptions::new(&CompletionSettings::default(), &snapshot.language_id, false);
    let request = InlineRequest { offset, trigger, selected: None };
    plan(snapshot, request, &options, &mut Anchor::default()).ok()
}

/// What every client relies on.
fn check_fits(snapshot: &Snapshot, offset: usize, raw: &str, item: &InlineItem) {
    let about = || format!("{:?} at {offset} of {:?}: {item:?}", raw, snapshot.language_id);
    let replaced =
        snapshot.text.get_byte_slice(item.range.clone()).unwrap_or_else(|| panic!("{}", about())).to_string();
    assert_eq!(item.range.start, offset, "the range begins at the cursor: {}", about());
    assert!(!replaced.contains(['\n', '\r']), "the range is on one line: {}", about());
    assert!(!item.insert_text.trim().is_empty(), "something is shown: {}", about());
    assert!(!item.insert_text.contains("<|end|>"), "no role tags: {}", about());
    // An editor shows ghost text only if the characters of the replaced text occur in it in order.
    let mut inserted = item.insert_text.chars();
    for character in replaced.chars().filter(|character| !character.is_whitespace()) {
        assert!(inserted.any(|other| other == character), "what is replaced is inserted again: {}", about());
    }
}

#[test]
fn any_text_at_any_place_fits_or_is_not_shown() {
    let mut random = Lcg::new(11);
    let mut shown = 0;
    for (language_id, text) in DOCUMENTS {
        let snapshot = document(language_id, text);
        let places: Vec<_> = text.char_indices().map(|(offset, _)| offset).chain([text.len()]).collect();
        for offset in places {
            for trigger in [Trigger::Automatic, Trigger::Invoked] {
                let Some(plan) = plan_at(&snapshot, offset, trigger) else { continue };
                for _ in 0..4 {
                    let raw: String = (0..random.below(12)).map(|_| PIECES[random.below(PIECES.len())]).collect();
                    let stop_reason = [StopReason::EndOfTurn, StopReason::MaxTokens][random.below(2)];
                    let candidate = Candidate {
                        text: raw.clone(),
                        stop_reason,
                        certainty: Some(Certainty::of(-0.1)),
                        form: PromptForm::Chat,
                    };
                    if let Some(item) = finish(&plan, &candidate) {
                        shown += 1;
                        check_fits(&snapshot, offset, &raw, &item);
                    }
                }
            }
        }
    }
    assert!(shown > 1000, "only {shown} texts were shown: this test says nothing");
}

/// Wherever a line is cut, the rest of the line as a completion restores the document.
#[test]
fn the_rest_of_a_line_restores_the_document() {
    let mut restored = 0;
    for (language_id, text) in DOCUMENTS {
        for (offset, _) in text.char_indices() {
            let line_end = text[offset..].find('\n').map_or(text.len(), |end| offset + end);
            let rest = &text[offset..line_end];
            let cut = format!("{}{}", &text[..offset], &text[line_end..]);
            let snapshot = document(language_id, &cut);
            let Some(plan) = plan_at(&snapshot, offset, Trigger::Automatic) else { continue };
            let candidate = Candidate {
                text: rest.to_owned(),
                stop_reason: StopReason::LineEnd,
                certainty: Some(Certainty::of(-0.1)),
                form: PromptForm::Chat,
            };
            let Some(item) = finish(&plan, &candidate) else { continue };
            let mut accepted = cut.clone();
            accepted.replace_range(item.range.clone(), &item.insert_text);
            restored += 1;
            assert_eq!(accepted, *text, "{rest:?} at {offset} of {language_id}");
        }
    }
    assert!(restored > 500, "only {restored} places had a completion: this test says nothing");
}

/// Lets `raw` be written piece by piece, and checks that the shown part fits and only grows. Returns whether the end
/// says the same, if anything was shown.
fn check_growth(snapshot: &Snapshot, plan: &Plan, offset: usize, raw: &str, stop_reason: StopReason) -> Option<bool> {
    let mut growth = Growth::default();
    let mut shown: Option<InlineItem> = None;
    for character in raw.chars() {
        let piece =
            TextPiece { text: character.to_string(), certainty: Some(Certainty::of(-0.1)), form: PromptForm::Chat };
        if growth.push(plan, piece) {
            let item = growth.item().expect("there is more").clone();
            check_fits(snapshot, offset, raw, &item);
            let before = shown.as_ref().map_or("", |shown| shown.insert_text.as_str());
            assert!(item.insert_text.starts_with(before), "{before:?} is taken back: {item:?} of {raw:?}");
            shown = Some(item);
        }
    }
    let shown = shown?;
    let candidate =
        Candidate { text: raw.to_owned(), stop_reason, certainty: Some(Certainty::of(-0.1)), form: PromptForm::Chat };
    let items = growth.finish(plan, std::slice::from_ref(&candidate), true);
    assert!(items[0].insert_text.starts_with(&shown.insert_text), "{shown:?} is taken back: {items:?} of {raw:?}");
    Some(finish(plan, &candidate).as_ref() == items.first())
}

/// The text that is shown while a plausible text is written is the beginning of what is shown at its end.
#[test]
fn what_is_shown_while_it_is_written_is_the_beginning_of_the_whole() {
    let (mut grown, mut cut) = (0, Vec::new());
    for (language_id, text) in DOCUMENTS {
        for (offset, _) in text.char_indices() {
            let line_end = text[offset..].find('\n').map_or(text.len(), |end| offset + end);
            let rest = &text[offset..line_end];
            let snapshot = document(language_id, &format!("{}{}", &text[..offset], &text[line_end..]));
            let Some(plan) = plan_at(&snapshot, offset, Trigger::Automatic) else { continue };
            match check_growth(&snapshot, &plan, offset, rest, StopReason::LineEnd) {
                Some(true) => grown += 1,
                Some(false) => cut.push((language_id, offset, rest)),
                None => {}
            }
        }
    }
    assert!(grown > 400, "only {grown} texts were shown while they grew: this test says nothing");
    assert!(cut.is_empty(), "the end was cut off: {cut:?}");
}

/// However absurd the text is, nothing that was shown is taken back.
#[test]
fn whatever_is_written_what_is_shown_only_grows() {
    let mut random = Lcg::new(17);
    let (mut grown, mut cut) = (0, 0);
    for (language_id, text) in DOCUMENTS {
        let snapshot = document(language_id, text);
        for (offset, _) in text.char_indices() {
            for trigger in [Trigger::Automatic, Trigger::Invoked] {
                let Some(plan) = plan_at(&snapshot, offset, trigger) else { continue };
                let raw: String = (0..random.below(12)).map(|_| PIECES[random.below(PIECES.len())]).collect();
                let stop_reason = [StopReason::EndOfTurn, StopReason::MaxTokens][random.below(2)];
                match check_growth(&snapshot, &plan, offset, &raw, stop_reason) {
                    Some(true) => grown += 1,
                    Some(false) => cut += 1,
                    None => {}
                }
            }
        }
    }
    // Many texts like these end in a way that is not shown.
    assert!(grown > 300 && cut < grown, "{grown} grew to their end, {cut} were cut off");
}

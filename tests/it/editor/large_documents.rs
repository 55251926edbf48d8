//! Documents that nobody has written by hand: endless lines, generated code, binary data, scripts that take many
//! tokens.

use phi_ls::config::CompletionSettings;
use phi_ls::context::{Anchor, ItemOptions, Limits, Problem, Snapshot, Surroundings, completion_context, item_context};
use phi_ls::features::inline_completion::{CompletionOptions, InlineRequest, Plan, Skip, Trigger, plan};
use phi_ls::model::tokenizer::TextStart;
use phi_ls::text::{Edit, apply_edit};
use serde_json::{Value, json};

use crate::support::allocations::peak_of;
use crate::support::documents::document;
use crate::support::test_server::{TestServer, completion_params, texts};

fn plan_at(snapshot: &Snapshot, offset: usize, trigger: Trigger, anchor: &mut Anchor) -> Result<Plan, Skip> {
    let options = CompletionOptions::new(&CompletionSettings::default(), &snapshot.language_id, false);
    plan(snapshot, InlineRequest { offset, trigger, selected: None }, &options, anchor)
}

/// The peak memory of each key but the first of a word typed at `offset`.
fn memory_of_a_key(language_id: &str, text: &str, offset: usize) -> usize {
    let mut snapshot = document(language_id, text);
    let (mut anchor, mut most) = (Anchor::default(), 0);
    for (nth, key) in "word".chars().enumerate() {
        let edit = Edit { range: offset + nth..offset + nth, new_text: key.to_string() };
        let (result, peak) = peak_of(|| {
            apply_edit(&mut snapshot.text, &edit);
            snapshot.parsed = snapshot.parsed.take().and_then(|parsed| parsed.edit(&[edit], &snapshot.text));
            plan_at(&snapshot, offset + nth + 1, Trigger::Invoked, &mut anchor)
        });
        assert!(result.is_ok());
        most = if nth == 0 { 0 } else { most.max(peak) };
    }
    most
}

#[test]
fn a_key_takes_no_more_memory_in_a_long_line_or_a_long_document() {
    let usual = memory_of_a_key("javascript", &"x = f(1, 2);\n".repeat(100), 13 * 50 - 1);
    let check = |language_id: &str, text: String, offset: usize| {
        let taken = memory_of_a_key(language_id, &text, offset);
        assert!(taken < usual + (512 << 10), "{taken} bytes in a text of {}, usually {usual}", text.len());
    };
    let line = "x=f(1,2);".repeat((5 << 20) / 9);
    for offset in [0, line.len() / 2, line.len()] {
        check("javascript", line.clone(), offset);
    }
    let lines = format!("{}\n", "x=f(1,2);".repeat(20_000)).repeat(40);
    check("javascript", lines.clone(), lines.len() / 2);
    check("plaintext", "x = f(1, 2);\n".repeat(400_000), 13 * 200_000 - 1);
}

#[test]
fn a_line_of_five_megabytes_is_completed() {
    let mut server = TestServer::answering("foo(1)", "");
    let line = "a".repeat(5 << 20);
    server.edit(2, (0, 0), (0, 0), &line);
    assert_eq!(server.complete(0, 5 << 20), ["foo(1)"]);
    server.edit(3, (0, 5 << 20), (0, 5 << 20), " = ");
    assert_eq!(server.complete(0, (5 << 20) + 3), ["foo(1)"]);
    server.finish();
}

#[test]
fn of_binary_data_nothing_is_asked() {
    let mut server = TestServer::answering("foo(1)", "");
    for text in ["\u{7f}ELF\0\0\0 x = ", "\u{fffd}PNG\n\u{1a}\n\u{fffd}\u{fffd}\u{1}\u{2}= "] {
        let uri = format!("file:///home/user/project/{}.bin", text.len());
        server.open(&uri, "plaintext", text);
        for kind in [1, 2] {
            let mut params = completion_params(&uri, u32::MAX, 0);
            params["context"]["triggerKind"] = json!(kind);
            assert_eq!(texts(&server.call("textDocument/inlineCompletion", params)), [""; 0], "{text:?}");
            if kind == 1 {
                let is_told = |message: &Value| message["message"].as_str().is_some_and(|text| text.contains("binary"));
                server.notification("window/showMessage", is_told);
            }
        }
    }
    assert_eq!(server.counters.forward_calls(), 0);
    assert_eq!(server.complete(0, 0), [""; 0]);
    server.edit(2, (0, 0), (0, 0), "x = ");
    assert_eq!(server.complete(0, 4), ["foo(1)"]);
    server.finish();
}

#[test]
fn binary_data_has_a_reason_of_its_own() {
    let reason = |text: &str, trigger| {
        let snapshot = document("plaintext", text);
        plan_at(&snapshot, text.len(), trigger, &mut Anchor::default()).err()
    };
    for trigger in [Trigger::Invoked, Trigger::Automatic] {
        assert_eq!(reason("GIF89a\0\u{1}x = ", trigger), Some(Skip::Binary));
        assert_eq!(reason("let escape = \"\u{1b}[0m", trigger), None);
        // It is not noticed far away from the cursor and from the beginning.
        let text = format!("{}\0{}x = ", "a = 1\n".repeat(2000), "a = 1\n".repeat(2000));
        assert_eq!(reason(&text, trigger), None);
    }
}

/// Code with comments in `script`.
fn commented(script: &str) -> String {
    (0..200).map(|n| format!("# {script}\ndef f{n}(a, b):\n    # {script}\n    return a + b * {n}\n\n")).collect()
}

#[test]
fn a_prompt_has_about_as_many_tokens_in_any_script() {
    let tokenizer = crate::model::tokenizer::phi_3();
    let tokens = |text: &str| tokenizer.encode(text, TextStart::Exact).len();
    for script in [
        "The total price of an order, which raises an error if nobody is logged in",
        "计算订单的总价并返回结果，如果用户没有登录，则抛出异常",
        "注文の合計金額を計算して結果を返します",
        "주문의 총액을 계산하고 결과를 반환합니다. 로그인하지 않은 경우 예외를 발생시킵니다",
        "Вычисляет общую стоимость заказа и возвращает результат",
        "Υπολογίζει τη συνολική αξία της παραγγελίας και επιστρέφει το αποτέλεσμα",
        "คำนวณราคารวมของคำสั่งซื้อและส่งคืนผลลัพธ์",
        "😀🚀🔥✨🎉💡🐛🤖📦",
    ] {
        let text = commented(script);
        let snapshot = document("python", &text);
        let offset = text.char_indices().nth(text.chars().count() / 2).expect("a middle").0;
        let context = completion_context(&snapshot, offset, Limits::for_tokens(1536), &mut Anchor::default());
        let found: usize = [&context.imports, &context.outline, &context.suffix, &context.prefix]
            .map(|part| tokens(part))
            .iter()
            .sum();
        // The rest of the prompt takes 160.
        assert!((400..=1400).contains(&found), "{found} tokens: {script}");
    }
}

#[test]
fn a_long_line_is_shown_in_part_to_who_asks_about_a_problem_in_it() {
    let text = format!("x = {};\n", "f(1) + ".repeat(20_000));
    let at = text.len() / 2;
    let snapshot = document("javascript", &text);
    let problem = Problem { range: at..at + 1, message: "wrong".to_owned(), ..Problem::default() };
    let options = ItemOptions { budget: 4000, surroundings: &Surroundings::default(), with_callers: true };
    let context = item_context(&snapshot, at..at, Some(&problem), &options);
    assert!(context.code.len() <= 4000, "{} bytes of code", context.code.len());
    let marked = context.marked.expect("the problem is in the code");
    assert!(marked.text.len() <= 400, "{} bytes are repeated", marked.text.len());
}

#[test]
fn a_source_of_eighty_megabytes_opens_and_is_completed() {
    let mut server = TestServer::answering("foo(1)", "");
    let line = format!("x = [{}]\n", "1, ".repeat(60_000));
    let text = line.repeat((80 << 20) / line.len()) + "last = ";
    server.open("file:///home/user/project/generated.py", "python", &text);
    let params = completion_params("file:///home/user/project/generated.py", u32::MAX, 0);
    assert_eq!(texts(&server.call("textDocument/inlineCompletion", params)), ["foo(1)"]);
    server.finish();
}

//! Prompts that ask to fill in the middle: the format of each family, with the examples of its documentation; and the
//! cost of a key.

use std::path::Path;

use expect_test::{Expect, expect};
use phi_ls::context::{Anchor, Limits, completion_context};
use phi_ls::model::tokenizer::{Healing, TokenizerData};
use phi_ls::model::{ChatFormat, Fim, FimFile, FimParts, NextEditParts, Prompt, PromptForm, Tokenizer};
use phi_ls::prompt::{Form, Layout, completion_prompt};

use crate::support::documents::snapshot;
use crate::support::tiny_gguf::byte_level_char;

const QWEN: &[&str] = &[
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
    "<|endoftext|>",
];
const DEEPSEEK: &[&str] = &["<｜begin▁of▁sentence｜>", "<｜fim▁hole｜>", "<｜fim▁begin｜>", "<｜fim▁end｜>", "<|EOT|>"];
const STARCODER: &[&str] =
    &["<|endoftext|>", "<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<fim_pad>", "<filename>", "<reponame>"];
const CODELLAMA: &[&str] = &["▁<PRE>", "▁<SUF>", "▁<MID>", "▁<EOT>"];

/// A tokenizer of single bytes and the special tokens of a family, which some files mark as normal.
fn tokenizer(model: &str, specials: &[&str], special_type: i64) -> Tokenizer {
    let is_spm = model == "llama";
    let bytes = |byte: u8| if is_spm { format!("<0x{byte:02X}>") } else { byte_level_char(byte).to_string() };
    let mut tokens: Vec<String> = (0..=255).map(bytes).collect();
    let mut token_types = vec![if is_spm { 6 } else { 1 }; 256];
    if is_spm {
        tokens.push("▁".to_owned());
        token_types.push(1);
    }
    tokens.extend(specials.iter().map(|special| (*special).to_owned()));
    token_types.resize(tokens.len(), special_type);
    let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
    let bos = tokens.iter().position(|token| token.contains("begin▁of")).map(|id| id as u32);
    let data = TokenizerData {
        path: Path::new("family.gguf"),
        model,
        pre: "gpt-2",
        tokens: &tokens,
        scores: &vec![0.0; tokens.len()],
        token_types: &token_types,
        merges: &[],
        bos,
        eos: &[],
        add_bos: Some(bos.is_some()),
        add_space_prefix: None,
    };
    Tokenizer::from_data(data).expect("a sound vocabulary")
}

/// The text that a model reads, with special tokens as they are spelled.
fn shown(tokenizer: &Tokenizer, ids: &[u32]) -> String {
    let mut bytes = Vec::new();
    for id in ids {
        match tokenizer.bytes(*id) {
            [] => bytes.extend_from_slice(tokenizer.piece(*id).as_bytes()),
            text => bytes.extend_from_slice(text),
        }
    }
    String::from_utf8(bytes).expect("whole characters")
}

fn check(name: &str, tokenizer: &Tokenizer, family: &str, parts: &FimParts, expected: &Expect) {
    let fim = Fim::recognise(tokenizer, name).expect("a family");
    assert_eq!(fim.name(), family);
    let encoded = fim.encode(tokenizer, parts);
    assert_eq!(encoded.form, PromptForm::Fim);
    // A bar marks where the text begins that healing may remove.
    let (before, after) = encoded.tokens.split_at(encoded.prefill_start);
    expected.assert_eq(&format!("{}|{}\n", shown(tokenizer, before), shown(tokenizer, after)));
}

fn parts(prefix: &str, typed: &str, suffix: &str) -> FimParts {
    FimParts { prefix: prefix.to_owned(), typed: typed.to_owned(), suffix: suffix.to_owned(), ..FimParts::default() }
}

/// The same in a file of a project, beside another one.
fn in_project(parts: FimParts, path: &str, other: (&str, &str)) -> FimParts {
    FimParts {
        path: Some(path.to_owned()),
        line_comment: Some("#".to_owned()),
        files: vec![FimFile { path: other.0.to_owned(), text: other.1.to_owned() }],
        ..parts
    }
}

#[test]
fn qwen_fills_in_between_prefix_and_suffix() {
    let tokenizer = tokenizer("gpt2", QWEN, 3);
    // From the documentation of Qwen2.5-Coder: a single file, and one in a repository.
    let file =
        parts("def quicksort(arr):\n    if len(arr) <= 1:\n        return arr\n", "    pivot", "\n    middle = []");
    check(
        "Qwen2.5 Coder",
        &tokenizer,
        "qwen",
        &file,
        &expect![[r#"
        <|fim_prefix|>def quicksort(arr):
            if len(arr) <= 1:
                return arr
        <|fim_suffix|>
            middle = []<|fim_middle|>|    pivot
    "#]],
    );
    let project = in_project(file, "sort.py", ("library.py", "class Book:\n    pass\n"));
    check(
        "Qwen2.5 Coder",
        &tokenizer,
        "qwen",
        &project,
        &expect![[r#"
        <|repo_name|>project
        <|file_sep|>library.py
        class Book:
            pass
        <|file_sep|>sort.py
        <|fim_prefix|>def quicksort(arr):
            if len(arr) <= 1:
                return arr
        <|fim_suffix|>
            middle = []<|fim_middle|>|    pivot
    "#]],
    );
}

#[test]
fn deepseek_coder_fills_the_hole_and_names_files_in_comments() {
    let tokenizer = tokenizer("gpt2", DEEPSEEK, 4);
    let file = parts("def quick_sort(arr):\n    left = []\n", "", "\n    return quick_sort(left)");
    let project = in_project(file, "main.py", ("utils.py", "import torch\n"));
    check(
        "deepseek-coder",
        &tokenizer,
        "deepseek-coder",
        &project,
        &expect![[r#"
        <｜begin▁of▁sentence｜><｜fim▁begin｜># utils.py
        import torch
        # main.py
        def quick_sort(arr):
            left = []
        <｜fim▁hole｜>
            return quick_sort(left)<｜fim▁end｜>|
    "#]],
    );
}

#[test]
fn code_llama_takes_the_suffix_first() {
    // Its files mark the special tokens as normal.
    let tokenizer = tokenizer("llama", CODELLAMA, 1);
    let file = parts("def remove_non_ascii(s: str) -> str:\n", "    \"\"\"", "\n    return result\n");
    check(
        "CodeLlama",
        &tokenizer,
        "codellama",
        &file,
        &expect![[r#"
        ▁<PRE>▁<SUF>
            return result
        ▁<MID>| def remove_non_ascii(s: str) -> str:
            """
    "#]],
    );
}

#[test]
fn granite_and_starcoder_take_the_suffix_first() {
    let tokenizer = tokenizer("gpt2", STARCODER, 3);
    let file = parts("def print_hello():\n", "    print(", ")\n");
    let project = in_project(file, "hello.py", ("a.py", "A = 1"));
    check(
        "Granite 3b Code Base",
        &tokenizer,
        "starcoder",
        &project,
        &expect![[r#"
        <fim_prefix><fim_suffix>)
        <fim_middle>|# a.py
        A = 1
        # hello.py
        def print_hello():
            print(
    "#]],
    );
}

#[test]
fn mellum_has_the_same_tokens_in_another_order() {
    let tokenizer = tokenizer("gpt2", STARCODER, 3);
    // From Mellum's documentation, with two more files.
    let file =
        parts("def calculate_sum(a, b):\n", "", "\n# Test the function\nresult = calculate_sum(5, 10)\nprint(result)");
    let project = in_project(file, "example.py", ("utils.py", "def multiply(x, y):\n    return x * y\n"));
    check(
        "Mellum 4b Base",
        &tokenizer,
        "mellum",
        &project,
        &expect![[r#"
        <filename>utils.py
        def multiply(x, y):
            return x * y
        <filename>example.py
        <fim_suffix>
        # Test the function
        result = calculate_sum(5, 10)
        print(result)<fim_prefix>def calculate_sum(a, b):
        <fim_middle>|
    "#]],
    );
}

#[test]
fn codestral_has_no_marker_for_the_middle() {
    let tokenizer = tokenizer("gpt2", &["[SUFFIX]", "[PREFIX]", "[MIDDLE]"], 3);
    check(
        "Codestral",
        &tokenizer,
        "codestral",
        &parts("a = 1\n", "b = ", "c = 3"),
        &expect![[r#"
        [SUFFIX]c = 3[PREFIX]|a = 1
        b = 
    "#]],
    );
}

#[test]
fn the_next_file_ends_what_is_filled_in_and_the_chat_does_not() {
    let tokenizer = tokenizer("gpt2", QWEN, 3);
    let fim = Fim::recognise(&tokenizer, "Qwen2.5 Coder").expect("a family");
    let separator = tokenizer.special("<|file_sep|>").expect("a token");
    assert!(fim.stop_ids().contains(&separator) && !fim.forbidden_ids().contains(&separator));
    assert!(!tokenizer.stop_ids().contains(&separator) && tokenizer.forbidden_ids().contains(&separator));
    assert!(fim.forbidden_ids().contains(&tokenizer.special("<|fim_prefix|>").expect("a token")));
}

#[test]
fn a_vocabulary_without_the_tokens_of_a_family_fills_in_nothing() {
    let tokenizer = tokenizer("gpt2", &["<|im_start|>", "<|im_end|>", "<|file_sep|>"], 3);
    assert!(Fim::recognise(&tokenizer, "SmolLM2").is_none());
    assert_eq!(ChatFormat::recognise(&tokenizer).name, "chatml");
}

#[test]
fn markers_in_code_stay_text() {
    let tokenizer = tokenizer("llama", CODELLAMA, 1);
    let file = parts("x = '▁<MID>'\n", "", "");
    let fim = Fim::recognise(&tokenizer, "CodeLlama").expect("a family");
    let ids = fim.encode(&tokenizer, &file).tokens;
    let middle = tokenizer.special("▁<MID>").expect("a token");
    assert_eq!(ids.iter().filter(|id| **id == middle).count(), 1);
}

/// The prompts of one document while it is typed.
fn typed(path: &str, texts: &[String]) -> Vec<Prompt> {
    let mut anchor = Anchor::default();
    let prompt = |marked: &String| {
        let offset = marked.find("$0").expect("a text marks the cursor with $0");
        let snapshot = snapshot(path, &marked.replacen("$0", "", 1));
        completion_prompt(
            Layout::of(Form::Auto),
            &completion_context(&snapshot, offset, Limits::of_bytes(2000), &mut anchor),
        )
    };
    texts.iter().map(prompt).collect()
}

#[test]
fn the_code_right_of_the_cursor_is_the_beginning_of_the_suffix() {
    let prompts = typed("src/a.rs", &["fn f() {\n    let x = g($0);\n    h(x);\n}\n".to_owned()]);
    let fim = prompts[0].fim.as_ref().expect("the parts");
    assert_eq!((fim.prefix.as_str(), fim.typed.as_str()), ("fn f() {\n", "    let x = g("));
    assert_eq!((fim.suffix.as_str(), fim.path.as_deref()), (");\n    h(x);\n}\n", Some("src/a.rs")));
    // A model that cannot fill in the middle is asked in a chat turn.
    assert_eq!(prompts[0].turns.len(), 2);
}

#[test]
fn a_key_costs_the_tokens_it_adds_whatever_the_order_of_the_parts() {
    let code = "    let total = first + second\n    let other = total * 2";
    let texts: Vec<String> =
        (0..=code.len()).map(|end| format!("fn f() {{\n{}$0\n    last();\n}}\n", &code[..end])).collect();
    let prompts = typed("src/a.rs", &texts);
    for (name, family) in
        [("Qwen2.5 Coder", QWEN), ("deepseek", DEEPSEEK), ("Granite", STARCODER), ("Mellum", STARCODER)]
    {
        let tokenizer = tokenizer("gpt2", family, 3);
        let fim = Fim::recognise(&tokenizer, name).expect("a family");
        let encode = |prompt: &Prompt| fim.encode(&tokenizer, prompt.fim.as_ref().expect("the parts")).tokens;
        for pair in prompts.windows(2) {
            let (before, after) = (encode(&pair[0]), encode(&pair[1]));
            // One token of these vocabularies is a byte.
            assert!(after.starts_with(&before) && after.len() == before.len() + 1, "{name}: {:?}", pair[1].fim);
        }
    }
}

#[test]
fn what_was_typed_becomes_part_of_the_prefix_when_it_is_long() {
    let line = "    call_of_a_function_with_a_name();\n";
    let texts: Vec<String> = (0..60).map(|lines| format!("fn f() {{\n{}    $0\n}}\n", line.repeat(lines))).collect();
    let typed: Vec<usize> =
        typed("src/a.rs", &texts).iter().map(|prompt| prompt.fim.as_ref().expect("the parts").typed.len()).collect();
    assert!(typed.iter().all(|len| *len <= 1024 + line.len()), "{typed:?}");
    // The window moves rarely, because each time the model has to read the suffix again.
    let moves = typed.windows(2).filter(|pair| pair[1] < pair[0]).count();
    assert!((1..=2).contains(&moves), "{moves} moves: {typed:?}");
}

#[test]
fn healing_goes_back_into_what_was_typed_and_no_further() {
    let tokenizer = tokenizer("gpt2", QWEN, 3);
    let fim = Fim::recognise(&tokenizer, "Qwen2.5 Coder").expect("a family");
    let encoded = fim.encode(&tokenizer, &parts("a", "", "b"));
    let (keep, healing) = Healing::at(&tokenizer, &encoded.tokens, encoded.prefill_start);
    assert_eq!((keep, healing.required()), (encoded.tokens.len(), b"".as_slice()));
}

#[test]
fn a_model_of_next_edits_is_asked_in_its_form() {
    let file = |path: &str, text: &str| FimFile { path: path.to_owned(), text: text.to_owned() };
    let parts = NextEditParts {
        files: vec![file("a.py", "x = 1\ny = x"), file("a.py:1:1", "original:\nz = 1\nupdated:\nx = 1")],
        place: "a.py:1:2".to_owned(),
        original: "z = 1\ny = x".to_owned(),
        current: ("x = 1".to_owned(), "\ny = x".to_owned()),
    };
    let with_cursor = [QWEN, &["<|cursor|>"]].concat();
    let prompt = |specials: &[&str]| {
        let tokenizer = tokenizer("gpt2", specials, 3);
        let encoded = Fim::recognise(&tokenizer, "sweep").unwrap().encode_next_edit(&tokenizer, &parts).unwrap();
        assert_eq!((encoded.form, encoded.prefill_start), (PromptForm::Fim, encoded.tokens.len()));
        shown(&tokenizer, &encoded.tokens)
    };
    let expected = expect![[r#"
        <|file_sep|>a.py
        x = 1
        y = x
        <|file_sep|>a.py:1:1
        original:
        z = 1
        updated:
        x = 1
        <|file_sep|>original/a.py:1:2
        z = 1
        y = x
        <|file_sep|>current/a.py:1:2
        x = 1<|cursor|>
        y = x
        <|file_sep|>updated/a.py:1:2
    "#]];
    expected.assert_eq(&prompt(&with_cursor));
    assert_eq!(prompt(QWEN), prompt(&with_cursor).replace("<|cursor|>", ""));
    let starcoder = tokenizer("gpt2", STARCODER, 3);
    assert!(Fim::recognise(&starcoder, "granite").unwrap().encode_next_edit(&starcoder, &parts).is_none());
}

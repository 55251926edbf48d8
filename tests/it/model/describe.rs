//! The report of `phi-ls models` about a file.

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use phi_ls::kernels::quant::QuantType;
use phi_ls::model;

use crate::support::tiny_gguf::{GgufWriter, TinyModel};

fn check(writer: &GgufWriter, expected: &Expect) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("tiny.gguf");
    std::fs::write(&path, writer.bytes()).expect("writing a micro model");
    let report = model::describe(&path).expect("a sound file");
    let mut text = format!("{} ({}), {} parameters\n", report.name, report.architecture, report.parameters);
    for share in &report.quantisation {
        writeln!(text, "{}: {} tensors, {} bytes", share.quant, share.tensors, share.bytes)
            .expect("writing to a string");
    }
    for check in &report.checks {
        let (mark, found) = match &check.outcome {
            Ok(found) => ("ok", found),
            Err(reason) => ("NOT OK", reason),
        };
        writeln!(text, "{}: {mark}: {found}", check.name).expect("writing to a string");
    }
    assert_eq!(report.passes(), !text.contains("NOT OK"));
    expected.assert_eq(&text);
}

#[test]
fn a_file_that_passes() {
    check(
        &TinyModel::phi3().quantized(QuantType::Q4K).writer(),
        &expect![[r#"
        Tiny test model (phi3), 866572 parameters
        Q4_K: 9 tensors, 486720 bytes
        F32: 7 tensors, 5168 bytes
        architecture: ok: phi3
        tensors: ok: all 16 present
        rotary factors: ok: short up to 4096 positions, long up to 16384, attention factor 1.0801
        chat roles: ok: phi-3
        stop ids: ok: <|end|> (306), <|assistant|> (304), <|endoftext|> (303)
    "#]],
    );
    check(
        &TinyModel::llama().writer(),
        &expect![[r#"
        Tiny test model (llama), 95424 parameters
        F32: 21 tensors, 381696 bytes
        architecture: ok: llama
        tensors: ok: all 21 present
        rotary factors: ok: one set for 4096 positions
        chat roles: ok: chatml
        stop ids: ok: <|im_end|> (2), <|endoftext|> (0)
    "#]],
    );
}

#[test]
fn what_is_wrong_is_told_by_check() {
    let mut writer = TinyModel::phi3().writer();
    writer.remove("rope_factors_long.weight");
    writer.remove("blk.1.ffn_down.weight");
    check(
        &writer,
        &expect![[r#"
        Tiny test model (phi3), 75334 parameters
        F32: 14 tensors, 301336 bytes
        architecture: ok: phi3
        tensors: NOT OK: tensor `blk.1.ffn_down.weight` is missing, expected one of shape [64, 96]
        rotary factors: NOT OK: tensor `rope_factors_long.weight` is missing; the context of 16384 positions is longer than the original 4096, so its 6 rotary factors are needed
        chat roles: ok: phi-3
        stop ids: ok: <|end|> (306), <|assistant|> (304), <|endoftext|> (303)
    "#]],
    );
    let mut writer = TinyModel::llama().writer();
    writer.string("general.architecture", "gemma");
    writer.string("tokenizer.ggml.pre", "unheard-of");
    check(
        &writer,
        &expect![[r#"
            Tiny test model (gemma), 95424 parameters
            F32: 21 tensors, 381696 bytes
            architecture: NOT OK: expected a model of one of the architectures `phi3`, `qwen2`, `qwen3`, `granite`, `llama`, found `gemma`
            tokenizer: NOT OK: tokenizer.ggml.pre: expected one of gpt-4o, smollm, starcoder, refact, gpt-2, mellum, qwen2, deepseek-r1-qwen, llama-bpe, llama3, llama-v3, deepseek-coder, deepseek-llm, tekken, default, found "unheard-of"; its text would be split wrongly
        "#]],
    );
}

/// The problems in the report of a micro model in the shape of Phi-4-mini after `change`.
fn problems(change: impl FnOnce(&mut GgufWriter)) -> Vec<String> {
    let mut writer = TinyModel::phi3().writer();
    change(&mut writer);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("tiny.gguf");
    std::fs::write(&path, writer.bytes()).expect("writing a micro model");
    let report = model::describe(&path).expect("a file that can be read");
    let problem = |check: &model::describe::Check| Some(format!("{}: {}", check.name, check.outcome.as_ref().err()?));
    report.checks.iter().filter_map(problem).collect()
}

#[test]
fn each_fault_is_one_clear_line() {
    assert!(problems(|_| ()).is_empty());
    let short = |file: &mut GgufWriter| file.tensor("rope_factors_short.weight", &[5], QuantType::F32, vec![0; 20]);
    expect![[r#"
        [
            "rotary factors: tensor `rope_factors_short.weight`: expected 6 values of type F32, found [5] of type F32",
        ]
    "#]]
    .assert_debug_eq(&problems(short));
    let norm = |file: &mut GgufWriter| file.tensor("output_norm.weight", &[63], QuantType::F32, vec![0; 252]);
    expect![[r#"
        [
            "tensors: tensor `output_norm.weight`: expected shape [64] from the metadata, found [63]",
        ]
    "#]]
    .assert_debug_eq(&problems(norm));
    let scores = |file: &mut GgufWriter| file.f32s("tokenizer.ggml.scores", &[0.0; 3]);
    expect![[r#"
        [
            "tokenizer: tokenizer.ggml.scores: expected one for each of the 308 tokens, found 3",
        ]
    "#]]
    .assert_debug_eq(&problems(scores));
    expect![[r#"
        [
            "settings: `tokenizer.ggml.tokens`: expected a vocabulary, found an empty list",
            "tokenizer: tokenizer.ggml.tokens: expected a vocabulary, found 0 tokens",
        ]
    "#]]
    .assert_debug_eq(&problems(|file| file.strings("tokenizer.ggml.tokens", &[])));
    expect![[r#"
        [
            "settings: metadata key `phi3.attention.layer_norm_rms_epsilon` is missing, expected a float",
        ]
    "#]]
    .assert_debug_eq(&problems(|file| file.remove("phi3.attention.layer_norm_rms_epsilon")));
}

//! Tests of the tokenizer's parts on vocabularies small enough to read; the real ones are in `tests/it/model/tokenizer.rs`.

use std::path::Path;

use super::*;
use crate::text::KnownNames;

struct Small {
    tokens: Vec<&'static str>,
    scores: Vec<f32>,
    types: Vec<i64>,
    merges: Vec<&'static str>,
}

impl Small {
    /// Byte tokens, then `pieces` with falling scores.
    fn spm(pieces: &[&str]) -> Self {
        let mut small = Self { tokens: vec!["<unk>"], scores: vec![0.0], types: vec![2], merges: vec![] };
        for byte in 0..=255u8 {
            small.add(&format!("<0x{byte:02X}>"), 0.0, 6);
        }
        for (index, piece) in pieces.iter().enumerate() {
            small.add(piece, -(index as f32), 1);
        }
        small
    }

    /// The byte alphabet, then what `merges` make.
    fn bpe(merges: &[&str]) -> Self {
        let mut small = Self { tokens: vec![], scores: vec![], types: vec![], merges: vec![] };
        for byte in 0..=255u8 {
            small.add(&vocabulary::byte_char(byte).to_string(), 0.0, 1);
        }
        for merge in merges {
            small.add(&merge.replace(' ', ""), 0.0, 1);
            small.merges.push(String::from(*merge).leak());
        }
        small
    }

    fn add(&mut self, piece: &str, score: f32, token_type: i64) -> u32 {
        self.tokens.push(String::from(piece).leak());
        self.scores.push(score);
        self.types.push(token_type);
        self.tokens.len() as u32 - 1
    }

    fn data<'a>(&'a self, model: &'a str, pre: &'a str) -> TokenizerData<'a> {
        TokenizerData {
            path: Path::new("small.gguf"),
            model,
            pre,
            tokens: &self.tokens,
            scores: &self.scores,
            token_types: &self.types,
            merges: &self.merges,
            bos: None,
            eos: &[],
            add_bos: None,
            add_space_prefix: None,
        }
    }

    fn tokenizer(&self, model: &str, pre: &str) -> Tokenizer {
        Tokenizer::from_data(self.data(model, pre)).expect("a sound vocabulary")
    }
}

fn pieces(tokenizer: &Tokenizer, ids: &[u32]) -> String {
    ids.iter().map(|id| tokenizer.piece(*id)).collect::<Vec<_>>().join("|")
}

fn check(tokenizer: &Tokenizer, text: &str, start: TextStart, expected: &str) {
    let ids = tokenizer.encode(text, start);
    assert_eq!(pieces(tokenizer, &ids), expected, "{text:?}");
    assert_eq!(tokenizer.encode(text, start), ids, "the cache answers differently");
}

#[test]
fn spm_merges_by_score_and_falls_back_to_bytes() {
    let small = Small::spm(&["▁", "a", "b", "ab", "▁a", "▁ab"]);
    let tokenizer = small.tokenizer("llama", "default");
    check(&tokenizer, "ab", TextStart::Fragment, "▁ab");
    check(&tokenizer, "ab", TextStart::Exact, "ab");
    check(&tokenizer, " ab", TextStart::Exact, "▁ab");
    check(&tokenizer, "ab\n\nab\tä", TextStart::Exact, "ab|<0x0A>|<0x0A>|ab|<0x09>|<0xC3>|<0xA4>");
    check(&tokenizer, "\n", TextStart::Fragment, "▁|<0x0A>");
    check(&tokenizer, "", TextStart::Fragment, "");
}

#[test]
fn spm_pieces_with_line_breaks_are_found() {
    let small = Small::spm(&["▁", "a", "\n", "\n\n"]);
    let tokenizer = small.tokenizer("llama", "default");
    check(&tokenizer, "a\n\na\n", TextStart::Exact, "a|\n\n|a|\n");
}

#[test]
fn bpe_never_merges_across_pre_tokens() {
    let small = Small::bpe(&["Ġ a", "1 2", "Ċ Ġ"]);
    let gpt_2 = small.tokenizer("gpt2", "gpt-2");
    check(&gpt_2, "a a12", TextStart::Fragment, "a|Ġa|12");
    check(&gpt_2, "a\n  a", TextStart::Fragment, "a|ĊĠ|Ġa");
    let smollm = small.tokenizer("gpt2", "smollm");
    check(&smollm, "a a12", TextStart::Fragment, "a|Ġa|1|2");
    let o200k = small.tokenizer("gpt2", "gpt-4o");
    check(&o200k, "a\n  a", TextStart::Fragment, "a|Ċ|Ġ|Ġa");
}

#[test]
fn bytes_without_a_token_are_left_out() {
    let mut small = Small::bpe(&[]);
    small.tokens[7] = "unused";
    check(&small.tokenizer("gpt2", "gpt-2"), "a\u{7}b", TextStart::Fragment, "a|b");
}

#[test]
fn special_tokens_are_never_read_out_of_text() {
    let mut small = Small::bpe(&[]);
    let end = small.add("<|end|>", 0.0, 3);
    let tokenizer = small.tokenizer("gpt2", "gpt-2");
    let ids = tokenizer.encode("x<|end|>", TextStart::Fragment);
    assert!(!ids.contains(&end), "{ids:?}");
    assert_eq!(ids.iter().flat_map(|id| tokenizer.bytes(*id)).copied().collect::<Vec<_>>(), b"x<|end|>");
    assert_eq!(tokenizer.special("<|end|>"), Some(end));
    assert_eq!(tokenizer.bytes(end), b"");
    assert_eq!(tokenizer.stop_ids(), [end]);
}

#[test]
fn unused_and_special_tokens_are_forbidden_unless_they_stop() {
    let mut small = Small::spm(&["▁", "a"]);
    let stop = small.add("<|end|>", 0.0, 3);
    let role = small.add("<|user|>", 0.0, 3);
    let pad = small.add("a a", 0.0, 5);
    let tokenizer = small.tokenizer("llama", "default");
    assert_eq!(tokenizer.stop_ids(), [stop]);
    assert_eq!(tokenizer.forbidden_ids(), [0, role, pad]);
}

#[test]
fn healing_ids_begin_with_the_required_bytes_or_are_a_beginning_of_them() {
    let small = Small::spm(&["▁", "r", "e", "t", "re", "ret", "▁re", "return", "x"]);
    let tokenizer = small.tokenizer("llama", "default");
    let check = |required: &str, expected: &str| {
        let ids = tokenizer.healing_ids(required.as_bytes());
        assert!(ids.is_sorted());
        assert_eq!(pieces(&tokenizer, &ids), expected, "{required:?}");
    };
    check("re", "<0x72>|r|re|ret|return");
    check("ret", "<0x72>|r|re|ret|return");
    check("returned", "<0x72>|r|re|ret|return");
    check(" r", "<0x20>|▁|▁re");
    check("\n", "<0x0A>");
}

#[test]
fn naming_ids_write_what_is_required_and_go_on_with_a_known_name() {
    let small =
        Small::spm(&["▁", ".", "a", "r", "e", "x", "are", "area", ".a", ".ar", ".x", "ar", "(", "area(", "a(", "re"]);
    let tokenizer = small.tokenizer("llama", "default");
    let name = FirstName::of(KnownNames::new(["area", "arc"], "").expect("two"));
    let check = |required: &str, name: &FirstName, expected: &str| {
        let ids = tokenizer.naming_ids(required.as_bytes(), name);
        assert!(ids.is_sorted());
        let letters = |id: &u32| !tokenizer.piece(*id).starts_with("<0x");
        let ids: Vec<u32> = ids.into_iter().filter(letters).collect();
        assert_eq!(pieces(&tokenizer, &ids), expected, "{required:?}");
    };
    check(".", &name, ".|.a|.ar");
    // Text that begins with no name is free.
    check("", &name, "▁|.|a|are|area|.a|.ar|.x|ar|(|area(");
    let mut begun = name.clone();
    begun.advance(b"ar");
    check("", &begun, "e");
    begun.advance(b"ea");
    check("", &begun, "▁|.|.a|.ar|.x|(");
}

/// `text` healed at its end: what is kept, what is dropped.
fn check_healing(tokenizer: &Tokenizer, text: &str, kept: &str, required: &str) {
    let tokens = tokenizer.encode(text, TextStart::Exact);
    let (keep, healing) = Healing::at(tokenizer, &tokens, 0);
    assert_eq!(pieces(tokenizer, &tokens[..keep]), kept, "{text:?}");
    assert_eq!(String::from_utf8_lossy(healing.required()), required, "{text:?}");
}

#[test]
fn healing_drops_what_a_longer_token_could_span() {
    let small = Small::spm(&["▁", "f", "o", "b", "a", "r", ".", "▁f", "fo", "foo", "▁foo", ".b", ".ba", "ba", "bar"]);
    let tokenizer = small.tokenizer("llama", "default");
    check_healing(&tokenizer, " fo", "", " fo");
    check_healing(&tokenizer, "a f", "a", " f");
    check_healing(&tokenizer, "a ", "a", " ");
    check_healing(&tokenizer, "foo.b", "foo", ".b");
    check_healing(&tokenizer, "foo.\n", "foo|.|<0x0A>", "");
    let (keep, healing) = Healing::at(&tokenizer, &tokenizer.encode("f", TextStart::Exact), 1);
    assert_eq!((keep, healing.allowed(&tokenizer)), (1, None));
}

#[test]
fn healing_backs_over_a_line_break_only_where_indentation_joins_it() {
    let plain = Small::bpe(&["Ġ Ġ"]).tokenizer("gpt2", "gpt-4o");
    check_healing(&plain, "a\n", "a|Ċ", "");
    check_healing(&plain, "a\n  ", "a|Ċ", "  ");
    let joining = Small::bpe(&["Ċ Ġ"]).tokenizer("gpt2", "smollm");
    check_healing(&joining, "a\n", "a", "\n");
}

#[test]
fn healing_advances_token_by_token_until_new_text_begins() {
    let small = Small::spm(&["▁", "f", "o", "▁f", "fo", "foo", "▁foo"]);
    let tokenizer = small.tokenizer("llama", "default");
    let (_, mut healing) = Healing::at(&tokenizer, &tokenizer.encode(" fo", TextStart::Exact), 0);
    assert_eq!(healing.advance(b" "), 0);
    assert_eq!(pieces(&tokenizer, &healing.allowed(&tokenizer).expect("two bytes are left")), "<0x66>|f|fo|foo");
    assert_eq!(healing.advance(b"foo"), 1);
    assert_eq!(healing.allowed(&tokenizer), None);
    assert_eq!(healing.advance(b"bar"), 3);
}

#[test]
fn unknown_tokenizers_are_refused_by_name() {
    let small = Small::bpe(&[]);
    let message = |model, pre| Tokenizer::from_data(small.data(model, pre)).err().map(|error| error.to_string());
    let unknown_pre = message("gpt2", "viking").expect("an error");
    assert!(unknown_pre.contains("viking") && unknown_pre.contains("gpt-4o"), "{unknown_pre}");
    assert!(message("bert", "default").expect("an error").contains("bert"));
}

#[test]
fn contradictory_vocabularies_are_refused() {
    let refused = |change: &dyn Fn(&mut Small), model, expected: &str| {
        let mut small = if model == "llama" { Small::spm(&["a"]) } else { Small::bpe(&["a b"]) };
        change(&mut small);
        let error = Tokenizer::from_data(small.data(model, "gpt-2")).err().expect("an error").to_string();
        assert!(error.contains(expected), "{error}");
    };
    refused(&|small| small.tokens.clear(), "gpt2", "found 0 tokens");
    refused(&|small| small.types.truncate(3), "gpt2", "token_type");
    refused(&|small| small.types[5] = 9, "gpt2", "found 9");
    refused(&|small| small.scores.truncate(3), "llama", "scores");
    refused(&|small| small.types[5] = 1, "llama", "found 255");
    refused(&|small| small.types[5] = 5, "llama", "found 255");
    refused(&|small| small.tokens[5] = small.tokens[4], "llama", "found 255");
    refused(&|small| small.tokens[5] = "x".repeat(2000).leak(), "llama", "found 2000");
    refused(&|small| small.merges[0] = "ab", "gpt2", "two pieces");
    refused(&|small| small.merges[0] = "a bbbbbbbb", "gpt2", "two pieces");
    refused(&|small| small.merges[0] = "a zz", "gpt2", "merges");
}

#[test]
fn stream_decoder_holds_back_unfinished_characters() {
    let check = |chunks: &[&[u8]], expected: &[&str]| {
        let mut decoder = StreamDecoder::default();
        let mut texts: Vec<String> = chunks.iter().map(|bytes| decoder.push(bytes)).collect();
        texts.push(decoder.finish());
        assert_eq!(texts, expected);
    };
    check(&[b"ab", b"c"], &["ab", "c", ""]);
    check(&[b"a\xE2", b"\x82", b"\xACb"], &["a", "", "€b", ""]);
    check(&[b"\xF0\x9F", b"x"], &["", "\u{FFFD}x", ""]);
    check(&[b"\x80a"], &["\u{FFFD}a", ""]);
    check(&[b"a\xE2\x82"], &["a", "\u{FFFD}"]);
}

#[test]
fn stream_decoder_agrees_with_decoding_everything_at_once() {
    // A fixed linear congruential sequence: bytes that are often, but not always, parts of characters.
    let mut state = 1u64;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let parts: [&[u8]; 8] =
        ["a".as_bytes(), "é".as_bytes(), "€".as_bytes(), "🦀".as_bytes(), b"\xE2", b"\x82", b"\xF0\x9F", b"\xFF"];
    for _ in 0..2_000 {
        let bytes: Vec<u8> = (0..next(9)).flat_map(|_| parts[next(parts.len())].iter().copied()).collect();
        let (mut decoder, mut text, mut rest) = (StreamDecoder::default(), String::new(), bytes.as_slice());
        while !rest.is_empty() {
            let (chunk, tail) = rest.split_at(1 + next(rest.len()));
            text += &decoder.push(chunk);
            rest = tail;
        }
        text += &decoder.finish();
        assert_eq!(text, String::from_utf8_lossy(&bytes), "{bytes:?}");
    }
}

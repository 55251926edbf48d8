//! Which instruction sets the processor at hand has.

/// The kernels to use, each faster than the ones before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// Plain Rust: any processor, and what the tests compare with.
    Portable,
    /// AVX2 with FMA and F16C.
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

impl Level {
    pub(super) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c") {
            return Self::Avx2;
        }
        Self::Portable
    }

    #[cfg(target_arch = "x86_64")]
    pub(super) fn has_avx2(self) -> bool {
        self >= Self::Avx2
    }
}

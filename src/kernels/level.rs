//! Which kernels run: the fastest that this processor supports, or slower ones on request.

#[cfg(target_arch = "aarch64")]
use std::arch::is_aarch64_feature_detected;
use std::fmt;
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
    /// AVX2 and the 8-bit dot products of AVX-VNNI: Intel's processors from Alder Lake on, AMD's from Zen 5 on.
    #[cfg(target_arch = "x86_64")]
    AvxVnni,
    /// AVX2, and AVX-512 with byte and word operations and VNNI.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// NEON with the dot product instructions: Apple's processors, and Arm's from Cortex-A76 and Neoverse N1 on.
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// NEON and the 8-bit matrix instructions: from Apple M2, Cortex-A710, Neoverse V1 and Neoverse N2 on.
    #[cfg(target_arch = "aarch64")]
    I8mm,
}

/// The levels of this architecture, slowest first, as the command line names them.
const NAMES: &[(&str, Level)] = &[
    ("portable", Level::Portable),
    #[cfg(target_arch = "x86_64")]
    ("avx2", Level::Avx2),
    #[cfg(target_arch = "x86_64")]
    ("avx-vnni", Level::AvxVnni),
    #[cfg(target_arch = "x86_64")]
    ("avx512", Level::Avx512),
    #[cfg(target_arch = "aarch64")]
    ("neon", Level::Neon),
    #[cfg(target_arch = "aarch64")]
    ("i8mm", Level::I8mm),
];

/// The level that [`Level::use_at_most`] has set.
static LIMIT: OnceLock<Level> = OnceLock::new();

impl Level {
    /// The level at which every kernel of this process runs.
    pub fn in_use() -> Self {
        LIMIT.get().copied().unwrap_or_else(Self::detect)
    }

    /// Limits this process to slower kernels than the processor supports, to compare them or to find out whether the
    /// fast ones are at fault. Must be called before anything is computed.
    ///
    /// # Errors
    /// If the processor does not support the level, or another level is already in use.
    pub fn use_at_most(self) -> Result<(), String> {
        if !self.is_supported() {
            let most = Self::detect();
            return Err(format!("expected kernels that this processor can run, at most {most:?}, found {self:?}"));
        }
        LIMIT.set(self).map_err(|_| format!("the kernels are already chosen: {:?}", Self::in_use()))
    }

    /// The levels of this architecture as [`FromStr`] takes them, slowest first.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, _)| *name)
    }

    /// The fastest level that the processor supports.
    pub(super) fn detect() -> Self {
        static DETECTED: OnceLock<Level> = OnceLock::new();
        *DETECTED.get_or_init(|| Self::supported().last().unwrap_or(Self::Portable))
    }

    /// The levels that this processor supports, slowest first.
    pub(super) fn supported() -> impl Iterator<Item = Self> {
        NAMES.iter().map(|(_, level)| *level).filter(|level| level.is_supported())
    }

    fn is_supported(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => {
                is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c")
            }
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => Self::Avx2.is_supported() && is_x86_feature_detected!("avxvnni"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                Self::Avx2.is_supported()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512vnni")
            }
            #[cfg(target_arch = "aarch64")]
            Self::Neon => is_aarch64_feature_detected!("dotprod"),
            #[cfg(target_arch = "aarch64")]
            Self::I8mm => Self::Neon.is_supported() && is_aarch64_feature_detected!("i8mm"),
        }
    }

    #[cfg(target_arch = "x86_64")]
    pub(super) fn has_avx2(self) -> bool {
        self >= Self::Avx2
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(_, level)| level == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

/// The name that its maker gave to the processor, or else what distinguishes it from others.
pub fn processor_name() -> String {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::__cpuid;
        const FIRST: u32 = 0x8000_0002;
        if __cpuid(0x8000_0000).eax >= FIRST + 2 {
            let parts = (FIRST..FIRST + 3).map(__cpuid);
            let bytes: Vec<u8> =
                parts.flat_map(|part| [part.eax, part.ebx, part.ecx, part.edx]).flat_map(u32::to_le_bytes).collect();
            // Family, model and stepping, because several designs share one name.
            let signature = __cpuid(1).eax;
            return format!("{} ({signature:x})", String::from_utf8_lossy(&bytes).trim_matches(['\0', ' ']));
        }
    }
    let information = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let is_name = |line: &&str| line.starts_with("CPU part") || line.starts_with("model name");
    information.lines().find(is_name).unwrap_or(std::env::consts::ARCH).to_owned()
}

impl FromStr for Level {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, level)| *level).ok_or_else(|| {
            let names: Vec<&str> = Self::names().collect();
            format!("expected one of {}", names.join(", "))
        })
    }
}

//! The machine this runs on: memory, cores, instruction sets. Settings that are 0 take their values from here.

use std::collections::BTreeSet;
use std::path::Path;

use super::Settings;

const GIB: u64 = 1 << 30;

/// The properties of a machine that matter for running models.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Machine {
    /// Bytes, or the container's limit if that is less; `None` if it is not known.
    pub total_memory: Option<u64>,
    /// Bytes that are free or can be made free.
    pub available_memory: Option<u64>,
    /// Cores this process may use; two threads of one core count once.
    pub cores: usize,
    /// Threads that run at the same time.
    pub hardware_threads: usize,
    /// Those that the kernels know, best last.
    pub instruction_sets: Vec<&'static str>,
}

impl Machine {
    /// Whether other programs have used a quarter of the machine during the last minute, as far as it is known.
    pub fn is_busy() -> bool {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let load = read("/proc/loadavg").split(' ').next().and_then(|load| load.parse::<f64>().ok());
        load.is_some_and(|load| load >= (threads as f64 / 4.0).max(0.5))
    }

    /// Looks at this machine.
    pub fn read() -> Self {
        let hardware_threads = std::thread::available_parallelism().map_or(1, usize::from);
        let (total_memory, available_memory) = memory();
        Self {
            total_memory,
            available_memory,
            cores: physical_cores().unwrap_or(hardware_threads).clamp(1, hardware_threads),
            hardware_threads,
            instruction_sets: instruction_sets(),
        }
    }
}

impl Settings {
    /// Number of threads to compute with: the setting, or else one per core. (A second thread of a core adds nothing:
    /// the first keeps its arithmetic units busy.)
    pub fn thread_count(&self, machine: &Machine) -> usize {
        match self.threads {
            0 => machine.cores.max(1),
            threads => threads,
        }
    }

    /// Bytes for models and caches: the setting, or else three quarters of the memory, but all except 2 GiB at most.
    /// `None` if the memory is not known.
    pub fn memory_budget(&self, machine: &Machine) -> Option<u64> {
        match (self.memory_budget_mib, machine.total_memory) {
            (0, total) => total.map(|total| (total / 4 * 3).min(total.saturating_sub(2 * GIB))),
            (mib, _) => Some(mib << 20),
        }
    }
}

/// Total and available memory in bytes.
fn memory() -> (Option<u64>, Option<u64>) {
    let text = read("/proc/meminfo");
    let total = meminfo(&text, "MemTotal").or_else(mac_memory);
    let available = meminfo(&text, "MemAvailable");
    let Some((limit, used)) = cgroup_memory() else { return (total, available) };
    let within = |bytes: Option<u64>, limit: u64| Some(bytes.map_or(limit, |bytes| bytes.min(limit)));
    (within(total, limit), within(available, limit.saturating_sub(used)))
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// A line of `/proc/meminfo`, in bytes.
fn meminfo(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let kib: u64 = value.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib << 10)
}

/// Limit and use of the container this runs in, if it has a limit. File pages that the kernel would drop are not used.
fn cgroup_memory() -> Option<(u64, u64)> {
    let number = |path: &str| read(path).trim().parse::<u64>().ok();
    let limit = number("/sys/fs/cgroup/memory.max")?;
    let used = number("/sys/fs/cgroup/memory.current")?;
    let statistics = read("/sys/fs/cgroup/memory.stat");
    let droppable = statistics.lines().find_map(|line| line.strip_prefix("inactive_file ")?.parse::<u64>().ok());
    Some((limit, used.saturating_sub(droppable.unwrap_or(0))))
}

/// macOS says it through a command only.
fn mac_memory() -> Option<u64> {
    if !cfg!(target_os = "macos") {
        return None;
    }
    let output = std::process::Command::new("/usr/sbin/sysctl").args(["-n", "hw.memsize"]).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

/// Cores as Linux lists them: distinct sets of sibling threads.
fn physical_cores() -> Option<usize> {
    let processors = std::fs::read_dir("/sys/devices/system/cpu").ok()?;
    let siblings = processors
        .flatten()
        .filter_map(|processor| std::fs::read_to_string(processor.path().join("topology/thread_siblings_list")).ok());
    let cores = siblings.collect::<BTreeSet<_>>().len();
    (cores > 0).then_some(cores)
}

#[cfg(target_arch = "x86_64")]
fn instruction_sets() -> Vec<&'static str> {
    let all = [
        ("f16c", is_x86_feature_detected!("f16c")),
        ("fma", is_x86_feature_detected!("fma")),
        ("avx2", is_x86_feature_detected!("avx2")),
        ("avxvnni", is_x86_feature_detected!("avxvnni")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx512bw", is_x86_feature_detected!("avx512bw")),
        ("avx512vnni", is_x86_feature_detected!("avx512vnni")),
    ];
    all.into_iter().filter_map(|(name, has)| has.then_some(name)).collect()
}

#[cfg(target_arch = "aarch64")]
fn instruction_sets() -> Vec<&'static str> {
    use std::arch::is_aarch64_feature_detected;
    let all = [
        ("neon", is_aarch64_feature_detected!("neon")),
        ("fp16", is_aarch64_feature_detected!("fp16")),
        ("dotprod", is_aarch64_feature_detected!("dotprod")),
        ("i8mm", is_aarch64_feature_detected!("i8mm")),
    ];
    all.into_iter().filter_map(|(name, has)| has.then_some(name)).collect()
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn instruction_sets() -> Vec<&'static str> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_lines_are_kibibytes() {
        let text = "MemTotal:       24683656 kB\nMemFree:         1 kB\nMemAvailable:   100 kB\n";
        assert_eq!(meminfo(text, "MemTotal"), Some(24_683_656 * 1024));
        assert_eq!(meminfo(text, "MemAvailable"), Some(102_400));
        assert_eq!(meminfo(text, "Mem"), None);
    }

    #[test]
    fn zero_means_from_the_machine() {
        let machine = Machine { total_memory: Some(16 * GIB), cores: 6, hardware_threads: 12, ..Machine::default() };
        let mut settings = Settings::default();
        assert_eq!(settings.thread_count(&machine), 6);
        assert_eq!(settings.memory_budget(&machine), Some(12 * GIB));
        let small = Machine { total_memory: Some(4 * GIB), ..Machine::default() };
        assert_eq!(settings.memory_budget(&small), Some(2 * GIB));
        assert_eq!(settings.memory_budget(&Machine::default()), None);
        settings.threads = 3;
        settings.memory_budget_mib = 1024;
        assert_eq!(settings.thread_count(&machine), 3);
        assert_eq!(settings.memory_budget(&machine), Some(GIB));
    }

    #[test]
    fn this_machine_has_a_core() {
        let machine = Machine::read();
        assert!(machine.cores >= 1 && machine.cores <= machine.hardware_threads);
        assert!(machine.available_memory <= machine.total_memory);
    }
}

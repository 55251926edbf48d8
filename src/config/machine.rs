//! The machine this runs on: memory, cores, instruction sets. Settings that are 0 take their values from here.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

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

    /// Whether it runs on its battery, by what the system says in `folder`.
    pub fn is_on_battery(folder: &Path) -> bool {
        let supplies = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let says = |supply: &Path, name: &str| read(supply.join(name)).trim().to_owned();
        let is_drained = |supply: PathBuf| {
            // That of a mouse says nothing.
            let is_own = says(&supply, "type") == "Battery" && says(&supply, "scope") != "Device";
            is_own && says(&supply, "status") == "Discharging"
        };
        supplies.map(|supply| supply.path()).any(is_drained)
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

/// Where Linux says what the machine is powered by.
pub const POWER_SUPPLIES: &str = "/sys/class/power_supply";

/// What other programs do is looked at again after this long: the system counts in hundredths of a second.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// What this process has had of the processors so far.
#[cfg(unix)]
pub fn processor_time() -> Option<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Some(Duration::new(u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?))
}

/// The standard library does not say it.
#[cfg(not(unix))]
pub fn processor_time() -> Option<Duration> {
    None
}

/// How much of the processors other programs leave.
pub struct OtherPrograms {
    proc: PathBuf,
    last: Option<(Instant, Ticks)>,
    spare: Option<f64>,
}

/// A machine of whose processors no more is idle is full.
const FULL: f64 = 0.05;

/// What the system has counted since it was started, in its own unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Ticks {
    processors: u64,
    /// Of all processors together.
    all: u64,
    idle: u64,
    /// This process was at work.
    own: u64,
}

impl Default for OtherPrograms {
    fn default() -> Self {
        Self { proc: "/proc".into(), last: None, spare: None }
    }
}

impl OtherPrograms {
    /// How many processors nobody but this process has wanted since the last look; `None` where the system does not tell, and at
    /// the first look.
    pub fn spare_processors(&mut self) -> Option<f64> {
        if self.last.is_some_and(|(at, _)| at.elapsed() < LOOK_AGAIN) {
            return self.spare;
        }
        let now = Ticks::read(&self.proc)?;
        self.spare = self.last.and_then(|(_, before)| now.spare_since(before));
        self.last = Some((Instant::now(), now));
        self.spare
    }
}

impl Ticks {
    fn read(proc: &Path) -> Option<Self> {
        let (all, own) = (read(proc.join("stat")), read(proc.join("self/stat")));
        let numbers =
            |line: &str| line.split_whitespace().filter_map(|number| number.parse().ok()).collect::<Vec<u64>>();
        // user nice system idle iowait irq softirq steal; guests are among the first two.
        let total = numbers(all.lines().next()?.strip_prefix("cpu ")?);
        // Behind the name, which may hold anything: 12th and 13th are utime and stime.
        let own = numbers(own.rsplit_once(')')?.1.trim_start().get(1..)?);
        Some(Self {
            processors: all.lines().filter(|line| line.starts_with("cpu")).count().saturating_sub(1) as u64,
            all: total.iter().take(8).sum(),
            idle: total.get(3)? + total.get(4)?,
            own: own.get(10)? + own.get(11)?,
        })
    }

    fn spare_since(self, before: Self) -> Option<f64> {
        let all = self.all.checked_sub(before.all).filter(|all| *all > 0)? as f64;
        let processors = self.processors as f64;
        let [idle, own] = [self.idle.saturating_sub(before.idle), self.own.saturating_sub(before.own)]
            .map(|ticks| ticks as f64 / all * processors);
        let others = (processors - idle - own).max(0.0);
        // Where nothing is idle, others may want more than they have: as many threads as have what they have beside this
        // process's, of which there is one on each processor.
        let is_full = idle < processors * FULL && others > 0.0;
        let wanted = if is_full { others * processors / own.max(f64::MIN_POSITIVE) } else { others };
        Some((processors - wanted).max(0.0))
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
    fn what_others_leave_is_what_is_idle_and_what_this_process_takes_itself() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("self")).unwrap();
        let ticks = |busy: u64, idle: u64, own: u64| {
            let stat = format!("cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\ncpu0 1 0\ncpu1 1 0\nintr 5\n");
            std::fs::write(folder.path().join("stat"), stat).unwrap();
            let own = format!("77 (a) b) S 1 2 3 4 5 6 7 8 9 10 {own} 1 0 0 20");
            std::fs::write(folder.path().join("self/stat"), own).unwrap();
            Ticks::read(folder.path()).unwrap()
        };
        let before = ticks(1000, 500, 100);
        assert_eq!(before, Ticks { processors: 2, all: 1500, idle: 500, own: 101 });
        assert_eq!(ticks(1100, 600, 100).spare_since(before), Some(1.0));
        assert_eq!(ticks(1200, 500, 300).spare_since(before), Some(2.0));
        assert_eq!(ticks(1200, 500, 100).spare_since(before), Some(0.0));
        // As many threads of another program as of this one, and half as many.
        assert_eq!(ticks(1200, 500, 200).spare_since(before), Some(0.0));
        let beside_one = ticks(1300, 500, 300).spare_since(before).unwrap();
        assert!((0.9..1.1).contains(&beside_one), "{beside_one}");
        assert_eq!(before.spare_since(before), None);
        std::fs::remove_file(folder.path().join("stat")).unwrap();
        assert_eq!(Ticks::read(folder.path()), None);
    }

    #[test]
    fn a_machine_is_on_battery_while_its_own_is_drained() {
        let check = |expected: bool, supplies: &[(&str, &str)]| {
            let folder = tempfile::tempdir().unwrap();
            for (number, (kind, status)) in supplies.iter().enumerate() {
                let supply = folder.path().join(number.to_string());
                std::fs::create_dir(&supply).unwrap();
                let (kind, scope) = kind.split_once(' ').unwrap_or((kind, "System"));
                for (name, text) in [("type", kind), ("scope", scope), ("status", status)] {
                    std::fs::write(supply.join(name), format!("{text}\n")).unwrap();
                }
            }
            assert_eq!(Machine::is_on_battery(folder.path()), expected, "{supplies:?}");
        };
        check(false, &[]);
        check(true, &[("Mains", ""), ("Battery", "Discharging")]);
        check(false, &[("Mains", ""), ("Battery", "Charging")]);
        check(false, &[("Battery Device", "Discharging")]);
        assert!(!Machine::is_on_battery(Path::new("/nowhere")));
    }

    #[test]
    fn this_machine_has_a_core() {
        let machine = Machine::read();
        assert!(machine.cores >= 1 && machine.cores <= machine.hardware_threads);
        assert!(machine.available_memory <= machine.total_memory);
    }
}

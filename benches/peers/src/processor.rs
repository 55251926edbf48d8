//! The processor that the numbers are from.

/// The processor as the system describes it. Virtual machines often name only the maker, so the description includes
/// family and model, which identify the generation.
pub fn name() -> String {
    let linux = std::fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| describe(&text));
    linux.unwrap_or_else(|| format!("a processor for {} that the system does not name", std::env::consts::ARCH))
}

/// The description of the first processor in Linux's `/proc/cpuinfo`.
fn describe(cpuinfo: &str) -> Option<String> {
    let field = |name: &str| {
        let fields = cpuinfo.lines().filter_map(|line| line.split_once(':'));
        fields.map(|(key, value)| (key.trim(), value.trim())).find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let threads = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    let generation = match (field("cpu family"), field("model")) {
        (Some(family), Some(model)) => format!(" (family {family}, model {model})"),
        _ => String::new(),
    };
    Some(format!("{}{generation}, {threads} hardware threads", field("model name")?))
}

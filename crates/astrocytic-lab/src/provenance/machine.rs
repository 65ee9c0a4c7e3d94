//! What machine and what commit a result comes from.

/// Processor, cores, memory and system in one line.
pub fn describe() -> String {
    let read = |path: &str, key: &str| {
        let text = std::fs::read_to_string(path).ok()?;
        let line = text.lines().find(|line| line.starts_with(key))?;
        Some(line.split_once(':')?.1.trim().to_string())
    };
    let processor = read("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.into());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let avx512 = read("/proc/cpuinfo", "flags").is_some_and(|flags| flags.contains("avx512f"));
    let memory = read("/proc/meminfo", "MemTotal")
        .and_then(|text| text.split(' ').next()?.parse::<u64>().ok())
        .map_or(String::new(), |kib| format!(", {} GiB", (kib + (1 << 19)) >> 20));
    let simd = if avx512 { ", AVX-512" } else { "" };
    format!("{processor}{simd}, {cores} cores{memory}, {}", std::env::consts::OS)
}

/// The commit that this program was built from, "-dirty" where it had changes, or "unknown".
pub fn commit() -> &'static str {
    env!("ASTROCYTIC_COMMIT")
}

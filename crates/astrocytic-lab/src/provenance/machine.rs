//! What machine and what commit a result comes from.

use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

/// Processor, cores, memory and system in one line.
pub fn describe() -> String {
    let what =
        RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing()).with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(what);
    let brand = system.cpus().first().map_or("", |cpu| cpu.brand().trim());
    let processor = if brand.is_empty() { std::env::consts::ARCH } else { brand };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = match system.total_memory() {
        0 => String::new(),
        bytes => format!(", {} GiB", (bytes + (1 << 29)) >> 30),
    };
    let simd = if has_avx512() { ", AVX-512" } else { "" };
    format!("{processor}{simd}, {cores} cores{memory}, {}", std::env::consts::OS)
}

#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    std::is_x86_feature_detected!("avx512f")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_avx512() -> bool {
    false
}

/// The commit that this program was built from, "-dirty" where it had changes, or "unknown".
pub fn commit() -> &'static str {
    env!("ASTROCYTIC_COMMIT")
}

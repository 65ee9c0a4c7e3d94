//! Joules by the machine's own counters: processor and memory through the kernel's powercap
//! interface (RAPL, on Intel and AMD), an NVIDIA device through NVML. They count the whole machine,
//! whatever else runs on it.

use std::path::{Path, PathBuf};

/// Where Linux shows the counters; the files are often for root alone.
const POWERCAP: &str = "/sys/class/powercap";

/// Counts joules from when it was made.
pub(crate) struct Meter {
    zones: Vec<Zone>,
    #[cfg(feature = "wgpu")]
    gpu: Option<gpu::Gpu>,
}

/// A counter in microjoules that begins anew at its range.
struct Zone {
    path: PathBuf,
    range: u64,
    last: u64,
    joules: f64,
}

impl Meter {
    /// A meter of the processor and, with a device of wgpu, of the graphics processors; `None`
    /// where no counter that is needed can be read.
    pub(crate) fn new(device: &str) -> Option<Self> {
        let zones = zones(Path::new(POWERCAP));
        let graphics = device.starts_with("wgpu");
        #[cfg(feature = "wgpu")]
        let gpu = graphics.then(gpu::Gpu::new).flatten();
        #[cfg(feature = "wgpu")]
        let counted = !zones.is_empty() && (!graphics || gpu.is_some());
        #[cfg(not(feature = "wgpu"))]
        let counted = !zones.is_empty() && !graphics;
        counted.then_some(Self {
            zones,
            #[cfg(feature = "wgpu")]
            gpu,
        })
    }

    /// Joules since it was made; to be asked at least once a minute, before a counter can come
    /// round twice. `None` where one can no longer be read.
    pub(crate) fn joules(&mut self) -> Option<f64> {
        let zones: Option<f64> = self.zones.iter_mut().map(Zone::joules).sum();
        #[cfg(feature = "wgpu")]
        let zones = zones.and_then(|joules| Some(joules + self.gpu.as_ref().map_or(Some(0.0), gpu::Gpu::joules)?));
        zones
    }
}

/// Processor packages, and memory where it has a counter of its own (it is in no package's).
fn zones(folder: &Path) -> Vec<Zone> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut zones: Vec<Zone> = entries
        .filter_map(|entry| {
            let path = entry.path();
            let name = std::fs::read_to_string(path.join("name")).ok()?;
            let counted = name.starts_with("package") || name.trim() == "dram";
            let rapl = entry.file_name().to_string_lossy().starts_with("intel-rapl:");
            let range = number(&path.join("max_energy_range_uj"))?;
            let last = number(&path.join("energy_uj"))?;
            (rapl && counted).then_some(Zone { path: path.join("energy_uj"), range, last, joules: 0.0 })
        })
        .collect();
    zones.sort_by(|a, b| a.path.cmp(&b.path));
    zones
}

impl Zone {
    fn joules(&mut self) -> Option<f64> {
        let now = number(&self.path)?;
        let microjoules = if now >= self.last { now - self.last } else { now + self.range - self.last };
        self.last = now;
        self.joules += microjoules as f64 * 1e-6;
        Some(self.joules)
    }
}

fn number(path: &Path) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(feature = "wgpu")]
mod gpu {
    use nvml_wrapper::Nvml;

    /// Every NVIDIA device: which of them wgpu chose it does not say.
    pub(super) struct Gpu {
        nvml: Nvml,
        begun: u64,
    }

    impl Gpu {
        pub(super) fn new() -> Option<Self> {
            let nvml = Nvml::init().ok()?;
            let begun = millijoules(&nvml)?;
            Some(Self { nvml, begun })
        }

        pub(super) fn joules(&self) -> Option<f64> {
            Some((millijoules(&self.nvml)? - self.begun) as f64 * 1e-3)
        }
    }

    fn millijoules(nvml: &Nvml) -> Option<u64> {
        let count = nvml.device_count().ok().filter(|&count| count > 0)?;
        (0..count).map(|index| nvml.device_by_index(index).and_then(|gpu| gpu.total_energy_consumption()).ok()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_and_memory_are_counted_through_a_wrap() {
        let folder = tempfile::tempdir().unwrap();
        let write = |zone: &str, file: &str, text: &str| {
            std::fs::create_dir_all(folder.path().join(zone)).unwrap();
            std::fs::write(folder.path().join(zone).join(file), format!("{text}\n")).unwrap();
        };
        for (zone, name) in [
            ("intel-rapl:0", "package-0"),
            ("intel-rapl:0:0", "core"),
            ("intel-rapl:0:1", "dram"),
            ("intel-rapl:1", "psys"),
            ("intel-rapl-mmio:0", "package-0"),
        ] {
            write(zone, "name", name);
            write(zone, "max_energy_range_uj", "10000000");
            write(zone, "energy_uj", "9000000");
        }
        let mut zones = zones(folder.path());
        assert_eq!(zones.len(), 2);
        write("intel-rapl:0", "energy_uj", "500000");
        write("intel-rapl:0:1", "energy_uj", "9250000");
        let mut joules = || zones.iter_mut().map(Zone::joules).sum::<Option<f64>>();
        assert!((joules().unwrap() - 1.75).abs() < 1e-9);
        write("intel-rapl:0", "energy_uj", "1500000");
        assert!((joules().unwrap() - 2.75).abs() < 1e-9);
        std::fs::remove_file(folder.path().join("intel-rapl:0/energy_uj")).unwrap();
        assert_eq!(joules(), None);
        assert!(super::zones(&folder.path().join("absent")).is_empty());
    }
}

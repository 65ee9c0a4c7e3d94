//! Peak memory of this process, where the system tells.

use std::fs;

/// Megabytes held now, as a mark for [`rise`].
pub(super) fn mark() -> Option<f64> {
    // Sets the peak back to what is held now (Linux, proc(5)).
    fs::write("/proc/self/clear_refs", "5").ok()?;
    field("VmRSS:")
}

/// How far the peak rose above the mark since, in megabytes.
pub(super) fn rise(mark: Option<f64>) -> Option<f64> {
    Some(field("VmHWM:")? - mark?)
}

fn field(name: &str) -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(name))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}

//! Peak memory of this process, where the system tells.

use std::fs;

/// Sets the peak back to what is held now, and says how many bytes that is.
pub(crate) fn mark() -> Option<u64> {
    // Linux, proc(5).
    fs::write("/proc/self/clear_refs", "5").ok()?;
    field("VmRSS:")
}

/// The most bytes that were held since the mark.
pub(crate) fn peak(mark: Option<u64>) -> Option<u64> {
    mark.and_then(|_| field("VmHWM:"))
}

/// How far the peak rose above the mark since, in megabytes.
pub(crate) fn rise(mark: Option<u64>) -> Option<f64> {
    Some((peak(mark)? as f64 - mark? as f64) / f64::from(1 << 20))
}

fn field(name: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(name))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn what_was_held_and_freed_is_in_the_peak() {
        let before = mark();
        let Some(held) = before else { return };
        drop(std::hint::black_box(vec![1_u8; 64 << 20]));
        assert!(peak(before).unwrap() >= held + (60 << 20) && rise(before).unwrap() > 60.0);
    }
}

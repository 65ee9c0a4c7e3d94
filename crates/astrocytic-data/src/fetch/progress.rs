//! What is told while something is fetched: events of `tracing`, for the program to show.

/// The target of the events.
const TARGET: &str = "astrocytic_data::fetch";

/// Something is being fetched. Dropped, it is told that it has ended.
pub(super) struct Progress<'a> {
    label: &'a str,
}

impl<'a> Progress<'a> {
    pub(super) fn begin(label: &'a str) -> Self {
        tracing::info!(target: TARGET, "{label}");
        Self { label }
    }

    /// So many bytes are there.
    pub(super) fn reached(&self, bytes: u64) {
        tracing::debug!(target: TARGET, bytes, "{}", self.label);
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        tracing::debug!(target: TARGET, ended = true, "{}", self.label);
    }
}

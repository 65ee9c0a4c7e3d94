//! What is told while something is fetched: events of `tracing`, for the program to show.

/// The target of the events: at `INFO` that something is being fetched; at `DEBUG` how many `bytes`
/// have come, and that it has `ended`.
pub const FETCH_EVENTS: &str = "astrocytic_data::fetch";

/// Something is being fetched. Dropped, it is told that it has ended.
pub(super) struct Progress<'a> {
    label: &'a str,
}

impl<'a> Progress<'a> {
    pub(super) fn begin(label: &'a str) -> Self {
        tracing::info!(target: FETCH_EVENTS, "{label}");
        Self { label }
    }

    /// So many bytes are there.
    pub(super) fn reached(&self, bytes: u64) {
        tracing::debug!(target: FETCH_EVENTS, bytes, "{}", self.label);
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        tracing::debug!(target: FETCH_EVENTS, ended = true, "{}", self.label);
    }
}

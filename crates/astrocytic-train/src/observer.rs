//! What long work tells whoever waits for it. Libraries print nothing: a program shows this as it
//! likes.

/// Told what long work has to say. Every method ignores it unless implemented, so that `&()` is a
/// silent observer.
pub trait Observer {
    /// A line of text: what is done now, or a result on the way.
    fn say(&self, _line: &str) {}

    /// A piece of work of `all` units begins.
    fn begin(&self, _unit: Unit, _all: u64) {}

    /// So many units of it were done before.
    fn skip(&self, _count: u64) {}

    /// So many more are done; the message says how it goes.
    fn advance(&self, _count: u64, _message: String) {}

    /// The piece of work is done.
    fn finish(&self) {}

    /// Something that was guessed, left out or repaired.
    fn note(&self, note: &str) {
        self.say(&format!("note: {note}"));
    }
}

/// What a piece of work is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Training runs.
    Runs,
    /// Optimizer steps.
    Steps,
    /// Rows of text.
    Rows,
}

/// The silent observer.
impl Observer for () {}

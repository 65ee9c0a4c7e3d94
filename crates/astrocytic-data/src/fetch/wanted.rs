//! What is fetched, for messages.

use crate::error::DataError;

/// A corpus or model that is wanted.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// Its name.
    pub name: &'a str,
    /// What else one can do.
    pub otherwise: &'a str,
}

impl Wanted<'_> {
    /// An error in fetching it.
    pub fn fault(&self, reason: impl Into<String>) -> DataError {
        DataError::fetch(self.name, reason)
    }
}

//! Where texts begin and end.

use burn::config::Config;

/// The tokens between texts, as a model was trained with them.
#[derive(Config, Debug, PartialEq, Eq)]
pub struct Boundaries {
    /// A text without a prompt is drawn from it.
    pub begin: Option<u32>,
    /// Each of them ends a text.
    #[config(default = "Vec::new()")]
    pub end: Vec<u32>,
    /// They stand before a prompt.
    #[config(default = "Vec::new()")]
    pub before: Vec<u32>,
}

impl Boundaries {
    /// Of a model whose texts follow one another with `token` between them.
    pub fn between(token: u32) -> Self {
        Self { begin: Some(token), end: vec![token], before: vec![token] }
    }

    /// The token that the first one of a text is predicted from.
    pub fn first(&self) -> Option<u32> {
        self.before.last().copied().or(self.begin)
    }
}

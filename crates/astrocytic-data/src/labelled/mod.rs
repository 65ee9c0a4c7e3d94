//! Labelled texts of the user's own, in the forms that people have them in. What a file does not tell is asked, not guessed.

mod columns;
mod file;
mod form;
mod labels;
mod lines;
mod objects;
mod path;
mod row;
mod shown;
#[cfg(test)]
mod tests;

pub(crate) use form::Form;

pub use file::{LabelledFile, read};
pub use labels::labels;
pub use path::LabelledPath;
pub use row::LabelledText;

//! What an error shows of a text, and asks for.

/// What an error asks for.
pub(super) const FORMS: &str =
    "write lines \"label text\", or name a table .csv or .tsv and in its first line the columns text and label";
/// Characters that are shown.
const SHOWN: usize = 60;

/// In quotes, its beginning where it is long.
pub(super) fn shown(text: &str) -> String {
    let beginning: String = text.chars().take(SHOWN).collect();
    let more = if beginning.len() < text.len() { "…" } else { "" };
    format!("{:?}", beginning + more)
}

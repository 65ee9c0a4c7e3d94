//! How a text is cut into documents.

use serde::{Deserialize, Serialize};

/// Stands between documents in a cached text; it occurs in none.
pub(super) const SEPARATOR: char = '\u{c}';

/// How a text is cut into documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Documents {
    /// A document a file.
    Files,
    /// A document begins at each line that begins so.
    Heading(String),
    /// Lines "Ge1:1 In the beginning…", a document a chapter; the references are taken off.
    Verses,
}

impl Documents {
    /// The documents of a text; blank ones are left out.
    pub(super) fn cut(&self, text: &str) -> Vec<String> {
        let text = text.replace("\r\n", "\n").replace(SEPARATOR, "\n");
        let mut documents: Vec<String> = Vec::new();
        match self {
            Self::Files => documents.push(text),
            Self::Heading(heading) => {
                for line in text.split_inclusive('\n') {
                    if documents.is_empty() || line.starts_with(heading) {
                        documents.push(String::new());
                    }
                    if let Some(last) = documents.last_mut() {
                        last.push_str(line);
                    }
                }
            }
            Self::Verses => {
                let mut chapter = None;
                for line in text.lines() {
                    let (reference, verse) = line.split_once(' ').unwrap_or(("", line));
                    let own = reference.split_once(':').map(|(chapter, _)| chapter.to_string());
                    if documents.is_empty() || own.is_some() && own != chapter {
                        documents.push(String::new());
                        chapter = own;
                    }
                    if let Some(last) = documents.last_mut() {
                        last.push_str(verse);
                        last.push('\n');
                    }
                }
            }
        }
        documents.retain(|document| !document.trim().is_empty());
        documents
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verses_lose_their_references() {
        let text = "Ge1:1 In the beginning\nGe1:2 And the earth\nGe2:1 Thus the heavens\n";
        assert_eq!(Documents::Verses.cut(text), ["In the beginning\nAnd the earth\n", "Thus the heavens\n"]);
    }
}

//! Where labelled texts are.

use std::fmt;
use std::path::PathBuf;

/// Where labelled texts are, written PATH, or PATH:N by a user who says that they have N labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelledPath {
    /// A file or folder.
    pub path: PathBuf,
    /// How many labels there are, where the user says so.
    pub labels: Option<usize>,
}

impl From<&str> for LabelledPath {
    fn from(text: &str) -> Self {
        let told = text.rsplit_once(':').and_then(|(path, labels)| Some((path, labels.parse().ok()?)));
        let (path, labels) = told.filter(|(path, _)| !path.is_empty()).map_or((text, None), |(p, n)| (p, Some(n)));
        Self { path: path.into(), labels }
    }
}

impl fmt::Display for LabelledPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        self.labels.map_or(Ok(()), |labels| write!(f, ":{labels}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_may_say_how_many_labels_there_are() {
        for (written, path, labels) in [
            ("a.csv", "a.csv", None),
            ("a.csv:77", "a.csv", Some(77)),
            ("C:/a.csv", "C:/a.csv", None),
            ("C:/a:b.csv:3", "C:/a:b.csv", Some(3)),
            (":3", ":3", None),
            ("a:", "a:", None),
        ] {
            let found = LabelledPath::from(written);
            assert_eq!(found, LabelledPath { path: path.into(), labels });
            assert_eq!(found.to_string(), written);
        }
    }
}

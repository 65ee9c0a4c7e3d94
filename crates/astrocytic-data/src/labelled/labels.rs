//! Labels, and what is asked of those that look like something else.

use std::collections::BTreeMap;

use super::path::LabelledPath;
use super::row::LabelledText;
use super::shown::{FORMS, shown};
use crate::error::DataError;

/// More labels are asked about: mostly they are a column, or words, taken by mistake.
const MOST_LABELS: usize = 50;
/// Labels that an error shows.
const SHOWN: usize = 3;

/// The labels of texts, in the order of the alphabet.
///
/// # Errors
/// For fewer than two, and for labels that look like something else, unless the user has said how many there are.
pub fn labels<'a>(
    path: &LabelledPath,
    from: &str,
    texts: impl IntoIterator<Item = &'a LabelledText>,
) -> Result<Vec<&'a str>, DataError> {
    let mut counts = BTreeMap::<&str, usize>::new();
    for one in texts {
        *counts.entry(&one.label).or_default() += 1;
    }
    let (count, texts) = (counts.len(), counts.values().sum::<usize>());
    let once: Vec<&str> = counts.iter().filter(|(_, count)| **count == 1).map(|(label, _)| *label).collect();
    let labels: Vec<&str> = counts.into_keys().collect();
    let fault = |some: &[&str], then: String| {
        let some: Vec<String> = some.iter().take(SHOWN).map(|label| shown(label)).collect();
        let some = if some.is_empty() { String::new() } else { format!(" ({})", some.join(", ")) };
        let seen = if once.is_empty() { String::new() } else { format!(", {} seen only once", once.len()) };
        let plural = if count == 1 { "" } else { "s" };
        let reason = format!("{count} label{plural} in {texts} texts{seen}{some}, taken from {from}; {then}");
        Err(DataError::text(&path.path.display().to_string(), reason))
    };
    match path.labels {
        _ if count < 2 => fault(&labels, format!("at least 2 are needed; {FORMS}")),
        Some(told) if told == count => Ok(labels),
        Some(told) => fault(&labels, format!("\":{told}\" behind the path says that there are {told}")),
        None if count > MOST_LABELS || !once.is_empty() => fault(
            if once.is_empty() { &labels } else { &once },
            format!("if they are meant, write \":{count}\" behind the path; if not: {FORMS}"),
        ),
        None => Ok(labels),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_look_like_none_are_asked_about() {
        let texts = |labels: &[usize]| -> Vec<LabelledText> {
            let one = |label: &usize| LabelledText { label: format!("l{label:03}"), text: "t".into() };
            labels.iter().map(one).collect()
        };
        let twice = |count: usize| (0..2 * count).map(|i| i % count).collect::<Vec<_>>();
        let labels = |path: &str, texts: &[LabelledText]| {
            let found = labels(&path.into(), "each line's first word", texts).map(|labels| labels.len());
            found.map_err(|error| error.to_string())
        };
        for count in [2, 3, 6, MOST_LABELS] {
            assert_eq!(labels("a.csv", &texts(&twice(count))), Ok(count));
        }
        for (all, parts) in [
            (twice(MOST_LABELS + 1), ["51 labels in 102 texts", "\"l000\", \"l001\", \"l002\")", "\":51\""]),
            (twice(400), ["400 labels", "\"l000\"", "\":400\""]),
            ([twice(3), vec![7]].concat(), ["4 labels in 7 texts, 1 seen only once", "(\"l007\")", "\":4\""]),
            ((0..90).collect(), ["90 labels in 90 texts, 90 seen only once", "\"l002\")", "\":90\""]),
        ] {
            let error = labels("folder/a.txt", &texts(&all)).unwrap_err();
            assert!(error.starts_with("folder/a.txt: ") && error.contains("each line's first word"), "{error}");
            assert!(error.contains(".csv") && parts.iter().all(|part| error.contains(part)), "{error}");
            // The answer.
            let count = all.iter().collect::<std::collections::HashSet<_>>().len();
            assert_eq!(labels(&format!("folder/a.txt:{count}"), &texts(&all)), Ok(count));
            assert!(labels("folder/a.txt:49", &texts(&all)).unwrap_err().contains("there are 49"));
        }
        for (path, all, said) in
            [("a", vec![], "0 labels"), ("a", vec![1, 1], "1 label"), ("a:1", vec![1, 1], "at least 2")]
        {
            assert!(labels(path, &texts(&all)).unwrap_err().contains(said));
        }
    }
}

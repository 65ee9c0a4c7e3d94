//! Tables with a column of texts and one of labels.

use super::row::{LabelledText, Rows};
use super::shown::shown;
use crate::table::{self, Row};
use crate::text;

/// What stands between columns, the commonest first.
const DELIMITERS: [char; 4] = [',', '\t', ';', '|'];

/// Where a table has what.
struct Columns {
    delimiter: char,
    /// Line of the titles.
    line: usize,
    /// How many columns there are.
    width: usize,
    text: usize,
    label: usize,
}

/// The rows, and how often the first line comes again: tables that were joined end to end bring it.
pub(super) fn rows(text: &str) -> (Rows, usize) {
    let mut headers = 0;
    let rows = match Columns::of(text) {
        Ok(Some(columns)) => columns.rows(text, &mut headers),
        Ok(None) => Ok(Vec::new()),
        Err(reason) => Err(reason),
    };
    (rows, headers)
}

impl Columns {
    /// The columns that the first line names; `None` where no line is there.
    fn of(text: &str) -> Result<Option<Self>, String> {
        let blank = |line: &str| line.chars().all(|c| c.is_whitespace() || c == '"' || DELIMITERS.contains(&c));
        // What tells Excel the delimiter is no row.
        let hint = |line: &str| line.trim().trim_matches('"').to_lowercase().starts_with("sep=");
        let (line, header) = text::lines(text).find(|(_, line)| !blank(line) && !hint(line)).unwrap_or_default();
        let found = DELIMITERS.into_iter().find_map(|delimiter| {
            let titles = table::rows(header, delimiter, true).ok()?.pop()?.fields;
            let columns = |wanted: &str| {
                let named = titles.iter().enumerate().filter(|(_, title)| title.eq_ignore_ascii_case(wanted));
                named.map(|(place, _)| place).collect::<Vec<_>>()
            };
            let (texts, labels) = (columns("text"), columns("label"));
            (!texts.is_empty() && !labels.is_empty()).then_some((delimiter, titles.len(), texts, labels))
        });
        match found {
            Some((delimiter, width, texts, labels)) => match (&texts[..], &labels[..]) {
                (&[text], &[label]) => Ok(Some(Self { delimiter, line, width, text, label })),
                _ => Err("its first line names two columns \"text\", or two \"label\"; rename one of them".into()),
            },
            None if header.is_empty() => Ok(None),
            None => Err(format!(
                "its first line must name a column \"text\" and a column \"label\", and is {}; rename two columns, or add \
                 a line such as \"text,label\"",
                shown(header)
            )),
        }
    }

    fn rows(&self, text: &str, headers: &mut usize) -> Rows {
        let rows = match table::rows(text, self.delimiter, true) {
            // Tables with tabs are mostly written without quotes, and then a quote is a character.
            Err(_) if self.delimiter == '\t' => table::rows(text, self.delimiter, false).unwrap_or_default(),
            Err(line) => {
                return Err(format!(
                    "line {line}: a field opens with a quote, and none closes it at its end; double the quotes that are \
                     inside it"
                ));
            }
            Ok(rows) => rows,
        };
        let mut found = Vec::new();
        for row in rows {
            if row.is_blank() {
                found.push(None);
            } else if row.line > self.line && self.is_header(&row) {
                *headers += 1;
            } else if row.line > self.line {
                found.push(Some(self.row(&row)?));
            }
        }
        Ok(found)
    }

    fn is_header(&self, row: &Row) -> bool {
        let is = |column: usize, title: &str| row.fields.get(column).is_some_and(|f| f.eq_ignore_ascii_case(title));
        is(self.text, "text") && is(self.label, "label")
    }

    fn row(&self, row: &Row) -> Result<LabelledText, String> {
        if row.fields.iter().skip(self.width).any(|field| !field.is_empty()) {
            return Err(format!(
                "line {} has {} fields, the first line {}; put quotes around a text with {:?} in it",
                row.line,
                row.fields.len(),
                self.width,
                self.delimiter
            ));
        }
        let field = |column: usize| row.fields.get(column).cloned().unwrap_or_default();
        LabelledText::whole(row.line, field(self.label), field(self.text))
    }
}

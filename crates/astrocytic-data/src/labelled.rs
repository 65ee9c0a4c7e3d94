//! Labelled texts of the user's own, in the forms that people have them in. What a file does not tell is asked, not guessed.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::error::DataError;
use crate::table;
use crate::text::{self, Text, read_text};

/// More labels are asked about: mostly they are a column, or words, taken by mistake.
const MOST_LABELS: usize = 50;
/// Labels, and characters of one, or of a first line, that an error shows.
const SHOWN: (usize, usize) = (3, 60);
/// What an error asks for.
const FORMS: &str =
    "write lines \"label text\", or name a table .csv or .tsv and in its first line the columns text and label";
/// What stands between columns, the commonest first.
const DELIMITERS: [char; 4] = [',', '\t', ';', '|'];

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

/// A text and its label; neither is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelledText {
    /// The label.
    pub label: String,
    /// The text.
    pub text: String,
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelledFile {
    /// In the file's order.
    pub texts: Vec<LabelledText>,
    /// What was taken for the labels.
    pub labels_from: &'static str,
    /// What its reader has to know about how it was read.
    pub notes: Vec<String>,
}

/// What a file's name says of its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Columns with titles.
    Table,
    /// JSON, an object a line.
    Objects,
    /// A label and a text, or text alone.
    Lines,
}

impl Form {
    pub(crate) fn of(path: &Path) -> Self {
        match path.extension().unwrap_or_default().to_string_lossy().to_lowercase().as_str() {
            "csv" | "tsv" => Self::Table,
            "json" | "jsonl" | "ndjson" => Self::Objects,
            _ => Self::Lines,
        }
    }
}

/// Reads a file in the form that its name tells, in capitals or not: a table with columns `text` and `label` (.csv, .tsv),
/// objects with such members, one a line (.jsonl, .ndjson, .json), or else lines "label text". Blank rows are left out.
///
/// # Errors
/// For a file that cannot be read, or is not of that form, with the line.
pub fn read(path: &Path) -> Result<LabelledFile, DataError> {
    let name = path.display().to_string();
    let Text { text, mut notes } = read_text(path)?;
    let mut headers = 0;
    let (labels_from, rows) = match Form::of(path) {
        Form::Table => ("the column \"label\"", table(&text, &mut headers)),
        Form::Objects => ("the member \"label\"", objects(&text)),
        Form::Lines => {
            let (from, rows) = lines(&text);
            (from, rows.map_err(|reason| format!("{reason}; {FORMS}")))
        }
    };
    let rows = rows.map_err(|reason| DataError::text(&name, reason))?;
    let all = rows.len();
    let texts: Vec<LabelledText> = rows.into_iter().flatten().collect();
    match all - texts.len() {
        0 => {}
        1 => notes.push(format!("{name}: 1 blank row is left out")),
        blank => notes.push(format!("{name}: {blank} blank rows are left out")),
    }
    if headers > 0 {
        notes.push(format!("{name}: its first line comes again, {headers} times; left out"));
    }
    Ok(LabelledFile { texts, labels_from, notes })
}

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
        let some: Vec<String> = some.iter().take(SHOWN.0).map(|label| shown(label)).collect();
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

/// A row that is not blank.
type Rows = Result<Vec<Option<LabelledText>>, String>;

/// `headers` counts the first lines that come again: tables that were joined end to end bring them.
fn table(text: &str, headers: &mut usize) -> Rows {
    let blank = |line: &str| line.chars().all(|c| c.is_whitespace() || c == '"' || DELIMITERS.contains(&c));
    // What tells Excel the delimiter is no row.
    let hint = |line: &str| line.trim().trim_matches('"').to_lowercase().starts_with("sep=");
    let (header_line, header) = text::lines(text).find(|(_, line)| !blank(line) && !hint(line)).unwrap_or_default();
    let found = DELIMITERS.into_iter().find_map(|delimiter| {
        let titles = table::rows(header, delimiter, true).ok()?.pop()?.fields;
        let columns = |wanted: &str| {
            let named = titles.iter().enumerate().filter(|(_, title)| title.eq_ignore_ascii_case(wanted));
            named.map(|(place, _)| place).collect::<Vec<_>>()
        };
        let (texts, labels) = (columns("text"), columns("label"));
        (!texts.is_empty() && !labels.is_empty()).then_some((delimiter, titles.len(), texts, labels))
    });
    let (delimiter, width, text_column, label_column) = match found {
        Some((delimiter, width, texts, labels)) if texts.len() == 1 && labels.len() == 1 => {
            (delimiter, width, texts[0], labels[0])
        }
        Some(_) => return Err("its first line names two columns \"text\", or two \"label\"; rename one of them".into()),
        None if header.is_empty() => return Ok(Vec::new()),
        None => {
            return Err(format!(
                "its first line must name a column \"text\" and a column \"label\", and is {}; rename two columns, or add \
                 a line such as \"text,label\"",
                shown(header)
            ));
        }
    };
    let rows = match table::rows(text, delimiter, true) {
        // Tables with tabs are mostly written without quotes, and then a quote is a character.
        Err(_) if delimiter == '\t' => table::rows(text, delimiter, false).unwrap_or_default(),
        Err(line) => {
            return Err(format!(
                "line {line}: a field opens with a quote, and none closes it at its end; double the quotes that are inside it"
            ));
        }
        Ok(rows) => rows,
    };
    let mut found = Vec::new();
    for row in rows {
        let field = |column: usize| row.fields.get(column).cloned().unwrap_or_default();
        let is_header =
            field(text_column).eq_ignore_ascii_case("text") && field(label_column).eq_ignore_ascii_case("label");
        if row.is_blank() {
            found.push(None);
        } else if row.line > header_line && is_header {
            *headers += 1;
        } else if row.line > header_line {
            let beyond = row.fields.iter().skip(width);
            if beyond.clone().any(|field| !field.is_empty()) {
                return Err(format!(
                    "line {} has {} fields, the first line {width}; put quotes around a text with {delimiter:?} in it",
                    row.line,
                    row.fields.len()
                ));
            }
            found.push(Some(whole(row.line, field(label_column), field(text_column))?));
        }
    }
    Ok(found)
}

fn objects(text: &str) -> Rows {
    let row = |(number, line): (usize, &str)| {
        if line.trim().is_empty() {
            return Ok(None);
        }
        let object: Map<String, Value> = serde_json::from_str(line)
            .map_err(|_| format!("line {number} is no JSON object; write one a line, with members text and label"))?;
        let member = |wanted: &str| {
            let named = object.iter().filter(|(name, _)| name.trim().eq_ignore_ascii_case(wanted));
            let values: Vec<&Value> = named.map(|(_, value)| value).collect();
            match values[..] {
                [] | [Value::Null] => Ok(String::new()),
                [Value::String(text)] => Ok(text.trim().into()),
                // 1 and 1.0 are one label.
                [Value::Number(number)] => Ok(number.as_f64().map_or(number.to_string(), |number| number.to_string())),
                [Value::Bool(flag)] => Ok(flag.to_string()),
                [_] => Err(format!("line {number}: \"{wanted}\" is neither a text nor a number")),
                [..] => Err(format!("line {number} has two members \"{wanted}\"; rename one of them")),
            }
        };
        let (label, text) = (member("label")?, member("text")?);
        let empty = |value: &Value| value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty());
        if object.values().all(empty) { Ok(None) } else { whole(number, label, text).map(Some) }
    };
    text::lines(text).map(row).collect()
}

/// Lines "label text", and what was taken for the labels.
fn lines(text: &str) -> (&'static str, Rows) {
    let full = || text::lines(text).filter(|(_, line)| !line.trim().is_empty());
    // Where every line has a tab it is no blank of a text, and labels may have blanks.
    let tabs = full().all(|(_, line)| line.contains('\t'));
    let separates = |c: char| if tabs { c == '\t' } else { c.is_whitespace() };
    let row = |(number, line): (usize, &str)| {
        if line.trim().is_empty() {
            return Ok(None);
        }
        let line = if tabs { line } else { line.trim_start() };
        let (label, text) = line.split_once(separates).unwrap_or((line, ""));
        whole(number, label.trim().into(), text.trim().into()).map(Some)
    };
    let from = if tabs { "what stands before each line's tab" } else { "each line's first word" };
    (from, text::lines(text).map(row).collect())
}

fn whole(line: usize, label: String, text: String) -> Result<LabelledText, String> {
    let missing = match (label.is_empty(), text.is_empty()) {
        (false, false) => return Ok(LabelledText { label, text }),
        (true, false) => format!("a text and no label: {}", shown(&text)),
        (false, true) => format!("a label and no text: {}", shown(&label)),
        (true, true) => "neither a text nor a label".into(),
    };
    Err(format!("line {line} has {missing}"))
}

/// In quotes, its beginning where it is long.
fn shown(text: &str) -> String {
    let beginning: String = text.chars().take(SHOWN.1).collect();
    let more = if beginning.len() < text.len() { "…" } else { "" };
    format!("{:?}", beginning + more)
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// What a file of that name and content holds.
    fn read_as(name: &str, content: &[u8]) -> Result<LabelledFile, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name), content).unwrap();
        let told = read(&folder.path().join(name));
        told.map_err(|error| error.to_string()).inspect_err(|error| {
            assert!(error.contains(name) && !error.contains('\n'), "{error}");
        })
    }

    fn pairs(file: &LabelledFile) -> Vec<(&str, &str)> {
        file.texts.iter().map(|one| (one.label.as_str(), one.text.as_str())).collect()
    }

    #[test]
    fn tables_of_every_hand_are_read() {
        let expected = [("yes", "a film, \"so\" good"), ("no", "two\nlines; café"), ("yes", "plain")];
        let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        for name in ["a.csv", "Reviews.CSV", "b.Csv", "c.tsv", "d.TSV"] {
            for delimiter in [",", "\t", ";", "|"] {
                for titles in [
                    ["text", "label"],
                    ["Text", " LABEL "],
                    ["\"text\"", " \"Label\""],
                    ["label", "text"],
                    [" label", "\"Text \""],
                ] {
                    let label_first = titles[0].contains("label");
                    for (more, mark) in [(true, ""), (false, "\u{feff}")] {
                        let row = |number: usize, text: &str, label: &str| {
                            let two = if label_first { [label, text] } else { [text, label] };
                            let three = [&number.to_string(), two[0], two[1], "3.5"];
                            if more { three.join(delimiter) } else { two.join(delimiter) }
                        };
                        let header = titles.join(delimiter);
                        let header = if more { ["id", &header, "stars"].join(delimiter) } else { header };
                        let rows = expected.iter().enumerate().map(|(i, (label, text))| row(i, &quoted(text), label));
                        let table =
                            mark.to_string() + &[header].into_iter().chain(rows).collect::<Vec<_>>().join("\r\n");
                        let found = read_as(name, table.as_bytes()).unwrap();
                        assert_eq!(pairs(&found), expected, "{table}");
                        assert_eq!(found.notes, [""; 0]);
                    }
                }
            }
        }
        // Without quotes as syntax, as many tables with tabs are.
        let glue = "label\ttext\n1\t\" it 's , good\n0\tbad \"\n1\t\"so\" so\n";
        let found = read_as("train.tsv", glue.as_bytes()).unwrap();
        assert_eq!(pairs(&found), [("1", "\" it 's , good"), ("0", "bad \""), ("1", "\"so\" so")]);
    }

    #[test]
    fn first_lines_of_joined_tables_are_no_rows_and_two_members_are_no_text() {
        let table = "text,label\na cat,x\na dog,y\n".repeat(3);
        let found = read_as("joined.csv", table.as_bytes()).unwrap();
        assert_eq!((found.texts.len(), found.notes.len()), (6, 1));
        assert!(found.notes[0].contains("2 times"), "{:?}", found.notes);
        let error = read_as("a.jsonl", b"{\"Text\": \"title\", \"text\": \"a cat\", \"label\": 1}\n").unwrap_err();
        assert!(error.contains("line 1") && error.contains("two members"), "{error}");
        let found = read_as("excel.csv", b"sep=;\r\ntext;label\r\na cat;x\r\n").unwrap();
        assert_eq!(pairs(&found), [("x", "a cat")]);
        let found =
            read_as("b.jsonl", b"{\"text\": \"a\", \"label\": 1}\n{\"text\": \"b\", \"label\": 1.0}\n").unwrap();
        assert_eq!(pairs(&found), [("1", "a"), ("1", "b")]);
    }

    #[test]
    fn objects_and_lines_are_read() {
        let objects = "\u{feff}{\"text\": \"a \\\"b\\\"\\nc\", \"label\": 1}\r\n{\"id\": [7], \"Label \": true, \"TEXT\": \" d \"}\r\n";
        for name in ["a.jsonl", "b.JSONL", "c.ndjson", "d.json"] {
            let found = read_as(name, objects.as_bytes()).unwrap();
            assert_eq!(pairs(&found), [("1", "a \"b\"\nc"), ("true", "d")]);
        }
        for (content, expected) in [
            ("0 a film\n1  so good \n", [("0", "a film"), ("1", "so good")]),
            ("0\ta film\r1\tso good\r", [("0", "a film"), ("1", "so good")]),
            ("very bad\ta film\r\nnot\tso good", [("very bad", "a film"), ("not", "so good")]),
            ("  0 a\tfilm\n1 so good", [("0", "a\tfilm"), ("1", "so good")]),
        ] {
            for name in ["a.txt", "b", "c.train", "d.data"] {
                assert_eq!(pairs(&read_as(name, content.as_bytes()).unwrap()), expected);
            }
        }
    }

    #[test]
    fn blank_rows_are_left_out_and_counted() {
        for (name, content, blank) in [
            ("a.csv", "text,label\na,x\nb,y\n,\n", 1),
            ("b.csv", "\n,,\ntext,label,\na,x,\n,,\n\n  , \nb,y,\n\"\",\"\"\n,,,,,\n", 7),
            ("c.CSV", ";;;\r\ntext;label\r\n;\r\na;x\r\nb;y\r\n;\r\n;;;;\r\n", 4),
            ("d.tsv", "text\tlabel\n\na\tx\n\t\nb\ty\n \n", 3),
            ("e.txt", "x a\n\n   \ny b\n\t\n", 3),
            (
                "f.jsonl",
                "{\"label\": \"x\", \"text\": \"a\"}\n\n{}\n{\"label\": \"\", \"text\": null}\n{\"label\": \"y\", \"text\": \"b\"}\n \n",
                4,
            ),
        ] {
            let found = read_as(name, content.as_bytes()).unwrap();
            assert_eq!(pairs(&found), [("x", "a"), ("y", "b")], "{name}");
            let said = if blank == 1 { "1 blank row is".into() } else { format!("{blank} blank rows are") };
            assert!(found.notes.len() == 1 && found.notes[0].contains(&said), "{name}: {:?}", found.notes);
        }
    }

    #[test]
    fn what_is_half_there_is_named_with_its_line() {
        for (name, content, parts) in [
            ("a.csv", "text,label\na,x\n\nfilm,\n", ["line 4", "no label: \"film\""]),
            ("b.csv", "text,label\n\"a\nb\",x\n,y\n", ["line 4", "no text: \"y\""]),
            ("c.csv", "id,text,label\n1,a,x\n2\n", ["line 3", "neither"]),
            ("d.csv", "text,label\na,yes,no\n", ["line 2", "3 fields"]),
            ("e.csv", "text,label\n\"never closed", ["line 2", "quote"]),
            ("f.csv", "label,text\nx,\"good film\ny,\"bad\"\n", ["line 2", "quote"]),
            ("g.tsv", "text\tlabel\na\tx\nfilm\n", ["line 3", "no label"]),
            ("h.txt", "x a\ny\n", ["line 2", "no text: \"y\""]),
            ("i.txt", "x\ta\n\tb\n", ["line 2", "no label"]),
            (
                "j.jsonl",
                "{\"text\": \"a\", \"label\": 1}\n{\"text\": \"a\", \"label\": null}\n",
                ["line 2", "no label"],
            ),
            ("k.jsonl", "{\"text\": \"a\", \"label\": [1]}\n", ["line 1", "label"]),
            ("l.json", "[\n{\"text\": \"a\", \"label\": 1},\n]", ["line 1", "JSON object"]),
            ("m.csv", "good film,pos\nbad film,neg\n", ["\"good film,pos\"", "\"text,label\""]),
            ("n.csv", "sentence,label\na,0\n", ["\"sentence,label\"", "\"text\""]),
            ("o.csv", "text,label,Text\na,x,b\n", ["two columns", "rename"]),
        ] {
            let error = read_as(name, content.as_bytes()).unwrap_err();
            assert!(parts.iter().all(|part| error.contains(part)), "{name}: {error}");
        }
        assert!(read(Path::new("no-such-file.csv")).is_err());
    }

    #[test]
    fn whatever_a_file_holds_is_read_or_refused_in_a_line() {
        let mut random = ChaCha8Rng::seed_from_u64(0);
        let pieces = [
            &b"text"[..],
            b"label",
            b",",
            b"\t",
            b";",
            b"\"",
            b"\n",
            b"\r",
            b"a b",
            b" ",
            b"\xe9",
            b"\xff\xfe",
            b"{",
            b"}",
            b"\"text\":",
            b"null",
            b"\xef\xbb\xbf",
            b"\0",
            "\u{2028}".as_bytes(),
        ];
        for round in 0..4_000 {
            let name = ["a.csv", "b.tsv", "c.jsonl", "d.txt"][round % 4];
            let mut content = if round % 3 == 0 { Vec::new() } else { b"text,label\n".to_vec() };
            for _ in 0..random.random_range(0..40) {
                content.extend(pieces[random.random_range(0..pieces.len())]);
            }
            if let Ok(found) = read_as(name, &content) {
                assert!(found.texts.iter().all(|one| !one.text.is_empty() && !one.label.is_empty()));
            }
        }
    }

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

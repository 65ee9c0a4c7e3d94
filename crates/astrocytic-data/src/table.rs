//! Tables of values between delimiters (RFC 4180), read strictly. The csv crate also reads broken
//! ones without a word: an unclosed quote swallows every row behind it, and lines are miscounted
//! after empty ones.

/// A row, its fields without blanks around them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// The line it begins in.
    pub line: usize,
    /// At least one.
    pub fields: Vec<String>,
}

impl Row {
    /// Whether nothing stands in it, as in what spreadsheets write below a table.
    pub fn is_blank(&self) -> bool {
        self.fields.iter().all(String::is_empty)
    }
}

/// What stood before a character.
#[derive(Clone, Copy, PartialEq)]
enum After {
    /// The beginning of a field.
    Delimiter,
    /// A character of a field without quotes.
    Bare,
    /// A quote that is still open.
    Opened,
    /// The quote that closes a field.
    Closed,
}

/// All rows. Fields in quotes may hold delimiters, line breaks and doubled quotes. They hold no tab
/// if the tab is the delimiter: in tables without quoting, two quotes in different rows look like
/// such a field.
///
/// # Errors
/// The line of a quote that begins a field and is not closed at the field's end.
pub(crate) fn rows(text: &str, delimiter: char, quotes: bool) -> Result<Vec<Row>, usize> {
    let mut rows = Vec::new();
    let mut row = Row { line: 1, fields: Vec::new() };
    let (mut field, mut after) = (String::new(), After::Delimiter);
    let (mut line, mut opened) = (1, 1);
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        let ends_line = c == '\n' || c == '\r' && characters.peek() != Some(&'\n');
        line += usize::from(ends_line);
        match (after, c) {
            (After::Opened, '"') if characters.next_if_eq(&'"').is_some() => field.push('"'),
            (After::Opened, '"') => after = After::Closed,
            (After::Opened, '\t') if delimiter == '\t' => return Err(opened),
            (After::Opened, _) => field.push(c),
            (After::Delimiter, '"') if quotes => (after, opened) = (After::Opened, line),
            _ if c == delimiter => {
                row.fields.push(std::mem::take(&mut field).trim().into());
                after = After::Delimiter;
            }
            _ if ends_line => {
                row.fields.push(std::mem::take(&mut field).trim().into());
                rows.push(std::mem::replace(&mut row, Row { line, fields: Vec::new() }));
                after = After::Delimiter;
            }
            (After::Delimiter | After::Closed, _) if c.is_whitespace() => {}
            (After::Closed, _) => return Err(opened),
            _ => {
                field.push(c);
                after = After::Bare;
            }
        }
    }
    if after == After::Opened {
        return Err(opened);
    }
    if after != After::Delimiter || !row.fields.is_empty() {
        row.fields.push(field.trim().into());
        rows.push(row);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn fields(text: &str, delimiter: char) -> Vec<Vec<String>> {
        rows(text, delimiter, true).unwrap().into_iter().map(|row| row.fields).collect()
    }

    #[test]
    fn what_is_written_is_read() {
        let mut random = ChaCha8Rng::seed_from_u64(0);
        let pieces = ["a", "é", "\"", ",", ";", "\n", "\r\n", " b", "''", "漢"];
        for (delimiter, quotes) in [(',', csv::QuoteStyle::Necessary), (';', csv::QuoteStyle::Always)] {
            for end in ["\n", "\r\n", "\r"] {
                let mut field = |_| -> String {
                    let length = random.random_range(0..6);
                    let text: String = (0..length).map(|_| pieces[random.random_range(0..pieces.len())]).collect();
                    text.trim().into()
                };
                let table: Vec<Vec<String>> = (0..200).map(|i| (0..3).map(|j| field(3 * i + j)).collect()).collect();
                let terminator = match end {
                    "\r\n" => csv::Terminator::CRLF,
                    _ => csv::Terminator::Any(end.as_bytes()[0]),
                };
                let mut writer = csv::WriterBuilder::new();
                writer.delimiter(delimiter as u8).quote_style(quotes).terminator(terminator);
                let mut writer = writer.from_writer(Vec::new());
                table.iter().for_each(|row| writer.write_record(row).unwrap());
                let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
                assert_eq!(fields(&text, delimiter), table, "{text}");
                // As it is by other hands: blanks around fields, no end of the last line.
                let spaced = text.trim_end_matches(end);
                assert_eq!(fields(spaced, delimiter), table);
            }
        }
        assert_eq!(fields("a, \"b, c\" ,d\n", ','), [["a", "b, c", "d"]]);
        assert_eq!(fields("5\" disk,it's \"so\"", ','), [["5\" disk", "it's \"so\""]]);
        assert_eq!(fields("\u{a0}a,\"\"\n", ','), [["a", ""]]);
    }

    #[test]
    fn rows_know_their_lines_and_blank_ones_are_told() {
        let text = "text,label\n\n\"two\r\nlines\",a\r\n,,\r\n \t\nlast,b";
        let found = rows(text, ',', true).unwrap();
        assert_eq!(found.iter().map(|row| row.line).collect::<Vec<_>>(), [1, 2, 3, 5, 6, 7]);
        let blank: Vec<bool> = found.iter().map(Row::is_blank).collect();
        assert_eq!(blank, [false, true, false, true, true, false]);
        assert_eq!(rows("", ',', true), Ok(vec![]));
    }

    #[test]
    fn quotes_that_are_not_closed_are_refused_with_their_line() {
        for (text, line) in [
            ("a,b\n1,\"never closed\n2,x\n", 2),
            ("a,b\n1,\"good film\n2,\"bad\"\n", 2),
            ("a,b\n\n1,\"great\" they said\n", 3),
            ("a,\"b\" c", 1),
            ("\"", 1),
        ] {
            assert_eq!(rows(text, ',', true), Err(line), "{text}");
        }
        let tabs = "1\t\" it is\n0\tgood \"\n";
        assert_eq!(rows(tabs, '\t', true), Err(1));
        assert_eq!(rows(tabs, '\t', false).unwrap()[0].fields, ["1", "\" it is"]);
        assert_eq!(fields("\"two\nlines\"\t1\n", '\t'), [["two\nlines", "1"]]);
    }
}

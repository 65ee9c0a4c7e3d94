//! How the bytes of a text file become characters: one rule for corpora, labelled texts, probes and
//! lines of JSON.

use std::path::Path;

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

use crate::error::DataError;

/// Bytes of a text, at least, for each that is not UTF-8. A Western language in Windows-1252 has
/// more; with fewer it is another encoding or no text, and which cannot be told.
const BYTES_PER_STRAY: usize = 20;
/// Letters that a note shows on each side of the character in question.
const SHOWN: usize = 16;

/// A text that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// The text, without byte-order mark.
    pub text: String,
    /// What its reader has to know about how it was read.
    pub notes: Vec<String>,
}

/// Reads UTF-8, or UTF-16 with a byte-order mark. A byte that is not UTF-8 is read by itself as
/// Windows-1252, of which Latin-1 is a part; a note counts such bytes and shows the first.
///
/// # Errors
/// For a file that cannot be read, has zero bytes, or has too many bytes that are not UTF-8.
pub fn read_text(path: &Path) -> Result<Text, DataError> {
    let bytes = std::fs::read(path).map_err(|error| DataError::file(path, error))?;
    decode(&path.display().to_string(), &bytes)
}

/// The same of bytes that have been read.
pub(crate) fn decode(name: &str, bytes: &[u8]) -> Result<Text, DataError> {
    let fault = |reason| Err(DataError::text(name, reason));
    let (encoding, mark) = Encoding::for_bom(bytes).unwrap_or((UTF_8, 0));
    let bytes = &bytes[mark..];
    let mut text = String::with_capacity(bytes.len());
    let (mut strays, mut first) = (0, 0);
    if encoding == UTF_8 {
        for part in bytes.utf8_chunks() {
            text.push_str(part.valid());
            if strays == 0 {
                first = text.len();
            }
            strays += part.invalid().len();
            text.push_str(&WINDOWS_1252.decode_without_bom_handling(part.invalid()).0);
        }
    } else {
        let Some(whole) = encoding.decode_without_bom_handling_and_without_replacement(bytes) else {
            return fault(format!("is {} with characters cut in two; save it as UTF-8", encoding.name()));
        };
        text.push_str(&whole);
    }
    if let Some(at) = text.find('\0') {
        let line = line_at(&text, at);
        return fault(format!("is a binary file (a zero byte in line {line}); give a text in UTF-8, a table as CSV"));
    }
    let line = line_at(&text, first);
    if strays * BYTES_PER_STRAY > bytes.len() {
        return fault(format!(
            "is not UTF-8 ({strays} of {} bytes are not, the first in line {line}); convert it from its encoding, as with \
             iconv -f WINDOWS-1252 -t UTF-8",
            bytes.len()
        ));
    }
    let note = || {
        let (count, are) = if strays == 1 { ("1 byte".into(), "is") } else { (format!("{strays} bytes"), "are") };
        let word = word_at(&text, first);
        format!("{name}: {count} {are} not UTF-8 and read as Windows-1252, the first in line {line}: {word:?}")
    };
    let notes = (strays > 0).then(note).into_iter().collect();
    Ok(Text { text, notes })
}

/// Lines as every system ends them, with their numbers.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    // A lone carriage return ends a line where no line feed does.
    let lone = if text.contains('\n') { '\n' } else { '\r' };
    (1..).zip(text.split_terminator(lone)).map(|(number, line)| (number, line.trim_end_matches('\r')))
}

fn line_at(text: &str, at: usize) -> usize {
    let end = if text.contains('\n') { '\n' } else { '\r' };
    1 + text[..at].matches(end).count()
}

/// The letters around a character.
fn word_at(text: &str, at: usize) -> String {
    let (before, after) = text.split_at(at);
    let letter = |c: &char| c.is_alphanumeric();
    let before: Vec<char> = before.chars().rev().take_while(letter).take(SHOWN).collect();
    let mut after = after.chars();
    before.into_iter().rev().chain(after.next()).chain(after.take_while(letter).take(SHOWN)).collect()
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn utf_16(text: &str, big: bool) -> Vec<u8> {
        let units = std::iter::once(0xfeff).chain(text.encode_utf16());
        units.flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
    }

    #[test]
    fn marks_tell_the_encoding_and_are_no_text() {
        for text in ["", "a", "café, naïve\r\n“quoted” 漢字 🦀\n", "Ã© is meant so"] {
            let whole = Text { text: text.into(), notes: vec![] };
            assert_eq!(decode("t", text.as_bytes()).unwrap(), whole);
            assert_eq!(decode("t", &[b"\xef\xbb\xbf", text.as_bytes()].concat()).unwrap(), whole);
            for big in [false, true] {
                assert_eq!(decode("t", &utf_16(text, big)).unwrap(), whole);
            }
        }
    }

    #[test]
    fn stray_bytes_change_nothing_around_them_and_are_counted() {
        let mut random = ChaCha8Rng::seed_from_u64(0);
        let words = ["plain", "café", "naïve", "漢字", "🦀", "Ã©", "\n", "\r\n"];
        for _ in 0..200 {
            let mut bytes = "a long beginning of a text\n".repeat(20).into_bytes();
            let mut expected = String::from_utf8(bytes.clone()).unwrap();
            let (mut strays, mut first) = (0, 0);
            for _ in 0..random.random_range(1..200) {
                let word = words[random.random_range(0..words.len())];
                bytes.extend(word.bytes());
                expected.push_str(word);
                if random.random_bool(0.05) {
                    // Before a letter no byte above 127 belongs to a character of several.
                    let (byte, read) = [(0xe9, 'é'), (0x93, '“'), (0xff, 'ÿ'), (0xc3, 'Ã')][strays % 4];
                    if strays == 0 {
                        first = 1 + expected.matches('\n').count();
                    }
                    strays += 1;
                    bytes.extend([byte, b'.']);
                    expected.extend([read, '.']);
                }
            }
            let Text { text, notes } = decode("name", &bytes).unwrap();
            assert_eq!(text, expected);
            assert_eq!(notes.len(), usize::from(strays > 0));
            for note in notes {
                let count = if strays == 1 { "1 byte is".into() } else { format!("{strays} bytes are") };
                assert!(note.contains(&count) && note.contains(&format!("line {first}:")), "{note}: {strays} {first}");
            }
        }
        let note = &decode("n", b"a plain line\nand a caf\xe9, they say\n").unwrap().notes[0];
        assert_eq!(note, "n: 1 byte is not UTF-8 and read as Windows-1252, the first in line 2: \"café\"");
    }

    #[test]
    fn other_encodings_and_binary_files_are_refused() {
        let cyrillic: Vec<u8> = (0xc0..=0xff).chain(*b" \n").cycle().take(1_000).collect();
        let odd = &utf_16("half", false)[..7];
        let surrogate = utf_16("a🦀b", true);
        let bare = &utf_16("no mark\n", false)[2..];
        for (bytes, part) in [
            (&cyrillic[..], "line 1"),
            (b"plain\nabc\xff\xfe", "line 2"),
            (odd, "UTF-16LE"),
            (&surrogate[..6], "UTF-16BE"),
            (bare, "binary"),
            (b"one\ntwo\0", "line 2"),
            (b"\x7fELF\0\0\xff\xfe", "binary"),
            (b"\xff\xfe\0\0a\0\0\0", "binary"),
        ] {
            let error = decode("file", bytes).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("UTF-8") && error.starts_with("file"), "{error}");
        }
    }

    #[test]
    fn lines_end_as_on_any_system() {
        for end in ["\n", "\r\n", "\r"] {
            let text = ["one", "", "three"].join(end);
            for text in [text.clone(), text + end] {
                assert_eq!(lines(&text).collect::<Vec<_>>(), [(1, "one"), (2, ""), (3, "three")]);
            }
        }
    }
}

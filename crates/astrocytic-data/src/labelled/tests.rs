//! Files of every form, whole and broken.

use std::path::Path;

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
                    let table = mark.to_string() + &[header].into_iter().chain(rows).collect::<Vec<_>>().join("\r\n");
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
    let found = read_as("b.jsonl", b"{\"text\": \"a\", \"label\": 1}\n{\"text\": \"b\", \"label\": 1.0}\n").unwrap();
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
        ("j.jsonl", "{\"text\": \"a\", \"label\": 1}\n{\"text\": \"a\", \"label\": null}\n", ["line 2", "no label"]),
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

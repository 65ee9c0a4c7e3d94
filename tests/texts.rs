//! Texts and tables as people have them: read as they are meant, with a note where something was
//! guessed, or refused in a line that says what to do.

mod program;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use program::{astrocytic, files, run, succeed, text};
use serde_json::Value;

/// A run of moments on labelled texts.
fn compare(path: &Path, out: &Path) -> Command {
    let plan = path.with_extension("toml");
    let corpus = text(path).replace('\\', "/");
    let primary = "primary = { arm = \"linear\", baseline = \"vanilla\" }";
    let shared = "arms = [\"vanilla\", \"linear\"]\nsizes = [20]\nseeds = 1\ntokenizer = \"bpe:300\"\nlearning_rates = [0.01]\n\
                  weight_decays = [0.1]\nschedules = [4]\nevaluations = 1\nd_model = 16\nlayers = 1\ndropout = 0.0\n";
    let studies = format!("[[studies]]\nname = \"task\"\ncorpus = \"labelled:{corpus}\"\n");
    std::fs::write(&plan, format!("question = \"q\"\nexpected = \"e\"\n{primary}\n[shared]\n{shared}{studies}"))
        .unwrap();
    astrocytic(&["run", text(&plan), "--out", text(out), "--json"])
}

/// The one line of an error.
fn refused(mut command: Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<&str> = said.lines().filter(|line| !line.starts_with("study ")).collect();
    assert!(output.status.code() == Some(2) && lines.len() == 1 && lines[0].starts_with("error: "), "{said}");
    lines[0].into()
}

/// Reviews of two kinds, no two alike.
fn reviews(count: usize) -> impl Iterator<Item = (String, &'static str)> {
    let adjectives = [["good", "fine", "witty"], ["bad", "dull", "long"]];
    (0..count)
        .map(move |i| (format!("Café film {i}, so {}", adjectives[i % 2][i / 2 % 3]), ["positive", "negative"][i % 2]))
}

#[test]
fn a_table_of_a_spreadsheet_becomes_a_report_with_its_notes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("Reviews.CSV");
    let rows: String = reviews(60).map(|(text, label)| format!("\"{text}\", {label}\r\n")).collect();
    let mut bytes = format!("\u{feff}text, label\r\n{rows},\r\n,\r\n").into_bytes();
    // One byte of another encoding in the eighth review.
    let e = (0..bytes.len() - 1).filter(|&at| bytes[at..].starts_with("é".as_bytes())).nth(7).unwrap();
    bytes.splice(e..e + 2, [0xe9]);
    std::fs::write(&path, bytes).unwrap();

    let out = folder.path().join("out");
    let output = compare(&path, &out).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = &found["studies"][0]["corpus"];
    assert_eq!(found["train_tokens"], 48);
    let notes: Vec<&str> = found["notes"].as_array().unwrap().iter().map(|n| n.as_str().unwrap()).collect();
    let parts =
        ["1 byte is not UTF-8 and read as Windows-1252, the first in line 9: \"Café\"", "2 blank rows are left out"];
    let page = std::fs::read_to_string(out.join("task/report.html")).unwrap();
    let tokenizer = std::fs::read_to_string(out.join("task/tokenizer.json")).unwrap();
    assert_eq!(notes.len(), parts.len(), "{notes:?}");
    for (part, note) in parts.iter().zip(&notes) {
        assert!(note.contains(part) && said.contains(&format!("note: {note}")), "{note}: {said}");
    }
    assert!(page.contains("2 blank rows are left out") && page.contains("1 byte is not UTF-8"));
    // The bytes of é alone, no others that a whole file in Latin-1 would have brought.
    assert!(!tokenizer.contains("ÃĥÂ"), "{tokenizer}");
}

#[test]
fn what_cannot_be_told_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let join = |row: &dyn Fn((String, &str)) -> String| reviews(60).map(row).collect::<Vec<_>>().join("\n");
    let csv = join(&|(text, label)| format!("\"{text}\",{label}"));
    let label_last = join(&|(text, label)| {
        format!("{} {text} {label}", text.len() * 7 + text.bytes().map(usize::from).sum::<usize>())
    });
    for (path, parts) in [
        (file("reviews", &format!("text, label\n{csv}")), &["each line's first word", "seen only once", ".csv"][..]),
        (file("reviews.txt", &label_last), &["reviews.txt", "labels in 60 texts", "behind the path"]),
        (file("Bare.CSV", &csv), &["\"text\"", "\"label\"", "Café film 0", "text,label"]),
        (
            file("swapped.csv", &format!("label,text\n{csv}")),
            &["60 labels in 60 texts, 60 seen only once", "the column \"label\""],
        ),
        (file("semi.csv", &format!("text;label\n{csv}\n")), &["line 2", "quote"]),
        (file("half.csv", &format!("text,label\n{csv}\nA film,\n")), &["line 62 has a text and no label: \"A film\""]),
        (file("open.csv", &format!("text,label\n\"A film,positive\n{csv}")), &["line 2", "quote"]),
        (file("r.jsonl", &format!("text,label\n{csv}")), &["line 1", "JSON object"]),
    ] {
        let name = path.file_name().unwrap().to_str().unwrap();
        let out = folder.path().join(format!("{name}.out"));
        let said = refused(compare(&path, &out));
        assert!(said.contains(name) && parts.iter().all(|part| said.contains(part)), "{said}");
        assert!(!out.join("task/experiment.json").exists());
    }
    // An answer to the question is taken.
    let many: String = reviews(60).enumerate().map(|(i, (text, _))| format!("l{} {text}\n", i % 55)).collect();
    let path = file("many.txt", &many);
    let said = refused(compare(&path, &folder.path().join("asked")));
    assert!(said.contains("\":55\""), "{said}");
    let told = folder.path().join("many.txt:55");
    let found: Value = serde_json::from_str(&succeed(compare(&told, &folder.path().join("told")))).unwrap();
    assert!(found["studies"][0]["corpus"]["name"].as_str().unwrap().ends_with("many.txt:55"));
}

#[test]
fn a_corpus_says_how_it_was_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text.txt");
    let plain = "A naïve line of a text.\n".repeat(800);
    let show = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let output = run(&["data", "show", text(&path), "--json"]);
        let said = String::from_utf8(output.stderr).unwrap();
        let found = output.status.success().then(|| serde_json::from_slice::<Value>(&output.stdout).unwrap());
        (found.ok_or(said.clone()), said)
    };
    let wide: Vec<u8> = format!("\u{feff}Café.\n{plain}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (bytes, noted) in [
        (format!("Café.\n{plain}").into_bytes(), false),
        (format!("\u{feff}Café.\n{plain}").into_bytes(), false),
        (wide, false),
        ([b"Caf\xe9.\n", plain.as_bytes()].concat(), true),
    ] {
        let (found, said) = show(&bytes);
        let found = found.unwrap();
        assert!(found["beginning"].as_str().unwrap().starts_with("Café.\nA naïve line"), "{found}");
        assert_eq!((found["notes"].as_array().unwrap().len() == 1, said.contains("note: ")), (noted, noted), "{said}");
    }
    let cyrillic: Vec<u8> =
        plain.bytes().map(|byte| if byte.is_ascii_alphabetic() { byte | 0x80 } else { byte }).collect();
    for (bytes, parts) in
        [(&cyrillic[..], ["UTF-8", "iconv"]), (&[plain.as_bytes(), b"\0"].concat(), ["line 801", "binary"])]
    {
        let said = show(bytes).0.unwrap_err();
        assert!(parts.iter().all(|part| said.contains(part)) && said.trim().lines().count() == 1, "{said}");
    }
}

/// A client that never ends is killed with the program; the next start clears up.
#[cfg(unix)]
#[test]
fn what_a_killed_download_leaves_is_swept() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let (bin, cache) = (folder.path().join("bin"), folder.path().join("cache"));
    std::fs::create_dir(&bin).unwrap();
    let client = |script: &str| {
        let path = bin.join("npm");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let fetch = |name: &str| {
        let mut command = astrocytic(&["data", "fetch", name]);
        let path = format!("{}:{}", text(&bin), std::env::var("PATH").unwrap());
        command.env("PATH", path).env("ASTROCYTIC_CACHE", &cache).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let left = || if cache.exists() { files(&cache).len() } else { 0 };
    client("echo half > archive.tgz; exec sleep 30");
    let mut killed = fetch("moby-dick").spawn().unwrap();
    let started = Instant::now();
    while left() < 2 {
        assert!(started.elapsed() < Duration::from_secs(20), "no download began");
        std::thread::sleep(Duration::from_millis(20));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(left(), 2, "the half archive, and the lock");
    client("exit 1");
    assert!(!fetch("state-of-the-union").status().unwrap().success());
    assert_eq!(std::fs::read_dir(&cache).unwrap().count(), 0);
}

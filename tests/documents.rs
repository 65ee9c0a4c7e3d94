//! What the README and the book say holds: figures follow from stored lines, links lead somewhere,
//! commands are there.

mod program;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use program::{astrocytic, succeed, text};
use serde_json::Value;

/// The README and the chapters of the book.
static DOCUMENTS: LazyLock<Vec<Document>> = LazyLock::new(|| {
    let chapters = names_in(&root().join("book/src")).into_iter().filter(|name| name.ends_with(".md"));
    let paths = std::iter::once("README.md".into()).chain(chapters.map(|name| format!("book/src/{name}")));
    paths.map(|path| Document { text: read(&root().join(&path)), path }).collect()
});

/// A folder in which every stored experiment's reports are made again, from its lines alone.
static REPORTS: LazyLock<PathBuf> = LazyLock::new(|| {
    let reports = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reports");
    let _ = std::fs::remove_dir_all(&reports);
    std::thread::scope(|threads| {
        for experiment in experiments() {
            let folder = reports.join(&experiment);
            for (name, bytes) in program::files(&root().join("experiments/results").join(&experiment)) {
                if ["experiment.toml", "experiment.json", "lines.jsonl", "coverage.json"]
                    .iter()
                    .any(|source| name.ends_with(source))
                {
                    let path = folder.join(name);
                    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
                    std::fs::write(path, bytes).expect("a copy");
                }
            }
            threads.spawn(move || succeed(astrocytic(&["report", text(&folder)])));
        }
    });
    reports
});

struct Document {
    /// From the root.
    path: String,
    text: String,
}

/// The first table behind a comment `<!-- KIND: FOLDER -->`.
struct Table {
    document: &'static Document,
    /// From the root.
    folder: &'static str,
    rows: Vec<&'static str>,
}

impl Document {
    /// Lines that are no code, with their numbers.
    fn prose(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut code = false;
        self.text.lines().enumerate().filter_map(move |(index, line)| {
            let fence = line.starts_with("```");
            code ^= fence;
            (!code && !fence).then_some((index + 1, line))
        })
    }

    /// Blocks of code with what stands behind their fences.
    fn code(&self) -> Vec<(&str, Vec<&str>)> {
        let mut blocks = Vec::new();
        let mut open = None;
        for line in self.text.lines() {
            match (line.strip_prefix("```"), &mut open) {
                (Some(language), None) => open = Some((language, Vec::new())),
                (Some(_), block) => blocks.extend(block.take()),
                (None, Some((_, lines))) => lines.push(line),
                (None, None) => {}
            }
        }
        blocks
    }

    /// The anchors that its headings make.
    fn anchors(&self) -> BTreeSet<String> {
        let headings =
            self.prose().filter(|(_, line)| line.starts_with('#')).map(|(_, line)| line.trim_matches(['#', ' ']));
        let letter = |c: char| match c {
            ' ' => Some('-'),
            c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c.to_ascii_lowercase()),
            _ => None,
        };
        headings.map(|heading| heading.chars().filter_map(letter).collect()).collect()
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&read(path)).expect("JSON")
}

fn names_in(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name")).collect()
}

/// Folders of `experiments/results` from whose lines `report` makes pages.
fn experiments() -> Vec<String> {
    let results = root().join("experiments/results");
    let has = |name: &String, file: &str| results.join(name).join(file).exists();
    let all = names_in(&results).into_iter();
    all.filter(|name| has(name, "experiment.toml") || has(name, "experiment.json")).collect()
}

fn tables(kind: &str) -> Vec<Table> {
    let mut tables = Vec::new();
    for document in DOCUMENTS.iter() {
        let mut lines = document.text.lines().peekable();
        while let Some(line) = lines.next() {
            let folder = line.strip_prefix("<!-- ").and_then(|line| line.strip_suffix(" -->")?.strip_prefix(kind));
            let Some(folder) = folder.and_then(|rest| rest.strip_prefix(": ")) else { continue };
            while lines.peek().is_some_and(|line| !line.starts_with('|')) {
                lines.next();
            }
            let rows = std::iter::from_fn(|| lines.next_if(|line| line.starts_with('|'))).collect();
            tables.push(Table { document, folder, rows });
        }
    }
    tables
}

fn cells(row: &str) -> Vec<&str> {
    row.trim_matches('|').split('|').map(str::trim).collect()
}

/// Where the results of a stored folder are made again.
fn remade(folder: &str) -> PathBuf {
    REPORTS.join(folder.strip_prefix("experiments/results/").expect("stored results"))
}

#[test]
fn stored_pages_follow_from_stored_lines() {
    let mut checked = 0;
    for experiment in experiments() {
        let stored = root().join("experiments/results").join(&experiment);
        for (name, page) in program::files(&stored).into_iter().filter(|(name, _)| name.ends_with("report.html")) {
            let made = std::fs::read(REPORTS.join(&experiment).join(&name)).expect("a page");
            assert!(page == made, "{experiment}/{name} is not what its lines give; run `astrocytic report`");
            checked += 1;
        }
    }
    assert!(checked >= 30, "{checked} pages");
}

/// A plot is named after the folder of its study.
#[test]
fn plots_are_those_of_the_stored_results() {
    let studies = program::files(&REPORTS).into_iter();
    let plots: BTreeMap<String, Vec<u8>> = studies
        .filter_map(|(name, bytes)| Some((name.strip_suffix("/loss.svg")?.replace('/', "-") + ".svg", bytes)))
        .collect();
    for (name, plot) in program::files(&root().join("book/src/images")) {
        assert!(plots.get(&name) == Some(&plot), "book/src/images/{name} is no study's loss.svg");
    }
}

/// Rows are `| arm | loss at the first size | … |`, of tasks with the accuracy at the largest size
/// behind them, `… | 42.0 % |`; the headline is quoted as it stands.
#[test]
fn losses_are_those_of_the_stored_results() {
    let tables = tables("results");
    let mut checked = 0;
    for Table { document, folder, rows } in &tables {
        let results = json(&remade(folder).join("results.json"));
        let words = document.text.replace("\n> ", "\n").split_whitespace().collect::<Vec<_>>().join(" ");
        let headline = results["headline"].as_str().expect("a headline");
        assert!(words.contains(headline), "{}: the headline of {folder} is \"{headline}\"", document.path);
        for row in &rows[2..] {
            let cells = cells(row);
            let arm = results["arms"].as_array().expect("arms").iter().find(|arm| arm["name"] == cells[0]);
            let sizes =
                arm.unwrap_or_else(|| panic!("{row}: no such arm in {folder}"))["sizes"].as_array().expect("sizes");
            for (place, cell) in cells[1..].iter().enumerate() {
                let expected = if cell.ends_with(" %") {
                    let of = sizes.last().expect("a size")["accuracies"].as_array().expect("accuracies");
                    let sum: f64 = of.iter().filter_map(Value::as_f64).sum();
                    format!("{:.1} %", 100.0 * sum / of.len() as f64)
                } else {
                    let size = sizes.get(place).unwrap_or_else(|| panic!("{row}: more columns than sizes"));
                    format!("{:.3}", size["mean"].as_f64().expect("a mean"))
                };
                assert_eq!(*cell, expected, "{}: {row}", document.path);
                checked += 1;
            }
        }
    }
    assert!(tables.len() >= 8 && checked >= 6 * tables.len(), "{checked} figures in {} tables", tables.len());
}

/// Rows are `| arm : baseline | one for each study … |`: the tested ratio, with its interval or, in
/// tables of p-values, with its corrected p. A ratio with one bound is `0.73 (≥ 0.64)`, a bound alone
/// `≥ 0.64`; "–" stands where there is neither.
#[test]
fn ratios_are_those_of_the_stored_results() {
    let mut checked = 0;
    let corrected = tables("holm").into_iter().map(|table| (table, true));
    for (Table { document, folder, rows }, corrected) in
        tables("ratios").into_iter().map(|table| (table, false)).chain(corrected)
    {
        let results = json(&remade(folder).join("results.json"));
        let studies = results["studies"].as_array().expect("studies");
        for row in &rows[2..] {
            let cells = cells(row);
            let (arm, baseline) = cells[0].split_once(" : ").unwrap_or_else(|| panic!("{row}: no ratio"));
            assert_eq!(cells.len(), 1 + studies.len(), "{row}");
            for (study, cell) in studies.iter().zip(&cells[1..]) {
                let expected = ratio(study, [arm, baseline], corrected);
                assert_eq!(*cell, expected, "{}: {row}: {}", document.path, study["study"]);
                checked += 1;
            }
        }
    }
    assert!(checked >= 100, "{checked} ratios");
}

/// A study's tested ratio in words.
fn ratio(study: &Value, [arm, baseline]: [&str; 2], corrected: bool) -> String {
    let of = |row: &&Value| row["arm"] == arm && row["baseline"] == baseline;
    let contrast = study["contrasts"].as_array().expect("contrasts").iter().find(of);
    let contrast = contrast.unwrap_or_else(|| panic!("{arm} : {baseline}: not compared in {}", study["study"]));
    let value = &contrast["value"];
    let Some(estimate) = value["estimate"].as_f64() else { return "–".into() };
    let doubt = match [0, 1].map(|end| value["interval"][end].as_f64()) {
        [Some(_), Some(_)] if corrected => match contrast["p_holm"].as_f64().expect("a p-value") {
            p if p < 0.001 => "< 0.001".into(),
            p => format!("{p:.3}"),
        },
        [Some(low), Some(high)] => format!("{low:.2}–{high:.2}"),
        [Some(low), None] => format!("≥ {low:.2}"),
        [None, Some(high)] => format!("≤ {high:.2}"),
        [None, None] => "–".into(),
    };
    // Nothing but a bound was read.
    if value["censored"] == 1.0 { doubt } else { format!("{estimate:.2} ({doubt})") }
}

/// Rows are `| study | one for each arm … |`, the arms in the head: how many examples half of the seeds
/// need, `1,450 (1,024–2,048)`, or the bound beyond which it lies, `≥ 32,768`.
#[test]
fn needed_examples_are_those_of_the_stored_results() {
    let d50 = |size: f64, place: &str, interval: [Option<f64>; 2]| {
        needed(&serde_json::json!({ "size": size, "place": place, "interval": interval }))
    };
    assert_eq!(d50(1_448.2, "inside", [Some(1_024.0), Some(2_048.0)]), "1,450 (1,024–2,048)");
    assert_eq!(d50(861.07, "inside", [Some(558.3), None]), "861 (≥ 558)");
    assert_eq!(d50(32_768.0, "beyond", [Some(32_768.0), None]), "≥ 32,768");
    assert_eq!(d50(256.0, "below", [None, Some(358.1)]), "≤ 256");
    for Table { document, folder, rows } in tables("solved") {
        let arms = cells(rows[0]);
        for row in &rows[2..] {
            let cells = cells(row);
            assert_eq!(cells.len(), arms.len(), "{row}");
            let results = json(&remade(folder).join(cells[0]).join("results.json"));
            let found = results["solved"]["arms"].as_array().expect("arms");
            for (name, cell) in arms[1..].iter().zip(&cells[1..]) {
                let arm = found.iter().find(|arm| arm["arm"] == *name);
                let arm = arm.unwrap_or_else(|| panic!("{row}: {name} is no arm of {folder}"));
                assert_eq!(*cell, needed(&arm["d50"]), "{}: {row}: {name}", document.path);
            }
        }
    }
}

/// A number of examples in words.
fn needed(d50: &Value) -> String {
    let bound = |value: &Value| value.as_f64().map(examples);
    let size = bound(&d50["size"]).expect("a number of examples");
    match d50["place"].as_str().expect("a place") {
        "beyond" => format!("≥ {size}"),
        "below" => format!("≤ {size}"),
        _ => match [0, 1].map(|end| bound(&d50["interval"][end])) {
            [Some(low), Some(high)] => format!("{size} ({low}–{high})"),
            [Some(low), None] => format!("{size} (≥ {low})"),
            [None, Some(high)] => format!("{size} (≤ {high})"),
            [None, None] => format!("{size} (–)"),
        },
    }
}

/// Sizes as they are, what lies between them to three digits; thousands apart.
fn examples(count: f64) -> String {
    let unit =
        if (count - count.round()).abs() < 1e-6 * count { 1 } else { 10_i64.pow(count.log10() as u32).max(100) / 100 };
    let digits = ((count / unit as f64).round() as i64 * unit).to_string();
    match digits.len() {
        length @ 4.. => format!("{},{}", &digits[..length - 3], &digits[length - 3..]),
        _ => digits,
    }
}

/// Rows are `| study | arm : baseline | true ratio | intervals | share that holds it |`.
#[test]
fn coverages_are_the_stored_ones() {
    let mut checked = 0;
    for Table { document, folder, rows } in tables("coverage") {
        for row in &rows[2..] {
            let cells = cells(row);
            let stored = json(&root().join(folder).join(cells[0]).join("coverage.json"));
            let text = |found: &Value| {
                let [intervals, held] = ["intervals", "held"].map(|name| found[name].as_f64().expect("a count"));
                let pair = format!("{} : {}", found["arm"].as_str()?, found["baseline"].as_str()?);
                let truth = format!("{:.2}", found["truth"].as_f64()?);
                Some([pair, truth, intervals.to_string(), format!("{:.1} %", 100.0 * held / intervals)])
            };
            let all: Vec<_> = stored.as_array().expect("simulations").iter().filter_map(text).collect();
            assert!(all.iter().any(|found| found[..] == cells[1..]), "{}: {row} is not among {all:?}", document.path);
            checked += 1;
        }
    }
    assert!(checked >= 4, "{checked} coverages");
}

/// Every row is one of those that the folder's rows give, and the machine and the commit stand
/// beside it.
#[test]
fn speeds_are_those_of_the_stored_rows() {
    let mut checked = 0;
    for Table { document, folder, rows } in tables("speed") {
        let stored = succeed(astrocytic(&["bench", "--stored", text(&root().join(folder))]));
        let machine = stored.lines().next().expect("a machine");
        assert!(document.text.contains(machine), "\"{machine}\" is not in {}", document.path);
        for row in rows {
            assert!(stored.lines().any(|line| line == row), "{}: \"{row}\" is not among\n{stored}", document.path);
            checked += 1;
        }
    }
    assert!(checked >= 20, "{checked} rows of speed");
}

/// Rows of swapped models begin with a link to the page of a stored conversion; their figures are
/// that conversion's: losses over the original's, or cosines with the original's embeddings.
#[test]
fn conversions_are_the_stored_ones() {
    let mut checked = 0;
    for document in DOCUMENTS.iter() {
        for (_, line) in document.prose().filter(|(_, line)| line.starts_with("| [") && line.contains("/report.html)"))
        {
            let folder =
                line.split_once("](").and_then(|(_, rest)| rest.split_once("/report.html)")).expect("a link").0;
            let here = root().join(&document.path);
            let report = json(&here.parent().expect("a folder").join(folder).join("swap.json"));
            let losses = [
                "converted",
                "after_transfer",
                "after_recovery",
                "window_only_recovered",
                "no_attention",
                "no_attention_recovered",
            ];
            let expected = losses.map(|name| {
                // Where nothing was recovered the model after it is the one before.
                if name == "after_recovery" && report["config"]["recovery"]["steps"] == 0 {
                    return String::new();
                }
                let loss = report[format!("{name}_loss")].as_f64().zip(report["original_loss"].as_f64());
                let cosine = report[format!("{name}_cosine")].as_f64().map(|cosine| format!("{cosine:.4}"));
                loss.map(|(loss, original)| format!("{:+.4}", loss - original)).or(cosine).unwrap_or_default()
            });
            assert_eq!(cells(line)[1..], expected, "{}: {line}", document.path);
            checked += 1;
        }
    }
    assert!(checked >= 1, "no row of a conversion");
}

#[test]
fn the_readme_is_short_and_every_chapter_is_in_the_summary() {
    let lines = DOCUMENTS[0].text.lines().count();
    assert!(lines <= 200, "README.md has {lines} lines");
    let summary = DOCUMENTS.iter().find(|document| document.path == "book/src/SUMMARY.md").expect("a summary");
    for document in DOCUMENTS.iter().skip(1).filter(|document| document.path != summary.path) {
        let name = document.path.trim_start_matches("book/src/");
        assert_eq!(summary.text.matches(&format!("]({name})")).count(), 1, "SUMMARY.md has {name} once");
    }
}

#[test]
fn links_lead_somewhere() {
    for document in DOCUMENTS.iter() {
        for (number, line) in document.prose() {
            for target in line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target) {
                if target.starts_with("https://") {
                    continue;
                }
                let place = format!("{}, line {number}: {target}", document.path);
                let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
                let folder = Path::new(&document.path).parent().expect("a folder");
                let path = if file.is_empty() { document.path.clone().into() } else { folder.join(file) };
                assert!(root().join(&path).exists(), "{place}: no such file");
                if !anchor.is_empty() {
                    let led_to = DOCUMENTS.iter().find(|document| Path::new(&document.path) == path);
                    assert!(
                        led_to.is_some_and(|document| document.anchors().contains(anchor)),
                        "{place}: no such heading"
                    );
                }
            }
        }
    }
}

/// A block without a language would be taken for Rust by the documentation's tests, and for a
/// riddle by a reader.
#[test]
fn every_block_of_rust_is_compiled() {
    let compiled = read(&root().join("crates/astrocytic-models/src/lib.rs"));
    for document in DOCUMENTS.iter() {
        for (language, lines) in document.code() {
            assert!(!language.is_empty(), "{}: a block has no language: {lines:?}", document.path);
            let included = compiled.contains(&format!("../../../{}\"", document.path));
            assert!(included || !language.starts_with("rust"), "{} is not in the tests' list", document.path);
        }
    }
}

#[test]
fn commands_and_their_options_are_there() {
    let mut helps: BTreeMap<Vec<&str>, String> = BTreeMap::new();
    for document in DOCUMENTS.iter() {
        let blocks = document.code().into_iter().filter(|(language, _)| *language == "sh");
        for line in blocks.flat_map(|(_, lines)| lines) {
            let command = line.split(" #").next().unwrap_or_default().trim_end();
            let prefixes = ["astrocytic ", "cargo run --release -- "];
            let Some(arguments) = prefixes.iter().find_map(|prefix| command.strip_prefix(prefix)) else { continue };
            let words: Vec<&str> = arguments.split_whitespace().collect();
            // Of a command with commands of its own, two words.
            let own = if ["arms", "data", "simulate"].contains(&words[0]) { 2 } else { 1 };
            let help = helps.entry(words[..own].to_vec()).or_insert_with(|| {
                let help = [&words[..own], &["--help"]].concat();
                succeed(astrocytic(&help))
            });
            for option in words[own..].iter().filter(|word| word.starts_with("--")) {
                assert!(help.contains(option), "{}: {line}: {} has no {option}", document.path, words[..own].join(" "));
            }
        }
    }
    assert!(helps.len() >= 12, "{:?}", helps.keys());
}

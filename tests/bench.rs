//! `astrocytic bench` answers in the rows that it promises, keeps them, and measures a peer beside.

mod program;

use std::io::Write;
use std::process::{Command, Stdio};

use program::{astrocytic, run, succeed, text};
use serde_json::Value;

fn rows(output: &str) -> Vec<Value> {
    output.lines().map(|line| serde_json::from_str(line).expect("a row is JSON")).collect()
}

#[test]
fn rows_are_as_promised_and_tables_follow_from_them() {
    let folder = tempfile::tempdir().unwrap();
    let (out, peer) = (folder.path().join("out"), folder.path().join("peer.sh"));
    let script = r#"
        read hello; echo '{"op":"hello","torch":"0.0","threads":1,"peers":["mock","absent"]}'
        while read line; do case "$line" in
            *absent*) echo '{"error":"not here"}';;
            *) echo '{"op":"attention","variant":"mock","device":"none","direction":"forward","batch":8,"heads":4,"head_dim":32,"seq_len":48,"ms_median":123.0,"ms_min":122.0,"peak_mb":null}';;
        esac; done
    "#;
    std::fs::write(&peer, script).unwrap();
    let options = ["bench", "--parts", "attention", "--lengths", "48", "--seconds", "0.01", "--json"];
    let more = ["--against", text(&peer), "--python", "sh", "--rounds", "2", "--out", text(&out)];
    let found = rows(&succeed(astrocytic(&[&options[..], &more[..]].concat())));

    assert_eq!(found[0]["op"], "machine");
    assert_eq!(found[1]["op"], "matrix_peak");
    let ours = found.iter().filter(|row| row["device"] == "flex");
    let mut seen = 0;
    for row in ours {
        assert!(["astrocytic", "softmax"].contains(&row["op"].as_str().unwrap()), "{row}");
        assert!(["forward", "forward_backward"].contains(&row["direction"].as_str().unwrap()), "{row}");
        for field in ["batch", "heads", "head_dim", "seq_len", "ms_median", "ms_min", "gflops"] {
            assert!(row[field].as_f64().unwrap() > 0.0, "{field} in {row}");
        }
        assert!(row["ms_min"].as_f64() <= row["ms_median"].as_f64(), "{row}");
        assert!(row["peak_mb"].is_null() || row["peak_mb"].as_f64().unwrap() > 0.0, "{row}");
        seen += 1;
    }
    // Six variants, two directions; four lengths of equal tokens.
    assert_eq!(seen, 16);
    assert_eq!(found.iter().filter(|row| row["variant"] == "mock").count(), 2);

    let table = succeed(astrocytic(&["bench", "--stored", text(&out)]));
    for part in ["2 rounds", "PyTorch 0.0, 1 threads", "| linear |", "| mock |", "| tripartite |", "T = 16384"] {
        assert!(table.contains(part), "\"{part}\" is not in\n{table}");
    }
    // What is stored is not written over.
    let again = run(&[&options[..], &["--out", text(&out)]].concat());
    assert_eq!(again.status.code(), Some(2));
    assert_eq!(succeed(astrocytic(&["bench", "--stored", text(&out)])), table);
}

/// One measurement of a small model, as `bench` asks for it.
fn one(request: &str) -> Value {
    let mut command: Command = astrocytic(&["bench-one", "--device", "flex"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts");
    writeln!(child.stdin.take().unwrap(), "{request}").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{request}");
    serde_json::from_slice(&output.stdout).expect("a row")
}

#[test]
fn training_and_generation_are_measured() {
    let sizes = r#""layers":1,"d_model":32,"heads":2,"d_hidden":88,"vocabulary":64"#;
    for arm in ["vanilla", "tripartite"] {
        let train =
            one(&format!(r#"{{"op":"train_step","arm":"{arm}","batch":2,"seq_len":16,"seconds":0.01,{sizes}}}"#));
        assert_eq!((&train["op"], &train["arm"]), (&"train_step".into(), &arm.into()));
        assert!(train["tokens_per_s"].as_f64().unwrap() > 0.0 && train["parameters"].as_u64().unwrap() > 1000);
        let state = |position: u64| {
            let request = format!(r#"{{"op":"generate","arm":"{arm}","position":{position},"tokens":3,{sizes}}}"#);
            let row = one(&request);
            assert!(row["ms_per_token"].as_f64().unwrap() > 0.0, "{row}");
            row["state_bytes"].as_u64().unwrap()
        };
        assert_eq!(state(40) == state(80), arm == "tripartite", "{arm}: growth of the state");
    }
}

#[test]
fn gradients_through_segments_are_measured() {
    let of = |segments: u64, replayed: bool| {
        one(&format!(r#"{{"op":"segments","segments":{segments},"replayed":{replayed},"seconds":0.01}}"#))
    };
    let (replayed, through_time) = (of(2, true), of(2, false));
    assert_eq!([&replayed["by"], &through_time["by"]], ["replay", "through_time"]);
    for row in [replayed, through_time] {
        assert!(row["ms_median"].as_f64().unwrap() > 0.0 && row["tokens"] == 2_048, "{row}");
    }
}

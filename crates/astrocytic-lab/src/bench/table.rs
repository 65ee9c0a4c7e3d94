//! Rows as tables to read, in Markdown.

use std::fmt::Write;

use super::request::Direction;
use super::row::{AttentionRow, MachineRow, Row};

/// The op by variant and length, training steps, generation, segments; with the ratios to peers
/// where there are.
pub fn table(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        if let Row::Machine(MachineRow { machine, commit, peer, rounds, .. }) = row {
            let peer = peer.as_ref().map_or(String::new(), |peer| format!("; {peer}"));
            writeln!(text, "{machine}{peer}; commit {commit}; medians of {rounds} rounds").expect("a string");
        }
    }
    let peak = rows.iter().find_map(|row| if let Row::Peak(row) = row { Some(row.gflops) } else { None });
    if let Some(peak) = peak {
        writeln!(text, "Matrix product of size 2,048: {peak:.0} GFLOP/s").expect("a string");
    }
    attention(rows, peak, &mut text);
    training(rows, &mut text);
    generation(rows, &mut text);
    segments(rows, &mut text);
    text
}

fn attention(rows: &[Row], peak: Option<f64>, text: &mut String) {
    let rows: Vec<_> =
        rows.iter().filter_map(|row| if let Row::Attention(row) = row { Some(row) } else { None }).collect();
    // The lengths of one batch are compared; the others are of equal tokens.
    let Some(batch) = rows.first().map(|row| row.batch) else { return };
    let (same, growing): (Vec<&AttentionRow>, Vec<&AttentionRow>) =
        rows.into_iter().partition(|row| row.batch == batch);
    let mut lengths: Vec<_> = same.iter().map(|row| row.seq_len).collect();
    lengths.sort_unstable();
    lengths.dedup();
    for direction in [Direction::Forward, Direction::ForwardBackward] {
        let of: Vec<_> = same.iter().filter(|row| row.direction == direction).collect();
        let mut variants: Vec<&str> = of.iter().map(|row| row.variant.as_str()).collect();
        let mut seen = Vec::new();
        variants.retain(|variant| {
            !seen.contains(variant) && {
                seen.push(*variant);
                true
            }
        });
        let find = |variant: &str, length: usize| of.iter().find(|row| row.variant == variant && row.seq_len == length);
        let what = if direction == Direction::Forward { "forward" } else { "forward and backward" };
        let heads = lengths.iter().map(|t| format!(" T = {t} |")).collect::<String>();
        writeln!(text, "\n| attention, {what}, ms (times linear's) |{heads} peak MB | share of peak |")
            .expect("a string");
        writeln!(text, "|---|{}---|---|", "---|".repeat(lengths.len())).expect("a string");
        for variant in variants {
            let cell = |&t: &usize| match (find(variant, t), find("linear", t)) {
                (Some(row), Some(linear)) => {
                    format!(" {:.1} ({:.1}) |", row.ms_median, row.ms_median / linear.ms_median)
                }
                _ => " |".into(),
            };
            let cells = lengths.iter().map(cell).collect::<String>();
            let last = lengths.last().and_then(|&t| find(variant, t));
            let memory = last.and_then(|row| row.peak_mb).map_or(String::new(), |mb| format!("{mb:.0}"));
            let share = last.and_then(|row| Some(100.0 * row.gflops? / peak?));
            let share = share.map_or(String::new(), |share| format!("{share:.0} %"));
            writeln!(text, "| {variant} |{cells} {memory} | {share} |").expect("a string");
        }
    }
    let per_token = |row: &AttentionRow| row.ms_median * 1e6 / (row.batch * row.seq_len) as f64;
    if let Some(first) = growing.first() {
        writeln!(text, "\nTime for a token at equal tokens in a batch, forward and backward, linear:")
            .expect("a string");
        for row in &growing {
            let grown = per_token(row) / per_token(first);
            writeln!(text, "T = {}: {:.0} ns (times {grown:.2})", row.seq_len, per_token(row)).expect("a string");
        }
    }
}

fn training(rows: &[Row], text: &mut String) {
    let rows: Vec<_> =
        rows.iter().filter_map(|row| if let Row::TrainStep(row) = row { Some(row) } else { None }).collect();
    if rows.is_empty() {
        return;
    }
    writeln!(text, "\n| training step | T | tokens/s | against torch-softmax |\n|---|---|---|---|").expect("a string");
    for row in &rows {
        let peer = rows.iter().find(|peer| peer.arm == "torch-softmax" && peer.seq_len == row.seq_len);
        let ratio = peer.map_or(String::new(), |peer| format!("{:.2}", row.tokens_per_s / peer.tokens_per_s));
        writeln!(text, "| {} | {} | {:.0} | {ratio} |", row.arm, row.seq_len, row.tokens_per_s).expect("a string");
    }
}

fn generation(rows: &[Row], text: &mut String) {
    let rows: Vec<_> =
        rows.iter().filter_map(|row| if let Row::Generate(row) = row { Some(row) } else { None }).collect();
    if rows.is_empty() {
        return;
    }
    writeln!(text, "\n| generation | position | ms a token | state, bytes |\n|---|---|---|---|").expect("a string");
    for row in &rows {
        let state = row.state_bytes.map_or(String::new(), |bytes| bytes.to_string());
        writeln!(text, "| {} | {} | {:.3} | {state} |", row.arm, row.position, row.ms_per_token).expect("a string");
    }
}

fn segments(rows: &[Row], text: &mut String) {
    let rows: Vec<_> =
        rows.iter().filter_map(|row| if let Row::Segments(row) = row { Some(row) } else { None }).collect();
    if rows.is_empty() {
        return;
    }
    writeln!(text, "\n| gradients through segments | by | tokens | ms | peak MB |\n|---|---|---|---|---|")
        .expect("a string");
    for row in &rows {
        let memory = row.peak_mb.map_or(String::new(), |mb| format!("{mb:.0}"));
        let (by, tokens, ms) = (row.by.replace('_', " "), row.tokens, row.ms_median);
        writeln!(text, "| {} | {by} | {tokens} | {ms:.0} | {memory} |", row.segments).expect("a string");
    }
}

//! The report of a conversion: one HTML file that needs nothing else.

use std::fmt::Write;

use anyhow::Result;

use super::config::SwapConfig;
use super::measure::{LayerError, Speed};
use super::report::{EncoderReport, SwapReport};
use super::stage::StageConfig;
use super::transfer::Match;
use crate::report::{STYLE, Shade, escape, picture};

/// Steps of the attention maps.
pub(super) const MAP_STEPS: usize = 64;
/// Pixels of a map's cell.
const CELL: usize = 3;

/// The page of a decoder; `maps` are each layer's weights, the original's and the model's.
pub(super) fn decoder(report: &SwapReport, maps: &[[Vec<f32>; 2]]) -> Result<String> {
    let config = &report.config;
    let mut page = head(
        config,
        &report.preset,
        &report.layers,
        report.model_layers,
        [&report.commit, &report.machine],
        report.seconds,
    )?;
    writeln!(page, "<p class=\"headline\">{}</p>", escape(&headline(report)))?;

    writeln!(page, "<h2>Loss</h2><table><tr><th>model</th><th>nats per token</th><th>over the original</th></tr>")?;
    let row = |page: &mut String, name: &str, loss: Option<f64>| match loss {
        Some(loss) => {
            writeln!(page, "<tr><td>{name}</td><td>{loss:.4}</td><td>{:+.4}</td></tr>", loss - report.original_loss)
        }
        None => Ok(()),
    };
    row(&mut page, "original", Some(report.original_loss))?;
    row(&mut page, "converted, nothing trained", Some(report.converted_loss))?;
    row(&mut page, "after attention transfer", Some(report.after_transfer_loss))?;
    row(&mut page, "after recovery", recovered(config).then_some(report.after_recovery_loss))?;
    row(&mut page, "control: its windows alone, memories off", report.window_only_loss)?;
    row(&mut page, "control: windows alone from the start, trained alike", report.window_only_recovered_loss)?;
    row(&mut page, "control: original without attention there", Some(report.no_attention_loss))?;
    row(&mut page, "control: the same, recovered alike", report.no_attention_recovered_loss)?;
    writeln!(page, "</table>")?;
    read_notes(&mut page, &report.notes)?;
    training(&mut page, config, report.parameters)?;
    layers(&mut page, config, [&report.converted, &report.after_transfer, &report.after_recovery])?;

    writeln!(
        page,
        "<h2>Generation</h2><table><tr><th>position</th><th colspan=\"2\">tokens/s</th><th colspan=\"2\">state, KB</th></tr>\
         <tr><th></th><th>original</th><th>swapped</th><th>original</th><th>swapped</th></tr>"
    )?;
    for (old, new) in report.original_speed.iter().zip(&report.speed) {
        let kilobytes = |speed: &Speed| speed.state_bytes as f64 / 1e3;
        writeln!(
            page,
            "<tr><td>{}</td><td>{:.0}</td><td>{:.0}</td><td>{:.1}</td><td>{:.1}</td></tr>",
            old.position,
            old.tokens_per_s,
            new.tokens_per_s,
            kilobytes(old),
            kilobytes(new)
        )?;
    }
    writeln!(page, "</table><p class=\"note\">One sequence, a token at a time; medians.</p>")?;

    pictures(&mut page, &report.layers, maps)?;
    Ok(page)
}

/// The page of an encoder.
pub(super) fn encoder(report: &EncoderReport, maps: &[[Vec<f32>; 2]]) -> Result<String> {
    let config = &report.config;
    let mut page = head(
        config,
        &report.preset,
        &report.layers,
        report.model_layers,
        [&report.commit, &report.machine],
        report.seconds,
    )?;
    writeln!(
        page,
        "<p class=\"headline\">With {} of {} attention layers swapped, embeddings of held-out texts have a mean cosine of \
         {:.4} with the original's; without attention there it is {:.4}.</p>",
        report.layers.len(),
        report.model_layers,
        report.after_recovery_cosine,
        report.no_attention_recovered_cosine.unwrap_or(report.no_attention_cosine)
    )?;
    writeln!(page, "<h2>Embeddings</h2><table><tr><th>model</th><th>cosine with the original</th></tr>")?;
    for (name, cosine) in [
        ("converted, nothing trained", Some(report.converted_cosine)),
        ("after attention transfer", Some(report.after_transfer_cosine)),
        ("after recovery", recovered(config).then_some(report.after_recovery_cosine)),
        ("control: original without attention there", Some(report.no_attention_cosine)),
        ("control: the same, recovered alike", report.no_attention_recovered_cosine),
    ] {
        if let Some(cosine) = cosine {
            writeln!(page, "<tr><td>{name}</td><td>{cosine:.4}</td></tr>")?;
        }
    }
    writeln!(page, "</table><p class=\"note\">Embedding of a text: {}.</p>", escape(&report.pooling))?;
    read_notes(&mut page, &report.notes)?;
    training(&mut page, config, report.parameters)?;
    if !report.probes.is_empty() {
        writeln!(
            page,
            "<h2>Probes</h2><table><tr><th>texts</th><th>measured on</th><th>commonest class</th><th>original</th>\
             <th>transfer</th><th>recovery</th><th>no attention</th></tr>"
        )?;
    }
    for probe in &report.probes {
        let cells: String =
            [probe.commonest, probe.original, probe.after_transfer, probe.after_recovery, probe.no_attention]
                .iter()
                .map(|share| format!("<td>{:.1} %</td>", 100.0 * share))
                .collect();
        writeln!(page, "<tr><td>{}</td><td>{}</td>{cells}</tr>", escape(&probe.name), probe.texts)?;
    }
    if !report.probes.is_empty() {
        writeln!(
            page,
            "</table><p class=\"note\">Accuracy of a linear classifier of the embeddings, trained on four fifths of the \
             labelled texts and measured on the rest.</p>"
        )?;
    }
    layers(&mut page, config, [&report.converted, &report.after_transfer, &report.after_recovery])?;
    pictures(&mut page, &report.layers, maps)?;
    Ok(page)
}

/// Everything up to the headline.
fn head(
    config: &SwapConfig,
    preset: &str,
    layers: &[usize],
    model_layers: usize,
    [commit, machine]: [&str; 2],
    seconds: f64,
) -> Result<String> {
    let mut page = String::new();
    let path = &config.model;
    let name = path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into());
    let title = escape(&format!("{name}: attention swapped for {preset}"));
    write!(
        page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>{title}</title><style>{STYLE}.maps{{display:flex;flex-wrap:wrap;gap:16px 28px}}\
         .maps figure{{margin:0}}.maps img{{image-rendering:pixelated;border:1px solid #ddd;margin-right:6px}}\
         figcaption{{font-size:14px;color:#555}}</style></head><body>\n<h1>{title}</h1>\n"
    )?;
    let layers: Vec<String> = layers.iter().map(usize::to_string).collect();
    writeln!(
        page,
        "<p class=\"facts\">Layers {} of 0 to {}; window {}; {} rows of up to {} tokens of {} to train on, {} to measure on; \
         seed {}. Commit {}, {}; {seconds:.0} s.</p>",
        layers.join(", "),
        model_layers - 1,
        if config.window == 0 { "none".into() } else { format!("{} steps", config.window) },
        config.rows,
        config.context,
        escape(config.corpus.as_deref().unwrap_or("text that the original samples")),
        config.held_out,
        config.seed,
        escape(commit),
        escape(machine),
    )?;
    Ok(page)
}

/// How it was trained.
fn training(page: &mut String, config: &SwapConfig, parameters: [usize; 2]) -> Result<()> {
    let stage = |stage: &StageConfig| match stage.steps {
        0 => "left out".to_string(),
        steps => format!("{steps} steps of {} rows, learning rate {}", config.batch, stage.learning_rate),
    };
    writeln!(
        page,
        "<p class=\"note\">Transfer (feature maps and gates, matching {}): {}. Recovery ({}): {}. Parameters: {} before, {} \
         after.</p>",
        if config.matched == Match::Output { "each layer's output" } else { "each layer's weights" },
        stage(&config.transfer),
        if config.adapters > 0 { format!("adapters of rank {}", config.adapters) } else { "all weights".into() },
        stage(&config.recovery),
        parameters[0],
        parameters[1]
    )?;
    Ok(())
}

/// Whether the model was recovered at all.
fn recovered(config: &SwapConfig) -> bool {
    config.recovery.steps > 0
}

/// Errors of the layers after conversion and after each stage that was not left out.
fn layers(page: &mut String, config: &SwapConfig, errors: [&[LayerError]; 3]) -> Result<()> {
    let shown = [true, config.transfer.steps > 0, recovered(config)];
    let stages: Vec<(&str, &[LayerError])> = ["converted", "transfer", "recovery"]
        .into_iter()
        .zip(errors)
        .zip(shown)
        .filter_map(|(stage, shown)| shown.then_some(stage))
        .collect();
    let names: String = stages.iter().map(|(name, _)| format!("<th>{name}</th>")).collect();
    let columns = stages.len();
    writeln!(
        page,
        "<h2>Layers</h2><div class=\"wide\"><table><tr><th>layer</th><th colspan=\"{columns}\">error of the output</th>\
         <th colspan=\"{columns}\">error of the weights</th><th colspan=\"{}\">entropy of the weights, nats</th></tr>\
         <tr><th></th>{names}{names}<th>original</th>{names}</tr>",
        columns + 1
    )?;
    for (i, first) in errors[0].iter().enumerate() {
        let cells = |of: fn(&LayerError) -> f64| {
            stages.iter().map(|(_, errors)| format!("<td>{:.3}</td>", of(&errors[i]))).collect::<String>()
        };
        writeln!(
            page,
            "<tr><td>{}</td>{}{}<td>{:.3}</td>{}</tr>",
            first.layer,
            cells(|error| error.output),
            cells(|error| error.weights),
            first.original_entropy,
            cells(|error| error.entropy)
        )?;
    }
    writeln!(
        page,
        "</table></div><p class=\"note\">Each layer is given the original's input. Error of the output: root mean square of the \
         difference over that of the original's output. Error of the weights: total variation between the rows; weights of the \
         delta rule can be negative, so that theirs can exceed 1 and they have no entropy. After recovery a layer need not \
         imitate the original's any more: the model as a whole does.</p>"
    )?;
    Ok(())
}

/// Attention maps side by side, and the end of the page.
fn pictures(page: &mut String, layers: &[usize], maps: &[[Vec<f32>; 2]]) -> Result<()> {
    writeln!(page, "<h2>Attention maps</h2><div class=\"maps\">")?;
    for (layer, [old, new]) in layers.iter().zip(maps) {
        writeln!(
            page,
            "<figure>{}{}<figcaption>layer {layer}: original, swapped</figcaption></figure>",
            map(old)?,
            map(new)?
        )?;
    }
    writeln!(
        page,
        "</div><p class=\"note\">Weights of the first {MAP_STEPS} steps at most of a held-out row, mean over heads; a row is a \
         query, its darkest cell the largest weight of the row. With the original's inputs.</p></body></html>"
    )?;
    Ok(())
}

/// A square of weights.
fn map(weights: &[f32]) -> Result<String> {
    let values: Vec<f64> = weights.iter().copied().map(f64::from).collect();
    picture(&values, weights.len().isqrt(), CELL, Shade::Rows, "attention weights")
}

/// What was guessed or left out in reading the model's files and texts.
fn read_notes(page: &mut String, notes: &[String]) -> Result<()> {
    for note in notes {
        writeln!(page, "<p class=\"note\">Note on what was read: {}.</p>", escape(note))?;
    }
    Ok(())
}

fn headline(report: &SwapReport) -> String {
    let gap = report.after_recovery_loss - report.original_loss;
    let mut text = format!(
        "With {} of {} attention layers swapped the model is {gap:+.4} nats per token from the original ({:.4}); without \
         attention there it is ",
        report.layers.len(),
        report.model_layers,
        report.original_loss
    );
    match report.no_attention_recovered_loss.map(|loss| loss - report.original_loss) {
        Some(without) => {
            let share = 100.0 * (1.0 - gap / without);
            write!(text, "{without:+.4}, trained alike, so the swapped layers do {share:.0} % of what attention did.")
        }
        None => write!(text, "{:+.4}, untrained.", report.no_attention_loss - report.original_loss),
    }
    .expect("strings take all");
    if let Some(window) = report.window_only_recovered_loss.or(report.window_only_loss) {
        let window = window - report.original_loss;
        write!(text, " The window alone is at {window:+.4}.").expect("strings take all");
    }
    text
}

//! The report of a conversion: one HTML file that needs nothing else.

use anyhow::Result;
use maud::{Markup, html};

use super::config::SwapConfig;
use super::measure::{LayerError, Speed};
use super::report::{EncoderReport, SwapReport};
use super::stage::StageConfig;
use super::transfer::Match;
use crate::report::{MATRICES, Shade, html_page, picture, table, wide_table};

/// Steps of the attention maps.
pub(super) const MAP_STEPS: usize = 64;
/// Pixels of a map's cell.
const CELL: usize = 3;

/// What the pages of decoders and encoders share.
struct Conversion<'a> {
    config: &'a SwapConfig,
    preset: &'a str,
    layers: &'a [usize],
    model_layers: usize,
    commit: &'a str,
    machine: &'a str,
    seconds: f64,
    parameters: [usize; 2],
    notes: &'a [String],
    /// After conversion, transfer and recovery.
    errors: [&'a [LayerError]; 3],
    /// Weights of each layer, the original's and the model's.
    maps: &'a [[Vec<f32>; 2]],
}

/// The page of a decoder; `maps` are each layer's weights, the original's and the model's.
pub(super) fn decoder(report: &SwapReport, maps: &[[Vec<f32>; 2]]) -> Result<String> {
    let conversion = Conversion {
        config: &report.config,
        preset: &report.preset,
        layers: &report.layers,
        model_layers: report.model_layers,
        commit: &report.commit,
        machine: &report.machine,
        seconds: report.seconds,
        parameters: report.parameters,
        notes: &report.notes,
        errors: [&report.converted, &report.after_transfer, &report.after_recovery],
        maps,
    };
    let mut blocks = vec![conversion.facts(), html! { p.headline { (headline(report)) } }];
    blocks.extend(losses(report));
    blocks.extend(conversion.notes());
    blocks.push(conversion.training());
    blocks.extend(conversion.layers());
    blocks.extend(generation(report));
    blocks.extend(conversion.pictures()?);
    Ok(html_page(&conversion.title(), MATRICES, blocks))
}

/// The page of an encoder.
pub(super) fn encoder(report: &EncoderReport, maps: &[[Vec<f32>; 2]]) -> Result<String> {
    let conversion = Conversion {
        config: &report.config,
        preset: &report.preset,
        layers: &report.layers,
        model_layers: report.model_layers,
        commit: &report.commit,
        machine: &report.machine,
        seconds: report.seconds,
        parameters: report.parameters,
        notes: &report.notes,
        errors: [&report.converted, &report.after_transfer, &report.after_recovery],
        maps,
    };
    let without = report.no_attention_recovered_cosine.unwrap_or(report.no_attention_cosine);
    let mut blocks = vec![
        conversion.facts(),
        html! {
            p.headline {
                "With " (report.layers.len()) " of " (report.model_layers) " attention layers swapped, embeddings of held-out texts \
                 have a mean cosine of " (four(report.after_recovery_cosine)) " with the original's; without attention there it is "
                (four(without)) "."
            }
        },
    ];
    blocks.extend(embeddings(report));
    blocks.extend(conversion.notes());
    blocks.push(conversion.training());
    blocks.extend(probes(report));
    blocks.extend(conversion.layers());
    blocks.extend(conversion.pictures()?);
    Ok(html_page(&conversion.title(), MATRICES, blocks))
}

impl Conversion<'_> {
    fn title(&self) -> String {
        let path = &self.config.model;
        let name = path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into());
        format!("{name}: attention swapped for {}", self.preset)
    }

    /// What was swapped, on what and where.
    fn facts(&self) -> Markup {
        let config = self.config;
        let layers: Vec<String> = self.layers.iter().map(usize::to_string).collect();
        let corpus = config.corpus.as_deref().unwrap_or("text that the original samples");
        html! {
            p.facts {
                "Layers " (layers.join(", ")) " of 0 to " (self.model_layers - 1) "; window "
                @if config.window == 0 { "none" } @else { (config.window) " steps" }
                "; " (config.rows) " rows of up to " (config.context) " tokens of " (corpus) " to train on, " (config.held_out)
                " to measure on; seed " (config.seed) ". Commit " (self.commit) ", " (self.machine) "; "
                (format!("{:.0} s", self.seconds)) "."
            }
        }
    }

    /// What was guessed or left out in reading the model's files and texts.
    fn notes(&self) -> impl Iterator<Item = Markup> {
        self.notes.iter().map(|note| html! { p.note { "Note on what was read: " (note) "." } })
    }

    /// How it was trained.
    fn training(&self) -> Markup {
        let config = self.config;
        let stage = |stage: &StageConfig| match stage.steps {
            0 => "left out".to_string(),
            steps => format!("{steps} steps of {} rows, learning rate {}", config.batch, stage.learning_rate),
        };
        let matched = if config.matched == Match::Output { "each layer's output" } else { "each layer's weights" };
        let [before, after] = self.parameters;
        html! {
            p.note {
                "Transfer (feature maps and gates, matching " (matched) "): " (stage(&config.transfer)) ". Recovery ("
                @if config.adapters > 0 { "adapters of rank " (config.adapters) } @else { "all weights" }
                "): " (stage(&config.recovery)) ". Parameters: " (before) " before, " (after) " after."
            }
        }
    }

    /// Errors of the layers after conversion and after each stage that was not left out.
    fn layers(&self) -> [Markup; 3] {
        let shown = [true, self.config.transfer.steps > 0, recovered(self.config)];
        let stages: Vec<(&str, &[LayerError])> = ["converted", "transfer", "recovery"]
            .into_iter()
            .zip(self.errors)
            .zip(shown)
            .filter_map(|(stage, shown)| shown.then_some(stage))
            .collect();
        let columns = stages.len();
        let names = || html! { @for (name, _) in &stages { th { (name) } } };
        let head = html! {
            tr {
                th { "layer" }
                th colspan=(columns) { "error of the output" }
                th colspan=(columns) { "error of the weights" }
                th colspan=(columns + 1) { "entropy of the weights, nats" }
            }
            tr { th {} (names()) (names()) th { "original" } (names()) }
        };
        let row = |(i, first): (usize, &LayerError)| {
            let cells = |of: fn(&LayerError) -> f64| {
                html! { @for (_, errors) in &stages { td { (three(of(&errors[i]))) } } }
            };
            html! {
                tr {
                    td { (first.layer) }
                    (cells(|error| error.output))
                    (cells(|error| error.weights))
                    td { (three(first.original_entropy)) }
                    (cells(|error| error.entropy))
                }
            }
        };
        [
            html! { h2 { "Layers" } },
            wide_table(head, self.errors[0].iter().enumerate().map(row)),
            html! {
                p.note {
                    "Each layer is given the original's input. Error of the output: root mean square of the difference over that \
                     of the original's output. Error of the weights: total variation between the rows; weights of the delta rule \
                     can be negative, so that theirs can exceed 1 and they have no entropy. After recovery a layer need not \
                     imitate the original's any more: the model as a whole does."
                }
            },
        ]
    }

    /// Attention maps side by side.
    fn pictures(&self) -> Result<[Markup; 3]> {
        let square = |weights: &[f32]| {
            let values: Vec<f64> = weights.iter().copied().map(f64::from).collect();
            picture(&values, weights.len().isqrt(), CELL, Shade::Rows, "attention weights")
        };
        let pairs = self.layers.iter().zip(self.maps);
        let maps =
            pairs.map(|(layer, [old, new])| Ok((layer, square(old)?, square(new)?))).collect::<Result<Vec<_>>>()?;
        Ok([
            html! { h2 { "Attention maps" } },
            html! {
                div.maps {
                    @for (layer, old, new) in maps {
                        figure { (old) (new) figcaption { "layer " (layer) ": original, swapped" } }
                    }
                }
            },
            html! {
                p.note {
                    "Weights of the first " (MAP_STEPS) " steps at most of a held-out row, mean over heads; a row is a query, its \
                     darkest cell the largest weight of the row. With the original's inputs."
                }
            },
        ])
    }
}

/// Whether the model was recovered at all.
fn recovered(config: &SwapConfig) -> bool {
    config.recovery.steps > 0
}

fn headline(report: &SwapReport) -> String {
    let over = |loss: f64| loss - report.original_loss;
    let gap = over(report.after_recovery_loss);
    let without = match report.no_attention_recovered_loss.map(over) {
        Some(without) => {
            let share = 100.0 * (1.0 - gap / without);
            format!("{without:+.4}, trained alike, so the swapped layers do {share:.0} % of what attention did.")
        }
        None => format!("{:+.4}, untrained.", over(report.no_attention_loss)),
    };
    let window = report.window_only_recovered_loss.or(report.window_only_loss).map(over);
    let window = window.map_or(String::new(), |window| format!(" The window alone is at {window:+.4}."));
    format!(
        "With {} of {} attention layers swapped the model is {gap:+.4} nats per token from the original ({:.4}); without attention \
         there it is {without}{window}",
        report.layers.len(),
        report.model_layers,
        report.original_loss
    )
}

/// Losses of the original, of the model at each stage and of the controls.
fn losses(report: &SwapReport) -> [Markup; 2] {
    let after_recovery = recovered(&report.config).then_some(report.after_recovery_loss);
    let rows = [
        ("original", Some(report.original_loss)),
        ("converted, nothing trained", Some(report.converted_loss)),
        ("after attention transfer", Some(report.after_transfer_loss)),
        ("after recovery", after_recovery),
        ("control: its windows alone, memories off", report.window_only_loss),
        ("control: windows alone from the start, trained alike", report.window_only_recovered_loss),
        ("control: original without attention there", Some(report.no_attention_loss)),
        ("control: the same, recovered alike", report.no_attention_recovered_loss),
    ];
    let rows = rows.into_iter().filter_map(|(name, loss)| {
        let over = format!("{:+.4}", loss? - report.original_loss);
        Some(html! { tr { td { (name) } td { (four(loss?)) } td { (over) } } })
    });
    let head = html! { tr { th { "model" } th { "nats per token" } th { "over the original" } } };
    [html! { h2 { "Loss" } }, table(head, rows)]
}

/// Speed and state of generation by position.
fn generation(report: &SwapReport) -> [Markup; 3] {
    let head = html! {
        tr { th { "position" } th colspan="2" { "tokens/s" } th colspan="2" { "state, KB" } }
        tr { th {} @for _ in 0..2 { th { "original" } th { "swapped" } } }
    };
    let kilobytes = |speed: &Speed| format!("{:.1}", speed.state_bytes as f64 / 1e3);
    let rows = report.original_speed.iter().zip(&report.speed).map(|(old, new)| {
        html! {
            tr {
                td { (old.position) }
                @for speed in [old, new] { td { (format!("{:.0}", speed.tokens_per_s)) } }
                @for speed in [old, new] { td { (kilobytes(speed)) } }
            }
        }
    });
    let note = html! { p.note { "One sequence, a token at a time; medians." } };
    [html! { h2 { "Generation" } }, table(head, rows), note]
}

/// Cosines of the model's embeddings at each stage and of the controls'.
fn embeddings(report: &EncoderReport) -> [Markup; 3] {
    let rows = [
        ("converted, nothing trained", Some(report.converted_cosine)),
        ("after attention transfer", Some(report.after_transfer_cosine)),
        ("after recovery", recovered(&report.config).then_some(report.after_recovery_cosine)),
        ("control: original without attention there", Some(report.no_attention_cosine)),
        ("control: the same, recovered alike", report.no_attention_recovered_cosine),
    ];
    let rows = rows.into_iter().filter_map(|(name, cosine)| {
        let cosine = four(cosine?);
        Some(html! { tr { td { (name) } td { (cosine) } } })
    });
    [
        html! { h2 { "Embeddings" } },
        table(html! { tr { th { "model" } th { "cosine with the original" } } }, rows),
        html! { p.note { "Embedding of a text: " (report.pooling) "." } },
    ]
}

/// Accuracies of linear classifiers of the embeddings.
fn probes(report: &EncoderReport) -> Vec<Markup> {
    if report.probes.is_empty() {
        return Vec::new();
    }
    let heads = ["texts", "measured on", "commonest class", "original", "transfer", "recovery", "no attention"];
    let head = html! { tr { @for head in heads { th { (head) } } } };
    let rows = report.probes.iter().map(|probe| {
        let shares = [probe.commonest, probe.original, probe.after_transfer, probe.after_recovery, probe.no_attention];
        html! {
            tr {
                td { (probe.name) } td { (probe.texts) }
                @for share in shares { td { (format!("{:.1} %", 100.0 * share)) } }
            }
        }
    });
    vec![
        html! { h2 { "Probes" } },
        table(head, rows),
        html! {
            p.note {
                "Accuracy of a linear classifier of the embeddings, trained on four fifths of the labelled texts and measured on \
                 the rest."
            }
        },
    ]
}

fn three(value: f64) -> String {
    format!("{value:.3}")
}

fn four(value: f64) -> String {
    format!("{value:.4}")
}

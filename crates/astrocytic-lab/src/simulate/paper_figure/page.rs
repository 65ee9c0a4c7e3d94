//! The page.

use anyhow::Result;
use astrocytic_models::conversion::Swappable;
use burn::tensor::Tensor;
use maud::{Markup, html};
use plotters::style::RGBColor;

use super::report::{MapError, PaperFigureReport};
use super::study::{Layers, Study, softmax_kernel};
use crate::report::plot::{Pattern, Series, colour};
use crate::report::{Shade, picture, wide_table};
use crate::simulate::feature_maps::RandomMap;
use crate::simulate::page::{Page, dotted_line, heading, line, linear, logarithmic, matrices, plot};

/// Features of the two curves of the figure, and captions of their weights.
const FIGURE_FEATURES: [(usize, &str); 2] =
    [(1_000, "the network's, m = 1,000"), (100_000, "the network's, m = 100,000")];

/// The whole page.
pub(super) fn page<M: Swappable>(report: &PaperFigureReport, study: &Study<M>, layers: &Layers) -> Result<Page> {
    let mut blocks = figure(report, study, layers)?.to_vec();
    blocks.extend(past_it(report)?);
    blocks.push(table(report));
    blocks.push(notes(report, study));
    let title = "An astrocyte's response and softmax attention, on a pretrained model";
    Ok(Page { title, headline: headline(report), blocks })
}

fn headline(report: &PaperFigureReport) -> String {
    let most = most_features(report);
    let of = |map: RandomMap| report.maps.iter().find(|found| found.map == map.name() && found.m == most);
    let Some((positive, orthogonal)) = of(RandomMap::Positive).zip(of(RandomMap::PositiveOrthogonal)) else {
        return String::new();
    };
    format!(
        "With {most} positive random features the normaliser of a token is {:.1} % off (median) and a layer's output {:.1} %; \
         orthogonal directions: {:.1} and {:.1} %. Whole model, {}: {:.3} and {:.3}; original {:.3}, without attention {:.3}.",
        100.0 * positive.error_normaliser,
        100.0 * positive.error_output,
        100.0 * orthogonal.error_normaliser,
        100.0 * orthogonal.error_output,
        report.loss,
        positive.loss,
        orthogonal.loss,
        report.original_loss,
        report.no_attention_loss
    )
}

fn most_features(report: &PaperFigureReport) -> usize {
    report.config.features.iter().max().copied().unwrap_or(0)
}

/// The paper's figure: the normaliser of a head of the first layer, and the attention weights.
fn figure<M: Swappable>(report: &PaperFigureReport, study: &Study<M>, layers: &Layers) -> Result<[Markup; 3]> {
    let [query, key, _] = layers.first();
    let head = 5.min(query.dims()[1] - 1);
    let [query, key] = [query, key].map(|x| x.narrow(0, 0, 1).narrow(1, head, 1));
    let exact = study.visible(softmax_kernel(&query, &key));
    let estimates =
        FIGURE_FEATURES.map(|(m, _)| study.visible(RandomMap::Positive.kernel(&query, &key, m, report.config.seed)));
    let curve = |weights: &Tensor<4>| -> Vec<(f64, f64)> {
        let sums = weights.clone().sum_dim(3).into_data().iter::<f64>().collect::<Vec<f64>>();
        sums.into_iter().enumerate().map(|(token, sum)| (token as f64 + 1.0, sum)).collect()
    };
    let mut series = vec![line("softmax normaliser", colour(0), curve(&exact))];
    for (place, ((m, _), estimate)) in FIGURE_FEATURES.iter().zip(&estimates).enumerate() {
        let pattern = if place == 0 { Pattern::Dotted } else { Pattern::Dashed };
        let name = format!("astrocyte, m = {m}");
        series.push(Series { pattern, ..line(&name, colour(place + 1), curve(estimate)) });
    }
    let steps = exact.dims()[3];
    let map = |(weights, caption): (&Tensor<4>, &'static str)| {
        let weights = weights.clone() / weights.clone().sum_dim(3);
        let values: Vec<f64> = weights.into_data().iter::<f64>().collect();
        let picture = picture(&values, steps, (256 / steps).clamp(1, 8), Shade::Rows, "attention weights")?;
        Ok((picture, caption))
    };
    let captions = std::iter::once("softmax attention").chain(FIGURE_FEATURES.map(|(_, caption)| caption));
    let maps = std::iter::once(&exact).chain(&estimates).zip(captions).map(map).collect::<Result<Vec<_>>>()?;
    let title = format!("Read normaliser of each token, first layer, head {}", head + 1);
    Ok([
        heading("The paper's figure"),
        plot(&title, linear("token"), logarithmic("normaliser"), series)?,
        matrices(maps),
    ])
}

/// A line for each map of random directions, by the number of features.
fn by_features(report: &PaperFigureReport, of: fn(&MapError) -> f64) -> Vec<Series> {
    let series = |(place, map): (usize, &RandomMap)| {
        let own = report.maps.iter().filter(|found| found.map == map.name() && of(found).is_finite());
        dotted_line(map.name(), colour(place), own.map(|found| (found.m as f64, of(found))).collect())
    };
    RandomMap::ALL.iter().enumerate().map(series).collect()
}

/// More features, more maps, the output, the loss.
fn past_it(report: &PaperFigureReport) -> Result<[Markup; 4]> {
    let m = || logarithmic("random features m");
    let [normaliser, error] = ["relative error, median", "relative error"].map(logarithmic);
    let mut losses = by_features(report, |map| map.loss);
    let few = report.config.features.iter().min().copied().unwrap_or(0);
    for (name, loss, pattern) in [
        ("original", report.original_loss, Pattern::Dotted),
        ("no attention", report.no_attention_loss, Pattern::Dashed),
    ] {
        let across = vec![(few as f64, loss), (most_features(report) as f64, loss)];
        losses.push(Series { pattern, ..line(name, RGBColor(110, 110, 110), across) });
    }
    Ok([
        heading("Past it: more features, more maps, the output, the loss"),
        plot("Error of the normaliser", m(), normaliser, by_features(report, |map| map.error_normaliser))?,
        plot("Error of a layer's output", m(), error, by_features(report, |map| map.error_output))?,
        plot("Loss of the whole model", m(), linear(report.loss), losses)?,
    ])
}

/// All maps, those of random directions with the most features, with the output's error layer by
/// layer.
fn table(report: &PaperFigureReport) -> Markup {
    let random = |map: &MapError| RandomMap::ALL.iter().any(|random| random.name() == map.map);
    let most = most_features(report);
    let layers = report.maps.first().map_or(0, |map| map.layers.len());
    let head = html! {
        tr {
            th { "map" } th { "m" } th { "normaliser" } th { "output" } th { "loss" }
            @for layer in 0..layers { th { "layer " (layer) } }
        }
    };
    let figure = |value: f64| match value.is_finite() {
        true if value.abs() >= 1e4 => format!("{value:.1e}"),
        true => format!("{value:.3}"),
        false => "not finite".into(),
    };
    let row = |map: &MapError| {
        let figures = [map.error_normaliser, map.error_output, map.loss];
        html! {
            tr {
                td { (map.map) } td { (map.m) }
                @for value in figures.into_iter().chain(map.layers.iter().map(|error| error.output)) {
                    td { (figure(value)) }
                }
            }
        }
    };
    wide_table(head, report.maps.iter().filter(|map| !random(map) || map.m == most).map(row))
}

fn notes<M>(report: &PaperFigureReport, study: &Study<M>) -> Markup {
    let steps = report.config.transfer_steps;
    html! {
        p.note {
            "Errors are relative and means over layers, each layer with the original's inputs: of the normaliser the median over \
             tokens and heads, whose tails are too heavy for a mean; of the output the root mean square. Loss: " (report.loss)
            ", with this attention in all layers and nothing trained further. Maps of the authors' notebooks: positive random, \
             cosine, linear, truncated, positive cosine, clipped sine; of these the first two estimate e" sup { "q·k/√d" }
            " without bias. For maps that do not imitate it the normaliser's error says little: the scale divides out."
            @if steps > 0 {
                " Learned: Hedgehog's maps, trained for " (steps) " steps to the original's weights."
            }
            " A row is " (study.inputs.tokens.dims()[1]) " tokens"
            @if study.causal { ", causal" } @else { ", seen in both directions" }
            "."
        }
    }
}

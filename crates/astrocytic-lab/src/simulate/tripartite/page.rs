//! The page.

use anyhow::Result;
use astrocytic_dynamics::tripartite::{Recording, Times, Variable};
use maud::{Markup, html};

use super::report::TripartiteReport;
use super::tokens::Tokens;
use crate::report::plot::{Pattern, Series, colour};
use crate::report::{Shade, picture};
use crate::simulate::page::{Page, dotted_line, heading, line, linear, logarithmic, matrices, plot};

/// What is shown beside the report's figures.
pub(super) struct Shown<'a> {
    /// The tokens.
    pub(super) tokens: &'a Tokens,
    /// The network's course.
    pub(super) recording: &'a Recording,
    /// Outputs of the discrete module.
    pub(super) expected: &'a [Vec<f64>],
    /// Weights of softmax attention.
    pub(super) attention: &'a [f64],
}

/// The whole page.
pub(super) fn page(report: &TripartiteReport, shown: &Shown) -> Result<Page> {
    let headline = format!(
        "With time constants {} times apart the network reads what the discrete module computes within {:.1} %; the error falls \
         with order {:.2} as they part.",
        report.config.separation,
        100.0 * report.error,
        report.order
    );
    let blocks = [course(report, shown)?, maps(report, shown)?.to_vec(), separation(report)?.to_vec()].concat();
    Ok(Page { title: "Neurons and astrocytes compute attention", headline, blocks })
}

/// Firing, calcium and outputs in the course of time.
fn course(report: &TripartiteReport, shown: &Shown) -> Result<Vec<Markup>> {
    let (config, recording) = (&report.config, shown.recording);
    let times = &recording.trajectory.times;
    let trace = |variable: Variable, place: usize| -> Vec<(f64, f64)> {
        times.iter().enumerate().map(|(at, &time)| (time, recording.at(at, variable)[place])).collect()
    };
    // At most four of each kind.
    let drawn = |count: usize| 0..count.min(4);
    let hidden =
        drawn(config.features).map(|j| line(&format!("h{}", j + 1), colour(j + 1), trace(Variable::Hidden, j)));
    let calcium = drawn(config.outputs)
        .map(|i| line(&format!("p{},1", i + 1), colour(i + 1), trace(Variable::Calcium, i * config.features)));
    let outputs =
        drawn(config.outputs).map(|i| line(&format!("x{}", i + 1), colour(i + 1), trace(Variable::Output, i)));
    let discrete = drawn(config.outputs).map(|i| Series {
        colour: colour(i + 1),
        dots: shown.expected.iter().enumerate().map(|(t, y)| (t as f64 + 1.0, y[i])).collect(),
        ..Series::default()
    });
    let panel = |title, quantity, series| plot(title, linear("seconds"), linear(quantity), series);
    Ok(vec![
        heading("In the course of time"),
        panel("Firing of hidden neurons (feature map)", "rate", hidden.collect())?,
        panel("Calcium of astrocyte processes (read normaliser)", "calcium", calcium.collect())?,
        panel("Output neurons; dots: the discrete module", "membrane", outputs.chain(discrete).collect())?,
        html! {
            p.note {
                "A token takes a second: the neuromodulator lets the network write for the first half and read for the second. At \
                 most four of each kind are drawn; where calcium spreads fast, those of all processes lie on one another. At its \
                 end a reading is the attention's output."
            }
        },
    ])
}

/// Traces after the last token, and both attentions.
fn maps(report: &TripartiteReport, shown: &Shown) -> Result<[Markup; 2]> {
    let config = &report.config;
    let memory = shown.recording.at(shown.recording.trajectory.times.len() - 1, Variable::Hebbian);
    let decay = Times { memory: config.memory.unwrap_or(f64::INFINITY), ..Times::separated(1.0) }.decay();
    let weights = shown.tokens.feature_attention(decay);
    let count = config.tokens;
    let cell = (220 / count).clamp(4, 24);
    let of_memory = (360 / config.features).clamp(4, 24);
    Ok([
        heading("Synapses and attention"),
        matrices([
            (
                picture(memory, config.features, of_memory, Shade::Signed, "Hebbian traces")?,
                "memory H: Hebbian traces c after the last token, outputs by features",
            ),
            (picture(&weights, count, cell, Shade::Rows, "attention")?, "attention by these features"),
            (picture(shown.attention, count, cell, Shade::Rows, "softmax")?, "softmax attention"),
        ]),
    ])
}

/// The error and the decay as time constants part.
fn separation(report: &TripartiteReport) -> Result<[Markup; 4]> {
    let points: Vec<(f64, f64)> = report.errors.iter().map(|e| (e.separation, e.error)).collect();
    let first = points[0];
    let ideal = points.iter().map(|(separation, _)| (*separation, first.1 * first.0 / separation)).collect();
    let errors = vec![
        dotted_line("network against discrete module", colour(1), points),
        Series { pattern: Pattern::Dotted, ..line("order 1", colour(0), ideal) },
    ];
    let taus = (0..60).map(|i| 30f64.powf(f64::from(i) / 59.0));
    let expected = taus.map(|tau| (tau, (-1.0 / tau).exp())).collect();
    let decays = vec![
        Series {
            dots: report.decays.iter().map(|d| (d.memory, d.fitted)).collect(),
            ..line("fitted to what is left of a write", colour(1), vec![])
        },
        Series { pattern: Pattern::Dotted, ..line("e^(−T/τ)", colour(0), expected) },
    ];
    let [apart, error] =
        ["time of a phase over the fast time constants", "relative error (root mean square)"].map(logarithmic);
    let (leak, decay) = (logarithmic("time constant of the leak, in tokens"), linear("decay from token to token"));
    let off = format!("{:.1} %", 100.0 * report.discrete_against_softmax);
    Ok([
        heading("As time constants part"),
        plot("Error of what is read", apart, error, errors)?,
        plot("A leak is the discrete module's decay", leak, decay, decays)?,
        html! {
            p.note {
                "The discrete module, with these " (report.config.features) " random features, is itself " (off)
                " from softmax attention; more features bring it nearer."
            }
        },
    ])
}

//! `simulate softmax`: two ways in which astrocytes settle to softmax.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail};
use astrocytic_dynamics::Trajectory;
use astrocytic_dynamics::softmax::{SharedCalcium, of, replicator, shared_calcium};
use maud::{Markup, html};
use serde::Serialize;

use super::page::{Page, heading, line, linear, logarithmic, plot};
use super::random::{normals, seeded};
use crate::report::plot::{Pattern, Series, colour};

/// Moments drawn.
const SAMPLES: usize = 400;
/// More inputs than a plot shows.
const MOST_INPUTS: usize = 1_000;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SoftmaxConfig {
    /// Inputs; drawn at random where there is none.
    pub inputs: Vec<f64>,
    /// How many are drawn.
    pub count: usize,
    /// τ_n, seconds.
    pub neuron: f64,
    /// τ_a of the calcium, and of the gains, seconds.
    pub astrocyte: f64,
    /// Temperature of the gains' competition.
    pub temperature: f64,
    /// Seconds simulated.
    pub seconds: f64,
    /// Seed.
    pub seed: u64,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SoftmaxReport {
    /// What was asked, with the inputs that were drawn.
    pub config: SoftmaxConfig,
    /// Largest difference from softmax(x) at the end, by shared calcium.
    pub error_calcium: f64,
    /// Largest difference from softmax(x / T) at the end, by competing gains.
    pub error_replicator: f64,
    /// Seconds until the difference stays below 1e-6, by calcium and by gains; none where it does
    /// not.
    pub settled: [Option<f64>; 2],
}

/// Runs both, and writes a page.
///
/// # Errors
/// For parameters that make no sense, or a folder that cannot be written.
pub fn softmax(config: &SoftmaxConfig, folder: &Path) -> Result<SoftmaxReport> {
    let started = Instant::now();
    let mut config = config.clone();
    if config.inputs.is_empty() {
        if !(1..=MOST_INPUTS).contains(&config.count) {
            bail!("--count {} must be between 1 and {MOST_INPUTS}", config.count);
        }
        config.inputs = normals(&mut seeded(config.seed), 1, config.count, 1.5).concat();
    }
    let SoftmaxConfig { inputs, neuron, astrocyte, temperature, seconds, .. } = &config;
    let times = SharedCalcium { neuron: *neuron, calcium: *astrocyte };
    let calcium = shared_calcium(inputs, times, *seconds, SAMPLES)?;
    let gains = replicator(inputs, *temperature, *astrocyte, *seconds, SAMPLES)?;
    let expected = of(inputs);
    let expected_gains = of(&inputs.iter().map(|x| x / temperature).collect::<Vec<f64>>());
    let errors = [errors(&calcium, &expected), errors(&gains, &expected_gains)];
    let report = SoftmaxReport {
        error_calcium: errors[0].last().map_or(f64::NAN, |last| last.1),
        error_replicator: errors[1].last().map_or(f64::NAN, |last| last.1),
        settled: [settled(&errors[0]), settled(&errors[1])],
        config: config.clone(),
    };
    let headline = format!(
        "After {seconds} s the neurons' outputs are within {:.1e} of softmax, the processes' gains within {:.1e}.",
        report.error_calcium, report.error_replicator
    );
    let mut blocks = vec![heading("In the course of time")];
    for (title, found, expected) in [
        ("Shared calcium: what each neuron puts out", &calcium, &expected),
        ("Competing gains: the share of each process", &gains, &expected_gains),
    ] {
        blocks.push(plot(title, linear("seconds"), linear("share"), traces(&config, found, expected))?);
    }
    blocks.push(html! { p.note { "Dotted: softmax. At most eight inputs are drawn." } });
    let [calcium, gains] =
        errors.map(|errors| errors.into_iter().filter(|(_, error)| *error > 0.0).collect::<Vec<_>>());
    let series = vec![line("shared calcium", colour(1), calcium), line("competing gains", colour(2), gains)];
    blocks.push(plot("Difference from softmax", linear("seconds"), logarithmic("largest difference"), series)?);
    blocks.push(equations(&config));
    let page = Page { title: "Softmax as a fixed point", headline, blocks };
    page.write(folder, started.elapsed(), &report)?;
    Ok(report)
}

/// The course of at most eight inputs, and where each is to settle.
fn traces(config: &SoftmaxConfig, found: &Trajectory, expected: &[f64]) -> Vec<Series> {
    let drawn = 0..config.inputs.len().min(8);
    let course = |i: usize| {
        let trace = found.times.iter().zip(&found.states).map(|(t, y)| (*t, y[i])).collect();
        line(&format!("x = {:.2}", config.inputs[i]), colour(i), trace)
    };
    let end = |i: usize| Series {
        colour: colour(i),
        pattern: Pattern::Dotted,
        line: vec![(0.0, expected[i]), (config.seconds, expected[i])],
        ..Series::default()
    };
    drawn.clone().map(course).chain(drawn.map(end)).collect()
}

fn equations(config: &SoftmaxConfig) -> Markup {
    let SoftmaxConfig { neuron, astrocyte, temperature, .. } = config;
    html! {
        p.note {
            "Shared calcium: τ" sub { "n" } " n′ = −n + x, τ" sub { "a" } " A′ = −A + Σ e" sup { "n" } ", y = e" sup { "n" } "/A, with τ"
            sub { "n" } " = " (neuron) " s and τ" sub { "a" } " = " (astrocyte) " s. Competing gains: τ" sub { "p" } " p" sub { "i" }
            "′ = p" sub { "i" } " (F" sub { "i" } " − Σ p F), F = x − T ln p (arXiv 2604.25481, eqs. 6 and 7), with τ" sub { "p" }
            " = " (astrocyte) " s and T = " (temperature) ". Below about 1e-9 it is the integrator's error."
        }
    }
}

/// (seconds, largest difference).
fn errors(found: &Trajectory, expected: &[f64]) -> Vec<(f64, f64)> {
    let largest = |y: &Vec<f64>| y.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    found.times.iter().copied().zip(found.states.iter().map(largest)).collect()
}

fn settled(errors: &[(f64, f64)]) -> Option<f64> {
    let after = errors.iter().rposition(|(_, error)| *error >= 1e-6).map_or(0, |last| last + 1);
    errors.get(after).map(|(time, _)| *time)
}

impl std::fmt::Display for SoftmaxReport {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let time = |settled: Option<f64>| settled.map_or("not".into(), |seconds| format!("{seconds:.2} s"));
        writeln!(f, "largest difference from softmax after {} s", self.config.seconds)?;
        writeln!(f, "  shared calcium   {:.1e}, below 1e-6 after {}", self.error_calcium, time(self.settled[0]))?;
        write!(f, "  competing gains  {:.1e}, below 1e-6 after {}", self.error_replicator, time(self.settled[1]))
    }
}

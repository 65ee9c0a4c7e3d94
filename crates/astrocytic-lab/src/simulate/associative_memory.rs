//! `simulate associative-memory`: what a network of neurons and astrocytes recalls, and how much it holds.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail};
use astrocytic_dynamics::associative_memory::{AssociativeMemory, NeuronAstrocyte, Patterns};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;

use super::page::{line, linear, logarithmic, plot, write};
use super::seeded;
use crate::report::plot::{Series, colour};

/// Slope of the rates, that of the authors' tutorial.
const GAIN: f64 = 5.0;
/// Moments drawn.
const SAMPLES: usize = 300;
/// Share of the neurons that are flipped where capacity is measured.
const CORRUPTED: f64 = 0.1;
/// Share of recalls that count as holding.
const HOLDS: f64 = 0.9;
/// The networks, in the order of figures.
const NAMES: [&str; 3] = ["Hopfield", "dense associative memory", "neurons and astrocytes"];
/// Largest network and number of memories that are simulated.
const MOST_NEURONS: usize = 500;
const MOST_MEMORIES: usize = 5_000;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MemoryConfig {
    /// Neurons N of the network whose course is drawn.
    pub neurons: usize,
    /// Memories K in it.
    pub memories: usize,
    /// Neurons flipped at its start.
    pub flipped: usize,
    /// Sizes at which capacity is measured.
    pub sizes: Vec<usize>,
    /// Leak α = γ of synapses and processes; without one the fixed points are the dense memory's.
    pub leak: f64,
    /// Recalls tried at each point.
    pub trials: usize,
    /// Time simulated, in time constants of the neurons.
    pub seconds: f64,
    /// Seed.
    pub seed: u64,
}

/// How many memories each network holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Capacity {
    /// Neurons.
    pub neurons: usize,
    /// Most memories of those tried of which nine recalls in ten succeed with a tenth of the neurons flipped: Hopfield, dense
    /// associative memory, neurons and astrocytes.
    pub memories: [usize; 3],
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MemoryReport {
    /// What was asked.
    pub config: MemoryConfig,
    /// Energy at the beginning and the end.
    pub energy: [f64; 2],
    /// Largest rise of the energy between two moments: 0 but for rounding.
    pub largest_rise: f64,
    /// Whether the memory was recalled.
    pub recalled: bool,
    /// (neurons flipped, share of recalls that succeed of each network).
    pub recalls: Vec<(usize, [f64; 3])>,
    /// Capacity against size.
    pub capacities: Vec<Capacity>,
}

/// Runs the networks, and writes a page.
///
/// # Errors
/// For parameters that make no sense, an integration that fails, or a folder that cannot be written.
pub fn associative_memory(config: &MemoryConfig, folder: &Path) -> Result<MemoryReport> {
    let started = Instant::now();
    let MemoryConfig { neurons, memories, flipped, seconds, .. } = *config;
    for neurons in config.sizes.iter().chain([&neurons]) {
        if !(2..=MOST_NEURONS).contains(neurons) {
            bail!("{neurons} neurons: use 2 to {MOST_NEURONS}");
        }
    }
    if !(1..=MOST_MEMORIES).contains(&memories) || flipped > neurons || config.trials == 0 {
        bail!("use 1 to {MOST_MEMORIES} memories, at most as many flipped neurons as there are, at least one trial");
    }
    let mut rng = seeded(config.seed);
    let stored = random(memories, neurons, &mut rng);
    let network = neuron_astrocyte(stored.clone(), config.leak);
    let start = flip(&stored.patterns[0], flipped, &mut rng);
    let course = AssociativeMemory::NeuronAstrocyte(network.clone()).run(&start, seconds, SAMPLES)?;
    let energies: Vec<f64> = course.states.iter().map(|state| network.energy(state)).collect();
    let ends = |state: Option<&Vec<f64>>| state.is_some_and(|state| same_signs(state, &stored.patterns[0]));

    let mut flips: Vec<usize> = (1..=10).map(|tenth| (tenth * neurons / 20).max(1)).collect();
    flips.dedup();
    let recalls = flips
        .par_iter()
        .map(|&count| {
            let mut rng = seeded(config.seed.wrapping_add(1 + count as u64));
            Ok((count, shares(&stored, count, config, &mut rng)?))
        })
        .collect::<Result<Vec<_>>>()?;
    // One network and size a task; the largest take longest, and so begin first.
    let mut tasks: Vec<(usize, usize)> = config.sizes.iter().flat_map(|&n| (0..3).map(move |kind| (n, kind))).collect();
    tasks.sort_by_key(|task| std::cmp::Reverse(*task));
    let found = tasks
        .par_iter()
        .with_max_len(1)
        .map(|&(neurons, kind)| Ok(((neurons, kind), capacity(kind, neurons, config)?)))
        .collect::<Result<Vec<_>>>()?;
    let of =
        |neurons: usize, kind: usize| found.iter().find(|(task, _)| *task == (neurons, kind)).map_or(0, |(_, k)| *k);
    let capacities =
        config.sizes.iter().map(|&neurons| Capacity { neurons, memories: [0, 1, 2].map(|kind| of(neurons, kind)) });
    let report = MemoryReport {
        config: config.clone(),
        energy: [energies[0], energies[energies.len() - 1]],
        largest_rise: energies.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max),
        recalled: ends(course.states.last()),
        recalls,
        capacities: capacities.collect(),
    };

    let mut body = String::from("<h2>A recall</h2>\n");
    let energy = course.times.iter().copied().zip(energies).collect();
    body += &plot("Energy", linear("time"), linear("energy"), vec![line("energy", colour(1), energy)])?;
    let overlap = |pattern: &Vec<f64>| -> Vec<(f64, f64)> {
        let of = |state: &Vec<f64>| {
            pattern.iter().zip(state).map(|(xi, x)| xi * (GAIN * x).tanh()).sum::<f64>() / neurons as f64
        };
        course.times.iter().copied().zip(course.states.iter().map(of)).collect()
    };
    let drawn = stored.patterns.iter().take(6).enumerate();
    let name = |place: usize| if place == 0 { "the memory asked for".into() } else { format!("memory {}", place + 1) };
    let series = drawn.map(|(place, pattern)| line(&name(place), colour(place + 1), overlap(pattern))).collect();
    body += &plot("Overlap of the neurons' firing with memories", linear("time"), linear("overlap"), series)?;
    body += &format!(
        "<p class=\"note\">{neurons} neurons, {0} synapses and {0} astrocyte processes, {memories} memories, {flipped} neurons \
         flipped. Time in time constants, which are all 1; synapses and processes leak at {1}; rates tanh({GAIN} z). \
         Without leaks the fixed points are the dense memory's (arXiv 2311.08135, section 2.1); with leaks of 1, as in the authors' \
         tutorial, synapses settle on the signs of whatever fires, which then stays, and it is on the way there that a memory is \
         recalled.</p>\n<h2>What is recalled</h2>\n",
        neurons * neurons,
        config.leak
    );
    let of_network = |kind: usize| -> Vec<(f64, f64)> {
        report
            .recalls
            .iter()
            .map(|(count, shares)| (100.0 * *count as f64 / neurons as f64, 100.0 * shares[kind]))
            .collect()
    };
    let series = NAMES.iter().enumerate().map(|(kind, name)| with_dots(name, kind, of_network(kind)));
    body += &plot(
        &format!("Recall of {memories} memories by {neurons} neurons"),
        linear("neurons flipped, %"),
        linear("recalled, %"),
        series.collect(),
    )?;
    body += "<h2>How much is held</h2>\n";
    let of_network = |kind: usize| -> Vec<(f64, f64)> {
        report.capacities.iter().map(|c| (c.neurons as f64, c.memories[kind].max(1) as f64)).collect()
    };
    let series = NAMES.iter().enumerate().map(|(kind, name)| with_dots(name, kind, of_network(kind)));
    body += &plot(
        "Memories of which nine recalls in ten succeed, a tenth of the neurons flipped",
        logarithmic("neurons"),
        logarithmic("memories"),
        series.collect(),
    )?;
    body += &table(&report.capacities);
    body += &format!(
        "<p class=\"note\">{} recalls at each point, of random memories; the number of memories grows by a third or a half at a \
         time until it is too many. A network of neurons and astrocytes has N² synapses and N² processes beside its N neurons.</p>\n",
        config.trials
    );
    let last = report.capacities.last();
    let held = last.map_or(String::new(), |c| {
        format!(
            " At {} neurons it holds {} memories, the dense memory {}, Hopfield's network {}.",
            c.neurons, c.memories[2], c.memories[1], c.memories[0]
        )
    });
    let headline = format!(
        "From {flipped} of {neurons} neurons flipped the network {} the memory, its energy falling from {:.2} to {:.2}.{held}",
        if report.recalled { "recalls" } else { "does not recall" },
        report.energy[0],
        report.energy[1]
    );
    let title = "Neuron–astrocyte associative memory";
    write(folder, title, &headline, &body, started.elapsed().as_secs_f64(), &report)?;
    Ok(report)
}

fn neuron_astrocyte(memories: Patterns, leak: f64) -> NeuronAstrocyte {
    NeuronAstrocyte { leaks: [1.0, leak, leak], ..NeuronAstrocyte::new(memories) }
}

fn network(kind: usize, memories: Patterns, leak: f64) -> AssociativeMemory {
    match kind {
        0 => AssociativeMemory::Hopfield(memories),
        1 => AssociativeMemory::Dense(memories),
        _ => AssociativeMemory::NeuronAstrocyte(neuron_astrocyte(memories, leak)),
    }
}

/// Share of recalls that succeed, of each network; the same memories and flips for all.
fn shares(stored: &Patterns, flipped: usize, config: &MemoryConfig, rng: &mut ChaCha8Rng) -> Result<[f64; 3]> {
    let trials = config.trials;
    let mut found = [0.0; 3];
    for trial in 0..trials {
        let pattern = &stored.patterns[trial % stored.patterns.len()];
        let start = flip(pattern, flipped, rng);
        for (kind, found) in found.iter_mut().enumerate() {
            let recalled = network(kind, stored.clone(), config.leak).recalls(pattern, &start, config.seconds)?;
            *found += f64::from(u8::from(recalled)) / trials as f64;
        }
    }
    Ok(found)
}

/// Most memories, of a growing number, of which enough are recalled.
fn capacity(kind: usize, neurons: usize, config: &MemoryConfig) -> Result<usize> {
    let flipped = ((CORRUPTED * neurons as f64).round() as usize).max(1);
    let (mut held, mut count, mut failures) = (0, 1, 0);
    while failures < 2 && count <= MOST_MEMORIES {
        let mut rng = seeded(config.seed ^ (neurons * MOST_MEMORIES + count) as u64);
        let stored = random(count, neurons, &mut rng);
        let network = network(kind, stored.clone(), config.leak);
        let mut recalled = 0;
        for trial in 0..config.trials {
            let pattern = &stored.patterns[trial % count];
            recalled += usize::from(network.recalls(pattern, &flip(pattern, flipped, &mut rng), config.seconds)?);
        }
        if recalled as f64 >= HOLDS * config.trials as f64 {
            (held, failures) = (count, 0);
        } else {
            failures += 1;
        }
        // 1, 2, 3, 4, 6, 8, 12, 16, …
        count = if count < 3 {
            count + 1
        } else if count.is_power_of_two() {
            count * 3 / 2
        } else {
            (count + 1).next_power_of_two()
        };
    }
    Ok(held)
}

fn random(count: usize, neurons: usize, rng: &mut ChaCha8Rng) -> Patterns {
    let mut sign = || if rng.random_range(0.0..1.0) < 0.5 { -1.0 } else { 1.0 };
    Patterns { patterns: (0..count).map(|_| (0..neurons).map(|_| sign()).collect()).collect(), gain: GAIN }
}

/// The pattern with so many of its signs turned.
fn flip(pattern: &[f64], count: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let mut flipped = pattern.to_vec();
    for place in rand::seq::index::sample(rng, pattern.len(), count.min(pattern.len())) {
        flipped[place] = -flipped[place];
    }
    flipped
}

fn same_signs(state: &[f64], pattern: &[f64]) -> bool {
    state.iter().zip(pattern).all(|(x, xi)| x * xi > 0.0)
}

fn with_dots(name: &str, kind: usize, points: Vec<(f64, f64)>) -> Series {
    Series { dots: points.clone(), ..line(name, colour(kind), points) }
}

fn table(capacities: &[Capacity]) -> String {
    let heads = NAMES.map(|name| format!("<th>{name}</th>")).concat();
    let row = |c: &Capacity| {
        format!("<tr><td>{}</td>{}</tr>", c.neurons, c.memories.map(|memories| format!("<td>{memories}</td>")).concat())
    };
    let rows: String = capacities.iter().map(row).collect();
    format!("<table><tr><th>neurons</th>{heads}</tr>{rows}</table>\n")
}

impl std::fmt::Display for MemoryReport {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        writeln!(
            f,
            "memory {}; energy {:.3} to {:.3}, largest rise {:.1e}",
            if self.recalled { "recalled" } else { "not recalled" },
            self.energy[0],
            self.energy[1],
            self.largest_rise
        )?;
        write!(f, "memories held: neurons, Hopfield, dense, neurons and astrocytes")?;
        for Capacity { neurons, memories: [hopfield, dense, astrocytes] } in &self.capacities {
            write!(f, "\n  {neurons:4}  {hopfield:5}  {dense:5}  {astrocytes:5}")?;
        }
        Ok(())
    }
}

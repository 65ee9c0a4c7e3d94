//! The networks, run and measured.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail};
use astrocytic_dynamics::associative_memory::{AssociativeMemory, NeuronAstrocyte, Patterns};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::course::{Course, GAIN};
use super::page::page;
use super::report::{Capacity, MemoryConfig, MemoryReport};
use crate::simulate::random::seeded;

/// Moments drawn.
const SAMPLES: usize = 300;
/// Share of the neurons that are flipped where capacity is measured.
const CORRUPTED: f64 = 0.1;
/// Share of recalls that count as holding.
const HOLDS: f64 = 0.9;
/// Largest network and number of memories that are simulated.
const MOST_NEURONS: usize = 500;
const MOST_MEMORIES: usize = 5_000;

/// Runs the networks, and writes a page.
///
/// # Errors
/// For parameters that make no sense, an integration that fails, or a folder that cannot be
/// written.
pub fn associative_memory(config: &MemoryConfig, folder: &Path) -> Result<MemoryReport> {
    let started = Instant::now();
    validate(config)?;
    let mut rng = seeded(config.seed);
    let stored = random(config.memories, config.neurons, &mut rng);
    let course = course(config, &stored, &mut rng)?;
    let energies = &course.energies;
    let report = MemoryReport {
        config: config.clone(),
        energy: [energies[0], energies[energies.len() - 1]],
        largest_rise: energies.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max),
        recalled: course.states.last().is_some_and(|state| same_signs(state, &stored.patterns[0])),
        recalls: recalls(config, &stored)?,
        capacities: capacities(config)?,
    };
    page(&report, &course, &stored.patterns)?.write(folder, started.elapsed(), &report)?;
    Ok(report)
}

fn validate(config: &MemoryConfig) -> Result<()> {
    let MemoryConfig { neurons, memories, flipped, .. } = *config;
    for neurons in config.sizes.iter().chain([&neurons]) {
        if !(2..=MOST_NEURONS).contains(neurons) {
            bail!("{neurons} neurons: use 2 to {MOST_NEURONS}");
        }
    }
    if !(1..=MOST_MEMORIES).contains(&memories) || flipped > neurons || config.trials == 0 {
        bail!("use 1 to {MOST_MEMORIES} memories, at most as many flipped neurons as there are, at least one trial");
    }
    Ok(())
}

/// One recall of the first memory.
fn course(config: &MemoryConfig, stored: &Patterns, rng: &mut ChaCha8Rng) -> Result<Course> {
    let network = neuron_astrocyte(stored.clone(), config.leak);
    let start = flip(&stored.patterns[0], config.flipped, rng);
    let course = AssociativeMemory::NeuronAstrocyte(network.clone()).run(&start, config.seconds, SAMPLES)?;
    let energies = course.states.iter().map(|state| network.energy(state)).collect();
    Ok(Course { times: course.times, states: course.states, energies })
}

/// Share of recalls that succeed, by the number of neurons flipped.
fn recalls(config: &MemoryConfig, stored: &Patterns) -> Result<Vec<(usize, [f64; 3])>> {
    let mut flips: Vec<usize> = (1..=10).map(|tenth| (tenth * config.neurons / 20).max(1)).collect();
    flips.dedup();
    let shares = |&count: &usize| {
        let mut rng = seeded(config.seed.wrapping_add(1 + count as u64));
        Ok((count, shares(stored, count, config, &mut rng)?))
    };
    flips.par_iter().map(shares).collect()
}

/// How much each network holds at each size.
fn capacities(config: &MemoryConfig) -> Result<Vec<Capacity>> {
    // One task for each network and size. The largest take longest, and so begin first.
    let mut tasks: Vec<(usize, usize)> = config.sizes.iter().flat_map(|&n| (0..3).map(move |kind| (n, kind))).collect();
    tasks.sort_by_key(|task| std::cmp::Reverse(*task));
    let found = tasks
        .par_iter()
        .with_max_len(1)
        .map(|&(neurons, kind)| Ok(((neurons, kind), capacity(kind, neurons, config)?)))
        .collect::<Result<Vec<_>>>()?;
    let of =
        |neurons: usize, kind: usize| found.iter().find(|(task, _)| *task == (neurons, kind)).map_or(0, |(_, k)| *k);
    let sizes = config.sizes.iter();
    Ok(sizes.map(|&neurons| Capacity { neurons, memories: [0, 1, 2].map(|kind| of(neurons, kind)) }).collect())
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

/// Largest number of memories of which enough are recalled.
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

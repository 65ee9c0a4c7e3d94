//! The page.

use anyhow::Result;
use maud::{Markup, html};

use super::course::{Course, GAIN};
use super::report::{Capacity, MemoryReport};
use crate::report::plot::{Series, colour};
use crate::report::table;
use crate::simulate::page::{Page, dotted_line, heading, line, linear, logarithmic, plot};

/// The networks, in the order of figures.
const NAMES: [&str; 3] = ["Hopfield", "dense associative memory", "neurons and astrocytes"];

/// The whole page.
pub(super) fn page(report: &MemoryReport, course: &Course, patterns: &[Vec<f64>]) -> Result<Page> {
    let blocks =
        [recall(report, course, patterns)?.to_vec(), recalls(report)?.to_vec(), capacities(report)?.to_vec()].concat();
    Ok(Page { title: "Neuron–astrocyte associative memory", headline: headline(report), blocks })
}

fn headline(report: &MemoryReport) -> String {
    let held = report.capacities.last().map_or(String::new(), |c| {
        format!(
            " At {} neurons it holds {} memories, the dense memory {}, Hopfield's network {}.",
            c.neurons, c.memories[2], c.memories[1], c.memories[0]
        )
    });
    format!(
        "From {} of {} neurons flipped the network {} the memory, its energy falling from {:.2} to {:.2}.{held}",
        report.config.flipped,
        report.config.neurons,
        if report.recalled { "recalls" } else { "does not recall" },
        report.energy[0],
        report.energy[1]
    )
}

/// One recall in the course of time.
fn recall(report: &MemoryReport, course: &Course, patterns: &[Vec<f64>]) -> Result<[Markup; 4]> {
    let config = &report.config;
    let energy = course.times.iter().copied().zip(course.energies.iter().copied()).collect();
    let name = |place: usize| if place == 0 { "the memory asked for".into() } else { format!("memory {}", place + 1) };
    let overlap = |(place, pattern): (usize, &Vec<f64>)| line(&name(place), colour(place + 1), course.overlap(pattern));
    let overlaps = patterns.iter().take(6).enumerate().map(overlap).collect();
    let squared = config.neurons * config.neurons;
    Ok([
        heading("A recall"),
        plot("Energy", linear("time"), linear("energy"), vec![line("energy", colour(1), energy)])?,
        plot("Overlap of the neurons' firing with memories", linear("time"), linear("overlap"), overlaps)?,
        html! {
            p.note {
                (config.neurons) " neurons, " (squared) " synapses and " (squared) " astrocyte processes, " (config.memories)
                " memories, " (config.flipped) " neurons flipped. Time in time constants, which are all 1; synapses and processes \
                 leak at " (config.leak) "; rates tanh(" (GAIN) " z). Without leaks the fixed points are the dense memory's \
                 (arXiv 2311.08135, section 2.1); with leaks of 1, as in the authors' tutorial, synapses settle on the signs of \
                 whatever fires, which then stays, and it is on the way there that a memory is recalled."
            }
        },
    ])
}

/// A line with dots for each network.
fn of_networks(points: impl Fn(usize) -> Vec<(f64, f64)>) -> Vec<Series> {
    NAMES.iter().enumerate().map(|(kind, name)| dotted_line(name, colour(kind), points(kind))).collect()
}

fn recalls(report: &MemoryReport) -> Result<[Markup; 2]> {
    let neurons = report.config.neurons;
    let shares = of_networks(|kind| {
        let point =
            |(count, shares): &(usize, [f64; 3])| (100.0 * *count as f64 / neurons as f64, 100.0 * shares[kind]);
        report.recalls.iter().map(point).collect()
    });
    let title = format!("Recall of {} memories by {neurons} neurons", report.config.memories);
    Ok([heading("What is recalled"), plot(&title, linear("neurons flipped, %"), linear("recalled, %"), shares)?])
}

fn capacities(report: &MemoryReport) -> Result<[Markup; 4]> {
    let held = of_networks(|kind| {
        report.capacities.iter().map(|c| (c.neurons as f64, c.memories[kind].max(1) as f64)).collect()
    });
    let head = html! { tr { th { "neurons" } @for name in NAMES { th { (name) } } } };
    let row = |c: &Capacity| html! { tr { td { (c.neurons) } @for memories in c.memories { td { (memories) } } } };
    let title = "Memories of which nine recalls in ten succeed, a tenth of the neurons flipped";
    Ok([
        heading("How much is held"),
        plot(title, logarithmic("neurons"), logarithmic("memories"), held)?,
        table(head, report.capacities.iter().map(row)),
        html! {
            p.note {
                (report.config.trials) " recalls at each point, of random memories; the number of memories grows by a third or a \
                 half at a time until it is too many. A network of neurons and astrocytes has N² synapses and N² processes beside \
                 its N neurons."
            }
        },
    ])
}

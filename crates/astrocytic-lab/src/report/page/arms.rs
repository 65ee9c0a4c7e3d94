//! What the arms are and cost, and how they were tuned.

use indicatif::{HumanBytes, HumanCount};
use maud::{Markup, html};

use crate::report::grid_edges::tried;
use crate::report::layout::{or_dash, swatch, wide_table};
use crate::report::summary::{ArmSummary, Summary};
use crate::report::words::tokens;
use crate::results::{ArmFacts, Experiment, Line, Phase, Role, Status, Trial};
use crate::statistics::mean;

/// Parameters, state, operations, speed and what was chosen for each size.
pub(super) fn arms(experiment: &Experiment, summary: &Summary) -> [Markup; 3] {
    let energy = experiment.arms.iter().any(|arm| arm.joules_per_million_tokens.is_some());
    let learns = summary.arms.iter().any(|arm| arm.learned_tokens > 0);
    let peak = summary.arms.iter().any(|arm| arm.peak_bytes.is_some());
    // A search of the sizes visits some.
    let chosen =
        |size: &u64| summary.arms.iter().flat_map(|arm| &arm.sizes).any(|s| s.tokens == *size && s.trial.is_some());
    let sizes = experiment.sizes.iter().copied().filter(|size| summary.solved.is_none() || chosen(size)).collect();
    let columns = Columns { energy, learns, peak, sizes };
    let sizes = &columns.sizes;
    let head = html! {
        tr {
            th { "arm" } th.text { "role" } th { "parameters" } th { "state, bytes" } th { "FLOPs/token, training" } th { "test" }
            @if learns { th { "learns from" } }
            @if peak { th { "memory" } }
            @if energy { th { "J per million tokens" } }
            th { "tokens/s" } "\n"
            @for &size in sizes { th { "rate, decay, steps at " (tokens(size as f64)) } }
        }
    };
    let arms = experiment.arms.iter().zip(&summary.arms).enumerate();
    let rows = arms.map(|(index, (facts, arm))| arm_row(index, facts, arm, &columns));
    let measured = match energy {
        true => {
            "J: energy of the whole machine by its own counters, training on one thread with no other run of this study beside it."
        }
        false => "Energy was not measured.",
    };
    let chosen = match (experiment.trials.len(), searched(experiment)) {
        (1, _) => "the same for all arms, not tuned".into(),
        (_, 0) => "chosen on the tuning split, each arm from the same grid".into(),
        _ if summary.solved.is_some() => {
            "chosen by accuracy on the tuning split, by coordinate steps from the best of the nearest size visited before; a search \
             ends where all tuning seeds solve the task"
                .into()
        }
        (_, most) => format!(
            "chosen on the tuning split by coordinate steps from the best of the size before, on the grid and beyond it, at \
             most {most} points for each arm and size"
        ),
    };
    let note = html! {
        p.note {
            "State, in f32: a decoder's for generation at the end of a context, an encoder's until its answer. FLOPs: floating-point \
             operations, of training three times those of a forward pass, of the test with what is learned there where that was stored. "
            @if columns.learns { "Learns from: tokens of the test, which count as data. " }
            @if columns.peak { "Memory: most that a run's process held, median. " }
            (measured) " Tokens/s: of training, median over runs. Learning rate, weight decay and steps of the schedule: " (chosen) "."
        }
    };
    [html! { h2 { "Arms" } }, wide_table(head, rows), note]
}

/// Which columns there are besides those that all reports have.
struct Columns {
    energy: bool,
    learns: bool,
    peak: bool,
    sizes: Vec<u64>,
}

/// Points that an arm is tried at for each size at most; 0 where it is every point of the grid.
fn searched(experiment: &Experiment) -> u64 {
    experiment.config["tuning_trials"].as_u64().unwrap_or(0)
}

fn arm_row(index: usize, facts: &ArmFacts, arm: &ArmSummary, columns: &Columns) -> Markup {
    let role = match arm.role {
        Role::Baseline => "baseline",
        Role::Astrocytic => "astrocytic",
        Role::Control => "control",
        Role::Calibration => "calibration",
    };
    let chosen = |t: Trial| format!("{}, {}, {}", t.learning_rate, t.weight_decay, t.schedule);
    html! {
        tr {
            td { (swatch(index, &arm.name)) br; span.note { (facts.description) } }
            td.text { (role) }
            td { (HumanCount(arm.parameters).to_string()) }
            td { (HumanCount(arm.state_bytes).to_string()) }
            td { (tokens(3.0 * arm.flops_per_token)) }
            td { (tokens(arm.test_flops_per_token.unwrap_or(arm.flops_per_token))) }
            @if columns.learns { td { (tokens(arm.learned_tokens as f64)) } }
            @if columns.peak { td { (or_dash(arm.peak_bytes, |bytes| HumanBytes(bytes).to_string())) } }
            @if columns.energy { td { (or_dash(facts.joules_per_million_tokens, |joules| format!("{joules:.0}"))) } }
            td { (or_dash(arm.tokens_per_second, |speed| HumanCount(speed.round() as u64).to_string())) }
            @for size in arm.sizes.iter().filter(|size| columns.sizes.contains(&size.tokens)) { td { (or_dash(size.trial.filter(|_| !arm.untrained), chosen)) } }
        }
    }
}

/// Mean tuning loss of every point that was tried; the best of each arm and size stands out.
pub(super) fn tuning(experiment: &Experiment, stored: &[Line]) -> Markup {
    if searched(experiment) > 0 {
        return search(experiment, stored);
    }
    let head = html! {
        tr {
            th { "arm" } th { "tokens" } "\n"
            @for Trial { learning_rate, weight_decay, schedule } in &experiment.trials {
                th { (learning_rate) ", " (weight_decay) ", " (schedule) }
            }
        }
    };
    let arms = experiment.arms.iter().enumerate();
    let rows = arms.flat_map(|(index, arm)| {
        experiment.sizes.iter().map(move |&size| {
            let losses = experiment.trials.iter().map(|trial| tuning_loss(stored, &arm.name, size, trial));
            tuning_row(index, &arm.name, size, &losses.collect::<Vec<_>>())
        })
    });
    html! {
        details {
            summary { "Tuning: mean loss on the tuning split by learning rate, weight decay, steps" }
            (wide_table(head, rows))
        }
    }
}

/// The points of a search, a row each, best first.
fn search(experiment: &Experiment, stored: &[Line]) -> Markup {
    let head = html! {
        tr { th { "arm" } th { "tokens" } th { "rate" } th { "decay" } th { "steps" } th { "loss" } }
    };
    let mut rows = Vec::new();
    for (index, arm) in experiment.arms.iter().enumerate() {
        for &size in &experiment.sizes {
            let loss = |trial: Trial| Some((trial, tuning_loss(stored, &arm.name, size, &trial)?));
            let mut points: Vec<_> = tried(stored, &arm.name, size).into_iter().filter_map(loss).collect();
            points.sort_by(|a, b| a.1.total_cmp(&b.1));
            rows.extend(points.into_iter().enumerate().map(|(place, (trial, loss))| {
                let Trial { learning_rate, weight_decay, schedule } = trial;
                html! {
                    tr {
                        td { (swatch(index, &arm.name)) } td { (tokens(size as f64)) }
                        td { (learning_rate) } td { (weight_decay) } td { (schedule) }
                        td class=[(place == 0).then_some("best")] {
                            @if loss.is_finite() { (format!("{loss:.3}")) } @else { "diverged" }
                        }
                    }
                }
            }));
        }
    }
    html! {
        details {
            summary { "Tuning: the points that were tried, mean loss on the tuning split" }
            (wide_table(head, rows))
        }
    }
}

/// Mean over the seeds that ended; infinite where one diverged.
fn tuning_loss(stored: &[Line], arm: &str, size: u64, trial: &Trial) -> Option<f64> {
    let losses = stored.iter().filter_map(|line| match line {
        Line::Result { cell, status, tuning_loss, .. }
            if cell.phase == Phase::Tune && (cell.arm.as_str(), cell.size) == (arm, size) && cell.trial == *trial =>
        {
            Some(if *status == Status::Finished { *tuning_loss } else { f64::INFINITY })
        }
        _ => None,
    });
    mean(&losses.collect::<Vec<_>>())
}

fn tuning_row(index: usize, arm: &str, size: u64, losses: &[Option<f64>]) -> Markup {
    let best = losses.iter().flatten().copied().reduce(f64::min).filter(|loss| loss.is_finite());
    let text = |loss: f64| if loss.is_finite() { format!("{loss:.3}") } else { "diverged".into() };
    html! {
        tr {
            td { (swatch(index, arm)) } td { (tokens(size as f64)) }
            @for &loss in losses {
                td class=[(loss.is_some() && loss == best).then_some("best")] { (or_dash(loss, text)) }
            }
        }
    }
}

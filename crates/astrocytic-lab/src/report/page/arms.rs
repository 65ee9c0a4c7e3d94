//! What the arms are and cost, and how they were tuned.

use indicatif::HumanCount;
use maud::{Markup, html};

use crate::report::layout::{or_dash, swatch, wide_table};
use crate::report::summary::{ArmSummary, Summary};
use crate::report::words::tokens;
use crate::results::{ArmFacts, Experiment, Line, Phase, Role, Status, Trial};
use crate::statistics::mean;

/// Parameters, state, operations, speed and what was chosen for each size.
pub(super) fn arms(experiment: &Experiment, summary: &Summary) -> [Markup; 3] {
    let energy = experiment.arms.iter().any(|arm| arm.joules_per_million_tokens.is_some());
    let head = html! {
        tr {
            th { "arm" } th.text { "role" } th { "parameters" } th { "state, bytes" } th { "FLOPs/token" }
            @if energy { th { "J per million tokens" } }
            th { "tokens/s" } "\n"
            @for &size in &experiment.sizes { th { "rate, decay, steps at " (tokens(size as f64)) } }
        }
    };
    let arms = experiment.arms.iter().zip(&summary.arms).enumerate();
    let rows = arms.map(|(index, (facts, arm))| arm_row(index, facts, arm, energy));
    let measured = match energy {
        true => {
            "J: energy of the whole machine by its own counters, training on one thread with no other run of this study beside it."
        }
        false => "Energy was not measured.",
    };
    let chosen = match experiment.trials.len() {
        1 => "the same for all arms, not tuned",
        _ => "chosen on the tuning split, each arm from the same grid",
    };
    let note = html! {
        p.note {
            "State, in f32: a decoder's for generation at the end of a context, an encoder's until its answer. FLOPs: of a forward pass. "
            (measured) " Tokens/s: of training, median over runs. Learning rate, weight decay and steps of the schedule: " (chosen) "."
        }
    };
    [html! { h2 { "Arms" } }, wide_table(head, rows), note]
}

fn arm_row(index: usize, facts: &ArmFacts, arm: &ArmSummary, energy: bool) -> Markup {
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
            td { (tokens(arm.flops_per_token)) }
            @if energy { td { (or_dash(facts.joules_per_million_tokens, |joules| format!("{joules:.0}"))) } }
            td { (or_dash(arm.tokens_per_second, |speed| HumanCount(speed.round() as u64).to_string())) }
            @for size in &arm.sizes { td { (or_dash(size.trial, chosen)) } }
        }
    }
}

/// Mean tuning loss of every point of the grid; the best of each arm and size stands out.
pub(super) fn tuning(experiment: &Experiment, stored: &[Line]) -> Markup {
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

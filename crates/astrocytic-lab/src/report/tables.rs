//! The same figures as CSV, one observation a row.

use anyhow::{Context, Result};

use crate::results::{Cell, Line, Phase, Status};

/// What every row says of its run.
const CELL: [&str; 7] = ["phase", "arm", "size", "seed", "learning_rate", "weight_decay", "schedule"];

fn of_cell(cell: &Cell) -> [String; 7] {
    [
        phase(cell.phase).into(),
        cell.arm.clone(),
        cell.size.to_string(),
        cell.seed.to_string(),
        cell.trial.learning_rate.to_string(),
        cell.trial.weight_decay.to_string(),
        cell.trial.schedule.to_string(),
    ]
}

/// One row for every run that ended.
pub(super) fn results(lines: &[Line]) -> Result<Vec<u8>> {
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(CELL.into_iter().chain([
        "status",
        "best_step",
        "steps",
        "tuning_loss",
        "test_loss",
        "accuracy",
        "tokens_per_second",
        "seconds",
    ]))?;
    for line in lines {
        let Line::Result { cell, status, best_step, steps, tuning_loss, test, tokens_per_second, seconds, .. } = line
        else {
            continue;
        };
        table.write_record(of_cell(cell).into_iter().chain([
            if *status == Status::Finished { "finished" } else { "diverged" }.into(),
            best_step.to_string(),
            steps.to_string(),
            number(*tuning_loss),
            test.as_ref().map_or_else(String::new, |test| number(test.loss)),
            test.as_ref().and_then(|test| test.accuracy).map_or_else(String::new, number),
            number(*tokens_per_second),
            number(*seconds),
        ]))?;
    }
    table.into_inner().context("a table in memory")
}

/// One row for every evaluation.
pub(super) fn curves(lines: &[Line]) -> Result<Vec<u8>> {
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(CELL.into_iter().chain(["step", "tokens", "train_loss", "tuning_loss"]))?;
    for line in lines {
        let Line::Evaluation { cell, step, tokens, train_loss, tuning_loss, .. } = line else { continue };
        table.write_record(of_cell(cell).into_iter().chain([
            step.to_string(),
            tokens.to_string(),
            number(*train_loss),
            number(*tuning_loss),
        ]))?;
    }
    table.into_inner().context("a table in memory")
}

fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Tune => "tune",
        Phase::Final => "final",
    }
}

/// Empty where it is not finite.
fn number(value: f64) -> String {
    if value.is_finite() { value.to_string() } else { String::new() }
}

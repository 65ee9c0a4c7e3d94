//! Stored lines in the order in which reports show them.

use std::collections::HashMap;

use anyhow::{Result, bail};

use crate::results::{Cell, Experiment, Line, Phase, Trial};

/// Each line once, in an order that does not depend on which worker was first.
pub(super) fn in_order(experiment: &Experiment, lines: &[Line]) -> Result<Vec<Line>> {
    let arms: HashMap<&str, usize> =
        experiment.arms.iter().enumerate().map(|(i, arm)| (arm.name.as_str(), i)).collect();
    let mut found: HashMap<_, Line> = HashMap::new();
    for line in lines {
        let cell = line.cell();
        if !arms.contains_key(cell.arm.as_str()) {
            bail!("a stored line is of the arm \"{}\", which the experiment does not have", cell.arm);
        }
        if !experiment.sizes.contains(&cell.size) {
            bail!("a stored line is of the size {}, which the experiment does not have", cell.size);
        }
        let step = match line {
            Line::Evaluation { step, .. } => Some(*step),
            Line::Result { .. } => None,
        };
        // A run that was interrupted and repeated may have written lines twice, under another cell
        // name if the program changed. Those of the run that ended last count.
        let Trial { learning_rate, weight_decay, schedule } = cell.trial;
        let run = (cell.phase, cell.arm.clone(), cell.size, cell.seed, schedule);
        found.insert((run, [learning_rate, weight_decay].map(f64::to_bits), step), line.clone());
    }
    let mut lines: Vec<((String, Option<u64>), Line)> =
        found.into_iter().map(|((.., step), line)| ((line.cell().id.clone(), step), line)).collect();
    let place = |cell: &Cell| (cell.phase == Phase::Final, arms[cell.arm.as_str()], cell.size, cell.seed);
    lines.sort_by(|((id_a, step_a), a), ((id_b, step_b), b)| {
        let (a, b) = (a.cell(), b.cell());
        let (p, q) = (a.trial, b.trial);
        let rates = p.learning_rate.total_cmp(&q.learning_rate).then(p.weight_decay.total_cmp(&q.weight_decay));
        let rates = rates.then(p.schedule.cmp(&q.schedule));
        let end_last = |step: &Option<u64>| step.unwrap_or(u64::MAX);
        place(a).cmp(&place(b)).then(rates).then(id_a.cmp(id_b)).then(end_last(step_a).cmp(&end_last(step_b)))
    });
    Ok(lines.into_iter().map(|(_, line)| line).collect())
}

//! The rounds of an experiment: what is run next follows from the stored lines alone.

use anyhow::Result;

use crate::arms::ModelConfig;
use crate::experiment::cells::Cells;
use crate::experiment::config::ExperimentConfig;
use crate::experiment::grid::{final_cells, tuning_cells};
use crate::experiment::solving::cells_of_searched_sizes;
use crate::results::{Cell, Line};

/// The runs to be made now, each after the name of its training; none once all are done.
///
/// Where losses are compared: tuning runs until every arm is tuned at every size, then final runs.
/// Where tasks are solved or not: what each arm needs to go on with its search of sizes.
pub(super) fn next_cells(
    config: &ExperimentConfig,
    models: &[ModelConfig],
    cells: &Cells,
    lines: &[Line],
) -> Result<Vec<(String, Cell)>> {
    let open = |mut round: Vec<(String, Cell)>| {
        round.retain(|(_, cell)| !cells.is_done(cell));
        round
    };
    if let Some(solved_at) = config.solved_at() {
        return Ok(open(cells_of_searched_sizes(config, solved_at, models, lines)?));
    }
    let tuning = open(tuning_cells(config, models, lines)?);
    if !tuning.is_empty() {
        return Ok(tuning);
    }
    Ok(open(final_cells(config, models, lines)?))
}

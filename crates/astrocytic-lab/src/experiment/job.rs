//! What workers are to work on, as a file that all of them can read.

use serde::{Deserialize, Serialize};

use crate::experiment::config::ExperimentConfig;
use crate::results::Cell;

/// What workers are to work on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) config: ExperimentConfig,
    /// The corpus as it was typed now, which need not be how it was when the run began.
    pub(crate) corpus: String,
    /// Of the tokens: this machine's corpus may be another.
    pub(crate) sha256: String,
    /// Of the program: this machine's may be another.
    pub(crate) program: String,
    pub(crate) device: String,
    pub(crate) trainings: Vec<Training>,
    /// Whether a worker works out the next cells from the stored results once these are done.
    pub(crate) goes_on: bool,
}

/// Cells that need the same training: what is done with the trained model differs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Training {
    /// Names it in the results folder.
    pub(crate) name: String,
    pub(crate) first: Cell,
    pub(crate) others: Vec<Cell>,
}

impl Training {
    /// The trainings that these cells need, each after its name.
    pub(crate) fn of(cells: Vec<(String, Cell)>) -> Vec<Self> {
        let mut trainings: Vec<Self> = Vec::new();
        for (name, cell) in cells {
            match trainings.iter_mut().find(|training| training.name == name) {
                Some(training) => training.others.push(cell),
                None => trainings.push(Self { name, first: cell, others: vec![] }),
            }
        }
        trainings
    }
}

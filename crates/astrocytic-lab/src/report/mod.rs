//! Reports from stored lines alone: `report.html`, `results.json`, CSV tables, plots and curves for
//! TensorBoard.
//!
//! The same lines give the same bytes. Runs that are missing are counted, not an error. All of a
//! report is derived: it can be removed and made again.

mod calibration;
mod contrast_table;
mod contrasts;
mod doubts;
mod experiment;
mod family;
mod figures;
mod findings;
mod grid_edges;
mod layout;
mod learned;
mod learning_figure;
mod order;
mod page;
mod picture;
pub(crate) mod plot;
mod save;
mod solved;
mod solved_figure;
mod solved_summary;
mod solved_words;
mod stored;
mod summarize;
mod summary;
#[cfg(test)]
pub(crate) mod synthetic;
mod tables;
pub(crate) mod tensorboard;
mod text;
mod words;
mod write;

pub use calibration::{Calibration, calibrate};
pub(crate) use contrasts::count as count_contrasts;
pub use experiment::{PlanSummary, StudySummary};
pub use figures::{loss_svg, ratio_svg};
pub(crate) use layout::{MATRICES, page as html_page, table, wide_table};
pub(crate) use picture::{Shade, picture};
pub(crate) use save::{save, save_json};
pub use solved_summary::{SolvedArm, SolvedShare, SolvedSummary};
pub(crate) use stored::whole_lines;
pub use stored::{load, save_experiment};
pub use summarize::summarize;
pub use summary::{
    ArmSummary, Contrast, Difference, GridAxis, LawFit, Measure, Ratio, SizeSummary, Stream, Summary, Verdict,
};
pub use write::write;
pub(crate) use write::{Stored, write_all};

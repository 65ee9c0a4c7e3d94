//! Progress on standard error: a bar with the time left on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::results::{Line, Phase};

/// Seconds between plain lines.
const PLAIN_INTERVAL: Duration = Duration::from_secs(15);

/// Shows how far a piece of work is.
pub struct Progress {
    bar: ProgressBar,
    plain: Option<std::cell::Cell<Option<Instant>>>,
    /// When work began, and how much had been done before.
    started: Instant,
    skipped: std::cell::Cell<u64>,
}

impl Progress {
    /// For a number of cells.
    pub fn cells(cells: usize) -> Self {
        Self::new(cells as u64, "{bar:30} {pos}/{len} runs, {eta} left  {msg}")
    }

    /// For a number of optimizer steps.
    pub fn steps(steps: u64) -> Self {
        Self::new(steps, "{bar:30} {pos}/{len} steps, {eta} left  {msg}")
    }

    /// For a number of rows of text.
    pub fn rows(rows: u64) -> Self {
        Self::new(rows, "{bar:30} {pos}/{len} rows, {eta} left  {msg}")
    }

    fn new(length: u64, template: &str) -> Self {
        let plain = (!std::io::stderr().is_terminal()).then(|| std::cell::Cell::new(None));
        let bar = if plain.is_some() { ProgressBar::hidden() } else { ProgressBar::new(length) };
        bar.set_length(length);
        bar.set_style(ProgressStyle::with_template(template).expect("a template of this file"));
        Self { bar, plain, started: Instant::now(), skipped: std::cell::Cell::new(0) }
    }

    /// Work that was done before.
    pub fn skip(&self, count: u64) {
        self.skipped.set(self.skipped.get() + count);
        self.bar.inc(count);
        self.bar.reset_eta();
    }

    /// A line of results came.
    pub fn line(&self, line: &Line) {
        let Line::Result { cell, tuning_loss, test, tokens_per_second, .. } = line else { return };
        let phase = if cell.phase == Phase::Tune { "tuning" } else { "final" };
        let loss = test.as_ref().map_or(*tuning_loss, |test| test.loss);
        let message = format!(
            "{phase} {} at {}, seed {}: loss {loss:.3}, {tokens_per_second:.0} tokens/s",
            cell.arm, cell.size, cell.seed
        );
        self.advance(1, message);
    }

    /// So many steps more.
    pub fn advance(&self, steps: u64, message: String) {
        self.bar.inc(steps);
        let Some(last) = &self.plain else { return self.bar.set_message(message) };
        let (done, all) = (self.bar.position(), self.bar.length().unwrap_or(0));
        let due = last.get().is_none_or(|at| at.elapsed() >= PLAIN_INTERVAL);
        if due || done == all {
            last.set(Some(Instant::now()));
            let own = done.saturating_sub(self.skipped.get()).max(1);
            let left = self.started.elapsed().mul_f64(all.saturating_sub(done) as f64 / own as f64);
            eprintln!("{done}/{all}, about {} s left: {message}", left.as_secs());
        }
    }

    /// The work is done.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

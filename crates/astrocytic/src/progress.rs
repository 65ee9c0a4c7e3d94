//! Progress on standard error: a bar with the time left on a terminal, plain lines elsewhere.

use std::cell::RefCell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use astrocytic_train::observer::{Observer, Unit};
use indicatif::{ProgressBar, ProgressStyle};

/// Seconds between plain lines.
const PLAIN_INTERVAL: Duration = Duration::from_secs(15);

/// Shows on standard error what long work says, and how far it is.
#[derive(Default)]
pub(crate) struct Progress(RefCell<Option<Work>>);

/// A piece of work.
struct Work {
    bar: ProgressBar,
    /// When a plain line was last written; `None` on a terminal, which has a bar.
    plain: Option<Option<Instant>>,
    /// When work began, and how much had been done before.
    started: Instant,
    skipped: u64,
}

impl Observer for Progress {
    fn say(&self, line: &str) {
        eprintln!("{line}");
    }

    fn begin(&self, unit: Unit, all: u64) {
        *self.0.borrow_mut() = Some(Work::new(unit, all));
    }

    fn skip(&self, count: u64) {
        if let Some(work) = self.0.borrow_mut().as_mut() {
            work.skipped += count;
            work.bar.inc(count);
            work.bar.reset_eta();
        }
    }

    fn advance(&self, count: u64, message: String) {
        if let Some(work) = self.0.borrow_mut().as_mut() {
            work.advance(count, message);
        }
    }

    fn finish(&self) {
        if let Some(work) = self.0.take() {
            work.bar.finish_and_clear();
        }
    }
}

impl Work {
    fn new(unit: Unit, all: u64) -> Self {
        let unit = match unit {
            Unit::Runs => "runs",
            Unit::Steps => "steps",
            Unit::Rows => "rows",
        };
        let plain = (!std::io::stderr().is_terminal()).then_some(None);
        let bar = if plain.is_some() { ProgressBar::hidden() } else { ProgressBar::new(all) };
        bar.set_length(all);
        let template = format!("{{bar:30}} {{pos}}/{{len}} {unit}, {{eta}} left  {{msg}}");
        bar.set_style(ProgressStyle::with_template(&template).expect("a template of this file"));
        Self { bar, plain, started: Instant::now(), skipped: 0 }
    }

    fn advance(&mut self, count: u64, message: String) {
        self.bar.inc(count);
        let Some(last) = &mut self.plain else { return self.bar.set_message(message) };
        let (done, all) = (self.bar.position(), self.bar.length().unwrap_or(0));
        let due = last.is_none_or(|at| at.elapsed() >= PLAIN_INTERVAL);
        if due || done == all {
            *last = Some(Instant::now());
            let own = done.saturating_sub(self.skipped).max(1);
            let left = self.started.elapsed().mul_f64(all.saturating_sub(done) as f64 / own as f64);
            eprintln!("{done}/{all}, about {} s left: {message}", left.as_secs());
        }
    }
}

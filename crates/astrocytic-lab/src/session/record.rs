//! What a run writes while it trains: its lines, and events for TensorBoard.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use astrocytic_train::observer::Observer;
use astrocytic_train::train::Event;

use crate::report::tensorboard::EventFile;

/// The record of a run in its folder.
pub(super) struct Record<'a> {
    path: PathBuf,
    lines: File,
    folder: &'a Path,
    events: Option<EventFile>,
    tokens_per_step: f64,
    observer: &'a dyn Observer,
    /// The last step that the observer was told of.
    reached: u64,
    /// The last losses, in words.
    losses: String,
}

impl<'a> Record<'a> {
    /// A record in `folder`, which may hold one of an earlier part of the run.
    ///
    /// # Errors
    /// For a file that cannot be written.
    pub(super) fn open(folder: &'a Path, tokens_per_step: f64, observer: &'a dyn Observer) -> Result<Self> {
        let path = folder.join("lines.jsonl");
        let lines = OpenOptions::new().create(true).append(true).open(&path)?;
        let (events, losses) = (None, String::new());
        Ok(Self { path, lines, folder, events, tokens_per_step, observer, reached: 0, losses })
    }

    /// Writes what an event has to say, and tells the observer.
    ///
    /// # Errors
    /// For a file that cannot be written.
    pub(super) fn add(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Damaged { damage } => {
                self.observer.note(&format!("{damage}; going on from the one before"));
                Ok(())
            }
            Event::Begun { step } => {
                self.observer.skip(step);
                self.reached = step;
                self.events = Some(EventFile::begin(&self.folder.join("tensorboard"), step)?);
                cut_after(&self.path, step).with_context(|| self.cannot_write())
            }
            Event::Step { step, seconds, .. } => {
                let tokens_per_second = step as f64 * self.tokens_per_step / seconds;
                let message = format!("{tokens_per_second:.0} tokens/s{}", self.losses);
                self.observer.advance(step - self.reached, message);
                self.reached = step;
                Ok(())
            }
            Event::Evaluation { step, train_loss, tuning_loss, .. } => {
                let tokens = (step as f64 * self.tokens_per_step).round() as u64;
                if let Some(events) = &mut self.events {
                    events.write(step, &[("loss/train", train_loss), ("loss/tuning", tuning_loss)])?;
                }
                self.losses = format!(", training loss {train_loss:.3}, tuning loss {tuning_loss:.3}");
                let line = serde_json::json!({
                    "step": step, "tokens": tokens, "train_loss": train_loss, "tuning_loss": tuning_loss
                });
                writeln!(self.lines, "{line}").with_context(|| self.cannot_write())
            }
        }
    }

    fn cannot_write(&self) -> String {
        format!("cannot write {}", self.path.display())
    }
}

/// Cuts evaluations after the checkpoint's step, which will be made again.
fn cut_after(path: &Path, last: u64) -> std::io::Result<()> {
    let text = std::fs::read_to_string(path)?;
    let step = |line: &str| serde_json::from_str::<serde_json::Value>(line).ok()?["step"].as_u64();
    let kept = text.split_inclusive('\n').take_while(|line| step(line).is_some_and(|step| step <= last));
    let length: usize = kept.map(str::len).sum();
    std::fs::OpenOptions::new().write(true).open(path)?.set_len(length as u64)
}

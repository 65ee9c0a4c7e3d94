//! Shows what is fetched, which the data crate tells as events: on a terminal how many bytes have
//! come, elsewhere a line.

use std::fmt::Debug;
use std::io::IsTerminal;
use std::sync::Mutex;

use astrocytic_data::FETCH_EVENTS;
use indicatif::{HumanBytes, ProgressBar};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// The events that this program shows.
pub(crate) struct FetchProgress {
    /// `None` where standard error is no terminal.
    spinner: Option<Mutex<ProgressBar>>,
}

impl FetchProgress {
    pub(crate) fn new() -> Self {
        let spinner = || Mutex::new(ProgressBar::hidden());
        Self { spinner: std::io::stderr().is_terminal().then(spinner) }
    }
}

/// What an event says.
#[derive(Default)]
struct Told {
    label: String,
    bytes: u64,
    ended: bool,
}

impl Visit for Told {
    fn record_u64(&mut self, _: &Field, bytes: u64) {
        self.bytes = bytes;
    }

    fn record_bool(&mut self, _: &Field, ended: bool) {
        self.ended = ended;
    }

    fn record_debug(&mut self, _: &Field, label: &dyn Debug) {
        self.label = format!("{label:?}");
    }
}

impl Subscriber for FetchProgress {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target() == FETCH_EVENTS
    }

    fn event(&self, event: &Event<'_>) {
        let mut told = Told::default();
        event.record(&mut told);
        let Some(spinner) = &self.spinner else {
            if *event.metadata().level() == Level::INFO {
                eprintln!("{}", told.label);
            }
            return;
        };
        let Ok(mut spinner) = spinner.lock() else { return };
        if told.ended {
            spinner.finish_and_clear();
            return;
        }
        if *event.metadata().level() == Level::INFO {
            *spinner = ProgressBar::new_spinner();
        }
        spinner.set_message(format!("{}: {}", told.label, HumanBytes(told.bytes)));
        spinner.tick();
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

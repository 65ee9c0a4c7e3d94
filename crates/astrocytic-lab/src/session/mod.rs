//! Training one model from the command line: corpus to saved model, resumable.

mod config;
mod record;
mod result;
mod run;

pub use config::SessionConfig;
pub use result::{RememberedResult, SessionResult};
pub use run::run;

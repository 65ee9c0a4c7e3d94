//! `--config` and `--study`: a study of an experiment's file.

use std::path::PathBuf;

use anyhow::Result;
use astrocytic_lab::experiment::plan::{Plan, Study};
use clap::Args;

#[derive(Args)]
pub(crate) struct StudyArguments {
    /// TOML file of an experiment, as for `run`.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Study of the file [default: the only one].
    #[arg(long, requires = "config")]
    study: Option<String>,
}

impl StudyArguments {
    /// The file and the study; `None` without a file.
    pub(crate) fn load(&self) -> Result<Option<(Plan, Study)>> {
        let Some(path) = &self.config else { return Ok(None) };
        let plan = Plan::load(path)?;
        let study = plan.study(self.study.as_deref())?.clone();
        Ok(Some((plan, study)))
    }
}

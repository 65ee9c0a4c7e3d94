//! The page of a study: facts, findings, figures and tables.

mod arms;
mod losses;
mod ratios;
mod solved;
mod study;

pub(super) use study::study;

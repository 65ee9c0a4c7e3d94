//! `simulate paper-figure`: the astrocyte's response against the softmax normaliser on a pretrained
//! model's queries and keys (Kozachkov, Kastanenka, Krotov, PNAS 2023, figure 4), and past it: the
//! error of the attention's output, layer by layer, and the loss of the whole model.

mod learned;
mod page;
mod report;
mod run;
mod study;

pub use report::{LayerMapError, MapError, PaperFigureConfig, PaperFigureReport};
pub use run::paper_figure;

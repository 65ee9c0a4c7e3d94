//! What is asked of a pretrained model, and what came of it.

use std::path::PathBuf;

use serde::Serialize;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PaperFigureConfig {
    /// A pretrained model's file or folder, or a name that is fetched.
    pub model: PathBuf,
    /// Tokens of a row.
    pub steps: usize,
    /// Numbers m of random features.
    pub features: Vec<usize>,
    /// Steps in which learned maps learn to do what softmax does; 0 leaves them out.
    pub transfer_steps: u64,
    /// Seed.
    pub seed: u64,
}

/// A layer's errors.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerMapError {
    /// Median of the relative difference of the normaliser, over tokens and heads: its tails are
    /// too heavy for a mean. Null where it is not finite.
    pub normaliser: f64,
    /// Root of the mean squared difference of the layer's output, relative to the original's.
    pub output: f64,
}

/// What a feature map does to the model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MapError {
    /// Its name.
    pub map: String,
    /// Its features.
    pub m: usize,
    /// Error of the normaliser, mean over layers.
    pub error_normaliser: f64,
    /// Error of the output, mean over layers.
    pub error_output: f64,
    /// Loss of the model with this attention in all of its layers, not trained any further.
    pub loss: f64,
    /// Layer by layer, each with the original's inputs.
    pub layers: Vec<LayerMapError>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PaperFigureReport {
    /// What was asked.
    pub config: PaperFigureConfig,
    /// Of what kind the losses are.
    pub loss: &'static str,
    /// The original model's.
    pub original_loss: f64,
    /// The model's without attention.
    pub no_attention_loss: f64,
    /// Every map, those of random directions at each number of features.
    pub maps: Vec<MapError>,
}

impl std::fmt::Display for PaperFigureReport {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        writeln!(
            f,
            "{}: original {:.4}, without attention {:.4}",
            self.loss, self.original_loss, self.no_attention_loss
        )?;
        write!(f, "{:30} {:>7} {:>12} {:>10} {:>10}", "map", "m", "normaliser", "output", "loss")?;
        for MapError { map, m, error_normaliser, error_output, loss, .. } in &self.maps {
            let normaliser = match error_normaliser.abs() < 1e4 {
                true => format!("{error_normaliser:.4}"),
                false => format!("{error_normaliser:.1e}"),
            };
            write!(f, "\n{map:30} {m:7} {normaliser:>12} {error_output:10.4} {loss:10.4}")?;
        }
        Ok(())
    }
}

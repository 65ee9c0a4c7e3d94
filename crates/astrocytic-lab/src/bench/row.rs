//! What was measured; peers in another language write the same JSON lines.

use serde::{Deserialize, Serialize};

use super::clock::median;
use super::request::Direction;
#[cfg(doc)]
use super::request::Request;

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Row {
    /// One of [`Request::Attention`].
    Attention(AttentionRow),
    /// One of [`Request::TrainStep`].
    TrainStep(TrainRow),
    /// One of [`Request::Generate`].
    Generate(GenerateRow),
    /// One of [`Request::Segments`].
    Segments(SegmentsRow),
    /// One of [`Request::MatrixPeak`].
    Peak(PeakRow),
    /// Where the others come from; the first.
    Machine(MachineRow),
}

/// Time and memory of the attention op.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttentionRow {
    /// `astrocytic`, `softmax`, or `attention` for a peer's.
    pub op: String,
    /// Which.
    pub variant: String,
    /// Device.
    pub device: String,
    /// Passes.
    pub direction: Direction,
    /// Rows.
    pub batch: usize,
    /// Heads.
    pub heads: usize,
    /// Size of a head.
    pub head_dim: usize,
    /// Steps.
    pub seq_len: usize,
    /// Median milliseconds of a call.
    pub ms_median: f64,
    /// Least milliseconds of a call.
    pub ms_min: f64,
    /// Billions of operations per second in the op's matrix products, at the median; a peer does
    /// not say.
    #[serde(default)]
    pub gflops: Option<f64>,
    /// How far the process's peak memory rose above what it held before, inputs included.
    pub peak_mb: Option<f64>,
}

/// Speed of training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainRow {
    /// `train_step`
    pub op: String,
    /// Which.
    pub arm: String,
    /// Steps T of a row.
    pub seq_len: usize,
    /// Median over steps.
    pub tokens_per_s: f64,
    /// Trained parameters.
    pub parameters: u64,
}

/// Speed of generation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GenerateRow {
    /// `generate`
    pub op: String,
    /// Which.
    pub arm: String,
    /// Length of the text before.
    pub position: usize,
    /// Median over tokens.
    pub ms_per_token: f64,
    /// Bytes of state of one sequence at that position; a peer does not say.
    #[serde(default)]
    pub state_bytes: Option<u64>,
}

/// Time and memory of gradients through segments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SegmentsRow {
    /// `segments`
    pub op: String,
    /// `replay` or `through_time`.
    pub by: String,
    /// Segments of a row.
    pub segments: usize,
    /// Tokens of the batch.
    pub tokens: usize,
    /// Median milliseconds of a call.
    pub ms_median: f64,
    /// How far the process's peak memory rose above what it held before the first call.
    pub peak_mb: Option<f64>,
}

/// Where measurements come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MachineRow {
    /// `machine`
    pub op: String,
    /// Processor, cores, memory and system.
    pub machine: String,
    /// Commit of the program.
    pub commit: String,
    /// The peer's version and threads, where there was one.
    pub peer: Option<String>,
    /// Times that everything was measured.
    pub rounds: usize,
}

/// Speed of a large matrix product.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PeakRow {
    /// `matrix_peak`
    pub op: String,
    /// Billions of operations per second.
    pub gflops: f64,
}

/// The row with the median of each figure.
pub(super) fn median_row(rows: Vec<Row>) -> Option<Row> {
    let all = |of: &dyn Fn(&Row) -> f64| median(rows.iter().map(of).collect());
    let least = |of: &dyn Fn(&Row) -> f64| rows.iter().map(of).fold(f64::INFINITY, f64::min);
    let attention = |row: &Row, of: &dyn Fn(&AttentionRow) -> f64| match row {
        Row::Attention(row) => of(row),
        _ => f64::NAN,
    };
    Some(match rows.first()?.clone() {
        Row::Attention(first) => {
            let by = |of: &dyn Fn(&AttentionRow) -> f64| all(&|row| attention(row, of));
            Row::Attention(AttentionRow {
                ms_median: by(&|row| row.ms_median),
                ms_min: least(&|row| attention(row, &|row| row.ms_min)),
                gflops: first.gflops.map(|_| by(&|row| row.gflops.unwrap_or(f64::NAN))),
                peak_mb: first.peak_mb.map(|_| by(&|row| row.peak_mb.unwrap_or(f64::NAN))),
                ..first
            })
        }
        Row::TrainStep(first) => Row::TrainStep(TrainRow {
            tokens_per_s: all(&|row| if let Row::TrainStep(row) = row { row.tokens_per_s } else { f64::NAN }),
            ..first
        }),
        Row::Generate(first) => Row::Generate(GenerateRow {
            ms_per_token: all(&|row| if let Row::Generate(row) = row { row.ms_per_token } else { f64::NAN }),
            ..first
        }),
        Row::Segments(first) => {
            let by = |of: &dyn Fn(&SegmentsRow) -> f64| {
                all(&|row| if let Row::Segments(row) = row { of(row) } else { f64::NAN })
            };
            Row::Segments(SegmentsRow {
                ms_median: by(&|row| row.ms_median),
                peak_mb: first.peak_mb.map(|_| by(&|row| row.peak_mb.unwrap_or(f64::NAN))),
                ..first
            })
        }
        Row::Machine(machine) => Row::Machine(machine),
        Row::Peak(first) => Row::Peak(PeakRow {
            gflops: all(&|row| if let Row::Peak(row) = row { row.gflops } else { f64::NAN }),
            ..first
        }),
    })
}

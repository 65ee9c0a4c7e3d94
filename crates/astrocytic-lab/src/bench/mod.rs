//! Speed and memory: the attention op by length and direction, whole training steps, generation by position, gradients through
//! segments by their number.
//!
//! Every measurement runs in a process of its own, so that none finds the memory or the threads of another. Peers in
//! another language speak the same JSON lines (see benches/pytorch/) and are measured in turn with ours.

mod attention;
mod generation;
mod memory;
mod peers;
mod pull_back;
mod segments;
mod table;
mod training;

use std::fs::File;
use std::io::{BufRead, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use astrocytic_train::device;
use serde::{Deserialize, Serialize};

pub use peers::Peer;
pub use table::table;

use crate::provenance::machine;

/// What is to be measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Request {
    /// A large matrix product: what the machine can do.
    MatrixPeak,
    /// One call of the attention op, causal, f32.
    Attention {
        /// Whose: a variant of ours, or of a peer's.
        #[serde(rename = "peer")]
        variant: String,
        /// `forward` or `forward_backward`.
        direction: Direction,
        /// Rows.
        batch: usize,
        /// Heads.
        heads: usize,
        /// Size of a head's queries, keys and values.
        head_dim: usize,
        /// Steps T.
        seq_len: usize,
        /// How long to repeat.
        seconds: f64,
    },
    /// A whole training step.
    TrainStep {
        /// An arm of the comparison, or a peer's model of the same shape.
        arm: String,
        /// Rows.
        batch: usize,
        /// Steps T.
        seq_len: usize,
        /// The model's sizes.
        #[serde(flatten)]
        model: ModelSizes,
        /// How long to repeat.
        seconds: f64,
    },
    /// Drawing tokens after a text of some length.
    Generate {
        /// An arm, or a peer's model.
        arm: String,
        /// Length of the text before.
        position: usize,
        /// Tokens to draw.
        tokens: usize,
        /// The model's sizes.
        #[serde(flatten)]
        model: ModelSizes,
    },
    /// Gradients of a small model that reads segments.
    Segments {
        /// How many.
        segments: usize,
        /// By replay; else by backpropagation through time.
        replayed: bool,
        /// How long to repeat.
        seconds: f64,
    },
}

/// Which passes are timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The result alone, without autodiff.
    Forward,
    /// The result and the gradients of q, k and v.
    ForwardBackward,
}

/// Sizes of a model to train or to generate with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelSizes {
    /// Blocks.
    pub layers: usize,
    /// Width.
    pub d_model: usize,
    /// Heads.
    pub heads: usize,
    /// Hidden width of a peer's feed-forward layers; ours follow from equal parameters.
    pub d_hidden: usize,
    /// Tokens known.
    pub vocabulary: usize,
}

/// The small model of the benchmarks.
pub const SMALL: ModelSizes = ModelSizes { layers: 4, d_model: 128, heads: 4, d_hidden: 344, vocabulary: 512 };

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
    /// Billions of operations per second in the op's matrix products, at the median; a peer does not say.
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

/// Which measurements to make.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Name of the device.
    pub device: String,
    /// Lengths of the op's sequences.
    pub lengths: Vec<usize>,
    /// Seconds that a measurement repeats.
    pub seconds: f64,
    /// Times that everything is measured, ours and peers' in turn; medians are kept.
    pub rounds: usize,
    /// What to measure: `attention`, `train`, `generate` and `segments`.
    pub parts: Vec<String>,
}

impl Plan {
    /// Lengths for `seconds` long measurements.
    pub const LENGTHS: [usize; 4] = [128, 256, 1024, 4096];

    /// Ours, each with the peers' requests that it is compared with.
    fn requests(&self, peers: &[String]) -> Vec<(Request, Vec<Request>)> {
        let has = |part: &str| self.parts.iter().any(|p| p == part);
        let seconds = self.seconds;
        let mut requests = vec![(Request::MatrixPeak, Vec::new())];
        if has("attention") {
            for &seq_len in &self.lengths {
                for direction in [Direction::Forward, Direction::ForwardBackward] {
                    for (i, variant) in attention::VARIANTS.iter().enumerate() {
                        let of = |variant: &str| Request::Attention {
                            variant: variant.into(),
                            direction,
                            batch: 8,
                            heads: 4,
                            head_dim: 32,
                            seq_len,
                            seconds,
                        };
                        // Peers beside the first of ours, and so close in time to all.
                        let beside = if i == 0 { peers.iter().map(|peer| of(peer)).collect() } else { Vec::new() };
                        requests.push((of(variant), beside));
                    }
                }
            }
            // Equal tokens per batch at every length: time per token should not grow.
            for seq_len in [512, 2048, 8192, 16_384] {
                let direction = Direction::ForwardBackward;
                let batch = 32_768 / seq_len;
                let variant = "linear".into();
                let own = Request::Attention { variant, direction, batch, heads: 4, head_dim: 32, seq_len, seconds };
                requests.push((own, Vec::new()));
            }
        }
        let of_peers = |arms: &[&str], of: &dyn Fn(&str) -> Request| -> Vec<Request> {
            if peers.is_empty() { Vec::new() } else { arms.iter().map(|arm| of(arm)).collect() }
        };
        if has("train") {
            for (seq_len, batch) in [(256, 16), (1024, 4)] {
                for (i, arm) in ["vanilla", "linear", "tripartite", "vanilla-convolution-gate"].iter().enumerate() {
                    let of = |arm: &str| Request::TrainStep {
                        arm: arm.into(),
                        batch,
                        seq_len,
                        model: SMALL,
                        seconds: 4.0 * seconds,
                    };
                    let beside = if i == 0 { of_peers(&["torch-softmax", "torch-linear"], &of) } else { Vec::new() };
                    requests.push((of(arm), beside));
                }
            }
        }
        if has("generate") {
            for position in [64, 256, 1024, 8192] {
                for (i, arm) in ["vanilla", "linear", "tripartite"].iter().enumerate() {
                    let of = |arm: &str| Request::Generate { arm: arm.into(), position, tokens: 100, model: SMALL };
                    let beside = if i == 0 { of_peers(&["torch-softmax"], &of) } else { Vec::new() };
                    requests.push((of(arm), beside));
                }
            }
        }
        if has("segments") {
            for segments in [1, 2, 4, 8, 16, 32] {
                requests
                    .extend([true, false].map(|replayed| (Request::Segments { segments, replayed, seconds }, vec![])));
            }
        }
        requests
    }

    /// Measures everything, ours and the peer's in turn, and tells of each row as it is there.
    ///
    /// # Errors
    /// Where a process cannot be started or answers nothing that can be read. What a peer cannot do is left out.
    pub fn run(&self, mut peer: Option<&mut Peer>, tell: &mut dyn FnMut(&Row) -> Result<()>) -> Result<Vec<Row>> {
        let names = peer.as_ref().map_or_else(Vec::new, |peer| peer.names().to_vec());
        let requests = self.requests(&names);
        let machine = Row::Machine(MachineRow {
            op: "machine".into(),
            machine: machine::describe(),
            commit: machine::commit().into(),
            peer: peer.as_ref().map(|peer| peer.describe()),
            rounds: self.rounds,
        });
        tell(&machine)?;
        let mut found = vec![machine];
        for (own, beside) in requests {
            let mut rounds = vec![Vec::new(); 1 + beside.len()];
            for _ in 0..self.rounds {
                rounds[0].push(in_a_process(&own, &self.device)?);
                for (rows, request) in rounds[1..].iter_mut().zip(&beside) {
                    rows.extend(peer.as_mut().expect("its requests").measure(request)?);
                }
            }
            for rows in rounds {
                if let Some(row) = median_row(rows) {
                    tell(&row)?;
                    found.push(row);
                }
            }
        }
        Ok(found)
    }
}

/// The row with the median of each figure.
fn median_row(rows: Vec<Row>) -> Option<Row> {
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

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    match numbers.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => numbers[n / 2],
        n => (numbers[n / 2 - 1] + numbers[n / 2]) / 2.0,
    }
}

/// Name of the file of rows in a folder.
const ROWS: &str = "rows.jsonl";

/// Keeps rows in a folder, each as soon as it is there.
pub struct Store(File);

impl Store {
    /// A new file of rows in `folder`.
    ///
    /// # Errors
    /// Where there is one already, or the folder cannot be written.
    pub fn create(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let path = folder.join(ROWS);
        let file = File::create_new(&path);
        Ok(Self(file.with_context(|| format!("{}: choose a folder without stored rows", path.display()))?))
    }

    /// Adds a row.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn add(&mut self, row: &Row) -> Result<()> {
        writeln!(self.0, "{}", serde_json::to_string(row)?)?;
        Ok(self.0.sync_data()?)
    }
}

/// The rows stored in a folder.
///
/// # Errors
/// Where there are none or a line is not a row; says which.
pub fn stored(folder: &Path) -> Result<Vec<Row>> {
    let path = folder.join(ROWS);
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let row = |(i, line): (usize, &str)| {
        serde_json::from_str(line).with_context(|| format!("{}, line {}: not a row", path.display(), i + 1))
    };
    text.lines().enumerate().map(row).collect()
}

/// Asks a new process of this program.
fn in_a_process(request: &Request, device: &str) -> Result<Row> {
    let program = std::env::current_exe().context("where this program lies")?;
    let mut child = Command::new(program)
        .args(["bench-one", "--device", device])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting a process to measure in")?;
    let line = serde_json::to_string(request)?;
    writeln!(child.stdin.take().expect("piped"), "{line}").map_err(|e| anyhow!("asking the process: {e}"))?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("the measurement {line} ended with {}", output.status);
    }
    serde_json::from_slice(&output.stdout).with_context(|| format!("the answer to {line}"))
}

/// Measures what one line of input asks for and answers with one line.
///
/// # Errors
/// For a line that asks for nothing that can be measured.
pub fn serve(mut input: impl BufRead, mut output: impl Write, device: &str) -> Result<()> {
    let mut line = String::new();
    input.read_line(&mut line)?;
    let request = serde_json::from_str(&line).with_context(|| format!("not a request: {}", line.trim()))?;
    writeln!(output, "{}", serde_json::to_string(&measure(&request, device)?)?)?;
    Ok(())
}

fn measure(request: &Request, name: &str) -> Result<Row> {
    let device = device::parse(name)?;
    Ok(match request {
        Request::MatrixPeak => Row::Peak(attention::matrix_peak(&device)),
        Request::Attention { variant, direction, batch, heads, head_dim, seq_len, seconds } => {
            let shape = [*batch, *heads, *head_dim, *seq_len];
            Row::Attention(attention::measure(variant, *direction, shape, *seconds, name, &device)?)
        }
        Request::TrainStep { arm, batch, seq_len, model, seconds } => {
            Row::TrainStep(training::measure(arm, *model, *batch, *seq_len, *seconds, &device)?)
        }
        Request::Generate { arm, position, tokens, model } => {
            Row::Generate(generation::measure(arm, *model, *position, *tokens, &device)?)
        }
        Request::Segments { segments, replayed, seconds } => {
            Row::Segments(segments::measure(*segments, *replayed, *seconds, &device)?)
        }
    })
}

/// Milliseconds above which a call is slow.
const SLOW: f64 = 2000.0;

/// Milliseconds of each of at least five calls after two to warm up, for so many seconds; of slow calls three after one.
fn time(seconds: f64, mut call: impl FnMut()) -> Vec<f64> {
    let mut once = || {
        let started = Instant::now();
        call();
        started.elapsed().as_secs_f64() * 1e3
    };
    let slow = once() > SLOW;
    if !slow {
        once();
    }
    let least = if slow { 3 } else { 5 };
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    let mut found = Vec::new();
    while found.len() < least || Instant::now() < until {
        found.push(once());
    }
    found
}

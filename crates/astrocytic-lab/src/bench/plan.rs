//! Which measurements to make, and making them, ours and a peer's in turn.

use anyhow::Result;
use astrocytic_train::observer::Observer;

use super::attention::VARIANTS;
use super::peers::Peer;
use super::process::in_a_process;
use super::request::{Direction, Request};
use super::row::{MachineRow, Row, median_row};
use super::sizes::SMALL;
use crate::provenance::machine;

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
        let mut requests = vec![(Request::MatrixPeak, Vec::new())];
        for (part, of) in [
            ("attention", Self::of_attention as fn(&Self, &[String]) -> _),
            ("train", Self::of_training),
            ("generate", Self::of_generation),
            ("segments", Self::of_segments),
        ] {
            if self.parts.iter().any(|asked| asked == part) {
                requests.extend(of(self, peers));
            }
        }
        requests
    }

    fn of_attention(&self, peers: &[String]) -> Vec<(Request, Vec<Request>)> {
        let seconds = self.seconds;
        let mut requests = Vec::new();
        for &seq_len in &self.lengths {
            for direction in [Direction::Forward, Direction::ForwardBackward] {
                for (i, variant) in VARIANTS.iter().enumerate() {
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
        requests
    }

    fn of_training(&self, peers: &[String]) -> Vec<(Request, Vec<Request>)> {
        let mut requests = Vec::new();
        for (seq_len, batch) in [(256, 16), (1024, 4)] {
            let seconds = 4.0 * self.seconds;
            let of = |arm: &str| Request::TrainStep { arm: arm.into(), batch, seq_len, model: SMALL, seconds };
            let arms = ["vanilla", "linear", "tripartite", "vanilla-convolution-gate"];
            requests.extend(with_peers(&arms, &["torch-softmax", "torch-linear"], peers, &of));
        }
        requests
    }

    fn of_generation(&self, peers: &[String]) -> Vec<(Request, Vec<Request>)> {
        let mut requests = Vec::new();
        for position in [64, 256, 1024, 8192] {
            let of = |arm: &str| Request::Generate { arm: arm.into(), position, tokens: 100, model: SMALL };
            requests.extend(with_peers(&["vanilla", "linear", "tripartite"], &["torch-softmax"], peers, &of));
        }
        requests
    }

    fn of_segments(&self, _peers: &[String]) -> Vec<(Request, Vec<Request>)> {
        let seconds = self.seconds;
        let of = |segments| [true, false].map(|replayed| (Request::Segments { segments, replayed, seconds }, vec![]));
        [1, 2, 4, 8, 16, 32].into_iter().flat_map(of).collect()
    }

    /// Measures everything, ours and the peer's in turn, and tells of each row as it is there.
    ///
    /// # Errors
    /// Where a process cannot be started or answers nothing that can be read. What a peer cannot do
    /// is left out, and the observer is told why.
    pub fn run(
        &self,
        mut peer: Option<&mut Peer>,
        observer: &dyn Observer,
        tell: &mut dyn FnMut(&Row) -> Result<()>,
    ) -> Result<Vec<Row>> {
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
                    rows.extend(peer.as_mut().expect("its requests").measure(request, observer)?);
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

/// Requests for our arms; those for the peers' beside the first, where there is a peer.
fn with_peers(
    arms: &[&str],
    of_peers: &[&str],
    peers: &[String],
    of: &dyn Fn(&str) -> Request,
) -> Vec<(Request, Vec<Request>)> {
    let beside = |i: usize| match i == 0 && !peers.is_empty() {
        true => of_peers.iter().map(|arm| of(arm)).collect(),
        false => Vec::new(),
    };
    arms.iter().enumerate().map(|(i, arm)| (of(arm), beside(i))).collect()
}

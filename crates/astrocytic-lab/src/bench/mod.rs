//! Speed and memory: the attention op by length and direction, whole training steps, generation by
//! position, gradients through segments by their number.
//!
//! Every measurement runs in a process of its own, so that none finds the memory or the threads of
//! another. Peers in another language speak the same JSON lines (see benches/pytorch/) and are
//! measured in turn with ours.

mod attention;
mod clock;
mod generation;
mod peers;
mod plan;
mod process;
mod pull_back;
mod request;
mod row;
mod segments;
mod sizes;
mod store;
mod table;
mod training;

pub use peers::Peer;
pub use plan::Plan;
pub use process::serve;
pub use request::{Direction, Request};
pub use row::{AttentionRow, GenerateRow, MachineRow, PeakRow, Row, SegmentsRow, TrainRow};
pub use sizes::{ModelSizes, SMALL};
pub use store::{Store, stored};
pub use table::table;

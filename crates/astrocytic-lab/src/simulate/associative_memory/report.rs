//! What is asked of an associative memory, and what came of it.

use serde::Serialize;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MemoryConfig {
    /// Neurons N of the network whose course is drawn.
    pub neurons: usize,
    /// Memories K in it.
    pub memories: usize,
    /// Neurons flipped at its start.
    pub flipped: usize,
    /// Sizes at which capacity is measured.
    pub sizes: Vec<usize>,
    /// Leak α = γ of synapses and processes. Without a leak the fixed points are the dense
    /// memory's.
    pub leak: f64,
    /// Recalls tried at each point.
    pub trials: usize,
    /// Time simulated, in time constants of the neurons.
    pub seconds: f64,
    /// Seed.
    pub seed: u64,
}

/// How many memories each network holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Capacity {
    /// Neurons.
    pub neurons: usize,
    /// Largest number of memories tried at which nine recalls in ten succeed, a tenth of the
    /// neurons flipped: of Hopfield's network, the dense associative memory, neurons and
    /// astrocytes.
    pub memories: [usize; 3],
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MemoryReport {
    /// What was asked.
    pub config: MemoryConfig,
    /// Energy at the beginning and the end.
    pub energy: [f64; 2],
    /// Largest rise of the energy between two moments: 0 but for rounding.
    pub largest_rise: f64,
    /// Whether the memory was recalled.
    pub recalled: bool,
    /// (neurons flipped, share of recalls that succeed of each network).
    pub recalls: Vec<(usize, [f64; 3])>,
    /// Capacity against size.
    pub capacities: Vec<Capacity>,
}

impl std::fmt::Display for MemoryReport {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        writeln!(
            f,
            "memory {}; energy {:.3} to {:.3}, largest rise {:.1e}",
            if self.recalled { "recalled" } else { "not recalled" },
            self.energy[0],
            self.energy[1],
            self.largest_rise
        )?;
        write!(f, "memories held: neurons, Hopfield, dense, neurons and astrocytes")?;
        for Capacity { neurons, memories: [hopfield, dense, astrocytes] } in &self.capacities {
            write!(f, "\n  {neurons:4}  {hopfield:5}  {dense:5}  {astrocytes:5}")?;
        }
        Ok(())
    }
}

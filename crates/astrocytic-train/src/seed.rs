//! Seeds of everything that a run draws.

/// A seed for each (seed, purpose, step), so that a resumed run draws what it would have drawn
/// uninterrupted.
pub fn derive_seed(seed: u64, purpose: &str, step: u64) -> u64 {
    use sha2::{Digest, Sha256};
    let digest = Sha256::new().chain_update(seed.to_le_bytes()).chain_update(purpose).chain_update(step.to_le_bytes());
    u64::from_le_bytes(digest.finalize()[..8].try_into().expect("a digest has 32 bytes"))
}

//! What an attention layer remembers between calls: constant in size, whatever the number of steps.

use burn::tensor::{Int, Tensor};

/// State of an [`AstrocyticAttention`](crate::AstrocyticAttention) layer. Made by its `empty_state`.
#[derive(Debug, Clone)]
pub struct AttentionState {
    /// Synapses H, `[batch, key heads, m, d_v]`.
    pub memory: Tensor<4>,
    /// Calcium g, `[batch, key heads, m]`, where the normaliser is calcium.
    pub calcium: Option<Tensor<3>>,
    /// Last steps of q, k and v before the convolution, each `[batch, width − 1, channels]`.
    pub history: Option<[Tensor<3>; 3]>,
    /// Keys `[batch, key heads, window, d]` and values `[batch, key heads, window, d + 2]` of the steps in the window, each
    /// value with a 1 and its write strength behind it; 0 where there was no step yet.
    pub recent: Option<[Tensor<4>; 2]>,
    /// Steps seen by each row, `[batch]`.
    pub position: Tensor<1, Int>,
}

impl AttentionState {
    /// The same without the graph of its gradients: truncated backpropagation through time.
    pub fn detach(self) -> Self {
        Self {
            memory: self.memory.detach(),
            calcium: self.calcium.map(Tensor::detach),
            history: self.history.map(|history| history.map(Tensor::detach)),
            recent: self.recent.map(|recent| recent.map(Tensor::detach)),
            position: self.position,
        }
    }

    /// Bytes that the state takes.
    pub fn bytes(&self) -> usize {
        let calcium = self.calcium.as_ref().map_or(0, |g| g.shape().num_elements() * g.dtype().size());
        let history: usize = self.history.iter().flatten().map(|h| h.shape().num_elements() * h.dtype().size()).sum();
        let recent: usize = self.recent.iter().flatten().map(|x| x.shape().num_elements() * x.dtype().size()).sum();
        self.memory.shape().num_elements() * self.memory.dtype().size()
            + calcium
            + history
            + recent
            + self.position.shape().num_elements() * self.position.dtype().size()
    }
}

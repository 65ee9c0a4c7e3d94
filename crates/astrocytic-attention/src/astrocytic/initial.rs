//! Where gates start that the configuration gives a start.

use burn::module::Param;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor, TensorData};

use super::config::AstrocyticAttentionConfig;
use crate::decay::{Decay, place};

impl AstrocyticAttentionConfig {
    /// The decay of the heads that have one.
    pub(super) fn init_decay(&self, device: &Device) -> Decay {
        let heads = self.memory_key_heads() - self.undecayed_heads;
        let mut decay = self.decay.init(self.d_model, heads, device);
        if let Some([first, last]) = self.initial_leak {
            let leak = |h: usize| first * (last / first).powf(place(h, heads));
            decay.start_at(&(0..heads).map(leak).collect::<Vec<_>>());
        }
        decay
    }

    /// The gate of `writes` writes a step, each of all memories.
    pub(super) fn init_write_gate(&self, writes: usize, device: &Device) -> Linear {
        let heads = self.memory_key_heads();
        let gate = LinearConfig::new(self.d_model, writes * heads).init(device);
        let Some([first, last]) = self.initial_write else { return gate };
        let bias = |h: usize| {
            let strength = first + (last - first) * place(h, heads);
            (strength / (self.largest_write - strength)).ln()
        };
        let of_a_write = (0..heads).map(bias).collect::<Vec<_>>();
        let biases = TensorData::new(of_a_write.repeat(writes), [writes * heads]);
        Linear { bias: Some(Param::from_tensor(Tensor::from_data(biases, device))), ..gate }
    }
}

//! The recurrence of a long short-term memory as one operation.

#[cfg(feature = "host-kernels")]
mod host;
mod recurrent;

use burn::tensor::Tensor;

/// Hidden and cell states after each step of a long short-term memory (Hochreiter & Schmidhuber
/// 1997, doi:10.1162/neco.1997.9.8.1735) with forget gates (Gers et al. 2000,
/// doi:10.1162/089976600300015015):
///
/// `[i f g o] = x_t + h_{t−1} R`, `c_t = σ(f) c_{t−1} + σ(i) tanh(g)`, `h_t = σ(o) tanh(c_t)`.
///
/// # Shapes
/// - gates, what the input gives to `i`, `f`, `g` and `o`: `[batch, steps, 4 hidden]`
/// - recurrent, R: `[hidden, 4 hidden]`
/// - before, h and c before the first step: `[2, batch, 1, hidden]`
/// - returns h and c after each step: `[2, batch, steps, hidden]`
///
/// # Panics
/// For shapes that do not fit each other.
pub fn lstm(gates: Tensor<3>, recurrent: Tensor<2>, before: Tensor<4>) -> Tensor<4> {
    let ([batch, _, width], [hidden, _]) = (gates.dims(), recurrent.dims());
    assert_eq!(recurrent.dims(), [hidden, 4 * hidden], "lstm: recurrent is [hidden, 4 hidden]");
    assert_eq!(width, 4 * hidden, "lstm: the last axis of gates is 4 hidden");
    assert_eq!(before.dims(), [2, batch, 1, hidden], "lstm: before is [2, batch, 1, hidden]");
    #[cfg(feature = "host-kernels")]
    {
        if let Some(states) = host::run(&gates, &recurrent, &before) {
            return states;
        }
    }
    recurrent::lstm(gates, recurrent, before)
}

//! The recurrence step by step in Burn's operations: the definition.

use burn::tensor::Tensor;
use burn::tensor::activation::sigmoid;

/// As [`lstm`](super::lstm).
pub(super) fn lstm(gates: Tensor<3>, recurrent: Tensor<2>, before: Tensor<4>) -> Tensor<4> {
    let ([batch, steps, _], [size, _]) = (gates.dims(), recurrent.dims());
    let state = |which: usize| before.clone().narrow(0, which, 1).reshape([batch, size]);
    let (mut hidden, mut cell) = (state(0), state(1));
    let (mut all_hidden, mut all_cells) = (Vec::with_capacity(steps), Vec::with_capacity(steps));
    for t in 0..steps {
        let x = gates.clone().narrow(1, t, 1).reshape([batch, 4 * size]);
        let sums = x + hidden.matmul(recurrent.clone());
        let of_gate = |place: usize| sums.clone().narrow(1, place * size, size);
        let [input, forget, output] = [0, 1, 3].map(|place| sigmoid(of_gate(place)));
        cell = forget * cell + input * of_gate(2).tanh();
        hidden = output * cell.clone().tanh();
        all_hidden.push(hidden.clone());
        all_cells.push(cell.clone());
    }
    Tensor::stack::<4>(vec![Tensor::stack::<3>(all_hidden, 1), Tensor::stack::<3>(all_cells, 1)], 0)
}

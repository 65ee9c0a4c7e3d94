//! Types of stored numbers, and their values as f32.

use half::{bf16, f16};

/// How numbers are stored. The quantised types are GGUF's, 32 numbers to a block with a scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dtype {
    F64,
    F32,
    F16,
    BF16,
    /// scale (f16), 32 × i8
    Q8_0,
    /// scale (f16), 32 × 4 bits less 8; the low halves of the 16 bytes are the first 16 numbers
    Q4_0,
    /// scale (f16), minimum (f16), 32 × 4 bits in the same order
    Q4_1,
}

impl Dtype {
    /// Numbers and bytes of a block.
    pub(super) fn block(self) -> (usize, usize) {
        match self {
            Self::F64 => (1, 8),
            Self::F32 => (1, 4),
            Self::F16 | Self::BF16 => (1, 2),
            Self::Q8_0 => (32, 34),
            Self::Q4_0 => (32, 18),
            Self::Q4_1 => (32, 20),
        }
    }

    /// Bytes of a tensor of `shape`, whose last dimension is contiguous; `None` where that is no whole number of blocks
    /// or too large to say.
    pub(super) fn bytes(self, shape: &[usize]) -> Option<usize> {
        let (numbers, bytes) = self.block();
        let columns = shape.last().copied().unwrap_or(1);
        let count = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size))?;
        (columns % numbers == 0).then_some(count / numbers)?.checked_mul(bytes)
    }

    /// Appends the values of whole blocks.
    pub(super) fn decode(self, bytes: &[u8], to: &mut Vec<f32>) {
        match self {
            Self::F64 => to.extend(bytes.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b) as f32)),
            Self::F32 => to.extend(bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b))),
            Self::F16 => to.extend(bytes.as_chunks().0.iter().map(|&b| f16::from_le_bytes(b).to_f32())),
            Self::BF16 => to.extend(bytes.as_chunks().0.iter().map(|&b| bf16::from_le_bytes(b).to_f32())),
            Self::Q8_0 => {
                for [low, high, values @ ..] in bytes.as_chunks::<34>().0 {
                    let scale = f16::from_le_bytes([*low, *high]).to_f32();
                    to.extend(values.iter().map(|&v| scale * f32::from(v as i8)));
                }
            }
            Self::Q4_0 => {
                for [low, high, pairs @ ..] in bytes.as_chunks::<18>().0 {
                    let scale = f16::from_le_bytes([*low, *high]).to_f32();
                    to.extend(nibbles(pairs).map(|v| scale * (v - 8.0)));
                }
            }
            Self::Q4_1 => {
                for [a, b, c, d, pairs @ ..] in bytes.as_chunks::<20>().0 {
                    let [scale, minimum] = [[*a, *b], [*c, *d]].map(|b| f16::from_le_bytes(b).to_f32());
                    to.extend(nibbles(pairs).map(|v| scale * v + minimum));
                }
            }
        }
    }
}

/// The low halves of the bytes, then the high.
fn nibbles(pairs: &[u8]) -> impl Iterator<Item = f32> {
    let low = pairs.iter().map(|pair| f32::from(pair & 15));
    low.chain(pairs.iter().map(|pair| f32::from(pair >> 4)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(dtype: Dtype, bytes: &[u8]) -> Vec<f32> {
        let mut values = Vec::new();
        dtype.decode(bytes, &mut values);
        values
    }

    #[test]
    fn plain_numbers() {
        let values = [0.0f32, -1.5, 65504.0, 2.0f32.powi(-14)];
        assert_eq!(decoded(Dtype::F64, &values.map(|v| f64::from(v).to_le_bytes()).concat()), values);
        assert_eq!(decoded(Dtype::F32, &values.map(f32::to_le_bytes).concat()), values);
        // 0, -1.5, 65504 and 2⁻¹⁴ by their bits.
        assert_eq!(decoded(Dtype::F16, &[0x0000u16, 0xBE00, 0x7BFF, 0x0400].map(u16::to_le_bytes).concat()), values);
        let bits = [0.0f32, -1.5, 3.0].map(|v| (v.to_bits() >> 16) as u16);
        assert_eq!(decoded(Dtype::BF16, &bits.map(u16::to_le_bytes).concat()), [0.0, -1.5, 3.0]);
    }

    #[test]
    fn blocks_against_their_definition() {
        // Scale 0.5 and minimum -2 as f16.
        let (scale, minimum) = ([0x00, 0x38], [0x00, 0xC0]);
        let pairs: Vec<u8> = (0..16u8).map(|i| i | ((15 - i) << 4)).collect();
        let number = |i: usize| if i < 16 { i as f32 } else { (31 - i) as f32 };
        let blocks = |head: &[u8], body: &[u8]| [head, body, head, body].concat();
        let expected = |value: &dyn Fn(usize) -> f32| (0..64).map(|i| value(i % 32)).collect::<Vec<_>>();

        let found = decoded(Dtype::Q4_0, &blocks(&scale, &pairs));
        assert_eq!(found, expected(&|i| 0.5 * (number(i) - 8.0)));
        let found = decoded(Dtype::Q4_1, &blocks(&[scale, minimum].concat(), &pairs));
        assert_eq!(found, expected(&|i| 0.5 * number(i) - 2.0));
        let bytes: Vec<u8> = (0..32).map(|i| (i * 8 - 128) as i8 as u8).collect();
        let found = decoded(Dtype::Q8_0, &blocks(&scale, &bytes));
        assert_eq!(found, expected(&|i| 0.5 * (i as f32 * 8.0 - 128.0)));
    }

    #[test]
    fn sizes() {
        assert_eq!(Dtype::Q4_0.bytes(&[3, 64]), Some(3 * 2 * 18));
        assert_eq!(Dtype::Q4_0.bytes(&[32, 3]), None);
        assert_eq!(Dtype::F32.bytes(&[]), Some(4));
        assert_eq!(Dtype::F32.bytes(&[usize::MAX, 2]), None);
        assert_eq!(Dtype::F64.bytes(&[usize::MAX / 4]), None);
    }
}

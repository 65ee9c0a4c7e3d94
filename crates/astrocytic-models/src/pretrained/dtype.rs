//! Types of stored numbers, and their values as f32.

use half::{bf16, f16};

/// How numbers are stored. The quantised types are GGUF's: blocks of 32 numbers with a scale, or of
/// 256 in groups whose scales are quantised too (K).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(non_camel_case_types)]
pub(super) enum Dtype {
    F64,
    F32,
    F16,
    BF16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q2_K,
    Q3_K,
    Q4_K,
    Q5_K,
    Q6_K,
    IQ4_NL,
    IQ4_XS,
}

impl Dtype {
    /// Numbers and bytes of a block.
    pub(super) fn block(self) -> (usize, usize) {
        match self {
            Self::F64 => (1, 8),
            Self::F32 => (1, 4),
            Self::F16 | Self::BF16 => (1, 2),
            Self::Q4_0 | Self::IQ4_NL => (32, 18),
            Self::Q4_1 => (32, 20),
            Self::Q5_0 => (32, 22),
            Self::Q5_1 => (32, 24),
            Self::Q8_0 => (32, 34),
            Self::Q2_K => (256, 84),
            Self::Q3_K => (256, 110),
            Self::IQ4_XS => (256, 136),
            Self::Q4_K => (256, 144),
            Self::Q5_K => (256, 176),
            Self::Q6_K => (256, 210),
        }
    }

    /// Bytes of a tensor of `shape`; `None` where that is no whole number of blocks or too large to
    /// say. A block may go on from one row to the next.
    pub(super) fn bytes(self, shape: &[usize]) -> Option<usize> {
        let (numbers, bytes) = self.block();
        let count = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size))?;
        (count % numbers == 0).then_some(count / numbers)?.checked_mul(bytes)
    }

    /// Appends the values of whole blocks.
    pub(super) fn decode(self, bytes: &[u8], to: &mut Vec<f32>) {
        match self {
            Self::F64 => to.extend(bytes.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b) as f32)),
            Self::F32 => to.extend(bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b))),
            Self::F16 => to.extend(bytes.as_chunks().0.iter().map(|&b| f16::from_le_bytes(b).to_f32())),
            Self::BF16 => to.extend(bytes.as_chunks().0.iter().map(|&b| bf16::from_le_bytes(b).to_f32())),
            quantised => {
                let block: fn(&[u8], &mut Vec<f32>) = match quantised {
                    Self::Q4_0 => q4_0,
                    Self::Q4_1 => q4_1,
                    Self::Q5_0 => q5_0,
                    Self::Q5_1 => q5_1,
                    Self::Q2_K => q2_k,
                    Self::Q3_K => q3_k,
                    Self::Q4_K => q4_k,
                    Self::Q5_K => q5_k,
                    Self::Q6_K => q6_k,
                    Self::IQ4_NL => iq4_nl,
                    Self::IQ4_XS => iq4_xs,
                    _ => q8_0,
                };
                bytes.chunks_exact(quantised.block().1).for_each(|bytes| block(bytes, to));
            }
        }
    }
}

/// The f16 at byte `at`.
fn half(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// The low halves of the bytes, then the high.
fn nibbles(pairs: &[u8]) -> impl Iterator<Item = u8> {
    pairs.iter().map(|pair| pair & 15).chain(pairs.iter().map(|pair| pair >> 4))
}

/// [`nibbles`], each with a fifth bit from 32 bits.
fn five_bits(block: &[u8]) -> impl Iterator<Item = u8> {
    let high = u32::from_le_bytes([block[0], block[1], block[2], block[3]]);
    nibbles(&block[4..20]).enumerate().map(move |(i, low)| low | ((high >> i & 1) as u8) << 4)
}

/// Scale, 32 × 4 bits less 8.
fn q4_0(block: &[u8], to: &mut Vec<f32>) {
    let scale = half(block, 0);
    to.extend(nibbles(&block[2..]).map(|v| scale * (f32::from(v) - 8.0)));
}

/// Scale, minimum, 32 × 4 bits.
fn q4_1(block: &[u8], to: &mut Vec<f32>) {
    let (scale, minimum) = (half(block, 0), half(block, 2));
    to.extend(nibbles(&block[4..]).map(|v| scale * f32::from(v) + minimum));
}

/// Scale, the fifth bits, 32 × 4 bits; less 16.
fn q5_0(block: &[u8], to: &mut Vec<f32>) {
    let scale = half(block, 0);
    to.extend(five_bits(&block[2..]).map(|v| scale * (f32::from(v) - 16.0)));
}

/// Scale, minimum, the fifth bits, 32 × 4 bits.
fn q5_1(block: &[u8], to: &mut Vec<f32>) {
    let (scale, minimum) = (half(block, 0), half(block, 2));
    to.extend(five_bits(&block[4..]).map(|v| scale * f32::from(v) + minimum));
}

/// Scale, 32 × i8.
fn q8_0(block: &[u8], to: &mut Vec<f32>) {
    let scale = half(block, 0);
    to.extend(block[2..].iter().map(|&v| scale * f32::from(v as i8)));
}

/// Number `i` of 256 × 2 bits: 32 bytes hold 128 numbers, 32 in each pair of bits.
fn two_bits(bytes: &[u8], i: usize) -> u8 {
    bytes[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3
}

/// 16 × (4 bits of scale, 4 of minimum), 256 × 2 bits, scale, minimum.
fn q2_k(block: &[u8], to: &mut Vec<f32>) {
    let (scale, minimum) = (half(block, 80), half(block, 82));
    for (group, part) in block[..16].iter().enumerate() {
        let (scale, minimum) = (scale * f32::from(part & 15), minimum * f32::from(part >> 4));
        to.extend((0..16).map(|i| scale * f32::from(two_bits(&block[16..80], 16 * group + i)) - minimum));
    }
}

/// 256 third bits, 256 × 2 bits, 16 scales of 6 bits (16 × 4 low, 16 × 2 high), scale.
fn q3_k(block: &[u8], to: &mut Vec<f32>) {
    let (scales, scale) = (&block[96..108], half(block, 108));
    for group in 0..16 {
        let low = scales[group % 8] >> (group / 8 * 4) & 15;
        let high = scales[8 + group % 4] >> (group / 4 * 2) & 3;
        let scale = scale * (f32::from(low | high << 4) - 32.0);
        to.extend((16 * group..16 * group + 16).map(|i| {
            let third = block[i % 32] >> (i / 32) & 1;
            scale * (f32::from(two_bits(&block[32..96], i) | third << 2) - 4.0)
        }));
    }
}

/// Scale and minimum of group `i` of 8, 6 bits each in 12 bytes.
fn six_bits(bytes: &[u8], i: usize) -> [f32; 2] {
    let [scale, minimum] = match i {
        0..4 => [bytes[i] & 63, bytes[i + 4] & 63],
        _ => [bytes[i + 4] & 15 | bytes[i - 4] >> 6 << 4, bytes[i + 4] >> 4 | bytes[i] >> 6 << 4],
    };
    [f32::from(scale), f32::from(minimum)]
}

/// Scale, minimum, 8 × (6 bits of scale, 6 of minimum), 256 × 4 bits.
fn q4_k(block: &[u8], to: &mut Vec<f32>) {
    four_or_five(block, &block[16..], |_| 0, to);
}

/// As [`q4_k`], with 256 fifth bits before the others.
fn q5_k(block: &[u8], to: &mut Vec<f32>) {
    four_or_five(block, &block[48..], |i| (block[16 + i % 32] >> (i / 32) & 1) << 4, to);
}

fn four_or_five(block: &[u8], low: &[u8], high: impl Fn(usize) -> u8, to: &mut Vec<f32>) {
    let (scale, minimum) = (half(block, 0), half(block, 2));
    for (group, pairs) in low.as_chunks::<32>().0.iter().enumerate() {
        let groups = [0, 1].map(|part| six_bits(&block[4..16], 2 * group + part));
        let groups = groups.map(|[s, m]| (scale * s, minimum * m));
        to.extend(nibbles(pairs).enumerate().map(|(i, v)| {
            let (scale, minimum) = groups[i / 32];
            scale * f32::from(v | high(64 * group + i)) - minimum
        }));
    }
}

/// 256 × 4 low bits, 256 × 2 high, 16 × i8 of scale, scale; less 32.
fn q6_k(block: &[u8], to: &mut Vec<f32>) {
    let (low, high, scales, scale) = (&block[..128], &block[128..192], &block[192..208], half(block, 208));
    to.extend((0..256).map(|i| {
        let low = low[i / 128 * 64 + i % 64] >> (i % 128 / 64 * 4) & 15;
        let v = low | two_bits(high, i) << 4;
        scale * f32::from(scales[i / 16] as i8) * (f32::from(v) - 32.0)
    }));
}

/// What 4 bits stand for in the types IQ4.
const UNEVEN: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// Scale, 32 × 4 bits.
fn iq4_nl(block: &[u8], to: &mut Vec<f32>) {
    let scale = half(block, 0);
    to.extend(nibbles(&block[2..]).map(|v| scale * f32::from(UNEVEN[usize::from(v)])));
}

/// Scale, 8 scales of 6 bits (8 × 2 high, 8 × 4 low) less 32, 256 × 4 bits.
fn iq4_xs(block: &[u8], to: &mut Vec<f32>) {
    let (scale, high) = (half(block, 0), u16::from_le_bytes([block[2], block[3]]));
    for (group, pairs) in block[8..].as_chunks::<16>().0.iter().enumerate() {
        let low = block[4 + group / 2] >> (group % 2 * 4) & 15;
        let high = (high >> (2 * group) & 3) as u8;
        let scale = scale * (f32::from(low | high << 4) - 32.0);
        to.extend(nibbles(pairs).map(|v| scale * f32::from(UNEVEN[usize::from(v)])));
    }
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

    /// Pseudo-random blocks, against dequantize of the Python package gguf 0.19: a
    /// hash of the values' bits.
    #[test]
    fn blocks_against_a_reference() {
        for (dtype, expected) in [
            (Dtype::Q4_0, 0x71FA_E1B7_9A38_E7C5),
            (Dtype::Q4_1, 0xA8AD_E588_4D68_75DE),
            (Dtype::Q5_0, 0x06F6_F88C_BCB1_0785),
            (Dtype::Q5_1, 0xE5DB_7CDC_5D83_93EC),
            (Dtype::Q8_0, 0x11B4_5EA5_4F46_8885),
            (Dtype::Q2_K, 0x37F4_0ED0_0FA8_B451),
            (Dtype::Q3_K, 0xBF7D_59D8_2187_82E5),
            (Dtype::Q4_K, 0x3610_3600_FBAD_3C67),
            (Dtype::Q5_K, 0x7FF8_3A33_62E8_A20A),
            (Dtype::Q6_K, 0x6BE2_37DE_EC3A_13CD),
            (Dtype::IQ4_NL, 0x5185_5C65_B456_9685),
            (Dtype::IQ4_XS, 0xDBC7_DFDE_D5F7_9643),
        ] {
            let mut state = 1u32;
            let mut next = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            };
            let mut bytes: Vec<u8> = (0..64 * dtype.block().1).map(|_| next()).collect();
            // Extremes: all bits, and none.
            bytes.extend(vec![0xFF; dtype.block().1]);
            bytes.extend(vec![0; dtype.block().1]);
            let values = decoded(dtype, &bytes);
            assert_eq!(values.len(), 66 * dtype.block().0);
            let bits = |value: f32| if value.is_nan() { u32::MAX } else { (value + 0.0).to_bits() };
            let hash = values.into_iter().fold(0xCBF2_9CE4_8422_2325u64, |hash, value| {
                (hash ^ u64::from(bits(value))).wrapping_mul(0x0000_0100_0000_01B3)
            });
            assert_eq!(hash, expected, "{dtype:?}");
        }
    }

    /// By hand: of 256 numbers each group has its own scale; here the first group, the last and a
    /// number between.
    #[test]
    fn groups_by_hand() {
        // Q6_K: d = 0.5, scales 2 and −1; numbers are 6 bits less 32.
        let mut block = vec![0u8; 210];
        (block[0], block[128]) = (0x0F, 0b10); // number 0: 0b10_1111 = 47
        (block[127], block[191]) = (0xA0, 0b1100_0000); // number 255: 0b11_1010 = 58
        (block[192], block[207], block[209]) = (2, -1i8 as u8, 0x38);
        let values = decoded(Dtype::Q6_K, &block);
        assert_eq!((values[0], values[1], values[255]), (15.0, -32.0, -13.0));
        // Q4_K: d = 1, minimum 0.5; group 7 has scale 0b10_0011 = 35 and minimum 0b01_0001 = 17.
        let mut block = vec![0u8; 144];
        (block[1], block[3]) = (0x3C, 0x38);
        (block[4 + 3], block[4 + 7], block[4 + 11], block[143]) = (0b1000_0000, 0b0100_0000, 0x13, 0x70);
        let values = decoded(Dtype::Q4_K, &block);
        assert_eq!((values[0], values[254], values[255]), (0.0, -8.5, 35.0 * 7.0 - 8.5));
    }

    #[test]
    fn sizes() {
        assert_eq!(Dtype::Q4_0.bytes(&[3, 64]), Some(3 * 2 * 18));
        assert_eq!(Dtype::Q6_K.bytes(&[8, 32]), Some(210));
        assert_eq!(Dtype::Q4_0.bytes(&[31, 3]), None);
        assert_eq!(Dtype::F32.bytes(&[]), Some(4));
        assert_eq!(Dtype::F32.bytes(&[usize::MAX, 2]), None);
        assert_eq!(Dtype::F64.bytes(&[usize::MAX / 4]), None);
    }
}

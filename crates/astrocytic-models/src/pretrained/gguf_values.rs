//! Values of GGUF's metadata: numbers, strings and arrays.

use std::collections::BTreeMap;

use serde_json::Value;

use super::reader::Reader;

/// Arrays by their names.
pub(super) type Arrays<'a> = BTreeMap<&'a str, Array<'a>>;

/// An array as it is stored.
#[derive(Clone, Copy)]
pub(super) struct Array<'a> {
    kind: u32,
    count: usize,
    bytes: &'a [u8],
}

/// A string's bytes, after their number.
pub(super) fn string<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let length = reader.length()?;
    reader.bytes(length)
}

const UINT32: u32 = 4;
const INT32: u32 = 5;
const FLOAT32: u32 = 6;
const STRING: u32 = 8;
pub(super) const ARRAY: u32 = 9;

/// Bytes of a number of a kind.
fn width(kind: u32) -> Option<usize> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

/// A value that is no array, in JSON's terms, so that configurations of all formats are read alike.
pub(super) fn scalar(reader: &mut Reader, kind: u32) -> Result<Value, String> {
    let ended = "ends with the file; get the file again";
    if kind == STRING {
        // Texts that nothing here reads, such as templates of chats, may be anything.
        return Ok(String::from_utf8_lossy(string(reader).ok_or(ended)?).into());
    }
    let width = width(kind).ok_or_else(|| format!("is of kind {kind}, which is not known"))?;
    let bytes = reader.bytes(width).ok_or(ended)?;
    let mut wide = [0; 8];
    wide[..width].copy_from_slice(bytes);
    let unsigned = u64::from_le_bytes(wide);
    // The sign is the uppermost bit of the width.
    let unused = 64 - 8 * width as u32;
    let signed = ((unsigned << unused) as i64) >> unused;
    Ok(match kind {
        0 | 2 | 4 | 10 => unsigned.into(),
        1 | 3 | INT32 | 11 => signed.into(),
        7 => (unsigned != 0).into(),
        // By its shortest digits: 1e-5 as f32 is meant as 1e-5.
        FLOAT32 => f32::from_bits(unsigned as u32).to_string().parse::<f64>().unwrap_or(f64::NAN).into(),
        _ => f64::from_bits(unsigned).into(),
    })
}

impl<'a> Array<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, String> {
        let ended = "ends with the file; get the file again";
        let (kind, count) = reader.u32().zip(reader.length()).ok_or(ended)?;
        let mut after = *reader;
        if kind == STRING {
            for _ in 0..count {
                string(&mut after).ok_or(ended)?;
            }
        } else {
            let width = width(kind).ok_or_else(|| format!("is an array of kind {kind}, which is not supported"))?;
            count.checked_mul(width).and_then(|length| after.bytes(length)).ok_or(ended)?;
        }
        let bytes = reader.bytes(reader.left() - after.left()).ok_or(ended)?;
        Ok(Self { kind, count, bytes })
    }

    /// The strings' bytes; there is not one more than the bytes hold.
    pub(super) fn strings(&self) -> Option<Vec<&'a [u8]>> {
        let mut reader = Reader::new(self.bytes);
        (self.kind == STRING).then(|| (0..self.count).map(|_| string(&mut reader)).collect())?
    }

    pub(super) fn floats(&self) -> Option<Vec<f32>> {
        let floats = self.bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes));
        (self.kind == FLOAT32).then(|| floats.collect())
    }

    pub(super) fn integers(&self) -> Option<Vec<i32>> {
        let integers = self.bytes.as_chunks().0.iter().map(|&bytes| i32::from_le_bytes(bytes));
        matches!(self.kind, INT32 | UINT32).then(|| integers.collect())
    }

    /// The number that all its numbers are.
    pub(super) fn uniform(&self) -> Option<Value> {
        let width = width(self.kind)?;
        let first = self.bytes.get(..width)?;
        let same = self.bytes.chunks_exact(width).all(|number| number == first);
        same.then(|| scalar(&mut Reader::new(first), self.kind).ok())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_every_kind() {
        let value = |kind, bytes: &[u8]| scalar(&mut Reader::new(bytes), kind);
        assert_eq!(value(0, &[200]), Ok(200.into()));
        assert_eq!(value(1, &[200]), Ok((-56).into()));
        assert_eq!(value(3, &(-2i16).to_le_bytes()), Ok((-2).into()));
        assert_eq!(value(4, &u32::MAX.to_le_bytes()), Ok(u32::MAX.into()));
        assert_eq!(value(5, &i32::MIN.to_le_bytes()), Ok(i32::MIN.into()));
        assert_eq!(value(6, &1e-5f32.to_le_bytes()), Ok(1e-5.into()));
        assert_eq!(value(6, &f32::NAN.to_le_bytes()), Ok(Value::Null));
        assert_eq!(value(7, &[1]), Ok(true.into()));
        assert_eq!(value(8, b"\x02\0\0\0\0\0\0\0ab"), Ok("ab".into()));
        assert_eq!(value(10, &u64::MAX.to_le_bytes()), Ok(u64::MAX.into()));
        assert_eq!(value(11, &i64::MIN.to_le_bytes()), Ok(i64::MIN.into()));
        assert_eq!(value(12, &0.1f64.to_le_bytes()), Ok(0.1.into()));
        assert!(value(13, &[0; 8]).is_err() && value(4, &[0; 3]).is_err());
    }

    #[test]
    fn arrays_do_not_believe_their_count() {
        let array = |kind: u32, count: u64, bytes: &[u8]| {
            let all = [&kind.to_le_bytes()[..], &count.to_le_bytes(), bytes].concat();
            Array::read(&mut Reader::new(&all)).map(|array| array.count)
        };
        assert_eq!(array(5, 2, &[0; 8]), Ok(2));
        assert_eq!(array(STRING, 2, &[0; 16]), Ok(2));
        for (kind, count) in [(5, 3), (5, u64::MAX), (12, u64::MAX / 8 + 2), (STRING, u64::MAX), (ARRAY, 1)] {
            assert!(array(kind, count, &[0; 8]).is_err(), "{kind} {count}");
        }
    }

    #[test]
    fn an_array_of_one_number_is_that_number() {
        let array = |bytes: &[u8]| Array { kind: UINT32, count: bytes.len() / 4, bytes }.uniform();
        assert_eq!(array(&[[3, 0, 0, 0]; 4].concat()), Some(3.into()));
        assert_eq!(array(&[3, 0, 0, 0, 4, 0, 0, 0]), None);
        assert_eq!(array(&[]), None);
    }
}

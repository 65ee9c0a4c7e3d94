//! Named tensors over the bytes of their files, decoded when taken.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::dtype::Dtype;
use super::error::PretrainedError;

/// The bytes of a file, and the path that messages name.
#[derive(Debug, Clone)]
pub struct File {
    /// Where it is from.
    pub path: PathBuf,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// Tensors by name; each is decoded to f32 when it is taken.
#[derive(Debug)]
pub struct Tensors {
    files: Vec<File>,
    stored: BTreeMap<String, Stored>,
}

/// Where a tensor is, and how it is stored. Its bytes are within the file and fit its shape.
#[derive(Debug, Clone)]
struct Stored {
    file: usize,
    range: Range<usize>,
    dtype: Dtype,
    shape: Vec<usize>,
    order: Order,
}

/// How a tensor's numbers are stored.
#[derive(Debug, Clone, Copy)]
enum Order {
    /// As they are given.
    Same,
    /// The rows of so many heads of a projection, for rotary pairs side by side.
    Interleaved(usize),
    /// Column by column.
    Transposed,
}

impl Tensors {
    pub(super) fn new(files: Vec<File>) -> Self {
        Self { files, stored: BTreeMap::new() }
    }

    /// Number of files.
    pub(super) fn files(&self) -> usize {
        self.files.len()
    }

    pub(super) fn file(&self, file: usize) -> &File {
        &self.files[file]
    }

    /// Adds the tensor that starts at byte `start` of `file`.
    pub(super) fn insert(
        &mut self,
        name: String,
        file: usize,
        start: usize,
        dtype: Dtype,
        shape: Vec<usize>,
    ) -> Result<(), PretrainedError> {
        let File { path, bytes } = &self.files[file];
        let end = dtype.bytes(&shape).and_then(|size| start.checked_add(size));
        let Some(end) = end.filter(|&end| end <= bytes.len()) else {
            let reason = format!("{dtype:?} of shape {shape:?} does not fit the file; get the file again");
            return Err(PretrainedError::tensor(path, name, reason));
        };
        if self.stored.contains_key(&name) {
            return Err(PretrainedError::tensor(path, name, "is there twice"));
        }
        self.stored.insert(name, Stored { file, range: start..end, dtype, shape, order: Order::Same });
        Ok(())
    }

    /// Says that the rows of `name` are stored for rotary pairs side by side (0 with 1, 2 with 3,
    /// …) in each of `heads`. [`take`](Self::take) gives them with the first half of a head's rows
    /// paired with the second, as Hugging Face has them.
    pub(super) fn set_interleaved(&mut self, name: &str, heads: usize) {
        if let Some(stored) = self.stored.get_mut(name) {
            stored.order = Order::Interleaved(heads);
        }
    }

    /// Says that the matrix `name` is stored column by column: [`take`](Self::take) gives it
    /// transposed.
    pub(super) fn set_transposed(&mut self, name: &str) {
        if let Some(stored) = self.stored.get_mut(name).filter(|stored| stored.shape.len() == 2) {
            stored.order = Order::Transposed;
            stored.shape.reverse();
        }
    }

    /// Removes `name` where it is stored and the same, to the bit, as `other`; gives whether it
    /// was.
    pub(super) fn remove_copy(&mut self, name: &str, other: &str) -> bool {
        let (Some(a), Some(b)) = (self.stored.get(name), self.stored.get(other)) else { return false };
        let same = a.dtype == b.dtype && a.shape == b.shape && self.bytes(a) == self.bytes(b);
        same && self.stored.remove(name).is_some()
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.stored.contains_key(name)
    }

    /// An error where a tensor is missing, of another shape, or not among `expected`. However many
    /// are expected, this ends with the first that is missing.
    pub(super) fn check(&self, expected: impl Iterator<Item = (String, Vec<usize>)>) -> Result<(), PretrainedError> {
        let mut known = BTreeSet::new();
        for (name, shape) in expected {
            self.find(&name, &shape)?.ok_or_else(|| self.missing(&name))?;
            known.insert(name);
        }
        self.refuse(self.names().filter(|&name| !known.contains(name)))
    }

    /// Names of the tensors that are left, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.stored.keys().map(String::as_str)
    }

    /// Removes a tensor and gives its numbers, last dimension contiguous.
    ///
    /// # Errors
    /// Where there is none of that name, or it has another shape; both shapes are in the message.
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, PretrainedError> {
        self.take_optional(name, shape)?.ok_or_else(|| self.missing(name))
    }

    /// As [`take`](Self::take), with `None` where there is none of that name.
    ///
    /// # Errors
    /// Where the tensor has another shape.
    pub fn take_optional(&mut self, name: &str, shape: &[usize]) -> Result<Option<Vec<f32>>, PretrainedError> {
        let Some(stored) = self.find(name, shape)? else { return Ok(None) };
        let values = self.decode(stored);
        self.stored.remove(name);
        Ok(Some(values))
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// Where tensors are left that nobody took; names them.
    pub fn finish(self) -> Result<(), PretrainedError> {
        self.refuse(self.names())
    }

    /// An error that names the first few of `unknown`, if there are any.
    fn refuse<'a>(&'a self, mut unknown: impl Iterator<Item = &'a str>) -> Result<(), PretrainedError> {
        let Some(name) = unknown.next() else { return Ok(()) };
        let others: Vec<&str> = unknown.by_ref().take(3).collect();
        let more = if unknown.next().is_some() { ", …" } else { "" };
        let reason = match others.is_empty() {
            true => "the model has no such tensor".to_string(),
            false => format!("the model has no such tensor, nor {}{more}", others.join(", ")),
        };
        Err(PretrainedError::tensor(&self.files[self.stored[name].file].path, name, reason))
    }

    fn find(&self, name: &str, shape: &[usize]) -> Result<Option<&Stored>, PretrainedError> {
        match self.stored.get(name) {
            Some(stored) if stored.shape != shape => {
                let reason = format!("shape {:?} is not {shape:?}, which the configuration asks for", stored.shape);
                Err(PretrainedError::tensor(&self.files[stored.file].path, name, reason))
            }
            found => Ok(found),
        }
    }

    fn missing(&self, name: &str) -> PretrainedError {
        let path = self.files.first().map_or(Path::new(""), |file| &file.path);
        PretrainedError::tensor(path, name, "is missing; the configuration asks for it")
    }

    fn bytes(&self, stored: &Stored) -> &[u8] {
        &self.files[stored.file].bytes[stored.range.clone()]
    }

    fn decode(&self, stored: &Stored) -> Vec<f32> {
        let mut values = Vec::with_capacity(stored.shape.iter().product());
        stored.dtype.decode(self.bytes(stored), &mut values);
        match (stored.order, &stored.shape[..]) {
            (Order::Interleaved(heads), &[rows, columns]) if heads > 0 && rows % (2 * heads) == 0 => {
                let from = |row| interleaved_row(row, rows / heads) * columns;
                (0..rows).flat_map(|row| &values[from(row)..][..columns]).copied().collect()
            }
            (Order::Transposed, &[rows, columns]) => {
                let values = &values;
                (0..rows).flat_map(|row| (0..columns).map(move |column| values[column * rows + row])).collect()
            }
            _ => values,
        }
    }
}

/// Which interleaved row is `row` of the layout by halves, for heads of `size` rows: the first half
/// of a head takes the first of each pair, the second half the second.
fn interleaved_row(row: usize, size: usize) -> usize {
    let (head, within) = (row / size, row % size);
    let (second, pair) = (within / (size / 2), within % (size / 2));
    head * size + 2 * pair + second
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors(values: &[f32], shape: &[usize]) -> Tensors {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let mut tensors = Tensors::new(vec![File { path: "file".into(), bytes }]);
        tensors.insert("a".into(), 0, 0, Dtype::F32, shape.to_vec()).unwrap();
        tensors
    }

    #[test]
    fn rows_of_each_head_go_from_pairs_to_halves() {
        // Two heads of six rows and two columns; a row's numbers say which it was.
        let values: Vec<f32> = (0..12).flat_map(|row| [row as f32, row as f32 + 0.5]).collect();
        let mut tensors = tensors(&values, &[12, 2]);
        tensors.set_interleaved("a", 2);
        let rows: Vec<f32> = tensors.take("a", &[12, 2]).unwrap().into_iter().step_by(2).collect();
        assert_eq!(rows, [0.0, 2.0, 4.0, 1.0, 3.0, 5.0, 6.0, 8.0, 10.0, 7.0, 9.0, 11.0]);
    }

    #[test]
    fn columns_become_rows() {
        let mut tensors = tensors(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[2, 3]);
        tensors.set_transposed("a");
        assert_eq!(tensors.take("a", &[3, 2]).unwrap(), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    }

    /// What the permutation is for: rotating halves of the new rows is rotating pairs of the old.
    #[test]
    fn rotations_agree() {
        let old: Vec<f32> = (0..8).map(|i| (i * i) as f32 - 3.0).collect();
        let new: Vec<f32> = (0..8).map(|row| old[interleaved_row(row, 8)]).collect();
        for pair in 0..4 {
            assert_eq!((new[pair], new[pair + 4]), (old[2 * pair], old[2 * pair + 1]));
        }
    }

    #[test]
    fn errors_name_tensor_and_shapes() {
        let mut tensors = tensors(&[1.0, 2.0], &[2, 1]);
        let error = tensors.take("a", &[1, 2]).unwrap_err().to_string();
        assert!(error.contains("[2, 1]") && error.contains("[1, 2]") && error.contains("tensor a"), "{error}");
        assert!(tensors.take("b", &[1]).unwrap_err().to_string().contains("tensor b: is missing"));
        assert!(tensors.take_optional("b", &[1]).unwrap().is_none());
        assert!(tensors.insert("c".into(), 0, 4, Dtype::F32, vec![2]).is_err());
        assert!(tensors.insert("a".into(), 0, 0, Dtype::F32, vec![2]).unwrap_err().to_string().contains("twice"));
        tensors.insert("d".into(), 0, 0, Dtype::F32, vec![2, 1]).unwrap();
        assert!(tensors.remove_copy("d", "a") && !tensors.remove_copy("d", "a"));
        assert_eq!(tensors.take("a", &[2, 1]).unwrap(), [1.0, 2.0]);
        tensors.finish().unwrap();
    }
}

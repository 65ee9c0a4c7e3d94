//! The tensors of safetensors files.

use safetensors::tensor::{Metadata, TensorInfo};

use crate::pretrained::config::PretrainedConfig;
use crate::pretrained::dtype::Dtype;
use crate::pretrained::error::PretrainedError;
use crate::pretrained::fields::Fields;
use crate::pretrained::names::{Names, Role};
use crate::pretrained::reader::Reader;
use crate::pretrained::tensors::{File, Tensors};

/// Unused tensors that a note names; there may be thousands.
const MOST_NAMED: usize = 3;

/// Adds the tensors of all files, under their names here. What computes nothing is left out,
/// whatever it holds.
pub(super) fn insert_all(
    tensors: &mut Tensors,
    config: &PretrainedConfig,
    fields: &Fields,
) -> Result<(), PretrainedError> {
    let headers = (0..tensors.files()).map(|file| header(tensors.file(file))).collect::<Result<Vec<_>, _>>()?;
    let names = Names::new(config, headers.iter().flat_map(|(_, infos)| infos).map(|(name, _)| name.as_str()));
    let (mut unused, mut count) = (Vec::new(), 0);
    for (file, (start, infos)) in headers.iter().enumerate() {
        for (name, info) in infos {
            let plain = match names.role(name) {
                Role::Weight(plain) => plain,
                Role::Nothing => continue,
                Role::Unused => {
                    count += 1;
                    if unused.len() < MOST_NAMED {
                        unused.push(name.as_str());
                    }
                    continue;
                }
            };
            let (from, to) = info.data_offsets;
            let File { path, bytes } = tensors.file(file);
            // A Llama has no biases; one of zeros adds nothing.
            let has_biases = !matches!(config, PretrainedConfig::Llama(_));
            if !has_biases && plain.ends_with(".bias") && bytes[start + from..start + to].iter().all(|&byte| byte == 0)
            {
                continue;
            }
            let dtype = match info.dtype {
                safetensors::Dtype::F64 => Dtype::F64,
                safetensors::Dtype::F32 => Dtype::F32,
                safetensors::Dtype::F16 => Dtype::F16,
                safetensors::Dtype::BF16 => Dtype::BF16,
                other => {
                    let reason = format!("its type, {other}, is not supported; F64, F32, F16 and BF16 are");
                    return Err(PretrainedError::tensor(path, name, reason));
                }
            };
            tensors.insert(plain, file, start + from, dtype, info.shape.clone())?;
        }
    }
    if count > 0 {
        let more = if count > unused.len() { format!(" and {} more", count - unused.len()) } else { String::new() };
        fields.note(format_args!("tensors that the model does not use: {}{more}", unused.join(", ")));
    }
    Ok(())
}

/// Where the numbers of a safetensors file start, and its tensors by name, in order.
fn header(file: &File) -> Result<(usize, Vec<(String, TensorInfo)>), PretrainedError> {
    let File { path, bytes } = file;
    let fail = |reason: &dyn std::fmt::Display| PretrainedError::format(path, reason);
    let mut reader = Reader::new(bytes);
    let header = reader.length().and_then(|length| reader.bytes(length));
    let header = header.ok_or_else(|| fail(&"ends within its header; get the file again"))?;
    // The library checks that tensors follow one another without a gap and that shapes fit; not
    // that the file is whole.
    let metadata: Metadata =
        serde_json::from_slice(header).map_err(|e| fail(&format_args!("its header is malformed: {e}")))?;
    let (start, left, length) = (bytes.len() - reader.left(), reader.left(), metadata.data_len());
    if left != length {
        return Err(fail(&format_args!(
            "has {left} bytes of numbers where its header asks for {length}; get it again"
        )));
    }
    let mut infos: Vec<_> = metadata.tensors().into_iter().map(|(name, info)| (name, info.clone())).collect();
    infos.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok((start, infos))
}

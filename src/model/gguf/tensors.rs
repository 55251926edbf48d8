//! Where tensors are in a file, and what they are.

use super::reader::{Fault, Reader, malformed, unsupported};
use crate::kernels::quant::QuantType;

const MAX_DIMENSIONS: usize = 4;

/// Where a tensor's bytes are, and their shape.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TensorInfo<'a> {
    pub name: &'a str,
    pub shape: Shape,
    pub quant: QuantType,
    /// Byte offset in the file.
    pub offset: usize,
    pub bytes: usize,
}

/// Rows and columns as this project counts: the last one is the contiguous one (GGUF's first).
#[derive(Clone, Copy, PartialEq)]
pub struct Shape {
    sizes: [usize; MAX_DIMENSIONS],
    dimensions: usize,
}

impl std::ops::Deref for Shape {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.sizes[..self.dimensions]
    }
}

impl std::fmt::Debug for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(f)
    }
}

/// What a tensor's place in the file depends on beside its own entry.
#[derive(Clone, Copy)]
pub(super) struct Placement {
    pub(super) alignment: u64,
    /// Where the bytes of the tensors begin.
    pub(super) data_start: u64,
}

/// The tensor whose entry is at `entry`, if its bytes are inside the file.
pub(super) fn tensor_at(bytes: &[u8], entry: u64, placement: Placement) -> Result<TensorInfo<'_>, Fault> {
    let mut tensor = Reader { bytes, position: entry as usize }.tensor_entry()?;
    let (name, offset, Placement { alignment, data_start }) = (tensor.name, tensor.offset, placement);
    if !(offset as u64).is_multiple_of(alignment) {
        return malformed(format!("tensor `{name}`: expected an offset aligned to {alignment}, found {offset}"));
    }
    let end = (offset as u64).checked_add(data_start).and_then(|start| start.checked_add(tensor.bytes as u64));
    match end {
        Some(end) if end <= bytes.len() as u64 => {
            tensor.offset += data_start as usize;
            Ok(tensor)
        }
        Some(end) => malformed(format!(
            "expected tensor `{name}` up to byte {end}, but the file ends at byte {}; it is truncated, download it \
             again",
            bytes.len()
        )),
        None => malformed(format!("tensor `{name}`: expected an offset inside the file, found one beyond any file")),
    }
}

/// Checks that the tensors lie inside the file without overlapping; leaves them in the order of their bytes.
pub(super) fn check_places(bytes: &[u8], entries: &mut [u64], placement: Placement) -> Result<(), Fault> {
    for entry in entries.iter() {
        tensor_at(bytes, *entry, placement)?;
    }
    let tensor = |entry: u64| tensor_at(bytes, entry, placement);
    entries.sort_unstable_by_key(|entry| tensor(*entry).map_or(0, |tensor| tensor.offset));
    for pair in entries.windows(2) {
        let (left, right) = (tensor(pair[0])?, tensor(pair[1])?);
        if left.offset + left.bytes > right.offset {
            return malformed(format!(
                "expected tensors that do not overlap, found `{}` overlapping `{}`",
                left.name, right.name
            ));
        }
    }
    Ok(())
}

impl<'a> Reader<'a> {
    /// A tensor's entry; its offset still counts from the start of the tensor data.
    pub(super) fn tensor_entry(&mut self) -> Result<TensorInfo<'a>, Fault> {
        let name = self.name("a tensor name")?;
        let dimensions = self.u32(name)? as usize;
        if !(1..=MAX_DIMENSIONS).contains(&dimensions) {
            return malformed(format!(
                "tensor `{name}`: expected 1 to {MAX_DIMENSIONS} dimensions, found {dimensions}"
            ));
        }
        let mut gguf_shape = [1; MAX_DIMENSIONS];
        for size in &mut gguf_shape[..dimensions] {
            *size = self.u64(name)?;
        }
        let ggml_type = self.u32(name)?;
        let offset = self.u64(name)?;
        let Some(quant) = QuantType::from_ggml_id(ggml_type) else {
            return unsupported(format!(
                "tensor `{name}` has type {}, which phi-ls does not support; expected F32, F16, BF16, Q4_0 to Q8_0, \
                 Q2_K to Q6_K, IQ4_NL or IQ4_XS",
                ggml_type_name(ggml_type)
            ));
        };
        let Some(bytes) = tensor_bytes(&gguf_shape, quant) else {
            let found = &gguf_shape[..dimensions];
            return malformed(format!("tensor `{name}`: expected whole {quant:?} blocks, found dimensions {found:?}"));
        };
        let (Ok(bytes), Ok(offset)) = (usize::try_from(bytes), usize::try_from(offset)) else {
            return malformed(format!(
                "tensor `{name}`: expected {bytes} bytes at {offset} in a file that fits memory"
            ));
        };
        let mut sizes = [1; MAX_DIMENSIONS];
        for (size, gguf_size) in sizes.iter_mut().zip(gguf_shape[..dimensions].iter().rev()) {
            // At most the number of elements, which fits a usize as the bytes do.
            *size = *gguf_size as usize;
        }
        Ok(TensorInfo { name, shape: Shape { sizes, dimensions }, quant, offset, bytes })
    }
}

/// Bytes of a tensor of GGUF dimensions `shape`, `None` if that is not a positive number of whole blocks.
fn tensor_bytes(shape: &[u64], quant: QuantType) -> Option<u64> {
    let elements = shape.iter().try_fold(1_u64, |product, dimension| product.checked_mul(*dimension))?;
    let block_len = quant.block_len() as u64;
    let whole_rows = shape.first()?.is_multiple_of(block_len);
    if elements == 0 || !whole_rows {
        return None;
    }
    (elements / block_len).checked_mul(quant.block_bytes() as u64)
}

/// The name people know a tensor type by, for those this project does not read.
fn ggml_type_name(id: u32) -> String {
    let name = match id {
        9 => "Q8_1",
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        21 => "IQ3_S",
        22 => "IQ2_S",
        24 => "I8",
        25 => "I16",
        26 => "I32",
        27 => "I64",
        28 => "F64",
        29 => "IQ1_M",
        34 => "TQ1_0",
        35 => "TQ2_0",
        39 => "MXFP4",
        _ => return format!("{id} (unknown)"),
    };
    name.to_owned()
}

//! Where everything begins in a file, found by reading the file once, in order.

use super::reader::{Fault, Reader, malformed, unsupported};
use super::tensors::{Placement, TensorInfo, check_places, tensor_at};
use super::values::Value;

/// Where tensor data is aligned to when the file does not say (`general.alignment`).
const DEFAULT_ALIGNMENT: u64 = 32;
/// Fewest bytes of a metadata entry: key length, kind, a one-byte value.
const MIN_ENTRY_BYTES: u64 = 8 + 4 + 1;
/// Fewest bytes of a tensor's entry: name length, dimension count, one dimension, type, offset.
const MIN_TENSOR_BYTES: u64 = 8 + 4 + 8 + 4 + 8;

/// Where everything begins in the file. All of it has been read once without an error.
pub(super) struct Header {
    /// Positions of the metadata entries, ordered by their keys.
    entries: Vec<u64>,
    /// Positions of the tensors' entries, ordered by their names.
    tensors: Vec<u64>,
    placement: Placement,
}

impl Header {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Fault> {
        let mut reader = Reader { bytes, position: 0 };
        read_version(&mut reader)?;
        let tensor_count = reader.count("tensors", MIN_TENSOR_BYTES)?;
        let entry_count = reader.count("metadata entries", MIN_ENTRY_BYTES)?;
        let mut entries = Vec::with_capacity(entry_count);
        for _ in 0..entry_count {
            entries.push(reader.position as u64);
            let key = reader.name("a metadata key")?;
            reader.value(key)?;
        }
        sort_by_name(bytes, &mut entries, "metadata keys")?;

        let placement = Placement { alignment: DEFAULT_ALIGNMENT, data_start: 0 };
        let mut header = Self { entries, tensors: Vec::with_capacity(tensor_count), placement };
        header.placement.alignment = alignment(header.value(bytes, "general.alignment"))?;
        for _ in 0..tensor_count {
            header.tensors.push(reader.position as u64);
            reader.tensor_entry()?;
        }
        header.placement.data_start = (reader.position as u64).next_multiple_of(header.placement.alignment);
        check_places(bytes, &mut header.tensors, header.placement)?;
        sort_by_name(bytes, &mut header.tensors, "tensor names")?;
        Ok(header)
    }

    pub(super) fn value<'a>(&self, bytes: &'a [u8], key: &str) -> Option<Value<'a>> {
        let index = self.entries.binary_search_by(|entry| name_at(bytes, *entry).cmp(key)).ok()?;
        let mut reader = Reader { bytes, position: self.entries[index] as usize };
        let key = reader.name("a metadata key").ok()?;
        reader.value(key).ok()
    }

    pub(super) fn tensor<'a>(&self, bytes: &'a [u8], name: &str) -> Option<TensorInfo<'a>> {
        let index = self.tensors.binary_search_by(|entry| name_at(bytes, *entry).cmp(name)).ok()?;
        tensor_at(bytes, self.tensors[index], self.placement).ok()
    }

    pub(super) fn tensors<'a>(&self, bytes: &'a [u8]) -> impl Iterator<Item = TensorInfo<'a>> {
        self.tensors.iter().filter_map(move |entry| tensor_at(bytes, *entry, self.placement).ok())
    }
}

/// The key or name that an entry begins with.
fn name_at(bytes: &[u8], entry: u64) -> &str {
    Reader { bytes, position: entry as usize }.name("a name").unwrap_or_default()
}

/// Orders entries by their names, of which there are no two alike.
fn sort_by_name(bytes: &[u8], entries: &mut [u64], what: &str) -> Result<(), Fault> {
    entries.sort_unstable_by(|left, right| name_at(bytes, *left).cmp(name_at(bytes, *right)));
    match entries.windows(2).find(|pair| name_at(bytes, pair[0]) == name_at(bytes, pair[1])) {
        None => Ok(()),
        Some(twice) => malformed(format!("expected distinct {what}, found `{}` twice", name_at(bytes, twice[0]))),
    }
}

fn read_version(reader: &mut Reader<'_>) -> Result<(), Fault> {
    let start = &reader.bytes[..reader.bytes.len().min(16)];
    if !start.starts_with(b"GGUF") {
        let hint = if start.starts_with(b"version https://") {
            "; this is a Git LFS pointer, download the file itself"
        } else {
            ""
        };
        return malformed(format!(
            "expected a GGUF file, which begins with `GGUF`, found `{}`{hint}",
            start.escape_ascii()
        ));
    }
    reader.position = 4;
    let version = reader.u32("the GGUF version")?;
    match version {
        2 | 3 => Ok(()),
        _ if matches!(version.swap_bytes(), 2 | 3) => {
            unsupported("expected a little-endian GGUF file, found a big-endian one".to_owned())
        }
        _ => unsupported(format!("expected GGUF version 2 or 3, found version {version}")),
    }
}

fn alignment(value: Option<Value<'_>>) -> Result<u64, Fault> {
    match value {
        None => Ok(DEFAULT_ALIGNMENT),
        // The upper bound keeps every sum of offsets far from overflow.
        Some(Value::Unsigned(alignment)) if alignment.is_power_of_two() && alignment <= 1 << 20 => Ok(alignment),
        Some(Value::Unsigned(alignment)) => {
            malformed(format!("`general.alignment`: expected a power of two up to 1048576, found {alignment}"))
        }
        Some(other) => malformed(format!("`general.alignment`: expected an unsigned integer, found {}", other.kind())),
    }
}

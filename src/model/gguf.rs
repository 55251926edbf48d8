//! Reading GGUF files: a bounds-checked walk over a memory map that keeps nothing but where each entry begins. Values
//! are decoded from the map when they are asked for, so a damaged or hostile file costs one error, and never more
//! memory than its own size.

mod header;
mod reader;
mod tensors;
mod values;

use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use self::header::Header;
use self::reader::Fault;
pub use self::tensors::{Shape, TensorInfo};
pub use self::values::{Floats, Integers, Strings, Value};
use super::ModelError;

/// An open GGUF file.
pub struct GgufFile {
    path: PathBuf,
    #[cfg_attr(not(unix), expect(dead_code, reason = "only Unix reads at a position"))]
    file: File,
    map: Mmap,
    header: Header,
}

impl GgufFile {
    /// # Errors
    /// [`ModelError`] saying what was expected where, for anything but a whole, sound GGUF file of version 2 or 3.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let (file, map) = map_file(path)?;
        match Header::read(&map) {
            Ok(header) => Ok(Self { path: path.to_owned(), file, map, header }),
            Err(Fault::Malformed(reason)) => Err(ModelError::Malformed { path: path.to_owned(), reason }),
            Err(Fault::Unsupported(reason)) => Err(ModelError::Unsupported { path: path.to_owned(), reason }),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `general.name` of the file, else its file name.
    pub fn name(&self) -> String {
        let file_name = || self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.string("general.name").map_or_else(|_| file_name(), str::to_owned)
    }

    /// Bytes of the file.
    pub fn file_bytes(&self) -> u64 {
        self.map.len() as u64
    }

    pub fn value(&self, key: &str) -> Option<Value<'_>> {
        self.header.value(&self.map, key)
    }

    /// The string at `key`, or an error naming the key.
    pub fn string(&self, key: &str) -> Result<&str, ModelError> {
        match self.required(key, "a string")? {
            Value::String(text) => Ok(text),
            other => Err(self.wrong_kind(key, "a string", other)),
        }
    }

    /// The integer at `key`, which may be stored signed but not negative.
    pub fn unsigned(&self, key: &str) -> Result<u64, ModelError> {
        match self.required(key, "an unsigned integer")? {
            Value::Unsigned(number) => Ok(number),
            Value::Signed(number) if number >= 0 => Ok(number.unsigned_abs()),
            Value::Signed(number) => {
                Err(self.malformed(format!("metadata key `{key}`: expected an unsigned integer, found {number}")))
            }
            other => Err(self.wrong_kind(key, "an unsigned integer", other)),
        }
    }

    pub fn float(&self, key: &str) -> Result<f32, ModelError> {
        match self.required(key, "a float")? {
            Value::Float(number) => Ok(number as f32),
            other => Err(self.wrong_kind(key, "a float", other)),
        }
    }

    pub fn strings(&self, key: &str) -> Result<Strings<'_>, ModelError> {
        match self.required(key, "an array of strings")? {
            Value::Strings(strings) => Ok(strings),
            other => Err(self.wrong_kind(key, "an array of strings", other)),
        }
    }

    pub fn floats(&self, key: &str) -> Result<Floats<'_>, ModelError> {
        match self.required(key, "an array of floats")? {
            Value::Floats(floats) => Ok(floats),
            other => Err(self.wrong_kind(key, "an array of floats", other)),
        }
    }

    pub fn integers(&self, key: &str) -> Result<Integers<'_>, ModelError> {
        match self.required(key, "an array of integers")? {
            Value::Integers(integers) => Ok(integers),
            other => Err(self.wrong_kind(key, "an array of integers", other)),
        }
    }

    pub fn tensor(&self, name: &str) -> Option<TensorInfo<'_>> {
        self.header.tensor(&self.map, name)
    }

    /// All tensors, by name.
    pub fn tensors(&self) -> impl Iterator<Item = TensorInfo<'_>> {
        self.header.tensors(&self.map)
    }

    /// The bytes of `tensor`, straight from the map.
    pub fn tensor_bytes(&self, tensor: &TensorInfo<'_>) -> &[u8] {
        &self.map[tensor.offset..tensor.offset + tensor.bytes]
    }

    /// Fills `buffer` with the bytes of `tensor` from `start` on, past the map: copying out of the system's file cache is
    /// quicker than having its pages mapped, and no page of the file counts as this process's memory.
    ///
    /// # Errors
    /// Any error of the system, or that the file has become shorter.
    pub fn read_tensor(&self, tensor: &TensorInfo<'_>, start: usize, buffer: &mut [u8]) -> std::io::Result<()> {
        #[cfg(unix)]
        return std::os::unix::fs::FileExt::read_exact_at(&self.file, buffer, (tensor.offset + start) as u64);
        #[cfg(not(unix))]
        {
            buffer.copy_from_slice(&self.tensor_bytes(tensor)[start..start + buffer.len()]);
            Ok(())
        }
    }

    /// Gives the memory behind a tensor's bytes back to the system; they would be read from the file again. Only
    /// whole pages can go, and a failure costs memory, not correctness.
    pub fn release(&self, tensor: &TensorInfo<'_>) {
        #[cfg(unix)]
        {
            // SAFETY: the map is read-only and backed by the file, so dropping its pages changes no byte anyone can see.
            let outcome = unsafe {
                self.map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, tensor.offset, tensor.bytes)
            };
            if let Err(error) = outcome {
                tracing::debug!(%error, tensor = tensor.name, "cannot release the pages of a loaded tensor");
            }
        }
        #[cfg(not(unix))]
        let _ = tensor;
    }

    /// A failure of [`GgufFile::read_tensor`].
    pub fn unreadable(&self, source: std::io::Error) -> ModelError {
        ModelError::Io { path: self.path.clone(), source }
    }

    /// An error for a problem of this file that only shows in its contents.
    pub fn malformed(&self, reason: String) -> ModelError {
        ModelError::Malformed { path: self.path.clone(), reason }
    }

    /// An error for something that this file needs and phi-ls lacks.
    pub fn unsupported(&self, reason: String) -> ModelError {
        ModelError::Unsupported { path: self.path.clone(), reason }
    }

    fn required(&self, key: &str, kind: &str) -> Result<Value<'_>, ModelError> {
        self.value(key).ok_or_else(|| self.malformed(format!("metadata key `{key}` is missing, expected {kind}")))
    }

    fn wrong_kind(&self, key: &str, expected: &str, found: Value<'_>) -> ModelError {
        self.malformed(format!("metadata key `{key}`: expected {expected}, found {}", found.kind()))
    }
}

/// Maps the file at `path` into memory, after checking that it is a regular file.
fn map_file(path: &Path) -> Result<(File, Mmap), ModelError> {
    let io = |source| ModelError::Io { path: path.to_owned(), source };
    let malformed = |reason: &str| ModelError::Malformed { path: path.to_owned(), reason: reason.to_owned() };
    // Asked before opening: opening a named pipe would wait for its other end.
    let metadata = std::fs::metadata(path).map_err(io)?;
    if metadata.is_dir() {
        return Err(malformed("expected a GGUF file, found a directory"));
    }
    if !metadata.is_file() {
        return Err(malformed("expected a GGUF file, found something that is not a regular file"));
    }
    if metadata.len() == 0 {
        return Err(malformed("expected a GGUF file, found an empty file"));
    }
    let file = File::open(path).map_err(io)?;
    // SAFETY: the map is private and read-only. A process that shortens the file while it is being read could still
    // kill this one; model files are replaced by renaming, never rewritten in place, and the map goes when loading ends.
    let map = unsafe { Mmap::map(&file) }.map_err(io)?;
    Ok((file, map))
}

#[cfg(test)]
mod tests;

//! Reading GGUF files: a bounds-checked walk over a memory map. Nothing is allocated beyond what the file holds.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::ModelError;
use crate::kernels::quant::QuantType;

/// A metadata value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
    String(String),
    Strings(Vec<String>),
    Floats(Vec<f32>),
    Integers(Vec<i64>),
    /// An array of a kind no key of ours has.
    Other,
}

/// Where a tensor's bytes are, and their shape.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorInfo {
    pub name: String,
    /// Rows and columns as this project counts: `shape.last()` is the contiguous one (GGUF's first).
    pub shape: Vec<usize>,
    pub quant: QuantType,
    /// Byte offset in the file.
    pub offset: usize,
    pub bytes: usize,
}

/// An open GGUF file.
pub struct GgufFile {
    path: PathBuf,
    metadata: HashMap<String, Value>,
    tensors: HashMap<String, TensorInfo>,
}

impl GgufFile {
    /// # Errors
    /// [`ModelError`] saying what was expected where, for anything but a whole, sound GGUF file of version 2 or 3.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let _ = path;
        todo!()
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn value(&self, key: &str) -> Option<&Value> {
        self.metadata.get(key)
    }

    /// The string at `key`, or an error naming the key.
    pub fn string(&self, key: &str) -> Result<&str, ModelError> {
        let _ = key;
        todo!()
    }

    pub fn unsigned(&self, key: &str) -> Result<u64, ModelError> {
        let _ = key;
        todo!()
    }

    pub fn float(&self, key: &str) -> Result<f32, ModelError> {
        let _ = key;
        todo!()
    }

    pub fn strings(&self, key: &str) -> Result<&[String], ModelError> {
        let _ = key;
        todo!()
    }

    pub fn floats(&self, key: &str) -> Result<&[f32], ModelError> {
        let _ = key;
        todo!()
    }

    pub fn integers(&self, key: &str) -> Result<&[i64], ModelError> {
        let _ = key;
        todo!()
    }

    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.get(name)
    }

    /// The bytes of `tensor`, straight from the map.
    pub fn tensor_bytes(&self, tensor: &TensorInfo) -> &[u8] {
        let _ = tensor;
        todo!()
    }
}

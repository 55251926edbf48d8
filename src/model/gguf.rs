//! Reading GGUF files: a bounds-checked walk over a memory map that keeps nothing but where each entry begins. Values
//! are decoded from the map when they are asked for, so a damaged or hostile file costs one error, and never more
//! memory than its own size.

use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use super::ModelError;
use crate::kernels::quant::QuantType;

/// Where tensor data is aligned to when the file does not say (`general.alignment`).
const DEFAULT_ALIGNMENT: u64 = 32;
/// More metadata entries, or tensors, than any model file has.
const MAX_ENTRIES: u64 = 1 << 16;
/// More elements than any array of a model file has (vocabularies stay below a million).
const MAX_ARRAY_LEN: u64 = 1 << 22;
/// Arrays of arrays are skipped, not read; deeper nesting than this is no model file.
const MAX_ARRAY_DEPTH: u32 = 4;
/// Longer than any key or tensor name; errors quote them.
const MAX_NAME_BYTES: u64 = 1024;
const MAX_DIMENSIONS: usize = 4;
/// Fewest bytes of a metadata entry: key length, kind, a one-byte value.
const MIN_ENTRY_BYTES: u64 = 8 + 4 + 1;
/// Fewest bytes of a tensor's entry: name length, dimension count, one dimension, type, offset.
const MIN_TENSOR_BYTES: u64 = 8 + 4 + 8 + 4 + 8;

/// A metadata value, borrowed from the file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
    String(&'a str),
    Strings(Strings<'a>),
    Floats(Floats<'a>),
    Integers(Integers<'a>),
    /// An array of a kind no key of ours has, or text that is not UTF-8.
    Other,
}

impl Value<'_> {
    fn kind(&self) -> &'static str {
        match self {
            Self::Unsigned(_) => "an unsigned integer",
            Self::Signed(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Bool(_) => "a bool",
            Self::String(_) => "a string",
            Self::Strings(_) => "an array of strings",
            Self::Floats(_) => "an array of floats",
            Self::Integers(_) => "an array of integers",
            Self::Other => "an array of another kind, or text that is not UTF-8",
        }
    }
}

/// An array of strings as the file has it: each one behind its length.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Strings<'a> {
    bytes: &'a [u8],
    len: usize,
}

impl<'a> Strings<'a> {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn iter(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let mut reader = Reader { bytes: self.bytes, position: 0 };
        // All were read once, when the value was; only a file that changes under its map can make one fail now.
        (0..self.len).map(move |_| reader.string("a string").ok().flatten().unwrap_or_default())
    }
}

/// An array of floats as the file has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Floats<'a> {
    F32(&'a [[u8; 4]]),
    F64(&'a [[u8; 8]]),
}

impl<'a> Floats<'a> {
    pub fn iter(self) -> impl Iterator<Item = f32> + use<'a> {
        let len = match self {
            Self::F32(floats) => floats.len(),
            Self::F64(floats) => floats.len(),
        };
        (0..len).map(move |index| match self {
            Self::F32(floats) => f32::from_le_bytes(floats[index]),
            Self::F64(floats) => f64::from_le_bytes(floats[index]) as f32,
        })
    }
}

/// An array of integers as the file has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Integers<'a> {
    U32(&'a [[u8; 4]]),
    I32(&'a [[u8; 4]]),
    I64(&'a [[u8; 8]]),
}

impl<'a> Integers<'a> {
    pub fn iter(self) -> impl Iterator<Item = i64> + use<'a> {
        let len = match self {
            Self::U32(integers) | Self::I32(integers) => integers.len(),
            Self::I64(integers) => integers.len(),
        };
        (0..len).map(move |index| match self {
            Self::U32(integers) => u32::from_le_bytes(integers[index]).into(),
            Self::I32(integers) => i32::from_le_bytes(integers[index]).into(),
            Self::I64(integers) => i64::from_le_bytes(integers[index]),
        })
    }
}

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
    /// Whatever the system says; also that the file has become shorter.
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

    /// A fault of this file that only a reader of its contents can see.
    pub fn malformed(&self, reason: String) -> ModelError {
        ModelError::Malformed { path: self.path.clone(), reason }
    }

    /// Something this file needs and this project lacks.
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

/// Maps the file at `path` into memory, after asking whether it is one.
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

/// What is wrong with the bytes, before the path is known.
enum Fault {
    Malformed(String),
    Unsupported(String),
}

/// Where everything begins in the file. All of it has been read once without a fault.
struct Header {
    /// Positions of the metadata entries, ordered by their keys.
    entries: Vec<u64>,
    /// Positions of the tensors' entries, ordered by their names.
    tensors: Vec<u64>,
    placement: Placement,
}

/// What a tensor's place in the file depends on beside its own entry.
#[derive(Clone, Copy)]
struct Placement {
    alignment: u64,
    /// Where the bytes of the tensors begin.
    data_start: u64,
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Self, Fault> {
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

    fn value<'a>(&self, bytes: &'a [u8], key: &str) -> Option<Value<'a>> {
        let index = self.entries.binary_search_by(|entry| name_at(bytes, *entry).cmp(key)).ok()?;
        let mut reader = Reader { bytes, position: self.entries[index] as usize };
        let key = reader.name("a metadata key").ok()?;
        reader.value(key).ok()
    }

    fn tensor<'a>(&self, bytes: &'a [u8], name: &str) -> Option<TensorInfo<'a>> {
        let index = self.tensors.binary_search_by(|entry| name_at(bytes, *entry).cmp(name)).ok()?;
        tensor_at(bytes, self.tensors[index], self.placement).ok()
    }

    fn tensors<'a>(&self, bytes: &'a [u8]) -> impl Iterator<Item = TensorInfo<'a>> {
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

/// The tensor whose entry is at `entry`, if its bytes are inside the file.
fn tensor_at(bytes: &[u8], entry: u64, placement: Placement) -> Result<TensorInfo<'_>, Fault> {
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
            "expected tensor `{name}` up to byte {end}, but the file ends at byte {}; it is cut off, download it again",
            bytes.len()
        )),
        None => malformed(format!("tensor `{name}` has an offset beyond any file")),
    }
}

/// Checks that the tensors lie inside the file without overlapping; leaves them in the order of their bytes.
fn check_places(bytes: &[u8], entries: &mut [u64], placement: Placement) -> Result<(), Fault> {
    for entry in entries.iter() {
        tensor_at(bytes, *entry, placement)?;
    }
    let tensor = |entry: u64| tensor_at(bytes, entry, placement);
    entries.sort_unstable_by_key(|entry| tensor(*entry).map_or(0, |tensor| tensor.offset));
    for pair in entries.windows(2) {
        let (left, right) = (tensor(pair[0])?, tensor(pair[1])?);
        if left.offset + left.bytes > right.offset {
            return malformed(format!("expected tensors apart, found `{}` overlapping `{}`", left.name, right.name));
        }
    }
    Ok(())
}

fn malformed<T>(reason: String) -> Result<T, Fault> {
    Err(Fault::Malformed(reason))
}

fn unsupported<T>(reason: String) -> Result<T, Fault> {
    Err(Fault::Unsupported(reason))
}

/// A position in the file's bytes, moved by what is read. Everything is read through [`Reader::take`], which checks the length.
struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    fn take(&mut self, len: u64, what: &str) -> Result<&'a [u8], Fault> {
        if len > self.remaining() as u64 {
            return malformed(format!(
                "expected {len} bytes of {what} at byte {}, but only {} are left; \
                 the file is cut off or damaged, download it again",
                self.position,
                self.remaining()
            ));
        }
        let taken = &self.bytes[self.position..self.position + len as usize];
        self.position += len as usize;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], Fault> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64, what)?);
        Ok(array)
    }

    fn u32(&mut self, what: &str) -> Result<u32, Fault> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    fn u64(&mut self, what: &str) -> Result<u64, Fault> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// A count of things that take at least `min_bytes` each.
    fn count(&mut self, what: &str, min_bytes: u64) -> Result<usize, Fault> {
        let count = self.u64(what)?;
        let most = (self.remaining() as u64 / min_bytes).min(MAX_ENTRIES);
        if count > most {
            return malformed(format!(
                "expected at most {most} {what} in what is left of the file, found {count}; \
                 the file is damaged, download it again"
            ));
        }
        Ok(count as usize)
    }

    fn raw_string(&mut self, what: &str) -> Result<&'a [u8], Fault> {
        let len = self.u64(what)?;
        self.take(len, what)
    }

    /// `None` if it is not UTF-8.
    fn string(&mut self, what: &str) -> Result<Option<&'a str>, Fault> {
        Ok(std::str::from_utf8(self.raw_string(what)?).ok())
    }

    /// A key or a tensor's name.
    fn name(&mut self, what: &str) -> Result<&'a str, Fault> {
        let start = self.position;
        let len = self.u64(what)?;
        if len > MAX_NAME_BYTES {
            return malformed(format!(
                "expected {what} of at most {MAX_NAME_BYTES} bytes at byte {start}, found {len}; \
                 the file is damaged, download it again"
            ));
        }
        match std::str::from_utf8(self.take(len, what)?) {
            Ok(name) if !name.contains(char::is_control) => Ok(name),
            Ok(_) => malformed(format!("expected {what} at byte {start}, found control characters")),
            Err(_) => malformed(format!("expected {what} at byte {start}, found text that is not UTF-8")),
        }
    }

    /// The kind and value of metadata entry `key`.
    fn value(&mut self, key: &str) -> Result<Value<'a>, Fault> {
        // GGUF's numbers for kinds.
        Ok(match self.u32(key)? {
            0 => Value::Unsigned(self.array::<1>(key)?[0].into()),
            1 => Value::Signed(i8::from_le_bytes(self.array(key)?).into()),
            2 => Value::Unsigned(u16::from_le_bytes(self.array(key)?).into()),
            3 => Value::Signed(i16::from_le_bytes(self.array(key)?).into()),
            4 => Value::Unsigned(self.u32(key)?.into()),
            5 => Value::Signed(i32::from_le_bytes(self.array(key)?).into()),
            6 => Value::Float(f32::from_le_bytes(self.array(key)?).into()),
            7 => match self.array::<1>(key)?[0] {
                0 => Value::Bool(false),
                1 => Value::Bool(true),
                other => return malformed(format!("metadata key `{key}`: expected a bool of 0 or 1, found {other}")),
            },
            8 => self.string(key)?.map_or(Value::Other, Value::String),
            9 => self.array_value(key)?,
            10 => Value::Unsigned(self.u64(key)?),
            11 => Value::Signed(i64::from_le_bytes(self.array(key)?)),
            12 => Value::Float(f64::from_le_bytes(self.array(key)?)),
            other => {
                return malformed(format!("metadata key `{key}`: expected a value kind of 0 to 12, found {other}"));
            }
        })
    }

    fn array_value(&mut self, key: &str) -> Result<Value<'a>, Fault> {
        let (kind, len) = self.array_start(key)?;
        let start = self.position;
        let mut readable = true;
        match kind {
            8 => (0..len).try_for_each(|_| self.string(key).map(|text| readable &= text.is_some()))?,
            _ => self.skip_elements(kind, len, key, 0)?,
        }
        let bytes = &self.bytes[start..self.position];
        let (fours, eights) = (bytes.as_chunks().0, bytes.as_chunks().0);
        Ok(match kind {
            4 => Value::Integers(Integers::U32(fours)),
            5 => Value::Integers(Integers::I32(fours)),
            6 => Value::Floats(Floats::F32(fours)),
            8 if readable => Value::Strings(Strings { bytes, len: len as usize }),
            11 => Value::Integers(Integers::I64(eights)),
            12 => Value::Floats(Floats::F64(eights)),
            _ => Value::Other,
        })
    }

    /// Kind and length of an array; the length is one the rest of the file can hold.
    fn array_start(&mut self, key: &str) -> Result<(u32, u64), Fault> {
        let kind = self.u32(key)?;
        let Some(min_bytes) = element_bytes(kind) else {
            return malformed(format!("metadata key `{key}`: expected an array kind of 0 to 12, found {kind}"));
        };
        let len = self.u64(key)?;
        let most = (self.remaining() as u64 / min_bytes).min(MAX_ARRAY_LEN);
        if len > most {
            return malformed(format!(
                "metadata key `{key}`: expected an array of at most {most} values, found {len}; \
                 the file is damaged, download it again"
            ));
        }
        Ok((kind, len))
    }

    fn skip_elements(&mut self, kind: u32, len: u64, key: &str, depth: u32) -> Result<(), Fault> {
        if depth >= MAX_ARRAY_DEPTH {
            return malformed(format!("metadata key `{key}`: expected at most {MAX_ARRAY_DEPTH} arrays in each other"));
        }
        match kind {
            8 => (0..len).try_for_each(|_| self.raw_string(key).map(drop)),
            9 => (0..len).try_for_each(|_| {
                let (kind, len) = self.array_start(key)?;
                self.skip_elements(kind, len, key, depth + 1)
            }),
            _ => self.take(len * element_bytes(kind).unwrap_or(1), key).map(drop),
        }
    }

    /// A tensor's entry; its offset still counts from the start of the tensor data.
    fn tensor_entry(&mut self) -> Result<TensorInfo<'a>, Fault> {
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
                "tensor `{name}` has type {}, which this program does not compute with; \
                 expected F32, F16, BF16, Q4_0 to Q8_0 or Q2_K to Q6_K",
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

/// Fewest bytes of one array element of a GGUF value kind.
fn element_bytes(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        8 | 10..=12 => Some(8),
        9 => Some(12),
        _ => None,
    }
}

/// The name people know a tensor type by, for those this project does not read.
fn ggml_type_name(id: u32) -> String {
    let name = match id {
        9 => "Q8_1",
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        20 => "IQ4_NL",
        21 => "IQ3_S",
        22 => "IQ2_S",
        23 => "IQ4_XS",
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with one entry, `general.architecture`, and one F32 tensor `w` of 2 x 32 values.
    struct Sample {
        version: u32,
        tensor_count: u64,
        entry_count: u64,
        entries: Vec<u8>,
        tensors: Vec<u8>,
        data_len: usize,
    }

    impl Sample {
        fn new() -> Self {
            let entries = [string("general.architecture"), 8_u32.to_le_bytes().to_vec(), string("phi3")].concat();
            Self {
                version: 3,
                tensor_count: 1,
                entry_count: 1,
                entries,
                tensors: tensor("w", &[32, 2], 0, 0),
                data_len: 256,
            }
        }

        fn bytes(&self) -> Vec<u8> {
            let mut bytes = b"GGUF".to_vec();
            bytes.extend(self.version.to_le_bytes());
            bytes.extend(self.tensor_count.to_le_bytes());
            bytes.extend(self.entry_count.to_le_bytes());
            bytes.extend(&self.entries);
            bytes.extend(&self.tensors);
            bytes.resize(bytes.len().next_multiple_of(32) + self.data_len, 7);
            bytes
        }
    }

    fn string(text: &str) -> Vec<u8> {
        [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
    }

    fn tensor(name: &str, shape: &[u64], ggml_type: u32, offset: u64) -> Vec<u8> {
        let mut entry = string(name);
        entry.extend((shape.len() as u32).to_le_bytes());
        shape.iter().for_each(|dimension| entry.extend(dimension.to_le_bytes()));
        entry.extend(ggml_type.to_le_bytes());
        entry.extend(offset.to_le_bytes());
        entry
    }

    fn open(bytes: &[u8]) -> Result<GgufFile, ModelError> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("sample.gguf");
        std::fs::write(&path, bytes).expect("writing the sample");
        GgufFile::open(&path)
    }

    /// Opening `bytes` fails with a message that contains `expected`.
    #[track_caller]
    fn check_error(bytes: &[u8], expected: &str) {
        let error = open(bytes).err().expect("the file should be refused").to_string();
        assert!(error.contains(expected), "expected `{expected}` in: {error}");
    }

    #[test]
    fn a_sound_file_is_read() {
        let gguf = open(&Sample::new().bytes()).expect("a sound file");
        assert_eq!(gguf.string("general.architecture").expect("the key"), "phi3");
        let tensor = gguf.tensor("w").expect("the tensor");
        assert_eq!((&*tensor.shape, tensor.quant, tensor.bytes), ([2, 32].as_slice(), QuantType::F32, 256));
        gguf.release(&tensor);
        assert_eq!(gguf.tensor_bytes(&tensor), [7; 256]);
    }

    #[test]
    fn missing_and_mistyped_keys_are_named() {
        let gguf = open(&Sample::new().bytes()).expect("a sound file");
        let error = gguf.unsigned("phi3.block_count").expect_err("missing").to_string();
        assert!(error.contains("`phi3.block_count` is missing, expected an unsigned integer"), "{error}");
        let error = gguf.floats("general.architecture").expect_err("mistyped").to_string();
        assert!(error.contains("`general.architecture`: expected an array of floats, found a string"), "{error}");
    }

    #[test]
    fn what_is_no_gguf_file_is_refused() {
        check_error(b"", "found an empty file");
        check_error(b"GG", "found `GG`");
        check_error(b"# notes\nabout models", "found `# notes\\nabout mo`");
        check_error(b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer");
        check_error(&Sample { version: 1, ..Sample::new() }.bytes(), "expected GGUF version 2 or 3, found version 1");
        check_error(&Sample { version: 3_u32.swap_bytes(), ..Sample::new() }.bytes(), "found a big-endian one");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let error = GgufFile::open(folder.path()).err().expect("a folder is no file").to_string();
        assert!(error.contains("found a directory"), "{error}");
        let missing = GgufFile::open(&folder.path().join("none.gguf"));
        assert!(matches!(missing, Err(ModelError::Io { .. })));
    }

    #[test]
    fn every_cut_is_one_error() {
        let bytes = Sample::new().bytes();
        for len in 0..bytes.len() {
            assert!(open(&bytes[..len]).is_err(), "{len} of {} bytes were accepted", bytes.len());
        }
        check_error(&bytes[..bytes.len() - 1], "it is cut off, download it again");
    }

    #[test]
    fn absurd_counts_are_refused() {
        let huge = u64::MAX;
        check_error(&Sample { tensor_count: huge, ..Sample::new() }.bytes(), "tensors in what is left");
        check_error(&Sample { entry_count: huge, ..Sample::new() }.bytes(), "metadata entries in what is left");
        let entry = |value: &[&[u8]]| Sample { entries: [string("key"), value.concat()].concat(), ..Sample::new() };
        check_error(&entry(&[&8_u32.to_le_bytes(), &huge.to_le_bytes()]).bytes(), "bytes of key");
        for kind in [4_u32, 6, 8, 0, 9] {
            let array = entry(&[&9_u32.to_le_bytes(), &kind.to_le_bytes(), &huge.to_le_bytes()]);
            check_error(&array.bytes(), "`key`: expected an array of at most");
        }
        check_error(&entry(&[&99_u32.to_le_bytes()]).bytes(), "expected a value kind of 0 to 12, found 99");
        let nested = [9_u32.to_le_bytes().as_slice(), &1_u64.to_le_bytes()].concat().repeat(9);
        check_error(&entry(&[&9_u32.to_le_bytes(), &nested, &[0; 64]]).bytes(), "arrays in each other");
    }

    #[test]
    fn tensors_that_contradict_the_file_are_refused() {
        let tensors = |tensors: &[Vec<u8>]| {
            let sample = Sample { tensor_count: tensors.len() as u64, tensors: tensors.concat(), ..Sample::new() };
            sample.bytes()
        };
        check_error(&tensors(&[tensor("w", &[32, 3], 0, 0)]), "`w` up to byte 512, but the file ends at byte 384");
        check_error(&tensors(&[tensor("w", &[32, 2], 0, 64)]), "it is cut off");
        check_error(&tensors(&[tensor("w", &[32, 2], 0, !31)]), "offset beyond any file");
        check_error(&tensors(&[tensor("w", &[32, 2], 0, 8)]), "expected an offset aligned to 32, found 8");
        check_error(&tensors(&[tensor("w", &[32, 0], 0, 0)]), "found dimensions [32, 0]");
        check_error(
            &tensors(&[tensor("w", &[1 << 40, 1 << 40], 0, 0)]),
            "whole F32 blocks, found dimensions [1099511627776",
        );
        check_error(&tensors(&[tensor("w", &[33], 12, 0)]), "whole Q4K blocks");
        check_error(&tensors(&[tensor("w", &[], 0, 0)]), "expected 1 to 4 dimensions, found 0");
        check_error(&tensors(&[tensor("w", &[32], 20, 0)]), "tensor `w` has type IQ4_NL");
        check_error(&tensors(&[tensor("w", &[32], 0, 0), tensor("v", &[32], 0, 96)]), "`w` overlapping `v`");
        check_error(&tensors(&[tensor("w", &[8], 0, 0), tensor("w", &[8], 0, 32)]), "found `w` twice");
        let alignment =
            [string("general.alignment"), 4_u32.to_le_bytes().to_vec(), 24_u32.to_le_bytes().to_vec()].concat();
        check_error(&Sample { entries: alignment, ..Sample::new() }.bytes(), "power of two up to 1048576, found 24");
    }
}

//! Metadata values, borrowed from the file; arrays stay encoded as in the file.

use super::reader::{Fault, Reader, malformed};

/// More elements than any array of a model file has (vocabularies stay below a million).
const MAX_ARRAY_LEN: u64 = 1 << 22;
/// Arrays of arrays are skipped, not read; deeper nesting than this is no model file.
const MAX_ARRAY_DEPTH: u32 = 4;

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
    pub(super) fn kind(&self) -> &'static str {
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

impl<'a> Reader<'a> {
    /// The kind and value of metadata entry `key`.
    pub(super) fn value(&mut self, key: &str) -> Result<Value<'a>, Fault> {
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
            return malformed(format!(
                "metadata key `{key}`: expected at most {MAX_ARRAY_DEPTH} nested arrays, found \
                                      more"
            ));
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

//! Bounds-checked reading of a file's bytes, and the errors for damaged ones.

/// Longer than any key or tensor name; errors quote them.
const MAX_NAME_BYTES: u64 = 1024;
/// The maximum number of metadata entries, or of tensors.
const MAX_ENTRIES: u64 = 1 << 16;

/// What is wrong with the bytes, before the path is known.
pub(super) enum Fault {
    Malformed(String),
    Unsupported(String),
}

pub(super) fn malformed<T>(reason: String) -> Result<T, Fault> {
    Err(Fault::Malformed(reason))
}

pub(super) fn unsupported<T>(reason: String) -> Result<T, Fault> {
    Err(Fault::Unsupported(reason))
}

/// A position in the file's bytes, moved by what is read. Everything is read through [`Reader::take`], which checks the length.
pub(super) struct Reader<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) position: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    pub(super) fn take(&mut self, len: u64, what: &str) -> Result<&'a [u8], Fault> {
        if len > self.remaining() as u64 {
            return malformed(format!(
                "expected {len} bytes of {what} at byte {}, found {}; the file is truncated or damaged, download it \
                 again",
                self.position,
                self.remaining()
            ));
        }
        let taken = &self.bytes[self.position..self.position + len as usize];
        self.position += len as usize;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], Fault> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64, what)?);
        Ok(array)
    }

    pub(super) fn u32(&mut self, what: &str) -> Result<u32, Fault> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    pub(super) fn u64(&mut self, what: &str) -> Result<u64, Fault> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// A count of things that take at least `min_bytes` each.
    pub(super) fn count(&mut self, what: &str, min_bytes: u64) -> Result<usize, Fault> {
        let count = self.u64(what)?;
        let most = (self.remaining() as u64 / min_bytes).min(MAX_ENTRIES);
        if count > most {
            return malformed(format!(
                "expected at most {most} {what} in the rest of the file, found {count}; the file is damaged, download \
                 it again"
            ));
        }
        Ok(count as usize)
    }

    pub(super) fn raw_string(&mut self, what: &str) -> Result<&'a [u8], Fault> {
        let len = self.u64(what)?;
        self.take(len, what)
    }

    /// `None` if it is not UTF-8.
    pub(super) fn string(&mut self, what: &str) -> Result<Option<&'a str>, Fault> {
        Ok(std::str::from_utf8(self.raw_string(what)?).ok())
    }

    /// A key or a tensor's name.
    pub(super) fn name(&mut self, what: &str) -> Result<&'a str, Fault> {
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
}

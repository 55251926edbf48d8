//! A page of keys and values as a file, named after what it is.
//!
//! ```text
//! mark      8 bytes   names the format
//! checksum  u64       of everything after it
//! before    16 bytes  the id of the page before this one
//! count     u32       tokens that the page is for
//! tokens    u32 each
//! page      keys and values of all layers, as they are in memory
//! ```
//!
//! Numbers are little-endian. The id is a digest of `before` and the tokens, so the file's name verifies the header,
//! and the checksum verifies the page.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::kernels::attention::PAGE_LEN;
use crate::model::RopeFactors;
use crate::private;

/// The extension of these files.
pub(super) const EXTENSION: &str = "kv";

const MARK: &[u8; 8] = b"phi-ls 1";
/// Size of the mark, the checksum, the id of the page before, and the count.
const HEAD_BYTES: usize = 8 + 8 + 16 + 4;

/// An odd number whose bits have no pattern: the golden ratio in 64 bits.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// Identifies a page by all tokens up to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Id([u8; 16]);

impl Id {
    /// The id before the first page of sequences that are rotated with `factors`.
    pub(super) fn root(factors: RopeFactors) -> Self {
        Self::digest(&[format!("{factors:?}").as_bytes()])
    }

    /// The id of the page of `tokens` after this one.
    pub(super) fn then(self, tokens: &[u32]) -> Self {
        Self::digest(&[&self.0, &bytes_of(tokens)])
    }

    /// The id in the name of the file at `path`.
    fn in_name(path: &Path) -> Option<Self> {
        let name = path.file_stem()?.to_str()?;
        Some(Self(u128::from_str_radix(name, 16).ok()?.to_be_bytes()))
    }

    fn digest(parts: &[&[u8]]) -> Self {
        let mut digest = Sha256::new();
        parts.iter().for_each(|part| digest.update(part));
        let mut id = [0; 16];
        id.copy_from_slice(&digest.finalize()[..16]);
        Self(id)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// What a file says about its page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub id: Id,
    pub before: Id,
    pub tokens: Vec<u32>,
}

impl Head {
    /// The header of the page of `tokens` after the page `before`.
    pub(super) fn new(before: Id, tokens: &[u32]) -> Self {
        Self { id: before.then(tokens), before, tokens: tokens.to_vec() }
    }

    /// The path of the file in `folder`.
    pub(super) fn file_in(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.{EXTENSION}", self.id))
    }

    /// The size of the file for a page of `page_bytes`.
    pub(super) fn file_bytes(&self, page_bytes: usize) -> u64 {
        (HEAD_BYTES + self.tokens.len() * 4 + page_bytes) as u64
    }

    /// Reads the header of the file at `path`, which should hold a page of `page_bytes`.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub(super) fn read(path: &Path, page_bytes: usize) -> Result<Self, String> {
        let mut file = File::open(path).map_err(|error| error.to_string())?;
        let (head, _) = Self::read_from(&mut file).map_err(|error| error.to_string())?;
        let (expected, found) = (head.file_bytes(page_bytes), file.metadata().map_or(0, |metadata| metadata.len()));
        if found != expected {
            return Err(format!("expected {expected} bytes, found {found}"));
        }
        if Id::in_name(path) != Some(head.id) {
            return Err(format!("expected it to be named {}", head.id));
        }
        Ok(head)
    }

    /// The header, and the checksum of the rest.
    fn read_from(file: &mut File) -> io::Result<(Self, u64)> {
        let mut fixed = [0; HEAD_BYTES];
        file.read_exact(&mut fixed)?;
        let (mark, rest) = fixed.split_at(8);
        let (checksum, rest) = rest.split_at(8);
        let (before, count) = rest.split_at(16);
        let number = |bytes: &[u8]| bytes.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        let count = number(count) as usize;
        if mark != MARK || !(1..=PAGE_LEN).contains(&count) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is of another format"));
        }
        let mut tokens = vec![0; count * 4];
        file.read_exact(&mut tokens)?;
        let tokens: Vec<u32> = tokens.as_chunks::<4>().0.iter().map(|token| u32::from_le_bytes(*token)).collect();
        let before = Id(before.try_into().expect("16 bytes were split off"));
        Ok((Self::new(before, &tokens), number(checksum)))
    }

    /// Reads the page of the file in `folder`.
    ///
    /// # Errors
    /// If there is no such file any more, or it is damaged.
    pub(super) fn read_page(&self, folder: &Path, page: &mut [u8]) -> io::Result<()> {
        let mut file = File::open(self.file_in(folder))?;
        let (head, checksum) = Self::read_from(&mut file)?;
        file.read_exact(page)?;
        if head != *self || head.checksum(page) != checksum {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its checksum is wrong"));
        }
        // The least recently used files are removed first.
        touch(&file);
        Ok(())
    }

    /// Writes the file to `folder`, which is created if necessary.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn write(&self, folder: &Path, page: &[u8]) -> io::Result<()> {
        private::create_folder(folder)?;
        let count = u32::try_from(self.tokens.len()).map_err(io::Error::other)?.to_le_bytes();
        let parts: [&[u8]; 6] =
            [MARK, &self.checksum(page).to_le_bytes(), &self.before.0, &count, &bytes_of(&self.tokens), page];
        private::write(&self.file_in(folder), &parts)
    }

    fn checksum(&self, page: &[u8]) -> u64 {
        [&self.before.0, bytes_of(&self.tokens).as_slice(), page].into_iter().fold(FACTOR, checksum)
    }
}

/// Marks `file` as used now.
pub(super) fn touch(file: &File) {
    // If this fails, the file is only removed a little earlier.
    let _ = file.set_modified(std::time::SystemTime::now());
}

fn bytes_of(tokens: &[u32]) -> Vec<u8> {
    tokens.iter().flat_map(|token| token.to_le_bytes()).collect()
}

/// `sum` with `bytes` added. It detects accidental damage at the speed of memory; it does not protect from forgery.
fn checksum(sum: u64, bytes: &[u8]) -> u64 {
    let mix = |sum: u64, word: u64| (sum ^ word).wrapping_mul(FACTOR).rotate_left(29);
    let (words, rest) = bytes.as_chunks::<8>();
    let sum = words.iter().fold(sum, |sum, word| mix(sum, u64::from_le_bytes(*word)));
    let sum = rest.iter().fold(sum, |sum, byte| mix(sum, u64::from(*byte)));
    mix(sum, bytes.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: [u8; 100] = [7; 100];

    fn head() -> Head {
        Head::new(Id::root(RopeFactors::Short), &[1, 2, 300_000])
    }

    #[test]
    fn a_page_comes_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let head = head();
        head.write(folder.path(), &PAGE).unwrap();
        assert_eq!(Head::read(&head.file_in(folder.path()), PAGE.len()), Ok(head.clone()));
        let mut page = [0; 100];
        head.read_page(folder.path(), &mut page).unwrap();
        assert_eq!(page, PAGE);
        let other = Head::new(Id::root(RopeFactors::Long), &head.tokens);
        assert_ne!(other.id, head.id);
        assert_eq!(other.read_page(folder.path(), &mut page).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn every_damaged_byte_and_every_missing_one_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let head = head();
        head.write(folder.path(), &PAGE).unwrap();
        let path = head.file_in(folder.path());
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(whole.len() as u64, head.file_bytes(PAGE.len()));
        let is_read = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            let found = Head::read(&path, PAGE.len());
            found.is_ok_and(|found| found.read_page(folder.path(), &mut [0; 100]).is_ok())
        };
        assert!(is_read(&whole));
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 4;
            assert!(!is_read(&damaged), "byte {at}");
            assert!(!is_read(&whole[..at]), "cut off at {at}");
        }
        assert!(!is_read(&[&whole[..], b"x"].concat()), "a byte too many");
    }
}

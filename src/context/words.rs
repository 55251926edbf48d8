//! The words of code: names and keywords as they are in a text, whatever they mean.

use std::hash::{DefaultHasher, Hasher};

/// Shorter words say little.
const SHORTEST: usize = 3;

/// The words of `text`, in its order.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    let is_apart = |c: char| !c.is_alphanumeric() && c != '_';
    text.split(is_apart).filter(|word| is_word(word))
}

/// Whether `name` counts as a word of a text that has it.
pub(super) fn is_word(name: &str) -> bool {
    name.len() >= SHORTEST && !name.starts_with(|c: char| c.is_ascii_digit())
}

/// A name as the index knows it; never 0.
pub(super) fn name_hash(name: &str) -> u64 {
    checksum(name.as_bytes()).max(1)
}

pub(super) fn checksum(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

/// The hash of a word or name; two words have the same hash with a probability of one in four billion.
pub(super) fn word_hash(word: &str) -> u32 {
    name_hash(word) as u32
}

/// The hashes of the words of `text`, each once, in order.
pub(super) fn distinct(text: &str) -> Vec<u32> {
    let mut hashes: Vec<u32> = words(text).map(word_hash).collect();
    hashes.sort_unstable();
    hashes.dedup();
    hashes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_names_of_three_characters_and_more() {
        let text = "let größe_2 = self.f(0x1f, \"ab cde\"); // 2nd";
        assert_eq!(words(text).collect::<Vec<_>>(), ["let", "größe_2", "self", "cde"]);
        assert_eq!(distinct("abc cde abc").len(), 2);
    }
}

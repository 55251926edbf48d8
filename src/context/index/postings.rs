//! Which files contain which words: how the index finds the few files that matter without reading the others.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Numbers of files by the hashes of words.
#[derive(Debug, Default)]
pub(in crate::context) struct Postings(HashMap<u32, Files>);

/// The common case: the word is in one file only.
#[derive(Debug)]
enum Files {
    One(u32),
    /// In order.
    Many(Vec<u32>),
}

impl Postings {
    /// Adds the `words` of `file`, each once.
    pub(super) fn add(&mut self, file: u32, words: &[u32]) {
        for word in words {
            match self.0.entry(*word) {
                Entry::Vacant(vacant) => drop(vacant.insert(Files::One(file))),
                Entry::Occupied(mut occupied) => occupied.get_mut().add(file),
            }
        }
    }

    /// Removes the `words` of `file`.
    pub(super) fn remove(&mut self, file: u32, words: &[u32]) {
        for word in words {
            let Entry::Occupied(mut occupied) = self.0.entry(*word) else { continue };
            match occupied.get_mut() {
                Files::One(only) if *only == file => drop(occupied.remove()),
                Files::One(_) => {}
                Files::Many(files) => {
                    files.retain(|other| *other != file);
                    if files.is_empty() {
                        occupied.remove();
                    }
                }
            }
        }
    }

    /// The files that have `word`, in order.
    pub(super) fn files(&self, word: u32) -> &[u32] {
        match self.0.get(&word) {
            None => &[],
            Some(Files::One(file)) => std::slice::from_ref(file),
            Some(Files::Many(files)) => files,
        }
    }
}

impl Files {
    fn add(&mut self, file: u32) {
        match self {
            Self::One(only) if *only == file => {}
            Self::One(only) => *self = Self::Many(vec![file.min(*only), file.max(*only)]),
            Self::Many(files) => {
                if let Err(at) = files.binary_search(&file) {
                    files.insert(at, file);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_and_go() {
        let mut postings = Postings::default();
        postings.add(2, &[10, 20]);
        postings.add(1, &[10]);
        postings.add(3, &[10, 30]);
        assert_eq!((postings.files(10), postings.files(20), postings.files(40)), (&[1, 2, 3][..], &[2][..], &[][..]));
        postings.remove(2, &[10, 20]);
        postings.remove(3, &[10, 20, 30]);
        assert_eq!((postings.files(10), postings.files(20)), (&[1][..], &[][..]));
        postings.remove(1, &[10]);
        assert!(postings.0.is_empty());
    }
}

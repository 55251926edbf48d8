//! Prefixes that outlive the process: what the model has read for completions is kept in files while nobody waits, so
//! that it need not be read again after a restart.
//!
//! ```text
//! prefixes/ORIGIN/about.json   what its pages were computed with (`origin`)
//! prefixes/ORIGIN/ID.kv        a page of keys and values (`page_file`)
//! ```
//!
//! A page is named after all tokens up to its end, so that prompts with a common beginning share files, as sequences in
//! memory share pages. Several processes may read and write at the same time. The least recently used files of all
//! models are removed first. A damaged file is removed when that is noticed, and the model reads that part again.
//!
//! The files contain the code that was read, so nobody else may read them. A model on a GPU has no pages, and nothing
//! of it is kept.

mod origin;
mod page_file;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use crate::hub;
use crate::kernels::attention::PAGE_LEN;
use crate::kernels::page_pool::Page;
use crate::model::{KvCache, LoadedModel, RopeFactors};
use crate::private;
use origin::Origin;
use page_file::{Head, Id};

/// A prefix with no more tokens than this beyond a kept one is not worth keeping, because reading them takes little
/// time.
const LEAST_TOKENS: usize = 2 * PAGE_LEN;

/// Bytes that are left free on the disk.
const LEAST_FREE: u64 = 2 << 30;

/// In this time, no more is written than may be kept, so that opening many files does not wear out the disk.
const WRITTEN_ONCE_IN: Duration = Duration::from_secs(60 * 60);

/// Where prefixes are kept, how many, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeepOptions {
    pub folder: PathBuf,
    /// The most bytes of all files; 0 removes all files.
    pub limit_bytes: u64,
    /// How long after the last job to begin.
    pub after: Duration,
}

/// The name of the folder with these files.
pub const FOLDER: &str = "prefixes";

/// The size in bytes of all files below `folder`.
pub fn kept_bytes(folder: &Path) -> u64 {
    page_files(folder).map(|file| file.bytes).sum()
}

/// The files of one model and what they hold.
pub(super) struct KeptPrefixes {
    options: KeepOptions,
    folder: PathBuf,
    page_bytes: usize,
    /// The headers of all pages that have a file, by the id of the page before them.
    pages: HashMap<Id, Vec<Head>>,
    /// The bytes written since this time.
    written: (Instant, u64),
    /// Whether writing has failed; it is not tried again.
    has_failed: bool,
}

/// A page in memory that is worth a file.
struct Wanted<'a> {
    head: Head,
    page: &'a Page,
}

/// The file of a page, of any model.
struct PageFile {
    path: PathBuf,
    bytes: u64,
    used: SystemTime,
}

impl KeptPrefixes {
    /// Finds the files for `loaded`, and removes files that nobody can use. `None` if nothing is to be kept or can be
    /// kept.
    pub(super) fn open(options: &KeepOptions, loaded: &LoadedModel) -> Option<Self> {
        if options.limit_bytes == 0 {
            // There may be no such folder.
            let _ = std::fs::remove_dir_all(&options.folder);
            return None;
        }
        let cache = loaded.model.new_cache(RopeFactors::Short);
        cache.pool()?;
        let origin = Origin::of(&loaded.path, &cache)?;
        origin::remove_stale(&options.folder);
        let folder = match origin.create_folder(&options.folder) {
            Ok(folder) => folder,
            Err(error) => {
                tracing::warn!("what the model reads is not kept: {}: {error}", options.folder.display());
                return None;
            }
        };
        private::remove_left_behind(&folder);
        let pages = heads(&folder, cache.page_bytes());
        let options = options.clone();
        let page_bytes = cache.page_bytes();
        Some(Self { options, folder, page_bytes, pages, written: (Instant::now(), 0), has_failed: false })
    }

    /// How many of the first `tokens` are kept, rotated with `factors`.
    pub(super) fn prefix_len(&self, tokens: &[u32], factors: RopeFactors) -> usize {
        self.chain(tokens, factors).iter().map(|(_, len)| len).sum()
    }

    /// Extends `cache`, which holds the beginning of `tokens`, with the pages in files.
    pub(super) fn extend(&mut self, cache: &mut KvCache, tokens: &[u32]) {
        let chain: Vec<(Head, usize)> =
            self.chain(tokens, cache.factors()).into_iter().map(|(head, len)| (head.clone(), len)).collect();
        let full_pages = cache.tokens().len() / PAGE_LEN;
        cache.truncate(full_pages * PAGE_LEN);
        for (head, len) in chain.iter().skip(full_pages) {
            let end = cache.tokens().len() + len;
            if let Err(error) = cache.append_page(&head.tokens, |page| head.read_page(&self.folder, page)) {
                return self.give_up(head, &error);
            }
            cache.truncate(end);
        }
    }

    /// The pages of the longest kept prefix of `tokens`, and how many tokens each has in common with them: all, except
    /// perhaps for the last page.
    fn chain(&self, tokens: &[u32], factors: RopeFactors) -> Vec<(&Head, usize)> {
        let mut chain = Vec::new();
        let (mut before, mut rest) = (Id::root(factors), tokens);
        loop {
            let common = |head: &Head| head.tokens.iter().zip(rest).take_while(|(kept, wanted)| kept == wanted).count();
            let candidates = self.pages.get(&before).into_iter().flatten();
            match candidates.map(|head| (head, common(head))).max_by_key(|(_, len)| *len) {
                Some((head, len)) if len > 0 => {
                    chain.push((head, len));
                    if len < PAGE_LEN {
                        return chain;
                    }
                    (before, rest) = (head.id, &rest[PAGE_LEN..]);
                }
                _ => return chain,
            }
        }
    }

    /// Forgets the file of `head`, which cannot be used, and removes it if it is damaged.
    fn give_up(&mut self, head: &Head, error: &std::io::Error) {
        let path = head.file_in(&self.folder);
        // If there is no file, another process needed the space.
        if error.kind() != ErrorKind::NotFound {
            remove_damaged(&path, &error.to_string());
        }
        self.forget(&path);
    }

    /// Writes a page of `newest_first` that is not kept yet. Returns false if there is none, or no more may be written.
    pub(super) fn keep_a_page<'a>(&mut self, newest_first: impl Iterator<Item = &'a KvCache>) -> bool {
        if self.has_failed {
            return false;
        }
        let wanted = self.wanted(newest_first);
        let Some(next) = wanted.iter().find(|wanted| !self.has(&wanted.head)) else {
            let files = wanted.iter().filter_map(|wanted| File::open(wanted.head.file_in(&self.folder)).ok());
            files.for_each(|file| page_file::touch(&file));
            return false;
        };
        if !self.makes_room(next.head.file_bytes(self.page_bytes), &wanted) {
            return false;
        }
        match next.head.write(&self.folder, next.page.as_slice()) {
            Ok(()) => self.kept(next.head.clone()),
            Err(error) => {
                tracing::warn!("what the model has read is not kept: {}: {error}", self.folder.display());
                self.has_failed = true;
            }
        }
        !self.has_failed
    }

    /// The pages that are worth a file, as many as may be kept: those of the newest prompt first. Variants of one
    /// prompt count as one.
    fn wanted<'a>(&self, newest_first: impl Iterator<Item = &'a KvCache>) -> Vec<Wanted<'a>> {
        let (mut places, mut wanted) = (Vec::<&KvCache>::new(), Vec::new());
        let (mut seen, mut left) = (HashSet::new(), self.options.limit_bytes);
        for sequence in newest_first {
            let is_variant = |place: &&KvCache| {
                place.factors() == sequence.factors()
                    && sequence.tokens().len() <= place.common_prefix_len(sequence.tokens()) + LEAST_TOKENS
            };
            if places.iter().any(is_variant) {
                continue;
            }
            places.push(sequence);
            let mut before = Id::root(sequence.factors());
            for (tokens, page) in sequence.tokens().chunks(PAGE_LEN).zip(sequence.pages()) {
                let head = Head::new(before, tokens);
                before = head.id;
                if seen.insert(head.id) {
                    match left.checked_sub(head.file_bytes(self.page_bytes)) {
                        Some(rest) => left = rest,
                        None => return wanted,
                    }
                    wanted.push(Wanted { head, page });
                }
            }
        }
        wanted
    }

    fn has(&self, head: &Head) -> bool {
        self.pages.get(&head.before).is_some_and(|pages| pages.iter().any(|kept| kept.id == head.id))
    }

    /// Whether `bytes` more may be written. The least recently used files are removed to make room, unless they are
    /// `wanted`.
    fn makes_room(&mut self, bytes: u64, wanted: &[Wanted<'_>]) -> bool {
        if self.written.0.elapsed() >= WRITTEN_ONCE_IN {
            self.written = (Instant::now(), 0);
        }
        let is_free = hub::free_space(&self.folder).is_none_or(|free| free >= bytes + LEAST_FREE);
        if !is_free || self.written.1 + bytes > self.options.limit_bytes {
            return false;
        }
        let mut files: Vec<PageFile> = page_files(&self.options.folder).collect();
        files.sort_by_key(|file| file.used);
        let mut total: u64 = files.iter().map(|file| file.bytes).sum();
        let wanted: HashSet<PathBuf> = wanted.iter().map(|wanted| wanted.head.file_in(&self.folder)).collect();
        for file in files.iter().filter(|file| !wanted.contains(&file.path)) {
            if total + bytes <= self.options.limit_bytes {
                break;
            }
            // Another process may have removed it already.
            let _ = std::fs::remove_file(&file.path);
            self.forget(&file.path);
            total -= file.bytes;
        }
        total + bytes <= self.options.limit_bytes
    }

    /// Records that the page of `head` has been written. Removes files that hold only a beginning of it.
    fn kept(&mut self, head: Head) {
        self.written.1 += head.file_bytes(self.page_bytes);
        let siblings = self.pages.entry(head.before).or_default();
        let is_less = |kept: &mut Head| head.tokens.starts_with(&kept.tokens);
        for less in siblings.extract_if(.., is_less) {
            // Another process may have removed it already.
            let _ = std::fs::remove_file(less.file_in(&self.folder));
        }
        siblings.push(head);
    }

    /// Forgets the file at `path`, which is gone.
    fn forget(&mut self, path: &Path) {
        let folder = &self.folder;
        self.pages.values_mut().for_each(|pages| pages.retain(|head| head.file_in(folder) != path));
    }
}

/// The headers of the files in `folder`, by the id of the page before. Removes damaged files.
fn heads(folder: &Path, page_bytes: usize) -> HashMap<Id, Vec<Head>> {
    let mut pages = HashMap::<Id, Vec<Head>>::new();
    for PageFile { path, .. } in files_in(folder) {
        match Head::read(&path, page_bytes) {
            Ok(head) => pages.entry(head.before).or_default().push(head),
            Err(reason) => remove_damaged(&path, &reason),
        }
    }
    pages
}

fn remove_damaged(path: &Path, reason: &str) {
    tracing::warn!("{}, which a model has read, is damaged and deleted: {reason}", path.display());
    // A file that cannot be removed is found damaged again next time.
    let _ = std::fs::remove_file(path);
}

/// The page files of all models below `root`.
fn page_files(root: &Path) -> impl Iterator<Item = PageFile> {
    origin::folders(root).flat_map(|folder| files_in(&folder))
}

fn files_in(folder: &Path) -> Vec<PageFile> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let file = |entry: std::fs::DirEntry| {
        let (path, metadata) = (entry.path(), entry.metadata().ok()?);
        let is_page = path.extension().is_some_and(|extension| extension == page_file::EXTENSION);
        is_page.then(|| PageFile {
            path,
            bytes: metadata.len(),
            used: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
        })
    };
    entries.filter_map(file).collect()
}

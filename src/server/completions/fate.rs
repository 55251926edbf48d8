//! Finds out what becomes of the completions that were shown, for the statistics.

use std::collections::HashMap;
use std::ops::Range;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::features::inline_completion::InlineItem;
use crate::statistics::{self, Acceptance, Latest, What};
use crate::text::Rope;

/// After how many seconds to check whether accepted text is still there.
const LOOKED_AT_AFTER: [u64; 2] = [30, 300];

/// How many accepted texts are followed at the same time.
const MAX_FOLLOWED: usize = 100;

/// How often the cost of completions is written.
const COUNTED_AFTER: Duration = Duration::from_secs(60);

/// A longer gap between two keys does not count as typing.
const LONGEST_GAP: Duration = Duration::from_secs(5);

/// A completion on the screen.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    pub id: u64,
    /// The document's number.
    pub document: u64,
    pub language: String,
    pub latency: Duration,
    pub items: Vec<InlineItem>,
}

/// Writes records of what becomes of completions.
pub(super) struct Fates {
    /// The file of records; without it, nothing is written.
    file: Option<PathBuf>,
    enabled: bool,
    model: String,
    /// The latest completions of the model in the file.
    latest: Latest,
    on_screen: Option<Shown>,
    /// The newest answer to a client that reports what it shows.
    offered: Option<Shown>,
    /// Whether a part of the completion on the screen was accepted.
    is_partly_accepted: bool,
    /// The completion of which a part was last observed to be accepted.
    seen_part: Option<u64>,
    /// The completion of which the client last reported an accepted part, its text, and the length of the part.
    told_part: Option<(u64, String, usize)>,
    followed: Vec<Accepted>,
    /// The cost of completions that has not been written yet, by language.
    work: HashMap<String, Work>,
    work_due_at: Option<Instant>,
    typed_at: Option<Instant>,
    tells: Tells,
}

/// The cost of completions.
#[derive(Default)]
struct Work {
    processor: Duration,
    typing: Duration,
}

/// What the client reports by itself, so that it need not be guessed. It is known once it has reported something.
#[derive(Default)]
struct Tells {
    shown: bool,
    parts: bool,
}

/// A text that was accepted.
struct Accepted {
    document: u64,
    language: String,
    /// The byte ranges that are left of it.
    pieces: Vec<Range<usize>>,
    characters: usize,
    bytes: usize,
    at: Instant,
    looked: usize,
}

impl Fates {
    pub(super) fn new(file: Option<PathBuf>) -> Self {
        Self {
            file,
            enabled: true,
            model: String::new(),
            latest: Latest::default(),
            on_screen: None,
            offered: None,
            is_partly_accepted: false,
            seen_part: None,
            told_part: None,
            followed: Vec::new(),
            work: HashMap::new(),
            work_due_at: None,
            typed_at: None,
            tells: Tells::default(),
        }
    }

    /// Sets the `model` of the completions from now on. Nothing is recorded unless `enabled`.
    pub(super) fn configure(&mut self, enabled: bool, model: &str) {
        let is_same = (self.enabled, self.model.as_str()) == (enabled, model);
        (self.enabled, self.model) = (enabled, model.to_owned());
        if !enabled {
            (self.on_screen, self.offered, self.followed, self.work_due_at) = (None, None, Vec::new(), None);
            self.work.clear();
        }
        if !is_same {
            self.latest = self.read_latest();
        }
    }

    /// Notes that the client got an answer. Unless it reports what it shows, this is on the screen now.
    pub(super) fn answered(&mut self, shown: Shown) {
        if self.file.is_none() || !self.enabled {
            return;
        }
        if self.tells.shown && self.on_screen.as_ref().is_none_or(|before| before.id != shown.id) {
            self.offered = Some(shown);
        } else {
            self.shown(shown);
        }
    }

    /// Notes that the client has reported completion `id` as shown.
    pub(super) fn told_shown(&mut self, id: u64) {
        self.tells.shown = true;
        if let Some(shown) = self.offered.take_if(|offered| offered.id == id) {
            self.shown(shown);
        }
    }

    /// What became of the model's latest completions, or of none if nothing is recorded.
    pub(super) fn acceptance(&self) -> Acceptance {
        self.latest.acceptance()
    }

    fn read_latest(&self) -> Latest {
        let Some(file) = self.file.as_ref().filter(|_| self.enabled) else { return Latest::default() };
        Latest::read(file, &self.model).unwrap_or_else(|error| {
            tracing::debug!("cannot read {}: {error}", file.display());
            Latest::default()
        })
    }

    /// Notes that a completion is on the screen, perhaps the same as before with less of it left.
    fn shown(&mut self, shown: Shown) {
        let is_new = self.on_screen.as_ref().is_none_or(|before| before.id != shown.id);
        if is_new {
            self.resolve(What::Ignored);
            let latency_ms = u64::try_from(shown.latency.as_millis()).unwrap_or(u64::MAX);
            self.record(&shown.language, What::Shown { latency_ms });
        }
        self.on_screen = Some(shown);
    }

    /// Notes that item `index` of completion `id` was accepted. `text` gives the text of a document by its number,
    /// which already contains it.
    pub(super) fn accepted<'a>(&mut self, id: u64, index: usize, text: impl Fn(u64) -> Option<&'a Rope>) {
        if let Some(shown) = self.offered.take_if(|offered| offered.id == id) {
            self.shown(shown);
        }
        let Some(shown) = self.on_screen.take_if(|shown| shown.id == id) else { return };
        let Some(item) = shown.items.get(index) else { return };
        let characters = item.insert_text.chars().count();
        self.record(&shown.language, What::Accepted { characters, part: false });
        let range = item.range.start..item.range.start + item.insert_text.len();
        let is_there = text(shown.document)
            .and_then(|text| text.get_byte_slice(range.clone()))
            .is_some_and(|slice| slice == item.insert_text.as_str());
        if is_there && self.followed.len() < MAX_FOLLOWED {
            self.followed.push(Accepted {
                document: shown.document,
                language: shown.language,
                bytes: range.len(),
                pieces: vec![range],
                characters,
                at: Instant::now(),
                looked: 0,
            });
        }
        self.is_partly_accepted = false;
    }

    /// Notes that the text of `document` looks as if a word or a line of the completion on the screen was accepted.
    pub(super) fn saw_part(&mut self, document: u64, characters: usize) {
        let Some(shown) = self.on_screen.as_ref().filter(|shown| shown.document == document) else { return };
        if !self.tells.parts {
            self.seen_part = Some(shown.id);
            self.part_accepted(characters);
        }
    }

    /// Notes that the client has reported that `length` UTF-16 units of `text`, the text of completion `id`, have been
    /// accepted so far.
    pub(super) fn told_part(&mut self, id: u64, text: &str, length: usize) {
        let was_told = std::mem::replace(&mut self.tells.parts, true);
        let before = match self.told_part.replace((id, text.to_owned(), length)) {
            Some((known, same, before)) if known == id && same == text => before,
            _ => 0,
        };
        // The client's first report of this may come after it was observed.
        let is_counted = !was_told && self.seen_part == Some(id);
        if !is_counted && self.on_screen.as_ref().is_some_and(|shown| shown.id == id) {
            let characters = characters_of(text, length).saturating_sub(characters_of(text, before));
            self.part_accepted(characters);
        }
    }

    /// Records that a word or a line of the completion on the screen was accepted.
    fn part_accepted(&mut self, characters: usize) {
        let Some(shown) = &self.on_screen else { return };
        let language = shown.language.clone();
        self.is_partly_accepted = true;
        self.record(&language, What::Accepted { characters, part: true });
    }

    /// Notes that the person has dismissed what was shown in `document`.
    pub(super) fn dismissed(&mut self, document: u64) {
        if self.on_screen.as_ref().is_some_and(|shown| shown.document == document) {
            self.resolve(What::Dismissed);
        }
    }

    /// Notes that `inserted` bytes replace `range` in the document with this number.
    pub(super) fn edited(&mut self, document: u64, range: &Range<usize>, inserted: usize) {
        for accepted in self.followed.iter_mut().filter(|accepted| accepted.document == document) {
            accepted.pieces = accepted.pieces.drain(..).flat_map(|piece| left_of(&piece, range, inserted)).collect();
        }
    }

    /// Notes that the person has typed in `language` at `now`.
    pub(super) fn typed(&mut self, language: &str, now: Instant) {
        let gap = self.typed_at.replace(now).map(|before| now.duration_since(before));
        if let Some(gap) = gap.filter(|gap| *gap <= LONGEST_GAP) {
            self.count(language, Work { typing: gap, ..Work::default() });
        }
    }

    /// Adds processor time that a model has used for completions in `language`.
    pub(super) fn worked(&mut self, language: &str, processor: Duration) {
        self.count(language, Work { processor, ..Work::default() });
    }

    fn count(&mut self, language: &str, more: Work) {
        if self.file.is_none() || !self.enabled {
            return;
        }
        let work = self.work.entry(language.to_owned()).or_default();
        work.processor += more.processor;
        work.typing += more.typing;
        self.work_due_at = self.work_due_at.or(Some(Instant::now() + COUNTED_AFTER));
    }

    /// Writes the cost of completions since the last time.
    pub(super) fn write_work(&mut self) {
        self.work_due_at = None;
        let whole_ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        for (language, Work { processor, typing }) in std::mem::take(&mut self.work) {
            self.record(&language, What::Worked { processor_ms: whole_ms(processor), typing_ms: whole_ms(typing) });
        }
    }

    /// Stops following texts in the document with this number, which was closed.
    pub(super) fn closed(&mut self, document: u64) {
        if self.on_screen.as_ref().is_some_and(|shown| shown.document == document) {
            self.resolve(What::Ignored);
        }
        self.followed.retain(|accepted| accepted.document != document);
    }

    /// When [`Fates::handle_due`] has something to do next.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.followed.iter().map(Accepted::due_at).chain(self.work_due_at).min()
    }

    /// Checks what is left of texts accepted some time ago.
    pub(super) fn handle_due(&mut self, now: Instant) {
        if self.work_due_at.is_some_and(|at| at <= now) {
            self.write_work();
        }
        let mut records = Vec::new();
        for accepted in self.followed.iter_mut().filter(|accepted| accepted.due_at() <= now) {
            let left: usize = accepted.pieces.iter().map(Range::len).sum();
            let (characters, after_seconds) = (accepted.characters, LOOKED_AT_AFTER[accepted.looked]);
            let kept = characters * left / accepted.bytes.max(1);
            records.push((accepted.language.clone(), What::Kept { after_seconds, kept, characters }));
            accepted.looked += 1;
        }
        self.followed.retain(|accepted| accepted.looked < LOOKED_AT_AFTER.len());
        records.iter().for_each(|(language, what)| self.record(language, *what));
    }

    /// Ends the completion on the screen. If none of it was accepted, it is recorded as `what`.
    fn resolve(&mut self, what: What) {
        let Some(shown) = self.on_screen.take() else { return };
        if !std::mem::take(&mut self.is_partly_accepted) {
            self.record(&shown.language, what);
        }
    }

    fn record(&mut self, language: &str, what: What) {
        let Some(file) = self.file.as_ref().filter(|_| self.enabled) else { return };
        if let Err(error) = statistics::append(file, language, &self.model, what) {
            tracing::debug!("cannot write {}: {error}", file.display());
        }
        self.latest.note(what);
    }
}

impl Accepted {
    fn due_at(&self) -> Instant {
        self.at + Duration::from_secs(LOOKED_AT_AFTER[self.looked])
    }
}

/// The number of characters in the first `length` UTF-16 units of `text`.
fn characters_of(text: &str, length: usize) -> usize {
    let ends = text.chars().scan(0, |end, character| {
        *end += character.len_utf16();
        Some(*end)
    });
    ends.take_while(|end| *end <= length).count()
}

/// What is left of `piece` after `inserted` bytes replace `range`, at its new offsets.
fn left_of(piece: &Range<usize>, range: &Range<usize>, inserted: usize) -> impl Iterator<Item = Range<usize>> + use<> {
    let before = piece.start..piece.end.min(range.start);
    let moved = |at: usize| at - range.len() + inserted;
    let rest = piece.start.max(range.end)..piece.end;
    let after = if rest.is_empty() { 0..0 } else { moved(rest.start)..moved(rest.end) };
    [before, after].into_iter().filter(|left| !left.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_a_text_moves_with_what_is_around_it() {
        let left = |range: Range<usize>, inserted| {
            let pieces = left_of(&(10..20), &range, inserted);
            pieces.map(|piece| (piece.start, piece.end)).collect::<Vec<_>>()
        };
        assert_eq!(left(0..5, 0), [(5, 15)]);
        assert_eq!(left(0..0, 3), [(13, 23)]);
        assert_eq!(left(30..35, 1), [(10, 20)]);
        assert_eq!(left(12..14, 1), [(10, 12), (13, 19)]);
        assert_eq!(left(15..15, 4), [(10, 15), (19, 24)]);
        assert_eq!(left(5..12, 0), [(5, 13)]);
        assert_eq!(left(8..25, 2), [] as [(usize, usize); 0]);
    }

    fn shown(id: u64) -> Shown {
        let items = vec![InlineItem { insert_text: "total".to_owned(), range: 4..4 }];
        Shown { id, document: 1, language: "rust".to_owned(), latency: Duration::from_millis(5), items }
    }

    fn told(act: impl FnOnce(&mut Fates)) -> Vec<What> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("statistics.jsonl");
        let mut fates = Fates::new(Some(file.clone()));
        act(&mut fates);
        statistics::read(&file).unwrap().into_iter().map(|record| record.what).collect()
    }

    const SHOWN: What = What::Shown { latency_ms: 5 };

    #[test]
    fn a_completion_is_shown_once_and_comes_to_one_end() {
        let seen = told(|fates| {
            fates.answered(shown(1));
            // Typing what the completion says.
            fates.answered(shown(1));
            fates.answered(shown(2));
            fates.dismissed(1);
            fates.answered(shown(3));
            fates.saw_part(1, 2);
            fates.closed(1);
        });
        let part = What::Accepted { characters: 2, part: true };
        assert_eq!(seen, [SHOWN, What::Ignored, SHOWN, What::Dismissed, SHOWN, part]);
    }

    #[test]
    fn what_a_client_shows_is_what_it_says_it_shows() {
        let seen = told(|fates| {
            fates.answered(shown(1));
            fates.told_shown(1);
            // Never shown.
            fates.answered(shown(2));
            fates.answered(shown(3));
            fates.told_shown(2);
            fates.told_shown(3);
            fates.answered(shown(4));
            fates.accepted(4, 0, |_| None);
        });
        let accepted = What::Accepted { characters: 5, part: false };
        assert_eq!(seen, [SHOWN, What::Ignored, SHOWN, What::Ignored, SHOWN, accepted]);
    }

    #[test]
    fn parts_that_a_client_tells_are_counted_once() {
        let seen = told(|fates| {
            fates.answered(shown(1));
            // Before it is known that the client reports parts.
            fates.saw_part(1, 2);
            fates.told_part(1, "t\u{1F600}tal", 3);
            fates.saw_part(1, 1);
            fates.told_part(1, "t\u{1F600}tal", 4);
            fates.told_part(1, "tal", 2);
            fates.told_part(7, "of another", 2);
        });
        let part = |characters| What::Accepted { characters, part: true };
        assert_eq!(seen, [SHOWN, part(2), part(1), part(2)]);
    }

    #[test]
    fn what_was_accepted_is_looked_for_later() {
        let text = Rope::from_str("x = total;\n");
        let seen = told(|fates| {
            fates.answered(shown(1));
            fates.accepted(1, 0, |_| Some(&text));
            fates.edited(1, &(7..9), 0);
            let due = fates.next_deadline().unwrap();
            fates.handle_due(due);
            fates.handle_due(fates.next_deadline().unwrap());
            assert_eq!(fates.next_deadline(), None);
        });
        let kept = |after_seconds| What::Kept { after_seconds, kept: 3, characters: 5 };
        assert_eq!(seen, [SHOWN, What::Accepted { characters: 5, part: false }, kept(30), kept(300)]);
    }

    #[test]
    fn what_completions_cost_is_counted_once_a_minute() {
        let seen = told(|fates| {
            let began = Instant::now();
            for seconds in [0, 1, 2, 60, 61] {
                fates.typed("rust", began + Duration::from_secs(seconds));
            }
            fates.worked("rust", Duration::from_millis(700));
            fates.worked("rust", Duration::from_millis(50));
            let due = fates.next_deadline().unwrap();
            fates.handle_due(due);
            assert_eq!(fates.next_deadline(), None);
            // Nothing is lost at the end.
            fates.worked("rust", Duration::from_millis(5));
            fates.write_work();
        });
        let worked = |processor_ms, typing_ms| What::Worked { processor_ms, typing_ms };
        assert_eq!(seen, [worked(750, 3000), worked(5, 0)]);
    }

    #[test]
    fn what_became_of_earlier_completions_is_known_from_the_start_and_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("statistics.jsonl");
        for what in [SHOWN, What::Dismissed] {
            statistics::append(&file, "rust", "m", what).unwrap();
        }
        let mut fates = Fates::new(Some(file));
        fates.configure(true, "m");
        fates.answered(shown(1));
        fates.closed(1);
        assert_eq!(fates.acceptance(), Acceptance { accepted: 0, dismissed: 1, ignored: 1 });
        fates.configure(true, "another");
        assert_eq!(fates.acceptance(), Acceptance::default());
        fates.configure(true, "m");
        assert_eq!(fates.acceptance(), Acceptance { accepted: 0, dismissed: 1, ignored: 1 });
        fates.configure(false, "m");
        assert_eq!(fates.acceptance(), Acceptance::default());
    }

    #[test]
    fn where_it_is_off_nothing_is_kept() {
        let seen = told(|fates| {
            fates.configure(false, "m");
            fates.worked("rust", Duration::from_millis(700));
            fates.write_work();
            fates.answered(shown(1));
            fates.dismissed(1);
        });
        assert_eq!(seen, []);
    }
}

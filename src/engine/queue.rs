//! The engine's jobs in hand: who is next, and who is no longer wanted.

use super::{Priority, Submitted};

/// A job and how far it got; `Work` is what the kind of engine keeps of a job under way.
pub(super) struct Entry<Work> {
    pub(super) submitted: Box<Submitted>,
    /// `None` until the job's first step.
    pub(super) work: Option<Work>,
}

/// The jobs, oldest first.
pub(super) struct Queue<Work> {
    entries: Vec<Entry<Work>>,
}

impl<Work> Default for Queue<Work> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

impl<Work> Queue<Work> {
    /// Takes a job in; returns the jobs it supersedes.
    pub(super) fn admit(&mut self, submitted: Box<Submitted>) -> Vec<Entry<Work>> {
        let (document, priority) = (submitted.job.document, submitted.job.priority);
        let superseded = |entry: &mut Entry<Work>| {
            let older = &entry.submitted.job;
            let same_kind = older.priority == Priority::WarmUp || older.priority == priority;
            priority != Priority::Background
                && older.priority != Priority::Background
                && older.document == document
                && same_kind
        };
        let superseded = self.entries.extract_if(.., superseded).collect();
        self.entries.push(Entry { submitted, work: None });
        superseded
    }

    /// Removes the jobs whose owner has given up.
    pub(super) fn take_cancelled(&mut self) -> Vec<Entry<Work>> {
        self.entries.extract_if(.., |entry| entry.submitted.job.cancel.is_cancelled()).collect()
    }

    /// Removes the job to work on: the highest priority, the oldest among equals. Put it back with
    /// [`Queue::put_back`] if it is not done after its step.
    pub(super) fn take_next(&mut self) -> Option<Entry<Work>> {
        let priorities = self.entries.iter().map(|entry| entry.submitted.job.priority);
        // `max_by_key` keeps the last of equals; reversed order makes that the oldest.
        let (index, _) = priorities.enumerate().rev().max_by_key(|&(_, priority)| priority)?;
        Some(self.entries.remove(index))
    }

    pub(super) fn put_back(&mut self, entry: Entry<Work>) {
        let at = self.entries.partition_point(|other| other.submitted.at <= entry.submitted.at);
        self.entries.insert(at, entry);
    }

    /// The job that came in last.
    pub(super) fn newest_mut(&mut self) -> Option<&mut Entry<Work>> {
        self.entries.last_mut()
    }

    /// Removes the first job that `is_it`.
    pub(super) fn take_where(&mut self, is_it: impl Fn(&Entry<Work>) -> bool) -> Option<Entry<Work>> {
        let index = self.entries.iter().position(is_it)?;
        Some(self.entries.remove(index))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn has_interactive(&self) -> bool {
        self.entries.iter().any(|entry| entry.submitted.job.priority == Priority::Interactive)
    }

    pub(super) fn take_all(&mut self) -> Vec<Entry<Work>> {
        std::mem::take(&mut self.entries)
    }

    /// Forgets how far each job got, since the caches they stood on are gone.
    pub(super) fn restart_all(&mut self) {
        self.entries.iter_mut().for_each(|entry| entry.work = None);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::{CancelFlag, GenerationParams, Job};
    use super::*;
    use crate::model::Prompt;

    fn submitted(priority: Priority, document: u64) -> Box<Submitted> {
        let job = Job {
            priority,
            document,
            prompt: Prompt::default(),
            params: GenerationParams::default(),
            cancel: CancelFlag::default(),
            on_text: None,
            on_done: Box::new(|_| {}),
        };
        Box::new(Submitted { job, at: Instant::now() })
    }

    /// Admits jobs in order and says which documents' jobs are superseded, and in which order the rest is worked on.
    fn check(jobs: &[(Priority, u64)], superseded: &[(Priority, u64)], order: &[(Priority, u64)]) {
        let mut queue = Queue::<()>::default();
        let name = |entry: &Entry<()>| (entry.submitted.job.priority, entry.submitted.job.document);
        let dropped: Vec<_> =
            jobs.iter().flat_map(|&(priority, document)| queue.admit(submitted(priority, document))).collect();
        assert_eq!(dropped.iter().map(name).collect::<Vec<_>>(), superseded);
        let mut worked = Vec::new();
        while let Some(entry) = queue.take_next() {
            worked.push(name(&entry));
        }
        assert_eq!(worked, order);
    }

    use Priority::{Background, Interactive, WarmUp};

    #[test]
    fn interactive_work_is_first_and_old_work_before_new() {
        let jobs = [(Background, 9), (WarmUp, 1), (Interactive, 2), (Interactive, 3)];
        check(&jobs, &[], &[(Interactive, 2), (Interactive, 3), (WarmUp, 1), (Background, 9)]);
    }

    #[test]
    fn a_newer_completion_supersedes_the_older_one_of_its_document_only() {
        let jobs = [(Interactive, 1), (Interactive, 2), (WarmUp, 2), (Interactive, 1)];
        check(&jobs, &[(Interactive, 1)], &[(Interactive, 2), (Interactive, 1), (WarmUp, 2)]);
    }

    #[test]
    fn a_warm_up_supersedes_a_warm_up_but_no_completion() {
        check(&[(Interactive, 1), (WarmUp, 1), (WarmUp, 1)], &[(WarmUp, 1)], &[(Interactive, 1), (WarmUp, 1)]);
    }

    #[test]
    fn escalated_work_is_never_superseded() {
        check(
            &[(Background, 1), (Background, 1), (Interactive, 1)],
            &[],
            &[(Interactive, 1), (Background, 1), (Background, 1)],
        );
    }
}

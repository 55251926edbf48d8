//! The jobs that an engine has: which one is next, and which ones are no longer wanted.
//!
//! If several clients share an engine, the completions and warm-ups of the client that last asked for a completion go
//! first, since somebody types there. Those of the others wait and are not lost. Questions take long, so clients take
//! turns with them, step by step.

use std::collections::HashMap;

use super::{Priority, Submitted};

/// A job and how far it got; `Work` is what a kind of engine keeps about a job that is under way.
pub(super) struct QueuedJob<Work> {
    pub(super) submitted: Box<Submitted>,
    /// `None` until the job's first step.
    pub(super) work: Option<Work>,
}

/// The number of clients whose last turns are remembered.
const MOST_CLIENTS: usize = 100;

/// The jobs, oldest first.
pub(super) struct Queue<Work> {
    entries: Vec<QueuedJob<Work>>,
    /// When each client had its last turn, and when it last asked for a completion. Time is counted in turns and jobs.
    turns: HashMap<u64, u64>,
    asked: HashMap<u64, u64>,
    now: u64,
}

impl<Work> Default for Queue<Work> {
    fn default() -> Self {
        Self { entries: Vec::new(), turns: HashMap::new(), asked: HashMap::new(), now: 0 }
    }
}

impl<Work> Queue<Work> {
    /// Adds a job and returns the jobs that it supersedes.
    pub(super) fn admit(&mut self, submitted: Box<Submitted>) -> Vec<QueuedJob<Work>> {
        let (client, document, priority) = (submitted.client, submitted.job.document, submitted.job.priority);
        let superseded = |entry: &mut QueuedJob<Work>| {
            let older = &entry.submitted.job;
            let same_kind = older.priority == Priority::WarmUp || older.priority == priority;
            priority != Priority::Background
                && older.priority != Priority::Background
                && (entry.submitted.client, older.document) == (client, document)
                && same_kind
        };
        let superseded = self.entries.extract_if(.., superseded).collect();
        self.forget_clients();
        self.now += 1;
        if priority == Priority::Interactive {
            self.asked.insert(client, self.now);
        }
        self.entries.push(QueuedJob { submitted, work: None });
        superseded
    }

    /// Removes the jobs whose owner has given up.
    pub(super) fn take_cancelled(&mut self) -> Vec<QueuedJob<Work>> {
        self.entries.extract_if(.., |entry| entry.submitted.job.cancel.is_cancelled()).collect()
    }

    /// Removes the job to work on: one of the highest priority, of the client whose turn it is, and of its jobs the
    /// oldest. Put it back with [`Queue::put_back`] if it is not done after its step.
    pub(super) fn take_next(&mut self) -> Option<QueuedJob<Work>> {
        let urgency = |entry: &QueuedJob<Work>| (entry.submitted.job.priority, self.claim(entry));
        // `max_by_key` returns the last of equal jobs; in reversed order that is the oldest.
        let (index, _) = self.entries.iter().enumerate().rev().max_by_key(|(_, entry)| urgency(entry))?;
        let entry = self.entries.remove(index);
        self.now += 1;
        self.turns.insert(entry.submitted.client, self.now);
        Some(entry)
    }

    /// The precedence of the client of `entry` among jobs of the same priority. The greatest goes first.
    fn claim(&self, entry: &QueuedJob<Work>) -> u64 {
        let of = |times: &HashMap<u64, u64>| times.get(&entry.submitted.client).copied().unwrap_or_default();
        match entry.submitted.job.priority {
            Priority::Interactive | Priority::WarmUp => of(&self.asked),
            Priority::Background => u64::MAX - of(&self.turns),
        }
    }

    /// Forgets the clients that have no job, if there are many.
    fn forget_clients(&mut self) {
        if self.turns.len() > MOST_CLIENTS {
            let has_job = |client: &u64| self.entries.iter().any(|entry| entry.submitted.client == *client);
            self.turns.retain(|client, _| has_job(client));
            self.asked.retain(|client, _| has_job(client));
        }
    }

    /// Removes the first job for which `wanted` holds.
    pub(super) fn take(&mut self, wanted: impl Fn(&QueuedJob<Work>) -> bool) -> Option<QueuedJob<Work>> {
        let index = self.entries.iter().position(wanted)?;
        Some(self.entries.remove(index))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut QueuedJob<Work>> {
        self.entries.iter_mut()
    }

    pub(super) fn put_back(&mut self, entry: QueuedJob<Work>) {
        let at = self.entries.partition_point(|other| other.submitted.at <= entry.submitted.at);
        self.entries.insert(at, entry);
    }

    /// The job that came in last.
    pub(super) fn newest_mut(&mut self) -> Option<&mut QueuedJob<Work>> {
        self.entries.last_mut()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn has_interactive(&self) -> bool {
        self.entries.iter().any(|entry| entry.submitted.job.priority == Priority::Interactive)
    }

    pub(super) fn take_all(&mut self) -> Vec<QueuedJob<Work>> {
        std::mem::take(&mut self.entries)
    }

    /// Forgets how far each job got, because the caches that they used are gone.
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
            short_prompt: None,
            params: GenerationParams::default(),
            cancel: CancelFlag::default(),
            on_text: None,
            on_done: Box::new(|_| {}),
        };
        Box::new(Submitted { job, at: Instant::now(), client: 0 })
    }

    /// Admits jobs in order, and checks which ones are superseded and in which order the rest are worked on.
    fn check(jobs: &[(Priority, u64)], superseded: &[(Priority, u64)], order: &[(Priority, u64)]) {
        let mut queue = Queue::<()>::default();
        let name = |entry: &QueuedJob<()>| (entry.submitted.job.priority, entry.submitted.job.document);
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

    /// The clients and documents of the next `steps`, if each job takes three steps. `jobs` are clients with the number
    /// of their document.
    fn steps(jobs: &[(u64, Priority, u64)], steps: usize) -> Vec<(u64, u64)> {
        let mut queue = Queue::<usize>::default();
        for &(client, priority, document) in jobs {
            let submitted = Box::new(Submitted { client, ..*submitted(priority, document) });
            assert!(queue.admit(submitted).is_empty(), "nothing is superseded");
        }
        let mut taken = Vec::new();
        while let Some(mut entry) = queue.take_next()
            && taken.len() < steps
        {
            taken.push((entry.submitted.client, entry.submitted.job.document));
            let done = entry.work.get_or_insert(0);
            *done += 1;
            if *done < 3 {
                queue.put_back(entry);
            }
        }
        taken
    }

    #[test]
    fn documents_of_different_clients_are_different_documents_and_the_one_typed_in_last_is_first() {
        let jobs = [(1, Interactive, 5), (1, Interactive, 6), (2, Interactive, 5)];
        let whose: Vec<_> = steps(&jobs, 9).into_iter().step_by(3).collect();
        assert_eq!(whose, [(2, 5), (1, 5), (1, 6)]);
    }

    #[test]
    fn questions_of_different_clients_take_turns() {
        let jobs = [(1, Background, 1), (1, Background, 2), (2, Background, 1)];
        assert_eq!(steps(&jobs, 7), [(1, 1), (2, 1), (1, 1), (2, 1), (1, 1), (2, 1), (1, 2)]);
    }

    #[test]
    fn the_window_where_somebody_types_is_warmed_up_first() {
        let jobs = [(2, WarmUp, 2), (1, Interactive, 1), (1, WarmUp, 2)];
        let whose: Vec<_> = steps(&jobs, 9).into_iter().step_by(3).collect();
        assert_eq!(whose, [(1, 1), (1, 2), (2, 2)]);
    }

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

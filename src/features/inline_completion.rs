//! One inline completion: whether to ask at all, what to ask, and what of the answer to show.

use std::ops::Range;

use crate::context::Snapshot;
use crate::engine::GenerationParams;
use crate::model::Prompt;

/// Why the editor asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// The person asked for it.
    Invoked,
    /// The person typed.
    Automatic,
}

/// Where and why, in byte offsets of the snapshot's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InlineRequest {
    pub offset: usize,
    pub trigger: Trigger,
    /// The item selected in the editor's suggest widget, which a completion must extend: the range it replaces, its text.
    pub selected: Option<(Range<usize>, String)>,
}

/// Why nothing is asked of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// A word goes on right of the cursor.
    MidWord,
    /// Code follows on the line that is not closers.
    MidLine,
    Disabled,
    Excluded,
    Empty,
}

/// What to ask, and everything `finish` needs to know about the place.
#[derive(Debug, Clone)]
pub struct Plan {
    pub prompt: Prompt,
    pub params: GenerationParams,
    pub offset: usize,
}

/// What to show. `range` lies on one line and contains the cursor; absent closers after the cursor are replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InlineItem {
    pub insert_text: String,
    pub range: Range<usize>,
}

/// Shapes `raw`, the model's continuation at the plan's offset; `None` when nothing useful is left.
pub fn finish(plan: &Plan, snapshot: &Snapshot, raw: &str) -> Option<InlineItem> {
    let _ = (plan, snapshot, raw);
    todo!()
}

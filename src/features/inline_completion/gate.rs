//! Whether to ask the model at all. What is not asked costs nothing and disturbs nobody.

use crate::config::Enabled;

use super::place::Place;
use super::{CompletionOptions, Skip, Trigger};

/// Characters right of the cursor, beyond closers, with which a completion is still offered unasked.
const MAX_LINE_SUFFIX: usize = 8;

/// Why a request is not worth asking the model, if it is not. Who asks for a completion gets one, unless they turned it off.
pub(super) fn gate(place: &Place, trigger: Trigger, options: &CompletionOptions) -> Result<(), Skip> {
    if options.excluded {
        return Err(Skip::Excluded);
    }
    match (options.enabled, trigger) {
        (Enabled::Off, _) | (Enabled::Manual, Trigger::Automatic) => return Err(Skip::Disabled),
        (Enabled::On | Enabled::Manual, Trigger::Invoked) => return Ok(()),
        (Enabled::On, Trigger::Automatic) => {}
    }
    let rest = place.line_suffix.trim();
    if place.line_suffix.starts_with(|next: char| next.is_alphanumeric() || next == '_') {
        return Err(Skip::MidWord);
    }
    if !is_closers(rest) && rest.chars().count() > MAX_LINE_SUFFIX {
        return Err(Skip::MidLine);
    }
    if place.is_blank_line() && place.above.is_empty() {
        return Err(Skip::Empty);
    }
    // After `;` at the end of a line there is only the next line, and that is asked for when the person gets there.
    let ends_statement = place.line_prefix.ends_with([';', '}']) && rest.is_empty() && place.open.due.is_empty();
    if ends_statement && !place.prose { Err(Skip::StatementEnd) } else { Ok(()) }
}

/// Whether `rest` has nothing a completion could not replace or stand in front of.
pub(super) fn is_closers(rest: &str) -> bool {
    !rest.contains(|character: char| character.is_alphanumeric() || character == '_')
}

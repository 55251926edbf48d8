//! Whether to ask the model at all. A request that is not made costs nothing and disturbs nobody.

use crate::config::Enabled;
use crate::syntax::{Following, Region};

use super::place::Place;
use super::{CompletionOptions, Skip, Trigger};

/// Why a request is not worth asking the model, if it is not. A person who asks for a completion gets one, unless
/// completions are turned off.
pub(super) fn check(place: &Place, trigger: Trigger, options: &CompletionOptions) -> Result<(), Skip> {
    if options.excluded {
        return Err(Skip::Excluded);
    }
    match (options.enabled, trigger) {
        (Enabled::Off, _) | (Enabled::Manual, Trigger::Automatic) => return Err(Skip::Disabled),
        (Enabled::On | Enabled::Manual, Trigger::Invoked) => return Ok(()),
        (Enabled::On, Trigger::Automatic) => {}
    }
    match place.region {
        Some(Region::Comment) if !options.in_comments => return Err(Skip::InComment),
        Some(Region::String) if !options.in_strings => return Err(Skip::InString),
        _ => {}
    }
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    if place.line_suffix.starts_with(is_word) {
        return Err(if place.line_prefix.ends_with(is_word) { Skip::MidWord } else { Skip::MidLine });
    }
    if place.following == Following::Code {
        return Err(Skip::MidLine);
    }
    if place.is_blank_line() && place.above.is_empty() {
        return Err(Skip::Empty);
    }
    if ends_statement(place) { Err(Skip::StatementEnd) } else { Ok(()) }
}

/// After `;` at the end of a line there is only the next line, and that is asked for when the person gets there.
fn ends_statement(place: &Place) -> bool {
    let before = match place.following {
        Following::Nothing => place.line_prefix.as_str(),
        Following::Comment => place.line_prefix.trim_end(),
        _ => return false,
    };
    before.ends_with([';', '}']) && place.open.due.is_empty() && !place.prose
}

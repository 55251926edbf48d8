//! Why a document has no completions, as the sentence that editors and the command line show.

use crate::config::{CompletionSettings, Enabled};
use crate::syntax::names_of;
use crate::workspace::Refusal;

/// Why nothing is completed in a document in the language `language_id`, which `refusal` may keep out of prompts; the
/// sentence names the rule. `None` if completions are possible, even if only on request.
pub fn why_not_completed(
    refusal: Option<&Refusal>,
    settings: &CompletionSettings,
    language_id: &str,
) -> Option<String> {
    let reason = match refusal {
        Some(refusal) => refusal.to_string(),
        None if !settings.enabled => "completions are turned off by `completion.enabled`".to_owned(),
        None if settings.language(names_of(language_id)) == Enabled::Off => {
            format!("completions are turned off for {language_id} by `completion.languages`")
        }
        None => return None,
    };
    Some(format!("not completed: {reason}"))
}

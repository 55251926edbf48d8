//! Protocol types and nothing else: converts what an editor sends into this project's types, and back.
//!
//! No state, no channels, no model: `server` decides when to send something, this module only how it looks.

pub mod actions;
pub mod ask;
pub mod from_proto;
pub mod growth;
pub mod reports;
pub mod status;
pub mod switch;
pub mod to_proto;

/// The command that an accepted completion runs, so that acceptance can be counted.
pub const ACCEPTED_COMMAND: &str = "phi-ls.accepted";

/// The command of a code action: asks the assistant; see [`ask::AskArguments`].
pub const ASK_COMMAND: &str = "phi-ls.ask";

/// The command that continues a conversation; see [`ask::FollowUpArguments`].
pub const FOLLOW_UP_COMMAND: &str = "phi-ls.followUp";

/// The command that writes a commit message for what is staged; see [`ask::CommitArguments`].
pub const COMMIT_COMMAND: &str = "phi-ls.commitMessage";

/// The scheme of answers that are documents: `phi-ls-answer:/NUMBER/TITLE.md`.
pub const ANSWER_SCHEME: &str = "phi-ls-answer";

#[cfg(test)]
mod tests {
    use super::{from_proto, to_proto};

    #[test]
    fn answers_are_found_by_their_uris() {
        let uri = to_proto::answer_uri(7, "Explain a/b?\nIn short");
        assert_eq!(uri.0, "phi-ls-answer:/7/Explain%20a%2Fb%3F.md");
        assert_eq!(from_proto::answer_number(&uri), Some(7));
        assert_eq!(from_proto::answer_number(&"phi-ls-answer:///8/x.md".into()), Some(8));
        assert_eq!(from_proto::answer_number(&"phi-ls-answer:/x.md".into()), None);
        assert_eq!(from_proto::answer_number(&"file:///7/x.md".into()), None);
    }

    #[test]
    fn file_uris_survive_the_way_there_and_back() {
        for path in ["/home/me/a b.rs", "/x/ä€😀#?%.py", "/"] {
            let uri = to_proto::file_uri(std::path::Path::new(path));
            assert_eq!(from_proto::file_path(&uri).expect("a file"), std::path::Path::new(path), "{uri:?}");
        }
    }
}

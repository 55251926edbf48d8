//! Reads one event of a streamed answer, in any of the protocols.

use serde_json::Value;

/// What an event adds to an answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Piece {
    pub(super) text: String,
    /// Natural logarithms of the probabilities of the tokens in `text`; empty if the server does not give them.
    pub(super) logprobs: Vec<f32>,
    /// Why the server ends the text: because of the limit, or because the model ended it.
    pub(super) finish: Option<Finish>,
    pub(super) usage: Option<Usage>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finish {
    Stop,
    Length,
}

/// The numbers of tokens so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Usage {
    pub(super) prompt: usize,
    pub(super) cached: usize,
    pub(super) generated: usize,
}

impl Piece {
    /// The contents of `event`; `None` if it does not belong to an answer.
    pub(super) fn read(event: &Value) -> Option<Self> {
        let choices = event.get("choices")?.as_array()?;
        let usage = usage(event).or_else(|| timings(event));
        let Some(choice) = choices.first() else { return Some(Self { usage, ..Self::default() }) };
        let text = choice.pointer("/delta/content").or_else(|| choice.get("text")).and_then(Value::as_str);
        let finish = match choice.get("finish_reason").and_then(Value::as_str) {
            None => None,
            Some("length") => Some(Finish::Length),
            Some(_) => Some(Finish::Stop),
        };
        Some(Self { text: text.unwrap_or_default().to_owned(), logprobs: logprobs(choice), finish, usage })
    }
}

/// Chats and llama-server send a list of tokens, the older protocol a list of numbers.
fn logprobs(choice: &Value) -> Vec<f32> {
    let number = |value: &Value| value.as_f64().map(|number| number as f32);
    let tokens = choice.pointer("/logprobs/content").and_then(Value::as_array);
    let numbers = choice.pointer("/logprobs/token_logprobs").and_then(Value::as_array);
    match (tokens, numbers) {
        (Some(tokens), _) => tokens.iter().filter_map(|token| token.get("logprob").and_then(number)).collect(),
        (None, Some(numbers)) => numbers.iter().filter_map(number).collect(),
        (None, None) => Vec::new(),
    }
}

fn usage(event: &Value) -> Option<Usage> {
    let usage = event.get("usage").filter(|usage| usage.is_object())?;
    let count = |pointer: &str| usage.pointer(pointer).and_then(Value::as_u64).map(|count| count as usize);
    Some(Usage {
        prompt: count("/prompt_tokens")?,
        cached: count("/prompt_tokens_details/cached_tokens").unwrap_or(0),
        generated: count("/completion_tokens").unwrap_or(0),
    })
}

/// The counts that llama-server sends with every event if it is asked to.
fn timings(event: &Value) -> Option<Usage> {
    let timings = event.get("timings")?;
    let count = |name: &str| timings.get(name).and_then(Value::as_u64).map(|count| count as usize);
    let cached = count("cache_n").unwrap_or(0);
    Some(Usage { prompt: cached + count("prompt_n")?, cached, generated: count("predicted_n").unwrap_or(0) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_ways_of_saying_it_are_read() {
        let chat = json!({"choices": [{"delta": {"content": "a"}, "logprobs": {"content": [{"logprob": -0.5}]}, "finish_reason": null}]});
        let piece = Piece::read(&chat).unwrap();
        assert_eq!((piece.text.as_str(), piece.logprobs, piece.finish), ("a", vec![-0.5], None));
        let text = json!({"choices": [{"text": "b", "logprobs": {"token_logprobs": [-1.0, null]}, "finish_reason": "length"}]});
        let piece = Piece::read(&text).unwrap();
        assert_eq!((piece.text.as_str(), piece.logprobs, piece.finish), ("b", vec![-1.0], Some(Finish::Length)));
        let last = json!({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}});
        assert_eq!(Piece::read(&last).unwrap().usage, Some(Usage { prompt: 9, cached: 4, generated: 2 }));
        let timed = json!({"choices": [{"delta": {}}], "usage": null, "timings": {"cache_n": 5, "prompt_n": 2, "predicted_n": 1}});
        assert_eq!(Piece::read(&timed).unwrap().usage, Some(Usage { prompt: 7, cached: 5, generated: 1 }));
        assert_eq!(Piece::read(&json!({"hello": 1})), None);
    }
}

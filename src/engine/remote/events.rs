//! The events of a streamed answer, extracted from its bytes, whatever the pieces in which these arrive.

use http_body_util::BodyExt as _;
use hyper::Response;
use hyper::body::Incoming;
use serde_json::Value;

use super::client::Client;
use super::fault::Fault;

/// The longest line of an answer.
const MAX_LINE_BYTES: usize = 1 << 20;

/// One event that the server has sent.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Event {
    Data(Value),
    /// The server says that nothing follows.
    Done,
}

/// The events of an answer as it arrives.
pub(super) struct Events<'a> {
    client: &'a Client,
    body: Incoming,
    lines: Lines,
}

impl<'a> Events<'a> {
    pub(super) fn new(client: &'a Client, response: Response<Incoming>) -> Self {
        Self { client, body: response.into_body(), lines: Lines::default() }
    }

    /// The next event; `None` at the end of the answer. Comments, which servers send to keep a connection alive, are
    /// skipped.
    ///
    /// # Errors
    /// If the server breaks off, reports a failure, or sends something that is not an event.
    pub(super) async fn next(&mut self) -> Result<Option<Event>, Fault> {
        loop {
            while let Some(line) = self.lines.next() {
                if let Some(event) = self.event(&line)? {
                    return Ok(Some(event));
                }
            }
            if self.lines.rest().len() > MAX_LINE_BYTES {
                return Err(self.client.garbage("a line without an end"));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => self.lines.push(frame.data_ref().map_or(&[][..], |data| data)),
                Some(Err(error)) => return Err(self.client.broke_off(error)),
                None => {
                    let rest = self.lines.take_rest();
                    return if rest.is_empty() { Ok(None) } else { self.event(&rest) };
                }
            }
        }
    }

    fn event(&self, line: &str) -> Result<Option<Event>, Fault> {
        let data = match line.split_once(':') {
            _ if line.is_empty() => return Ok(None),
            Some(("data" | "error", data)) => data.trim(),
            Some(("" | "event" | "id" | "retry", _)) => return Ok(None),
            _ => return Err(self.client.garbage(line)),
        };
        if data == "[DONE]" {
            return Ok(Some(Event::Done));
        }
        let value: Value = serde_json::from_str(data).map_err(|_| self.client.garbage(data))?;
        match value.get("error").or_else(|| line.starts_with("error:").then_some(&value)) {
            Some(error) if !error.is_null() => {
                let message = error.get("message").unwrap_or(error);
                let message = message.as_str().map_or_else(|| message.to_string(), str::to_owned);
                Err(self.client.broke_off(self.client.clean(&message)))
            }
            _ => Ok(Some(Event::Data(value))),
        }
    }
}

/// Splits bytes into lines as they arrive.
#[derive(Default)]
struct Lines {
    bytes: Vec<u8>,
    /// Where the next line begins.
    start: usize,
}

impl Lines {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.extend_from_slice(bytes);
    }

    fn next(&mut self) -> Option<String> {
        let rest = self.rest();
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let line = String::from_utf8_lossy(&rest[..end]).trim_end_matches('\r').to_owned();
        self.start += end + 1;
        Some(line)
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    fn take_rest(&mut self) -> String {
        let rest = String::from_utf8_lossy(self.rest()).trim().to_owned();
        self.start = self.bytes.len();
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_complete_wherever_pieces_end() {
        let text = "data: é\r\n\n: ping\ndata: x";
        for size in 1..text.len() {
            let mut lines = Lines::default();
            let mut found = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                lines.push(piece);
                found.extend(std::iter::from_fn(|| lines.next()));
            }
            assert_eq!(found, ["data: é", "", ": ping"], "pieces of {size} bytes");
            assert_eq!(lines.take_rest(), "data: x");
        }
    }
}

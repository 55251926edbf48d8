//! The streams around the protocol library. Messages that would stop the library are refused before it sees them, and
//! it never has to wait for a client that reads slowly.
//!
//! The library stops reading for good at the first message that it cannot decode, and stops polling its handlers while
//! the output is full. A client that writes before it reads would then hang together with the server.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tower_lsp_server::jsonrpc::{Error, Id, Request, Response};

use super::Observer;

/// Longer messages are skipped. This is four times the largest file that anybody edits.
const MAX_MESSAGE_BYTES: usize = 256 << 20;

/// Longer lines are not headers.
const MAX_HEADER_LINE_BYTES: u64 = 4096;

/// A message that the library can decode. It distinguishes the two by the same rules.
#[derive(Deserialize)]
#[serde(untagged)]
#[expect(dead_code, reason = "only whether it can be read is of interest")]
enum Message {
    Response(Response),
    Request(Request),
}

/// Copies well-formed messages from `input` to `library` until either ends, and passes them to `observer`. Answers the
/// others on `output`.
pub(super) async fn filter_input(
    input: impl AsyncRead + Unpin,
    mut library: impl AsyncWrite + Unpin,
    output: UnboundedWriter,
    observer: Option<Arc<dyn Observer>>,
) {
    let mut input = BufReader::new(input);
    loop {
        let body = match read_message(&mut input).await {
            Ok(Some(body)) => body,
            Ok(None) => return,
            Err(error) => {
                tracing::error!("cannot read from the client: {error}");
                return;
            }
        };
        match body.map_err(|reason| (Id::Null, parse_error(reason))).and_then(|body| check(&body).map(|()| body)) {
            Ok(body) => {
                if let Some(observer) = &observer {
                    observer.message(&body);
                }
                let header = format!("Content-Length: {}\r\n\r\n", body.len());
                let sent = async {
                    library.write_all(header.as_bytes()).await?;
                    library.write_all(&body).await
                };
                // The library has ended, since it reads nothing after `exit`.
                if sent.await.is_err() {
                    return;
                }
            }
            Err((id, error)) => {
                tracing::warn!("refused a message: {}", error.message);
                output.send_response(&Response::from_error(id, error));
            }
        }
    }
}

fn parse_error(reason: String) -> Error {
    Error { message: reason.into(), ..Error::parse_error() }
}

/// Checks that the library can decode `body`. The error is the answer, with the id of the request.
fn check(body: &[u8]) -> Result<(), (Id, Error)> {
    let problem = match std::str::from_utf8(body) {
        Ok(text) => match serde_json::from_str::<Message>(text) {
            Ok(_) => return Ok(()),
            Err(error) => error,
        },
        Err(error) => return Err((Id::Null, parse_error(format!("expected UTF-8, found {error}")))),
    };
    match serde_json::from_slice::<Value>(body) {
        Ok(value) => {
            let id = value.get("id").cloned().and_then(|id| serde_json::from_value(id).ok()).unwrap_or(Id::Null);
            let message = "expected a JSON-RPC 2.0 request, notification or response".into();
            Err((id, Error { message, ..Error::invalid_request() }))
        }
        Err(_) => Err((Id::Null, parse_error(format!("expected a JSON message: {problem}")))),
    }
}

/// Reads the body of the next message, or why it cannot be read; `None` at the end of the input.
async fn read_message(input: &mut (impl AsyncBufReadExt + Unpin)) -> io::Result<Option<Result<Vec<u8>, String>>> {
    let Some(len) = read_headers(input).await? else { return Ok(None) };
    let mut limited = input.take(len as u64);
    if len > MAX_MESSAGE_BYTES {
        tokio::io::copy(&mut limited, &mut tokio::io::sink()).await?;
        return Ok(Some(Err(format!("expected a message of at most {MAX_MESSAGE_BYTES} bytes, found {len}"))));
    }
    // Memory is allocated as bytes arrive, because the length is only what the client claims.
    let mut body = Vec::with_capacity(len.min(1 << 20));
    limited.read_to_end(&mut body).await?;
    Ok((body.len() == len).then_some(Ok(body)))
}

/// Reads up to the empty line after a `Content-Length` header and returns its value. Lines that are not headers are
/// skipped. `None` at the end of the input.
async fn read_headers(input: &mut (impl AsyncBufReadExt + Unpin)) -> io::Result<Option<usize>> {
    let mut len = None;
    loop {
        let mut line = Vec::new();
        if (&mut *input).take(MAX_HEADER_LINE_BYTES).read_until(b'\n', &mut line).await? == 0 {
            return Ok(None);
        }
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end();
        match (line.split_once(':'), len) {
            // After a broken message, there may be other bytes before the name on its line.
            (Some((name, value)), _) if name.to_ascii_lowercase().ends_with("content-length") => {
                len = value.trim().parse().ok();
            }
            (None, Some(len)) if line.is_empty() => return Ok(Some(len)),
            _ => {}
        }
    }
}

/// A writer for the library that accepts everything at once, so that the library never waits.
#[derive(Debug, Clone)]
pub(super) struct UnboundedWriter(UnboundedSender<Vec<u8>>);

/// A writer, and a receiver of the messages that are written to it.
pub(super) fn unbounded_output() -> (UnboundedWriter, UnboundedReceiver<Vec<u8>>) {
    let (sender, receiver) = unbounded_channel();
    (UnboundedWriter(sender), receiver)
}

impl UnboundedWriter {
    fn send_response(&self, response: &Response) {
        let Ok(body) = serde_json::to_string(response) else { return };
        // If the channel is closed, the client is gone.
        let _ = self.0.send(format!("Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes());
    }
}

impl AsyncWrite for UnboundedWriter {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let sent = self.0.send(bytes.to_vec());
        Poll::Ready(sent.map(|()| bytes.len()).map_err(|_| io::ErrorKind::BrokenPipe.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Writes the messages on `queue` to `output` until all writers or the client are gone.
pub(super) async fn drain_output(mut queue: UnboundedReceiver<Vec<u8>>, mut output: impl AsyncWrite + Unpin) {
    while let Some(bytes) = queue.recv().await {
        let mut result = output.write_all(&bytes).await;
        if result.is_ok() && queue.is_empty() {
            result = output.flush().await;
        }
        if let Err(error) = result {
            tracing::error!("cannot write to the client: {error}");
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `input` through the filter, and checks what the library reads and what the client gets as answers.
    fn check_filter(input: &str, passed: &[&str], answered: &[&str]) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let (writer, mut queue) = unbounded_output();
        let mut library = Vec::new();
        runtime.block_on(filter_input(input.as_bytes(), &mut library, writer, None));
        let frame = |body: &&str| format!("Content-Length: {}\r\n\r\n{body}", body.len());
        let expected: String = passed.iter().map(frame).collect();
        assert_eq!(String::from_utf8(library).expect("UTF-8"), expected, "passed on of {input:?}");
        let mut answers = Vec::new();
        while let Ok(bytes) = queue.try_recv() {
            answers.push(String::from_utf8(bytes).expect("UTF-8").split("\r\n\r\n").nth(1).unwrap_or("").to_owned());
        }
        assert_eq!(answers, answered, "answered to {input:?}");
    }

    const GOOD: &str = r#"{"jsonrpc":"2.0","method":"initialized","params":{}}"#;

    fn framed(bodies: &[&str]) -> String {
        bodies.iter().map(|body| format!("Content-Length: {}\r\n\r\n{body}", body.len())).collect()
    }

    #[test]
    fn good_messages_pass() {
        check_filter(&framed(&[GOOD, GOOD]), &[GOOD, GOOD], &[]);
        let answer = r#"{"jsonrpc":"2.0","id":0,"result":null}"#;
        check_filter(&framed(&[answer]), &[answer], &[]);
    }

    #[test]
    fn broken_json_is_answered_and_the_next_message_passes() {
        let answer = r#"{"jsonrpc":"2.0","error":{"code":-32700,"message":"expected a JSON message: EOF while parsing a value at line 1 column 10"},"id":null}"#;
        let broken = r#"{"method":"#;
        check_filter(
            &framed(&[broken, GOOD]),
            &[GOOD],
            &[&answer
                .replace("expected a JSON message: EOF while parsing a value at line 1 column 10", &reason(broken))],
        );
    }

    /// The filter's error for `body`.
    fn reason(body: &str) -> String {
        check(body.as_bytes()).expect_err("broken").1.message.into_owned()
    }

    #[test]
    fn a_message_that_is_no_request_is_answered_with_its_id() {
        let answer = r#"{"jsonrpc":"2.0","error":{"code":-32600,"message":"expected a JSON-RPC 2.0 request, notification or response"},"id":7}"#;
        check_filter(&framed(&[r#"{"jsonrpc":"1.0","id":7,"method":"x"}"#, GOOD]), &[GOOD], &[answer]);
        check_filter(&framed(&["[]"]), &[], &[&answer.replace("\"id\":7", "\"id\":null")]);
    }

    #[test]
    fn garbage_between_messages_is_skipped() {
        let input = format!("hello\r\n\r\nX-Y: 1\r\n\r\n{}garbage{}", framed(&[GOOD]), framed(&[GOOD]));
        check_filter(&input, &[GOOD, GOOD], &[]);
        check_filter(&format!("content-length:{}\r\nX: y\r\n\r\n{GOOD}", GOOD.len()), &[GOOD], &[]);
        check_filter("Content-Length: 50\r\n\r\n{cut off", &[], &[]);
        check_filter("Content-Length: -1\r\n\r\n", &[], &[]);
    }

    #[test]
    fn a_message_too_long_to_hold_is_skipped() {
        let len = MAX_MESSAGE_BYTES + 1;
        let input = format!("Content-Length: {len}\r\n\r\n{}{}", " ".repeat(len), framed(&[GOOD]));
        let message = format!("expected a message of at most {MAX_MESSAGE_BYTES} bytes, found {len}");
        let answer = format!(r#"{{"jsonrpc":"2.0","error":{{"code":-32700,"message":"{message}"}},"id":null}}"#);
        check_filter(&input, &[GOOD], &[&answer]);
    }
}

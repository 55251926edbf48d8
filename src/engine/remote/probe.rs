//! What a server is and what it can do, found out with a few requests of one token each, before the first real one.

use std::fmt;

use serde_json::{Value, json};

use super::client::Client;
use super::fault::{Affected, Fault};
use crate::config::{Protocol, RemoteServer};
use crate::model::FimText;

/// The models of a server.
const MODELS: &str = "/v1/models";
pub(super) const CHAT: &str = "/v1/chat/completions";
pub(super) const TEXT: &str = "/v1/completions";

/// A server's model, and what requests it understands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Abilities {
    pub model: String,
    pub software: Software,
    pub way: Way,
    /// How it is asked to fill in the middle, if it can.
    pub middle: Option<Middle>,
    /// Whether line breaks at the end of a message to be continued reach the model.
    pub(super) keeps_line_breaks: bool,
}

impl Abilities {
    /// The model's name for people. A server that was given a file reports its path.
    pub fn name(&self) -> &str {
        let name = self.model.rsplit(['/', '\\']).next().filter(|_| self.model.ends_with(".gguf"));
        name.unwrap_or(&self.model).trim_end_matches(".gguf")
    }
}

/// How a server is asked to continue a given beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Continue,
    Chat,
}

/// How a server is asked to fill in the middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Middle {
    /// As one text with the tokens of the model's family.
    Tokens(FimText),
    /// With the text after the cursor as an argument of its own.
    Suffix,
}

/// The server's software, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Software {
    LlamaServer,
    Vllm,
    SgLang,
    LmDeploy,
    Ollama,
    Other,
}

impl Software {
    /// The software with this owner of its models, as the list of models gives it.
    fn of(owner: &str) -> Self {
        match owner {
            "llamacpp" => Self::LlamaServer,
            "vllm" => Self::Vllm,
            "sglang" => Self::SgLang,
            "lmdeploy" => Self::LmDeploy,
            "library" => Self::Ollama,
            _ => Self::Other,
        }
    }

    /// Whether it keeps what it has read for the next prompt, so that reading ahead is useful.
    pub(super) fn keeps_prefixes(self) -> bool {
        matches!(self, Self::LlamaServer | Self::Vllm | Self::SgLang)
    }

    /// Whether it goes on reading a prompt for a while after the connection is closed, and meanwhile gives the next
    /// prompt to another slot.
    pub(super) fn is_slow_to_leave(self) -> bool {
        self == Self::LlamaServer
    }

    /// Whether its chat templates take an argument that turns thinking off.
    pub(super) fn takes_template_arguments(self) -> bool {
        matches!(self, Self::LlamaServer | Self::Vllm | Self::SgLang)
    }
}

impl fmt::Display for Software {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LlamaServer => "llama-server",
            Self::Vllm => "vLLM",
            Self::SgLang => "SGLang",
            Self::LmDeploy => "LMDeploy",
            Self::Ollama => "Ollama",
            Self::Other => "a server of OpenAI's protocol",
        })
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Continue => "answers continue where the code ends",
            Self::Chat => "answers repeat the code before they continue, which is slow",
        })
    }
}

impl fmt::Display for Middle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tokens(format) => write!(f, "completions fill in the middle, {}", format.name()),
            Self::Suffix => f.write_str("completions fill in the middle, with the suffix as an argument"),
        }
    }
}

/// Finds out what the server of `client`, which is `server` in the settings, can do.
///
/// # Errors
/// If it cannot be used.
pub(super) async fn probe(client: &Client, server: &RemoteServer) -> Result<Abilities, Fault> {
    let (models, software) = match client.get(MODELS).await {
        Ok(listed) => listed_models(client, &listed)?,
        // Not every server lists its models.
        Err(fault) if fault.affected.leaves_the_server() => (Vec::new(), Software::Other),
        Err(fault) => return Err(fault),
    };
    let model = model(server, models, software)?;
    let way = match server.protocol {
        Protocol::Continue => Way::Continue,
        Protocol::Chat => Way::Chat,
        Protocol::Auto | Protocol::Fim | Protocol::Suffix => way(client, &model, software).await?,
    };
    let middle = middle(client, server, &model, software).await?;
    let keeps_line_breaks =
        way == Way::Continue && (software == Software::LlamaServer || keeps_line_breaks(client, &model).await?);
    tracing::info!(%server, model, %software, %way, ?middle, keeps_line_breaks, "a model server");
    Ok(Abilities { model, software, way, middle, keeps_line_breaks })
}

/// The names of the models, and the software that owns them.
fn listed_models(client: &Client, listed: &Value) -> Result<(Vec<String>, Software), Fault> {
    let Some(models) = listed.get("data").and_then(Value::as_array) else {
        return Err(client.garbage(&listed.to_string()));
    };
    let text = |model: &Value, name: &str| model.get(name).and_then(Value::as_str).map(str::to_owned);
    let owner = models.first().and_then(|model| text(model, "owned_by")).unwrap_or_default();
    Ok((models.iter().filter_map(|model| text(model, "id")).collect(), Software::of(&owner)))
}

fn model(server: &RemoteServer, mut models: Vec<String>, software: Software) -> Result<String, Fault> {
    if let Some(model) = &server.model {
        return Ok(model.clone());
    }
    match models.len() {
        0 => Err(Fault::server(server, "lists no models; write the model's name as `model` in the setting `backend`")),
        1 => Ok(models.remove(0)),
        // It has a single model under several names.
        _ if software == Software::LlamaServer => Ok(models.remove(0)),
        _ => Err(Fault::server(
            server,
            format!("has several models; write one of them as `model` in the setting `backend`: {}", models.join(", ")),
        )),
    }
}

/// Whether the server continues an assistant's message. A server that knows the arguments refuses a request with
/// contradictory ones; the others are judged by what they write.
async fn way(client: &Client, model: &str, software: Software) -> Result<Way, Fault> {
    if matches!(software, Software::SgLang | Software::LmDeploy) {
        return Ok(Way::Continue);
    }
    let contradiction = json!({
        "model": model, "max_tokens": 1, "temperature": 0,
        "messages": [{"role": "user", "content": "Count."}, {"role": "assistant", "content": "1, 2,"}],
        "continue_final_message": true, "add_generation_prompt": true,
    });
    let is_refused = match client.ask(CHAT, &contradiction, client.patience.interactive).await {
        Err(fault) if fault.affected == Affected::Request => true,
        Err(fault) => return Err(fault),
        Ok(_) => false,
    };
    // A server may also refuse arguments that it does not know, so what it writes decides.
    let beginning = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, twel";
    let goes_on = match client.ask(CHAT, &continued(model, beginning, 2), client.patience.interactive).await {
        Err(fault) if fault.affected == Affected::Request => return Ok(Way::Chat),
        Err(fault) => return Err(fault),
        Ok(answer) => {
            let text = answer.pointer("/choices/0/message/content").and_then(Value::as_str).unwrap_or_default();
            // Some servers return the whole message with its beginning.
            text.strip_prefix(beginning).unwrap_or(text).starts_with("ve")
        }
    };
    Ok(if is_refused || goes_on { Way::Continue } else { Way::Chat })
}

/// How the server is asked to fill in the middle, as the settings want it.
async fn middle(
    client: &Client,
    server: &RemoteServer,
    model: &str,
    software: Software,
) -> Result<Option<Middle>, Fault> {
    let cannot =
        |what: &str| Fault::server(server, format!("{what}; set `protocol` in the setting `backend` to \"auto\""));
    match (server.protocol, software) {
        (Protocol::Continue | Protocol::Chat, _) => Ok(None),
        (Protocol::Suffix, _) => match takes_suffix(client, model).await? {
            true => Ok(Some(Middle::Suffix)),
            false => Err(cannot("does not accept a `suffix`")),
        },
        // Ollama puts any text without a suffix into a chat.
        (Protocol::Auto, Software::Ollama) => Ok(takes_suffix(client, model).await?.then_some(Middle::Suffix)),
        (Protocol::Auto, _) => marked_middle(client, model).await,
        (Protocol::Fim, _) => match marked_middle(client, model).await? {
            Some(middle) => Ok(Some(middle)),
            None => Err(cannot(&format!("has a model without fill-in-the-middle tokens ({model})"))),
        },
    }
}

/// The format whose tokens the model has: in a prompt, each of them counts as one token and not as several.
async fn marked_middle(client: &Client, model: &str) -> Result<Option<Middle>, Fault> {
    for format in FimText::possible(model) {
        let (tokens, count) = format.tokens();
        let body = json!({"model": model, "prompt": tokens, "max_tokens": 1, "temperature": 0});
        let answer = match client.ask(TEXT, &body, client.patience.interactive).await {
            // Many have chats alone.
            Err(fault) if fault.affected.leaves_the_server() => return Ok(None),
            Err(fault) => return Err(fault),
            Ok(answer) => answer,
        };
        let used = answer.pointer("/usage/prompt_tokens").and_then(Value::as_u64);
        // Tokens for the beginning and the end of the text may be counted, too.
        if used.is_some_and(|used| used > 0 && used <= count as u64 + 2) {
            return Ok(Some(Middle::Tokens(format)));
        }
    }
    Ok(None)
}

async fn takes_suffix(client: &Client, model: &str) -> Result<bool, Fault> {
    let body = json!({"model": model, "prompt": "a = ", "suffix": "\n", "max_tokens": 1, "temperature": 0});
    match client.ask(TEXT, &body, client.patience.interactive).await {
        Err(fault) if fault.affected.leaves_the_server() => Ok(false),
        Err(fault) => Err(fault),
        Ok(_) => Ok(true),
    }
}

/// Whether line breaks at the end of a message reach the model, which is so if more of them are more tokens.
async fn keeps_line_breaks(client: &Client, model: &str) -> Result<bool, Fault> {
    let mut tokens = [0; 2];
    for (tokens, text) in tokens.iter_mut().zip(["1, 2,", "1, 2,\n \n \n \n"]) {
        let answer = client.ask(CHAT, &continued(model, text, 1), client.patience.interactive).await?;
        *tokens = answer.pointer("/usage/prompt_tokens").and_then(Value::as_u64).unwrap_or(0);
    }
    Ok(tokens[1] > tokens[0])
}

/// The shortest request to continue `text`.
fn continued(model: &str, text: &str, max_tokens: u32) -> Value {
    json!({
        "model": model, "max_tokens": max_tokens, "temperature": 0,
        "messages": [
            {"role": "user", "content": "Count from 1 to 11 in digits, then go on in words."},
            {"role": "assistant", "content": text},
        ],
        "continue_final_message": true, "add_generation_prompt": false,
    })
}

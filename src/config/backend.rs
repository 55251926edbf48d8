//! Which kind of engine writes the text of a role: the settings `completion.backend` and `assistant.backend`.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use http::Uri;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::keys::found;

/// Where the text of a role comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub enum Backend {
    /// A model in this process.
    #[default]
    Embedded,
    /// A server that speaks OpenAI's protocol.
    OpenAi(RemoteServer),
}

/// A server that speaks OpenAI's protocol, and how to ask it. It holds the place of the key, never the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteServer {
    /// `http://HOST:PORT` or `https://HOST/PATH`, without the `/v1` that every path begins with.
    pub base_url: String,
    /// `None`: the only one the server has.
    pub model: Option<String>,
    /// The environment variable that holds the key.
    pub api_key_env: Option<String>,
    /// The file that holds the key, which only its owner may be able to read.
    pub api_key_file: Option<PathBuf>,
    pub protocol: Protocol,
    pub when_it_fails: WhenItFails,
    /// Plain http to another machine is allowed, although others on the network could then read code and key.
    pub allow_http: bool,
}

/// How a server is asked for text that continues a given beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// What the server can do, as it is found out at the start.
    #[default]
    Auto,
    /// A chat whose last message is the assistant's, to be continued.
    Continue,
    /// A chat; the answer repeats the beginning, which is cut off.
    Chat,
    /// Completions: the code around the cursor between the tokens that the model's family has for that.
    Fim,
    /// Completions: the code after the cursor as the argument `suffix`.
    Suffix,
}

/// What to do while a server does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenItFails {
    /// The role's own model answers instead.
    Embedded,
    #[default]
    Nothing,
}

impl Backend {
    /// The server, if it is one.
    pub fn server(&self) -> Option<&RemoteServer> {
        match self {
            Self::Embedded => None,
            Self::OpenAi(server) => Some(server),
        }
    }

    /// Whether the role's model may have to be in this machine's memory.
    pub fn may_load_a_model(&self) -> bool {
        self.server().is_none_or(|server| server.when_it_fails == WhenItFails::Embedded)
    }

    /// JSON schema of the setting.
    pub(super) fn schema() -> Value {
        let text = json!({"type": "string"});
        json!({
            "type": ["string", "object"],
            "properties": {
                "kind": {"const": "openai"},
                "baseUrl": text,
                "model": text,
                "apiKeyEnv": text,
                "apiKeyFile": text,
                "protocol": {"enum": ["auto", "continue", "chat", "fim", "suffix"]},
                "whenItFails": {"enum": ["embedded", "nothing"]},
                "allowHttp": {"type": "boolean"},
            },
        })
    }
}

/// The members of the object, as they are written.
const MEMBERS: [&str; 8] =
    ["kind", "baseUrl", "model", "apiKeyEnv", "apiKeyFile", "protocol", "whenItFails", "allowHttp"];

impl TryFrom<Value> for Backend {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        match &value {
            Value::String(name) if name == "embedded" => Ok(Self::Embedded),
            Value::Object(object) => RemoteServer::read(object).map(Self::OpenAi),
            other => Err(format!(
                "expected \"embedded\" or an object like {{\"kind\": \"openai\", \"baseUrl\": \"http://localhost:8080\"}}, found {}",
                found(other)
            )),
        }
    }
}

impl From<Backend> for Value {
    fn from(backend: Backend) -> Self {
        let Backend::OpenAi(server) = backend else { return json!("embedded") };
        let mut object = Map::from_iter([
            ("kind".to_owned(), json!("openai")),
            ("baseUrl".to_owned(), json!(server.base_url)),
            ("protocol".to_owned(), json!(server.protocol)),
            ("whenItFails".to_owned(), json!(server.when_it_fails)),
            ("allowHttp".to_owned(), json!(server.allow_http)),
        ]);
        let texts = [
            ("model", server.model),
            ("apiKeyEnv", server.api_key_env),
            ("apiKeyFile", server.api_key_file.map(|path| path.to_string_lossy().into_owned())),
        ];
        let set = texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), json!(text?))));
        object.extend(set);
        object.into()
    }
}

impl RemoteServer {
    /// The server that the members of the setting describe; the error is one sentence about the first one that is
    /// wrong.
    fn read(object: &Map<String, Value>) -> Result<Self, String> {
        if let Some(unknown) = object.keys().find(|name| !MEMBERS.contains(&name.as_str())) {
            // Its value may be a key that somebody wrote in the wrong place.
            return Err(format!("expected members of {}, found `{unknown}`", MEMBERS.join(", ")));
        }
        let kind = object.get("kind").unwrap_or(&Value::Null);
        if kind != "openai" {
            return Err(format!("`kind`: expected \"openai\", found {}", found(kind)));
        }
        let server = Self {
            base_url: base_url(object.get("baseUrl").unwrap_or(&Value::Null))?,
            model: text(object, "model")?,
            api_key_env: text(object, "apiKeyEnv")?,
            api_key_file: text(object, "apiKeyFile")?.map(PathBuf::from),
            protocol: one_of(object, "protocol", "\"auto\", \"continue\", \"chat\", \"fim\" or \"suffix\"")?,
            when_it_fails: one_of(object, "whenItFails", "\"embedded\" or \"nothing\"")?,
            allow_http: one_of(object, "allowHttp", "true or false")?,
        };
        server.check()?;
        Ok(server)
    }

    fn check(&self) -> Result<(), String> {
        if self.api_key_env.is_some() && self.api_key_file.is_some() {
            return Err("expected `apiKeyEnv` or `apiKeyFile`, found both".to_owned());
        }
        let is_name = |name: &String| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && name.len() <= 64;
        if !self.api_key_env.as_ref().is_none_or(is_name) {
            // It may be the key itself, which no message may contain.
            return Err("`apiKeyEnv`: expected the name of an environment variable, found something else".to_owned());
        }
        if self.base_url.starts_with("http://") && !self.is_on_this_machine() && !self.allow_http {
            return Err(format!(
                "`baseUrl`: expected https, or http to this machine, found {}; \"allowHttp\": true lets code and key go \
                 over the network unencrypted",
                self.base_url
            ));
        }
        Ok(())
    }

    /// Whether the server's name is one of this machine itself.
    pub fn is_on_this_machine(&self) -> bool {
        let uri: Option<Uri> = self.base_url.parse().ok();
        let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
    }

    /// Host and port, for people.
    pub fn host(&self) -> &str {
        let host = self.base_url.split("://").last().unwrap_or_default();
        host.split('/').next().unwrap_or_default()
    }
}

impl fmt::Display for RemoteServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base_url)
    }
}

/// A base URL without what every path begins with.
fn base_url(value: &Value) -> Result<String, String> {
    let expected = |found: &str| format!("`baseUrl`: expected http://HOST:PORT or https://HOST, found {found}");
    let Some(text) = value.as_str().map(str::trim) else { return Err(expected(&found(value))) };
    if text.contains('@') {
        return Err(expected("one with a name or password; a key belongs in `apiKeyEnv` or `apiKeyFile`"));
    }
    let uri: Uri = text.parse().map_err(|_| expected(&found(value)))?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(expected(&found(value)));
    };
    // A port that is no number below 65536 would be left out without a word, and another server asked.
    let has_sound_port = authority.as_str() == authority.host() || authority.port_u16().is_some_and(|port| port > 0);
    let is_sound = ["http", "https"].contains(&scheme) && !authority.host().is_empty() && has_sound_port;
    if !is_sound || uri.query().is_some() || text.contains('#') {
        return Err(expected(&found(value)));
    }
    let path = uri.path().trim_end_matches('/');
    let path = path.strip_suffix("/v1").unwrap_or(path).trim_end_matches('/');
    Ok(format!("{scheme}://{authority}{path}"))
}

fn text(object: &Map<String, Value>, name: &str) -> Result<Option<String>, String> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if !text.trim().is_empty() => Ok(Some(text.trim().to_owned())),
        Some(_) => Err(format!("`{name}`: expected a non-empty string, found something else")),
    }
}

fn one_of<T: Default + for<'de> Deserialize<'de>>(
    object: &Map<String, Value>,
    name: &str,
    expected: &str,
) -> Result<T, String> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(T::default()),
        Some(value) => {
            T::deserialize(value).map_err(|_| format!("`{name}`: expected {expected}, found {}", found(value)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: Value) -> Result<Backend, String> {
        Backend::try_from(value)
    }

    #[test]
    fn a_server_is_read_and_written_back() {
        let value = json!({
            "kind": "openai", "baseUrl": "https://models.example/api/v1/", "model": "coder", "apiKeyEnv": "CODER_KEY",
            "protocol": "continue", "whenItFails": "embedded", "allowHttp": true,
        });
        let backend = read(value).unwrap();
        let server = backend.server().unwrap();
        assert_eq!((server.base_url.as_str(), server.host()), ("https://models.example/api", "models.example"));
        assert_eq!((server.protocol, server.when_it_fails), (Protocol::Continue, WhenItFails::Embedded));
        assert_eq!(read(backend.clone().into()).unwrap(), backend);
        assert_eq!(read(json!("embedded")).unwrap(), Backend::Embedded);
    }

    #[test]
    fn addresses_are_written_in_one_way() {
        let check = |url: &str, expected: Option<&str>| {
            let read = read(json!({"kind": "openai", "baseUrl": url}));
            assert_eq!(
                read.ok().and_then(|backend| Some(backend.server()?.base_url.clone())).as_deref(),
                expected,
                "{url}"
            );
        };
        check("HTTPS://Gpu/v1/", Some("https://Gpu"));
        check(" http://localhost:8080/v1 ", Some("http://localhost:8080"));
        check("http://[::1]:80/", Some("http://[::1]:80"));
        for wrong in [
            "http://localhost:99999",
            "http://localhost:0",
            "http://localhost:",
            "http://localhost#v1",
            "http://localhost?a=b",
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn http_goes_to_this_machine_only_unless_it_is_allowed() {
        let check = |url: &str, allow: bool, expected: bool| {
            let read = read(json!({"kind": "openai", "baseUrl": url, "allowHttp": allow}));
            assert_eq!(read.is_ok(), expected, "{url}: {read:?}");
        };
        for local in ["http://localhost:1", "http://LOCALHOST", "http://127.0.0.1:8080/v1", "http://[::1]:80"] {
            check(local, false, true);
        }
        let evil = "http://127.0.0.1.evil.example";
        for elsewhere in ["http://gpu:8000", "HTTP://gpu:8000", "http://10.0.0.1", evil, "http://[::2]"] {
            check(elsewhere, false, false);
            check(elsewhere, true, true);
        }
        check("https://gpu:8000", false, true);
    }

    #[test]
    fn what_is_wrong_is_said_in_one_sentence_without_a_key() {
        let check = |value: Value, expected: &str| assert_eq!(read(value).unwrap_err(), expected);
        let with = |name: &str, value: Value| {
            let mut object = json!({"kind": "openai", "baseUrl": "http://localhost"});
            object[name] = value;
            object
        };
        check(json!({"baseUrl": "http://localhost"}), "`kind`: expected \"openai\", found null");
        check(
            with("baseUrl", json!("gpu:8000")),
            "`baseUrl`: expected http://HOST:PORT or https://HOST, found \"gpu:8000\"",
        );
        check(
            with("protocol", json!("magic")),
            "`protocol`: expected \"auto\", \"continue\", \"chat\", \"fim\" or \"suffix\", found \"magic\"",
        );
        check(with("allowHttp", json!("yes")), "`allowHttp`: expected true or false, found \"yes\"");
        check(with("model", json!(" ")), "`model`: expected a non-empty string, found something else");
        for leak in [
            with("apiKey", json!("sk-secret")),
            with("apiKeyEnv", json!("sk-secret")),
            with("apiKeyFile", json!(["sk-secret"])),
            with("baseUrl", json!("https://me:sk-secret@gpu")),
        ] {
            assert!(!read(leak).unwrap_err().contains("sk-secret"));
        }
    }
}

//! The body of a request for a job, in a form that the server understands.

use serde_json::{Value, json};

use super::owed::{Owed, cut};
use super::probe::{Abilities, CHAT, Middle, Software, TEXT, Way};
use crate::engine::{GenerationParams, Sampling};
use crate::model::{FimParts, Prompt, PromptForm, Role, commented_prefix};

/// The number of stop strings that every server accepts.
const MAX_STOPS: usize = 4;

/// A request for one text, and the start that is required of the text.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) path: &'static str,
    pub(super) body: Value,
    pub(super) owed: Owed,
    pub(super) form: PromptForm,
}

/// The request for text `candidate` of a job.
pub(super) fn request(
    abilities: &Abilities,
    prompt: &Prompt,
    params: &GenerationParams,
    candidate: usize,
    with_logprobs: bool,
) -> Request {
    let Beginning { path, mut body, owed, stops, form } = beginning(abilities, prompt, params);
    body["model"] = abilities.model.as_str().into();
    body["max_tokens"] = (params.max_new_tokens + owed.len()).into();
    body["stream"] = true.into();
    body["stream_options"] = json!({"include_usage": true});
    sample(&mut body, &params.sampling, candidate, params.candidates);
    if !stops.is_empty() {
        body["stop"] = stops.into_iter().take(MAX_STOPS).collect();
    }
    if with_logprobs {
        // A chat takes a flag and a number, the older protocol a number.
        body["logprobs"] = if path == CHAT { json!(true) } else { json!(1) };
        if path == CHAT {
            body["top_logprobs"] = 1.into();
        }
    }
    match abilities.software {
        Software::LlamaServer => {
            body["cache_prompt"] = true.into();
            body["timings_per_token"] = true.into();
        }
        Software::Vllm | Software::SgLang => body["stream_options"]["continuous_usage_stats"] = true.into(),
        Software::LmDeploy | Software::Ollama | Software::Other => {}
    }
    Request { path, body, owed, form }
}

/// The request that makes the server read a prompt and write nothing, or as little as possible.
pub(super) fn read_only(abilities: &Abilities, prompt: &Prompt, params: &GenerationParams) -> Request {
    let mut request = request(abilities, prompt, params, 0, false);
    let least = u8::from(abilities.software != Software::LlamaServer);
    request.body["max_tokens"] = least.into();
    request.body["stream"] = false.into();
    request.body.as_object_mut().expect("made above").remove("stream_options");
    request
}

/// The part of a request that says what to go on with.
struct Beginning {
    path: &'static str,
    body: Value,
    owed: Owed,
    /// The stop strings for the server.
    stops: Vec<String>,
    form: PromptForm,
}

fn beginning(abilities: &Abilities, prompt: &Prompt, params: &GenerationParams) -> Beginning {
    let filled_in = prompt.fim.as_ref().zip(abilities.middle.as_ref());
    let filled_in = filled_in.and_then(|(parts, middle)| middle_of(parts, middle, abilities.software, params.heal));
    if let Some(beginning) = filled_in {
        return beginning;
    }
    let stops = params.stop.stop_strings.clone();
    if prompt.turns.is_empty() {
        // Servers keep line breaks in text that is not in a chat.
        let kept = cut(&prompt.prefill, params.heal, true);
        let (body, owed) = (json!({"prompt": &prompt.prefill[..kept]}), Owed::exactly(&prompt.prefill[kept..]));
        return Beginning { path: TEXT, body, owed, stops, form: PromptForm::Chat };
    }
    let (body, owed) = conversation(abilities, prompt, params.heal);
    // The required start may contain a stop string.
    let may_stop = abilities.way != Way::Chat || owed.is_paid();
    let stops = if may_stop { stops } else { Vec::new() };
    Beginning { path: CHAT, body, owed, stops, form: PromptForm::Chat }
}

/// The code around the cursor; `None` if it cannot be expressed in this way.
fn middle_of(parts: &FimParts, middle: &Middle, software: Software, heal: bool) -> Option<Beginning> {
    let (mut body, text, last, stops) = match middle {
        Middle::Suffix => {
            let prefix = commented_prefix(parts);
            let last = prefix.len();
            (json!({"suffix": parts.suffix}), prefix, last, Vec::new())
        }
        Middle::Tokens(format) => {
            let (text, last) = format.text(parts)?;
            (json!({}), text, last, format.ends().iter().map(|&end| end.to_owned()).collect())
        }
    };
    if matches!(software, Software::Vllm | Software::SgLang) && !stops.is_empty() {
        // The token that ends the middle has to appear in the text.
        body["skip_special_tokens"] = false.into();
    }
    let last = text.len() - last;
    let kept = last + cut(&text[last..], heal, true);
    body["prompt"] = text[..kept].into();
    Some(Beginning { path: TEXT, body, owed: Owed::exactly(&text[kept..]), stops, form: PromptForm::Fim })
}

/// A chat, and the required start of its answer.
fn conversation(abilities: &Abilities, prompt: &Prompt, heal: bool) -> (Value, Owed) {
    let prefill = prompt.prefill.as_str();
    let message = |role: Role, text: &str| json!({"role": name(role), "content": text});
    let mut messages: Vec<Value> = prompt.turns.iter().map(|turn| message(turn.role, &turn.text)).collect();
    let mut body = json!({});
    let owed = match cut(prefill, heal, abilities.keeps_line_breaks) {
        _ if abilities.way == Way::Chat => Owed::from_the_start(prefill),
        0 => Owed::exactly(prefill),
        kept => {
            messages.push(message(Role::Assistant, &prefill[..kept]));
            body["continue_final_message"] = true.into();
            body["add_generation_prompt"] = false.into();
            Owed::exactly(&prefill[kept..])
        }
    };
    body["messages"] = messages.into();
    if abilities.software.takes_template_arguments() {
        body["chat_template_kwargs"] = json!({"enable_thinking": false});
    }
    (body, owed)
}

fn name(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    }
}

/// The first of several texts is greedy, and each of the others draws its own random numbers.
fn sample(body: &mut Value, sampling: &Sampling, candidate: usize, candidates: usize) {
    match *sampling {
        Sampling::Random { temperature, top_p, seed } if candidate > 0 || candidates <= 1 => {
            body["temperature"] = temperature.into();
            body["top_p"] = top_p.into();
            body["seed"] = seed.wrapping_add(candidate as u64).into();
        }
        _ => body["temperature"] = 0.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::StopRules;
    use crate::model::{FimText, Turn};

    fn abilities(software: Software, way: Way) -> Abilities {
        Abilities { model: "m".to_owned(), software, way, middle: None, keeps_line_breaks: true }
    }

    fn around_the_cursor() -> Prompt {
        let parts = FimParts {
            path: Some("a.py".to_owned()),
            line_comment: Some("#".to_owned()),
            prefix: "import os\n".to_owned(),
            typed: "x = os.pa".to_owned(),
            suffix: "\nprint(x)\n".to_owned(),
            ..FimParts::default()
        };
        Prompt { fim: Some(parts), ..prompt("x = os.pa") }
    }

    fn tokens_of(family: &str) -> Middle {
        Middle::Tokens(FimText::possible("m").find(|format| format.name() == family).unwrap())
    }

    fn prompt(prefill: &str) -> Prompt {
        Prompt {
            turns: vec![Turn { role: Role::User, text: "go".to_owned() }],
            prefill: prefill.to_owned(),
            ..Prompt::default()
        }
    }

    fn params() -> GenerationParams {
        let stop = StopRules { stop_strings: vec!["\n```".to_owned()], ..StopRules::default() };
        GenerationParams { max_new_tokens: 8, heal: true, stop, ..GenerationParams::default() }
    }

    #[test]
    fn a_prompt_is_continued_where_it_was_cut() {
        let request = request(&abilities(Software::Vllm, Way::Continue), &prompt("```py\nx = fo"), &params(), 0, true);
        assert_eq!(request.path, CHAT);
        assert_eq!(request.owed, Owed::exactly(" fo"));
        let body = request.body;
        assert_eq!(body["messages"][1], json!({"role": "assistant", "content": "```py\nx ="}));
        assert_eq!((&body["continue_final_message"], &body["add_generation_prompt"]), (&json!(true), &json!(false)));
        assert_eq!(
            (&body["max_tokens"], &body["temperature"], &body["stop"]),
            (&json!(11), &json!(0), &json!(["\n```"]))
        );
        assert_eq!((&body["logprobs"], &body["top_logprobs"]), (&json!(true), &json!(1)));
        assert_eq!(body["stream_options"], json!({"include_usage": true, "continuous_usage_stats": true}));
    }

    #[test]
    fn a_chat_begins_again_and_its_fence_does_not_end_it() {
        let request = request(&abilities(Software::Other, Way::Chat), &prompt("```py\nx = fo"), &params(), 0, false);
        assert_eq!(request.owed, Owed::from_the_start("```py\nx = fo"));
        assert_eq!(request.body["messages"].as_array().unwrap().len(), 1);
        for absent in ["stop", "continue_final_message", "logprobs", "cache_prompt", "chat_template_kwargs"] {
            assert!(request.body.get(absent).is_none(), "{absent}");
        }
    }

    #[test]
    fn text_without_turns_is_no_chat() {
        let plain = Prompt { prefill: "def f".to_owned(), ..Prompt::default() };
        let request = request(&abilities(Software::LlamaServer, Way::Continue), &plain, &params(), 0, true);
        assert_eq!(
            (request.path, &request.body["prompt"], &request.body["logprobs"]),
            (TEXT, &json!("def"), &json!(1))
        );
    }

    #[test]
    fn a_model_made_for_it_is_asked_for_the_middle() {
        let abilities = Abilities { middle: Some(tokens_of("qwen")), ..abilities(Software::Vllm, Way::Continue) };
        let asked = request(&abilities, &around_the_cursor(), &params(), 0, true);
        assert_eq!((asked.path, asked.form, asked.owed), (TEXT, PromptForm::Fim, Owed::exactly(".pa")));
        assert_eq!(
            asked.body["prompt"],
            "<|repo_name|>project\n<|file_sep|>a.py\n<|fim_prefix|>import os\n<|fim_suffix|>\nprint(x)\n<|fim_middle|>x = os"
        );
        assert_eq!(
            (&asked.body["stop"][0], &asked.body["skip_special_tokens"]),
            (&json!("<|fim_pad|>"), &json!(false))
        );
        assert_eq!((&asked.body["logprobs"], asked.body.get("messages")), (&json!(1), None));
    }

    #[test]
    fn a_suffix_can_be_an_argument() {
        let abilities = Abilities { middle: Some(Middle::Suffix), ..abilities(Software::Ollama, Way::Continue) };
        let asked = request(&abilities, &around_the_cursor(), &params(), 0, false);
        assert_eq!(
            (&asked.body["prompt"], &asked.body["suffix"], asked.owed),
            (&json!("# a.py\nimport os\nx = os"), &json!("\nprint(x)\n"), Owed::exactly(".pa"))
        );
        // A question does not fill in a middle.
        assert_eq!(request(&abilities, &prompt("x"), &params(), 0, false).path, CHAT);
    }

    #[test]
    fn code_that_holds_a_token_of_the_model_is_asked_in_a_chat() {
        let abilities =
            Abilities { middle: Some(tokens_of("qwen")), ..abilities(Software::LlamaServer, Way::Continue) };
        for token in ["<|fim_middle|>", "<|file_sep|>"] {
            let mut prompt = around_the_cursor();
            prompt.fim.as_mut().unwrap().suffix = format!("print('{token}')");
            let asked = request(&abilities, &prompt, &params(), 0, false);
            assert_eq!((asked.path, asked.form), (CHAT, PromptForm::Chat));
        }
    }

    #[test]
    fn a_prompt_is_read_ahead_with_as_few_tokens_as_the_server_takes() {
        let read = |software| read_only(&abilities(software, Way::Continue), &prompt("x"), &params()).body;
        assert_eq!(read(Software::LlamaServer)["max_tokens"], json!(0));
        assert_eq!(
            (&read(Software::Vllm)["max_tokens"], read(Software::Vllm).get("stream_options")),
            (&json!(1), None)
        );
    }

    #[test]
    fn alternatives_draw_their_own_numbers() {
        let sampling = Sampling::Random { temperature: 0.5, top_p: 0.9, seed: 7 };
        let params = GenerationParams { sampling, candidates: 3, ..params() };
        let abilities = abilities(Software::Other, Way::Continue);
        let seed = |candidate| request(&abilities, &prompt("x"), &params, candidate, false).body.get("seed").cloned();
        assert_eq!((seed(0), seed(1), seed(2)), (None, Some(json!(8)), Some(json!(9))));
    }
}

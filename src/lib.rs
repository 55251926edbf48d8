//! phi-ls: a language server that completes code with Phi-3.5-mini and explains it with Phi-4-mini, on your own
//! machine. One process holds the models, which are GGUF files, for all windows. `CONTRIBUTING.md` has a glossary.
//!
//! # Layers
//!
//! A module imports from lower rows only; `tests/it/project/tidy.rs` enforces it, with where each crate may be named.
//!
//! ```text
//!  5  main -> cli                 prints only here
//!  4  server                      tower-lsp-server, tokio, channels to editors, request ids
//!  3  lsp -> features             lsp: protocol types only     features: pure plan() and finish()
//!  2  prompt -> context           pure text, no protocol types, no tensors
//!     engine                      threads, scheduling, decode loop, servers that are asked instead; never documents
//!  1  syntax  workspace           tree-sitter only here | git, ignore files, which file belongs where
//!     model  hub                  candle only here (and engine) | network only in hub (and engine::remote)
//!     statistics                  what becomes of completions, in a file of this machine
//!     private                     files that only this person may read
//!  0  text                        ropes, positions, edits
//!     config -> kernels           settings, exclude globs, the machine and its memory | arithmetic and its memory, a
//!                                 package of its own: `unsafe` only here (and in the file map)
//! ```
//!
//! Within a row, the arrows are the only imports, except for engine -> hub (which file a model's name means, and which
//! certificates are trusted).
//!
//! # One inline completion
//!
//! 1. [`server`]: the protocol library polls the handler, which sends an event to the session thread at its first poll
//!    and then only waits. So messages keep their order, and no lock is ever held.
//! 2. The session finds the document and its tree and lends them to `server/completions`, which answers from memory,
//!    lets the request wait for a running generation, or calls [`features::inline_completion::plan`]: whether to ask at
//!    all, the [`context`] around the cursor, the [`prompt`], and the names that can stand there, if all of them are
//!    known.
//! 3. [`engine::Engine::submit`]: the newest job of a document supersedes the older ones. The embedded engine's thread
//!    encodes the prompt in the layout that suits the model (a chat turn, or the code around the cursor), starts from
//!    the longest cached prefix, backs up over a word that the cursor splits (token healing), prefills in chunks,
//!    restricts the first name to the known ones, and decodes with guesses taken from the text (prompt lookup) until a
//!    rule of [`engine::StopRules`] ends the text. If
//!    little of the prompt has been read before, a slow model is asked about the code before the cursor only; the whole
//!    prompt is read later, when nobody waits, for the next request.
//! 4. While it is written, [`features::inline_completion::Growth`] decides how much of it can already be shown. A
//!    client that supports it ([`lsp::growth`]) gets its answer then, is notified when there is more, and asks again;
//!    any other client waits for the whole completion, or until its time is over.
//! 5. [`features::inline_completion::finish`] turns the model's text into what is worth showing, or nothing.
//! 6. [`lsp`] converts it to protocol types, and the handler returns.
//!
//! # One explanation
//!
//! 1. [`server`]: code actions are offered at once, without a model (`server/questions/offers.rs`), and carry a
//!    command. The command's handler sends an event and waits, like any other.
//! 2. The session checks whether the document may be read, and lends it to `server/questions` together with what other
//!    files may contribute: the open documents and the index.
//! 3. `Questions::ask` plans: [`features::answering::Plan`] is the code in question with its [`context`], and the [`prompt`].
//! 4. `Questions::begin` chooses the model that answers (the assistant model, or the completion model if that does not
//!    fit into memory) and tells the client that it begins; `Questions::submit` submits the job.
//! 5. The engine's thread loads the model if necessary, waits at its gate while somebody waits for a completion, and
//!    generates.
//! 6. `Questions::goes_on` shows the answer as it grows, in the best way that the client supports
//!    (`server/questions/display.rs`).
//! 7. `Questions::done`: the conversation is kept for follow-up questions, [`features::answering::Plan::outcome`] turns
//!    the model's text into an outcome, and `Questions::end` shows it and answers the request.
//!
//! A question whose answer is an edit takes the same path; in step 7 the edit is checked, adjusted to the document as
//! it is now (`server/questions/changes.rs`) and sent to the client, or the model is asked once more. A commit message
//! is a question without a document: in step 2, a separate thread asks git what is staged
//! ([`workspace::Workspaces::staged`]).
//!
//! # One engine for all windows
//!
//! Every window of an editor has its own server; they share one process that holds the models, `phi-ls engine`
//! ([`engine::shared`]). A server's [`engine::Engine`] is then a handle to a thread that sends jobs there as values,
//! over a local socket in a folder of this user, and passes the results on. The first server starts the process, in a
//! new session; it ends `engine.lingerMinutes` after the last server. What has to match (version, build, models,
//! threads, kernels, budget: [`engine::shared::Setup`]) is part of the socket's name; jobs may differ in everything
//! else. In the process, each role has an embedded engine, and both share one gate and one thread pool. Documents are
//! told apart by client, and when a client ends, its jobs are cancelled. If the process dies, that is reported once and
//! it is started again, and a job without any output so far is sent again, once.
//!
//! # Who owns what
//!
//! - The session thread owns all state of a session, each piece in one place: `Session` the documents and the settings,
//!   `Completions` the known and running completions of each document, `Questions` the running questions, conversations
//!   and answers, `Engines` the two engines. They lend each other values for the duration of one event. Cloning a rope
//!   or a tree takes constant time.
//! - Each embedded engine's thread owns one model and its caches. A [`model::KvCache`] belongs to a sequence, never to a
//!   layer; sequences share the pages of common prefixes.
//! - [`workspace::Workspaces`] decides which workspace a file belongs to and whether it may enter a prompt; documents, the
//!   index and the command line all ask it.
//! - The [`context::WorkspaceIndex`] holds names, places, and which words are in which file, but no text; a separate
//!   thread fills it. The code that a prompt takes from other files is read when a window is placed, never at an
//!   ordinary key.
//! - The kernels of all models share one [`kernels::pool::ThreadPool`].
//! - How much memory models may take is decided in [`config::memory`] only.
//! - What the model has read of completion prompts is kept in files while nobody waits, with the windows of the documents:
//!   after a restart, prompts begin as before and need not be read again: [`engine::embedded::kept_prefixes`].
//! - What differs between processors is measured when a model is first loaded, and stored:
//!   [`engine::embedded::tuning`].
//! - Background work, including indexing, waits at the [`engine::Gate`] while a completion is pending anywhere; a
//!   running pass of a model waits between its layers.
//!
//! # Invariants
//!
//! - Engine threads never see documents; the session never sees tensors.
//! - Every request is answered exactly once; a superseded one with an empty list, before the newer one.
//! - A completion on the screen only grows until the person types something else: what was shown is never taken back.
//! - Offsets are bytes inside, and lines end with `\n`. [`lsp`] converts positions to offsets and restores other line
//!   endings; events of [`server`] may carry positions up to there.
//! - While a person types, one prompt is the beginning of the next: [`context::Anchor`] freezes everything before the
//!   text at the cursor. Breaking this costs seconds per key.
//! - Role tags enter a prompt by id. Text stays text, even if it spells a tag.
//! - A sequence is rotated with one set of factors ([`model::RopeFactors`]) for its whole life.
//! - Only [`hub`] (to download) and [`engine::remote`] (if the settings name a server) reach other machines.
//!   [`engine::shared`] opens a local socket that only this user can join. Git runs with its transports off, and runs
//!   no program that a repository configures.
//!
//! # Where to add
//!
//! - a language: a row in `syntax/language/table.rs`; if it has a grammar, a static in `syntax/grammar.rs` and a folder
//!   in `queries/`
//! - an architecture: a row in `model/config.rs`, and its additional tensors in `model/weights.rs`; there is one
//!   forward pass for processors (`model/decoder.rs`), and one for GPUs on candle's tensors (`model/device.rs`), which
//!   are tested against the same references
//! - a chat format: a row in `model/chat.rs`; a family that fills in the middle: a row in `model/fim/formats.rs`
//! - a pre-tokenizer: a row in `model/tokenizer/pre_tokenizer.rs`; a short name for a model: one in `hub/reference.rs`, and its
//!   file in `hub/known.rs`
//! - a quantisation: a row in `kernels/matmul/layout.rs` and one in `formats.rs`, and the unpacking of its bits in one
//!   file per instruction set there, next to the portable product that tests them
//! - a kind of engine: a folder of `engine/` and a branch in `engine/start.rs`; see [`engine`]
//! - a setting: a row in `config/keys.rs`
//! - a prompt: `prompt/`, the only place with text addressed to a model

pub mod config;
pub mod text;

pub use phi_ls_kernels as kernels;

pub mod hub;
pub mod model;
pub mod private;
pub mod statistics;
pub mod syntax;
pub mod workspace;

pub mod context;
pub mod engine;
pub mod prompt;

pub mod features;
pub mod lsp;

pub mod server;

pub mod cli;

//! phi-ls: a language server that completes code with Phi-3.5-mini and explains it with Phi-4-mini, on the person's own
//! machine, from GGUF files that one process holds for all windows.
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
//!  0  text                        ropes, positions, edits
//!     config -> kernels           settings, exclude globs, the machine and its memory | arithmetic and its memory, a
//!                                 package of its own: `unsafe` only here (and in the file map)
//! ```
//!
//! Inside a row, arrows are the only imports; beside those drawn, engine -> hub (a model's name becomes a file when it is
//! loaded; which certificates are trusted).
//!
//! # One inline completion
//!
//! 1. [`server`]: the protocol library polls the handler, which at its first poll sends an event to the session thread
//!    and then only waits. Messages keep their order, and no lock is ever held.
//! 2. The session finds the document and its tree and lends them to `server/completions`, which answers from memory, waits
//!    for what runs already, or calls [`features::inline_completion::plan`]: the gate (is there anything to ask?), the
//!    [`context`] around the cursor, the [`prompt`], the names that can stand there, where all of them are known.
//! 3. [`engine::Engine::submit`]: the newest job of a document wins. The embedded engine's thread encodes the prompt in the
//!    form that suits the model (as turns, or as the code around the cursor), starts from the longest cached prefix, backs
//!    up over a split word (token healing), prefills in chunks, holds the first name to those that are known, and decodes with
//!    guesses taken from the text (prompt lookup) until a rule of [`engine::StopRules`] ends it.
//!    At a place of which little has been read, a model that reads slowly is asked about the code before the cursor alone; the
//!    whole prompt is read when nobody waits, for the next request.
//! 4. While it is written, [`features::inline_completion::Growth`] says what of it can be shown already. A client that can
//!    show it ([`lsp::growth`]) has its answer then, is told when there is more, and asks again; any other waits for the whole,
//!    or until its time is over.
//! 5. [`features::inline_completion::finish`] makes of the model's text what is worth showing, or nothing.
//! 6. [`lsp`] turns it into protocol types; the handler's wait ends.
//!
//! # One explanation
//!
//! 1. [`server`]: a code action is offered at once and without a model (`server/questions/offers.rs`); it carries a command.
//!    The command's handler sends an event and waits, as any other.
//! 2. The session looks whether the document may be read, and lends it to `server/questions` with what other files may
//!    contribute: the open documents and the index.
//! 3. `Questions::ask` plans: [`features::answering::Plan`] is the code in question with its [`context`], and the [`prompt`].
//! 4. `Questions::begin` chooses whose model answers (the assistant's; the completion model where that does not fit into
//!    memory) and tells the client that it begins; `Questions::submit` hands the job over.
//! 5. The engine's thread loads the model if need be, waits at its gate while somebody waits for a completion, and generates.
//! 6. `Questions::goes_on` shows the answer as it grows, in whichever way the client can (`server/questions/display.rs`).
//! 7. `Questions::done`: the conversation is kept for questions that follow, [`features::answering::Plan::outcome`] makes of
//!    the model's text what it comes to, and `Questions::end` shows that and answers the request.
//!
//! A question whose answer is an edit goes the same way; at 7 the edit is checked, moved to where its code is now
//! (`server/questions/changes.rs`) and sent to the client, or the model is asked once more. The message of a commit is a
//! question about no document: at 2 a thread of its own asks git what is staged ([`workspace::Workspaces::staged`]).
//!
//! # One engine for all windows
//!
//! Every window of an editor has a server of its own; the models are in one process, `phi-ls engine`, that they share
//! ([`engine::shared`]). A server's [`engine::Engine`] is then a handle to a thread that sends jobs there as values, over a local
//! socket in a folder of this person's, and tells their owners what comes back. The first server starts the process, in a session
//! of its own; it leaves `engine.lingerMinutes` after the last. What must match (version, build, models, threads, kernels, budget,
//! [`engine::shared::Setup`]) is in the socket's name; jobs may differ in everything else. There, each role has an embedded engine,
//! and both one gate and one pool; a document is a client's document; a client's end cancels its jobs. A process that dies
//! is said once and started again, and a job of which nothing was told yet is sent again, once.
//!
//! # Who owns what
//!
//! - The session thread owns all state of a session, each piece in one place: `Session` the documents and the settings,
//!   `Completions` what is known and under way for each document, `Questions` those under way, conversations and answers,
//!   `Engines` the two engines. They lend each other values for the time of one event. A rope or a tree clones in constant
//!   time.
//! - Each embedded engine's thread owns one model and its caches. A [`model::KvCache`] belongs to a sequence, never to a
//!   layer; sequences share pages of common beginnings.
//! - [`workspace::Workspaces`] decides which workspace a file belongs to and whether it may enter a prompt; documents, the
//!   index and the command line all ask it.
//! - The [`context::WorkspaceIndex`] holds names and places and which words are in which file, never text; a thread of its own
//!   fills it. What a prompt takes of other files is read when a window is placed: never at an ordinary key. Which names can stand
//!   at a place is looked up at the key that leads there, in the few files that say it; what they say is kept.
//! - Kernels of all models share one [`kernels::pool::ThreadPool`].
//! - What models may take of the memory is decided in [`config::memory`], for everybody who asks.
//! - What differs between processors is measured when the first model is loaded, and kept: [`engine::embedded::tuning`].
//! - Background work, the index of the workspace included, waits at the [`engine::Gate`] while a completion is pending
//!   anywhere; a pass of a model under way waits between its layers.
//!
//! # Invariants
//!
//! - Engine threads never see documents; the session never sees tensors.
//! - Every request is answered exactly once; a superseded one with an empty list, before the newer one.
//! - A completion on the screen only grows, until a person types something else: what has been shown of it is never taken back.
//! - Offsets are bytes inside, and lines end with `\n`. [`lsp`] makes offsets of positions and puts other line endings back;
//!   an event of [`server`] may carry a position that far.
//! - While a person types, one prompt is the beginning of the next: [`context::Anchor`] freezes everything before the
//!   cursor's text. What breaks this costs seconds per key.
//! - Role tags enter a prompt by id. Text, whatever it says, stays text.
//! - A sequence is rotated with one set of factors ([`model::RopeFactors`]) for its whole life.
//! - Nothing reaches another machine but [`hub`], to download, and [`engine::remote`], where the settings name a server.
//!   [`engine::shared`] opens a local socket, which nobody but this person can join.
//!   Git is run with its transports off, and runs no program that a repository configures.
//!
//! # Where to add
//!
//! - a language: a row in `syntax/language/table.rs`; with a grammar, a static in `syntax/grammar.rs` and a folder in
//!   `queries/`
//! - an architecture: a row in `model/config.rs`, and what it has beyond the others in `model/weights.rs`; there is one
//!   forward pass for processors (`model/decoder.rs`), and one for GPUs on candle's tensors (`model/device.rs`), held against
//!   the same references
//! - a chat format: a row in `model/chat.rs`; a family that fills in the middle: a row in `model/fim/formats.rs`
//! - a pre-tokenizer: a row in `model/tokenizer/pre_tokenizer.rs`; a short name for a model: one in `hub/reference.rs`, and its
//!   file in `hub/known.rs`
//! - a quantisation: a row in `kernels/matmul/layout.rs` and one in `formats.rs`, and how its bits are unpacked in one file of
//!   each instruction set there, beside the portable product that tests them
//! - a kind of engine (what makes text of a job): a folder of `engine/` and a place in `engine/start.rs`; see [`engine`]
//! - a setting: a row in `config/keys.rs`
//! - a prompt: `prompt/`, the only place with English addressed to a model

pub mod config;
pub mod text;

pub use phi_ls_kernels as kernels;

pub mod hub;
pub mod model;
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

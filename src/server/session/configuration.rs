//! The sources of the settings, and what is wrong with them. The editor takes precedence over `config.toml`, and the
//! command line over both.

use std::sync::Arc;

use serde_json::Value;
use tower_lsp_server::gen_lsp_types::MessageType;

use super::Session;
use crate::config::{Problem, Settings, Source};
use crate::lsp::to_proto;
use crate::server::completions::in_popup;
use crate::server::outgoing::Outgoing;

/// The layers of settings, and what was reported about them.
pub(super) struct Configuration {
    /// `config.toml` and the command line.
    fixed: Vec<(Source, Value)>,
    /// `initializationOptions`.
    initial: Value,
    /// The last `workspace/didChangeConfiguration`.
    changed: Value,
    untold: Vec<Problem>,
    told: Vec<Problem>,
}

impl Configuration {
    pub(super) fn new(fixed: Vec<(Source, Value)>, problems: Vec<Problem>) -> Self {
        Self { fixed, initial: Value::Null, changed: Value::Null, untold: problems, told: Vec::new() }
    }

    pub(super) fn set_initial(&mut self, value: Value) {
        self.initial = value;
    }

    /// The settings of all layers. Problems are kept until they are reported.
    fn settings(&mut self) -> Settings {
        let mut layers = self.fixed.clone();
        layers.push((Source::Editor, self.initial.clone()));
        layers.push((Source::Editor, self.changed.clone()));
        let (settings, problems) = Settings::from_layers(&layers);
        for problem in problems {
            self.note(problem);
        }
        settings
    }

    fn note(&mut self, problem: Problem) {
        if !self.told.contains(&problem) && !self.untold.contains(&problem) {
            self.untold.push(problem);
        }
    }
}

impl Session {
    /// Handles the notification. A client that sends it without settings expects to be asked for them.
    pub(super) fn configuration_changed(&mut self, settings: Value) {
        if settings.is_null() && self.client.configuration {
            self.to_client.send(Outgoing::PullConfiguration(self.sender.clone()));
        } else {
            self.configure(settings);
        }
    }

    /// Replaces the editor's last settings with `settings`.
    pub(super) fn configure(&mut self, settings: Value) {
        self.configuration.changed = settings;
        self.apply_settings();
        self.offer_popup();
        self.tell_problems();
    }

    /// Announces completions for the popup to a client that was not told about them at the start.
    fn offer_popup(&mut self) {
        let is_wanted = in_popup(self.client, &self.settings.completion);
        if is_wanted && !self.is_in_popup && self.client.dynamic_completion {
            self.is_in_popup = true;
            self.to_client.send(Outgoing::Register(to_proto::completion_in_popup()));
        }
    }

    /// Reads all layers again and applies the settings everywhere.
    pub(super) fn apply_settings(&mut self) {
        let settings = self.configuration.settings();
        if settings == self.settings {
            return;
        }
        if settings.exclude != self.settings.exclude {
            // The index was built with other globs.
            self.indexer = None;
            self.forget_other_files();
            Arc::make_mut(&mut self.workspaces).set_exclude(&settings.exclude);
        }
        if !settings.completion.other_files && self.settings.completion.other_files {
            self.forget_other_files();
        }
        self.settings = settings;
        self.completions.configure(&self.settings.completion);
        self.questions.configure(&self.settings.assistant);
        self.look_at_documents();
        let has_documents = self.documents.iter().next().is_some();
        if !self.settings.completion.enabled || (has_documents && !self.wants_completions()) {
            self.engines.completion.turn_off();
        }
        self.engines.configure(&self.settings);
        self.load_if_wanted();
        self.index_workspaces();
    }

    /// Tells the person once which settings are ignored.
    pub(super) fn tell_problems(&mut self) {
        let problems = std::mem::take(&mut self.configuration.untold);
        for problem in &problems {
            tracing::warn!("{problem}");
            self.to_client.message(MessageType::Warning, &problem.to_string());
        }
        self.configuration.told.extend(problems);
    }
}

//! `phi-ls serve`: the language server on standard input and output.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, bail};

use super::replay::trace::Recorder;
use crate::config::{self, Settings, Source};
use crate::engine::embedded::{self, Loader};
use crate::hub::ModelRef;
use crate::model::{LoadOptions, ModelError};
use crate::private;
use crate::server::{self, Ended, Observer, ServerOptions};
use crate::statistics;

// These flags take precedence over all settings.
#[derive(clap::Args, Default, PartialEq)]
pub(super) struct ServeArgs {
    /// The model that completes code: a path to a .gguf file, a short name, or hf:OWNER/REPO/FILE
    #[arg(long, value_name = "MODEL")]
    completion_model: Option<String>,
    /// The model that answers questions, named in the same ways
    #[arg(long, value_name = "MODEL")]
    assistant_model: Option<String>,
    /// Number of threads to compute with; 0 uses one per physical core
    #[arg(long, value_parser = super::threads_parser())]
    threads: Option<usize>,
    /// Record what the editor sends in this file, for `phi-ls replay`; it will contain the text of your documents
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Accepted because many editors pass it; standard input and output are the only transport
    #[arg(long, hide = true)]
    stdio: bool,
}

pub(super) fn serve(args: &ServeArgs) -> anyhow::Result<()> {
    let (file, problems) = config::default_file().map_or_else(Default::default, |path| config::read_file(&path));
    let observer = match &args.record {
        Some(path) => Some(Arc::new(Recorder::create(path)?) as Arc<dyn Observer>),
        None => None,
    };
    let options = ServerOptions {
        observer,
        settings: vec![(Source::File, file), (Source::Flags, args.settings())],
        problems,
        engine_program: std::env::current_exe().ok(),
        statistics: statistics::file(),
        kept: private::folder(),
        ..ServerOptions::new(Arc::new(loader()))
    };
    match server::run_stdio(options).context("cannot start the server")? {
        Ended::Orderly => Ok(()),
        Ended::Abrupt => bail!("the client disconnected without `shutdown` and `exit`"),
    }
}

impl ServeArgs {
    /// The flags as settings.
    fn settings(&self) -> serde_json::Value {
        let mut settings = serde_json::Map::new();
        // If a model is named, it is used instead of a server.
        if let Some(model) = &self.completion_model {
            settings.insert("completion.backend".to_owned(), "embedded".into());
            settings.insert("completion.model".to_owned(), model.as_str().into());
        }
        if let Some(model) = &self.assistant_model {
            settings.insert("assistant.backend".to_owned(), "embedded".into());
            settings.insert("assistant.model".to_owned(), model.as_str().into());
        }
        if let Some(threads) = self.threads {
            settings.insert("threads".to_owned(), threads.into());
        }
        settings.into()
    }
}

/// Loaders for the models that settings name.
pub(super) fn loader() -> impl Fn(&str, &Settings) -> Loader + Send + Sync {
    let shared = SharedPool::default();
    move |model, settings| match model.parse::<ModelRef>() {
        Ok(reference) => embedded::load::loader(reference, shared.options(settings)),
        Err(error) => {
            let message = error.to_string();
            Box::new(move |_| Err(ModelError::Missing(message.clone())))
        }
    }
}

/// The thread pool that all models of the process share. If the setting `threads` changes, the models are loaded again,
/// and the first one creates a new pool.
#[derive(Default)]
struct SharedPool {
    /// The number of threads that it was created for.
    made: Mutex<Option<(usize, LoadOptions)>>,
}

impl SharedPool {
    /// How models are loaded with `settings`.
    fn options(&self, settings: &Settings) -> LoadOptions {
        LoadOptions { kv_type: settings.kv_cache_type.into(), ..self.with(settings.threads) }
    }

    fn with(&self, threads: usize) -> LoadOptions {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let known = made.take().filter(|(asked, _)| *asked == threads);
        made.insert(known.unwrap_or_else(|| (threads, super::load_options(threads)))).1.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::KvCacheType;
    use crate::kernels::attention::KvType;

    #[test]
    fn models_are_loaded_as_the_settings_say() {
        let shared = SharedPool::default();
        for (kv_cache_type, kv_type) in [(KvCacheType::F16, KvType::F16), (KvCacheType::Q8_0, KvType::Q8_0)] {
            let options = shared.options(&Settings { threads: 2, kv_cache_type, ..Settings::default() });
            assert_eq!((options.pool.threads(), options.kv_type), (2, kv_type));
        }
    }

    #[test]
    fn models_share_a_pool_until_the_number_of_threads_changes() {
        let shared = SharedPool::default();
        let (first, second) = (shared.with(1), shared.with(1));
        assert!(Arc::ptr_eq(&first.pool, &second.pool));
        assert_eq!((first.pool.threads(), shared.with(2).pool.threads()), (1, 2));
    }
}

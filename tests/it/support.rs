//! What several areas of the tests share.

pub(crate) mod allocations;
pub(crate) mod documents;
pub(crate) mod model_server;
pub(crate) mod scripted_model;
pub(crate) mod test_options;
pub(crate) mod test_server;
pub(crate) mod tiny_gguf;

/// The starter model in the folder `PHI_LS_MODELS`. If it is missing, CI fails, and any other run prints that it skips
/// the test.
pub(crate) fn starter() -> Option<std::path::PathBuf> {
    let folder = std::env::var_os("PHI_LS_MODELS").unwrap_or_default();
    let path = std::path::Path::new(&folder).join("SmolLM2-135M-Instruct.Q4_1.gguf");
    if path.is_file() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "expected the starter model at {}", path.display());
    println!("skipped: no starter model; set PHI_LS_MODELS to a folder that `phi-ls pull starter` filled");
    None
}

//! Paths as a person writes them in settings and flags: `~` is the home folder.

use std::path::{Path, PathBuf};

/// `path` with the home folder for a leading `~`.
pub fn in_home(path: &Path) -> PathBuf {
    let home = directories::BaseDirs::new().map(|folders| folders.home_dir().to_owned());
    match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leading_tilde_is_the_home_folder() {
        let home = directories::BaseDirs::new().expect("a home folder");
        assert_eq!(in_home(Path::new("~/models/x.gguf")), home.home_dir().join("models/x.gguf"));
        assert_eq!(in_home(Path::new("~")), home.home_dir());
        for other in ["/a/~/x", "a/~", "~other/x", ""] {
            assert_eq!(in_home(Path::new(other)), Path::new(other));
        }
    }
}

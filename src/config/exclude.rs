//! Which files never enter a prompt, neither as the current file nor as a snippet: what looks like a secret, what the
//! settings name, and what ignore files name.

use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use ignore::gitignore::{Gitignore, GitignoreBuilder};

/// Globs of files that look like secrets. As in `exclude`, later ones win and `!` takes files out again.
pub const SECRETS: &[&str] = &[
    // Environments and tokens of package managers, databases and clouds.
    ".env*",
    "*.env",
    ".netrc",
    "_netrc",
    ".npmrc",
    ".pypirc",
    ".pgpass",
    ".my.cnf",
    ".htpasswd",
    ".git-credentials",
    ".dockercfg",
    ".docker/config.json",
    ".kube/config",
    "kubeconfig",
    ".aws",
    ".azure",
    ".gcloud",
    ".ssh",
    ".gnupg",
    ".terraformrc",
    "*.tfvars",
    "*.tfstate*",
    ".cargo/credentials*",
    ".m2/settings.xml",
    // Keys, certificates and password stores.
    "*.pem",
    "*.key",
    "*.p8",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.keystore",
    "*.crt",
    "*.cert",
    "*.cer",
    "*.der",
    "*.asc",
    "*.gpg",
    "*.ppk",
    "*.kdb",
    "*.kdbx",
    "*.ovpn",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    // Files named after what they hold.
    "credentials",
    "credentials.*",
    "*credentials.json",
    "client_secret*.json",
    "service-account*.json",
    "service_account*.json",
    "secret.*",
    "secrets.*",
    "*.secret",
    "*.secrets",
    // In compiled languages a file with such a name is code about secrets, not their store.
    "!{credentials,secret,secrets}.{rs,go,c,h,cc,cpp,cxx,hpp,cs,java,kt,scala,swift,ts,tsx}",
];

/// Names of the ignore files, lowest priority first.
const IGNORE_FILES: [&str; 2] = [".gitignore", ".phi-lsignore"];

/// Matches paths against [`SECRETS`] and the globs of `exclude`. Pure: it never looks at a file.
///
/// A glob matches a file or folder of that name at any depth, with everything in it; one that starts with `/` only at
/// the root of the workspace. Upper and lower case are the same.
#[derive(Debug, Clone)]
pub struct ExcludeMatcher {
    globs: GlobSet,
    /// For each glob of `globs`, whether it takes files out again.
    inclusions: Vec<bool>,
}

impl ExcludeMatcher {
    /// A matcher of the built-in globs and then `exclude`; a glob that cannot be read is left out (reading the
    /// settings has reported it).
    pub fn new(exclude: &[String]) -> Self {
        let mut builder = GlobSetBuilder::new();
        let mut inclusions = Vec::new();
        for glob in SECRETS.iter().copied().chain(exclude.iter().map(String::as_str)) {
            let (pattern, is_inclusion) = glob.strip_prefix('!').map_or((glob, false), |pattern| (pattern, true));
            // Both or none: the file or folder itself, and what is in it.
            if let (Ok(itself), Ok(inside)) = (compile(pattern, ""), compile(pattern, "/**")) {
                builder.add(itself).add(inside);
                inclusions.extend([is_inclusion; 2]);
            }
        }
        Self { globs: builder.build().unwrap_or_default(), inclusions }
    }

    /// Whether the file at `path` must stay out of prompts; `path` is relative to its workspace where it has one.
    pub fn excludes(&self, path: &Path) -> bool {
        let last = self.globs.matches(path).into_iter().max();
        last.is_some_and(|index| !self.inclusions[index])
    }
}

impl Default for ExcludeMatcher {
    fn default() -> Self {
        Self::new(&[])
    }
}

fn compile(pattern: &str, tail: &str) -> Result<globset::Glob, globset::Error> {
    let pattern = pattern.trim_end_matches('/');
    let anchored = match pattern.strip_prefix('/') {
        Some(rooted) => format!("{rooted}{tail}"),
        None => format!("**/{pattern}{tail}"),
    };
    GlobBuilder::new(&anchored).case_insensitive(true).literal_separator(true).build()
}

/// Checks one glob of `exclude`.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check_glob(glob: &str) -> Result<(), String> {
    let pattern = glob.strip_prefix('!').unwrap_or(glob);
    if pattern.trim_matches('/').is_empty() {
        return Err(format!("expected a glob, found `{glob}`"));
    }
    compile(pattern, "").map(drop).map_err(|error| format!("`{glob}` is no glob: {}", error.kind()))
}

/// Whether ignore files between `root` and the file `path` in it say to ignore it. Reads those files, and nothing
/// where `path` is not under `root`. The deepest folder decides, in it `.phi-lsignore` before `.gitignore`.
pub fn ignored_by_files(root: &Path, path: &Path) -> bool {
    let Some(folder) = path.parent().filter(|folder| folder.starts_with(root)) else { return false };
    let folders = folder.ancestors().take_while(|folder| folder.starts_with(root));
    let decision = folders.map(read_ignore_files).find_map(|ignore| {
        let matched = ignore.matched_path_or_any_parents(path, false);
        (!matched.is_none()).then(|| matched.is_ignore())
    });
    decision.unwrap_or(false)
}

/// The rules of one folder's ignore files. A line that cannot be read is skipped, as git does.
fn read_ignore_files(folder: &Path) -> Gitignore {
    let mut builder = GitignoreBuilder::new(folder);
    for name in IGNORE_FILES {
        let file = folder.join(name);
        if file.is_file() {
            builder.add(file);
        }
    }
    builder.build().unwrap_or_else(|_| Gitignore::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(exclude: &[&str], path: &str, expected: bool) {
        let exclude: Vec<String> = exclude.iter().map(|&glob| glob.to_owned()).collect();
        assert_eq!(ExcludeMatcher::new(&exclude).excludes(Path::new(path)), expected, "{path} with {exclude:?}");
    }

    #[test]
    fn files_that_look_like_secrets_are_excluded() {
        for path in [
            ".env",
            "deploy/.env.production",
            "prod.env",
            "tls/server.pem",
            "SERVER.KEY",
            "a/id_rsa",
            "id_ed25519.pub",
            "/home/me/.ssh/config",
            "/home/me/.aws/credentials",
            "config/credentials.json",
            "config/secrets.yaml",
            "app/secrets.py",
            "my-credentials.json",
            ".npmrc",
            ".netrc",
            "vault.kdbx",
            "infra/prod.tfvars",
        ] {
            check(&[], path, true);
        }
    }

    #[test]
    fn ordinary_files_are_not() {
        for path in [
            "src/main.rs",
            "environment.py",
            "src/keys.rs",
            "monkey.c",
            "src/credentials.rs",
            "pem/read.go",
            "README.md",
        ] {
            check(&[], path, false);
        }
    }

    #[test]
    fn settings_add_globs_and_take_some_out() {
        check(&["generated/**"], "a/generated/x.rs", true);
        check(&["generated"], "a/generated/deep/x.rs", true);
        check(&["/generated"], "a/generated/x.rs", false);
        check(&["/generated"], "generated/x.rs", true);
        check(&["*.lock"], "Cargo.lock", true);
        check(&["!.env.example"], ".env.example", false);
        check(&["!.env.example"], ".env", true);
        check(&["*.lock", "!Cargo.lock"], "sub/Cargo.lock", false);
    }

    #[test]
    fn globs_are_checked() {
        assert!(check_glob("src/[a-z]*.rs").is_ok());
        assert!(check_glob("[").unwrap_err().starts_with("`[` is no glob: "));
        assert_eq!(check_glob("!").unwrap_err(), "expected a glob, found `!`");
    }

    #[test]
    fn ignore_files_from_the_root_to_the_file_count() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let write = |name: &str, text: &str| {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().expect("has a folder")).expect("folder");
            std::fs::write(path, text).expect("file");
        };
        write(".gitignore", "build/\n*.log\n");
        write(".phi-lsignore", "/private\n!keep.log\n");
        write("sub/.gitignore", "!debug.log\ngen.rs\n");
        let ignored = |name: &str| ignored_by_files(root.path(), &root.path().join(name));
        assert!(ignored("a.log"));
        assert!(ignored("build/deep/x.rs"));
        assert!(ignored("private/x.rs"));
        assert!(ignored("sub/gen.rs"));
        assert!(!ignored("gen.rs"));
        assert!(!ignored("keep.log"));
        assert!(!ignored("sub/debug.log"));
        assert!(!ignored("src/main.rs"));
        assert!(!ignored_by_files(root.path(), Path::new("/elsewhere/a.log")));
    }
}

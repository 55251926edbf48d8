//! Which files never enter a prompt, wherever they are: those that look like secrets, and those that the settings
//! exclude. Ignore files are read in [`crate::workspace`].

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// Globs of files that look like secrets, matched at any depth; as in `exclude`, later ones win and `!` takes files out
/// again. Secrets are files: no folder is excluded because of its name, but those in which programs keep nothing else.
pub const SECRETS: &[&str] = &[
    // Files named after what they hold.
    "credentials",
    "credentials.*",
    "*credentials.json",
    "secret",
    "secrets",
    "secret.*",
    "secrets.*",
    "kubeconfig",
    "kubeconfig.*",
    "*.kubeconfig",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    // What programs keep in a person's home folder.
    ".ssh/**",
    ".gnupg/**",
    ".gcloud/**",
    ".config/gcloud/**",
    ".config/gh/hosts.yml",
    ".aws/config",
    ".aws/{cli,sso}/cache/**",
    ".azure/{azureProfile.json,*token*,*.bin}",
    ".kube/**",
    ".docker/config.json",
    ".cargo/credentials*",
    ".m2/settings*.xml",
    // Source code is code, whatever its name says it is about, and so is documentation.
    "!*.{rs,py,pyi,pyw,js,mjs,cjs,jsx,ts,mts,cts,tsx,go,c,h,cpp,cc,cxx,hpp,hh,hxx,ipp,java}",
    "!*.{kt,kts,scala,sc,groovy,clj,cljs,cljc,cs,fs,fsx,vb,swift,m,mm,dart,zig,nim,d,rb,php,pl,pm,lua,r,jl,tcl}",
    "!*.{hs,ml,mli,ex,exs,erl,hrl,el,lisp,scm,rkt,pas,ada,adb,ads,f90,f95,sol,v,sv,vhd,cu,asm,s}",
    "!*.{sh,bash,zsh,fish,ps1,sql,proto,thrift,graphql,gql,tf,nix,cmake,bzl,html,css,scss,less,vue,svelte,astro}",
    "!*.{md,mdx,rst,adoc,org,tex}",
    // Environments and tokens of package managers, databases and clouds.
    "*.env",
    ".env*",
    ".envs/**",
    ".netrc",
    "_netrc",
    ".npmrc",
    ".pypirc",
    ".pgpass",
    ".my.cnf",
    ".s3cfg",
    ".boto",
    "{.,}htpasswd",
    ".git-credentials",
    ".dockercfg",
    ".dockerconfigjson",
    ".terraformrc",
    ".vault-token",
    ".vault_pass*",
    "*.tfvars",
    "*.tfvars.json",
    "*.tfstate*",
    "client_secret*.json",
    "service-account*.json",
    "service_account*.json",
    "*firebase-adminsdk*.json",
    "*.secret",
    "*.secrets",
    "{token,password,passwords,passwd,apikey,api_key,api-key}",
    "{token,password,passwords,passwd,apikey,api_key,api-key}.txt",
    "*.token",
    "env.{production,prod,staging,development,dev,local}",
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
    // Code that by custom holds nothing but secrets.
    "arduino_secrets.h",
    "wp-config.php",
    "{credentials,secret,secrets}.{sh,bash,zsh,fish,ps1}",
    // Examples that are meant to be copied and filled in contain none.
    "!*.{example,sample,template,dist,defaults,schema}",
    "!*.{example,sample,template,dist}.{env,json,yaml,yml,toml,ini,conf,properties,xml,tfvars,sh}",
    "!{example,sample,template}.env",
    "!.env{-,_}{example,sample,template,dist,defaults}",
    "!.env.d.ts",
    // The files of version control: addresses with tokens in them, credentials, texts of any branch. Only the messages
    // in there are written by a person.
    ".git/**",
    "*.git/config",
    ".hg/**",
    ".svn/**",
    ".jj/**",
    "!.git/**/{COMMIT,TAG,NOTES,PULLREQ}_EDITMSG",
    "!.git/**/{MERGE,SQUASH}_MSG",
    "!.git/**/git-rebase-todo",
    // What processes were started with.
    "proc/**/{environ,cmdline}",
];

/// What people and editors add to the name of a copy, the longest first. A copy of a secret is one.
const COPIES: [&str; 9] = [".backup", ".orig", ".save", ".bak", ".old", ".swp", ".swo", ".tmp", "~"];

/// Why a file is excluded, as the end of a sentence whose subject is the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exclusion {
    /// The glob of [`SECRETS`].
    Secret(String),
    /// The glob of the setting `exclude`.
    Setting(String),
}

impl fmt::Display for Exclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(glob) => write!(f, "looks like a secret (`{glob}`)"),
            Self::Setting(glob) => write!(f, "the setting `exclude` names it (`{glob}`)"),
        }
    }
}

/// Matches paths against [`SECRETS`] and the globs of `exclude`. Pure: it never looks at a file.
///
/// A glob of `exclude` matches a file or folder of that name at any depth, with everything in it; one that starts with
/// `/` only at the root of the workspace. Upper and lower case are the same.
#[derive(Debug, Clone, Default)]
pub struct ExcludeMatcher {
    settings: Globs,
}

impl ExcludeMatcher {
    /// A matcher of the built-in globs and then `exclude`; a glob that cannot be read is left out (reading the
    /// settings has reported it).
    pub fn new(exclude: &[String]) -> Self {
        Self { settings: Globs::new(exclude.iter().map(String::as_str), &["", "/**"]) }
    }

    /// Why the file at `path` must stay out of prompts, if it must; `relative` is the same path from the root of its
    /// workspace where it has one.
    pub fn exclusion(&self, path: &Path, relative: &Path) -> Option<Exclusion> {
        match self.settings.last_match(relative) {
            Some(glob) => (!glob.starts_with('!')).then(|| Exclusion::Setting(glob.to_owned())),
            None => {
                let original = || BUILT_IN.last_match(&original(path)?);
                let glob = BUILT_IN.last_match(path).or_else(original).filter(|glob| !glob.starts_with('!'))?;
                Some(Exclusion::Secret(glob.to_owned()))
            }
        }
    }
}

/// The file that `path` is a copy of by its name, if it is one: `server.pem` of `server.pem.old`, `.netrc` of `.netrc~`, and
/// `id.key` of Vim's `.id.key.swp`.
fn original(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let copy = COPIES.iter().find(|copy| name.ends_with(**copy))?;
    let name = name.strip_suffix(copy)?;
    let is_vims = copy.starts_with(".sw") && name.get(1..).is_some_and(|name| name.contains('.'));
    Some(path.with_file_name(if is_vims { name.strip_prefix('.').unwrap_or(name) } else { name }))
}

static BUILT_IN: LazyLock<Globs> = LazyLock::new(|| Globs::new(SECRETS.iter().copied(), &[""]));

/// Globs in order; the last one that matches counts.
#[derive(Debug, Clone, Default)]
struct Globs {
    set: GlobSet,
    /// For each glob of `set`, the pattern as it was written.
    patterns: Vec<String>,
}

impl Globs {
    /// Each of `patterns` with each of `tails` after it.
    fn new<'a>(patterns: impl Iterator<Item = &'a str>, tails: &[&str]) -> Self {
        let mut builder = GlobSetBuilder::new();
        let mut written = Vec::new();
        for pattern in patterns {
            let compiled: Result<Vec<_>, _> =
                tails.iter().map(|tail| compile(pattern.strip_prefix('!').unwrap_or(pattern), tail)).collect();
            for glob in compiled.into_iter().flatten() {
                builder.add(glob);
                written.push(pattern.to_owned());
            }
        }
        Self { set: builder.build().unwrap_or_default(), patterns: written }
    }

    /// The last pattern that matches `path`.
    fn last_match(&self, path: &Path) -> Option<&str> {
        let last = self.set.matches(path).into_iter().max()?;
        self.patterns.get(last).map(String::as_str)
    }
}

fn compile(pattern: &str, tail: &str) -> Result<globset::Glob, globset::Error> {
    let pattern = pattern.trim_end_matches('/');
    let anchored = match pattern.strip_prefix('/') {
        Some(rooted) => format!("{rooted}{tail}"),
        None => format!("**/{pattern}{tail}"),
    };
    GlobBuilder::new(&anchored).case_insensitive(true).literal_separator(true).empty_alternates(true).build()
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
    compile(pattern, "").map(drop).map_err(|error| format!("`{glob}` is not a glob: {}", error.kind()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exclusion(exclude: &[&str], path: &str) -> Option<String> {
        let exclude: Vec<String> = exclude.iter().map(|&glob| glob.to_owned()).collect();
        ExcludeMatcher::new(&exclude).exclusion(Path::new(path), Path::new(path)).map(|found| found.to_string())
    }

    fn check(exclude: &[&str], path: &str, expected: bool) {
        let found = exclusion(exclude, path);
        assert_eq!(found.is_some(), expected, "{path} with {exclude:?}: {found:?}");
    }

    #[test]
    fn files_that_look_like_secrets_are_excluded() {
        for path in [
            ".env",
            ".env.local",
            ".envrc",
            "deploy/.env.production",
            "prod.env",
            ".envs/.production/.django",
            "tls/server.pem",
            "SERVER.KEY",
            "config/master.key",
            "a/id_rsa",
            "id_ed25519.pub",
            "/home/me/.ssh/config",
            "/home/me/.ssh/authorized_keys",
            "/home/me/.aws/credentials",
            "/home/me/.aws/config",
            "/home/me/.aws/sso/cache/0123.json",
            "/home/me/.azure/msal_token_cache.json",
            "/home/me/.kube/config",
            "/home/me/.config/gcloud/access_tokens.db",
            "/home/me/.docker/config.json",
            "/home/me/.cargo/credentials.toml",
            "/home/me/.m2/settings.xml",
            "/home/me/.gnupg/trustdb.gpg",
            "credentials",
            "config/credentials.json",
            "config/credentials.yml.enc",
            "application_default_credentials.json",
            "my-credentials.json",
            "config/secrets.yaml",
            "secrets.txt",
            "secrets.sh",
            "deploy/secret.yml",
            "kubeconfig",
            "kubeconfig.yaml",
            "admin.kubeconfig",
            "client_secret_42.apps.json",
            "service-account-prod.json",
            "app-firebase-adminsdk-x.json",
            ".npmrc",
            ".netrc",
            ".pypirc",
            ".git-credentials",
            ".htpasswd",
            ".vault-token",
            "vault.kdbx",
            "infra/prod.tfvars",
            "infra/terraform.tfstate.backup",
            "release.keystore",
            "sketch/arduino_secrets.h",
            "blog/wp-config.php",
            ".git/config",
            ".git/hooks/pre-push.sh",
            ".git/modules/dep/config",
            ".git/worktrees/side/config.worktree",
            "/srv/project.git/config",
            ".hg/hgrc",
            "/proc/1/environ",
            "/proc/1/task/2/environ",
            "token.txt",
            "deploy/password.txt",
            "github.token",
            "deploy/env.production",
            "tls/server.pem.old",
            "master.key.bak",
            ".netrc~",
            ".git-credentials.orig",
            ".id.key.swp",
        ] {
            check(&[], path, true);
        }
    }

    #[test]
    fn code_about_secrets_and_examples_are_not() {
        for path in [
            "src/main.rs",
            "environment.py",
            "src/keys.rs",
            "monkey.c",
            "src/credentials.rs",
            "src/secrets.rs",
            "lib/secrets.py",
            "google/oauth2/credentials.py",
            "botocore/credentials.py",
            "auth/credentials/__init__.py",
            "auth/credentials/README.txt",
            "aws/credentials/chain_provider.go",
            "aws/credentials/testdata/shared_config.ini",
            "cmd/kubeadm/app/phases/kubeconfig/kubeconfig.go",
            "cmd/kubeadm/app/phases/kubeconfig/testdata/plain.txt",
            "pkg/credentialprovider/secrets/secrets.go",
            "src/secret.ts",
            "secrets/Makefile",
            "hack/kubeconfig.sh",
            "docs/credentials.md",
            "docs/secrets.rst",
            "modules/secrets.tf",
            "tests/id_rsa_test.go",
            "pem/read.go",
            ".env/lib/python3.12/site-packages/pip/main.py",
            ".ssh/deploy.py",
            ".aws/task-definition.json",
            ".azure/pipelines.yml",
            ".docker/Dockerfile",
            ".env.example",
            ".env.sample",
            ".env.template",
            ".env.production.example",
            ".env-example",
            "deploy/.env_sample",
            "src/keys.rs.bak",
            "README.md~",
            ".main.rs.swp",
            "deploy/.env.dist",
            "example.env",
            "sample.env",
            "config/secrets.example.yaml",
            "credentials.json.sample",
            "infra/terraform.tfvars.example",
            "README.md",
            "env.d.ts",
            "Cargo.toml",
            "wp-config-sample.php",
            ".git/COMMIT_EDITMSG",
            ".git/worktrees/side/MERGE_MSG",
            ".github/workflows/ci.yml",
            ".gitignore",
            "models/tokens.txt",
            "proc/environ.c",
            "token/README.txt",
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
        check(&["!.env.test"], ".env.test", false);
        check(&["!.env.test"], ".env", true);
        check(&["*.lock", "!Cargo.lock"], "sub/Cargo.lock", false);
    }

    #[test]
    fn the_rule_is_named() {
        assert_eq!(exclusion(&[], "a/.env.local").as_deref(), Some("looks like a secret (`.env*`)"));
        let named = exclusion(&["a", "generated"], "generated/x.rs");
        assert_eq!(named.as_deref(), Some("the setting `exclude` names it (`generated`)"));
    }

    #[test]
    fn globs_are_checked() {
        assert!(check_glob("src/[a-z]*.rs").is_ok());
        assert!(check_glob("[").unwrap_err().starts_with("`[` is not a glob: "));
        assert_eq!(check_glob("!").unwrap_err(), "expected a glob, found `!`");
    }
}

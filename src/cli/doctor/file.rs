//! `phi-ls doctor FILE`: what applies to one file, and by which rule.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::cli::place::{check_is_file, read_text, workspaces_around};
use crate::config::{Enabled, Exclusion, Settings};
use crate::features::completability::why_not_completed;
use crate::features::inline_completion::Skip;
use crate::syntax::{Language, names_of};
use crate::text::{Rope, is_binary_around};
use crate::workspace::{FileLocation, Refusal};

/// What applies to a file.
struct FileFindings {
    file: PathBuf,
    place: FileLocation,
    language: Option<&'static Language>,
    /// The work tree it is in, and whether git tracks it.
    repository: Option<(PathBuf, bool)>,
    refusal: Option<Refusal>,
    enabled: Enabled,
    reason: Option<String>,
}

/// Prints what applies to the file at `path`.
///
/// # Errors
/// If there is no such file.
pub(super) fn doctor_file(path: &Path, settings: &Settings, as_json: bool) -> anyhow::Result<()> {
    let findings = FileFindings::collect(path, settings)?;
    if as_json {
        println!("{}", serde_json::to_string_pretty(&findings.to_json())?);
    } else {
        findings.print();
    }
    Ok(())
}

/// Why the file at `path` gets no completions because of its content, if that is so.
fn no_text(path: &Path) -> Option<String> {
    let reason = match read_text(path) {
        Ok(text) if !is_binary_around(&Rope::from_str(&text), 0..0) => return None,
        Ok(_) => Skip::Binary.to_string(),
        Err(error) => format!("{error:#}"),
    };
    Some(format!("not completed: {reason}"))
}

impl FileFindings {
    fn collect(path: &Path, settings: &Settings) -> anyhow::Result<Self> {
        let shown = path.display();
        check_is_file(path)?;
        let file = std::path::absolute(path).with_context(|| format!("cannot find {shown}"))?;
        let workspaces = workspaces_around(&file, &settings.exclude);
        let refusal = workspaces.refusal(&file);
        let language = Language::by_path(&file);
        let language_id = language.map_or("", |language| language.id);
        Ok(Self {
            place: workspaces.location_of(&file),
            repository: workspaces.in_repository(&file),
            reason: why_not_completed(refusal.as_ref(), &settings.completion, language_id).or_else(|| no_text(&file)),
            enabled: settings.completion.language(names_of(language_id)),
            language,
            refusal,
            file,
        })
    }

    fn to_json(&self) -> Value {
        let rule = self.refusal.as_ref().map(|refusal| match refusal {
            Refusal::Excluded(Exclusion::Secret(glob)) => json!({"kind": "secret", "pattern": glob}),
            Refusal::Excluded(Exclusion::Setting(glob)) => json!({"kind": "setting", "pattern": glob}),
            Refusal::Ignored { file, line, pattern, .. } => {
                json!({"kind": "ignore-file", "file": file, "line": line, "pattern": pattern})
            }
        });
        json!({
            "file": self.file,
            "real_file": self.place.file,
            "root": self.place.root,
            "shown_path": self.place.shown,
            "language": self.language.map(|language| language.id),
            "git": self.repository.as_ref().map(|(work_tree, tracked)| json!({"work_tree": work_tree, "tracked": tracked})),
            "completed": self.reason.is_none(),
            "by_hand_only": self.reason.is_none() && self.enabled == Enabled::Manual,
            "enters_prompts": self.refusal.is_none(),
            "reason": self.reason,
            "rule": rule,
        })
    }

    fn print(&self) {
        println!("{}", self.file.display());
        if self.place.file != self.file {
            println!("  link to           {}", self.place.file.display());
        }
        match &self.place.root {
            Some(root) => println!("  workspace         {}", root.display()),
            None => println!("  workspace         none (no repository and no manifest in the folders above)"),
        }
        println!("  path in prompts   {}", self.place.shown.display());
        let language =
            self.language.map_or("none with a grammar (the editor may name another)", |language| language.id);
        println!("  language          {language}");
        match &self.repository {
            Some((work_tree, tracked)) => {
                println!(
                    "  git               {} in {}",
                    if *tracked { "tracked" } else { "not tracked" },
                    work_tree.display()
                );
            }
            None => println!("  git               not in a repository"),
        }
        println!("  may be read       {}", if self.refusal.is_none() { "yes" } else { "no" });
        match (&self.reason, self.enabled) {
            (Some(reason), _) => println!("  completions       {reason}"),
            (None, Enabled::Manual) => {
                println!("  completions       only when you ask for one (completion.languages is \"manual\")")
            }
            (None, _) => println!("  completions       yes"),
        }
        match &self.refusal {
            Some(Refusal::Ignored { file, line, pattern, .. }) => {
                println!("  rule              {}:{line}: {pattern}", file.display());
            }
            Some(Refusal::Excluded(Exclusion::Secret(glob))) => {
                println!("  rule              built in: {glob} (`!GLOB` in the setting `exclude` allows a file)");
            }
            Some(Refusal::Excluded(Exclusion::Setting(glob))) => {
                println!("  rule              the setting `exclude`: {glob}")
            }
            None => {}
        }
    }
}

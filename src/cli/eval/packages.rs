//! The packages that completions are measured on if no project is named.

use std::path::Path;

use anyhow::{Context as _, bail};

use super::project::Project;
use crate::hub::SourcePackage;
use crate::syntax::Language;

const LIST: &str = include_str!("packages.txt");

/// A package of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Listed {
    /// The language of the files in which holes are cut.
    language: &'static str,
    package: SourcePackage,
    /// The part of it that is opened as a workspace.
    folder: &'static str,
}

/// The packages of the list, or those in `language`, each downloaded into `folder` unless it is already there. A
/// package that cannot be downloaded is skipped with a message.
pub(super) fn projects(folder: &Path, language: Option<&str>) -> anyhow::Result<Vec<Project>> {
    let wanted = language.map(|name| Language::by_id(name).map_or(name, |language| language.id));
    let all: Vec<Listed> = LIST.lines().filter_map(listed).collect();
    let mut projects = Vec::new();
    for listed in all.iter().filter(|listed| wanted.is_none_or(|wanted| listed.language == wanted)) {
        match project(listed, &all, folder) {
            Ok(project) => projects.push(project),
            Err(error) => eprintln!("phi-ls: {error:#}; continuing without it"),
        }
    }
    if projects.is_empty() {
        let mut languages: Vec<&str> = all.iter().map(|listed| listed.language).collect();
        languages.dedup();
        bail!("expected a package in one of {}, found none that could be downloaded", languages.join(", "));
    }
    Ok(projects)
}

/// The project of the package `listed`; `all` are the packages of the list.
fn project(listed: &Listed, all: &[Listed], folder: &Path) -> anyhow::Result<Project> {
    let package = listed.package.to_string();
    let is_alone = all.iter().filter(|other| other.package == listed.package).count() == 1;
    let name = if is_alone { package.clone() } else { format!("{package} {}", listed.folder) };
    let root = listed.package.fetch(folder)?.join(listed.folder);
    Project::read(&name, &root, Some(listed.language)).context(package)
}

/// The package on a line of the list; `None` for a line without one.
fn listed(line: &'static str) -> Option<Listed> {
    let line = line.split('#').next().unwrap_or_default();
    let parts: Vec<&'static str> = line.split_whitespace().collect();
    let [language, client, name, version, folder] = parts[..] else { return None };
    let package = SourcePackage { client: client.parse().ok()?, name: name.to_owned(), version: version.to_owned() };
    Some(Listed { language, package, folder })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn every_line_of_the_list_is_a_package_and_no_language_has_few() {
        let lines = LIST.lines().filter(|line| !line.trim_start().starts_with('#') && !line.trim().is_empty());
        let all: Vec<Listed> = lines.map(|line| listed(line).unwrap_or_else(|| panic!("{line}"))).collect();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for one in &all {
            assert!(Language::by_id(one.language).is_some_and(Language::has_grammar), "{one:?}");
            *counts.entry(one.language).or_default() += 1;
        }
        // No project is listed twice.
        let is_twice = |one: &Listed| all.iter().filter(|other| *other == one).count() > 1;
        assert!(!all.iter().any(is_twice), "{all:?}");
        assert!(counts.len() >= 6 && counts.values().all(|count| *count >= 3), "{counts:?}");
    }
}

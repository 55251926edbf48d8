//! `phi-ls eval`: holes cut in the files of whole projects, completed by the server that editors use, and compared with
//! the removed code.
//!
//! ```text
//!  packages -> project -> hole      what is removed where      session   the server that is asked
//!  outcome -> summary, compare      the results                page      the results as HTML
//!  variants                         several ways to ask        fit       how likely a completion is right
//! ```

mod compare;
mod fit;
mod hole;
mod outcome;
mod packages;
mod page;
mod project;
mod random;
mod session;
mod summary;
mod variants;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::ModelArgs;
use crate::config::{Settings, Source};
use compare::{Difference, compare};
use hole::{Hole, Kind};
use outcome::Outcome;
use project::Project;
use session::{Question, Session, Variant};
use summary::{Summary, summaries};
use variants::{Filled, LayoutName, PartName, Variants};

#[derive(clap::Args)]
pub(super) struct EvalArgs {
    /// Project folders; each is opened as a workspace
    #[arg(required_unless_present_any = ["packages", "report"], conflicts_with_all = ["packages", "report"])]
    folders: Vec<PathBuf>,
    /// Cut holes in a list of published packages instead; pip, cargo and npm download those that are not in this folder
    /// yet
    #[arg(long, value_name = "FOLDER")]
    packages: Option<PathBuf>,
    /// Read the holes from this report, written by --json, instead of cutting any; several reports are combined
    #[arg(long, value_name = "FILE", conflicts_with_all = ["packages", "versus", "several"])]
    report: Vec<PathBuf>,
    /// Cut holes in files of this language only
    #[arg(long)]
    language: Option<String>,
    #[command(flatten)]
    model: ModelArgs,
    /// What the holes remove; all kinds by default
    #[arg(long, value_enum, value_delimiter = ',')]
    kinds: Vec<Kind>,
    /// Holes to cut
    #[arg(long, default_value_t = 100)]
    holes: usize,
    /// Seed of the choice of holes; the same seed cuts the same holes
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A setting for the server, such as `completion.contextTokens=800`
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<Assignment>,
    /// Fill the same holes a second time with this setting as well, and compare
    #[arg(long, value_name = "KEY=VALUE", conflicts_with_all = ["against", "several"])]
    versus: Vec<Assignment>,
    /// Compare with an earlier report, written by --json
    #[arg(long, value_name = "FILE", conflicts_with = "several")]
    against: Option<PathBuf>,
    /// Fill the same holes with other layouts of the prompt as well, all of them or those named, and compare each with
    /// the current one
    #[arg(long, value_enum, value_name = "NAME", num_args = 0..=1, require_equals = true, value_delimiter = ',', group = "several")]
    layouts: Option<Vec<LayoutName>>,
    /// Fill the same holes with one part of the prompt left out at a time, all of them or those named, and compare each
    /// with the whole
    #[arg(long, value_enum, value_name = "NAME", num_args = 0..=1, require_equals = true, value_delimiter = ',', group = "several")]
    parts: Option<Vec<PartName>>,
    /// Fill the same holes with prompts of these lengths, and compare each with the longest
    #[arg(long, value_name = "TOKENS", value_delimiter = ',', group = "several")]
    context_tokens: Vec<usize>,
    /// Fit the weights that `completion.confidence` uses; every completion is shown then
    #[arg(long, conflicts_with_all = ["versus", "against", "several"])]
    fit: bool,
    /// Write an HTML page that shows every hole
    #[arg(long, value_name = "FILE", conflicts_with = "several")]
    page: Option<PathBuf>,
    /// Print one JSON object with every hole instead of tables
    #[arg(long)]
    json: bool,
}

/// A setting and its value.
#[derive(Debug, Clone, PartialEq)]
struct Assignment {
    key: String,
    value: Value,
}

impl FromStr for Assignment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').ok_or_else(|| format!("expected KEY=VALUE, found `{text}`"))?;
        // A value that is not JSON is text: `completion.layout=chat`.
        let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
        Ok(Self { key: key.to_owned(), value })
    }
}

/// A hole of one of the projects.
struct Chosen {
    project: usize,
    hole: Hole,
}

pub(super) fn eval(args: &EvalArgs) -> anyhow::Result<()> {
    let earlier = args.against.as_deref().map(read_report).transpose()?;
    if !args.report.is_empty() {
        return args.report_again(earlier);
    }
    let settings = args.settings(&args.set)?;
    let settings_besides = match args.versus.as_slice() {
        [] => None,
        besides => Some(args.settings(&[args.set.as_slice(), besides].concat())?),
    };
    let variants = args.variants(&settings)?;
    let projects = args.projects()?;
    let chosen = args.choose(&projects);
    if chosen.is_empty() {
        bail!("expected code in which holes of these kinds can be cut, found none; try other kinds");
    }
    if let Some(Variants { all, base }) = variants {
        let filled = |(index, variant): (usize, &Variant)| -> anyhow::Result<Filled> {
            let holes = fill(&projects, &chosen, variant)?;
            Ok(Filled { name: variant.name.clone(), is_base: index == base, holes })
        };
        let filled: Vec<Filled> = all.iter().enumerate().map(filled).collect::<Result<_, _>>()?;
        args.write_variants(&settings, &filled);
        return Ok(());
    }
    let outcomes = fill(&projects, &chosen, &Variant::plain("", &settings))?;
    let (settings, earlier, outcomes) = match settings_besides {
        Some(besides) => {
            let after = fill(&projects, &chosen, &Variant::plain("", &besides))?;
            (besides, Some(outcomes), after)
        }
        None => (settings, earlier, outcomes),
    };
    let differences = earlier.map(|earlier| compare(&earlier, &outcomes)).unwrap_or_default();
    args.write(&settings, &outcomes, &differences)
}

impl EvalArgs {
    /// The settings of the server. The user's own settings are not part of a measurement.
    fn settings(&self, assignments: &[Assignment]) -> anyhow::Result<Value> {
        let mut settings = json!({
            "threads": self.model.threads,
            // Texts that end at a time limit differ between machines.
            "completion.timeBudgetMs": 600_000,
            // Nobody accepts anything here, and a window that is placed ahead would give the same hole another prompt
            // in another run.
            "completion.prepareNext": false,
            "completion.effort": "eco",
        });
        if !assignments.iter().any(|assignment| assignment.key == "completion.backend") {
            let model = self.model.reference()?.to_string();
            settings["completion.model"] = model.as_str().into();
            settings["assistant.model"] = model.as_str().into();
        }
        if self.fit {
            settings["completion.confidence"] = "low".into();
        }
        for Assignment { key, value } in assignments {
            settings[key] = value.clone();
        }
        match Settings::from_layers(&[(Source::Flags, settings.clone())]).1.as_slice() {
            [] => Ok(settings),
            [problem, ..] => bail!("{problem}"),
        }
    }

    /// The variants to compare; `None` if there is only one.
    fn variants(&self, settings: &Value) -> anyhow::Result<Option<Variants>> {
        if let Some(names) = &self.layouts {
            return Ok(Some(Variants::layouts(names, settings)));
        }
        if let Some(names) = &self.parts {
            return Ok(Some(Variants::parts(names, settings)));
        }
        // Each of them has to be a valid value of the setting.
        for tokens in &self.context_tokens {
            self.settings(&[Assignment { key: "completion.contextTokens".to_owned(), value: (*tokens).into() }])?;
        }
        let has_lengths = !self.context_tokens.is_empty();
        Ok(has_lengths.then(|| Variants::lengths(&self.context_tokens, settings)))
    }

    /// Combines the reports of earlier runs, of several variants or of one.
    fn report_again(&self, earlier: Option<Vec<Outcome>>) -> anyhow::Result<()> {
        let several: Vec<_> = self.report.iter().map(|path| read_variants(path)).collect::<anyhow::Result<_>>()?;
        if several.iter().all(Option::is_some) {
            self.write_variants(&Value::Null, &variants::together(several.into_iter().flatten().collect()));
            return Ok(());
        }
        let reports: Vec<_> = self.report.iter().map(|path| read_report(path)).collect::<anyhow::Result<_>>()?;
        let outcomes = reports.concat();
        let differences = earlier.map(|earlier| compare(&earlier, &outcomes)).unwrap_or_default();
        self.write(&Value::Null, &outcomes, &differences)
    }

    fn projects(&self) -> anyhow::Result<Vec<Project>> {
        if let Some(folder) = &self.packages {
            return packages::projects(folder, self.language.as_deref());
        }
        let read = |folder: &PathBuf| {
            let name =
                folder.canonicalize().ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
            Project::read(&name.unwrap_or_default(), folder, self.language.as_deref())
        };
        self.folders.iter().map(read).collect()
    }

    /// The holes to fill. They are chosen from all projects and kinds in turn, and then ordered by project.
    fn choose(&self, projects: &[Project]) -> Vec<Chosen> {
        let kinds = match self.kinds.as_slice() {
            [] => <Kind as clap::ValueEnum>::value_variants(),
            named => named,
        };
        let order = by_language(projects);
        let of_kind = |(number, kind): (usize, &Kind)| {
            // With few holes, each kind uses other projects.
            let mut order = order.clone();
            let first = number * order.len() / kinds.len();
            order.rotate_left(first);
            let of_project = |project: usize| {
                let holes = hole::holes(&projects[project], *kind, self.seed).into_iter();
                holes.map(|hole| Chosen { project, hole }).collect()
            };
            random::by_turns(order.into_iter().map(of_project).collect())
        };
        let mut chosen = random::by_turns(kinds.iter().enumerate().map(of_kind).collect());
        chosen.truncate(self.holes);
        chosen.sort_by_key(|chosen| chosen.project);
        chosen
    }

    fn write_variants(&self, settings: &Value, filled: &[Filled]) {
        let rows = variants::rows(filled);
        if self.json {
            let version = env!("CARGO_PKG_VERSION");
            let report = json!({"version": version, "seed": self.seed, "settings": settings, "summary": rows, "variants": filled});
            println!("{report}");
            return;
        }
        let holes = filled.first().map_or(0, |filled| filled.holes.len());
        println!("{}\n\n{}", self.title(settings, holes), variants::table(&rows));
    }

    fn title(&self, settings: &Value, holes: usize) -> String {
        let model = settings["completion.model"].as_str().map(|model| format!(", {model}, seed {}", self.seed));
        format!("{holes} holes{}", model.unwrap_or_default())
    }

    fn write(&self, settings: &Value, outcomes: &[Outcome], differences: &[Difference]) -> anyhow::Result<()> {
        let summaries = summaries(outcomes);
        let fit = match self.fit {
            true => Some(fit::fit(outcomes).context("too few completions are right for a fit; cut more holes")?),
            false => None,
        };
        let title = self.title(settings, outcomes.len());
        if let Some(path) = &self.page {
            let page = page::page(&title, &summaries, differences, outcomes);
            std::fs::write(path, page).with_context(|| format!("cannot write {}", path.display()))?;
        }
        if self.json {
            let mut report = to_json(self.seed, settings, &summaries, differences, outcomes);
            report["fit"] = json!(fit);
            println!("{report}");
            return Ok(());
        }
        println!("{title}\n\n{}", summary::table(&summaries));
        if !differences.is_empty() {
            println!("\n{}", compare::table(differences));
        }
        if let Some(fit) = &fit {
            println!("\n{}", fit::table(fit));
        }
        Ok(())
    }
}

/// The order in which projects take turns, so that their languages alternate.
fn by_language(projects: &[Project]) -> Vec<usize> {
    let mut languages: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, project) in projects.iter().enumerate() {
        languages.entry(project.main_language()).or_default().push(index);
    }
    random::by_turns(languages.into_values().collect())
}

/// The report that `--json` prints and [`read_report`] reads.
fn to_json(
    seed: u64,
    settings: &Value,
    summaries: &[Summary],
    differences: &[Difference],
    outcomes: &[Outcome],
) -> Value {
    json!({
        "version": env!("CARGO_PKG_VERSION"), "seed": seed, "settings": settings, "summary": summaries,
        "compared": differences, "holes": outcomes,
    })
}

/// The outcomes in a report.
fn read_report(path: &Path) -> anyhow::Result<Vec<Outcome>> {
    let mut report = read_json(path)?;
    serde_json::from_value(report["holes"].take())
        .with_context(|| format!("{} is not a report by `phi-ls eval --json`", path.display()))
}

/// The variants in a report; `None` for a report of another kind.
fn read_variants(path: &Path) -> anyhow::Result<Option<Vec<Filled>>> {
    let mut report = read_json(path)?;
    Ok(serde_json::from_value(report["variants"].take()).ok())
}

fn read_json(path: &Path) -> anyhow::Result<Value> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    serde_json::from_str(&text).with_context(|| format!("{shown} is not JSON"))
}

/// Asks a server that is started with `variant` to fill each hole.
fn fill(projects: &[Project], chosen: &[Chosen], variant: &Variant) -> anyhow::Result<Vec<Outcome>> {
    let mut session = Session::start(variant)?;
    let bar = indicatif::ProgressBar::new(chosen.len() as u64);
    let mut outcomes = Vec::new();
    for Chosen { project, hole } in chosen {
        let project = &projects[*project];
        session.enter(&project.root)?;
        let file = &project.files[hole.file];
        let text = format!("{}{}", &file.text[..hole.range.start], &file.text[hole.range.end..]);
        let question = Question { path: &file.path, language: file.language, text: &text, offset: hole.range.start };
        let answer = session.complete(&question)?;
        outcomes.push(Outcome::new(project, hole, answer));
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(outcomes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_json_or_else_a_text() {
        let check = |text: &str, key: &str, value: Value| {
            assert_eq!(text.parse(), Ok(Assignment { key: key.to_owned(), value }), "{text}");
        };
        check("completion.contextTokens=800", "completion.contextTokens", json!(800));
        check("completion.layout=chat", "completion.layout", json!("chat"));
        check("completion.enabled=true", "completion.enabled", json!(true));
        check("exclude=[\"a=b\"]", "exclude", json!(["a=b"]));
        assert!("completion.layout".parse::<Assignment>().is_err());
    }

    #[test]
    fn a_report_can_be_read_again() {
        let outcomes = vec![summary::tests::outcome(1, Kind::Rest, true, false)];
        let report = to_json(1, &json!({}), &summaries(&outcomes), &[], &outcomes);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        std::fs::write(&path, report.to_string()).unwrap();
        assert_eq!(read_report(&path).unwrap(), outcomes);
        std::fs::write(&path, "{}").unwrap();
        assert!(read_report(&path).unwrap_err().to_string().contains("is not a report"), "of something else");
    }
}

//! `phi-ls models`: the installed files, what they are, and which checks they pass.

mod choice;

use indicatif::{HumanBytes, HumanCount};
use serde_json::{Value, json};

use crate::hub::{self, HubError, Installed};
use crate::model::{self, ModelError, ModelReport, describe::Check};

#[derive(Debug, clap::Args)]
pub(super) struct ModelsArgs {
    /// List all models that have a short name, installed or not, with role, size, expected speed and licence
    #[arg(long)]
    all: bool,
    /// Print a JSON list instead of text
    #[arg(long)]
    json: bool,
}

/// Prints what is in the models folder.
///
/// # Errors
/// If there is no folder for models.
pub(super) fn models(args: &ModelsArgs) -> anyhow::Result<()> {
    let folder = hub::models_folder().ok_or(HubError::NoFolder)?;
    if args.all {
        let choices = choice::choices(&hub::installed(&folder));
        if args.json {
            let list: Vec<Value> = choices.list.iter().map(choice::Choice::to_json).collect();
            println!("{}", serde_json::to_string_pretty(&list)?);
            return Ok(());
        }
        choices.list.iter().for_each(choice::Choice::print);
        if let Some(recommendation) = choices.recommendation {
            println!("recommended: {}", recommendation.sentence);
        }
        return Ok(());
    }
    let models: Vec<InstalledModel> = hub::installed(&folder).into_iter().map(InstalledModel::look_into).collect();
    if args.json {
        let list: Vec<Value> = models.iter().map(InstalledModel::to_json).collect();
        println!("{}", serde_json::to_string_pretty(&list)?);
    } else if models.is_empty() {
        println!("no models in {}", folder.display());
        println!(
            "`phi-ls pull` downloads phi-3.5-mini and phi-4-mini, `phi-ls pull starter` a small model for a first \
                  try"
        );
    } else {
        models.iter().for_each(InstalledModel::print);
    }
    Ok(())
}

/// A file in the models folder, and what it contains.
pub(super) struct InstalledModel {
    pub(super) file: Installed,
    report: Result<ModelReport, ModelError>,
}

impl InstalledModel {
    pub(super) fn look_into(file: Installed) -> Self {
        let report = model::describe(&file.path);
        Self { file, report }
    }

    /// What is wrong with it, one sentence per problem.
    pub(super) fn problems(&self) -> Vec<String> {
        match &self.report {
            Ok(report) => {
                let path = report.path.display();
                let problem =
                    |check: &Check| Some(format!("{path}: {}: {}", check.name, check.outcome.as_ref().err()?));
                report.checks.iter().filter_map(problem).collect()
            }
            Err(error) => vec![error.to_string()],
        }
    }

    fn to_json(&self) -> Value {
        let mut object = json!({
            "path": self.file.path,
            "bytes": self.file.bytes,
            "alias": self.file.alias.map(|alias| alias.name()),
            "role": self.file.alias.map(|alias| alias.role()),
            "passes": self.report.as_ref().is_ok_and(ModelReport::passes),
        });
        match &self.report {
            Ok(report) => {
                object["name"] = json!(report.name);
                object["architecture"] = json!(report.architecture);
                object["parameters"] = json!(report.parameters);
                object["quantisation"] = json!(report.quantisation.first().map(|share| share.quant));
                object["checks"] = report.checks.iter().map(check_to_json).collect();
            }
            Err(error) => object["error"] = json!(error.to_string()),
        }
        object
    }

    fn print(&self) {
        let name = self.file.path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        let alias = self.file.alias.map_or_else(String::new, |alias| format!("  {alias} ({})", alias.role()));
        println!("{name}  {}{alias}", HumanBytes(self.file.bytes));
        println!("  {}", self.file.path.display());
        let report = match &self.report {
            Ok(report) => report,
            Err(error) => return println!("  NOT OK  {error}"),
        };
        let quantisation: Vec<&str> = report.quantisation.iter().map(|share| share.quant).collect();
        let parameters = HumanCount(report.parameters);
        println!("  {} ({parameters} parameters, {})", report.name, quantisation.join(" + "));
        for check in &report.checks {
            match &check.outcome {
                Ok(found) => println!("  ok      {}: {found}", check.name),
                Err(reason) => println!("  NOT OK  {}: {reason}", check.name),
            }
        }
    }
}

fn check_to_json(check: &Check) -> Value {
    let (Ok(detail) | Err(detail)) = &check.outcome;
    json!({ "name": check.name, "passes": check.outcome.is_ok(), "detail": detail })
}

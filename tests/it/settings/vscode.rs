//! The settings in the VS Code extension's manifest are those of the server: the same keys, types, defaults and
//! descriptions, and the same ones are restricted in untrusted workspaces.

use phi_ls::config::{KeyDescription, Settings};
use serde_json::{Map, Value, json};

fn manifest() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/editors/vscode/package.json");
    let text = std::fs::read_to_string(path).expect("the manifest is readable");
    serde_json::from_str(&text).expect("the manifest is JSON")
}

/// The property of one key in the manifest.
fn property(key: &KeyDescription) -> Value {
    let mut property = key.schema.clone();
    let mut doc: Vec<char> = key.doc.chars().collect();
    doc[0].make_ascii_uppercase();
    property["markdownDescription"] = json!(doc.into_iter().chain(['.']).collect::<String>());
    property["default"] = key.default.clone();
    property
}

#[test]
fn the_vs_code_manifest_has_the_servers_settings() {
    let mut found = manifest()["contributes"]["configuration"]["properties"].clone();
    for own in ["phi-ls.serverPath", "phi-ls.confirmEdits"] {
        let removed = found.as_object_mut().and_then(|found| found.remove(own));
        assert!(removed.is_some(), "{own} is the extension's own setting");
    }

    let expected: Map<String, Value> =
        Settings::describe().iter().map(|key| (format!("phi-ls.{}", key.key), property(key))).collect();
    let expected = Value::Object(expected);
    assert!(
        found == expected,
        "`contributes.configuration.properties` in editors/vscode/package.json is out of date; beside \
         the extension's own it should be\n{}",
        serde_json::to_string_pretty(&expected).expect("JSON can be printed")
    );
}

#[test]
fn the_vs_code_manifest_restricts_what_an_untrusted_workspace_cannot_set() {
    let described = Settings::describe();
    let restricted = described.iter().filter(|key| key.trusted_only);
    let mut expected: Vec<String> = restricted.map(|key| format!("phi-ls.{}", key.key)).collect();
    // Models, servers, globs that could include a secret again, and the program to run.
    assert_eq!(expected.len(), 5);
    expected.push("phi-ls.serverPath".to_owned());
    expected.sort();
    assert_eq!(manifest()["capabilities"]["untrustedWorkspaces"]["restrictedConfigurations"], json!(expected));
}

#[test]
fn the_vs_code_manifest_has_the_version_of_the_server() {
    assert_eq!(manifest()["version"], env!("CARGO_PKG_VERSION"));
}

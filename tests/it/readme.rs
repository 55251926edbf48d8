//! What the README says of settings is what the server knows. `UPDATE_EXPECT=1` writes the table anew.

use phi_ls::config::Settings;

const HEADER: &str = "| key | default | meaning |\n|---|---|---|\n";

fn table() -> String {
    let row = |key: &phi_ls::config::KeyDescription| {
        format!("| `{}` | `{}` | {} |\n", key.key, key.default, key.doc.replace('|', "\\|"))
    };
    Settings::describe().iter().map(row).collect()
}

#[test]
fn the_settings_table_is_the_servers() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(path).unwrap();
    let (before, rest) = readme.split_once(HEADER).expect("the README has a settings table");
    let (found, after) = rest.split_once("\n\n").unwrap();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(path, format!("{before}{HEADER}{}\n{after}", table())).unwrap();
    } else {
        assert_eq!(format!("{found}\n"), table());
    }
}

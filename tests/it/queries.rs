//! The query files: each compiles.

use phi_ls::syntax::{LANGUAGES, QueryKind};

#[test]
fn every_query_compiles() {
    let mut errors = Vec::new();
    for language in &LANGUAGES {
        for kind in QueryKind::ALL {
            errors.extend(language.check_query(kind).err());
        }
    }
    assert!(errors.is_empty(), "{}", errors.join("\n"));
}

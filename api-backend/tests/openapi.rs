//! The document that others generate their clients from changes on purpose only.

use std::fs;
use std::path::Path;

#[test]
fn the_document_is_the_one_that_is_kept() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let now = api_backend::api::document().to_pretty_json().unwrap() + "\n";
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        fs::write(&path, &now).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == now,
        "openapi.json is not what the program says: UPDATE_OPENAPI=1 cargo test --package api-backend --test openapi, \
        then npm run api in dashboard/"
    );
}

//! `GET /catalog`.

use axum::Json;
use serde_json::{Value, json};
use wire_model::catalog::{CATALOG, DERIVED, Metric};

/// The metrics that have a name, a unit and a meaning.
pub(super) async fn list_metrics() -> Json<Value> {
    let items: Vec<&Metric> = CATALOG.iter().chain(DERIVED).collect();
    Json(json!({"items": items, "next_cursor": null}))
}

//! `GET /catalog`.

use axum::Json;
use serde_json::{Value, json};
use wire_model::catalog::CATALOG;

/// The metrics that have a name, a unit and a meaning.
pub(super) async fn list_metrics() -> Json<Value> {
    Json(json!({"items": CATALOG, "next_cursor": null}))
}

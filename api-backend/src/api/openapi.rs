//! `GET /api/openapi.json`: the document from which the page's client is generated. `api-backend/openapi.json` is what it was when it was
//! last looked at (`tests/openapi.rs`).

use axum::Json;
use utoipa::OpenApi;
use utoipa::openapi::OpenApi as Document;

use super::{acknowledge, catalog, fleet, in_force, machines, pipeline, series, session, stream, thresholds, top, violations};

#[derive(OpenApi)]
#[openapi(
    info(title = "server-monitoring", description = "Machines, their values, violations and the way of their reports"),
    servers((url = "/api/v1")),
    paths(
        session::show_session,
        session::create_session,
        session::delete_session,
        catalog::list_metrics,
        fleet::list_fleet,
        machines::list_machines,
        machines::show_machine,
        series::list_series,
        series::list_series_of_several,
        top::list_top,
        pipeline::show_pipeline,
        pipeline::show_host_pipeline,
        thresholds::list_thresholds,
        in_force::list_in_force,
        violations::list_violations,
        violations::show_violation,
        acknowledge::acknowledge_violation,
        acknowledge::take_acknowledgement_back,
        stream::follow,
    )
)]
struct Api;

/// The document.
pub fn document() -> Document {
    Api::openapi()
}

pub(super) async fn show_document() -> Json<Document> {
    Json(document())
}

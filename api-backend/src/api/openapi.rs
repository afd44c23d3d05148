//! `GET /api/openapi.json`: the document from which the page's client is generated. `api-backend/openapi.json` is what it was when it was
//! last looked at (`tests/openapi.rs`).

use axum::Json;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{Content, OpenApi as Document, Ref, ResponseBuilder};
use utoipa::{Modify, OpenApi};

use super::problem::ProblemBody;
use super::{
    acknowledge, backtest, catalog, dead_letters, events, explain, fleet, in_force, machines, pipeline, series, session,
    silences, stream, thresholds, top, violation_counts, violations,
};

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
        events::list_events,
        series::list_series,
        series::list_series_of_several,
        top::list_top,
        pipeline::show_pipeline,
        pipeline::show_host_pipeline,
        dead_letters::list_dead_letters,
        thresholds::list_thresholds,
        thresholds::create_threshold,
        thresholds::show_threshold,
        thresholds::replace_threshold,
        thresholds::delete_threshold,
        thresholds::list_versions,
        backtest::backtest,
        backtest::suggest,
        silences::list_silences,
        silences::create_silence,
        silences::show_silence,
        silences::replace_silence,
        silences::delete_silence,
        in_force::list_in_force,
        violations::list_violations,
        violation_counts::count_violations,
        violations::show_violation,
        explain::explain_violation,
        acknowledge::acknowledge_violation,
        acknowledge::take_acknowledgement_back,
        stream::follow,
    ),
    components(schemas(ProblemBody)),
    modifiers(&Problems)
)]
struct Api;

/// Whatever is asked may be answered by a problem.
struct Problems;

impl Modify for Problems {
    fn modify(&self, document: &mut Document) {
        for path in document.paths.paths.values_mut() {
            let operations = [&mut path.get, &mut path.put, &mut path.post, &mut path.delete];
            operations.into_iter().flatten().for_each(add_problems);
        }
    }
}

fn add_problems(operation: &mut Operation) {
    for status in ["4XX", "5XX"] {
        let content = Content::new(Some(Ref::from_schema_name("Problem")));
        let response = ResponseBuilder::new().description("A problem").content("application/problem+json", content);
        operation.responses.responses.insert(status.to_owned(), response.build().into());
    }
}

/// The document.
pub fn document() -> Document {
    Api::openapi()
}

pub(super) async fn show_document() -> Json<Document> {
    Json(document())
}

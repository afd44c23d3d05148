//! `GET /catalog`.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;
use wire_model::catalog::{CATALOG, DERIVED, Metric};

use super::Page;

/// A metric with a name, a unit and a meaning.
#[derive(Serialize, ToSchema)]
#[schema(as = Metric)]
pub(super) struct MetricBody {
    name: &'static str,
    /// UCUM: `1` is a ratio from 0 to 1, `By` bytes, `By/s` bytes per second, `{cpu}` cores.
    unit: &'static str,
    /// `host`, `filesystem`, `disk`, `network`, `sensor`, `container` or `pipeline`.
    #[schema(value_type = String)]
    of: wire_model::catalog::Subject,
    /// Smallest difference that the store keeps.
    resolution: f64,
    /// Whether the backend derives it: it stands in thresholds alone.
    derived: bool,
    description: &'static str,
}

/// The metrics that have a name, a unit and a meaning.
#[utoipa::path(get, path = "/catalog", tag = "metrics", responses((status = 200, body = Page<MetricBody>)))]
pub(super) async fn list_metrics() -> Json<Page<MetricBody>> {
    let body = |metric: &Metric| {
        let Metric { name, unit, subject, resolution, derived, description } = *metric;
        MetricBody { name, unit, of: subject, resolution, derived, description }
    };
    Json(Page { items: CATALOG.iter().chain(DERIVED).map(body).collect(), next_cursor: None })
}

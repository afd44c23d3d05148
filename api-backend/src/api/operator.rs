//! Who makes a change, as far as that is known.

use axum::http::{HeaderMap, StatusCode};
use wire_model::limits::NAME_CHARS;

use super::Problem;

/// Names, the first one that is there counts: what a proxy that knows its users sets, then what the page says.
const HEADERS: [&str; 2] = ["x-forwarded-user", "x-operator"];

/// The name that a request gives.
pub(super) fn operator(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some((header, value)) = HEADERS.iter().find_map(|header| Some((header, headers.get(*header)?))) else { return Ok(None) };
    let name = std::str::from_utf8(value.as_bytes()).map(str::trim).unwrap_or_default();
    if !(1..=NAME_CHARS).contains(&name.chars().count()) || name.chars().any(char::is_control) {
        let detail = format!("{header}: a name has 1 to {NAME_CHARS} characters in UTF-8");
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    }
    Ok(Some(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn check(headers: &[(&'static str, &str)], expected: Result<Option<&str>, &str>) {
        let headers =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap()));
        match (operator(&headers.collect()), expected) {
            (Ok(name), Ok(expected)) => assert_eq!(name.as_deref(), expected),
            (Err(problem), Err(expected)) => assert!(format!("{problem:?}").contains(expected), "{problem:?}"),
            (found, _) => panic!("{found:?}"),
        }
    }

    #[test]
    fn a_proxy_knows_better_than_the_page() {
        check(&[], Ok(None));
        check(&[("x-operator", "Jana Žáková")], Ok(Some("Jana Žáková")));
        check(&[("x-operator", "jana"), ("x-forwarded-user", "kim")], Ok(Some("kim")));
        check(&[("x-operator", &"x".repeat(NAME_CHARS))], Ok(Some(&"x".repeat(NAME_CHARS))));
        check(&[("x-operator", &"x".repeat(NAME_CHARS + 1))], Err("x-operator"));
        check(&[("x-operator", "")], Err("x-operator"));
    }
}

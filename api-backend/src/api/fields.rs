//! A query whose parameters may come several times, or name several values.

use std::collections::BTreeMap;
use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::Problem;
use super::extract::Params;

/// Values of one filter.
pub(super) const VALUES_MAX: usize = 50;

/// The parameters by their names. Whoever takes them all asks [`Fields::end`] for what is left.
pub(super) struct Fields(BTreeMap<String, Vec<String>>);

impl<S: Send + Sync> FromRequestParts<S> for Fields {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Fields, Problem> {
        let Params(pairs) = Params::<Vec<(String, String)>>::from_request_parts(parts, state).await?;
        Ok(Fields::new(pairs))
    }
}

impl Fields {
    fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Fields {
        let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in pairs {
            fields.entry(name).or_default().push(value);
        }
        Fields(fields)
    }

    /// A parameter that may come once.
    pub(super) fn one(&mut self, name: &str) -> Result<Option<String>, Problem> {
        let mut values = self.0.remove(name).unwrap_or_default();
        if values.len() > 1 {
            return Err(Problem::bad_request(format!("{name}: is there {} times", values.len())));
        }
        Ok(values.pop())
    }

    /// The values of a parameter, as they are: what is after a comma belongs to them.
    pub(super) fn texts(&mut self, name: &str) -> Result<Vec<String>, Problem> {
        distinct(name, self.0.remove(name).unwrap_or_default())
    }

    /// The values of a parameter, several of which may be separated by commas.
    pub(super) fn words(&mut self, name: &str) -> Result<Vec<String>, Problem> {
        let values = self.0.remove(name).unwrap_or_default();
        distinct(name, values.iter().flat_map(|value| value.split(',')).map(|word| word.trim().to_owned()).collect())
    }

    /// The same, each one of a few words.
    pub(super) fn known<T: FromStr<Err = String>>(&mut self, name: &str) -> Result<Vec<T>, Problem> {
        let parse = |word: String| word.parse().map_err(|problem| Problem::bad_request(format!("{name}: {problem}")));
        self.words(name)?.into_iter().map(parse).collect()
    }

    /// Names that nobody took are refused: a typing error in a filter must not answer with everything.
    pub(super) fn end(self) -> Result<(), Problem> {
        match self.0.into_keys().next() {
            Some(name) => Err(Problem::bad_request(format!("there is no parameter \"{name}\" here"))),
            None => Ok(()),
        }
    }
}

fn distinct(name: &str, mut values: Vec<String>) -> Result<Vec<String>, Problem> {
    values.sort_unstable();
    values.dedup();
    if values.iter().any(String::is_empty) {
        return Err(Problem::bad_request(format!("{name}: is empty")));
    }
    if values.len() > VALUES_MAX {
        return Err(Problem::bad_request(format!("{name}: has {} values, more than {VALUES_MAX}", values.len())));
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::thresholds::Severity;

    fn fields(query: &str) -> Fields {
        Fields::new(url::form_urlencoded::parse(query.as_bytes()).into_owned())
    }

    #[test]
    fn a_parameter_is_repeated_or_has_commas() {
        assert_eq!(fields("a=3,1&a=2, 1").words("a").unwrap(), ["1", "2", "3"]);
        assert_eq!(fields("a=3,1&a=2").texts("a").unwrap(), ["2", "3,1"]);
        assert_eq!(fields("a=warning&a=critical").known::<Severity>("a").unwrap(), [Severity::Critical, Severity::Warning]);
        assert_eq!(fields("b=1").words("a").unwrap(), Vec::<String>::new());
        assert_eq!(fields("a=1").one("a").unwrap().as_deref(), Some("1"));
    }

    #[test]
    fn what_nobody_knows_is_refused() {
        let mut fields = fields("a=1&form=2");
        assert!(fields.one("a").is_ok());
        assert!(fields.end().is_err());
        for (query, name) in [("a=", "a"), ("a=1,,2", "a"), ("a=1&a=2", "one"), ("a=fatal", "known")] {
            let mut fields = Fields::new(url::form_urlencoded::parse(query.as_bytes()).into_owned());
            let is_refused = match name {
                "one" => fields.one("a").is_err(),
                "known" => fields.known::<Severity>("a").is_err(),
                _ => fields.words("a").is_err(),
            };
            assert!(is_refused, "{query}");
        }
    }

    #[test]
    fn a_filter_has_so_many_values_and_no_more() {
        let values = |n: usize| (1..=n).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
        assert_eq!(fields(&format!("a={}", values(VALUES_MAX))).words("a").unwrap().len(), VALUES_MAX);
        assert!(fields(&format!("a={}", values(VALUES_MAX + 1))).words("a").is_err());
    }
}

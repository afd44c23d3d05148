//! Answers against the OpenAPI document: a member that the document does not name is as wrong as one that is missing.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// The part of JSON Schema that the document is written in.
pub struct Document(pub Value);

impl Document {
    /// What an operation answers with a status: its schema, `None` when it has no body.
    pub fn answer(&self, method: &str, path: &str, status: u16) -> Option<&Value> {
        let responses = &self.0["paths"][path][method]["responses"];
        assert!(responses.is_object(), "{method} {path} is not in the document");
        let exact = &responses[status.to_string()];
        let response = if exact.is_null() { &responses[format!("{}XX", status / 100)] } else { exact };
        assert!(response.is_object(), "{method} {path} does not answer with {status} in the document");
        let content = response["content"].as_object()?;
        content.values().map(|media| &media["schema"]).next()
    }

    /// What is wrong with a value, each with where it is.
    pub fn problems(&self, schema: &Value, value: &Value, at: &str) -> Vec<String> {
        let schema = self.resolved(schema);
        if let Some(choices) = schema["oneOf"].as_array() {
            let fits = |choice: &&Value| is_of_type(&self.resolved(choice)["type"], value);
            let of_choices = choices.iter().filter(fits).map(|choice| self.problems(choice, value, at));
            let least = of_choices.min_by_key(Vec::len);
            return least.unwrap_or_else(|| vec![format!("{at}: {value} is of no type that may be here")]);
        }
        if !is_of_type(&schema["type"], value) {
            return vec![format!("{at}: {value} is not {}", schema["type"])];
        }
        if schema["enum"].as_array().is_some_and(|known| !known.contains(value)) {
            return vec![format!("{at}: {value} is not one of {}", schema["enum"])];
        }
        match value {
            Value::Object(members) => self.problems_of_members(schema, members, at),
            Value::Array(items) => {
                let schema_of = |number: usize| schema["prefixItems"].get(number).unwrap_or(&schema["items"]);
                let of_item = |(number, item)| self.problems(schema_of(number), item, &format!("{at}[{number}]"));
                items.iter().enumerate().flat_map(of_item).collect()
            }
            _ => Vec::new(),
        }
    }

    fn problems_of_members(&self, schema: &Value, members: &Map<String, Value>, at: &str) -> Vec<String> {
        let parts = self.parts(schema);
        let mut problems = Vec::new();
        for name in parts.iter().filter_map(|part| part["required"].as_array()).flatten().filter_map(Value::as_str) {
            if !members.contains_key(name) {
                problems.push(format!("{at}.{name} is missing"));
            }
        }
        // a schema that says nothing of members takes them all
        let says_nothing = |part: &&Value| part["properties"].is_null() && part["additionalProperties"].is_null();
        let takes_all = parts.iter().all(says_nothing);
        for (name, member) in members {
            let of_member: Vec<&Value> = parts.iter().filter_map(|part| part["properties"].get(name)).collect();
            let other = parts.iter().map(|part| &part["additionalProperties"]).find(|other| other.is_object());
            let place = format!("{at}.{name}");
            match (of_member.first().copied(), other) {
                (Some(schema), _) | (None, Some(schema)) => problems.extend(self.problems(schema, member, &place)),
                (None, None) if takes_all => {}
                (None, None) => problems.push(format!("{place} is not in the document")),
            }
        }
        problems
    }

    /// A schema and those of which it is put together.
    fn parts<'a>(&'a self, schema: &'a Value) -> Vec<&'a Value> {
        let schema = self.resolved(schema);
        let parts = schema["allOf"].as_array().into_iter().flatten().flat_map(|part| self.parts(part));
        let itself = [schema].into_iter().filter(|schema| schema["allOf"].is_null());
        itself.chain(parts).collect()
    }

    fn resolved<'a>(&'a self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            Some(reference) => self.resolved(self.0.pointer(reference.trim_start_matches('#')).expect("a schema")),
            None => schema,
        }
    }

    /// All operations, as method and path.
    pub fn operations(&self) -> BTreeSet<(String, String)> {
        let paths = self.0["paths"].as_object().unwrap().iter();
        let of_path = |(path, operations): (&String, &Value)| {
            let path = path.clone();
            operations.as_object().unwrap().keys().map(move |method| (method.clone(), path.clone())).collect::<Vec<_>>()
        };
        paths.flat_map(of_path).collect()
    }
}

fn is_of_type(kind: &Value, value: &Value) -> bool {
    match kind {
        Value::Array(kinds) => kinds.iter().any(|kind| is_of_type(kind, value)),
        Value::String(kind) => match kind.as_str() {
            "null" => value.is_null(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "string" => value.is_string(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            other => panic!("{other} is no type"),
        },
        _ => true,
    }
}

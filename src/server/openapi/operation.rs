//! Builds one OpenAPI operation from what the table of routes does not hold.
//!
//! What every request may be answered (the guard's refusals, missing credentials, a body that is
//! too large) is added from the kind of route, so that no description can forget it.

use std::collections::BTreeMap;

use hyper::Method;
use serde_json::{Map, Value, json};

use super::problems::{self, Codes};
use crate::server::routes::Needs;

/// The description of one route.
pub struct Operation {
    method: Method,
    path: &'static str,
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
    words: &'static str,
    parameters: Vec<Value>,
    body: Option<Value>,
    answers: BTreeMap<u16, Value>,
    problems: Codes,
    is_body_read: bool,
    is_judged_inside: bool,
}

impl Operation {
    /// Begins one.
    pub fn new(
        method: Method,
        path: &'static str,
        id: &'static str,
        summary: &'static str,
    ) -> Self {
        let is_body_read = !matches!(method, Method::GET | Method::HEAD | Method::OPTIONS);
        Self {
            method,
            path,
            id,
            tag: "instance",
            summary,
            words: "",
            parameters: vec![],
            body: None,
            answers: BTreeMap::new(),
            problems: Codes::new(),
            is_body_read,
            is_judged_inside: false,
        }
    }

    /// The group it belongs to.
    pub fn tag(mut self, tag: &'static str) -> Self {
        self.tag = tag;
        self
    }

    /// More than the summary.
    pub fn words(mut self, words: &'static str) -> Self {
        self.words = words;
        self
    }

    /// The part of the path in braces.
    pub fn part(self, name: &str, words: &str, schema: &Value, example: &str) -> Self {
        let given = json!({
            "name": name, "in": "path", "required": true, "description": words,
            "schema": schema, "example": example,
        });
        self.parameter(given)
    }

    /// A query parameter.
    pub fn query(self, name: &str, words: &str, schema: &Value, example: &Value) -> Self {
        let mut given = json!({
            "name": name, "in": "query", "description": words, "schema": schema,
            "example": example,
        });
        if schema["type"] == "array" {
            // By comma, in one value.
            given["style"] = "form".into();
            given["explode"] = false.into();
        }
        self.parameter(given)
    }

    /// A query parameter that must be there.
    pub fn required_query(self, name: &str, words: &str, schema: &Value, example: &Value) -> Self {
        let mut it = self.query(name, words, schema, example);
        if let Some(last) = it.parameters.last_mut() {
            last["required"] = true.into();
        }
        it
    }

    /// A query parameter that stands for another; without an example, because the examples of an
    /// operation are given together.
    pub fn alternative(self, name: &str, words: &str, schema: &Value) -> Self {
        let given = json!({ "name": name, "in": "query", "description": words, "schema": schema });
        self.parameter(given)
    }

    /// A header that is read.
    pub fn header(self, name: &str, words: &str, schema: &Value) -> Self {
        let given = json!({ "name": name, "in": "header", "description": words, "schema": schema });
        self.parameter(given)
    }

    fn parameter(mut self, parameter: Value) -> Self {
        self.parameters.push(parameter);
        self
    }

    /// A JSON body by the name of its schema, with examples: a summary and a value each.
    pub fn json(mut self, schema: &str, is_required: bool, examples: &[(&str, Value)]) -> Self {
        let mut named = Map::new();
        for (at, (summary, value)) in examples.iter().enumerate() {
            named.insert(
                format!("example{}", at + 1),
                json!({ "summary": summary, "value": value }),
            );
        }
        let schema = json!({ "$ref": format!("#/components/schemas/{schema}") });
        self.body = Some(json!({
            "required": is_required,
            "content": { "application/json": { "schema": schema, "examples": named } },
        }));
        let codes: &[&str] = if is_required { &["bad_json", "too_deep"] } else { &["too_deep"] };
        self.problem(400, codes)
    }

    /// A body of any bytes.
    pub fn opaque(mut self, words: &str) -> Self {
        let content = json!({ "schema": {}, "example": "a rendered page" });
        self.body = Some(json!({
            "description": words,
            "content": { "application/octet-stream": content },
        }));
        self
    }

    /// An answer with a body of some media type.
    pub fn answers(
        mut self,
        status: u16,
        words: &str,
        media: &str,
        schema: impl Into<Value>,
    ) -> Self {
        let content = json!({ media: { "schema": schema.into() } });
        self.answers.insert(status, json!({ "description": words, "content": content }));
        self
    }

    /// A JSON answer.
    pub fn gives(self, status: u16, words: &str, schema: impl Into<Value>) -> Self {
        self.answers(status, words, "application/json", schema)
    }

    /// An answer without a body.
    pub fn empty(mut self, status: u16, words: &str) -> Self {
        self.answers.insert(status, json!({ "description": words }));
        self
    }

    /// Headers of an answer that was described before.
    pub fn with_headers(mut self, status: u16, headers: &[(&str, &str)]) -> Self {
        let described = headers.iter().map(|(name, words)| {
            let header = json!({ "description": words, "schema": { "type": "string" } });
            ((*name).to_owned(), header)
        });
        if let Some(answer) = self.answers.get_mut(&status) {
            answer["headers"] = Value::Object(described.collect());
        }
        self
    }

    /// Problems that it alone answers, by code.
    pub fn problem(mut self, status: u16, codes: &[&'static str]) -> Self {
        self.problems.entry(status).or_default().extend(codes);
        self
    }

    /// Its handler judges the credentials, because settings may open it.
    pub fn judged_inside(mut self) -> Self {
        self.is_judged_inside = true;
        self
    }

    /// Whether it is about this route.
    pub fn is(&self, method: &Method, path: &str) -> bool {
        self.method == *method && self.path == path
    }

    /// Method and path.
    #[cfg(test)]
    pub fn route(&self) -> (Method, &'static str) {
        (self.method.clone(), self.path)
    }

    /// The operation object of the document.
    pub fn describe(&self, needs: Needs) -> Value {
        let needs_token = needs != Needs::Nothing || self.is_judged_inside;
        let has_part = self.path.contains('{');
        let mut codes = self.problems.clone();
        problems::add_usual(&mut codes, needs_token, has_part, self.is_body_read);
        let mut responses = Map::new();
        let mut answers = self.answers.clone();
        answers.extend([problems::head_too_large()]);
        for (status, codes) in &codes {
            match answers.get_mut(status) {
                None => drop(answers.insert(*status, problems::response(*status, codes))),
                // A route that answers in a form of its own is still refused in ours.
                Some(answer) => {
                    let content = problems::content(*status, codes);
                    answer["content"]["application/problem+json"] = content;
                }
            }
        }
        for (status, mut answer) in answers {
            if self.method == Method::HEAD {
                answer = json!({ "description": problems::reason(status) });
            }
            responses.insert(status.to_string(), answer);
        }
        let mut operation = json!({
            "operationId": self.id,
            "tags": [self.tag],
            "summary": self.summary,
            "responses": responses,
        });
        if !self.words.is_empty() {
            operation["description"] = self.words.into();
        }
        if !self.parameters.is_empty() {
            operation["parameters"] = Value::Array(self.parameters.clone());
        }
        if let Some(body) = &self.body {
            operation["requestBody"] = body.clone();
        }
        match (needs, self.is_judged_inside) {
            (Needs::Nothing, true) => operation["security"] = json!([{ "bearer": [] }, {}]),
            (Needs::Nothing, false) => operation["security"] = json!([]),
            _ => operation["x-role"] = role(needs).into(),
        }
        operation
    }
}

fn role(needs: Needs) -> &'static str {
    match needs {
        Needs::Nothing => "none",
        Needs::Invalidate => "service",
        Needs::Read => "editor",
        Needs::Admin => "admin",
    }
}

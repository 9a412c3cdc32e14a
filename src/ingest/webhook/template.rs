//! Templates of a mapping: literal text with places in braces, such as `{record.id|old_record.id}`
//! or `product:{header:X-Shopify-Topic before /}`.
//!
//! A place names alternatives (the first that is there counts), then perhaps steps (`lower`,
//! `before X`, `after X`, `before-last X`, `after-last X`). A path goes through objects by name and
//! through arrays by number or `*`; an array at its end gives each of its members. What a sender
//! says costs no more than the bounds below, and never a panic.

use hyper::HeaderMap;
use hyper::header::HeaderName;
use serde_json::Value;

use crate::domain::label::LABEL_BYTES_MAX;

/// Bytes of a template.
const TEMPLATE_BYTES_MAX: usize = 1024;
/// Alternatives, path segments and steps of one place.
const PARTS_MAX: usize = 16;
/// A text that grows past this is cut: it is longer than any label and will be refused as one.
const TEXT_BYTES_MAX: usize = 2 * LABEL_BYTES_MAX;

/// Where templates look.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// One event of the body.
    pub event: &'a Value,
    /// The headers of the request.
    pub headers: &'a HeaderMap,
    /// Texts that one template may give.
    pub texts_max: usize,
}

/// What a template gave.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// In the order of the body; none where a place was not there.
    pub texts: Vec<String>,
    /// Whether there was more than is taken.
    pub is_cut: bool,
}

/// Text with places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Field { alternatives: Vec<Alternative>, steps: Vec<Step> },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Alternative {
    Header(HeaderName),
    Path(Path),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Lower,
    Before(String),
    BeforeLast(String),
    After(String),
    AfterLast(String),
}

/// A way through JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path(Vec<String>);

impl Path {
    /// Reads `a.b.0` or `a.*.b`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let segments: Vec<String> = text.split('.').map(str::to_owned).collect();
        if segments.len() > PARTS_MAX {
            return Err(format!("{text:?} goes deeper than {PARTS_MAX}"));
        }
        if segments.iter().any(String::is_empty) {
            return Err(format!("{text:?} is no path, such as record.id"));
        }
        Ok(Self(segments))
    }

    /// The values there, `null` apart; at most one more than `count_max`, to tell that there are.
    pub fn values<'a>(&self, root: &'a Value, count_max: usize) -> Vec<&'a Value> {
        let mut values = Vec::new();
        walk(root, &self.0, count_max.saturating_add(1), &mut values);
        values
    }
}

fn walk<'a>(at: &'a Value, path: &[String], count_max: usize, values: &mut Vec<&'a Value>) {
    if values.len() >= count_max {
        return;
    }
    let Some((segment, rest)) = path.split_first() else {
        if !at.is_null() {
            values.push(at);
        }
        return;
    };
    match at {
        Value::Object(object) => {
            if let Some(next) = object.get(segment) {
                walk(next, rest, count_max, values);
            }
        }
        Value::Array(items) if segment == "*" => {
            items.iter().for_each(|item| walk(item, rest, count_max, values));
        }
        Value::Array(items) => {
            if let Some(next) = segment.parse().ok().and_then(|index: usize| items.get(index)) {
                walk(next, rest, count_max, values);
            }
        }
        _ => {}
    }
}

/// The members of an array, or the value itself.
fn members(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) => items,
        one => std::slice::from_ref(one),
    }
}

/// Text, a whole number in decimal, or a truth; nothing for what is empty or something else.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(cut(text).to_owned()),
        Value::Number(number) if number.is_u64() || number.is_i64() => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}

impl Alternative {
    fn parse(text: &str) -> Result<Self, String> {
        match text.strip_prefix("header:") {
            Some(name) => HeaderName::try_from(name)
                .map(Self::Header)
                .map_err(|_| format!("{name:?} is no header's name")),
            None => Path::parse(text).map(Self::Path),
        }
    }

    fn texts(&self, place: &Place<'_>) -> Vec<String> {
        match self {
            Self::Header(name) => {
                let value = place.headers.get(name).and_then(|value| value.to_str().ok());
                let value = value.map(str::trim).filter(|value| !value.is_empty());
                value.map(|value| cut(value).to_owned()).into_iter().collect()
            }
            Self::Path(path) => {
                let most = place.texts_max.saturating_add(1);
                let values = path.values(place.event, place.texts_max);
                values.into_iter().flat_map(members).filter_map(scalar).take(most).collect()
            }
        }
    }
}

impl Step {
    fn parse<'a>(word: &str, words: &mut impl Iterator<Item = &'a str>) -> Result<Self, String> {
        if word == "lower" {
            return Ok(Self::Lower);
        }
        let make = match word {
            "before" => Self::Before,
            "before-last" => Self::BeforeLast,
            "after" => Self::After,
            "after-last" => Self::AfterLast,
            _ => {
                let known = "lower, before X, before-last X, after X, after-last X";
                return Err(format!("{word:?} is no step; known are {known}"));
            }
        };
        let mark = words.next().ok_or_else(|| format!("{word} needs what to look for"))?;
        Ok(make(mark.to_owned()))
    }

    /// Where the mark is not there, the text stays as it is.
    fn take(&self, text: String) -> String {
        let part = match self {
            Self::Lower => return text.to_lowercase(),
            Self::Before(mark) => text.split_once(mark.as_str()).map(|(before, _)| before),
            Self::BeforeLast(mark) => text.rsplit_once(mark.as_str()).map(|(before, _)| before),
            Self::After(mark) => text.split_once(mark.as_str()).map(|(_, after)| after),
            Self::AfterLast(mark) => text.rsplit_once(mark.as_str()).map(|(_, after)| after),
        };
        part.map(str::to_owned).unwrap_or(text)
    }
}

impl Part {
    fn field(text: &str) -> Result<Self, String> {
        let mut words = text.split_ascii_whitespace();
        let named = words.next().ok_or("{} names nothing")?;
        let alternatives: Result<Vec<_>, _> = named.split('|').map(Alternative::parse).collect();
        let mut steps = Vec::new();
        while let Some(word) = words.next() {
            steps.push(Step::parse(word, &mut words)?);
        }
        let alternatives = alternatives?;
        if alternatives.len() > PARTS_MAX || steps.len() > PARTS_MAX {
            return Err(format!("more than {PARTS_MAX} alternatives or steps"));
        }
        Ok(Self::Field { alternatives, steps })
    }

    fn texts(&self, place: &Place<'_>) -> Vec<String> {
        match self {
            Self::Literal(text) => vec![text.clone()],
            Self::Field { alternatives, steps } => {
                let mut found = alternatives.iter().map(|one| one.texts(place));
                let texts = found.find(|texts| !texts.is_empty()).unwrap_or_default();
                let stepped = |text| steps.iter().fold(text, |text, step| step.take(text));
                texts.into_iter().map(stepped).filter(|text| !text.is_empty()).collect()
            }
        }
    }
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > TEMPLATE_BYTES_MAX {
            return Err(format!("a template of more than {TEMPLATE_BYTES_MAX} bytes"));
        }
        let (mut parts, mut rest) = (Vec::new(), text);
        while !rest.is_empty() {
            let (literal, field) = match rest.split_once('{') {
                None => (rest, None),
                Some((literal, after)) => {
                    let (field, after) = after.split_once('}').ok_or("a { without its }")?;
                    rest = after;
                    (literal, Some(field))
                }
            };
            if literal.contains('}') {
                return Err("a } without its {".into());
            }
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.to_owned()));
            }
            match field {
                Some(field) => parts.push(Part::field(field)?),
                None => break,
            }
        }
        if parts.is_empty() { Err("an empty template".into()) } else { Ok(Self(parts)) }
    }

    /// What it gives: every combination where places give several texts.
    pub fn texts(&self, place: &Place<'_>) -> Found {
        let mut texts = vec![String::new()];
        let mut is_cut = false;
        for part in &self.0 {
            let endings = part.texts(place);
            let most = place.texts_max;
            is_cut |= texts.len().saturating_mul(endings.len()) > most;
            let joined =
                |text: &String, ending: &String| cut(&format!("{text}{ending}")).to_owned();
            let all = texts.iter().flat_map(|text| endings.iter().map(move |it| joined(text, it)));
            texts = all.take(most).collect();
        }
        Found { texts, is_cut }
    }

    /// The first text it gives.
    pub fn first(&self, place: &Place<'_>) -> Option<String> {
        self.texts(place).texts.into_iter().next()
    }
}

//! Templates of a mapping: literal text with fields in braces, such as `{record.id|old_record.id}`
//! or `product:{header:X-Shopify-Topic before /}`.
//!
//! A field names alternatives, of which the first present one counts, and optional steps (`lower`,
//! `before X`, `after X`, `before-last X`, `after-last X`). A path goes through objects by name and
//! through arrays by number or `*`; an array at its end gives each of its members. A body costs no
//! more than the bounds below and never causes a panic.

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use serde_json::Value;

use crate::domain::url_path::URL_PATH_BYTES_MAX;
use crate::resolve::Rules;

/// Bytes of a template.
const TEMPLATE_BYTES_MAX: usize = 1024;
/// Alternatives, path segments and steps of one field.
const PARTS_MAX: usize = 16;
/// Longer texts are cut to this: longer than any label or path, so they will be refused as one.
const TEXT_BYTES_MAX: usize = 2 * URL_PATH_BYTES_MAX;

/// The values that templates read.
#[derive(Clone, Copy)]
pub struct TemplateContext<'a> {
    /// One event of the body.
    pub event: &'a Value,
    /// The headers of the request.
    pub headers: &'a HeaderMap,
    /// Most texts that one template gives.
    pub texts_max: usize,
    /// The known types.
    pub rules: &'a Rules,
}

/// The texts that a template gave.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct TemplateTexts {
    /// In the order of the body; none if a field was absent.
    pub texts: Vec<String>,
    /// Whether there were more than are taken.
    pub is_cut: bool,
    /// Whether a value was not text, or a member of a list was missing.
    pub is_partial: bool,
    /// Whether a value could not be read as text: an object, a fraction, a boolean as an id.
    pub is_unread: bool,
}

/// Text with fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookTemplate(Vec<TemplatePart>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum TemplatePart {
    Literal(String),
    Field { alternatives: Vec<Alternative>, steps: Vec<TextStep> },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Alternative {
    Header(HeaderName),
    JsonPath(JsonPath),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum TextStep {
    Lower,
    Before(String),
    BeforeLast(String),
    After(String),
    AfterLast(String),
}

/// A path through JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPath(Vec<String>);

impl JsonPath {
    /// Parses `a.b.0` or `a.*.b`; `.` is the whole event.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "." {
            return Ok(Self(vec![]));
        }
        let segments: Vec<String> = text.split('.').map(str::to_owned).collect();
        if segments.len() > PARTS_MAX {
            return Err(format!("{text:?} goes deeper than {PARTS_MAX}"));
        }
        if segments.iter().any(String::is_empty) {
            return Err(format!("{text:?} is no path, such as record.id"));
        }
        Ok(Self(segments))
    }

    /// Whether it names this member of the event.
    pub fn is_member(&self, name: &str) -> bool {
        matches!(&self.0[..], [only] if only == name)
    }

    /// The values there except `null`; at most one more than `count_max`, to show that there are
    /// more.
    pub fn values<'a>(&self, root: &'a Value, count_max: usize) -> Vec<&'a Value> {
        let mut values = Vec::new();
        walk(root, &self.0, count_max.saturating_add(1), &mut values);
        values.retain(|value| !value.is_null());
        values
    }

    /// The same, with a `null` for each member of a list without a value there.
    fn places<'a>(&self, root: &'a Value, count_max: usize) -> Vec<&'a Value> {
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
        values.push(at);
        return;
    };
    match at {
        Value::Object(object) => {
            if let Some(next) = object.get(segment) {
                walk(next, rest, count_max, values);
            }
        }
        Value::Array(items) if segment == "*" => {
            for item in items {
                let before = values.len();
                walk(item, rest, count_max, values);
                if values.len() == before && before < count_max {
                    values.push(&Value::Null);
                }
            }
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

/// Text, a whole number in decimal, or a boolean; `None` for empty text and anything else.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(cut(text).to_owned()),
        Value::Number(number) => match number.as_f64() {
            // `1.0` and `1e3` are whole numbers too.
            Some(float) if number.is_f64() => whole(float),
            _ => Some(number.to_string()),
        },
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// A float as a whole number, if it is exactly one.
fn whole(float: f64) -> Option<String> {
    const EXACT_MAX: f64 = 9_007_199_254_740_991.0;
    let is_whole = float.fract() == 0.0 && float.abs() <= EXACT_MAX;
    // Adding 0.0 removes the sign of minus zero.
    is_whole.then(|| format!("{:.0}", float + 0.0))
}

/// Values that gave no text.
#[derive(Debug, Clone, Copy, Default)]
struct Gaps {
    is_partial: bool,
    is_unread: bool,
}

impl Gaps {
    fn join(&mut self, other: Self) {
        self.is_partial |= other.is_partial;
        self.is_unread |= other.is_unread;
    }
}

/// Suffixes of field names that hold ids of other entities.
pub(super) const ID_ENDINGS: [&str; 4] = ["_id", "_ids", "Id", "Ids"];

fn is_name_of_id(name: &str) -> bool {
    name == "id" || ID_ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// Whether a value or a member of a list names something that cannot be read. `null` and empty text
/// name nothing; a boolean is text, but never an id.
pub(super) fn is_unread(value: &Value, is_id: bool) -> bool {
    members(value).iter().any(|value| match value {
        Value::Null | Value::String(_) => false,
        Value::Bool(_) => is_id,
        one => scalar(one).is_none(),
    })
}

/// Whether a value or a member of a list is present but not text.
fn is_partial(values: &[&Value]) -> bool {
    let is_lost = |value: &&Value| match value {
        Value::Array(items) => items.iter().any(|item| scalar(item).is_none()),
        Value::String(_) => false,
        Value::Null => values.len() > 1,
        one => scalar(one).is_none(),
    };
    values.iter().any(is_lost)
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}

impl Alternative {
    fn parse(text: &str) -> Result<Self, String> {
        match text.strip_prefix("header:") {
            Some(name) => HeaderName::try_from(name)
                .map(Self::Header)
                .map_err(|_| format!("{name:?} is not the name of a header")),
            None => JsonPath::parse(text).map(Self::JsonPath),
        }
    }

    /// Its texts, and whether anything there gave no text.
    fn texts(&self, place: &TemplateContext<'_>) -> (Vec<String>, Gaps) {
        match self {
            Self::Header(name) => {
                let values = place.headers.get_all(name).iter();
                let text = |value: &HeaderValue| {
                    let text = String::from_utf8_lossy(value.as_bytes());
                    cut(text.trim()).to_owned()
                };
                (values.map(text).filter(|text| !text.is_empty()).collect(), Gaps::default())
            }
            Self::JsonPath(path) => {
                let most = place.texts_max.saturating_add(1);
                let values = path.places(place.event, place.texts_max);
                let is_id = path.0.last().is_some_and(|name| is_name_of_id(name));
                let gaps = Gaps {
                    is_partial: is_partial(&values),
                    is_unread: values.iter().any(|value| is_unread(value, is_id)),
                };
                let texts = values.into_iter().flat_map(members).filter_map(scalar);
                (texts.take(most).collect(), gaps)
            }
        }
    }
}

impl TextStep {
    fn parse<'a>(name: &str, rest: &mut impl Iterator<Item = &'a str>) -> Result<Self, String> {
        if name == "lower" {
            return Ok(Self::Lower);
        }
        let make = match name {
            "before" => Self::Before,
            "before-last" => Self::BeforeLast,
            "after" => Self::After,
            "after-last" => Self::AfterLast,
            _ => {
                let known = "lower, before X, before-last X, after X, after-last X";
                return Err(format!("{name:?} is no step; known are {known}"));
            }
        };
        let mark = rest.next().ok_or_else(|| format!("{name} needs what to look for"))?;
        Ok(make(mark.to_owned()))
    }

    /// Without the mark, the text stays unchanged.
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

impl TemplatePart {
    fn field(text: &str) -> Result<Self, String> {
        let mut parts = text.split_ascii_whitespace();
        let named = parts.next().ok_or("{} names nothing")?;
        let alternatives: Result<Vec<_>, _> = named.split('|').map(Alternative::parse).collect();
        let mut steps = Vec::new();
        while let Some(name) = parts.next() {
            steps.push(TextStep::parse(name, &mut parts)?);
        }
        let alternatives = alternatives?;
        if alternatives.len() > PARTS_MAX || steps.len() > PARTS_MAX {
            return Err(format!("more than {PARTS_MAX} alternatives or steps"));
        }
        Ok(Self::Field { alternatives, steps })
    }

    fn texts(&self, place: &TemplateContext<'_>) -> (Vec<String>, Gaps) {
        let (alternatives, steps) = match self {
            Self::Literal(text) => return (vec![text.clone()], Gaps::default()),
            Self::Field { alternatives, steps } => (alternatives, steps),
        };
        let mut gaps = Gaps::default();
        for one in alternatives {
            let (texts, more) = one.texts(place);
            gaps.join(more);
            if !texts.is_empty() {
                let stepped = |text| steps.iter().fold(text, |text, step| step.take(text));
                let texts = texts.into_iter().map(stepped).filter(|text| !text.is_empty());
                return (texts.collect(), gaps);
            }
        }
        (vec![], gaps)
    }
}

impl WebhookTemplate {
    /// Parses a template.
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
                parts.push(TemplatePart::Literal(literal.to_owned()));
            }
            match field {
                Some(field) => parts.push(TemplatePart::field(field)?),
                None => break,
            }
        }
        if parts.is_empty() { Err("an empty template".into()) } else { Ok(Self(parts)) }
    }

    /// Its texts: every combination if fields give several texts.
    pub fn texts(&self, place: &TemplateContext<'_>) -> TemplateTexts {
        let mut texts = vec![String::new()];
        let (mut is_cut, mut gaps) = (false, Gaps::default());
        for part in &self.0 {
            let (endings, more) = part.texts(place);
            gaps.join(more);
            let most = place.texts_max;
            is_cut |= texts.len().saturating_mul(endings.len()) > most;
            let joined =
                |text: &String, ending: &String| cut(&format!("{text}{ending}")).to_owned();
            let all = texts.iter().flat_map(|text| endings.iter().map(move |it| joined(text, it)));
            texts = all.take(most).collect();
        }
        TemplateTexts { texts, is_cut, is_partial: gaps.is_partial, is_unread: gaps.is_unread }
    }

    /// Its first text.
    pub fn first(&self, place: &TemplateContext<'_>) -> Option<String> {
        self.texts(place).texts.into_iter().next()
    }
}

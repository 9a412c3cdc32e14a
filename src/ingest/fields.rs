//! Bodies with fields of their own: `{"type":"products","clientId":"7"}`.
//!
//! A field is text or a whole number; anything else counts as absent, and so does a text with a
//! wildcard. An absent field can only clear more (`resolve::Recipe`). Flags name groups, and
//! `mirror` keeps its meaning.

use serde_json::Value;

use super::body::{FIELDS_MAX, is_field_name};
use super::damaged_json::is_doubtful;
use crate::domain::{Label, entity};
use crate::resolve::Fields;
use crate::support::nearest;

/// Members that a body may have.
pub const MEMBERS_MAX: usize = 1000;

/// A body with too many members.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} members; at most {MEMBERS_MAX} are allowed")]
pub struct TooManyMembers(usize);

/// Refuses a body with too many members.
///
/// # Errors
/// [`TooManyMembers`].
pub fn check_count(body: &Value) -> Result<(), TooManyMembers> {
    match body.as_object().map_or(0, serde_json::Map::len) {
        0..=MEMBERS_MAX => Ok(()),
        count => Err(TooManyMembers(count)),
    }
}

/// The refusal of a dry run on a route that has none.
pub const NO_DRY_RUN: &str = "dry_run is not taken here, and nothing was cleared: ask POST \
     /api/cache/explain, or POST /api/cache/invalidate with \"dry_run\": true";

/// Whether a body asks for a dry run, in any spelling of `dry_run`.
pub fn asks_dry_run(body: &Value) -> bool {
    let mut members = body.as_object().into_iter().flatten();
    members.any(|(name, value)| is_dry_run(name) && !is_no(value))
}

/// Whether this is a spelling of `dry_run`.
pub fn is_dry_run(name: &str) -> bool {
    let letters = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase());
    letters.take(7).eq("dryrun".chars())
}

/// The members that may fill in a recipe.
pub fn fields(body: &Value) -> Fields {
    let members = body.as_object().into_iter().flatten().take(MEMBERS_MAX);
    let field = |(name, value): (&String, &Value)| {
        let text = match value {
            Value::String(text) if is_doubtful(text) || entity::is_wildcard(text) => return None,
            Value::String(text) => entity::trimmed(text).to_owned(),
            Value::Number(number) if !number.is_f64() => number.to_string(),
            _ => return None,
        };
        Some((name.clone(), text))
    };
    members.filter_map(field).collect()
}

/// The fields that are sent with an event, for the templates of sites.
pub fn kept(fields: &Fields) -> Fields {
    let fits = |(name, value): &(&String, &String)| {
        is_field_name(name) && Label::parse(value.as_str()).is_ok()
    };
    let kept = fields.iter().filter(fits).take(FIELDS_MAX);
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The members that are set to true, except `mirror`. A known flag is set by any value that does
/// not mean false (`1`, `"true"`).
pub fn flags(body: &Value, is_known: impl Fn(&str) -> bool) -> Vec<&str> {
    let members = body.as_object().into_iter().flatten().take(MEMBERS_MAX);
    let set = members.filter(|(name, value)| {
        *name != "mirror" && (**value == Value::Bool(true) || is_known(name) && !is_no(value))
    });
    set.map(|(name, _)| name.as_str()).collect()
}

/// Whether a value means true: `true`, `1`, `"yes"`.
pub fn is_yes(value: &Value) -> bool {
    match value {
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() == Some(1.0),
        Value::String(text) => {
            matches!(&text.trim().to_ascii_lowercase()[..], "true" | "1" | "yes" | "on")
        }
        _ => false,
    }
}

fn is_no(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => {
            matches!(&text.trim().to_ascii_lowercase()[..], "" | "false" | "0" | "no" | "off")
        }
        Value::Number(number) => number.as_f64() == Some(0.0),
        _ => false,
    }
}

/// `mirror` is misspelt or not a flag. It must not count as "mirror not given".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?}: expected \"mirror\" to be true or false")]
pub struct BadMirror(String);

/// `mirror`, if it was given. A member with almost that name is a spelling error, unless it is
/// known.
///
/// # Errors [`BadMirror`] if it is misspelt or not a flag.
pub fn mirror(body: &Value, is_known: impl Fn(&str) -> bool) -> Result<Option<bool>, BadMirror> {
    let is_slip = |name: &str| {
        let near = nearest::nearest(&name.to_lowercase(), ["mirror"], 1);
        name != "mirror" && near.is_some() && !is_known(name)
    };
    let mut names = body.as_object().into_iter().flatten().take(MEMBERS_MAX).map(|(name, _)| name);
    if let Some(slip) = names.find(|name| is_slip(name)) {
        return Err(BadMirror(slip.clone()));
    }
    match body.get("mirror") {
        None => Ok(None),
        Some(Value::Bool(mirror)) => Ok(Some(*mirror)),
        Some(_) => Err(BadMirror("mirror".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_invalid_field_is_not_sent_with_an_event() {
        let long = "x".repeat(2_000);
        let body = json!({ "slug": "red-shoe", "a b": "c", "empty": "", "long": long, "n": 7 });
        let kept: Vec<_> = kept(&fields(&body)).into_iter().collect();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(kept, [pair("n", "7"), pair("slug", "red-shoe")]);
    }

    #[test]
    fn a_misspelt_mirror_does_not_count_as_absent() {
        for slip in [
            json!({ "Mirror": false }),
            json!({ "mirrors": false }),
            json!({ "mirror": "x" }),
            json!({ "mirror": null }),
            json!({ "mirror": 0 }),
        ] {
            assert!(mirror(&slip, |_| false).is_err(), "{slip}");
        }
        assert_eq!(mirror(&json!({ "mirrors": true }), |name| name == "mirrors"), Ok(None));
        assert_eq!(mirror(&json!({ "error": true, "minor": 1 }), |_| false), Ok(None));
    }

    #[test]
    fn a_dry_run_is_known_in_every_spelling() {
        for body in [
            json!({ "dry_run": true }),
            json!({ "dryRun": 1 }),
            json!({ "dry-run": "yes" }),
            json!({ "DRYRUN": "true" }),
            json!({ "dry_run": {} }),
        ] {
            assert!(asks_dry_run(&body), "{body}");
        }
        for body in [
            json!({ "dry_run": false }),
            json!({ "dryRun": "off" }),
            json!({ "dry_run": null }),
            json!({ "dry_runs": true, "dry": true }),
            json!([{ "dry_run": true }]),
        ] {
            assert!(!asks_dry_run(&body), "{body}");
        }
    }

    #[test]
    fn a_field_is_trimmed_and_has_no_wildcards() {
        let given = fields(&json!({ "id": " 7 ", "clientId": "*", "slug": "a*" }));
        assert_eq!(given.into_iter().collect::<Vec<_>>(), [("id".into(), "7".into())]);
    }

    #[test]
    fn only_text_and_whole_numbers_are_fields() {
        let body = json!({
            "type": "products", "clientId": 7, "productId": null, "x": 1.5, "y": ["1"], "z": true,
            "mirror": false, "cut": "a\u{fffd}",
        });
        let names: Vec<String> =
            fields(&body).into_iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(names, ["clientId=7", "type=products"]);
        let none = |_: &str| false;
        assert_eq!((flags(&body, none), mirror(&body, none)), (vec!["z"], Ok(Some(false))));
        let body = json!({
            "a": 1, "b": "true", "c": 0, "d": "False", "e": null, "f": [true], "g": "", "h": {},
        });
        assert_eq!(flags(&body, |_| true), ["a", "b", "f", "h"]);
        assert_eq!(flags(&body, none), [""; 0]);
        for nothing in [json!([1]), json!("x"), json!(null), json!({ "mirror": true })] {
            assert_eq!((fields(&nothing).len(), flags(&nothing, none).len()), (0, 0), "{nothing}");
        }
    }
}

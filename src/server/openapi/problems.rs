//! Problem documents in the description: every answer names the codes that it may carry.
//!
//! What the guard, the gate and the reading of bodies may refuse on any route is written once,
//! here; it is shared by reference where a route adds nothing of its own.

use std::collections::{BTreeMap, BTreeSet};

use hyper::StatusCode;
use serde_json::{Map, Value, json};

/// Codes by status.
pub type Codes = BTreeMap<u16, BTreeSet<&'static str>>;

/// On any route.
const ANY: &[(u16, &[&str])] = &[
    (
        400,
        &[
            "bad_framing",
            "bad_head",
            "bad_host",
            "bad_path",
            "bad_target",
            "bad_upgrade",
            "unexpected_body",
        ],
    ),
    (403, &["address_not_allowed", "https_required"]),
    (405, &["method_not_allowed"]),
    (414, &["target_too_long"]),
    (417, &["unknown_expect"]),
    (421, &["unknown_host"]),
    (501, &["unknown_coding", "unknown_method"]),
];
/// Where credentials are needed.
const TOKEN: &[(u16, &[&str])] = &[
    (400, &["token_in_query"]),
    (401, &["invalid_credentials", "unauthenticated"]),
    (403, &["forbidden"]),
    (429, &["too_many_requests"]),
];
/// Where a body is read.
const BODY: &[(u16, &[&str])] = &[
    (400, &["broken_body", "unknown_parameter"]),
    (408, &["body_timeout"]),
    (413, &["body_too_large"]),
    (415, &["encoded_body"]),
];
/// Where a part of the path names something.
const PART: &[(u16, &[&str])] = &[(404, &["not_found"])];

/// Adds what is usual for such a route.
pub fn add_usual(codes: &mut Codes, needs_token: bool, has_part: bool, is_body_read: bool) {
    let groups = [(true, ANY), (needs_token, TOKEN), (has_part, PART), (is_body_read, BODY)];
    for (_, group) in groups.into_iter().filter(|(applies, _)| *applies) {
        for (status, more) in group {
            codes.entry(*status).or_default().extend(*more);
        }
    }
}

/// The response object; a reference where these codes are the usual ones.
pub fn response(status: u16, codes: &BTreeSet<&'static str>) -> Value {
    let is_usual = usual(status).is_some_and(|usual| usual == *codes);
    if is_usual {
        json!({ "$ref": format!("#/components/responses/{status}") })
    } else {
        problem_response(status, codes)
    }
}

/// The responses that references lead to.
pub fn shared() -> Map<String, Value> {
    let statuses = [401, 404, 405, 408, 413, 414, 415, 417, 421, 429, 501];
    let entry =
        |status| usual(status).map(|codes| (status.to_string(), problem_response(status, &codes)));
    statuses.into_iter().filter_map(entry).collect()
}

/// The problem codes of this status on most routes; `None` where they vary.
fn usual(status: u16) -> Option<BTreeSet<&'static str>> {
    if matches!(status, 400 | 403) {
        return None;
    }
    let groups = [ANY, TOKEN, PART, BODY];
    let found = groups.iter().flat_map(|group| group.iter()).find(|(known, _)| *known == status);
    found.map(|(_, codes)| codes.iter().copied().collect())
}

/// The response of a problem document with this status, and the codes it may carry.
pub fn content(status: u16, codes: &BTreeSet<&'static str>) -> Value {
    let schema = json!({ "allOf": [
        { "$ref": "#/components/schemas/Problem" },
        { "properties": { "status": { "const": status }, "code": { "enum": codes } } },
    ] });
    json!({ "schema": schema })
}

fn problem_response(status: u16, codes: &BTreeSet<&'static str>) -> Value {
    json!({
        "description": reason(status),
        "content": { "application/problem+json": content(status, codes) },
    })
}

/// A head that is too large is answered before there is a request, and without a body.
pub fn head_too_large() -> (u16, Value) {
    (431, json!({ "description": "The request's head is over 32 KiB" }))
}

/// The words of a status.
pub fn reason(status: u16) -> &'static str {
    StatusCode::from_u16(status).ok().and_then(|it| it.canonical_reason()).unwrap_or("Problem")
}

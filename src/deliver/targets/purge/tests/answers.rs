//! The verdicts on answers, for each kind of target.

use super::super::*;
use super::laws::targets;

fn answer(status: u16, media: &str, body: &str) -> HttpAnswer {
    let content_type = (!media.is_empty()).then(|| media.to_owned());
    HttpAnswer { status, content_type, body: body.to_owned().into(), ..HttpAnswer::default() }
}

fn refusal(purge: &Purge, answer: &HttpAnswer) -> String {
    match purge.judge(answer) {
        AnswerVerdict::Refused(reason, _) => reason,
        other => panic!("{answer:?} is {other:?}"),
    }
}

#[test]
fn a_cache_acknowledges_with_any_body_and_refusals_name_a_fix() {
    let mut purge = targets().remove(0);
    let page = answer(200, "text/html", "<title>200 Purged</title>");
    assert_eq!(purge.judge(&page), AnswerVerdict::Acknowledged);
    assert!(refusal(&purge, &answer(403, "", "")).contains("check its access list and token"));
    assert!(refusal(&purge, &answer(404, "", "")).contains("set absent_status of t"));
    assert!(refusal(&purge, &answer(405, "", "")).contains("t does not support this request"));
    assert_eq!(refusal(&purge, &answer(301, "", "")), "redirect");
    assert_eq!(purge.judge(&answer(429, "", "")), AnswerVerdict::Throttled(None));
    if let Dialect::Http(http) = &mut purge.dialect {
        http.absent_status = Some(404);
    }
    assert_eq!(purge.judge(&answer(404, "", "")), AnswerVerdict::Acknowledged);
}

/// After refused credentials the next attempt waits at least a minute.
#[test]
fn refused_credentials_are_retried_after_a_minute() {
    for purge in targets() {
        for status in [401, 403] {
            let AnswerVerdict::Refused(reason, wait) = purge.judge(&answer(status, "", "secret"))
            else {
                panic!("{status} is a refusal");
            };
            assert!(wait.is_some_and(|wait| wait.as_secs() >= 60), "{reason}");
            assert!(reason.contains(&purge.name) && !reason.contains("secret"), "{reason}");
        }
    }
}

fn of(dialect: &str) -> Purge {
    let found = targets().into_iter().find(|one| format!("{:?}", one.dialect).starts_with(dialect));
    found.expect("one of each kind")
}

/// Only the documented success answer of a CDN is an acknowledgement.
#[test]
fn a_cdn_acknowledges_only_with_its_documented_answer() {
    let json = "application/json";
    for (dialect, status, media, body, is_done) in [
        ("Cloudflare", 200, json, r#"{"success":true,"errors":[]}"#, true),
        ("Cloudflare", 200, json, r#"{"success":false,"errors":[]}"#, false),
        ("Cloudflare", 200, json, "{}", false),
        ("Cloudflare", 200, "text/html", "<h1>Welcome</h1>", false),
        ("Cloudflare", 204, "", "", false),
        ("Fastly", 200, json, r#"{"status":"ok","id":"1"}"#, true),
        ("Fastly", 200, json, r#"{"posts:42":"108-1"}"#, true),
        ("Fastly", 200, json, r#"{"status":"error"}"#, false),
        ("Fastly", 200, "text/html", "<h1>Welcome</h1>", false),
        ("Bunny", 204, "", "", true),
        ("Bunny", 200, "text/html", "<h1>Welcome</h1>", false),
        ("Vercel", 200, "", "", true),
        ("Vercel", 200, json, r#"{"success":false}"#, false),
        ("Refresh", 200, "text/html", "<h1>Welcome</h1>", true),
        ("Refresh", 301, "", "", true),
        ("Refresh", 404, "", "", true),
        ("Refresh", 500, "", "", false),
        ("Refresh", 403, "", "", false),
    ] {
        let verdict = of(dialect).judge(&answer(status, media, body));
        assert_eq!(
            verdict == AnswerVerdict::Acknowledged,
            is_done,
            "{dialect} {status} {body}: {verdict:?}"
        );
    }
}

/// Error codes are shown, messages never: they may repeat what was sent.
#[test]
fn errors_of_cloudflare_are_shown_as_codes() {
    let body = r#"{"success":false,"errors":[{"code":1012,"message":"no secret-token"}]}"#;
    let cloudflare = of("Cloudflare");
    for (status, expected) in
        [(200, "the answer has success: false: errors 1012"), (400, "http 400: errors 1012")]
    {
        assert_eq!(refusal(&cloudflare, &answer(status, "application/json", body)), expected);
    }
    let unknown = body.replace("1012", "7003");
    let reason = refusal(&cloudflare, &answer(400, "application/json", &unknown));
    assert!(reason.contains("set zone of t to the zone's id"), "{reason}");
    assert!(refusal(&cloudflare, &answer(404, "", "")).contains("set zone of t"));
}

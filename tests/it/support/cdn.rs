//! Stand-ins for CDNs, which cannot be had here: each enforces the contract that its vendor
//! publishes (method, path, credentials, content type, how much one call may name, how often) and
//! refuses whatever breaks it. What was taken is remembered. They hold no pages.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::stub::{Reply, Seen, StubPeer};

/// What every vendor gives out here.
pub const TOKEN: &str = "a-token-of-the-tests";

/// One call that was within the contract.
#[derive(Debug, Clone, PartialEq)]
pub struct Taken {
    /// Path and query.
    pub path: String,
    /// The body; null where there is none.
    pub body: Value,
    /// Whether it asked to be soft.
    pub is_soft: bool,
}

/// A vendor's contract: what it answers, and whether it took the call.
type Contract = fn(&Seen) -> Result<Reply, Reply>;

/// A stand-in.
pub struct Cdn {
    stub: StubPeer,
    taken: Arc<Mutex<Vec<Taken>>>,
    refused: Arc<Mutex<Vec<Seen>>>,
    throttled: Arc<AtomicU32>,
}

impl Cdn {
    /// Starts one. The first call is over its limit, with a Retry-After of one second.
    pub async fn start(contract: Contract) -> Self {
        let stub = StubPeer::start().await;
        let (taken, refused) = (Arc::<Mutex<Vec<Taken>>>::default(), Arc::default());
        let throttled = Arc::new(AtomicU32::new(0));
        let (mine, bad, calls) =
            (Arc::clone(&taken), Arc::<Mutex<Vec<Seen>>>::clone(&refused), Arc::clone(&throttled));
        stub.answer_by(move |seen| {
            if calls.fetch_add(1, Ordering::Relaxed) == 0 {
                return Reply::throttled(1);
            }
            match contract(seen) {
                Ok(reply) => {
                    mine.lock().push(Taken {
                        path: seen.path.clone(),
                        body: serde_json::from_slice(&seen.body).unwrap_or_default(),
                        is_soft: !seen.header("fastly-soft-purge").is_empty(),
                    });
                    reply
                }
                Err(reply) => {
                    bad.lock().push(seen.clone());
                    reply
                }
            }
        });
        Self { stub, taken, refused, throttled }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn base(&self) -> String {
        format!("http://{}", self.stub.name())
    }

    /// What it took, in order.
    pub fn taken(&self) -> Vec<Taken> {
        self.taken.lock().clone()
    }

    /// What was against its contract.
    pub fn refused(&self) -> Vec<Seen> {
        self.refused.lock().clone()
    }

    /// Calls so far.
    pub fn calls(&self) -> u32 {
        self.throttled.load(Ordering::Relaxed)
    }
}

fn body_of(seen: &Seen) -> Result<Value, Reply> {
    if seen.header("content-type") != "application/json" {
        return Err(Reply::Json(415, json!({ "msg": "JSON, please" })));
    }
    serde_json::from_slice(&seen.body).map_err(|_| Reply::Json(400, json!({ "msg": "no JSON" })))
}

fn posted(seen: &Seen) -> Result<(), Reply> {
    if seen.method == "POST" { Ok(()) } else { Err(Reply::Json(405, json!({}))) }
}

/// Texts of a list within these bounds.
fn texts(list: &Value, count_max: usize, chars_max: usize) -> Option<Vec<&str>> {
    let texts: Vec<_> = list.as_array()?.iter().map(Value::as_str).collect::<Option<_>>()?;
    let is_good = |text: &&str| (1..=chars_max).contains(&text.chars().count());
    ((1..=count_max).contains(&texts.len()) && texts.iter().all(is_good)).then_some(texts)
}

/// Stand-in for `https://api.cloudflare.com/client/v4` with the zone `z1`.
pub fn cloudflare(seen: &Seen) -> Result<Reply, Reply> {
    let error = |status, code: u32| {
        let errors = json!([{ "code": code, "message": "as documented" }]);
        Reply::Json(status, json!({ "success": false, "errors": errors, "result": null }))
    };
    posted(seen)?;
    if seen.header("authorization") != format!("Bearer {TOKEN}") {
        return Err(error(401, 10_000));
    }
    if seen.path != "/client/v4/zones/z1/purge_cache" {
        return Err(error(404, 7003));
    }
    let body = body_of(seen)?;
    let fields = body.as_object().ok_or_else(|| error(400, 1012))?;
    let is_good = fields.len() == 1
        && fields.iter().all(|(field, list)| match field.as_str() {
            "purge_everything" => *list == true,
            "files" => texts(list, 100, 4096)
                .is_some_and(|all| all.iter().all(|url| url.starts_with("https://"))),
            "tags" => texts(list, 100, 1024)
                .is_some_and(|all| all.iter().all(|tag| tag.is_ascii() && !tag.contains(' '))),
            "prefixes" => texts(list, 100, 4096).is_some_and(|all| {
                let is_prefix = |text: &&str| {
                    !text.contains("://")
                        && !text.contains(['?', '#'])
                        && text.matches('/').count() <= 31
                };
                all.iter().all(is_prefix)
            }),
            "hosts" => {
                texts(list, 100, 253).is_some_and(|all| all.iter().all(|host| !host.contains('/')))
            }
            _ => false,
        });
    if !is_good {
        return Err(error(400, 1012));
    }
    let result = json!({ "id": "9a7806061c88ada191ed06f989cc3dac" });
    let body = json!({ "success": true, "errors": [], "messages": [], "result": result });
    Ok(Reply::Json(200, body))
}

/// Stand-in for `https://api.fastly.com` with the service `s1`.
pub fn fastly(seen: &Seen) -> Result<Reply, Reply> {
    let error = |status| Reply::Json(status, json!({ "msg": "as documented" }));
    posted(seen)?;
    if seen.header("fastly-key") != TOKEN {
        return Err(error(401));
    }
    let is_soft = !seen.header("fastly-soft-purge").is_empty();
    let done = json!({ "status": "ok", "id": "108-1391560174-974124" });
    match seen.path.as_str() {
        "/service/s1/purge_all" if is_soft => Err(error(400)),
        "/service/s1/purge_all" => Ok(Reply::Json(200, json!({ "status": "ok" }))),
        "/service/s1/purge" => {
            let body = body_of(seen)?;
            let keys = texts(&body["surrogate_keys"], 256, 1024).ok_or_else(|| error(400))?;
            let ids = keys.iter().map(|key| ((*key).to_owned(), json!("108-1391560174-974124")));
            Ok(Reply::Json(200, Value::Object(ids.collect())))
        }
        path if path.starts_with("/purge/www.example.org/") => Ok(Reply::Json(200, done)),
        _ => Err(error(404)),
    }
}

/// Stand-in for `https://api.bunny.net` with the pull zone `1`.
pub fn bunny(seen: &Seen) -> Result<Reply, Reply> {
    let error = |status| Reply::Json(status, json!({ "Message": "as documented" }));
    posted(seen)?;
    if seen.header("accesskey") != TOKEN {
        return Err(error(401));
    }
    let done = Reply::Raw(204, vec![], bytes::Bytes::new());
    match seen.path.as_str() {
        "/pullzone/1/purgeCache" if seen.body.is_empty() => Ok(done),
        "/pullzone/1/purgeCache" => {
            let body = body_of(seen)?;
            let tag = body["CacheTag"].as_str().filter(|tag| (1..=1024).contains(&tag.len()));
            if tag.is_some() { Ok(done) } else { Err(error(400)) }
        }
        path => match path.strip_prefix("/purge?url=https%3A%2F%2F") {
            Some(_) => Ok(Reply::Raw(200, vec![], bytes::Bytes::new())),
            None => Err(error(404)),
        },
    }
}

/// Stand-in for `https://api.vercel.com` with the project `p1` of the team `t1`.
pub fn vercel(seen: &Seen) -> Result<Reply, Reply> {
    let error = |status| Reply::Json(status, json!({ "error": { "code": "as_documented" } }));
    posted(seen)?;
    if seen.header("authorization") != format!("Bearer {TOKEN}") {
        return Err(error(403));
    }
    let (path, query) = seen.path.split_once('?').unwrap_or((&seen.path, ""));
    let verbs = ["invalidate-by-tags", "dangerously-delete-by-tags"];
    if query != "projectIdOrName=p1&teamId=t1"
        || !verbs.iter().any(|verb| path == format!("/v1/edge-cache/{verb}"))
    {
        return Err(error(404));
    }
    let body = body_of(seen)?;
    texts(&body["tags"], 16, 256).ok_or_else(|| error(400))?;
    Ok(Reply::Raw(200, vec![], bytes::Bytes::new()))
}

//! The one readable table: what is served, and who may call it.
//! Paths are decoded once, credentials and roles are checked before any handler runs; a handler
//! that is not in the table cannot be reached.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use hyper::{Method, Request, StatusCode, Version};
use matchit::Router;

use super::call::ControlCall;
use super::line::Line;
use super::respond::{Answer, Handled, Problem};
use super::timing::Timed;
use super::{Control, api, dashboard, forwarded, guard, https, openapi, refusals};
use crate::domain::{Principal, Role};
use crate::gate::{ClientAddress, Rejected};

/// What a caller must be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing; the route answers anybody, or checks what it needs itself.
    Nothing,
    /// To send invalidations: also what a peer's service account may do.
    Invalidate,
    /// To read, and everything editors may.
    Read,
    /// To change entries and mirrors.
    Admin,
}

type Handler = fn(Arc<Control>, ControlCall) -> BoxFuture<'static, Handled>;

/// One line of the table.
pub struct Route {
    method: Method,
    /// The same as a word that lives as long as the table.
    word: &'static str,
    path: &'static str,
    needs: Needs,
    handler: Handler,
    timed: Timed,
}

macro_rules! routes {
    ($($method:ident $path:literal $needs:ident $handler:path;)+) => {
        vec![$(Route {
            method: Method::$method,
            word: stringify!($method),
            path: $path,
            needs: Needs::$needs,
            handler: |control, call| Box::pin($handler(control, call)),
            timed: Timed::default(),
        }),+]
    };
}

fn routes() -> Vec<Route> {
    routes! {
        POST   "/api/cache/invalidate"             Invalidate api::invalidate::post;
        POST   "/api/cache/clear"                  Read       api::invalidate::clear;
        GET    "/api/cache/events/{id}"            Read       api::events::get;
        POST   "/api/cache/explain"                Read       api::explain::post;
        GET    "/api/cache/why"                    Read       api::why::get;
        GET    "/api/cache/journal"                Read       api::events::journal;
        GET    "/api/cache/entries"                Read       api::entries::list;
        GET    "/api/cache/entries/{*key}"         Read       api::entries::get;
        HEAD   "/api/cache/entries/{*key}"         Read       api::entries::get;
        PUT    "/api/cache/entries/{*key}"         Admin      api::entries::put;
        DELETE "/api/cache/entries/{*key}"         Read       api::entries::delete;
        GET    "/api/cache/stats"                  Read       api::stats::stats;
        GET    "/api/cache/versions"               Read       api::stats::versions;
        POST   "/api/cache/versions/reset"         Admin      api::stats::reset;
        POST   "/api/hooks/{name}"                 Nothing    api::hooks::post;
        GET    "/api/mirrors"                      Read       api::mirrors::list;
        PATCH  "/api/mirrors/{name}"               Admin      api::mirrors::limit;
        POST   "/api/mirrors/{name}/pause"         Admin      api::mirrors::pause;
        POST   "/api/mirrors/{name}/resume"        Admin      api::mirrors::resume;
        POST   "/api/mirrors/{name}/retry"         Admin      api::mirrors::retry;
        POST   "/api/mirrors/{name}/ping"          Admin      api::mirrors::ping;
        GET    "/api/schedules"                    Read       api::schedules::list;
        POST   "/api/schedules/{id}/run"           Admin      api::schedules::run;
        POST   "/api/schedules/{id}/pause"         Admin      api::schedules::pause;
        POST   "/api/schedules/{id}/resume"        Admin      api::schedules::resume;
        POST   "/api/reload"                       Admin      api::reload::post;
        POST   "/api/cache/hooks/{name}"           Invalidate api::compat::hooks::post;
        GET    "/api/admin/cache/stats"            Read       api::compat::admin::stats;
        POST   "/api/admin/cache/clear"            Read       api::compat::admin::clear;
        GET    "/api/revalidate"                   Nothing    api::compat::paths::get;
        HEAD   "/api/revalidate"                   Nothing    api::compat::paths::head;
        POST   "/api/revalidate"                   Nothing    api::compat::paths::post;
        POST   "/api/revalidate/{name}"            Nothing    api::compat::named::post;
        POST   "/api/auth/login"                   Nothing    api::login::post;
        GET    "/.well-known/jwks.json"            Nothing    api::jwks::get;
        GET    "/api/stream"                       Nothing    api::stream::get;
        OPTIONS "/api/stream"                      Nothing    api::stream::preflight;
        POST   "/api/stream/ticket"                Read       api::stream::ticket;
        GET    "/_cache-mirror/identity"           Nothing    api::identity::get;
        POST   "/_cache-mirror/hello"              Invalidate api::identity::hello;
        GET    "/healthz"                          Nothing    api::identity::healthy;
        HEAD   "/healthz"                          Nothing    api::identity::healthy;
        GET    "/readyz"                           Nothing    api::identity::ready;
        HEAD   "/readyz"                           Nothing    api::identity::ready;
        GET    "/"                                 Nothing    dashboard::from_root;
        HEAD   "/"                                 Nothing    dashboard::from_root;
        GET    "/dashboard/"                       Nothing    dashboard::from_slash;
        HEAD   "/dashboard/"                       Nothing    dashboard::from_slash;
        GET    "/dashboard"                        Nothing    dashboard::page;
        HEAD   "/dashboard"                        Nothing    dashboard::page;
        GET    "/dashboard/{file}"                 Nothing    dashboard::file;
        HEAD   "/dashboard/{file}"                 Nothing    dashboard::file;
        GET    "/openapi.json"                     Read       openapi::get;
        HEAD   "/openapi.json"                     Read       openapi::get;
        GET    "/metrics"                          Nothing    api::metrics::get;
        HEAD   "/metrics"                          Nothing    api::metrics::get;
    }
}

/// Routes that do something and look at their query themselves. Of all others it is refused: what
/// it asks for would not be done.
const JUDGE_THEIR_QUERY: [&str; 7] = [
    "/api/cache/invalidate",
    "/api/cache/clear",
    "/api/hooks/{name}",
    "/api/admin/cache/clear",
    "/api/revalidate",
    "/api/revalidate/{name}",
    "/api/auth/login",
];

/// Routes that read without a query. A filter there would not be applied, so the answer would
/// mislead.
const READ_WITHOUT_QUERY: [&str; 4] =
    ["/api/cache/events/{id}", "/api/cache/stats", "/api/mirrors", "/api/schedules"];

/// What stands for a route where there is none.
const ASTRAY: (&str, &str) = ("any", "none");

/// The same where a client speaks TLS.
const TLS: (&str, &str) = ("https", "to the http port");

/// Who sends a request, as far as it is known.
struct From {
    socket: IpAddr,
    address: ClientAddress,
    /// The principal, once its credential held.
    who: Option<String>,
}

/// Served only where `control.dev` is on. Not in the OpenAPI document: no client may rely on it.
fn dev_routes() -> Vec<Route> {
    routes! {
        GET    "/api/revalidate/{name}"            Nothing    api::compat::by_hand::get;
    }
}

/// What is served, for the description of it.
pub fn served() -> impl Iterator<Item = (Method, &'static str, Needs)> {
    routes().into_iter().map(|route| (route.method, route.path, route.needs))
}

/// The table, ready to be looked up.
pub struct RouteTable {
    control: Arc<Control>,
    router: Router<HashMap<Method, Route>>,
    /// Of what leads to no route.
    astray: Timed,
}

impl RouteTable {
    /// Builds the table.
    pub fn new(control: Arc<Control>) -> Self {
        let mut by_path: HashMap<&'static str, HashMap<Method, Route>> = HashMap::new();
        let dev = control.config.is_dev.then(dev_routes);
        for route in routes().into_iter().chain(dev.into_iter().flatten()) {
            by_path.entry(route.path).or_default().insert(route.method.clone(), route);
        }
        let mut router = Router::new();
        for (path, methods) in by_path {
            router.insert(path, methods).expect("the paths of the table do not overlap");
        }
        Self { control, router, astray: Timed::default() }
    }

    /// Notes a client that began a TLS connection: it was given an `https` URL of this listener.
    pub fn note_tls(&self, socket: IpAddr) {
        self.control.refusals.note(None, TLS, "tls", socket.into());
    }

    /// Answers one request, whatever it is.
    pub async fn answer(&self, request: Request<Incoming>, socket: IpAddr, line: Line) -> Answer {
        let began = Instant::now();
        let has_body = has_body(request.headers());
        let gate = &self.control.pipeline.gate;
        let address = gate.client_address(socket, &forwarded::passed_on(request.headers()));
        let mut from = From { socket, address, who: None };
        let (fault, _busy) = line.begin();
        let found = match fault {
            Some(fault) => Err(fault.problem()),
            None => guard::check(&request).and_then(|()| self.find(&request)),
        };
        let (names, timed, answered) = match found {
            Ok((route, param)) => {
                let admitted = self.admit(route, param, request, line, &mut from).await;
                let answered = match admitted {
                    Ok(call) => (route.handler)(Arc::clone(&self.control), call).await,
                    Err(problem) => Err(problem.closing_if(has_body)),
                };
                ((route.word, route.path), &route.timed, answered)
            }
            Err(problem) => (ASTRAY, &self.astray, Err(problem.closing_if(has_body))),
        };
        let (status, code) = match &answered {
            Ok(answer) => (answer.status(), None),
            Err(problem) => (problem.kind().0, Some(problem.kind().1)),
        };
        if let Some(reason) = refusals::reason(status, code) {
            self.control.refusals.note(from.who.as_deref(), names, reason, address);
        }
        let answer = answered.unwrap_or_else(Problem::into_answer);
        self.control.timings.note(names, timed, answer.status(), began.elapsed());
        answer
    }

    /// The route, and the part of its path in braces, decoded.
    fn find(&self, request: &Request<Incoming>) -> Result<(&Route, String), Problem> {
        let found = self.router.at(request.uri().path()).ok();
        let found = found.ok_or_else(|| Problem::not_found("nothing is served here"))?;
        let Some(route) = found.value.get(request.method()) else {
            let mut allow: Vec<&str> = found.value.keys().map(Method::as_str).collect();
            allow.sort_unstable();
            return Err(Problem::method_not_allowed(&allow.join(", ")));
        };
        let param = found.params.iter().next().map(|(_, value)| decode(value)).transpose()?;
        Ok((route, param.unwrap_or_default()))
    }

    /// Everything that is judged before the body is looked at.
    async fn admit(
        &self,
        route: &Route,
        param: String,
        mut request: Request<Incoming>,
        line: Line,
        from: &mut From,
    ) -> Result<ControlCall, Problem> {
        // In HTTP/1.0 the header has no meaning (RFC 9110 7.8).
        let asks = request.version() == Version::HTTP_11 && request.headers().contains_key(UPGRADE);
        let upgrade = asks.then(|| hyper::upgrade::on(&mut request));
        let (parts, body) = request.into_parts();
        let gate = &self.control.pipeline.gate;
        let proxies = &gate.config().trusted_proxies;
        self.control.config.hosts.check(route.path, &parts.headers, from.socket, proxies)?;
        if self.control.config.require_https {
            https::check(route.path, &parts.headers, from.socket, proxies)?;
        }
        let address = from.address;
        gate.check_address(address)?;
        let who = match authorization(&parts.headers)? {
            // An open route stays open to a caller with a bad token: a probe must not fail on it.
            _ if route.needs == Needs::Nothing => None,
            None if names_token(parts.uri.query()) => return Err(token_in_query()),
            header => {
                gate.learn_key(header).await;
                Some(gate.authenticate(header, address)?)
            }
        };
        if let Some(who) = &who {
            from.who = Some(who.name.clone());
            check_role(who, route.needs)?;
            gate.check_rate(who, address)?;
        }
        if matches!(parts.method, Method::GET | Method::HEAD) && has_body(&parts.headers) {
            return Err(Problem::bad_request("unexpected_body", "a body has no meaning here"));
        }
        let call = ControlCall {
            query: parts.uri.query().map(ToOwned::to_owned),
            param,
            headers: parts.headers,
            body,
            address,
            who,
            line,
            upgrade,
        };
        let has_effect = matches!(parts.method, Method::POST | Method::PATCH);
        if has_effect && !JUDGE_THEIR_QUERY.contains(&route.path) {
            call.takes_only(&[])?;
        }
        if READ_WITHOUT_QUERY.contains(&route.path) {
            call.takes_no_query()?;
        }
        Ok(call)
    }
}

fn has_body(headers: &hyper::HeaderMap) -> bool {
    let length = headers.get(CONTENT_LENGTH);
    headers.contains_key(TRANSFER_ENCODING)
        || length.is_some_and(|length| length.as_bytes() != b"0")
}

/// Whether a query names what only a header may hold (RFC 6750 section 2.3 tells why not).
fn names_token(query: Option<&str>) -> bool {
    let pairs = query.unwrap_or_default().split('&');
    let mut names = pairs.map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name));
    names.any(|name| matches!(name, "token" | "access_token"))
}

fn token_in_query() -> Problem {
    let detail = "a token goes into the Authorization header; one in a URL lands in logs: if it is \
                  real, exchange it";
    Problem::bad_request("token_in_query", detail)
}

/// The one `Authorization` header, if there is one.
fn authorization(headers: &hyper::HeaderMap) -> Result<Option<&str>, Problem> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    match (all.next(), all.next()) {
        (_, Some(_)) => Err(Problem::from(Rejected::Invalid)),
        (Some(one), None) => Ok(one.to_str().ok()),
        (None, None) => Ok(None),
    }
}

fn check_role(who: &Principal, needs: Needs) -> Result<(), Rejected> {
    let may = match needs {
        Needs::Nothing | Needs::Invalidate => true,
        Needs::Read => who.role >= Role::Editor,
        Needs::Admin => who.role >= Role::Admin,
    };
    match (may, needs) {
        (true, _) => Ok(()),
        (false, Needs::Admin) => Err(Rejected::Forbidden("an administrator's credentials")),
        (false, _) => Err(Rejected::Forbidden("a role that may read; a service account may not")),
    }
}

/// Percent-decodes one path parameter, once.
fn decode(raw: &str) -> Result<String, Problem> {
    let bad = |detail: &str| Problem::new(StatusCode::BAD_REQUEST, "bad_path", detail);
    let bytes = raw.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'%' {
            let hex =
                raw.get(at + 1..at + 3).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
            let hex = hex.ok_or_else(|| bad("a broken escape"))?;
            out.push(u8::from_str_radix(hex, 16).map_err(|_| bad("a broken escape"))?);
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8(out).map_err(|_| bad("not UTF-8 after decoding"))
}

//! `GET /api/stream`: server-sent events, or the same over a WebSocket, and the tickets for it.
//! Admission is decided here; contents and the cut-off of slow readers in `announce`.

use std::sync::Arc;

use http_body_util::Either;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_ORIGIN, AUTHORIZATION, CACHE_CONTROL,
    CONTENT_TYPE, HeaderName, HeaderValue, VARY,
};
use hyper::upgrade::OnUpgrade;
use hyper::{Response, StatusCode};

use crate::announce::{Sse, StreamRefusal};
use crate::domain::Role;
use crate::gate::Rejected;
use crate::server::Control;
use crate::server::call::ControlCall;
use crate::server::respond::{Answer, Handled, Problem, bytes, json_answer};
use crate::server::sse::SseBody;
use crate::server::websocket::{self, handshake};
use crate::wire::Ticket;

const NO_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Opens a stream, in the form that is asked for.
pub async fn get(control: Arc<Control>, mut call: ControlCall) -> Handled {
    // Nothing else keeps a page from elsewhere off a WebSocket: browsers do not ask first.
    let origin = check_origin(&control, &call)?;
    // With a misspelt id the stream would begin now, and what was missed would stay missed.
    call.takes_no_slips(&PARAMETERS)?;
    match call.upgrade.take().filter(|_| handshake::is_asked(&call.headers)) {
        Some(upgrade) => messages(&control, &call, upgrade).await,
        None => events(&control, &call, origin).await,
    }
}

/// Over a WebSocket. A handshake that is none costs no ticket.
async fn messages(control: &Control, call: &ControlCall, upgrade: OnUpgrade) -> Handled {
    let key = handshake::check(&call.headers)?;
    admit(control, call).await?;
    let subscription =
        control.pipeline.hub.subscribe(last_id(call).as_deref()).map_err(unavailable)?;
    call.line.go_on(websocket::serve(upgrade, subscription));
    Ok(handshake::switch(&key))
}

/// As server-sent events.
async fn events(control: &Control, call: &ControlCall, origin: Option<HeaderValue>) -> Handled {
    admit(control, call).await?;
    let hub = &control.pipeline.hub;
    let subscription = hub.subscribe::<Sse>(last_id(call).as_deref()).map_err(unavailable)?;
    // A reader that does not read blocks its connection in a write: only ending that frees it.
    let (cut, connection) = (subscription.cut.clone(), call.line.cut.clone());
    let stream = SseBody::from(subscription);
    call.line.stay_busy();
    tokio::spawn(async move {
        tokio::select! {
            () = cut.cancelled() => connection.cancel(),
            () = connection.cancelled() => {}
        }
    });
    let mut answer = Response::new(Either::Right(stream));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert(NO_BUFFERING, HeaderValue::from_static("no"));
    allow_origin(&mut answer, origin);
    Ok(answer)
}

/// What the query may name.
const PARAMETERS: [&str; 3] = ["ticket", LAST_ID[0], LAST_ID[1]];
/// Names of the last id in a query, for clients that cannot send headers. Libraries that replace
/// `EventSource` use the second one.
const LAST_ID: [&str; 2] = ["last_event_id", "lastEventId"];

/// Where a reader stopped; nothing for one that begins. The header wins: an `EventSource` that
/// comes back sends it, and its URL still has the id of the first time.
fn last_id(call: &ControlCall) -> Option<String> {
    let header = call.header("last-event-id").map(ToOwned::to_owned);
    let query = || LAST_ID.into_iter().filter_map(|name| call.query(name));
    header.into_iter().chain(query()).find(|id| !id.is_empty())
}

fn unavailable(refused: StreamRefusal) -> Problem {
    let code = match refused {
        StreamRefusal::Full => "too_many_readers",
        StreamRefusal::Closed => "stopping",
    };
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, refused.to_string())
}

/// The answer to a browser's question before it sends `Authorization`.
pub async fn preflight(control: Arc<Control>, call: ControlCall) -> Handled {
    let origin = check_origin(&control, &call)?;
    let mut answer = bytes(StatusCode::NO_CONTENT, "text/plain", bytes::Bytes::new());
    let allowed = HeaderValue::from_static("authorization, last-event-id, cache-control");
    answer.headers_mut().insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    allow_origin(&mut answer, origin);
    Ok(answer)
}

/// A one-use ticket for `?ticket=`.
pub async fn ticket(control: Arc<Control>, mut call: ControlCall) -> Handled {
    call.read_nothing(&control.config).await?;
    let who = call.principal();
    let holder = format!("{} {}", who.role.as_str(), who.name);
    let (ticket, expires_in) = control.tickets.issue(&holder);
    Ok(json_answer(StatusCode::OK, &Ticket { ticket, expires_in }))
}

/// A bearer token that may read, a ticket, or nothing where the stream is public.
async fn admit(control: &Control, call: &ControlCall) -> Result<(), Problem> {
    if control.pipeline.hub.config().is_public {
        return Ok(());
    }
    if let Some(ticket) = call.query("ticket") {
        return match control.tickets.redeem(&ticket) {
            true => Ok(()),
            false => Err(Problem::from(Rejected::Invalid)),
        };
    }
    admit_reader(control, call).await
}

/// A bearer token that may read, on a route that settings may open to everybody.
pub async fn admit_reader(control: &Control, call: &ControlCall) -> Result<(), Problem> {
    let gate = &control.pipeline.gate;
    let header = call.header(AUTHORIZATION.as_str());
    gate.learn_key(header).await;
    let who = gate.authenticate(header, call.address)?;
    if who.role < Role::Editor {
        return Err(Problem::from(Rejected::Forbidden("a role that may read")));
    }
    gate.check_rate(&who, call.address)?;
    Ok(())
}

/// Refuses pages of other origins, by the `Origin` header of browsers.
fn check_origin(control: &Control, call: &ControlCall) -> Result<Option<HeaderValue>, Problem> {
    let Some(origin) = call.headers.get("origin") else { return Ok(None) };
    let text = origin.to_str().unwrap_or_default();
    let config = control.pipeline.hub.config();
    if config.origins.iter().any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(text)) {
        return Ok(Some(origin.clone()));
    }
    let detail = "this origin is not in stream.origins";
    Err(Problem::new(StatusCode::FORBIDDEN, "origin_not_allowed", detail))
}

fn allow_origin(answer: &mut Answer, origin: Option<HeaderValue>) {
    if let Some(origin) = origin {
        answer.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        answer.headers_mut().insert(VARY, HeaderValue::from_static("origin"));
    }
}

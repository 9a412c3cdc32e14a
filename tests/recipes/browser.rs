//! The blocks for browsers, in Node, whose WebSocket and EventSource are those that browsers have.

use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::blocks::{put, text, write};
use crate::node::command;
use crate::support::{Node, PATIENCE, Spec, Ws, eventually};

const PAGE: &str = "
import { IMPORT } from './IMPORT.mjs'
const base = process.env.CACHE_MIRROR_URL
const headers = { authorization: `Bearer ${process.env.CACHE_MIRROR_TOKEN}` }
const getTicket = async () => {
  const answer = await fetch(`${base}/api/stream/ticket`, { method: 'POST', headers })
  return (await answer.json()).ticket
}
const onUpdate = ({ event, data }) => console.log(event, data.type, data.id)
CALL
";

async fn is_there(node: &Node) {
    eventually("it listens", async || node.stats().await["stream"]["clients"] == 1).await;
}

/// What follows a page's imports; `CALL` opens the stream.
fn page(import: &str, call: &str) -> String {
    PAGE.replace("IMPORT", import).replace("CALL", call)
}

/// S4 4.6: a page receives each invalidation once, even if the instance is killed meanwhile.
#[tokio::test]
async fn a_page_receives_every_event_over_its_websocket() {
    let call = "await listen(`${base.replace('http', 'ws')}/api/stream`, getTicket, onUpdate)";
    hears_of_everything("listen.mjs", "--experimental-websocket", &page("listen", call)).await;
}

/// The same over an `EventSource`, whose own reconnect would use its ticket a second time.
#[tokio::test]
async fn a_page_receives_every_event_over_its_event_source() {
    let call = "await follow(`${base}/api/stream`, getTicket, onUpdate, '', 50)";
    let page = page("follow", call).replace("./follow.mjs", "./events.mjs");
    hears_of_everything("events.mjs", "--experimental-eventsource", &page).await;
}

async fn hears_of_everything(block: &str, flag: &str, main: &str) {
    let dir = TempDir::new().expect("a directory");
    let mut node = Spec::new("a").set("stream.retry_ms", 50).start().await;
    write(dir.path(), block);
    let mut page = command("node", dir.path(), &node);
    page.arg(flag).arg(put(dir.path(), "main.mjs", main));
    let mut page = page.stdout(Stdio::piped()).spawn().expect("node runs");
    let mut lines = BufReader::new(page.stdout.take().expect("piped")).lines();
    let mut next = async || {
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("in time");
        line.expect("it reads").expect("it goes on")
    };
    is_there(&node).await;
    node.invalidate(json!({ "type": "auth", "id": 1 })).await;
    assert_eq!(next().await, "app-update auth 1");
    for id in [2, 4] {
        node.restart().await;
        node.invalidate(json!({ "type": "auth", "id": id })).await;
        assert_eq!(next().await, format!("app-update auth {id}"));
        is_there(&node).await;
        node.invalidate(json!({ "type": "auth", "id": id + 1 })).await;
        assert_eq!(next().await, format!("app-update auth {}", id + 1));
    }
}

/// The page's message has the members of a real one.
#[tokio::test]
async fn a_message_is_as_the_page_shows_it() {
    let node = Spec::new("a").start().await;
    let mut ws = Ws::open(&node, None).await;
    node.invalidate(json!({ "type": "posts", "id": 42 })).await;
    let real = ws.next_of("app-update").await.expect("an update");
    let shown: Value = serde_json::from_str(&text("message.json")).expect("JSON");
    assert_eq!(shown["event"], real.event);
    let members = |data: &Value| data.as_object().expect("an object").keys().cloned().collect();
    let (shown, real): (Vec<String>, Vec<String>) = (members(&shown["data"]), members(&real.data));
    assert_eq!(shown, real);
}

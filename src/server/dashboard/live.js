// One stream for the whole page: a fresh ticket for each connection, going on from the last id.
// It says that something changed; what changed is asked for by the panels.

import { BASE, post } from "./api.js";

const WAIT_MS_MIN = 500;
const WAIT_MS_MAX = 30_000;

/** Opens the stream and keeps it open until `stop()`. */
export function open({ onChange, onState }) {
  let source = null;
  let timer = null;
  let lastId = "";
  let failures = 0;
  let isStopped = false;

  async function connect() {
    try {
      const { ticket } = await post("api/stream/ticket");
      if (!isStopped) listen(ticket);
    } catch {
      lost();
    }
  }

  function listen(ticket) {
    const url = new URL("api/stream", BASE);
    url.searchParams.set("ticket", ticket);
    if (lastId) url.searchParams.set("last_event_id", lastId);
    source = new EventSource(url);
    source.addEventListener("hello", () => {
      failures = 0;
      onState(true);
      onChange();
    });
    for (const name of ["app-update", "resync"]) {
      source.addEventListener(name, (event) => {
        lastId = event.lastEventId || lastId;
        onChange();
      });
    }
    // By itself it would come back with a ticket that was used.
    source.addEventListener("goodbye", lost);
    source.onerror = lost;
  }

  function lost() {
    source?.close();
    source = null;
    if (isStopped) return;
    onState(false);
    const most = Math.min(WAIT_MS_MAX, WAIT_MS_MIN * 2 ** failures);
    failures += 1;
    clearTimeout(timer);
    // Jitter: after a restart not every tab comes at once.
    timer = setTimeout(connect, most / 2 + (Math.random() * most) / 2);
  }

  connect();
  return {
    stop() {
      isStopped = true;
      clearTimeout(timer);
      source?.close();
    },
  };
}

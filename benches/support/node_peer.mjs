// A stand-in for the hand-made mirror: a plain Node server that POSTs to each peer for each event.
// Nothing is durable, retried, merged or limited. Answers once its own map is cleared; the sends go
// on side by side behind the answer. Tells its listeners over SSE, like the gateway.
// It sends by fetch, as most hand-made mirrors do; BENCH_NODE=http sends by node:http over kept-alive
// connections, which is several times faster.
// Usage: node node_peer.mjs [peer URL ...]; prints `listening control=http://127.0.0.1:PORT`.
import http from "node:http";

const peers = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
const cache = new Map();
const listeners = new Set();
let version = 0;

function mirror(url, type, id) {
  const body = JSON.stringify({ type, id, mirror: false });
  if (process.env.BENCH_NODE !== "http") return byFetch(url, body);
  const headers = {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
    authorization: "Bearer stand-in",
  };
  return new Promise((resolve) => {
    const request = http.request(
      `${url}/api/cache/invalidate`,
      { method: "POST", agent, headers },
      (answer) => answer.resume().on("end", resolve),
    );
    request.on("error", (error) => {
      process.stderr.write(`mirror: ${error.message}\n`);
      resolve();
    });
    request.end(body);
  });
}

async function byFetch(url, body) {
  try {
    const headers = { "content-type": "application/json", authorization: "Bearer stand-in" };
    const path = `${url}/api/cache/invalidate`;
    await (await fetch(path, { method: "POST", headers, body })).arrayBuffer();
  } catch (error) {
    process.stderr.write(`mirror: ${error.message}\n`);
  }
}

function invalidate({ type, id, mirror: isMirrored }, answer) {
  for (const key of [type, `${type}:${id}`]) cache.delete(key);
  version += 1;
  const data = JSON.stringify({ type, id, ids: [id], version });
  for (const listener of listeners) listener.write(`event: app-update\ndata: ${data}\n\n`);
  const body = JSON.stringify({ success: true, version });
  answer.writeHead(200, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
  });
  answer.end(body);
  if (isMirrored !== false) Promise.all(peers.map((url) => mirror(url, type, id)));
}

const server = http.createServer((request, answer) => {
  if (request.method === "POST" && request.url.startsWith("/api/cache/invalidate")) {
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => invalidate(JSON.parse(Buffer.concat(parts)), answer));
  } else if (request.url.startsWith("/api/stream")) {
    answer.writeHead(200, { "content-type": "text/event-stream" });
    answer.write("event: hello\ndata: {}\n\n");
    listeners.add(answer);
    request.on("close", () => listeners.delete(answer));
  } else {
    answer.writeHead(404).end();
  }
});

server.listen(0, "127.0.0.1", () => {
  process.stdout.write(`listening control=http://127.0.0.1:${server.address().port}\n`);
});

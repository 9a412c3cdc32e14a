// The one way to the API. Every call carries the token of this tab in a header that only this page
// can set; there are no cookies, so no other page can act in the operator's name.

/** Where the instance is; below a proxy's prefix too. */
export const BASE = new URL("..", import.meta.url);

const KEY = "cache-mirror.token";
const PATIENCE_MS = 15_000;

export const token = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

/** Tells "unauthorized" (the token is none any more) and "reach" (whether there was an answer). */
export const signals = new EventTarget();

/** An answer that is no success; status 0 where there was none. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// Ages are told by the instance's clock: this computer's may be wrong.
let skewMs = 0;
export const now = () => Date.now() + skewMs;

export async function call(method, path, body) {
  const headers = { authorization: `Bearer ${token.get()}` };
  if (body !== undefined) headers["content-type"] = "application/json";
  let response;
  try {
    response = await fetch(new URL(path, BASE), {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
  } catch {
    tellReach(false);
    throw new Refused(0, "The instance does not answer.");
  }
  tellReach(true);
  const date = Date.parse(response.headers.get("date"));
  if (!Number.isNaN(date)) skewMs = date - Date.now();
  const json = await response.json().catch(() => null);
  if (response.ok) return json;
  if (response.status === 401) signals.dispatchEvent(new Event("unauthorized"));
  throw new Refused(response.status, told(response.status, json));
}

function tellReach(isReached) {
  signals.dispatchEvent(new CustomEvent("reach", { detail: isReached }));
}

function told(status, json) {
  const why = json?.detail ?? json?.message ?? `The instance answered ${status}.`;
  return status === 403 ? `Not allowed: ${why}` : why;
}

export const get = (path) => call("GET", path);
export const post = (path, body = {}) => call("POST", path, body);

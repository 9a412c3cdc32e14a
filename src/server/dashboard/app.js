// The page: who is signed in, what is shown, and when it is asked for anew.
// A page of another name that was rebound to this address has another origin, so it has no token.

import { get, signals, token } from "./api.js";
import * as cache from "./cache.js";
import * as invalidate from "./invalidate.js";
import * as jobs from "./jobs.js";
import { open } from "./live.js";
import * as queue from "./queue.js";
import * as schedules from "./schedules.js";
import { badge, byId, say } from "./view.js";

const PANELS = [cache, queue, jobs, invalidate, schedules];
/** Deliveries and lookups are not on the stream. */
const POLL_MS = 5000;
/** Updates come in bursts; one question answers for all of them. */
const GATHER_MS = 400;

const state = { stream: null, isOpen: false, isReached: true, poll: null, gather: null };

// One at a time: what changes meanwhile is asked for once more, at the end.
let running = null;
let isStale = false;

async function refresh(panels) {
  const done = await Promise.allSettled(panels.map((panel) => panel.refresh()));
  const failed = done.find((one) => one.status === "rejected" && one.reason.status !== 401);
  trouble(failed && failed.reason.status !== 0 ? failed.reason.message : "");
}

async function refreshAll() {
  isStale = true;
  if (running) return;
  running = (async () => {
    while (isStale && token.get()) {
      isStale = false;
      await refresh(PANELS);
    }
  })();
  await running;
  running = null;
}

function changed() {
  state.gather ??= setTimeout(() => {
    state.gather = null;
    refreshAll();
  }, GATHER_MS);
}

async function look() {
  if (document.visibilityState !== "visible" || running) return;
  await refresh([cache, queue]);
  await jobs.refreshOpen();
}

function trouble(text) {
  say(byId("trouble"), text);
  byId("trouble").hidden = !text;
}

function showState() {
  const isLive = state.isOpen && state.isReached;
  badge(byId("live"), isLive ? "connected" : "reconnecting", isLive ? "good" : "warn");
  byId("house").classList.toggle("stale", !isLive);
}

async function enter() {
  const stats = await get("api/cache/stats");
  say(byId("instance"), stats.instance);
  document.title = `${stats.instance} · cache-mirror`;
  get("_cache-mirror/identity?nonce=dashboard")
    .then((identity) => say(byId("version"), `version ${identity.version}`), () => {});
  byId("token").value = "";
  show(true);
  showState();
  state.stream = open({
    onChange: changed,
    onState(isOpen) {
      state.isOpen = isOpen;
      showState();
    },
  });
  state.poll = setInterval(look, POLL_MS);
}

/** Forgets the token and everything that was shown with it. */
function leave(why) {
  token.forget();
  state.stream?.stop();
  clearInterval(state.poll);
  clearTimeout(state.gather);
  Object.assign(state, { stream: null, isOpen: false, poll: null, gather: null });
  for (const panel of PANELS) panel.clear();
  document.title = "cache-mirror";
  trouble("");
  show(false);
  say(byId("sign-in-result"), why);
  byId("token").focus();
}

function show(isInside) {
  for (const id of ["who", "live", "sign-out", "house"]) byId(id).hidden = !isInside;
  byId("door").hidden = isInside;
}

async function signIn(event) {
  event.preventDefault();
  const given = byId("token").value.trim();
  if (!/^[\x21-\x7e]+$/.test(given)) {
    say(byId("sign-in-result"), "A token is made of plain letters, digits and signs.");
    return;
  }
  token.set(given);
  try {
    await enter();
    say(byId("sign-in-result"), "");
  } catch (error) {
    leave(told(error));
  }
}

/** With the token that this tab has already; an instance that is just restarting is waited for. */
async function resume() {
  try {
    await enter();
    trouble("");
  } catch (error) {
    if (error.status > 0 && error.status < 500) return leave(told(error));
    trouble(`${error.message} It is tried again.`);
    setTimeout(resume, POLL_MS);
  }
}

function told(error) {
  return error.status === 401 ? "This token is not valid here." : error.message;
}

for (const panel of PANELS) panel.begin?.();
byId("sign-in").addEventListener("submit", signIn);
byId("sign-out").addEventListener("click", () => leave("Signed out."));
signals.addEventListener("unauthorized", () => {
  if (state.stream) leave("The token is not valid any more. Sign in again.");
});
signals.addEventListener("reach", ({ detail }) => {
  state.isReached = detail;
  showState();
});
document.addEventListener("visibilitychange", () => {
  if (state.stream && document.visibilityState === "visible") changed();
});
if (token.get()) resume();
else show(false);

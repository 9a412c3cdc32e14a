// The form: what would be cleared, clearing it, and what became of it at each destination.

import { Refused, get, post } from "./api.js";
import { act, badge, byId, count, el, kindOf, notes, reconcile, say, some } from "./view.js";

const KINDS = {
  type: ["Type", "posts"],
  entity: ["Type", "posts"],
  tag: ["Tag", "home"],
  path: ["Path (a trailing * is a prefix)", "/posts/42"],
  key: ["Key", "posts:42"],
  pattern: ["Pattern over keys", "posts:*"],
};
const SETTLED = ["delivered", "self", "skipped"];
const WATCH_MS_MAX = 180_000;
const LOOK_MS_MIN = 300;
const LOOK_MS_MAX = 5000;

// Which watch is the current one: a new invalidation ends the one before.
let watch = 0;

export function begin() {
  byId("kind").addEventListener("change", showFields);
  byId("preview").addEventListener("click", () => act(byId("preview"), result(), preview));
  byId("invalidate").addEventListener("submit", (event) => {
    event.preventDefault();
    if (byId("kind").value === "all") askIfSure(true);
    else act(byId("go"), result(), go);
  });
  byId("sure-yes").addEventListener("click", () => {
    askIfSure(false);
    act(byId("go"), result(), go);
  });
  byId("sure-no").addEventListener("click", () => askIfSure(false));
  byId("invalidate").addEventListener("input", () => {
    if (!byId("sure").hidden) askIfSure(false);
  });
  showFields();
}

export function clear() {
  watch += 1;
  say(result(), "");
  notes(byId("invalidate-notes"), []);
  byId("fate").replaceChildren();
}

/** Types that were cleared before are offered; others may be typed. */
export async function refresh() {
  const { types } = await get("api/cache/versions");
  const names = Object.keys(types).sort();
  reconcile(byId("types"), names, (name) => name, (name) => el("option", { value: name }), () => {});
}

const result = () => byId("invalidate-result");

function showFields() {
  const kind = byId("kind").value;
  const [label, example] = KINDS[kind] ?? ["", ""];
  byId("value-field").hidden = kind === "all";
  byId("id-field").hidden = kind !== "entity";
  say(byId("value-label"), label);
  const value = byId("value");
  value.placeholder = example;
  if (kind === "type" || kind === "entity") value.setAttribute("list", "types");
  else value.removeAttribute("list");
}

function askIfSure(isAsking) {
  const had = byId("sure").contains(document.activeElement);
  byId("sure").hidden = !isAsking;
  if (isAsking) byId("sure-no").focus();
  else if (had) byId("go").focus();
}

function body() {
  const kind = byId("kind").value;
  const value = byId("value").value;
  const id = byId("id").value;
  if (kind !== "all" && !value) throw new Refused(0, "Say what is to be cleared.");
  if (kind === "entity" && !id) throw new Refused(0, "Say which id.");
  const selectors = { all: { all: true }, entity: { type: value, id } };
  return {
    ...(selectors[kind] ?? { [kind]: value }),
    mode: byId("soft").checked ? "soft" : "hard",
    mirror: byId("mirror").checked,
    reason: "by hand, from the dashboard",
  };
}

async function preview() {
  clear();
  const told = await post("api/cache/invalidate", { ...body(), dry_run: true });
  notes(byId("invalidate-notes"), told.warnings);
  showFate(told.mirrors.map((one) => ({ ...one, status: `would be ${one.status}` })));
  return `Would clear ${effect(told)}`;
}

async function go() {
  clear();
  const told = await post("api/cache/invalidate", body());
  const degraded = told.degraded
    ? ["The disk refused the event: it is sent from memory, and all is cleared after a restart."]
    : [];
  notes(byId("invalidate-notes"), [...degraded, ...told.warnings]);
  if (!told.id) return "Nothing had to be cleared.";
  showFate(told.mirrors);
  follow(told.id, watch);
  return `Cleared ${effect(told)}`;
}

function effect(told) {
  const types = Object.entries(told.types).map(([name, number]) => `${name} ${count(number)}`);
  const least = told.count_complete ? "" : "at least ";
  const by = types.length ? ` (${types.join(", ")})` : "";
  const entries = some(told.invalidated_entries, "entry", "entries");
  const cascade = told.cascade.length ? ` With it by the graph: ${told.cascade.join(", ")}.` : "";
  return `${least}${entries}${by}.${cascade}`;
}

/** Looks until every destination is settled, or it takes too long to stand and wait. */
async function follow(id, mine) {
  const until = Date.now() + WATCH_MS_MAX;
  for (let wait = LOOK_MS_MIN; Date.now() < until; wait = Math.min(wait * 1.3, LOOK_MS_MAX)) {
    await new Promise((done) => setTimeout(done, wait));
    if (mine !== watch) return;
    const event = await get(`api/cache/events/${id}`).catch((error) => error);
    if (mine !== watch || [401, 404].includes(event.status)) return;
    if (event instanceof Refused) continue;
    const outcomes = [...event.mirrors, ...event.beside];
    showFate(outcomes);
    if (outcomes.every((one) => SETTLED.includes(one.status))) return;
  }
  notes(byId("invalidate-notes"), ["Not everywhere yet; it is tried on. The queue shows how."]);
}

function showFate(outcomes) {
  showOutcomes(byId("fate"), outcomes);
}

/** One row for each destination; jobs show the same. */
export function showOutcomes(list, outcomes) {
  const create = (one) => {
    const head = el("p", { class: "head" }, el("strong", {}, one.peer), el("span"));
    return el("li", {}, head, el("p", { class: "quiet" }));
  };
  reconcile(list, outcomes, (one) => one.peer, create, (row, one) => {
    const [head, more] = row.children;
    badge(head.lastChild, one.status, kindOf(one.status));
    const attempts = one.attempts ? some(one.attempts, "failed attempt", "failed attempts") : null;
    const parts = [one.reason, attempts, one.last_error];
    say(more, parts.filter(Boolean).join(" · "));
  });
}

// The newest events, and the whole story of the one that is opened.

import { get } from "./api.js";
import { showOutcomes } from "./invalidate.js";
import { byId, el, facts, moment, reconcile, say } from "./view.js";

const NEWEST = 50;

let events = [];

export function begin() {
  byId("filter").addEventListener("input", show);
}

export function clear() {
  events = [];
  byId("jobs").replaceChildren();
  say(byId("jobs-result"), "");
}

export async function refresh() {
  const page = await get(`api/cache/journal?last=${NEWEST}`);
  events = page.events.reverse();
  show();
  await refreshOpen();
}

/** What is open and under way goes on. */
export async function refreshOpen() {
  const open = [...byId("jobs").children].filter((row) => !row.lastChild.hidden);
  await Promise.all(open.map((row) => tell(row.lastChild, row.dataset.key)));
}

const title = (event) => event.selectors.join(", ");
const from = (event) => `${event.source} · ${event.principal} · ${event.origin}`;

function show() {
  const wanted = byId("filter").value.trim().toLowerCase();
  const isWanted = (event) => JSON.stringify(Object.values(event)).toLowerCase().includes(wanted);
  const found = wanted ? events.filter(isWanted) : events;
  const of = wanted ? `${found.length} of the newest ${events.length}` : `The newest ${events.length}`;
  say(byId("jobs-result"), events.length ? of : "Nothing was cleared yet.");
  reconcile(byId("jobs"), found, (event) => event.id, create, () => {});
}

function create(event) {
  const story = el("div", { id: `job-${event.id}`, class: "story", hidden: true },
    el("p", { class: "result", role: "status" }), el("dl", { class: "facts" }),
    el("ul", { class: "rows", "aria-label": "Destinations" }));
  const button = el("button", {
    type: "button", class: "job", "aria-expanded": "false", "aria-controls": story.id,
    onclick: () => toggle(button, story, event.id),
  },
  el("strong", {}, title(event)),
  el("span", { class: "quiet" }, `${event.action}, ${event.scope}`),
  el("span", { class: "quiet" }, from(event)),
  el("time", { class: "quiet", datetime: event.at }, moment(event.at)));
  return el("li", {}, button, story);
}

function toggle(button, story, id) {
  story.hidden = !story.hidden;
  button.setAttribute("aria-expanded", String(!story.hidden));
  if (!story.hidden) return tell(story, id);
}

async function tell(story, id) {
  const [result, list, outcomes] = story.children;
  try {
    const event = await get(`api/cache/events/${id}`);
    facts(list, [
      ["Id", event.id],
      ["Cleared", title(event)],
      ["By the graph", event.cascade.join(", ")],
      ["Accepted", moment(event.at)],
      ["Version", event.version],
      ["Place in the journal", `${event.epoch}-${event.seq}`],
      ["Reason", event.reason],
      ["Changed", event.changed.join(", ")],
      ["Fields", Object.entries(event.fields ?? {}).map((pair) => pair.join("=")).join(", ")],
      ["Stands for", event.covers.join(", ")],
    ]);
    const all = [...event.mirrors, ...event.beside];
    showOutcomes(outcomes, all);
    say(result, all.length ? "" : "It was for this instance alone.");
  } catch (error) {
    say(result, error.message);
  }
}

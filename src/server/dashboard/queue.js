// The destinations: what waits for each, and an operator's hand on it.

import { get, post } from "./api.js";
import { act, badge, byId, count, el, facts, kindOf, reconcile, say, span } from "./view.js";

let shown = [];

export function begin() {
  const button = byId("retry-all");
  button.addEventListener("click", () => act(button, byId("queue-result"), retryAll));
}

export function clear() {
  shown = [];
  byId("queue").replaceChildren();
  say(byId("queue-result"), "");
}

export async function refresh() {
  show((await get("api/mirrors")).mirrors);
}

function show(mirrors) {
  shown = mirrors;
  byId("queue-empty").hidden = mirrors.length > 0;
  byId("retry-all").hidden = mirrors.length === 0;
  reconcile(byId("queue"), mirrors, (one) => one.name, create, update);
}

function create({ name }) {
  const result = el("p", { class: "result", role: "status" });
  const button = (word, action) => {
    const click = (event) => act(event.currentTarget, result, () => operate(name, action));
    return el("button", { type: "button", "aria-label": `${word} ${name}`, onclick: click }, word);
  };
  return el("li", {},
    el("p", { class: "head" }, el("strong", {}, name), el("span"), el("span", { class: "quiet" })),
    el("dl", { class: "facts" }),
    el("p", { class: "error" }),
    el("p", { class: "buttons" },
      button("Pause", "pause"), button("Resume", "resume"), button("Retry now", "retry")),
    result);
}

function update(row, one) {
  const [head, list, error, buttons] = row.children;
  const state = one.paused ? `${one.state} (${one.paused})` : one.state;
  badge(head.children[1], state, kindOf(one.state));
  say(head.children[2], one.instance ? `${one.kind} · ${one.instance}` : one.kind);
  const widened = one.backlog_widened ? ", widened" : "";
  facts(list, [
    ["Waiting", `${count(one.backlog_events)}${widened}`],
    ["Oldest", one.backlog_events ? span(one.backlog_age_ms ?? 0) : null],
    ["Failures", one.failures ? `${count(one.failures)} in a row` : null],
    ["Next attempt", one.next_attempt_ms ? `in ${span(one.next_attempt_ms + 999)}` : null],
    ["Asked to wait", one.throttled_until ? `until ${one.throttled_until}` : null],
    ["Delivered since the start", count(one.delivered)],
    ["Limit", `${count(one.rate_per_second)}/s, burst ${count(one.burst)}`],
    ["Loop", one.echoing
      ? "It calls back whenever it is sent something. Copies of what goes round wait up to a minute"
        + " for it; other events go at once, and nothing is lost. Over there, switch off the call to"
        + " this gateway on revalidation, or let it send \"mirror\": false."
      : null],
  ]);
  say(error, one.last_error ?? "");
  error.hidden = !one.last_error;
  const isHeld = one.paused === "operator";
  const [pause, resume, retry] = buttons.children;
  const isOneself = one.state === "self";
  // The two take turns at one place; the focus goes with them.
  const had = [pause, resume].includes(document.activeElement);
  pause.hidden = isHeld || isOneself;
  resume.hidden = !isHeld || isOneself;
  retry.hidden = isHeld || isOneself;
  if (had && document.activeElement !== (isHeld ? resume : pause)) (isHeld ? resume : pause).focus();
}

const DONE = { pause: "Paused.", resume: "Resumed.", retry: "Tried at once." };

async function operate(name, action) {
  await post(`api/mirrors/${encodeURIComponent(name)}/${action}`);
  await refresh();
  return DONE[action];
}

/** What an operator paused stays so; everything else that does not get through is tried. */
async function retryAll() {
  const isFailing = (one) => one.state === "failing" || (one.paused && one.paused !== "operator");
  const failing = shown.filter(isFailing);
  for (const { name } of failing) await post(`api/mirrors/${encodeURIComponent(name)}/retry`);
  await refresh();
  return failing.length ? `Tried ${failing.length} at once.` : "None is failing.";
}

// What is cleared by the clock. Shown only where there are schedules.

import { get, post } from "./api.js";
import { act, badge, byId, el, facts, kindOf, moment, reconcile, say } from "./view.js";

export function clear() {
  byId("schedules").replaceChildren();
  byId("schedules-panel").hidden = true;
}

export async function refresh() {
  const { schedules } = await get("api/schedules");
  byId("schedules-panel").hidden = schedules.length === 0;
  reconcile(byId("schedules"), schedules, (one) => one.id, create, update);
}

function create({ id }) {
  const result = el("p", { class: "result", role: "status" });
  const button = (word, action, done) => {
    const work = async () => {
      await post(`api/schedules/${encodeURIComponent(id)}/${action}`);
      await refresh();
      return done;
    };
    const click = (event) => act(event.currentTarget, result, work);
    return el("button", { type: "button", "aria-label": `${word} ${id}`, onclick: click }, word);
  };
  return el("li", {},
    el("p", { class: "head" }, el("strong", {}, id), el("span"), el("code")),
    el("dl", { class: "facts" }),
    el("p", { class: "buttons" }, button("Run now", "run", "It ran."),
      button("Pause", "pause", "Paused."), button("Resume", "resume", "Resumed.")),
    result);
}

function update(row, one) {
  const [head, list, buttons] = row.children;
  badge(head.children[1], one.state, kindOf(one.state));
  say(head.children[2], `${one.cron} ${one.tz}`);
  const last = one.last_run;
  facts(list, [
    ["Clears", JSON.stringify(one.invalidate)],
    ["Next", one.next.map(moment).join(" · ")],
    ["Last run", last && [moment(last.at), last.outcome, last.error].filter(Boolean).join(" · ")],
    ["Runs", one.runs],
  ]);
  const [, pause, resume] = buttons.children;
  const isPaused = one.state === "paused";
  const had = [pause, resume].includes(document.activeElement);
  pause.hidden = isPaused;
  resume.hidden = !isPaused;
  if (had) (isPaused ? resume : pause).focus();
}

// What panels are made of. Data becomes text nodes and never markup.

export const byId = (id) => document.getElementById(id);

/** An element; strings among its children are text. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick") node.addEventListener("click", value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
}

/** Sets a text where it differs, so that nothing is read out twice. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** A word in a colour; the word alone says it all. */
export function badge(node, word, kind) {
  say(node, word);
  node.className = `badge ${kind}`;
  return node;
}

const KINDS = {
  ok: "good", delivered: "good", active: "good", self: "", skipped: "", queued: "",
  failing: "bad", failed: "bad", paused: "warn", throttled: "warn",
};
export const kindOf = (word) => KINDS[word] ?? "";

/** Makes a list show these items, touching only what changed: focus stays where it is. */
export function reconcile(list, items, keyOf, create, update) {
  const known = new Map([...list.children].map((row) => [row.dataset.key, row]));
  let next = list.firstElementChild;
  for (const item of items) {
    const key = String(keyOf(item));
    let row = known.get(key);
    known.delete(key);
    if (!row) {
      row = create(item);
      row.dataset.key = key;
    }
    update(row, item);
    if (row === next) next = next.nextElementSibling;
    else list.insertBefore(row, next);
  }
  for (const row of known.values()) row.remove();
}

/** Name and value pairs of a `dl`, updated in place. */
export function facts(list, pairs) {
  const shown = pairs.filter(([, value]) => value != null && value !== "");
  reconcile(list, shown, ([name]) => name, ([name]) => el("div", {}, el("dt", {}, name), el("dd")),
    (row, [, value]) => say(row.lastChild, String(value)));
}

/** Lines of a list of notes. */
export function notes(list, lines) {
  reconcile(list, lines, (line) => line, (line) => el("li", {}, line), () => {});
  list.hidden = lines.length === 0;
}

/** Runs what a button asks for; one at a time, its result beside it. */
export async function act(button, result, work) {
  if (button.getAttribute("aria-disabled") === "true") return;
  // A disabled button would lose the focus.
  button.setAttribute("aria-disabled", "true");
  try {
    say(result, (await work()) ?? "");
    result.classList.remove("bad");
  } catch (error) {
    say(result, error.message);
    result.classList.add("bad");
  } finally {
    button.removeAttribute("aria-disabled");
  }
}

export const count = (number) => Number(number).toLocaleString("en");
export const some = (number, one, many) => `${count(number)} ${number === 1 ? one : many}`;

export function bytes(number) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  while (number >= 1024 && at < units.length - 1) {
    number /= 1024;
    at += 1;
  }
  return `${Number(number.toFixed(1))} ${units[at]}`;
}

/** A length of time in its largest unit. */
export function span(ms) {
  const units = [[86_400_000, "d"], [3_600_000, "h"], [60_000, "min"], [1000, "s"]];
  const [size, unit] = units.find(([size]) => ms >= size) ?? [1000, "s"];
  return `${Math.max(0, Math.floor(ms / size))} ${unit}`;
}

/** A moment in the reader's own clock. */
export function moment(text) {
  const at = new Date(text);
  if (Number.isNaN(at.getTime())) return text;
  return at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
}

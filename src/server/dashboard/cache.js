// The figures of the store and what there is to say about them.

import { get } from "./api.js";
import { byId, bytes, count, facts, notes, span } from "./view.js";

// With fewer lookups the ratio says nothing.
const LOOKUPS_MIN = 1000;

export function clear() {
  byId("figures").replaceChildren();
  notes(byId("advice"), []);
}

export async function refresh() {
  const [stats, admin] = await Promise.all([
    get("api/cache/stats"), get("api/admin/cache/stats"),
  ]);
  const { store, journal, stream, log } = stats;
  const hits = store.hits + store.stale_hits;
  const lookups = hits + store.misses;
  const loops = Object.values(stats.loops_prevented).reduce((sum, one) => sum + one, 0);
  facts(byId("figures"), [
    ["Entries", count(store.entries)],
    ["Bytes", `${bytes(store.bytes)} of ${bytes(store.bytes_max)}`],
    ["Hit ratio", lookups ? `${((100 * hits) / lookups).toFixed(1)} %` : "no lookups"],
    ["Version", count(stats.version)],
    ["Readers", count(stream.clients)],
    ["Loops prevented", count(loops)],
    ["Up", span(stats.uptime_s * 1000)],
  ]);
  const { recommendations } = admin;
  const lines = [
    journal.degraded && `The disk refuses events: ${journal.last_error ?? "no reason given"}`,
    journal.damaged && `The journal was damaged at the start: ${journal.damaged}`,
    log.dropped > 0 && `${count(log.dropped)} lines of the log were lost.`,
    lookups >= LOOKUPS_MIN && recommendations.hit_rate_status === "needs_improvement"
      && "The hit ratio needs improvement.",
    recommendations.expired_entries_status === "high" && "Many entries are past their life.",
    ...recommendations.advice,
  ];
  notes(byId("advice"), lines.filter(Boolean));
}

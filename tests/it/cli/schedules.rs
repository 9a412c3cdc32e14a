//! `schedules`: the list, and an operator's hand on one.

use super::support::{Desk, put};

/// S4 4.3: list, run, pause and resume, each with one line of output.
#[test]
fn an_operator_lists_runs_and_pauses_schedules() {
    let desk = Desk::new();
    let set =
        "schedules=[{ id = \"yearly\", cron = \"0 0 1 1 *\", invalidate = { type = \"posts\" } }]";
    let (_server, url) = desk.serve(&["graph.preset=polymech", set]);
    let ask = |args: &[&str]| desk.ask(&url, &[&["schedules"], args].concat());
    let list = ask(&[]).ended(0).stdout;
    assert!(list.contains("yearly  active  0 0 1 1 * UTC"), "{list}");
    assert!(list.contains("clears {\"type\":\"posts\"}"), "{list}");
    assert!(list.contains("-01-01T00:00:00.000Z") && !list.contains("last"), "{list}");
    put(&url, "k?type=posts", "x");
    let ran = ask(&["run", "yearly"]).ended(0).stdout;
    assert!(ran.starts_with("yearly ran: 1 entry cleared, event "), "{ran}");
    let held = ask(&["pause", "yearly"]).ended(0).stdout;
    assert!(held.contains("paused") && held.contains("applied"), "{held}");
    assert_eq!(ask(&["ls", "--json"]).ended(0).json()["schedules"][0]["state"], "paused");
    ask(&["resume", "yearly"]).ended(0);
    ask(&["run", "daily"]).refused(1, "no schedule \"daily\"; there are: yearly");
}

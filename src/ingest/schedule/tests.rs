//! Laws of the book: every time runs once, for any clock and any restarts.

use proptest::prelude::*;
use serde_json::json;

use super::book::{Book, Due, RunRecord};
use super::*;
use crate::domain::Selectors;

const HOUR_MS: u64 = 3_600_000;
/// Noon of 20 November 2026, UTC.
const NOON: u64 = 1_795_176_000_000;

fn schedule(id: &str, cron: &str, zone: &str) -> Schedule {
    Schedule {
        id: id.to_owned(),
        when: When::parse(cron, zone).expect("a pattern and a zone"),
        asks: Asks {
            submission: Submission::new(Selectors::all(), Source::Schedule),
            shown: json!({ "all": true }),
        },
    }
}

fn book(schedules: &[Schedule], now_ms: u64) -> Book {
    let mut book = Book::default();
    book.adopt(schedules, now_ms);
    book
}

fn run(due: &Due) -> RunRecord {
    RunRecord {
        due_ms: Some(due.due_ms),
        at_ms: due.due_ms,
        event_id: None,
        outcome: "applied".into(),
        error: None,
    }
}

/// Runs what is due and gives the times.
fn pass(book: &mut Book, schedules: &[Schedule], now_ms: u64) -> Vec<Due> {
    let due = book.due(schedules, now_ms);
    due.iter().for_each(|due| book.ran(&due.id, run(due)));
    due
}

#[test]
fn what_is_new_begins_now_and_what_failed_stays_due() {
    let hourly = [schedule("hourly", "0 * * * *", "UTC")];
    let mut book = book(&hourly, NOON);
    assert_eq!(book.due(&hourly, NOON), [], "its time of this moment is settled");
    assert_eq!(book.next(&hourly), Some(NOON + HOUR_MS));
    let due = book.due(&hourly, NOON + HOUR_MS + 5);
    assert_eq!(due, [Due { id: "hourly".into(), due_ms: NOON + HOUR_MS }]);
    book.failed("hourly", RunRecord { outcome: "failed".into(), ..run(&due[0]) });
    assert_eq!(book.due(&hourly, NOON + HOUR_MS + 9), due);
    book.ran("hourly", run(&due[0]));
    assert_eq!(book.due(&hourly, NOON + 2 * HOUR_MS - 1), []);
}

#[test]
fn of_the_missed_times_the_latest_runs_once() {
    let hourly = [schedule("hourly", "0 * * * *", "UTC")];
    let mut book = book(&hourly, NOON);
    let later = NOON + 49 * HOUR_MS + 60_000;
    let due = pass(&mut book, &hourly, later);
    assert_eq!(due, [Due { id: "hourly".into(), due_ms: NOON + 49 * HOUR_MS }]);
    assert_eq!(pass(&mut book, &hourly, later + 1), []);
}

#[test]
fn another_pattern_under_an_id_goes_on_where_that_was() {
    let mut book = book(&[schedule("a", "0 * * * *", "UTC")], NOON);
    let often = [schedule("a", "*/10 * * * *", "UTC"), schedule("b", "0 * * * *", "UTC")];
    book.adopt(&often, NOON + HOUR_MS / 2);
    let due = pass(&mut book, &often, NOON + HOUR_MS / 2);
    assert_eq!(due, [Due { id: "a".into(), due_ms: NOON + HOUR_MS / 2 }], "b begins now");
    book.adopt(&often[1..], NOON + HOUR_MS);
    book.adopt(&often, NOON + 2 * HOUR_MS);
    assert_eq!(pass(&mut book, &often[..1], NOON + 2 * HOUR_MS), [], "a was forgotten");
}

#[test]
fn what_passes_while_it_is_held_is_not_made_up_for() {
    let hourly = [schedule("hourly", "0 * * * *", "UTC")];
    let mut book = book(&hourly, NOON);
    assert!(book.hold("hourly", true, NOON));
    assert!(!book.hold("daily", true, NOON));
    assert_eq!(pass(&mut book, &hourly, NOON + 3 * HOUR_MS), []);
    assert_eq!(book.next(&hourly), None);
    assert!(book.hold("hourly", false, NOON + 3 * HOUR_MS + 1));
    assert_eq!(pass(&mut book, &hourly, NOON + 3 * HOUR_MS + 2), []);
    assert_eq!(pass(&mut book, &hourly, NOON + 4 * HOUR_MS).len(), 1);
}

#[test]
fn a_clock_that_was_far_ahead_silences_nothing() {
    let hourly = [schedule("hourly", "0 * * * *", "UTC")];
    let mut book = book(&hourly, NOON);
    pass(&mut book, &hourly, NOON + 1_000 * HOUR_MS);
    assert_eq!(book.correct(NOON + 999 * HOUR_MS), Vec::<String>::new(), "a small step back");
    assert_eq!(pass(&mut book, &hourly, NOON + 999 * HOUR_MS), []);
    assert_eq!(book.correct(NOON), ["hourly"]);
    assert_eq!(pass(&mut book, &hourly, NOON + HOUR_MS).len(), 1);
    book.ran_before("hourly", NOON + 1_000 * HOUR_MS, NOON + HOUR_MS);
    assert_eq!(pass(&mut book, &hourly, NOON + 2 * HOUR_MS).len(), 1, "the journal is ahead too");
}

#[test]
fn the_journal_knows_of_a_run_that_the_file_does_not() {
    let hourly = [schedule("hourly", "0 * * * *", "UTC")];
    let mut book = book(&hourly, NOON);
    let due = due_of("due 2026-11-20T13:00:00.000Z").expect("as a run writes it");
    assert_eq!(due, NOON + HOUR_MS);
    book.ran_before("hourly", due, due + 1);
    assert_eq!(pass(&mut book, &hourly, NOON + HOUR_MS + 1), []);
    for other in ["schedule x, run by hand", "due soon", "2026-11-20T13:00:00.000Z"] {
        assert_eq!(due_of(other), None, "{other}");
    }
}

#[test]
fn the_file_is_read_whole_or_the_reason_is_given() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join(FILE);
    assert!(matches!(file::read(&path), file::BookFile::Whole(None)));
    let hourly = [schedule("hourly", "0 * * * *", "UTC")];
    let mut book = book(&hourly, NOON);
    pass(&mut book, &hourly, NOON + HOUR_MS);
    book.hold("hourly", true, NOON);
    file::write(&path, &book).expect("written");
    let file::BookFile::Whole(Some(read)) = file::read(&path) else { panic!("not read") };
    assert_eq!(read, book);
    std::fs::write(&path, "{\"schedules\":").expect("written");
    assert!(matches!(file::read(&path), file::BookFile::Damaged(_)));
}

/// What happens to a schedule in ten years.
#[derive(Debug, Clone)]
enum Step {
    /// This number of seconds without a check.
    On(u64),
    /// The clock was set back by so many.
    Back(u64),
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (1..7_200_u64).prop_map(Step::On),
        3 => (1..86_400 * 3_u64).prop_map(Step::On),
        1 => (1..86_400 * 60_u64).prop_map(Step::On),
        2 => (1..3_600_u64).prop_map(Step::Back),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..300)
}

proptest! {
    /// I13: no time runs twice, and none that passed is left out but for those that a later one of
    /// the same wait stands for.
    #[test]
    fn ten_years_none_doubled_none_missed(
        steps in steps(),
        cron in prop::sample::select(vec![
            "*/5 * * * *", "0 * * * *", "30 2 * * *", "0 9 * * MON-FRI", "0 0 1 * *",
            "15 1,2,3 * * SUN",
        ]),
        zone in prop::sample::select(vec![
            "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata",
        ]),
    ) {
        let schedules = [schedule("it", cron, zone)];
        let when = &schedules[0].when;
        let mut book = book(&schedules, NOON);
        let (mut now, mut seen, mut last) = (NOON, NOON, NOON);
        for step in steps {
            match step {
                Step::On(seconds) => now += seconds * 1000,
                Step::Back(seconds) => now -= seconds * 1000,
                Step::Restart => {
                    let text = serde_json::to_string(&book).expect("JSON");
                    book = serde_json::from_str(&text).expect("the same");
                    book.adopt(&schedules, now);
                }
            }
            // Steps back add up; more than one of them is a clock that was wrong.
            now = now.max(seen.saturating_sub(3_599_000));
            prop_assert!(book.correct(now).is_empty());
            let expected = when.latest_until(now).filter(|due| now > seen && *due > seen);
            let due = pass(&mut book, &schedules, now);
            let ran: Vec<u64> = due.iter().map(|it| it.due_ms).collect();
            prop_assert_eq!(&ran, &expected.into_iter().collect::<Vec<_>>());
            for due in ran {
                prop_assert!(due > last);
                last = due;
            }
            seen = seen.max(now);
            let next = book.next(&schedules).expect("it goes on");
            prop_assert!(next > seen, "{next} {seen}");
        }
    }
}

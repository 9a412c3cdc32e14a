//! Real threads for a second: fills, invalidations of every kind, lookups and sweeps at once.
//! What no scene thought of; the readers check each value against what was acknowledged before.

use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Instant;

use super::*;

/// An origin of a few pages, each with a version that only grows.
struct Origin {
    versions: Vec<AtomicU64>,
    acknowledged: Vec<AtomicU64>,
}

const PAGES: usize = 4;

fn page(n: usize, version: u64) -> Fill {
    Fill {
        body: Bytes::copy_from_slice(&version.to_le_bytes()),
        type_name: Some(type_name(&format!("kind{n}"))),
        path: Some(url_path(&format!("/p/{n}/"))),
        ..tagged(&format!("page:{n}:x"), &format!("t{n}"))
    }
}

fn selector(n: usize, round: u64) -> Selector {
    match round % 6 {
        0 => tag(&format!("t{n}")),
        1 => Selector::Type(type_name(&format!("kind{n}"))),
        2 => pattern(&format!("page:{n}:*")),
        3 => Selector::PathPrefix(url_path(&format!("/p/{n}/"))),
        4 => Selector::Key(label(&format!("page:{n}:x"))),
        _ => Selector::Path(url_path(&format!("/p/{n}/"))),
    }
}

#[test]
fn no_thread_ever_reads_behind_an_acknowledged_invalidation() {
    let counters = || (0..PAGES).map(|_| AtomicU64::new(1)).collect::<Vec<_>>();
    let origin = Origin { versions: counters(), acknowledged: counters() };
    let store =
        Memory::new(Config { count_time_max: Duration::from_micros(20), bans_max: 8, ..config() });
    let is_over = AtomicBool::new(false);
    let looked = AtomicU64::new(0);
    let end = Instant::now() + Duration::from_millis(800);
    thread::scope(|scope| {
        for reader in 0..3 {
            let (store, origin, is_over, looked) = (&store, &origin, &is_over, &looked);
            scope.spawn(move || {
                let mut n = reader;
                while !is_over.load(Ordering::Relaxed) {
                    n = (n + 1) % PAGES;
                    let acknowledged = origin.acknowledged[n].load(Ordering::SeqCst);
                    let found = match store.lookup(&format!("page:{n}:x")) {
                        Lookup::Miss { ticket } => {
                            let version = origin.versions[n].load(Ordering::SeqCst);
                            let _ = store.admit(page(n, version), ticket);
                            continue;
                        }
                        answer => answer,
                    };
                    let body = &found.found().expect("no miss").body;
                    let version = u64::from_le_bytes(body[..].try_into().expect("8 bytes"));
                    assert!(version >= acknowledged, "page {n}: {version} < {acknowledged}");
                    looked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for writer in 0..2 {
            let (store, origin, is_over) = (&store, &origin, &is_over);
            scope.spawn(move || {
                let mut round = writer;
                while !is_over.load(Ordering::Relaxed) {
                    round += 1;
                    let n = usize::try_from(round).expect("small") % PAGES;
                    let version = origin.versions[n].fetch_add(1, Ordering::SeqCst) + 1;
                    store.apply(&hard(selector(n, round)));
                    origin.acknowledged[n].fetch_max(version, Ordering::SeqCst);
                    #[expect(clippy::disallowed_methods, reason = "room for fills to land")]
                    thread::sleep(Duration::from_micros(200));
                }
            });
        }
        scope.spawn(|| {
            while Instant::now() < end {
                store.sweep(Duration::from_millis(1));
                thread::yield_now();
            }
            is_over.store(true, Ordering::Relaxed);
        });
    });
    let stats = store.stats();
    assert!(looked.load(Ordering::Relaxed) > 100 && stats.fills > 10, "{stats:?}");
}

#[test]
fn overlapping_invalidations_count_each_entry_once() {
    let (store, _) = store();
    for n in 0..5_000 {
        let one = Fill { type_name: Some(type_name("posts")), ..tagged(&format!("k{n}"), "t") };
        put(&store, Fill { path: Some(url_path("/p")), ..one });
    }
    let demands = [
        hard(tag("t")),
        hard(Selector::Type(type_name("posts"))),
        hard(pattern("k*")),
        hard(Selector::Path(url_path("/p"))),
    ];
    let is_over = AtomicBool::new(false);
    let total: u64 = thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                store.sweep(secs(1));
            }
        });
        let counting: Vec<_> =
            demands.iter().map(|demand| scope.spawn(|| store.apply(demand).entries)).collect();
        let total = counting.into_iter().map(|one| one.join().expect("counts")).sum();
        is_over.store(true, Ordering::Relaxed);
        total
    });
    assert_eq!(total, 5_000);
}

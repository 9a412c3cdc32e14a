//! Calls under random event ids: whatever is known of an id, nothing that a call names is served
//! once the call is acknowledged.

use cache_mirror::domain::submission::{PeerBatch, PeerEvent};
use cache_mirror::domain::{
    Action, Demand, EventId, Label, Mode, Selector, Selectors, TypeName, UrlPath,
};
use cache_mirror::store::{Fill, Lookup};

use crate::scenes::World;

const CALLS: u64 = 300;

fn label(text: &str) -> Label {
    Label::parse(text).expect("label")
}

/// One of a few selectors, so that ids meet the same one, a wider one and another one.
fn selector(draw: u64) -> Selector {
    let posts = TypeName::parse("posts").expect("type");
    match draw {
        0 => Selector::Type(posts),
        1 => Selector::Entity(posts, label("42")),
        2 => Selector::Tag(label("t")),
        3 => Selector::path("/p").expect("path"),
        _ => Selector::Type(TypeName::parse("pictures").expect("type")),
    }
}

fn fill() -> Fill {
    Fill {
        key: label("k"),
        body: "old".into(),
        content_type: None,
        type_name: TypeName::parse("posts").ok(),
        id: Some(label("42")),
        tags: vec![label("t")],
        path: Some(UrlPath::parse("/p").expect("path")),
        ttl: None,
        swr: None,
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_selected_is_served_after_an_acknowledged_call() {
    for seed in 1..=6 {
        let world = World::new(1, seed);
        let node = world.node(0);
        let draw = |bound| world.network.draw(bound);
        let ids: Vec<EventId> = (0..4).map(|_| EventId::fresh()).collect();
        let any_id = || ids[usize::try_from(draw(4)).expect("small")];
        for call in 0..CALLS {
            let store = &node.pipeline.store;
            store.admit(fill(), store.ticket()).expect("nothing overtook it");
            let mode = if draw(2) == 0 { Mode::Hard } else { Mode::Soft };
            let asked = selector(draw(5));
            let covers = asked != selector(4);
            let selectors = Selectors::one(asked.clone());
            match draw(3) {
                0 => {
                    let other = Mode::Soft;
                    let peer_event = |id, selectors, mode| PeerEvent {
                        id,
                        selectors,
                        mode,
                        action: Action::Update,
                        changed: vec![],
                        fields: Default::default(),
                        routes: vec![],
                    };
                    let batch = PeerBatch {
                        origin: "b".into(),
                        events: vec![
                            peer_event(any_id(), selectors, mode),
                            peer_event(any_id(), Selectors::one(selector(4)), other),
                        ],
                        merged: Demand::default(),
                        cascade: Selectors::default(),
                        graph: "other".into(),
                    };
                    node.take_from_peer(batch).await;
                }
                1 => node.take_marked(vec![any_id()], selectors, mode).await,
                _ => node.take_marked(vec![any_id(), any_id()], selectors, mode).await,
            }
            let found = node.pipeline.store.lookup("k");
            let is_honoured = match (&found, mode) {
                _ if !covers => true,
                (Lookup::Hit(_), _) | (Lookup::Stale { .. }, Mode::Hard) => false,
                (Lookup::Stale { .. }, Mode::Soft) | (Lookup::Miss { .. }, _) => true,
            };
            assert!(is_honoured, "seed {seed}, call {call}: {asked:?} {mode:?} left {found:?}");
        }
        // Four ids and five selectors in two modes: known effects do not grow without end.
        let events = node.pipeline.journal.after(0, usize::MAX).events.len();
        assert!(events < 150, "seed {seed}: {events} events of {CALLS} calls");
    }
}

//! Both encodings of stream events: their bytes, that they agree, and that each is made once.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::frame::{app_updates, goodbye, hello, ping, resync};
use super::readers::{Audience, Readers};
use super::*;

/// The parsed messages of one piece.
fn read(piece: &Messages) -> Vec<Heard> {
    piece.0.iter().map(|text| read_one(text)).collect()
}

fn read_one(text: &[u8]) -> Heard {
    let message: Value = serde_json::from_slice(text).expect("a message is JSON");
    let known = ["event", "id", "retry", "data"];
    let members = message.as_object().expect("an object");
    assert!(members.keys().all(|name| known.contains(&name.as_str())), "{message}");
    Heard {
        id: message.get("id").map(|id| id.as_str().expect("an id is text").to_owned()),
        event: message["event"].as_str().expect("a name").to_owned(),
        data: message["data"].clone(),
    }
}

/// One of each, with everything in it that needs escapes somewhere.
fn all_sorts() -> Vec<Frame> {
    let mut selectors = whole("posts");
    selectors.insert(entity("pages", "4\"2\u{2028}\\"));
    selectors.insert(Selector::Tag(Label::parse("</script>é🦀").expect("tag")));
    let example = Event { cascade: whole("feed"), ..event(selectors) };
    let mut frames = vec![hello("he\"re", 9, (2, true), &config())];
    frames.extend(app_updates(&example));
    frames.extend([resync(Some("3-7".into()), "gap"), resync(None, "gap"), ping(), goodbye(1500)]);
    frames
}

/// S4 4.6: a message for each server-sent event, with the same contents.
#[test]
fn both_forms_say_the_same() {
    let frames = all_sorts();
    assert_eq!(frames.len(), 9);
    assert_eq!(read(&Messages::of(&frames)), hear(&[Sse::of(&frames)]));
}

/// The bytes as they go out.
#[test]
fn the_bytes_of_each_form() {
    let frames = [
        hello("here", 9, (0, false), &config()),
        Frame { id: Some("1-181".into()), ..ping() },
        goodbye(1500),
    ];
    let sse = "retry: 3000\nevent: hello\n\
        data: {\"instance\":\"here\",\"version\":9,\"replayed\":0,\"gap\":false}\n\n\
        id: 1-181\nevent: ping\ndata: {}\n\n\
        retry: 1500\nevent: goodbye\ndata: {}\n\n";
    assert_eq!(*Sse::of(&frames).0, sse);
    let messages = [
        concat!(
            r#"{"event":"hello","retry":3000,"#,
            r#""data":{"instance":"here","version":9,"replayed":0,"gap":false}}"#
        ),
        r#"{"event":"ping","id":"1-181","data":{}}"#,
        r#"{"event":"goodbye","retry":1500,"data":{}}"#,
    ];
    assert_eq!(Messages::of(&frames).0[..], messages);
}

/// Readers of both kinds, side by side at one hub, hear the same in the same order.
#[tokio::test]
async fn readers_of_both_kinds_hear_the_same() {
    let scene = Scene::new();
    let mut reader = scene.open(None);
    let mut other = scene.hub.subscribe::<Messages>(None).expect("there is room");
    assert_eq!(scene.hub.readers(), 2);
    assert_eq!(read(&other.next_some(1).await[0]), [reader.expect("hello").await]);
    let mut two = whole("a");
    two.join(&whole("b"));
    scene.send(two).await;
    scene.hub.resync("because");
    scene.send(whole("c")).await;
    scene.stop.cancel();
    let mut heard = vec![];
    loop {
        let pieces = other.next_some(8).await;
        if pieces.is_empty() {
            break;
        }
        heard.extend(pieces.iter().flat_map(read));
    }
    let names: Vec<&str> = heard.iter().map(|one| one.event.as_str()).collect();
    assert_eq!(names.last(), Some(&"goodbye"));
    for one in &heard {
        assert_eq!(reader.next().await.as_ref(), Some(one));
    }
    assert_eq!(reader.next().await, None);
}

/// What was missed is replayed in either form, from an id that either gave.
#[tokio::test]
async fn an_id_of_one_form_is_good_in_the_other() {
    let scene = Scene::new();
    let mut reader = scene.open(None);
    reader.expect("hello").await;
    for name in ["a", "b", "c"] {
        scene.send(whole(name)).await;
    }
    let mut heard = vec![];
    for _ in 0..3 {
        heard.push(reader.expect("app-update").await);
    }
    let mut again = scene.hub.subscribe::<Messages>(heard[0].id.as_deref()).expect("there is room");
    let mut missed = read(&again.next_some(1).await[0]);
    missed.extend(again.next_some(1).await.iter().flat_map(read));
    assert_eq!(missed[0].data["replayed"], 2);
    assert_eq!(missed[1..], heard[1..]);
}

/// A form that counts how often it is made.
#[derive(Clone)]
struct Counted(Arc<()>);

static MADE: AtomicUsize = AtomicUsize::new(0);

impl Form for Counted {
    type Shared = ();

    fn of(_: &[Frame]) -> Self {
        MADE.fetch_add(1, Ordering::Relaxed);
        Self(Arc::default())
    }

    fn shared(&self) -> &Arc<()> {
        &self.0
    }

    fn from_shared(shared: Arc<()>) -> Self {
        Self(shared)
    }

    fn bytes(&self) -> usize {
        100
    }

    fn audience(_: &mut Readers) -> &mut Audience<Self> {
        unreachable!("no hub knows it")
    }
}

/// Nobody's form is not made, and everybody's is made once.
#[test]
fn a_form_is_made_once_and_only_for_those_who_take_it() {
    let mut audience = Audience::<Counted>::default();
    audience.send(&[ping()]);
    assert_eq!(MADE.load(Ordering::Relaxed), 0);
    let mut one = audience.enter(4, 1000, true).live;
    let mut two = audience.enter(4, 1000, true).live;
    let _missing = audience.enter(4, 1000, false);
    audience.send(&[ping(), ping()]);
    assert_eq!(MADE.load(Ordering::Relaxed), 1);
    let (one, two) = (one.try_recv().expect("sent"), two.try_recv().expect("sent"));
    assert!(Arc::ptr_eq(&one.0, &two.0), "they share it");
}

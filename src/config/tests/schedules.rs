//! `[[schedules]]` as they are written.

use super::*;
use crate::domain::{Mode, Selector, TypeName};

#[test]
fn a_schedule_is_a_pattern_in_a_zone_and_the_body_of_a_request() {
    let text = "
        [[schedules]]
        id = 'activate-tournaments'
        cron = '0 * * * *'
        invalidate = { type = 'tournaments', mode = 'soft', mirror = false }
        [[schedules]]
        id = 'prices'
        cron = '@daily'
        tz = 'Europe/Berlin'
        invalidate = { items = [{ type = 'products', id = 7 }, { tag = 'sale' }] }";
    let config = Scene::file(text).good().schedules;
    let [first, second] = &config.schedules[..] else { panic!("{config:?}") };
    assert_eq!((first.when.pattern(), first.when.zone()), ("0 * * * *", "UTC"));
    let wanted = [Selector::Type(TypeName::parse("tournaments").unwrap())].into_iter().collect();
    assert_eq!(first.asks.submission.selectors, wanted);
    assert_eq!(
        (first.asks.submission.mode, first.asks.submission.mirror),
        (Mode::Soft, Some(false))
    );
    assert_eq!(second.when.zone(), "Europe/Berlin");
    assert_eq!(second.asks.submission.selectors.to_string(), "products/7,tag:sale");
    assert_eq!(second.asks.shown["items"][0]["id"], 7);
    assert!(config.file.ends_with("data/schedules.json"));
}

#[test]
fn the_environment_may_give_them_all() {
    let value = "[{ id = 'a', cron = '*/5 * * * *', invalidate = { all = true } }]";
    let config = Scene::env(&[("CACHE_MIRROR__SCHEDULES", value)]).good().schedules;
    assert_eq!(config.schedules.len(), 1);
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let whole = "id = 'a'\ncron = '0 * * * *'\n";
    for (fields, expected) in [
        ("cron = '0 * * * *'\ninvalidate = { all = true }", "schedules[0].id"),
        ("id = 'a b'\ncron = '@daily'\ninvalidate = { all = true }", "schedules[0].id"),
        ("id = 'a'\ninvalidate = { all = true }", "schedules[0].cron"),
        ("id = 'a'\ncron = '0, 0 * * *'\ninvalidate = { all = true }", "empty list element"),
        (&format!("{whole}invalidate = {{ type = 'posts', id = '*' }}"), "for the whole type"),
        ("id = 'a'\ncron = '* * * * * *'\ninvalidate = { all = true }", "expected five fields"),
        ("id = 'a'\ncron = '0 0 30 2 *'\ninvalidate = { all = true }", "such a day never comes"),
        (&format!("{whole}tz = 'Berlin'\ninvalidate = {{ all = true }}"), "schedules[0].tz"),
        (whole, "schedules[0].invalidate"),
        (&format!("{whole}invalidate = 'posts'"), "expected a table"),
        (&format!("{whole}invalidate = {{ typ = 'posts' }}"), "did you mean \"type\"?"),
        (&format!("{whole}invalidate = {{ type = 'a b' }}"), "schedules[0].invalidate.type"),
        (&format!("{whole}invalidate = {{ id = '7' }}"), "an id needs a \"type\""),
        (&format!("{whole}invalidate = {{ all = true, dry_run = true }}"), "dry_run"),
        (&format!("{whole}invalidate = {{ all = true, reason = 'x' }}"), "not for schedules"),
        (&format!("{whole}every = '5m'\ninvalidate = {{ all = true }}"), "unknown key"),
    ] {
        let problems = Scene::file(&format!("[[schedules]]\n{fields}")).bad();
        assert!(problems.contains(expected), "{fields}\n{problems}");
    }
    let one = format!("[[schedules]]\n{whole}invalidate = {{ all = true }}\n");
    assert!(Scene::file(&one.repeat(2)).bad().contains("given twice"));
}

#[test]
fn where_the_graph_is_strict_recipes_must_know_their_types() {
    let recipes = "
        dependencies = { posts = [] }
        names.news = ['posts', 'nwes']
        groups.home = { clears = ['posts'], narrowed = ['psots/{id}'] }
        hooks.onSave = { clears = ['post', 'tag:x', 'pgaes/1'] }
        graph.strict_types = ";
    Scene::file(&format!("{recipes}false")).good();
    let text = Scene::file(&format!("{recipes}true")).bad();
    for (key, name) in [("names.news", "nwes"), ("groups.home", "psots"), ("hooks.onSave", "pgaes")]
    {
        assert!(text.contains(key) && text.contains(name), "{key} {name}: {text}");
    }
}

#[test]
fn where_the_graph_is_strict_a_run_must_know_its_types() {
    let text = "
        graph.preset = 'polymech'
        graph.strict_types = true
        [[schedules]]
        id = 'a'
        cron = '@daily'
        invalidate = { type = 'postz' }";
    let problems = Scene::file(text).bad();
    assert!(problems.contains("schedules[0].invalidate"), "{problems}");
    assert!(problems.contains("expected a type of the graph"), "{problems}");
    Scene::file(&text.replace("postz", "post")).good();
}

/// The blocks of the guide are settings that are taken.
#[test]
fn the_guide_is_true() {
    let text = include_str!("../../../docs/SCHEDULES.md");
    let blocks: Vec<&str> = text.split("```toml\n").skip(1).collect();
    assert!(!blocks.is_empty());
    for block in blocks {
        let block = block.split("```").next().unwrap();
        Scene::file(block).good();
    }
}

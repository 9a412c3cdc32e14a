//! Blocks that keep answers: each reads the origin after a miss and stores with the ticket of it.
//! So a fill that an invalidation has overtaken is not stored.

use crate::blocks::{put, write};
use crate::laravel::{php, well};
use crate::support::Spec;
use crate::{node, shell};

/// No fill without a ticket is taken, so a block that sent none would store nothing.
fn strict() -> Spec {
    Spec::new("a").set("store.require_tickets", true)
}

#[tokio::test]
async fn curl_fills_after_a_miss_with_its_ticket() {
    let instance = strict().start().await;
    let stored = shell::run(&instance, "fill.sh", &[]).await;
    assert!(
        stored.contains(r#""success":true"#) && stored.contains(r#""warnings":[]"#),
        "{stored}"
    );
    assert_eq!(shell::run(&instance, "fill.sh", &[]).await, "<ul><li>Red shoe</li></ul>");
}

const NODE: &str = "
import { cached } from './cached.mjs'
import { invalidate } from './invalidate.mjs'
const query = 'type=products&ttl=600'
const overtaken = async () => { await invalidate({ type: 'products', id: '7' }); return 'old' }
const values = [await cached('a b', query, overtaken)]
for (const text of ['new', 'never']) values.push(await cached('a b', query, async () => text))
console.log(values.join())
";

#[tokio::test]
async fn node_stores_no_outdated_fill() {
    let instance = strict().start().await;
    let dir = &instance.dir;
    write(dir, "cached.mjs");
    write(dir, "invalidate.mjs");
    let mut program = node::command("node", dir, &instance);
    program.arg(put(dir, "main.mjs", NODE));
    assert_eq!(node::run(program).await, "old,new,new\n");
    assert_eq!(instance.get_entry("a%20b").await.as_deref(), Some("new"));
}

const PHP: &str = "<?php
require 'cached.php';
$query = 'type=products&ttl=600';
$values = [cached('a b', $query, function () { require 'invalidate.php'; return 'old'; })];
foreach (['new', 'never'] as $text) $values[] = cached('a b', $query, fn () => $text);
echo implode(',', $values);
";

#[tokio::test]
async fn php_stores_no_outdated_fill() {
    let instance = strict().start().await;
    write(&instance.dir, "cached.php");
    write(&instance.dir, "invalidate.php");
    let main = put(&instance.dir, "main.php", PHP).display().to_string();
    let printed = well(&php(&instance, &[&main]));
    assert_eq!(printed, "old,new,new");
    assert_eq!(instance.get_entry("a%20b").await.as_deref(), Some("new"));
}

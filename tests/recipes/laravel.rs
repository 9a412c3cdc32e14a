//! Blocks for PHP. Laravel itself is not here: the names that the observer uses of it are stand-ins
//! (`tests/recipes/laravel/stand_ins.php`), the call that it makes is a real one.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::json;

use crate::blocks::{put, text, write};
use crate::support::{Node, Spec};

pub fn php(node: &Node, arguments: &[&str]) -> Output {
    let mut php = Command::new("php");
    php.args(arguments).env("CACHE_MIRROR_URL", &node.base).current_dir(&node.dir);
    php.env("CACHE_MIRROR_TOKEN", &node.token);
    php.output().expect("php runs; Debian packages php-cli and php-curl")
}

#[track_caller]
pub fn well(output: &Output) -> String {
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{printed}\n{said}", output.status);
    printed
}

#[tokio::test]
async fn plain_php_invalidates_and_survives_an_instance_that_is_away() {
    let mut node = Spec::new("a").start().await;
    let file = write(&node.dir, "invalidate.php").display().to_string();
    assert_eq!(well(&php(&node, &[&file])), "");
    assert_eq!(node.journal().await[0]["selectors"], json!(["products/7"]));
    node.stop().await;
    let late = php(&node, &["-d", "error_log=/dev/stderr", &file]);
    well(&late);
    let said = String::from_utf8_lossy(&late.stderr).into_owned();
    assert!(said.contains("Cache invalidation failed: "), "{said}");
    assert!(!said.contains(&node.token), "{said}");
}

/// S1 1.1, 1.22: a model is written, the observer tells.
#[tokio::test]
async fn the_observer_is_php_and_tells_what_happened_to_which_model() {
    let node = Spec::new("a").start().await;
    let services = format!("<?php\nreturn [\n{}];\n", text("services.php"));
    let observer = format!("<?php\n{}", text("CacheMirrorObserver.php"));
    for (name, text) in [("services.php", &services), ("CacheMirrorObserver.php", &observer)] {
        let file = put(&node.dir, name, text).display().to_string();
        let printed = well(&php(&node, &["-l", &file]));
        assert!(printed.starts_with("No syntax errors"), "{printed}");
    }
    let stand_ins = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recipes/laravel");
    let stand_ins = stand_ins.join("stand_ins.php").display().to_string();
    let printed = well(&php(&node, &[&stand_ins]));
    assert_eq!(printed, "the answer is sent\n200\n200\n200\n");
    let events = node.journal().await;
    let told: Vec<_> = events.iter().map(|event| (&event["selectors"], &event["action"])).collect();
    let products = json!(["products/7"]);
    let (create, update, delete) = (json!("create"), json!("update"), json!("delete"));
    assert_eq!(told, [(&products, &create), (&products, &update), (&products, &delete)]);
}

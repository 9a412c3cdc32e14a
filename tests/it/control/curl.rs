//! The command lines that the guides of the older systems give, run as they stand there, and golden
//! files for the bodies that their callers compare with.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::support::Node;

/// Runs curl with these arguments against a path; gives status and body.
pub async fn curl(node: &Node, path: &str, arguments: &[&str]) -> (u16, String) {
    let output = tokio::process::Command::new("curl")
        .args(["--silent", "--show-error", "--noproxy", "*", "--max-time", "20"])
        .args(["--write-out", "\n%{http_code}"])
        .args(arguments)
        .arg(format!("{}{path}", node.base))
        .stdin(Stdio::null())
        .output()
        .await
        .expect("curl runs; tests/run installs it");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').expect("curl writes the status behind the body");
    let complaint = String::from_utf8_lossy(&output.stderr);
    (status.parse().unwrap_or_else(|_| panic!("{text} {complaint}")), body.to_owned())
}

/// Fails unless the body is that of the golden file, byte for byte, but for times and reasons.
pub fn assert_golden(name: &str, body: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/control/golden").join(name);
    let golden = std::fs::read_to_string(&file).expect("a golden file");
    let json: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("no JSON: {body}"));
    let mut settled = body.to_owned();
    for (pointer, mark) in [("/revalidated/timestamp", "TIME"), ("/error", "ERROR")] {
        if let Some(text) = json.pointer(pointer).filter(|_| golden.contains(mark)) {
            assert!(text.as_str().is_some_and(|text| !text.is_empty()), "{pointer} in {body}");
            settled = settled.replace(&text.to_string(), &format!("\"{mark}\""));
        }
    }
    assert_eq!(settled, golden.trim_end(), "{name}");
}

//! Blocks for Node: the real Express, Hono and TypeScript from npm, in separate processes.
//!
//! npm installs once, together with Next.js, below `target/`. Without a network this fails, because
//! an untested recipe is worthless; `CACHE_MIRROR_SKIP_NPM=1` skips it with a message.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::blocks::{put, write};
use crate::support::{Node, PATIENCE, Spec, client};

const PACKAGES: [&str; 7] = [
    "express@5",
    "hono@4",
    "next@16",
    "react@19",
    "react-dom@19",
    "typescript@5",
    "@types/node@20",
];

/// The version of Next.js before.
const PACKAGES_15: [&str; 3] = ["next@15", "react@19", "react-dom@19"];

/// What the blocks take for a database.
pub const DATABASE: &str = "
export const products = { update: async (id, change) =>
  id === 'broken' ? { error: 'no such product' } : { data: { id, ...change } } }
export const posts = { archive: async () => {} }
";

/// A directory below which the packages are found; `None` where they are not wanted.
pub fn desk() -> Option<TempDir> {
    desk_of("recipes", &PACKAGES)
}

/// The same with Next.js 15.
pub fn desk_15() -> Option<TempDir> {
    desk_of("recipes-next15", &PACKAGES_15)
}

#[allow(clippy::print_stderr, reason = "what was left out must be seen")]
fn desk_of(name: &str, packages: &[&str]) -> Option<TempDir> {
    if std::env::var("CACHE_MIRROR_SKIP_NPM").is_ok_and(|value| value == "1") {
        eprintln!("left out: CACHE_MIRROR_SKIP_NPM=1, no recipe for Node was tried");
        return None;
    }
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let script = format!(
        "set -e; test -e '{dir}/whole' && exit; rm -rf '{dir}'; mkdir -p '{dir}'; cd '{dir}'; \
         timeout 300 npm install --no-audit --no-fund --silent --prefix . {}; touch whole",
        packages.join(" "),
        dir = dir.display(),
    );
    let mut flock = std::process::Command::new("flock");
    flock.arg(dir.with_extension("lock")).args(["bash", "-c", &script]).stdin(Stdio::null());
    let output = flock.output().expect("flock runs");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "npm: {error}\nCACHE_MIRROR_SKIP_NPM=1 leaves this out");
    Some(tempfile::tempdir_in(dir).expect("a directory"))
}

fn write_all(dir: &Path, names: &[&str]) {
    for name in names {
        write(dir, name);
    }
}

/// A program of the packages, or Node itself, with the variables that the page names.
pub fn command(program: &str, dir: &Path, node: &Node) -> Command {
    let packages = dir.parent().expect("a desk").join("node_modules/.bin");
    let bin = packages.join(program);
    let program = if bin.exists() { bin } else { PathBuf::from(program) };
    let mut command = Command::new(program);
    command.env_clear().env("PATH", std::env::var("PATH").expect("PATH")).env("HOME", dir);
    command.env("CACHE_MIRROR_URL", &node.base).env("CACHE_MIRROR_TOKEN", &node.token);
    command.current_dir(dir).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs it to its good end; gives what it printed.
pub async fn run(mut command: Command) -> String {
    let Output { status, stdout, stderr } = command.output().await.expect("it runs");
    let (out, error) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {status}\n{out}\n{error}");
    out.into_owned()
}

/// A server that prints its port; its stderr goes to a file.
async fn served(dir: &Path, script: &str, node: &Node) -> (Child, String) {
    let mut command = command("node", dir, node);
    command.arg(put(dir, "main.mjs", script)).stdout(Stdio::piped());
    command.stderr(std::fs::File::create(dir.join("stderr.txt")).expect("a file"));
    let mut child = command.spawn().expect("node runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("in time");
    let port = line.expect("it reads").unwrap_or_else(|| panic!("{}", stderr_of(dir)));
    (child, format!("http://127.0.0.1:{port}"))
}

fn stderr_of(dir: &Path) -> String {
    std::fs::read_to_string(dir.join("stderr.txt")).unwrap_or_default()
}

async fn patch(url: &str, body: Value) -> (u16, Value) {
    let answer = client().patch(url).json(&body).send().await.expect("it answers");
    (answer.status().as_u16(), answer.json().await.expect("JSON"))
}

const EXPRESS: &str = "
import { app } from './express.mjs'
import { meta } from './meta.mjs'
app.get('/api/v1/menus', async (_, answer) =>
  answer.json({ data: [{ id: 1 }], meta: await meta() }))
const server = app.listen(0, '127.0.0.1', () => console.log(server.address().port))
";

/// S2 2.3, 2.7: after a write that succeeded, and only then; and a cache that is away fails no
/// request.
#[tokio::test]
async fn express_reports_successful_writes() {
    let Some(desk) = desk() else { return };
    let dir = desk.path();
    let mut node = Spec::new("a").start().await;
    write_all(dir, &["invalidate.mjs", "express.mjs", "meta.mjs"]);
    put(dir, "database.mjs", DATABASE);
    let (_server, url) = served(dir, EXPRESS, &node).await;
    let (status, body) = patch(&format!("{url}/products/7"), json!({ "name": "x" })).await;
    assert_eq!((status, body), (200, json!({ "id": "7", "name": "x" })));
    let events = node.journal().await;
    assert_eq!(events[0]["selectors"], json!(["products/7"]));
    assert_eq!(events[0]["changed"], json!(["name"]));

    assert_eq!(patch(&format!("{url}/products/broken"), json!({})).await.0, 500);
    assert_eq!(node.journal().await.len(), 1, "nothing was written, so nothing was cleared");

    node.stop().await;
    assert_eq!(patch(&format!("{url}/products/7"), json!({ "name": "y" })).await.0, 200);
    let stderr = stderr_of(dir);
    assert!(stderr.contains("Cache invalidation failed:"), "{stderr}");
    assert!(!stderr.contains(&node.token), "the token is not logged: {stderr}");
}

const USE: &str = "
import { apiFetch, type Answer } from './api'
const answer: Answer<{ id: number }[]> = await apiFetch<{ id: number }[]>('/api/v1/menus')
const version: number = answer.meta.cache_version
const at: string | null | undefined = answer.meta.updated_at
// @ts-expect-error a version is a number
const text: string = answer.meta.cache_version
// @ts-expect-error what was asked for has an id, which is a number
const id: string = answer.data[0].id
console.log(JSON.stringify({ version, at, ids: answer.data.map((one) => one.id) }))
";

/// S1 1.1, 1.17: the API returns its version, and a typed client reads it; each change adds one.
#[tokio::test]
async fn a_typed_client_reads_the_increased_version() {
    let Some(desk) = desk() else { return };
    let dir = desk.path();
    let node = Spec::new("a").start().await;
    write_all(dir, &["invalidate.mjs", "express.mjs", "meta.mjs", "api.ts"]);
    put(dir, "database.mjs", DATABASE);
    put(dir, "package.json", r#"{ "type": "module" }"#);
    let source = put(dir, "use.ts", USE);
    let mut tsc = command("tsc", dir, &node);
    tsc.args(["--strict", "--target", "es2022", "--module", "esnext", "--moduleResolution"]);
    tsc.args(["bundler", "--types", "node", "--outDir", "out"]).arg(source);
    run(tsc).await;
    // Node wants the extension that bundlers do without.
    let compiled = std::fs::read_to_string(dir.join("out/use.js")).expect("compiled");
    put(dir, "out/use.js", &compiled.replace("'./api'", "'./api.js'"));

    let (_server, url) = served(dir, EXPRESS, &node).await;
    for version in 0..=2 {
        let mut asked = command("node", dir, &node);
        asked.arg("out/use.js").env("NEXT_PUBLIC_API_BASE_URL", &url);
        asked.env("NODE_ENV", "development");
        let printed = run(asked).await;
        assert!(printed.starts_with(&format!("Menu cache version: {version}\n")), "{printed}");
        assert!(printed.contains(&format!("\"version\":{version},")), "{printed}");
        node.invalidate(json!({ "type": "posts" })).await;
    }
}

const HONO: &str = "
import { app } from './hono.mjs'
for (const path of ['/api/posts', '/api/posts/:id']) {
  app.get(path, (c) => c.json({})).post(path, (c) => c.json({})).put(path, (c) => c.json({}, 422))
}
app.post('/login', (c) => c.json({}))
const asked = [['GET', '/api/posts/42'], ['PUT', '/api/posts/42'], ['POST', '/login'],
  ['POST', '/api/posts/42'], ['POST', '/api/posts']]
for (const [method, path] of asked) console.log((await app.request(path, { method })).status)
";

/// S2 2.7: one middleware for all writes; reads, and writes that failed, clear nothing.
#[tokio::test]
async fn hono_reports_every_successful_write() {
    let Some(desk) = desk() else { return };
    let dir = desk.path();
    let node = Spec::new("a").start().await;
    write_all(dir, &["invalidate.mjs", "hono.mjs"]);
    let mut hono = command("node", dir, &node);
    hono.arg(put(dir, "main.mjs", HONO));
    assert_eq!(run(hono).await, "200\n422\n200\n200\n200\n");
    let events = node.journal().await;
    let recorded: Vec<&Value> = events.iter().map(|event| &event["selectors"]).collect();
    assert_eq!(recorded, [&json!(["posts/42"]), &json!(["posts"])]);
}

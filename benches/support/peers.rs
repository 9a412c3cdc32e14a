//! The peers that we are measured against, each on a free loopback port with a directory of its
//! own: Redis, Varnish with xkey, nchan in nginx, and plain Node servers.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::processes::{Process, free_address};

/// Redis. `fsync`: `always`, `everysec`, or `no` for none of its durability.
pub fn redis(dir: &Path, fsync: &str) -> anyhow::Result<Process> {
    let address = free_address()?;
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--port", &address.port().to_string(), "--save", ""]);
    command.arg("--dir").arg(dir).args(["--maxclients", "15000"]);
    match fsync {
        "no" => command.args(["--appendonly", "no"]),
        _ => command.args(["--appendonly", "yes", "--appendfsync", fsync]),
    };
    Process::start_at(&mut command, address)
}

/// The path of a system module that lies below one of these directories.
fn module(name: &str) -> anyhow::Result<String> {
    let places = ["/usr/lib/varnish/vmods", "/usr/lib/nginx/modules", "/usr/share/nginx/modules"];
    let multi = format!("/usr/lib/{}-linux-gnu/varnish/vmods", std::env::consts::ARCH);
    let paths = places.iter().copied().chain([multi.as_str()]);
    let mut paths = paths.map(|place| format!("{place}/{name}"));
    let found = paths.find(|path| Path::new(path).exists());
    found.ok_or_else(|| anyhow::anyhow!("{name} is not installed"))
}

/// Varnish in front of `origin`; `PURGE` takes the tag in `xkey-purge`, or else the URL.
pub fn varnish(dir: &Path, origin: SocketAddr) -> anyhow::Result<Process> {
    module("libvmod_xkey.so")?;
    let vcl = format!(
        r#"vcl 4.1;
import xkey; import std;
backend origin {{ .host = "{}"; .port = "{}"; }}
sub vcl_recv {{
    if (req.method == "PURGE") {{
        if (req.http.xkey-purge) {{
            set req.http.n-gone = xkey.purge(req.http.xkey-purge);
            return (synth(200, req.http.n-gone));
        }}
        return (purge);
    }}
    return (hash);
}}
sub vcl_backend_response {{ set beresp.ttl = 1h; set beresp.grace = 0s; }}
"#,
        origin.ip(),
        origin.port()
    );
    std::fs::write(dir.join("bench.vcl"), vcl)?;
    let address = free_address()?;
    let mut command = Command::new("varnishd");
    command.arg("-F").arg("-n").arg(dir.join("work")).arg("-f").arg(dir.join("bench.vcl"));
    command.args(["-a", &address.to_string(), "-s", "malloc,6g"]);
    command.args(["-p", "thread_pools=1", "-j", "none"]);
    Process::start_at(&mut command, address)
}

/// nginx with nchan: `POST /pub` reaches whoever reads `/sub` as server-sent events.
pub fn nchan(dir: &Path) -> anyhow::Result<Process> {
    let module = module("ngx_nchan_module.so")?;
    let address = free_address()?;
    let user = if is_root() { "user root;" } else { "" };
    let conf = format!(
        "{user} load_module {module}; daemon off; master_process off; worker_processes 1;
worker_rlimit_nofile 20000; pid {dir}/nginx.pid; error_log {dir}/error.log crit;
events {{ worker_connections 15000; }}
http {{ access_log off; nchan_max_reserved_memory 256m; keepalive_requests 1000000;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fcgi;
  uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
  server {{ listen {address} backlog=8192;
    location = /sub {{ nchan_subscriber eventsource; nchan_channel_id c;
      nchan_subscriber_first_message newest; }}
    location = /pub {{ nchan_publisher; nchan_channel_id c; nchan_message_timeout 60s; }} }} }}
",
        dir = dir.display()
    );
    let file = dir.join("nginx.conf");
    std::fs::write(&file, conf)?;
    let mut command = Command::new("nginx");
    command.arg("-p").arg(dir).arg("-c").arg(file);
    Process::start_at(&mut command, address)
}

fn is_root() -> bool {
    std::env::var("USER").is_ok_and(|user| user == "root")
        || std::fs::metadata("/proc/self")
            .is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0)
}

/// The stand-in for a hand-made mirror: a Node server that POSTs to each of its mirrors, all at
/// once, by `fetch` unless `BENCH_NODE` says `http`.
pub fn node(mirrors: &[SocketAddr]) -> anyhow::Result<Process> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/support/node_peer.mjs");
    let urls = mirrors.iter().map(|address| format!("http://{address}"));
    Process::start(Command::new("node").arg(script).args(urls))
}

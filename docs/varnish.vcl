# Varnish that accepts purges from cache-mirror (docs/PURGE.md, kind "http"): by tag, by path, and by
# expression. Needs vmod_xkey and vmod_purge (Debian: varnish-modules). Pages name their tags in a
# header `xkey: posts posts:42`; a list names `posts posts:list` (list_tag in the settings).
vcl 4.1;

import purge;
import std;
import xkey;

backend default { .host = "127.0.0.1"; .port = "8080"; }

# Who may purge. For a token instead: compare req.http.authorization below.
acl purgers { "127.0.0.1"; "::1"; }

sub vcl_recv {
    if (req.method == "PURGE" || req.method == "BAN") {
        if (client.ip !~ purgers) { return (synth(403, "Not from here")); }
    }
    if (req.method == "PURGE") {
        if (req.http.xkey-purge) {
            set req.http.n-gone = xkey.purge(req.http.xkey-purge);
            return (synth(200, "Gone: " + req.http.n-gone));
        }
        if (req.http.xkey-softpurge) {
            set req.http.n-gone = xkey.softpurge(req.http.xkey-softpurge);
            return (synth(200, "Stale: " + req.http.n-gone));
        }
        # Soft purges happen below, where the object is known.
        if (req.http.soft-purge) { return (hash); }
        return (purge);
    }
    if (req.method == "BAN") {
        if (std.ban("obj.http.x-url ~ " + req.http.x-ban-url)) {
            return (synth(200, "Banned"));
        }
        return (synth(400, std.ban_error()));
    }
}

sub vcl_hit {
    if (req.method == "PURGE") {
        purge.soft();
        return (synth(200, "Stale"));
    }
}

sub vcl_miss {
    if (req.method == "PURGE") {
        purge.soft();
        return (synth(200, "Stale"));
    }
}

sub vcl_backend_response {
    # Bans test stored attributes only, so that Varnish can retire old ones.
    set beresp.http.x-url = bereq.url;
    # How long a page that is stale may be served while a fresh one is fetched.
    set beresp.grace = 1h;
}

sub vcl_deliver {
    unset resp.http.x-url;
    unset resp.http.xkey;
}

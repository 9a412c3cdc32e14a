//! Whom a request is judged by (reliability A28), and who may connect at all.

use super::*;

fn behind(proxies: &[&str]) -> Gate {
    let trusted_proxies = proxies.iter().map(|net| net.parse().expect("network")).collect();
    Gate::new(Config { trusted_proxies, ..config() }, [])
}

#[test]
fn forwarded_for_is_believed_of_trusted_proxies_only() {
    let proxies = ["10.0.0.0/8", "fd00::/8"];
    for (socket, header, expected) in [
        // Nobody trusted in between: whatever is claimed, the socket counts.
        ("203.0.113.7", &["198.51.100.1"][..], "203.0.113.7"),
        ("203.0.113.7", &["10.0.0.1"], "203.0.113.7"),
        // The rightmost address that is no proxy; what stands left of it was said by the client.
        ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", &["127.0.0.1, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", &["127.0.0.1, 198.51.100.1, 10.9.9.9"], "198.51.100.1"),
        ("10.0.0.1", &["127.0.0.1", "198.51.100.1,10.9.9.9"], "198.51.100.1"),
        ("10.0.0.1", &["10.0.0.2, 10.0.0.3"], "10.0.0.2"),
        ("10.0.0.1", &[], "10.0.0.1"),
        // IPv6, and IPv4 written as IPv6.
        ("fd00::1", &["2001:db8::9"], "2001:db8::9"),
        ("::ffff:10.0.0.1", &["::ffff:198.51.100.1"], "198.51.100.1"),
        ("2001:db8::1", &["198.51.100.1"], "2001:db8::1"),
        // What is no address ends the reading: further left nothing is known.
        ("10.0.0.1", &["198.51.100.1, unknown"], "10.0.0.1"),
        ("10.0.0.1", &["198.51.100.1, "], "10.0.0.1"),
        ("10.0.0.1", &["198.51.100.1:4711"], "10.0.0.1"),
        ("10.0.0.1", &["<script>", "10.0.0.7"], "10.0.0.7"),
        ("10.0.0.1", &[""], "10.0.0.1"),
    ] {
        let judged = behind(&proxies).client_address(address(socket), header);
        assert_eq!(judged, address(expected), "{socket} {header:?}");
    }
}

#[test]
fn without_trusted_proxies_the_socket_counts() {
    let gate = behind(&[]);
    let judged = gate.client_address(address("127.0.0.1"), &["198.51.100.1"]);
    assert_eq!(judged, address("127.0.0.1"));
}

#[test]
fn the_allow_list_is_closed_when_there_is_one() {
    let allow = vec!["10.0.0.0/8".parse().expect("net"), "2001:db8::/32".parse().expect("net")];
    let gate = Gate::new(Config { allow, ..config() }, []);
    for (from, is_allowed) in [
        ("10.1.2.3", true),
        ("::ffff:10.1.2.3", true),
        ("2001:db8:7::1", true),
        ("11.0.0.1", false),
        ("127.0.0.1", false),
        ("::1", false),
        ("2001:db9::1", false),
    ] {
        let expected = if is_allowed { Ok(()) } else { Err(Rejected::Address) };
        assert_eq!(gate.check_address(address(from)), expected, "{from}");
    }
    assert_eq!(super::gate().check_address(address("127.0.0.1")), Ok(()));
}

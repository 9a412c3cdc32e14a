//! The client's address of a request (reliability A28), and which addresses may connect.

use super::*;

fn behind(proxies: &[&str]) -> Gate {
    let trusted_proxies = proxies.iter().map(|net| net.parse().expect("network")).collect();
    Gate::new(Config { trusted_proxies, ..config() })
}

#[test]
fn forwarded_for_is_believed_of_trusted_proxies_only() {
    let proxies = ["10.0.0.0/8", "fd00::/8"];
    for (socket, header, expected) in [
        // Without a trusted proxy the socket's address counts, whatever the headers claim.
        ("203.0.113.7", &["198.51.100.1"][..], "203.0.113.7"),
        ("203.0.113.7", &["10.0.0.1"], "203.0.113.7"),
        // The rightmost address that is not a proxy; the client wrote everything left of it.
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
        // With ports, brackets, quotes and zones.
        ("10.0.0.1", &["203.0.113.7:51234"], "203.0.113.7"),
        ("10.0.0.1", &["[2001:db8::7]:443"], "2001:db8::7"),
        ("10.0.0.1", &["[2001:db8::7]"], "2001:db8::7"),
        ("10.0.0.1", &["\"[2001:db8::7]\""], "2001:db8::7"),
        ("10.0.0.1", &["\"[2001:db8::7]:443\""], "2001:db8::7"),
        ("10.0.0.1", &["\t203.0.113.7 ,\t10.0.0.2:80"], "203.0.113.7"),
        ("10.0.0.1", &["[::ffff:203.0.113.7]:1"], "203.0.113.7"),
        ("10.0.0.1", &["fe80::7%eth0"], "fe80::7"),
        ("10.0.0.1", &["2001:db8::7%eth0"], "2001:db8::7"),
        ("10.0.0.1", &["[2001:db8::7%25eth0]:443"], "2001:db8::7"),
        ("10.0.0.1", &["198.51.100.1, fd00::2%2"], "198.51.100.1"),
        // Unreadable addresses further left were written by the client.
        ("10.0.0.1", &["unknown, <script>,, 198.51.100.1"], "198.51.100.1"),
    ] {
        let judged = behind(&proxies).client_address(address(socket), &named(header));
        assert_eq!(judged, address(expected).into(), "{socket} {header:?}");
    }
}

fn named<'a>(lines: &[&'a str]) -> PassedOn<'a> {
    PassedOn { x_forwarded_for: lines.to_vec(), ..PassedOn::default() }
}

/// The proxy's own address would be in the allow list.
#[test]
fn an_address_that_cannot_be_read_is_never_the_proxys_own() {
    let gate = Gate::new(Config {
        trusted_proxies: vec!["10.0.0.0/8".parse().expect("net")],
        allow: vec!["0.0.0.0/0".parse().expect("net"), "::/0".parse().expect("net")],
        ..config()
    });
    for lines in [
        &["unknown"][..],
        &["198.51.100.1, unknown"],
        &["198.51.100.1, "],
        &["198.51.100.1", ""],
        &[""],
        &[","],
        &["_hidden"],
        &["<script>", "10.0.0.7"],
        &["198.51.100.1:99999"],
        &["198.51.100.1:"],
        &["198.51.100.1:http"],
        &["[198.51.100.1]:80"],
        &["[2001:db8::7]443"],
        &["[2001:db8::7"],
        &["2001:db8::7]"],
        &["fe80::7%"],
        &["2001:db8::7%eth 0"],
        &["[2001:db8::7]%eth0"],
        &["2001:db8::7%eth0:443"],
        &["198.51.100.1%eth0"],
        &["198.51.100.1%eth0:80"],
        &["::ffff:198.51.100.1%eth0"],
        &["::%eth0"],
        &["\"198.51.100.1"],
        &["198.51.100.01"],
        &["198.51.100"],
        &["0.0.0.0"],
        &["::"],
        &["localhost"],
        &["198.51.100.1 10.0.0.2"],
        &["198.51.100.1;10.0.0.2"],
    ] {
        let judged = gate.client_address(address("10.0.0.1"), &named(lines));
        assert_eq!(judged, ClientAddress::Unreadable, "{lines:?}");
        assert_eq!(gate.check_address(judged), Err(Rejected::Address), "{lines:?}");
    }
}

#[test]
fn forwarded_and_x_real_ip_are_read_where_nothing_better_is_there() {
    let gate = behind(&["10.0.0.0/8"]);
    let judge = |by: PassedOn<'_>| gate.client_address(address("10.0.0.1"), &by).known();
    for (lines, expected) in [
        (&["for=192.0.2.60;proto=http;by=203.0.113.43"][..], Some("192.0.2.60")),
        (&["For=\"[2001:db8:cafe::17]:4711\""], Some("2001:db8:cafe::17")),
        (&["for=192.0.2.43, for=\"198.51.100.17:80\"", "for=10.0.0.2"], Some("198.51.100.17")),
        (&["for=\"1.1.1.1,\", for=198.51.100.17"], Some("198.51.100.17")),
        (&["for=\"[fe80::1%eth0]:80\""], Some("fe80::1")),
        (&["for=\"[2001:db8::7%25eth0]\""], Some("2001:db8::7")),
        (&["for=\"[fe80::1%eth0\""], None),
        (&["for=unknown"], None),
        (&["for=_gazonk"], None),
        (&["proto=https"], None),
        (&["for=192.0.2.1;for=192.0.2.2"], None),
        (&["for=\"192.0.2.1"], None),
        (&["for=192.0.2.1,"], None),
        (&[""], None),
    ] {
        let by = PassedOn { forwarded: lines.to_vec(), ..PassedOn::default() };
        assert_eq!(judge(by), expected.map(address), "{lines:?}");
    }
    for (lines, expected) in [
        (&["203.0.113.7"][..], Some("203.0.113.7")),
        (&["203.0.113.7", "203.0.113.8"], None),
        (&["unknown"], None),
    ] {
        let by = PassedOn { x_real_ip: lines.to_vec(), ..PassedOn::default() };
        assert_eq!(judge(by), expected.map(address), "{lines:?}");
    }
    let all = PassedOn {
        x_forwarded_for: vec!["203.0.113.1"],
        forwarded: vec!["for=203.0.113.2"],
        x_real_ip: vec!["203.0.113.3"],
        is_shown: true,
    };
    assert_eq!(judge(all), Some(address("203.0.113.1")));
    assert_eq!(judge(PassedOn { is_shown: true, ..PassedOn::default() }), None);
    assert_eq!(judge(PassedOn::default()), Some(address("10.0.0.1")), "the proxy itself calls");
}

#[test]
fn callers_that_cannot_be_told_apart_share_a_limit_with_nobody_else() {
    let gate = gate();
    for _ in 0..20 {
        assert_eq!(gate.refuse(ClientAddress::Unreadable), Rejected::Invalid);
    }
    assert!(matches!(gate.refuse(ClientAddress::Unreadable), Rejected::TooMany(_)));
    assert_eq!(gate.refuse(client()), Rejected::Invalid);
}

/// One peer's flood under an account that many share leaves the others their share; a person's
/// requests are also counted together.
#[test]
fn requests_are_counted_by_principal_and_address() {
    let gate = Gate::new(Config {
        requests_per_second: 1,
        burst: 10,
        requests_per_second_total: 15,
        ..config()
    });
    let count = |role, from: &str| {
        let who = Principal { name: "mirror@b.example".into(), role };
        (0..100).filter(|_| gate.check_rate(&who, address(from)).is_ok()).count()
    };
    assert_eq!(count(Role::Service, "203.0.113.7"), 10);
    assert_eq!(count(Role::Service, "203.0.113.8"), 10, "another peer");
    assert_eq!(count(Role::Service, "2001:db8::1"), 10);
    assert_eq!(count(Role::Service, "2001:db8::2"), 0, "the same network");
    let all: usize = (0..9).map(|at| count(Role::Editor, &format!("203.0.113.{at}"))).sum();
    assert_eq!(all, 30, "twice the total is the burst of all");
    assert_eq!(count(Role::AdminToken, "203.0.113.7"), 100);
}

#[test]
fn without_trusted_proxies_the_socket_counts() {
    let gate = behind(&[]);
    let judged = gate.client_address(address("127.0.0.1"), &named(&["198.51.100.1"]));
    assert_eq!(judged, address("127.0.0.1").into());
}

#[test]
fn the_allow_list_is_closed_when_there_is_one() {
    let allow = vec!["10.0.0.0/8".parse().expect("net"), "2001:db8::/32".parse().expect("net")];
    let gate = Gate::new(Config { allow, ..config() });
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

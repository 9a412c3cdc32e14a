//! Finds a destination by its name or its address. A name wins over an address, because it is
//! unique. An address that several destinations share finds none.

use url::Url;

use super::Delivery;

impl Delivery {
    /// Finds the name of the destination with this name or address.
    ///
    /// # Errors
    /// The names of the destinations at that address: none, or more than one.
    pub fn find_name(&self, text: &str) -> Result<String, Vec<String>> {
        let peers = self.peers.get();
        let all: Vec<_> =
            peers.iter().map(|peer| (&*peer.config.name, &peer.config.base)).collect();
        find_in(&all, text)
    }
}

fn find_in(all: &[(&str, &Url)], text: &str) -> Result<String, Vec<String>> {
    if all.iter().any(|(name, _)| *name == text) {
        return Ok(text.to_owned());
    }
    let there = all.iter().filter(|(_, base)| is_at(base, text));
    let there: Vec<String> = there.map(|(name, _)| (*name).to_owned()).collect();
    match &there[..] {
        [one] => Ok(one.clone()),
        _ => Err(there),
    }
}

/// Whether a base URL has this `host[:port]`. The default port of its scheme may be missing.
fn is_at(base: &Url, text: &str) -> bool {
    let host = base.host_str().unwrap_or_default();
    let with = |port: u16| format!("{host}:{port}").eq_ignore_ascii_case(text);
    let is_bare = base.port().is_none() && host.eq_ignore_ascii_case(text);
    is_bare || base.port_or_known_default().is_some_and(with)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_wins_and_an_address_must_be_of_one() {
        let url = |text: &str| Url::parse(text).expect(text);
        let (b, eu, six) =
            (url("http://127.0.0.1:4712/"), url("https://eu.example/x/"), url("http://[::1]:1/"));
        let (shadow, site) = (url("https://other.example/"), url("http://127.0.0.1:3000/"));
        let all = [
            ("b", &b),
            ("eu", &eu),
            ("six", &six),
            ("eu.example", &shadow),
            ("site", &site),
            ("pages", &site),
        ];
        for (text, name) in [
            ("b", "b"),
            ("127.0.0.1:4712", "b"),
            ("eu.example:443", "eu"),
            ("EU.example:443", "eu"),
            ("eu.example", "eu.example"),
            ("other.example", "eu.example"),
            ("[::1]:1", "six"),
        ] {
            assert_eq!(find_in(&all, text), Ok(name.to_owned()), "{text}");
        }
        assert_eq!(find_in(&all, "127.0.0.1:3000"), Err(vec!["site".into(), "pages".into()]));
        for text in ["", "c", "127.0.0.1", "127.0.0.1:47", "eu.example:444", "[::1]", ":4712"] {
            assert_eq!(find_in(&all, text), Err(vec![]), "{text}");
        }
    }
}

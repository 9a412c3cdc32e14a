//! Addresses as callers use them: whether a POST gets there, what answers, by which clock.
//!
//! Each is asked by GET, once, from here and by the settings' own network: a GET has no effect on
//! any of these routes, and is redirected as a POST would be.

use futures_util::future::join_all;
use reqwest::Method;
use url::Url;

use super::Case;
use super::answering::Instance;
use super::check::Check;
use crate::cli::print;
use crate::config;
use crate::deliver::targets::{RevalidateForm, Target};
use crate::deliver::{INVALIDATE_PATH, PeerConfig};
use crate::net::{HttpAnswer, Outgoing};
use crate::support::clock;
use crate::wire::DestinationView;

/// Variables by which applications find a site, and what they call below it.
const SITES: [(&str, &str); 2] =
    [("NEXT_REVALIDATE_URL", ""), ("NEXT_PUBLIC_SITE_URL", "api/revalidate")];

/// Who calls there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// This instance, to mirror.
    Mirror,
    /// This instance, to have pages rendered again.
    Revalidate,
    /// This instance, at one route for each name below the address.
    ByName,
    /// An application, or this instance, by the name of the variable.
    Site,
}

/// An address, and what came of asking it.
pub struct Visit {
    /// The mirror's or target's name, or the variable's.
    pub name: String,
    /// Who calls there.
    pub caller: Caller,
    /// What is called.
    pub url: Url,
    /// What was answered, or why nothing was.
    pub answer: Result<HttpAnswer, String>,
    /// When it was asked and answered by our clock, milliseconds since 1970.
    pub asked_ms: (u64, u64),
}

/// Asks all of them.
pub async fn visit(case: &Case) -> Vec<Visit> {
    join_all(places(case).into_iter().map(async |(name, caller, url)| {
        let request = Outgoing {
            method: Method::GET,
            url: url.clone(),
            headers: vec![],
            body: bytes::Bytes::new(),
            timeout: case.settings.deliver.timeout,
        };
        let before = clock::wall_ms();
        let answer = case.way_to(&name).send(request).await.map_err(|error| error.to_string());
        Visit { name, caller, url, answer, asked_ms: (before, clock::wall_ms()) }
    }))
    .await
}

/// Variables first: who set one knows it by that name.
fn places(case: &Case) -> Vec<(String, Caller, Url)> {
    let mut places = Vec::new();
    for (name, path) in SITES {
        let text = config::variable(&case.sources, name);
        let url = text.and_then(|text| Url::parse(&text).ok());
        // Without a scheme it is whole only in the settings, where the target has it.
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https"));
        let url = url.and_then(|url| below(&url, path));
        places.extend(url.map(|url| (name.to_owned(), Caller::Site, url)));
    }
    let peers = case.settings.deliver.peers.iter();
    for peer in peers.filter(|peer| !is_oneself(case, &peer.name)) {
        let Some((caller, url)) = place(peer) else { continue };
        if !places.iter().any(|(_, _, known)| *known == url) {
            places.push((peer.name.clone(), caller, url));
        }
    }
    places
}

fn place(peer: &PeerConfig) -> Option<(Caller, Url)> {
    match peer.class.target() {
        None => Some((Caller::Mirror, below(&peer.base, INVALIDATE_PATH)?)),
        Some(Target::Revalidate(revalidate)) => {
            let caller = match revalidate.form {
                RevalidateForm::Names(_) => Caller::ByName,
                _ => Caller::Revalidate,
            };
            Some((caller, revalidate.url.clone()))
        }
        // What is purged has no route of its own that a GET could ask.
        Some(Target::Purge(_)) => None,
    }
}

/// A path below a base; the base itself where there is none.
fn below(base: &Url, path: &str) -> Option<Url> {
    if path.is_empty() {
        return Some(base.clone());
    }
    let mut base = base.clone();
    if !base.path().ends_with('/') {
        base.set_path(&format!("{}/", base.path()));
    }
    base.join(path.trim_start_matches('/')).ok()
}

fn is_oneself(case: &Case, name: &str) -> bool {
    let Instance::Running(running) = &case.instance else { return false };
    let of_it = running.destinations.iter().find(|it| it.name == name);
    of_it.is_some_and(|it| it.state == "self")
}

impl Visit {
    /// Where it redirects to, if it does.
    fn redirect(&self) -> Option<(u16, Url)> {
        let answer = self.answer.as_ref().ok()?;
        let to = answer.location.as_deref().filter(|_| (301..=308).contains(&answer.status))?;
        Some((answer.status, self.url.join(to).ok()?))
    }

    fn skew_s(&self) -> Option<i64> {
        skew_s(self.answer.as_ref().ok()?.date_ms?, self.asked_ms)
    }
}

/// S0 0.6: www, apex, scheme or a slash: a POST that is redirected by 301 or 302 becomes a GET.
pub async fn redirects(case: &Case) -> Vec<Check> {
    let visits = case.visits().await;
    let mut found: Vec<Check> = visits
        .iter()
        .filter_map(|visit| {
            let (status, to) = visit.redirect()?;
            Some(redirected(visit.caller, &visit.name, status, &visit.url, &to))
        })
        .collect();
    if found.is_empty() {
        let answered = visits.iter().filter(|visit| visit.answer.is_ok()).count() as u64;
        let asked = print::count(answered, "address", "addresses");
        found.push(match answered {
            0 => {
                let remedy = "this needs a mirror or a site that answers";
                Check::skip("redirect", "no address answers", remedy)
            }
            _ => Check::ok("redirect", format!("{asked} answered, none by a redirect")),
        });
    }
    found
}

fn redirected(caller: Caller, name: &str, status: u16, from: &Url, to: &Url) -> Check {
    let check = format!("redirect:{name}");
    let shown = |url: &Url| {
        let mut url = url.clone();
        url.set_query(None);
        url.to_string()
    };
    let slashes = |url: &Url| url.path().trim_end_matches('/').to_owned();
    let detail = format!("{} redirects to {} with {status}", shown(from), shown(to));
    if from.origin() == to.origin() && slashes(from) != slashes(to) {
        let remedy = "that may be for GET alone; where a POST is redirected too, exempt the path \
                      from logins and rewrites";
        return Check::warn(check, detail, remedy);
    }
    // What callers append is no part of what is written down.
    let written = |path: &str| {
        let text = shown(to);
        let base = text.strip_suffix('/').unwrap_or(&text).strip_suffix(path);
        base.filter(|_| !path.is_empty()).unwrap_or(&text).to_owned()
    };
    match caller {
        Caller::Mirror => {
            let remedy = format!(
                "name it {} in CACHE_MIRRORS: no redirect is followed, so nothing arrives",
                written(INVALIDATE_PATH.trim_start_matches('/'))
            );
            Check::fail(check, detail, remedy)
        }
        Caller::Revalidate | Caller::ByName => {
            let remedy =
                format!("call {} instead: no redirect is followed, so nothing arrives", shown(to));
            Check::fail(check, detail, remedy)
        }
        Caller::Site => {
            let path = SITES.iter().find(|(site, _)| *site == name).map_or("", |(_, path)| path);
            let remedy = format!("set {name}={}", written(path));
            let what = match status {
                307 | 308 => "credentials are left out on the way",
                _ => "a POST becomes a GET",
            };
            Check::fail(check, format!("{detail}: {what}"), remedy)
        }
    }
}

/// Clocks decide nothing here but whether tokens hold.
pub async fn clocks(case: &Case) -> Vec<Check> {
    let leeway_s = i64::try_from(case.settings.gate.leeway.as_secs()).unwrap_or(i64::MAX);
    let visits = case.visits().await;
    let mirrors = visits.iter().filter(|visit| visit.caller == Caller::Mirror);
    let asked = mirrors.clone().count();
    let skews: Vec<(&str, i64)> =
        mirrors.filter_map(|visit| Some((visit.name.as_str(), visit.skew_s()?))).collect();
    let mut found: Vec<Check> =
        skews.iter().filter_map(|(name, skew_s)| skewed(name, *skew_s, leeway_s)).collect();
    if found.is_empty() {
        found.push(match skews.len() {
            0 => Check::skip("clock", "no mirror sent its time", "this needs one that answers"),
            count => {
                let known = print::count(count as u64, "mirror", "mirrors");
                let silent = match asked - count {
                    0 => String::new(),
                    silent => format!("; {silent} sent none"),
                };
                let detail = format!("{known} sent the time, at most {leeway_s} s off{silent}");
                Check::ok("clock", detail)
            }
        });
    }
    found
}

fn skewed(name: &str, skew_s: i64, leeway_s: i64) -> Option<Check> {
    (skew_s.abs() > leeway_s).then(|| {
        let way = if skew_s > 0 { "ahead of" } else { "behind" };
        let detail = format!("its clock is {} s {way} ours", skew_s.abs());
        let remedy = format!(
            "let NTP set both clocks (chrony, systemd-timesyncd): tokens are taken within \
             auth.leeway_s = {leeway_s}"
        );
        Check::warn(format!("clock:{name}"), detail, remedy)
    })
}

/// Seconds that a `Date` lies ahead of the time in which it was given. It counts whole seconds, so
/// anything within its second is no difference.
fn skew_s(date_ms: u64, (before, after): (u64, u64)) -> Option<i64> {
    let ahead = date_ms.saturating_sub(after);
    let behind = before.saturating_sub(date_ms.saturating_add(999));
    let seconds = |ms: u64| i64::try_from(ms / 1000).ok();
    if ahead > 0 { seconds(ahead) } else { seconds(behind).map(|behind| -behind) }
}

/// S1 1.16 and 1.22: the endpoint that revalidates answers a GET.
pub async fn revalidates(case: &Case) -> Vec<Check> {
    let visits = case.visits().await;
    let sites = visits.iter().filter(|visit| visit.caller != Caller::Mirror);
    let found: Vec<Check> = sites.map(|visit| endpoint(visit, sends(case, visit))).collect();
    if found.is_empty() {
        let remedy =
            "set NEXT_REVALIDATE_URL and NEXT_REVALIDATE_SECRET, if there is a site to revalidate";
        return vec![Check::skip("revalidate", "no endpoint is named", remedy)];
    }
    found
}

/// The running instance's own destination at this address, if it has one.
fn sends<'a>(case: &'a Case, visit: &Visit) -> Option<&'a DestinationView> {
    let Instance::Running(running) = &case.instance else { return None };
    let is_it = |it: &&DestinationView| {
        let url = Url::parse(&it.url).ok();
        it.kind == "revalidate"
            && (it.name == visit.name || url.is_some_and(|url| is_below(&url, &visit.url)))
    };
    running.destinations.iter().find(is_it)
}

/// Whether an address is a base of another, or the same.
fn is_below(base: &Url, url: &Url) -> bool {
    let path = base.path().trim_end_matches('/');
    let rest = url.path().strip_prefix(path);
    base.origin() == url.origin() && rest.is_some_and(|it| it.is_empty() || it.starts_with('/'))
}

/// What an instance experiences with its own calls counts before what a GET is answered.
fn endpoint(visit: &Visit, sends: Option<&DestinationView>) -> Check {
    let seen = asked(visit);
    let Some(sends) = sends.filter(|it| it.failures > 0) else {
        return seen;
    };
    let error = print::optional(sends.last_error.as_deref());
    let detail = format!("{}; what the instance sends there fails: {error}", seen.detail);
    let remedy = match error.contains("401") || error.contains("403") {
        true => "set the same secret on both sides; both processes read it at their start",
        false => "read the site's log for these calls; cache-mirror logs --event revalidate",
    };
    Check::fail(seen.name, detail, remedy)
}

/// Judges the answer to a GET.
fn asked(visit: &Visit) -> Check {
    let check = format!("revalidate:{}", visit.name);
    let url = &visit.url;
    let answer = match &visit.answer {
        Ok(answer) => answer,
        Err(error) => {
            let detail = format!("{url}: {error}");
            let remedy = format!("start the site on that port, or correct {}", visit.name);
            return Check::fail(check, detail, remedy);
        }
    };
    let detail = format!("{url} answers {}", answer.status);
    match answer.status {
        301..=308 if answer.location.is_some() => {
            let detail = format!("{detail}, which is a redirect");
            Check::skip(check, detail, "see the check \"redirect\": it names the right URL")
        }
        200..=299 | 405 => Check::ok(check, detail),
        // One route for each name lies below it, and what lies there is asked by POST only.
        404 if visit.caller == Caller::ByName || visit.name == SITES[1].0 => {
            let detail =
                format!("{detail} to a GET, which is no evidence: names are asked by POST");
            Check::skip(check, detail, "clear something, then see the check \"backlog\"")
        }
        404 => {
            let remedy = "correct the path, or add the route: app/api/revalidate/route.ts of the \
                          App Router, Next.js 13 or later";
            Check::fail(check, detail, remedy)
        }
        401 | 403 => {
            let remedy = "exempt the path from the site's own login: its secret is judged on POST";
            Check::warn(check, detail, remedy)
        }
        429 => Check::warn(check, detail, "give it a lower rate: it has a limit of its own"),
        _ => {
            let remedy = "read the site's log: \"revalidatePath is not a function\" means a \
                          Next.js before 13, or a route outside the App Router";
            Check::fail(check, detail, remedy)
        }
    }
}

#[cfg(test)]
mod tests {

    use super::super::check::Status;
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect(text)
    }

    /// S0 0.6: the right URL is named, as it is to be written down.
    #[test]
    fn a_redirect_names_the_url_that_should_have_been_written() {
        let mirror =
            |from: &str, to: &str| redirected(Caller::Mirror, "m", 301, &url(from), &url(to));
        let found = mirror(
            "https://example.org/api/cache/invalidate",
            "https://www.example.org/api/cache/invalidate",
        );
        assert_eq!(found.status, Status::Fail);
        assert!(found.remedy.contains("name it https://www.example.org/ in"), "{found:?}");
        let found = mirror("http://a.org/x/api/cache/invalidate", "https://a.org/login?next=x");
        assert!(!found.detail.contains("next=x"), "{found:?}");
        let login = mirror("https://a.org/api/cache/invalidate", "https://a.org/login");
        assert_eq!(login.status, Status::Warn);
        let site = |status: u16, to: &str| {
            let from = url("https://example.org/api/revalidate");
            redirected(Caller::Site, "NEXT_PUBLIC_SITE_URL", status, &from, &url(to))
        };
        let found = site(302, "https://www.example.org/api/revalidate");
        assert_eq!(found.remedy, "set NEXT_PUBLIC_SITE_URL=https://www.example.org/");
        assert!(found.status == Status::Fail && found.detail.contains("becomes a GET"));
        let kept = site(308, "https://www.example.org/api/revalidate");
        assert!(kept.detail.contains("credentials are left out"), "{kept:?}");
        assert_eq!(site(301, "https://example.org/api/revalidate/").status, Status::Fail);
    }

    #[test]
    fn clocks_differ_by_more_than_the_second_they_count() {
        assert_eq!(skew_s(10_000, (10_900, 10_950)), Some(0));
        assert_eq!(skew_s(10_000, (9_000, 9_500)), Some(0));
        assert_eq!(skew_s(70_000, (10_000, 10_000)), Some(60));
        assert_eq!(skew_s(10_000, (70_999, 71_000)), Some(-60));
        assert_eq!(skewed("m", 5, 5), None);
        let found = skewed("m", -6, 5).expect("a finding");
        assert!(found.detail.contains("6 s behind ours"), "{found:?}");
    }

    /// S1 1.23: each answer of the endpoint has a meaning.
    #[test]
    fn an_endpoint_is_judged_by_its_answer_to_a_get() {
        let status = |status: u16| {
            let visit = Visit {
                name: "NEXT_REVALIDATE_URL".into(),
                caller: Caller::Site,
                url: url("http://localhost:3000/api/revalidate"),
                answer: Ok(HttpAnswer { status, ..HttpAnswer::default() }),
                asked_ms: (0, 0),
            };
            endpoint(&visit, None)
        };
        assert_eq!([status(200).status, status(405).status], [Status::Ok, Status::Ok]);
        assert!(status(404).remedy.contains("App Router"));
        assert!(status(500).remedy.contains("revalidatePath is not a function"));
        assert_eq!(status(401).status, Status::Warn);
    }

    /// An answered GET does not show that calls are accepted.
    #[test]
    fn an_endpoint_that_refuses_what_is_sent_is_not_well() {
        for (name, status) in [("NEXT_PUBLIC_SITE_URL", 404), ("web", 200), ("web", 405)] {
            let visit = Visit {
                name: name.into(),
                caller: Caller::ByName,
                url: url("http://localhost:3000/api/revalidate"),
                answer: Ok(HttpAnswer { status, ..HttpAnswer::default() }),
                asked_ms: (0, 0),
            };
            let sends = |failures| DestinationView {
                failures,
                last_error: Some("http 403".into()),
                ..DestinationView::default()
            };
            let failing = endpoint(&visit, Some(&sends(3)));
            assert_eq!(failing.status, Status::Fail, "{name} {status}");
            assert!(failing.detail.contains("http 403") && failing.remedy.contains("secret"));
            assert_ne!(endpoint(&visit, Some(&sends(0))).status, Status::Fail);
        }
        assert_ne!(endpoint_of(404).status, Status::Ok, "no evidence is not well either");
    }

    fn endpoint_of(status: u16) -> Check {
        asked(&Visit {
            name: "web".into(),
            caller: Caller::ByName,
            url: url("http://localhost:3000/api/revalidate"),
            answer: Ok(HttpAnswer { status, ..HttpAnswer::default() }),
            asked_ms: (0, 0),
        })
    }

    #[test]
    fn a_base_is_above_what_is_called() {
        let is = |base: &str, text: &str| is_below(&url(base), &url(text));
        assert!(is("http://a.org/", "http://a.org/api/revalidate"));
        assert!(
            is("http://a.org/x/", "http://a.org/x/api") && is("http://a.org/x", "http://a.org/x")
        );
        assert!(!is("http://a.org/x", "http://a.org/xy") && !is("http://a.org/", "http://b.org/"));
    }
}

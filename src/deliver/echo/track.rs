//! The evidence that one caller returns what one destination was sent, for one set of selectors.
//!
//! A *round* is a send that an arrival follows within reach. Rounds alone prove nothing, because a
//! script that saves at its own pace makes them too. So after some rounds one copy is held for a
//! moment, which is the experiment: an honest caller comes again meanwhile, an echo cannot. Only a
//! silent hold that a prompt return follows is evidence, and enough of it makes the holds double.
//! A caller that has learnt of its last delivery before it comes again (it waits, or asks for its
//! event) explains the timing by itself, so such rounds count for next to nothing.
//! Everything here is pure: time is a number that the caller gives.

use std::time::Duration;

use super::slow::Slow;
use super::terms::Hold;
pub use super::terms::{Kin, Limits, Send, Verdict};

/// Rounds in a row before the first hold, where nothing but the timing speaks for an echo. An
/// honest caller that looks at the mirror itself before it saves again makes rounds as well.
const ROUNDS: u32 = 32;
/// The same where the caller had learnt of its last delivery each time. Only a destination that
/// calls back and waits for the answer looks like that without being honest.
const ROUNDS_ATTENDED: u32 = 4096;
/// The same where returns come slowly, as those of a job that runs every few seconds do.
const ROUNDS_SLOW: u32 = 64;
/// The same where each arrival came while the send was still in flight, as only a callback does.
const ROUNDS_INSIDE: u32 = 3;
/// Rounds before the next hold, once a caller was found honest.
const ROUNDS_TRUSTED: u32 = 1024;
/// Rounds before the first hold, once the caller was proven to be an echo of something else.
const ROUNDS_SUSPECT: u32 = 4;
/// The same for a caller under the destination's own account.
const ROUNDS_ACCOUNT: u32 = 8;
const ROUNDS_MAX: u32 = 1 << 16;
/// Evidence that proves an echo, in nats: the chance is 1 in 20 that an honest caller who comes at
/// random is as silent.
const PROOF: f64 = 3.0;
/// What a return adds that comes as long after a held send as after others.
const STEADY: f64 = 2.0;
/// The level from which a destination is reported as echoing. Holds of the level before it are
/// staggered, so that one of several suspects is found.
const CONFIRMED: u32 = 3;

/// One caller, one set of selectors, one destination.
#[derive(Debug)]
pub struct Track {
    /// The last arrival.
    pub touched: Duration,
    /// Arrivals that were held.
    pub returns: u64,
    kin: Kin,
    /// The send that was answered last, and by how many arrivals.
    answered: u64,
    answers: u32,
    answers_max: u32,
    rounds: u32,
    rounds_inside: u32,
    /// Rounds of a caller that had learnt of its last delivery.
    rounds_attended: u32,
    /// There were so many of those that they are counted like others.
    ignores_attention: bool,
    /// Whether that is so of the last arrival.
    is_attended: bool,
    needed: u32,
    slow: Slow,
    /// How often it was found honest.
    acquittals: u32,
    /// The usual time from a send to its return.
    lag: Duration,
    evidence: f64,
    /// 0: not suspected; 1: under test; above: an echo, and the doublings of its hold.
    level: u32,
    hold: Option<Hold>,
}

impl Track {
    /// Nothing is known yet.
    pub fn new(kin: Kin, now: Duration) -> Self {
        Self {
            touched: now,
            returns: 0,
            kin,
            answered: 0,
            answers: 0,
            answers_max: 1,
            rounds: 0,
            rounds_inside: 0,
            rounds_attended: 0,
            ignores_attention: false,
            is_attended: false,
            slow: Slow::new(if kin == Kin::Stranger { ROUNDS_SLOW } else { ROUNDS_SLOW / 8 }),
            needed: if kin == Kin::Stranger { ROUNDS } else { 1 },
            acquittals: 0,
            lag: Duration::ZERO,
            evidence: 0.0,
            level: 0,
            hold: None,
        }
    }

    /// The same caller was proven to be an echo of other selectors: it needs fewer rounds here.
    pub fn suspect(&mut self) {
        self.needed = self.needed.min(ROUNDS_SUSPECT);
    }

    /// Whether the destination is reported as echoing.
    pub fn is_confirmed(&self) -> bool {
        self.level >= CONFIRMED
    }

    /// Whether the evidence sufficed.
    pub fn is_proven(&self) -> bool {
        self.level > 1
    }

    /// Whether it is under test or proven.
    pub fn is_suspect(&self) -> bool {
        self.level > 0
    }

    /// Whether there were so many rounds that a test of something else is a test of this as well.
    pub fn is_near_test(&self) -> bool {
        self.rounds * 4 >= self.needed || self.rounds_inside + 1 >= ROUNDS_INSIDE
    }

    /// Until when a copy is held, if one is.
    pub fn held_until(&self, now: Duration) -> Option<Duration> {
        self.hold.map(|hold| hold.until).filter(|until| *until > now)
    }

    /// Since when, if one is.
    pub fn held_since(&self, now: Duration) -> Option<Duration> {
        let hold = self.hold.filter(|hold| hold.until > now)?;
        Some(hold.until.saturating_sub(hold.wait))
    }

    /// Whether it is held by the level at which holds are staggered.
    pub fn is_staggered(&self, now: Duration) -> bool {
        self.level == 2 && self.held_until(now).is_some()
    }

    /// How long after a send an arrival may be its return.
    pub fn reach(&self, limits: &Limits) -> Duration {
        if self.kin == Kin::Account {
            return limits.window;
        }
        let usual = self.lag * 2 + self.grace(limits) * 2;
        let prompt = limits.waits.min * 2;
        let reach = match self.level {
            // What comes later is slow, and is judged by itself.
            0 if self.lag > prompt => prompt,
            0 => usual.max(prompt),
            _ => usual,
        };
        reach.min(limits.window)
    }

    /// How much longer the hold of another suspect must be for a return to belong to one of them.
    pub fn stagger(&self, limits: &Limits) -> Duration {
        let least = (self.lag + self.lag / 4 + self.grace(limits) * 2).max(limits.waits.min * 8);
        self.reach(limits).min(least) * 3 / 2
    }

    /// Takes part in a test that another caller or destination began, so that nothing of it is sent
    /// anywhere meanwhile.
    pub fn join_test(&mut self, now: Duration, until: Duration) -> Option<Verdict> {
        if self.level != 0 || self.is_attended {
            return None;
        }
        self.level = 1;
        self.returns += 1;
        self.hold = Some(Hold { until, wait: until.saturating_sub(now), late: 0 });
        Some(Verdict::Join(until))
    }

    /// Ends a test that begins now together with one of other selectors: what goes before the other
    /// would look like a proof against it.
    pub fn end_with(&mut self, now: Duration, until: Duration) -> Option<Verdict> {
        let has_begun = |hold: &&mut Hold| hold.until == now + hold.wait;
        let hold = self.hold.as_mut().filter(has_begun).filter(|_| self.level == 1)?;
        (hold.until, hold.wait) = (until, until.saturating_sub(now));
        Some(Verdict::Join(until))
    }

    /// Until when a test runs that began a moment ago.
    pub fn fresh_test(&self, now: Duration, limits: &Limits) -> Option<Duration> {
        let hold = self.hold.filter(|hold| self.level == 1 && hold.until > now)?;
        (now + hold.wait <= hold.until + self.lag * 2 + self.grace(limits)).then_some(hold.until)
    }

    /// For how long after a hold began arrivals may have been on their way. Where one was found
    /// honest by mistake, the next test allows for more.
    fn grace(&self, limits: &Limits) -> Duration {
        (limits.waits.min / 4) * (1 << self.acquittals.min(4))
    }

    /// How long a send may stay without a return before the loop counts as ended.
    fn patience(&self, limits: &Limits) -> Duration {
        let reach = match self.kin {
            Kin::Account => (limits.waits.min * 2).max(self.lag * 2 + self.grace(limits) * 2),
            _ => self.reach(limits),
        };
        if self.is_proven() { reach.max(limits.waits.bound(self.level) * 2) } else { reach }
    }

    /// An arrival a moment after the destination was sent what another suspect names. Where no send
    /// of its own explains it, it tells nothing about this one.
    pub fn coupled(
        &mut self,
        now: Duration,
        send: Option<&Send>,
        limits: &Limits,
    ) -> Option<Verdict> {
        let held = self.held_until(now);
        let answer = send.filter(|send| send.number != self.answered);
        if self.level == 0 || (answer.is_some() && !(self.is_proven() && held.is_some())) {
            return None;
        }
        if let Some(send) = answer {
            // What was held a little less long was sent, and this hold goes on.
            (self.answered, self.answers) = (send.number, 1);
        }
        let verdict = match held {
            Some(until) => Verdict::Join(until),
            None if self.is_proven() => self.hold_for(now, limits.waits.bound(self.level)),
            None => return None,
        };
        self.touched = now;
        self.returns += 1;
        Some(verdict)
    }

    /// An arrival within reach of the newest send. `stagger` is added to a hold that must not end
    /// together with those of other suspects. `is_attended` says that the caller had learnt of its
    /// last delivery.
    pub fn matched(
        &mut self,
        now: Duration,
        send: &Send,
        limits: &Limits,
        stagger: Duration,
        is_attended: bool,
    ) -> Verdict {
        self.touched = now;
        self.is_attended = is_attended && !self.ignores_attention;
        self.slow.end();
        if self.answered == send.number {
            return self.again(now, send.is_open, limits);
        }
        let lag = now.saturating_sub(send.at);
        if self.level == 0 && self.answered != 0 && send.number > self.answered + 1 {
            // A send came to nothing in between: no lock-step.
            (self.rounds, self.rounds_inside, self.rounds_attended) = (0, 0, 0);
        }
        self.count(send.is_open);
        let late = self.hold.map_or(0, |hold| hold.late);
        let is_more = late > 0 && self.answers > self.answers_max;
        match self.hold.take() {
            Some(hold) if hold.until <= send.at => self.after_hold(lag, hold.wait, is_more),
            // A copy that was held a little less long went before.
            Some(hold) if self.is_proven() && hold.until <= now => {
                self.level = (self.level + 1).min(32);
            }
            _ if self.level == 1 => self.retry_later(),
            _ => {}
        }
        self.answers_max = if self.rounds <= 1 { 1 } else { self.answers_max.max(self.answers) };
        (self.answered, self.answers) = (send.number, 1);
        self.learn(lag);
        self.decide(now, limits, stagger)
    }

    fn count(&mut self, is_inside: bool) {
        if self.is_attended {
            self.rounds_attended += 1;
            self.ignores_attention = self.rounds_attended >= ROUNDS_ATTENDED;
            (self.rounds, self.rounds_inside) = (self.rounds.saturating_sub(1), 0);
        } else {
            self.rounds += 1;
            self.rounds_inside = if is_inside { self.rounds_inside + 1 } else { 0 };
        }
    }

    /// One more return of a send that had one.
    fn again(&mut self, now: Duration, is_open: bool, limits: &Limits) -> Verdict {
        self.answers = self.answers.saturating_add(1);
        let grace = self.grace(limits);
        // A send in flight may consist of several calls, each with its return.
        if let Some(hold) = self.hold.as_mut().filter(|_| !is_open)
            && now + hold.wait > hold.until + grace
        {
            hold.late += 1;
        }
        let late = self.hold.map_or(0, |hold| hold.late);
        // Returns that a send never had before, while nothing is sent: this caller acts by itself.
        if late > 1 && !self.is_confirmed() && self.answers > self.answers_max + 1 {
            self.found_honest();
            return Verdict::Free;
        }
        let Some(until) = self.held_until(now) else {
            if self.is_proven() {
                // The copy may go, and did not go yet.
                return self.hold_for(now, limits.waits.bound(self.level));
            }
            return Verdict::Free;
        };
        self.returns += 1;
        Verdict::Join(until)
    }

    /// A send that had been held was answered. `is_more` says whether more came before it than
    /// sends have returns.
    fn after_hold(&mut self, lag: Duration, wait: Duration, is_more: bool) {
        if is_more && !self.is_confirmed() {
            return self.found_honest();
        }
        if self.is_proven() {
            self.level = (self.level + 1).min(32);
            return;
        }
        if self.is_attended {
            // It waited for the held copy: the silence tells nothing.
            return self.retry_later();
        }
        if self.kin == Kin::Account {
            self.level = 2;
            return;
        }
        // A caller with a pace of its own comes the sooner after a send, the later that was.
        let own_pace = self.lag.saturating_sub(wait);
        if self.lag * 2 >= wait && lag.abs_diff(own_pace) < lag.abs_diff(self.lag) {
            return self.found_honest();
        }
        let is_steady = lag.abs_diff(self.lag) <= self.lag / 8 + Duration::from_millis(20);
        if is_steady {
            self.evidence += STEADY;
        }
        self.weigh(wait);
    }

    /// Nothing came for so long while nothing was sent.
    fn weigh(&mut self, silence: Duration) {
        let usual = self.lag.max(Duration::from_millis(1));
        self.evidence += silence.as_secs_f64() / usual.as_secs_f64();
        if self.evidence >= PROOF { self.level = 2 } else { self.retry_later() }
    }

    fn learn(&mut self, lag: Duration) {
        self.lag = match (self.lag, self.is_proven()) {
            (Duration::ZERO, _) => lag,
            (usual, true) => lag.max(usual / 2),
            (usual, false) => (usual + lag) / 2,
        };
    }

    fn decide(&mut self, now: Duration, limits: &Limits, stagger: Duration) -> Verdict {
        let is_inside = self.rounds_inside >= ROUNDS_INSIDE && self.needed <= ROUNDS;
        let is_attended = self.rounds_attended >= ROUNDS_ATTENDED;
        match self.level {
            0 if self.rounds >= self.needed || is_inside || is_attended => {
                self.level = 1;
                self.hold_for(now, self.grace(limits) * 4)
            }
            0 | 1 => Verdict::Free,
            2 => self.hold_for(now, limits.waits.bound(2) + stagger),
            level => self.hold_for(now, limits.waits.bound(level)),
        }
    }

    fn hold_for(&mut self, now: Duration, wait: Duration) -> Verdict {
        self.returns += 1;
        self.hold = Some(Hold { until: now + wait, wait, late: 0 });
        Verdict::Hold(wait)
    }

    /// The test told nothing; the next one comes after twice as many rounds.
    fn retry_later(&mut self) {
        self.needed = (self.needed.max(2) * 2).min(ROUNDS_MAX);
        self.slow.retry_later();
        self.forget_rounds();
    }

    fn forget_rounds(&mut self) {
        (self.level, self.rounds, self.rounds_inside, self.hold) = (0, 0, 0, None);
        self.rounds_attended = 0;
    }

    /// It acts by itself.
    fn found_honest(&mut self) {
        self.needed = match self.kin {
            Kin::Account => ROUNDS_ACCOUNT,
            _ => (self.needed * 2).clamp(ROUNDS_TRUSTED, ROUNDS_MAX),
        };
        self.acquittals += 1;
        self.ignores_attention = false;
        self.slow.acquit();
        self.evidence = 0.0;
        self.forget_rounds();
    }

    /// An arrival that no send within reach explains. `is_explained` says that another destination
    /// does: then it is an echo, though not of this one. `is_attended` is as for [`Self::matched`];
    /// `is_alone` says that nobody else named the same meanwhile.
    pub fn unmatched(
        &mut self,
        now: Duration,
        send: Option<&Send>,
        limits: &Limits,
        (is_explained, is_attended, is_alone): (bool, bool, bool),
    ) -> Verdict {
        if !is_alone {
            self.slow.end();
        }
        self.touched = now;
        self.is_attended = is_attended && !self.ignores_attention;
        let held = self.held_until(now);
        let is_shown_honest = held.is_some() && !self.is_confirmed() && !is_explained;
        if is_shown_honest || (held.is_some() && !self.is_proven()) {
            // It comes though nothing was sent: it acts by itself.
            self.found_honest();
            return Verdict::Free;
        }
        if !self.is_proven() {
            self.forget_rounds();
            return self.slowly(now, send, limits);
        }
        if is_explained && self.is_confirmed() {
            // Several destinations echo: each one's return is no news to the others.
            self.returns += 1;
            return match held {
                Some(until) => Verdict::Join(until),
                None => self.hold_for(now, limits.waits.bound(self.level)),
            };
        }
        if is_explained {
            *self = Self::new(self.kin, now);
            return Verdict::Free;
        }
        if let Some(send) = send.filter(|send| send.number != self.answered)
            && now.saturating_sub(send.at) <= self.patience(limits)
        {
            // Perhaps a return that took longer: the next one is within reach.
            (self.answered, self.answers) = (send.number, 1);
            self.learn(now.saturating_sub(send.at));
        }
        self.hold = None;
        Verdict::Free
    }

    /// An arrival long after the newest send: perhaps the return of a destination that calls back
    /// slowly. A steady lag through many rounds leads to the same test as prompt returns.
    fn slowly(&mut self, now: Duration, send: Option<&Send>, limits: &Limits) -> Verdict {
        let Some(send) = send.filter(|send| send.number != self.answered) else {
            self.slow.end();
            return Verdict::Free;
        };
        if self.is_attended || send.number > self.answered + 1 {
            self.slow.end();
        }
        (self.answered, self.answers, self.answers_max) = (send.number, 1, 1);
        let lag = now.saturating_sub(send.at);
        if self.is_attended || !self.slow.note(lag, limits.waits.min / 4) {
            return Verdict::Free;
        }
        self.lag = self.slow.lag();
        self.level = 1;
        self.hold_for(now, limits.waits.min)
    }

    /// What was held goes with something else; the hold tells as much as it was long.
    pub fn cut(&mut self, now: Duration) {
        let Some(hold) = self.hold.filter(|hold| hold.until > now) else { return };
        self.hold = None;
        if self.level == 1 {
            self.weigh(hold.wait.saturating_sub(hold.until - now));
        }
    }

    /// Whether the loop came to rest: the newest send was not answered, or nothing came for long.
    pub fn expire(&mut self, now: Duration, send: Option<&Send>, limits: &Limits) -> bool {
        if self.level == 0 || self.held_until(now).is_some() {
            return false;
        }
        let patience = self.patience(limits);
        let is_over = match send {
            Some(send) if send.number != self.answered => now.saturating_sub(send.at) > patience,
            _ => now.saturating_sub(self.touched) > patience.max(limits.window),
        };
        if is_over {
            // A test that no return followed was an honest caller's, who waited once.
            let needed = if self.is_proven() { self.needed } else { self.needed.max(2) * 2 };
            let (returns, acquittals, slow) = (self.returns, self.acquittals, self.slow);
            *self = Self { needed, acquittals, returns, slow, ..Self::new(self.kin, self.touched) };
        }
        is_over
    }
}

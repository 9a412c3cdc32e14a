//! The evidence that one caller returns what one destination was sent, for one set of selectors.
//!
//! A *round* is a send followed by an arrival within reach. Rounds alone prove nothing, because a
//! script that saves at its own pace produces them too. So after some rounds one copy is held for a
//! moment, as an experiment: an honest caller arrives again meanwhile, an echo cannot. Only a
//! silent hold followed by a prompt return is evidence; with enough of it the holds double. A
//! caller that learned of its last delivery (it waits, or requests its event) has a reason for the
//! timing, so such rounds hardly count. No clock, no I/O.

use std::time::Duration;

use super::slow::SlowRounds;
use super::terms::Hold;
pub use super::terms::{CallerMatch, CopyDecision, EchoLimits, LastSend};

/// Consecutive rounds before the first hold, if timing is the only evidence. An honest caller that
/// checks the mirror itself before it saves again produces rounds as well.
const ROUNDS: u32 = 32;
/// The same if the caller learned of its last delivery each time. Apart from honest callers, only a
/// destination that calls back with `wait` does so.
const ROUNDS_ATTENDED: u32 = 4096;
/// The same for slow returns, which look like a job that runs every few seconds.
const ROUNDS_SLOW: u32 = 64;
/// The same if each arrival came while the send was in flight, as only a callback does.
const ROUNDS_INSIDE: u32 = 3;
/// Rounds before the next hold after a caller was found honest.
const ROUNDS_TRUSTED: u32 = 1024;
/// Rounds before the first hold of a caller that was proven to echo other selectors.
const ROUNDS_SUSPECT: u32 = 4;
/// The same for a caller with the account of the destination.
const ROUNDS_ACCOUNT: u32 = 8;
const ROUNDS_MAX: u32 = 1 << 16;
/// Evidence that proves an echo, in nats: an honest caller that arrives at random is as silent with
/// a probability of 1 in 20.
const PROOF: f64 = 3.0;
/// The evidence of a return with the same lag after a held send as after others.
const STEADY: f64 = 2.0;
/// The level from which a destination is reported as echoing. Holds of the previous level are
/// staggered to distinguish several suspects.
const CONFIRMED: u32 = 3;

/// One caller, one set of selectors, one destination.
#[derive(Debug)]
pub struct CallerTrack {
    /// The last arrival.
    pub touched: Duration,
    /// Arrivals that were held.
    pub returns: u64,
    kin: CallerMatch,
    /// The last send with a return, and its number of returns.
    answered: u64,
    answers: u32,
    answers_max: u32,
    rounds: u32,
    rounds_inside: u32,
    /// Rounds in which the caller had learned of its last delivery.
    rounds_attended: u32,
    /// Whether there were so many of those that they count like others.
    ignores_attention: bool,
    /// Whether the caller had learned of a delivery before the last arrival.
    is_attended: bool,
    needed: u32,
    slow: SlowRounds,
    /// How often the caller was found honest.
    acquittals: u32,
    /// The usual time from a send to its return.
    lag: Duration,
    evidence: f64,
    /// 0: not suspected; 1: under test; above: an echo, and the doublings of its hold.
    level: u32,
    hold: Option<Hold>,
}

impl CallerTrack {
    pub(super) fn new(kin: CallerMatch, now: Duration) -> Self {
        let is_unrelated = kin == CallerMatch::Unrelated;
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
            slow: SlowRounds::new(if is_unrelated { ROUNDS_SLOW } else { ROUNDS_SLOW / 8 }),
            needed: if is_unrelated { ROUNDS } else { 1 },
            acquittals: 0,
            lag: Duration::ZERO,
            evidence: 0.0,
            level: 0,
            hold: None,
        }
    }

    /// Requires fewer rounds, because the same caller was proven to echo other selectors.
    pub fn suspect(&mut self) {
        self.needed = self.needed.min(ROUNDS_SUSPECT);
    }

    pub(super) fn is_confirmed(&self) -> bool {
        self.level >= CONFIRMED
    }

    pub(super) fn is_proven(&self) -> bool {
        self.level > 1
    }

    /// Whether it is under test or proven.
    pub fn is_suspect(&self) -> bool {
        self.level > 0
    }

    /// Whether there were enough rounds to join a test of other selectors. An earlier acquittal
    /// does not count: sends of the other selectors may have caused it.
    pub fn is_near_test(&self) -> bool {
        self.rounds * 4 >= self.needed.min(ROUNDS) || self.rounds_inside + 1 >= ROUNDS_INSIDE
    }

    /// The end of the hold, if there is one.
    pub fn held_until(&self, now: Duration) -> Option<Duration> {
        self.hold.map(|hold| hold.until).filter(|until| *until > now)
    }

    /// The begin of the hold, if there is one.
    pub fn held_since(&self, now: Duration) -> Option<Duration> {
        let hold = self.hold.filter(|hold| hold.until > now)?;
        Some(hold.until.saturating_sub(hold.wait))
    }

    /// Whether it is held by the level at which holds are staggered.
    pub fn is_staggered(&self, now: Duration) -> bool {
        self.level == 2 && self.held_until(now).is_some()
    }

    /// How long after a send an arrival may be its return.
    pub fn reach(&self, limits: &EchoLimits) -> Duration {
        if self.kin == CallerMatch::Account {
            return limits.window;
        }
        let usual = self.lag * 2 + self.grace(limits) * 2;
        let prompt = limits.waits.min * 2;
        let reach = match self.level {
            // Later arrivals are slow returns, which are judged separately.
            0 if self.lag > prompt => prompt,
            0 => usual.max(prompt),
            _ => usual,
        };
        reach.min(limits.window)
    }

    /// How much longer the hold of another suspect must be to distinguish their returns.
    pub fn stagger(&self, limits: &EchoLimits) -> Duration {
        let least = (self.lag + self.lag / 4 + self.grace(limits) * 2).max(limits.waits.min * 8);
        self.reach(limits).min(least) * 3 / 2
    }

    /// Joins a test of another caller or destination, so that nothing of it is sent meanwhile.
    pub fn join_test(&mut self, now: Duration, until: Duration) -> Option<CopyDecision> {
        if self.level != 0 || self.is_attended {
            return None;
        }
        self.level = 1;
        self.returns += 1;
        self.hold = Some(Hold { until, wait: until.saturating_sub(now), late: 0 });
        Some(CopyDecision::Join(until))
    }

    /// Ends a test that begins now together with one of other selectors. Otherwise the earlier send
    /// would look like a proof against the other.
    pub fn end_with(&mut self, now: Duration, until: Duration) -> Option<CopyDecision> {
        let has_begun = |hold: &&mut Hold| hold.until == now + hold.wait;
        let hold = self.hold.as_mut().filter(has_begun).filter(|_| self.level == 1)?;
        (hold.until, hold.wait) = (until, until.saturating_sub(now));
        Some(CopyDecision::Join(until))
    }

    /// The end of a test that began a moment ago.
    pub fn fresh_test(&self, now: Duration, limits: &EchoLimits) -> Option<Duration> {
        let hold = self.hold.filter(|hold| self.level == 1 && hold.until > now)?;
        (now + hold.wait <= hold.until + self.lag * 2 + self.grace(limits)).then_some(hold.until)
    }

    /// How long after the begin of a hold arrivals may have been under way; longer after each
    /// acquittal, which may have been a mistake.
    fn grace(&self, limits: &EchoLimits) -> Duration {
        (limits.waits.min / 4) * (1 << self.acquittals.min(4))
    }

    /// How long a send may have no return before the loop counts as ended.
    fn patience(&self, limits: &EchoLimits) -> Duration {
        let reach = match self.kin {
            CallerMatch::Account => {
                (limits.waits.min * 2).max(self.lag * 2 + self.grace(limits) * 2)
            }
            _ => self.reach(limits),
        };
        if self.is_proven() { reach.max(limits.waits.bound(self.level) * 2) } else { reach }
    }

    /// An arrival a moment after a send of another suspect's selectors. Without a send of its own
    /// that explains it, it is no evidence about this one.
    pub fn coupled(
        &mut self,
        now: Duration,
        send: Option<&LastSend>,
        limits: &EchoLimits,
    ) -> Option<CopyDecision> {
        let held = self.held_until(now);
        let answer = send.filter(|send| send.number != self.answered);
        if self.level == 0 || (answer.is_some() && !(self.is_proven() && held.is_some())) {
            return None;
        }
        if let Some(send) = answer {
            // A copy with a shorter hold was sent, and this hold continues.
            (self.answered, self.answers) = (send.number, 1);
        }
        let verdict = match held {
            Some(until) => CopyDecision::Join(until),
            None if self.is_proven() => self.hold_for(now, limits.waits.bound(self.level)),
            None => return None,
        };
        self.touched = now;
        self.returns += 1;
        Some(verdict)
    }

    /// An arrival within reach of the newest send. `stagger` separates the end of a hold from those
    /// of other suspects. `is_attended`: the caller learned of its last delivery.
    pub fn matched(
        &mut self,
        now: Duration,
        send: &LastSend,
        limits: &EchoLimits,
        stagger: Duration,
        is_attended: bool,
    ) -> CopyDecision {
        self.touched = now;
        self.is_attended = is_attended && !self.ignores_attention;
        self.slow.end();
        if self.answered == send.number {
            return self.again(now, send.is_open, limits);
        }
        let lag = now.saturating_sub(send.at);
        if self.level == 0 && self.answered != 0 && send.number > self.answered + 1 {
            // A send without a return in between: no lock-step.
            (self.rounds, self.rounds_inside, self.rounds_attended) = (0, 0, 0);
        }
        self.count(send.is_open);
        let late = self.hold.map_or(0, |hold| hold.late);
        let is_more = late > 0 && self.answers > self.answers_max;
        match self.hold.take() {
            Some(hold) if hold.until <= send.at => self.after_hold(lag, hold.wait, is_more),
            // A copy with a shorter hold was sent before.
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

    /// A further return of a send.
    fn again(&mut self, now: Duration, is_open: bool, limits: &EchoLimits) -> CopyDecision {
        self.answers = self.answers.saturating_add(1);
        let grace = self.grace(limits);
        // A send in flight may consist of several calls with a return each.
        if let Some(hold) = self.hold.as_mut().filter(|_| !is_open)
            && now + hold.wait > hold.until + grace
        {
            hold.late += 1;
        }
        let late = self.hold.map_or(0, |hold| hold.late);
        // More returns than a send ever had, while nothing is sent: the caller is independent.
        if late > 1 && !self.is_confirmed() && self.answers > self.answers_max + 1 {
            self.set_honest();
            return CopyDecision::Release;
        }
        let Some(until) = self.held_until(now) else {
            if self.is_proven() {
                // The hold has ended, but the copy was not sent yet.
                return self.hold_for(now, limits.waits.bound(self.level));
            }
            return CopyDecision::Release;
        };
        self.returns += 1;
        CopyDecision::Join(until)
    }

    /// A return of a send that had been held. `is_more`: more arrivals came before it than a send
    /// has returns.
    fn after_hold(&mut self, lag: Duration, wait: Duration, is_more: bool) {
        if is_more && !self.is_confirmed() {
            return self.set_honest();
        }
        if self.is_proven() {
            self.level = (self.level + 1).min(32);
            return;
        }
        if self.is_attended {
            // It waited for the held copy: its silence is no evidence.
            return self.retry_later();
        }
        if self.kin == CallerMatch::Account {
            self.level = 2;
            return;
        }
        // A caller with its own pace arrives the sooner after a send, the later that send was.
        let own_pace = self.lag.saturating_sub(wait);
        if self.lag * 2 >= wait && lag.abs_diff(own_pace) < lag.abs_diff(self.lag) {
            return self.set_honest();
        }
        let is_steady = lag.abs_diff(self.lag) <= self.lag / 8 + Duration::from_millis(20);
        if is_steady {
            self.evidence += STEADY;
        }
        self.weigh(wait);
    }

    /// Adds the evidence of a silence while nothing was sent.
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

    fn decide(&mut self, now: Duration, limits: &EchoLimits, stagger: Duration) -> CopyDecision {
        let is_inside = self.rounds_inside >= ROUNDS_INSIDE && self.needed <= ROUNDS;
        let is_attended = self.rounds_attended >= ROUNDS_ATTENDED;
        match self.level {
            0 if self.rounds >= self.needed || is_inside || is_attended => {
                self.level = 1;
                self.hold_for(now, self.grace(limits) * 4)
            }
            0 | 1 => CopyDecision::Release,
            2 => self.hold_for(now, limits.waits.bound(2) + stagger),
            level => self.hold_for(now, limits.waits.bound(level)),
        }
    }

    fn hold_for(&mut self, now: Duration, wait: Duration) -> CopyDecision {
        self.returns += 1;
        self.hold = Some(Hold { until: now + wait, wait, late: 0 });
        CopyDecision::Hold(wait)
    }

    /// Ends a test without a result; the next one needs twice as many rounds.
    fn retry_later(&mut self) {
        self.needed = (self.needed.max(2) * 2).min(ROUNDS_MAX);
        self.slow.retry_later();
        self.forget_rounds();
    }

    fn forget_rounds(&mut self) {
        (self.level, self.rounds, self.rounds_inside, self.hold) = (0, 0, 0, None);
        self.rounds_attended = 0;
    }

    /// Records that the caller is independent of the sends.
    fn set_honest(&mut self) {
        self.needed = match self.kin {
            CallerMatch::Account => ROUNDS_ACCOUNT,
            _ => (self.needed * 2).clamp(ROUNDS_TRUSTED, ROUNDS_MAX),
        };
        self.acquittals += 1;
        self.ignores_attention = false;
        self.slow.acquit();
        self.evidence = 0.0;
        self.forget_rounds();
    }

    /// An arrival without a send within reach. `is_explained`: it is an echo of another
    /// destination. `is_attended` as for [`Self::matched`]. `is_alone`: no other caller named the
    /// same meanwhile.
    pub fn unmatched(
        &mut self,
        now: Duration,
        send: Option<&LastSend>,
        limits: &EchoLimits,
        (is_explained, is_attended, is_alone): (bool, bool, bool),
    ) -> CopyDecision {
        if !is_alone {
            self.slow.end();
        }
        self.touched = now;
        self.is_attended = is_attended && !self.ignores_attention;
        let held = self.held_until(now);
        let is_shown_honest = held.is_some() && !self.is_confirmed() && !is_explained;
        if is_shown_honest || (held.is_some() && !self.is_proven()) {
            // It arrives although nothing was sent: it is independent.
            self.set_honest();
            return CopyDecision::Release;
        }
        if !self.is_proven() {
            self.forget_rounds();
            return self.slowly(now, send, limits);
        }
        if is_explained && self.is_confirmed() {
            // Several destinations echo: the return of one is no evidence about the others.
            self.returns += 1;
            return match held {
                Some(until) => CopyDecision::Join(until),
                None => self.hold_for(now, limits.waits.bound(self.level)),
            };
        }
        if is_explained {
            *self = Self::new(self.kin, now);
            return CopyDecision::Release;
        }
        if let Some(send) = send.filter(|send| send.number != self.answered)
            && now.saturating_sub(send.at) <= self.patience(limits)
        {
            // It may be a return that took longer: then the next one is within reach.
            (self.answered, self.answers) = (send.number, 1);
            self.learn(now.saturating_sub(send.at));
        }
        self.hold = None;
        CopyDecision::Release
    }

    /// An arrival long after the newest send, which may be a slow return. A steady lag in many
    /// rounds leads to the same test as prompt returns.
    fn slowly(
        &mut self,
        now: Duration,
        send: Option<&LastSend>,
        limits: &EchoLimits,
    ) -> CopyDecision {
        let Some(send) = send.filter(|send| send.number != self.answered) else {
            self.slow.end();
            return CopyDecision::Release;
        };
        if self.is_attended || send.number > self.answered + 1 {
            self.slow.end();
        }
        (self.answered, self.answers, self.answers_max) = (send.number, 1, 1);
        let lag = now.saturating_sub(send.at);
        if self.is_attended || !self.slow.note(lag, limits.waits.min / 4) {
            return CopyDecision::Release;
        }
        self.lag = self.slow.lag();
        self.level = 1;
        self.hold_for(now, limits.waits.min)
    }

    /// Ends the hold early; it is evidence in proportion to its length so far.
    pub fn cut(&mut self, now: Duration) {
        let Some(hold) = self.hold.filter(|hold| hold.until > now) else { return };
        self.hold = None;
        if self.level == 1 {
            self.weigh(hold.wait.saturating_sub(hold.until - now));
        }
    }

    /// Whether the loop has ended: the newest send had no return, or nothing arrived for long.
    pub fn expire(&mut self, now: Duration, send: Option<&LastSend>, limits: &EchoLimits) -> bool {
        if self.level == 0 || self.held_until(now).is_some() {
            return false;
        }
        let patience = self.patience(limits);
        let is_over = match send {
            Some(send) if send.number != self.answered => now.saturating_sub(send.at) > patience,
            _ => now.saturating_sub(self.touched) > patience.max(limits.window),
        };
        if is_over {
            // A test without a return: the caller was honest and waited once.
            let needed = if self.is_proven() { self.needed } else { self.needed.max(2) * 2 };
            let (returns, acquittals, slow) = (self.returns, self.acquittals, self.slow);
            *self = Self { needed, acquittals, returns, slow, ..Self::new(self.kin, self.touched) };
        }
        is_over
    }
}

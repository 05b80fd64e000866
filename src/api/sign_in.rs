//! Who has signed in with a browser: sessions, each behind a cookie.
//!
//! A browser cannot show a token with every request, so whoever has typed it gets a cookie that stands for it, for a
//! while. Only the hash of a cookie is kept, in memory: a restart signs everybody out. There are never more sessions than
//! [`MOST`], and wrong tokens are counted: guessing is not worth beginning.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::{HeaderMap, header};
use sha2::{Digest as _, Sha256};

use super::ApiToken;
use crate::domain::{DurationMs, IdSource, InstanceId, TimestampMs};

/// Sessions at the same time; a further one takes the place of the one that was used the longest ago.
const MOST: usize = 64;
/// How long a session lasts at most.
const AGE: DurationMs = DurationMs::from_secs(12 * 3_600);
/// How long one lasts that is not used.
const IDLE: DurationMs = DurationMs::from_secs(2 * 3_600);
/// So many wrong tokens are answered in [`WRONG_WITHIN`]; then nobody can sign in until some of that time is over.
const MOST_WRONG: usize = 10;
const WRONG_WITHIN: DurationMs = DurationMs::from_secs(60);
/// More cookies than that are not looked at.
const MOST_COOKIES: usize = 64;

/// Why somebody cannot sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInRefused {
    /// The token is not the server's.
    Wrong,
    /// There were too many wrong ones of late.
    TooMany,
}

/// The sessions. Clones share them.
#[derive(Clone)]
pub struct SignIns(Arc<Inner>);

struct Inner {
    token: Option<ApiToken>,
    ids: Arc<dyn IdSource>,
    cookie: String,
    state: Mutex<Sessions>,
}

#[derive(Default)]
struct Sessions {
    /// By the hash of their cookie.
    open: BTreeMap<[u8; 32], Session>,
    /// When tokens were shown that are wrong; the newest last.
    wrong: VecDeque<TimestampMs>,
}

struct Session {
    begun: TimestampMs,
    used: TimestampMs,
}

impl SignIns {
    /// Nobody has signed in. Without a token nobody needs to. The cookie carries the instance's name, for a browser sends
    /// the cookies of all ports of a host to each of them.
    pub fn new(token: Option<ApiToken>, ids: Arc<dyn IdSource>, instance: &InstanceId) -> Self {
        let instance: String = instance.to_string().chars().take(8).collect();
        Self(Arc::new(Inner {
            token,
            ids,
            cookie: format!("neargate_session_{instance}"),
            state: Mutex::default(),
        }))
    }

    /// Whether there is a token to sign in with.
    pub fn is_needed(&self) -> bool {
        self.0.token.is_some()
    }

    /// The name of the cookie.
    pub fn cookie_name(&self) -> &str {
        &self.0.cookie
    }

    /// Begins a session for whoever shows the token; the value of its cookie.
    pub fn sign_in(&self, shown: &[u8], now: TimestampMs) -> Result<String, SignInRefused> {
        let mut state = self.state();
        let recent = |at: &&TimestampMs| now.since(**at) < WRONG_WITHIN;
        let over = state.wrong.len() - state.wrong.iter().filter(recent).count();
        state.wrong.drain(..over);
        if state.wrong.len() >= MOST_WRONG {
            return Err(SignInRefused::TooMany);
        }
        let is_right = self.0.token.as_ref().is_some_and(|token| token.is(shown));
        if !is_right {
            state.wrong.push_back(now);
            return Err(SignInRefused::Wrong);
        }
        state.open.retain(|_, session| session.lasts(now));
        while state.open.len() >= MOST {
            let oldest = state.open.iter().min_by_key(|(_, session)| session.used);
            let Some(oldest) = oldest.map(|(hash, _)| *hash) else {
                break;
            };
            state.open.remove(&oldest);
        }
        let value = format!("{:032x}", self.0.ids.next_id());
        let session = Session {
            begun: now,
            used: now,
        };
        state.open.insert(hash(&value), session);
        Ok(value)
    }

    /// The cookie's value, if it stands for a session that lasts. That counts as using it.
    pub fn session<'a>(&self, headers: &'a HeaderMap, now: TimestampMs) -> Option<&'a str> {
        let value = cookie(headers, &self.0.cookie)?;
        let mut state = self.state();
        let session = state.open.get_mut(&hash(value))?;
        if !session.lasts(now) {
            return None;
        }
        session.used = session.used.max(now);
        Some(value)
    }

    /// Ends the session that the cookie stands for.
    pub fn sign_out(&self, headers: &HeaderMap) {
        if let Some(value) = cookie(headers, &self.0.cookie) {
            self.state().open.remove(&hash(value));
        }
    }

    fn state(&self) -> MutexGuard<'_, Sessions> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn lasts(&self, now: TimestampMs) -> bool {
        now.since(self.begun) < AGE && now.since(self.used) < IDLE
    }
}

fn hash(value: &str) -> [u8; 32] {
    Sha256::digest(value).into()
}

/// The value of the cookie called `name`; the first, should there be several.
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).iter();
    let pairs = all.flat_map(|header| header.to_str().unwrap_or_default().split(';'));
    pairs
        .take(MOST_COOKIES)
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::RandomIds;

    const TOKEN: &[u8] = b"correct-horse-battery";

    fn sign_ins() -> SignIns {
        let token = ApiToken::new("correct-horse-battery").unwrap();
        let instance = InstanceId::generate(&RandomIds);
        SignIns::new(Some(token), Arc::new(RandomIds), &instance)
    }

    fn at(seconds: u32) -> TimestampMs {
        TimestampMs::from_millis(1_000_000).plus(DurationMs::from_secs(seconds))
    }

    fn with(sign_ins: &SignIns, value: &str) -> HeaderMap {
        let cookie = format!("other=1; {}={value}", sign_ins.cookie_name());
        HeaderMap::from_iter([(header::COOKIE, cookie.parse().unwrap())])
    }

    #[test]
    fn a_session_lasts_while_it_is_used_and_not_for_ever() {
        let all = sign_ins();
        let value = all.sign_in(TOKEN, at(0)).unwrap();
        let headers = with(&all, &value);
        assert_eq!(all.session(&headers, at(7_199)), Some(value.as_str()));
        assert_eq!(all.session(&headers, at(7_199 + 7_200)), None, "idle");
        let value = all.sign_in(TOKEN, at(0)).unwrap();
        let headers = with(&all, &value);
        for hour in 1..12 {
            assert!(all.session(&headers, at(hour * 3_600)).is_some(), "{hour}");
        }
        assert_eq!(all.session(&headers, at(12 * 3_600)), None, "too old");
        assert_eq!(all.session(&with(&all, "made-up"), at(0)), None);
    }

    #[test]
    fn whoever_signs_out_has_no_session() {
        let all = sign_ins();
        let value = all.sign_in(TOKEN, at(0)).unwrap();
        let headers = with(&all, &value);
        all.sign_out(&headers);
        assert_eq!(all.session(&headers, at(1)), None);
    }

    #[test]
    fn wrong_tokens_are_answered_so_often_and_the_right_one_counts_again_later() {
        let all = sign_ins();
        for _ in 0..MOST_WRONG {
            assert_eq!(all.sign_in(b"guess", at(0)), Err(SignInRefused::Wrong));
        }
        assert_eq!(all.sign_in(TOKEN, at(59)), Err(SignInRefused::TooMany));
        assert!(all.sign_in(TOKEN, at(60)).is_ok());
    }

    #[test]
    fn there_are_never_more_sessions_than_that() {
        let all = sign_ins();
        let first = all.sign_in(TOKEN, at(0)).unwrap();
        for second in 1..=u32::try_from(MOST).unwrap() {
            all.sign_in(TOKEN, at(second)).unwrap();
        }
        assert_eq!(all.state().open.len(), MOST);
        assert_eq!(all.session(&with(&all, &first), at(100)), None);
    }
}

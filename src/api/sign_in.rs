//! Who has signed in with a browser: sessions, each behind a cookie.
//!
//! A browser cannot show a token with every request, so whoever has typed it gets a cookie that stands for it, for a
//! while. Only the hash of a cookie is kept, in memory: a restart signs everybody out. There are never more sessions than
//! [`MOST`], and wrong tokens are counted by where they come from: guessing is not worth beginning, and keeps nobody else out.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
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
/// So many wrong tokens from one source are answered in [`WRONG_WITHIN`]; then it cannot sign in until some of that time is
/// over.
const MOST_WRONG: usize = 10;
const WRONG_WITHIN: DurationMs = DurationMs::from_secs(60);
/// Sources that are counted by themselves at the same time; all further ones together are one.
const MOST_SOURCES: usize = 1_024;
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
    /// When tokens were shown that are wrong, by whom; the newest last.
    wrong: BTreeMap<Source, VecDeque<TimestampMs>>,
}

/// Whom wrong tokens are counted for: an address, or of IPv6 the network of it, for whoever has one address there has them
/// all. `None` stands for whoever is not counted alone.
type Source = Option<IpAddr>;

fn source(peer: Option<IpAddr>) -> Source {
    const NETWORK: u128 = !0 << 64;
    Some(match peer?.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & NETWORK).into(),
        address @ IpAddr::V4(_) => address,
    })
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

    /// Begins a session for whoever shows the token, from the address `peer` if that is known; the value of its cookie.
    pub fn sign_in(
        &self,
        shown: &[u8],
        peer: Option<IpAddr>,
        now: TimestampMs,
    ) -> Result<String, SignInRefused> {
        let mut state = self.state();
        state.wrong.retain(|_, times| {
            times.retain(|at| now.since(*at) < WRONG_WITHIN);
            !times.is_empty()
        });
        let source = source(peer).filter(|source| {
            state.wrong.len() < MOST_SOURCES || state.wrong.contains_key(&Some(*source))
        });
        let wrong = state.wrong.get(&source).map_or(0, VecDeque::len);
        if wrong >= MOST_WRONG {
            return Err(SignInRefused::TooMany);
        }
        let is_right = self.0.token.as_ref().is_some_and(|token| token.is(shown));
        if !is_right {
            state.wrong.entry(source).or_default().push_back(now);
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
        let value = all.sign_in(TOKEN, None, at(0)).unwrap();
        let headers = with(&all, &value);
        assert_eq!(all.session(&headers, at(7_199)), Some(value.as_str()));
        assert_eq!(all.session(&headers, at(7_199 + 7_200)), None, "idle");
        let value = all.sign_in(TOKEN, None, at(0)).unwrap();
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
        let value = all.sign_in(TOKEN, None, at(0)).unwrap();
        let headers = with(&all, &value);
        all.sign_out(&headers);
        assert_eq!(all.session(&headers, at(1)), None);
    }

    #[test]
    fn wrong_tokens_are_answered_so_often_and_the_right_one_counts_again_later() {
        let all = sign_ins();
        for _ in 0..MOST_WRONG {
            assert_eq!(
                all.sign_in(b"guess", None, at(0)),
                Err(SignInRefused::Wrong)
            );
        }
        assert_eq!(
            all.sign_in(TOKEN, None, at(59)),
            Err(SignInRefused::TooMany)
        );
        assert!(all.sign_in(TOKEN, None, at(60)).is_ok());
    }

    #[test]
    fn whoever_guesses_keeps_nobody_else_out() {
        let all = sign_ins();
        let ip = |text: &str| Some(text.parse().unwrap());
        let guess = |from: &str| {
            for _ in 0..MOST_WRONG {
                let refused = all.sign_in(b"guess", ip(from), at(0));
                assert_eq!(refused, Err(SignInRefused::Wrong), "{from}");
            }
        };
        let is_out = |from: Option<IpAddr>| all.sign_in(TOKEN, from, at(1)).is_err();
        guess("192.0.2.1");
        guess("2001:db8::1");
        for from in ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::2"] {
            assert!(is_out(ip(from)), "{from}");
        }
        for from in ["192.0.2.2", "2001:db8:0:1::1"] {
            assert!(!is_out(ip(from)), "{from}");
        }
        assert!(!is_out(None));
    }

    #[test]
    fn of_those_who_guess_only_so_many_are_remembered_one_by_one() {
        let all = sign_ins();
        let from = |n: u32| Some(IpAddr::V4(std::net::Ipv4Addr::from_bits(n)));
        for n in 0..10_000 {
            // In the end all others are locked out together.
            let _ = all.sign_in(b"guess", from(n), at(0));
        }
        assert_eq!(all.state().wrong.len(), MOST_SOURCES + 1);
        assert_eq!(
            all.sign_in(TOKEN, from(10_000), at(1)),
            Err(SignInRefused::TooMany)
        );
        assert!(all.sign_in(TOKEN, from(7), at(1)).is_ok());
        assert!(all.sign_in(TOKEN, from(10_000), at(60)).is_ok());
    }

    #[test]
    fn there_are_never_more_sessions_than_that() {
        let all = sign_ins();
        let first = all.sign_in(TOKEN, None, at(0)).unwrap();
        for second in 1..=u32::try_from(MOST).unwrap() {
            all.sign_in(TOKEN, None, at(second)).unwrap();
        }
        assert_eq!(all.state().open.len(), MOST);
        assert_eq!(all.session(&with(&all, &first), at(100)), None);
    }
}

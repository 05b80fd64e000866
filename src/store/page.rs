//! Lists in pages.
//!
//! A page goes on after the key of the last item of the page before, never after a number of items, so
//! that what is added or removed in between neither doubles nor hides anything. Tokens are opaque to
//! callers, carry the list that they belong to, and are checked like any other input.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;

/// Some items of a list, and the way to the next ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// The token of the next page; `None` at the end.
    pub next: Option<String>,
}

/// Which part of a list is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageRequest {
    /// How many items at most, from 1 to [`PageRequest::MAX_LIMIT`]; what lies outside is moved there.
    pub limit: u32,
    /// Where to go on: [`Page::next`] of the page before.
    pub token: Option<String>,
}

impl PageRequest {
    /// The most items that one page has.
    pub const MAX_LIMIT: u32 = 1_000;

    /// The first `limit` items.
    pub const fn first(limit: u32) -> Self {
        Self { limit, token: None }
    }

    fn items(&self) -> usize {
        self.limit.clamp(1, Self::MAX_LIMIT) as usize
    }

    /// How many rows to ask for: one more than wanted tells whether there is a next page.
    pub(super) fn rows(&self) -> i64 {
        i64::from(self.limit.clamp(1, Self::MAX_LIMIT)) + 1
    }

    /// The key after which to go on in `list`; `None` for its beginning.
    pub(super) fn after<K: DeserializeOwned>(&self, list: List) -> Result<Option<K>, StoreError> {
        let Some(token) = &self.token else {
            return Ok(None);
        };
        let text = URL_SAFE_NO_PAD
            .decode(token)
            .map_err(|_| StoreError::BadToken)?;
        let (version, name, key): (u8, String, K) =
            serde_json::from_slice(&text).map_err(|_| StoreError::BadToken)?;
        if version == VERSION && name == list.name() {
            Ok(Some(key))
        } else {
            Err(StoreError::BadToken)
        }
    }

    /// The page that `rows` make, which are what [`PageRequest::rows`] asked for.
    pub(super) fn page<T, K: Serialize>(
        &self,
        list: List,
        mut rows: Vec<T>,
        key: impl FnOnce(&T) -> K,
    ) -> Result<Page<T>, StoreError> {
        let more = rows.len() > self.items();
        rows.truncate(self.items());
        let next = match rows.last() {
            Some(end) if more => {
                let text = serde_json::to_vec(&(VERSION, list.name(), key(end)))
                    .map_err(|error| StoreError::Failed(error.to_string()))?;
                Some(URL_SAFE_NO_PAD.encode(text))
            }
            _ => None,
        };
        Ok(Page { items: rows, next })
    }
}

impl<T> Page<T> {
    /// A page of `all`, which are few and in the order of their keys, each with a key of its own.
    pub fn of_all(
        all: Vec<T>,
        request: &PageRequest,
        key: impl Fn(&T) -> String,
    ) -> Result<Self, StoreError> {
        let after: Option<String> = request.after(List::Kept)?;
        let is_left = |item: &T| after.as_ref().is_none_or(|after| key(item) > *after);
        let rows: Vec<T> = all.into_iter().filter(is_left).collect();
        request.page(List::Kept, rows, &key)
    }
}

/// The form of the tokens that are given out.
const VERSION: u8 = 1;

/// The lists that have pages. A token of one is not a token of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    AccessKeys,
    Bills,
    Budgets,
    Clusters,
    Deployments,
    Families,
    /// What is read as a whole, because there are few.
    Kept,
    LogGroups,
    LogStreams,
    ScalableTargets,
    ScalingActivities,
    NewestLogStreams,
    ScheduleRuns,
    Schedules,
    NewestTaskDefinitions,
    Secrets,
    Services,
    TaskDefinitions,
    Tasks,
    Usage,
}

impl List {
    const fn name(self) -> &'static str {
        match self {
            Self::AccessKeys => "accessKeys",
            Self::Bills => "bills",
            Self::Budgets => "budgets",
            Self::Clusters => "clusters",
            Self::Deployments => "deployments",
            Self::Families => "families",
            Self::Kept => "kept",
            Self::LogGroups => "logGroups",
            Self::LogStreams => "logStreams",
            Self::ScalableTargets => "scalableTargets",
            Self::ScalingActivities => "scalingActivities",
            Self::NewestLogStreams => "newestLogStreams",
            Self::ScheduleRuns => "scheduleRuns",
            Self::Schedules => "schedules",
            Self::NewestTaskDefinitions => "newestTaskDefinitions",
            Self::Secrets => "secrets",
            Self::Services => "services",
            Self::TaskDefinitions => "taskDefinitions",
            Self::Tasks => "tasks",
            Self::Usage => "usage",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(limit: u32, token: Option<String>) -> PageRequest {
        PageRequest { limit, token }
    }

    #[test]
    fn what_is_few_comes_in_pages_by_its_keys() {
        let all = || ["a", "b", "c"].map(str::to_owned).to_vec();
        let first = Page::of_all(all(), &request(2, None), Clone::clone).unwrap();
        assert_eq!(first.items, ["a", "b"]);
        let rest = Page::of_all(all(), &request(2, first.next), Clone::clone).unwrap();
        assert_eq!((rest.items, rest.next), (vec!["c".to_owned()], None));
    }

    #[test]
    fn a_token_leads_to_the_key_after_which_to_go_on() {
        let page = request(2, None)
            .page(List::Tasks, vec![9_i64, 8, 7], |row| *row)
            .unwrap();
        assert_eq!(page.items, [9, 8]);
        let after: Option<i64> = request(2, page.next).after(List::Tasks).unwrap();
        assert_eq!(after, Some(8));
    }

    #[test]
    fn the_last_page_has_no_token() {
        let page = request(3, None)
            .page(List::Tasks, vec![9_i64, 8, 7], |row| *row)
            .unwrap();
        assert_eq!(page.next, None);
    }

    #[test]
    fn a_limit_out_of_bounds_is_moved_to_the_bound() {
        assert_eq!(request(0, None).rows(), 2);
        assert_eq!(request(u32::MAX, None).rows(), 1_001);
    }

    #[test]
    fn a_token_that_is_not_ours_is_refused() {
        let of_another_list = request(1, None)
            .page(List::Clusters, vec!["a", "b"], |row| (*row).to_owned())
            .unwrap()
            .next
            .unwrap();
        let of_another_version = URL_SAFE_NO_PAD.encode(r#"[2,"tasks",8]"#);
        let of_another_key = URL_SAFE_NO_PAD.encode(r#"[1,"tasks","x"]"#);
        for token in [
            of_another_list,
            of_another_version,
            of_another_key,
            "%%".to_owned(),
            String::new(),
        ] {
            let after: Result<Option<i64>, _> = request(1, Some(token.clone())).after(List::Tasks);
            assert_eq!(after, Err(StoreError::BadToken), "{token}");
        }
    }

    proptest! {
        #[test]
        fn no_token_makes_the_reader_panic(
            bytes in any::<Vec<u8>>(),
            text in "\\PC{0,40}",
            inner in "\\[[0-9]{0,2},\"(tasks|kept)\",(\"a\"|[0-9]{0,20})\\]?",
        ) {
            for token in [text, URL_SAFE_NO_PAD.encode(bytes), URL_SAFE_NO_PAD.encode(inner)] {
                let request = request(1, Some(token));
                let number: Result<Option<i64>, _> = request.after(List::Tasks);
                let text: Result<Option<String>, _> = request.after(List::Tasks);
                prop_assert!(number.is_err() || text.is_err(), "a key has one type: {number:?}, {text:?}");
            }
        }

        #[test]
        fn every_key_comes_back_from_its_token(keys in prop::collection::vec(any::<String>(), 2..4)) {
            let page = request(1, None).page(List::Kept, keys.clone(), Clone::clone).unwrap();
            let after: Option<String> = request(1, page.next).after(List::Kept).unwrap();
            prop_assert_eq!(after.as_ref(), keys.first());
        }
    }
}

//! What columns hold, and what it means.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;
use crate::domain::TimestampMs;

/// `value` as the text of a JSON column.
pub(super) fn to_json<T: Serialize + ?Sized>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Failed(error.to_string()))
}

/// What the text of a JSON column says; `what` names the column in an error.
pub(super) fn from_json<T: DeserializeOwned>(what: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::unreadable(what, &error))
}

/// The value that `word` stands for; `what` names the column in an error.
pub(super) fn from_word<T>(
    what: &str,
    word: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, StoreError> {
    parse(word).ok_or_else(|| StoreError::unreadable(what, &format!("`{word}` is not known")))
}

/// A number that a CHECK keeps within the bounds of its type.
pub(super) fn to_unsigned<T: TryFrom<i64>>(what: &str, number: i64) -> Result<T, StoreError> {
    T::try_from(number).map_err(|_| StoreError::unreadable(what, &format!("{number} is too large")))
}

/// A point in time, if there is one.
pub(super) fn to_time(millis: Option<i64>) -> Option<TimestampMs> {
    millis.map(TimestampMs::from_millis)
}

/// The column of a point in time, if there is one.
pub(super) fn from_time(time: Option<TimestampMs>) -> Option<i64> {
    time.map(TimestampMs::as_millis)
}

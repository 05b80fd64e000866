//! What the command line calls itself to the API, so that the history of a service can say who wanted what.
//!
//! It is who the operating system says that the user is. Nobody can verify it, and the API says so.

use crate::domain::ClientName;

/// The header that it goes in.
pub(super) const HEADER: &str = "neargate-client";

/// `alice@laptop`.
pub(super) fn of_process() -> String {
    let user = ["USER", "LOGNAME"]
        .into_iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|user| !user.is_empty())
        .unwrap_or_else(|| format!("user {}", rustix::process::getuid().as_raw()));
    let system = rustix::system::uname();
    harmless(&format!("{user}@{}", system.nodename().to_string_lossy()))
}

/// `text` in the characters of a [`ClientName`], and no longer than one.
fn harmless(text: &str) -> String {
    text.chars()
        .map(|one| {
            if one == ' ' || one.is_ascii_graphic() {
                one
            } else {
                '?'
            }
        })
        .take(ClientName::LONGEST)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_always_a_name_that_the_api_takes() {
        let longest = "x".repeat(300);
        for text in [of_process().as_str(), "Zoë@höst\r\n", longest.as_str()] {
            let name = harmless(text);
            assert_eq!(name.parse::<ClientName>().map(String::from), Ok(name));
        }
        assert_eq!(harmless("Zoë@höst"), "Zo?@h?st");
    }
}

//! Names of images, in outline as Docker's reference grammar has them.
//!
//! Source: distribution/reference, `reference.go`. The engine has the last word; what is refused here could
//! never be an image, or is shaped so that another program would take it for something else.

/// What is wrong with `image`, if anything, and what to do about it.
pub(super) fn check(image: &str) -> Result<(), (&'static str, Option<&'static str>)> {
    if image.is_empty() {
        return Err(("is empty", Some("name an image, as nginx:1.27")));
    }
    if image.len() > 255 {
        return Err(("has more than 255 characters", None));
    }
    if image.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(("contains white space", None));
    }
    if image.starts_with('-') {
        return Err(("begins with a hyphen", None));
    }
    if image.contains("://") {
        return Err((
            "is a URL",
            Some("leave the scheme away, as registry.example.com/app:1"),
        ));
    }
    let (name, digest) = match image.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (image, None),
    };
    if digest.is_some_and(|digest| !is_digest(digest)) {
        return Err((
            "has a digest that is none",
            Some("a digest is sha256: and 64 hexadecimal digits"),
        ));
    }
    let (name, tag) = match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (name, None),
    };
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Err((
            "has a tag that is none",
            Some("a tag has up to 128 letters, digits, hyphens, underscores and dots"),
        ));
    }
    check_name(name)
}

fn check_name(name: &str) -> Result<(), (&'static str, Option<&'static str>)> {
    let path = match name.split_once('/') {
        Some((host, path)) if is_host(host) => path,
        _ => name,
    };
    if path.split('/').all(is_component) {
        return Ok(());
    }
    if path.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err((
            "has capitals in its repository",
            Some("repositories are in lower case"),
        ));
    }
    Err((
        "is not the name of an image",
        Some("it has the form repository[:tag] or repository@digest"),
    ))
}

/// The part before the first slash is a registry if it cannot be the beginning of a repository.
fn is_host(text: &str) -> bool {
    let (host, port) = text
        .split_once(':')
        .map_or((text, None), |(host, port)| (host, Some(port)));
    let is_label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    (text == "localhost" || text.contains(['.', ':']))
        && host.split('.').all(is_label)
        && port.is_none_or(|port| {
            (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit())
        })
}

/// Lower-case letters and digits, joined by one dot, one or two underscores, or hyphens.
fn is_component(text: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let separators = text
        .split(|c: char| c.is_ascii() && is_word(c as u8))
        .filter(|separator| !separator.is_empty());
    let bytes = text.as_bytes();
    bytes.first().is_some_and(|b| is_word(*b))
        && bytes.last().is_some_and(|b| is_word(*b))
        && separators.into_iter().all(|separator| {
            matches!(separator, "." | "_" | "__") || separator.bytes().all(|b| b == b'-')
        })
}

fn is_tag(text: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (1..=128).contains(&text.len())
        && text.bytes().next().is_some_and(is_word)
        && text.bytes().all(|b| is_word(b) || b == b'.' || b == b'-')
}

fn is_digest(text: &str) -> bool {
    text.split_once(':').is_some_and(|(algorithm, digits)| {
        !algorithm.is_empty()
            && algorithm
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"+._-".contains(&b))
            && digits.len() >= 32
            && digits
                .bytes()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_images_pass_and_other_things_do_not() {
        let digest = format!("app@sha256:{}", "a".repeat(64));
        for image in [
            "nginx",
            "nginx:1.27-alpine",
            "neargate/workload:latest",
            "registry.example.com:5000/team/app:1",
            "localhost/app",
            "LOCAL.example.com/app",
            "a__b/c-d.e",
            &digest,
        ] {
            assert_eq!(check(image), Ok(()), "{image}");
        }
        for image in [
            "",
            " nginx",
            "nginx latest",
            "-v",
            "--privileged",
            "https://example.com/app",
            "Nginx",
            "a//b",
            "a/",
            "/a",
            "a:",
            "a:b:c",
            "a@sha256:12",
            "a;rm",
            "$(x)",
            "a..b",
            "../a",
            "ä",
            &"a".repeat(256),
        ] {
            assert!(check(image).is_err(), "{image}");
        }
    }
}

//! What a container takes from the secret store.
//!
//! What stands in a `valueFrom` is never quoted: somebody may have written the value itself there.

use std::collections::BTreeSet;

use super::linux;
use crate::domain::{ContainerSecrets, Faults, InvalidName, SecretFile, SecretReference};
use crate::shapes::path;
use crate::shapes::{ContainerDefinition, EnvironmentFile, Secret, SecretFile as WrittenFile};

/// As ECS has it.
const MOST_ENVIRONMENT_FILES: usize = 10;
/// Keeps a volume of them small; the schema says the same.
const MOST_FILES: usize = 32;
/// Who may read a file unless the definition says otherwise: everybody in the container, as Docker has it.
const DEFAULT_MODE: u32 = 0o444;
/// Folders that an image cannot do without, and those of the kernel.
const SYSTEM_FOLDERS: [&str; 13] = [
    "/", "/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/root", "/sbin", "/sys",
    "/usr", "/var",
];

/// Everything that `container`, at `path`, takes.
pub(super) fn parse(
    container: &ContainerDefinition,
    path: &str,
    faults: &mut Faults,
) -> ContainerSecrets {
    let at = |field: &str| path::field(path, field);
    let plain: BTreeSet<&str> = container
        .environment
        .iter()
        .flatten()
        .filter_map(|pair| pair.name.as_deref())
        .collect();
    let registry = container.repository_credentials.as_ref();
    let registry = registry.and_then(|written| {
        let here = path::field(&at("repositoryCredentials"), "credentialsParameter");
        reference(
            &written.credentials_parameter,
            &here,
            SecretReference::parse,
            faults,
        )
    });
    ContainerSecrets {
        variables: variables(container.secrets.as_ref(), &plain, &at("secrets"), faults),
        environment_files: environment_files(
            container.environment_files.as_ref(),
            &at("environmentFiles"),
            faults,
        ),
        files: files(container.secret_files.as_ref(), &at("secretFiles"), faults),
        registry,
    }
}

fn reference(
    text: &str,
    path: &str,
    parse: fn(&str) -> Result<SecretReference, InvalidName>,
    faults: &mut Faults,
) -> Option<SecretReference> {
    parse(text)
        .map_err(|error| faults.add_with_hint(path, "does not name a secret", error.rule))
        .ok()
}

fn variables(
    secrets: Option<&Vec<Secret>>,
    plain: &BTreeSet<&str>,
    path: &str,
    faults: &mut Faults,
) -> Vec<(String, SecretReference)> {
    let mut variables = Vec::new();
    let mut names = BTreeSet::new();
    for (index, secret) in secrets.into_iter().flatten().enumerate() {
        let item = path::item(path, index);
        let here = path::field(&item, "name");
        let name = secret.name.as_str();
        if name.is_empty() {
            faults.add(here, "is empty");
        } else if name.contains(['=', '\0']) {
            faults.add(
                here,
                format!("is {}; it may not contain `=`", path::quote(name)),
            );
        } else if plain.contains(name) {
            let message = format!(
                "is {}, which is in `environment` already",
                path::quote(name)
            );
            faults.add_with_hint(here, message, "take it out of one of the two");
        } else if !names.insert(name) {
            faults.add(
                here,
                format!("is {}, which is there already", path::quote(name)),
            );
        }
        let from = path::field(&item, "valueFrom");
        if let Some(from) = reference(&secret.value_from, &from, SecretReference::parse, faults) {
            variables.push((name.to_owned(), from));
        }
    }
    variables
}

fn environment_files(
    files: Option<&Vec<EnvironmentFile>>,
    path: &str,
    faults: &mut Faults,
) -> Vec<SecretReference> {
    let files = files.map(Vec::as_slice).unwrap_or_default();
    if files.len() > MOST_ENVIRONMENT_FILES {
        faults.add(
            path,
            format!("has more than {MOST_ENVIRONMENT_FILES} files"),
        );
    }
    let mut parsed = Vec::new();
    for (index, file) in files.iter().take(MOST_ENVIRONMENT_FILES).enumerate() {
        let here = path::field(&path::item(path, index), "value");
        parsed.extend(reference(
            &file.value,
            &here,
            SecretReference::parse_file,
            faults,
        ));
    }
    parsed
}

fn files(files: Option<&Vec<WrittenFile>>, path: &str, faults: &mut Faults) -> Vec<SecretFile> {
    let mut parsed = Vec::new();
    let mut paths = BTreeSet::new();
    // That there are more was said by the schema check.
    for (index, file) in files.into_iter().flatten().take(MOST_FILES).enumerate() {
        let item = path::item(path, index);
        let here = path::field(&item, "containerPath");
        if !paths.insert(file.container_path.as_str()) {
            let quoted = path::quote(&file.container_path);
            faults.add(
                here.as_str(),
                format!("is {quoted}, which is there already"),
            );
        }
        let split = split(&file.container_path, &here, faults);
        let from = path::field(&item, "valueFrom");
        let from = reference(&file.value_from, &from, SecretReference::parse, faults);
        let mode = mode(file.mode.as_deref(), &path::field(&item, "mode"), faults);
        if let (Some((folder, name)), Some(from)) = (split, from) {
            parsed.push(SecretFile {
                folder,
                name,
                from,
                mode,
            });
        }
    }
    // Two mounts, one within the other: the outer one is read-only and has no place for the inner one.
    let folders: BTreeSet<&str> = parsed.iter().map(|file| file.folder.as_str()).collect();
    for folder in &folders {
        let within = |other: &&&str| {
            other
                .strip_prefix(*folder)
                .is_some_and(|rest| rest.starts_with('/'))
        };
        if let Some(inner) = folders.iter().find(within) {
            let (inner, outer) = (path::quote(inner), path::quote(folder));
            let message =
                format!("has files in {inner} and in {outer}, which the first one lies in");
            faults.add_with_hint(path, message, "put them all into one folder");
        }
    }
    parsed
}

/// Folder and name of a file.
fn split(file: &str, path: &str, faults: &mut Faults) -> Option<(String, String)> {
    linux::absolute(file, path, faults);
    let (folder, name) = file.rsplit_once('/')?;
    let folder = if folder.is_empty() { "/" } else { folder };
    if name.is_empty()
        || file
            .split('/')
            .skip(1)
            .any(|part| matches!(part, "" | "." | ".."))
    {
        let message = format!("is {}, which is not the path of a file", path::quote(file));
        faults.add_with_hint(path, message, "write it as /run/secrets/NAME");
        return None;
    }
    let kernel = ["/dev/", "/proc/", "/sys/"]
        .iter()
        .any(|root| folder.starts_with(root));
    if kernel || SYSTEM_FOLDERS.contains(&folder) {
        let message = format!(
            "is {}, and its folder would be hidden from the container",
            path::quote(file)
        );
        faults.add_with_hint(
            path,
            message,
            "put it into a folder of its own: /run/secrets/NAME",
        );
        return None;
    }
    Some((folder.to_owned(), name.to_owned()))
}

fn mode(text: Option<&str>, path: &str, faults: &mut Faults) -> u32 {
    let Some(text) = text else {
        return DEFAULT_MODE;
    };
    let digits = (3..=4).contains(&text.len()) && text.bytes().all(|b| matches!(b, b'0'..=b'7'));
    match u32::from_str_radix(text, 8) {
        Ok(mode) if digits && mode <= 0o777 => mode,
        _ => {
            faults.add_with_hint(
                path,
                format!("is {}, which is not a mode", path::quote(text)),
                "write three octal digits after a 0: \"0400\"",
            );
            DEFAULT_MODE
        }
    }
}

//! Files of a container, as far as they are copied in and out: regular ones, by their path.

use std::io::Read as _;
use std::path::Path;

use bytes::Bytes;

use super::{Model, Refusal};

impl Model {
    /// Unpacks a tar in a folder, which need not be there.
    pub(crate) fn put_files(&mut self, id: &str, folder: &str, tar: &[u8]) -> Result<(), Refusal> {
        let number = self.known(id)?;
        let wrong = |error: std::io::Error| Refusal::Invalid(error.to_string());
        let mut found = Vec::new();
        for entry in tar::Archive::new(tar).entries().map_err(wrong)? {
            let mut entry = entry.map_err(wrong)?;
            let path = Path::new(folder).join(entry.path().map_err(wrong)?);
            let mut text = Vec::new();
            entry.read_to_end(&mut text).map_err(wrong)?;
            if entry.header().entry_type().is_file() {
                found.push((path.display().to_string(), text));
            }
        }
        if let Some(container) = self.containers.get_mut(&number) {
            container.files.extend(found);
        }
        Ok(())
    }

    /// A tar of a file, or of a folder with all that is in it.
    pub(crate) fn get_files(&self, id: &str, path: &str) -> Result<Bytes, Refusal> {
        let number = self.known(id)?;
        let path = Path::new(path);
        let above = path.parent().unwrap_or(path);
        let files = self.containers.get(&number).map(|one| &one.files);
        let files = files.into_iter().flatten();
        let mut tar = tar::Builder::new(Vec::new());
        let mut count = 0;
        for (name, text) in files.filter(|(name, _)| Path::new(name).starts_with(path)) {
            let inside = Path::new(name)
                .strip_prefix(above)
                .unwrap_or(Path::new(name));
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            let added = tar.append_data(&mut header, inside, text.as_slice());
            added.map_err(|error| Refusal::Failed(error.to_string()))?;
            count += 1;
        }
        if count == 0 {
            let text = format!(
                "Could not find the file {} in container {id}",
                path.display()
            );
            return Err(Refusal::NotFound(text));
        }
        let tar = tar.into_inner();
        tar.map(Bytes::from)
            .map_err(|error| Refusal::Failed(error.to_string()))
    }
}

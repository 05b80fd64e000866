//! How far a pull has come, from the daemon's messages about single layers.

use std::collections::BTreeMap;

use bollard::models::CreateImageInfo;

use super::super::super::PullProgress;

/// What the daemon has said of the layers of one pull.
#[derive(Debug, Default)]
pub(super) struct Layers {
    /// Bytes that have arrived and bytes in all, by layer.
    seen: BTreeMap<String, (u64, u64)>,
}

impl Layers {
    /// Takes one message in, and gives the sum.
    pub(super) fn read(&mut self, message: CreateImageInfo) -> PullProgress {
        let status = message.status.unwrap_or_default();
        let Some(layer) = message.id else {
            return self.sum();
        };
        match status.as_str() {
            "Downloading" => {
                let progress = message.progress_detail.unwrap_or_default();
                let bytes = |value: Option<i64>| {
                    value
                        .and_then(|value| u64::try_from(value).ok())
                        .unwrap_or_default()
                };
                let (current, total) = (bytes(progress.current), bytes(progress.total));
                // A registry need not say how long a layer is.
                self.seen.insert(layer, (current, total.max(current)));
            }
            // Extraction counts the same bytes once more: a layer that has arrived stays arrived.
            "Verifying Checksum" | "Download complete" | "Extracting" | "Pull complete" => {
                if let Some((current, total)) = self.seen.get_mut(&layer) {
                    *current = *total;
                }
            }
            _ => {}
        }
        self.sum()
    }

    fn sum(&self) -> PullProgress {
        self.seen
            .values()
            .fold(PullProgress::default(), |sum, (current, total)| {
                PullProgress {
                    current_bytes: sum.current_bytes.saturating_add(*current),
                    total_bytes: sum.total_bytes.saturating_add(*total),
                }
            })
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::ProgressDetail;

    use super::*;

    fn message(id: &str, status: &str, progress: Option<(i64, i64)>) -> CreateImageInfo {
        CreateImageInfo {
            id: Some(id.to_owned()),
            status: Some(status.to_owned()),
            progress_detail: progress.map(|(current, total)| ProgressDetail {
                current: Some(current),
                total: Some(total),
            }),
            error_detail: None,
        }
    }

    #[test]
    fn layers_add_up_and_never_count_twice() {
        let mut layers = Layers::default();
        let steps = [
            (message("latest", "Pulling from x", None), (0, 0)),
            (message("a", "Pulling fs layer", None), (0, 0)),
            (message("a", "Downloading", Some((10, 100))), (10, 100)),
            (message("b", "Downloading", Some((5, 50))), (15, 150)),
            (message("b", "Downloading", Some((5, 50))), (15, 150)),
            (message("a", "Download complete", None), (105, 150)),
            (message("a", "Extracting", Some((1, 100))), (105, 150)),
            (message("c", "Already exists", None), (105, 150)),
            (message("d", "Downloading", Some((7, -1))), (112, 157)),
        ];
        for (message, (current_bytes, total_bytes)) in steps {
            let expected = PullProgress {
                current_bytes,
                total_bytes,
            };
            assert_eq!(layers.read(message.clone()), expected, "{message:?}");
        }
    }
}

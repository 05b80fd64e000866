use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use futures_util::TryStreamExt as _;
use tempfile::TempDir;

use super::*;

struct Fixture {
    folder: TempDir,
    logs: LogStore,
    task: TaskId,
    container: ContainerName,
}

impl Fixture {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let logs = LogStore::new(folder.path());
        let task = "0123456789abcdef0123456789abcdef".parse().unwrap();
        let container = "app".parse().unwrap();
        Self {
            folder,
            logs,
            task,
            container,
        }
    }

    async fn keep(&self, lines: &[KeptLine], max_bytes: u64) -> u64 {
        let writer = self.logs.writer(&self.task, &self.container, 0, max_bytes);
        let mut writer = writer.await.unwrap();
        for line in lines {
            writer.append(line).await.unwrap();
        }
        assert!(!self.logs.has(&self.task, &self.container, 0));
        writer.finish().await.unwrap()
    }

    async fn read(
        &self,
        since: Option<TimestampMs>,
        tail: Option<u64>,
    ) -> Result<Vec<KeptLine>, StoreError> {
        let lines = self.logs.read(&self.task, &self.container, 0, since, tail);
        lines.await?.try_collect().await
    }

    fn files(&self) -> Vec<PathBuf> {
        fs::read_dir(self.logs.folder_of(&self.task))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect()
    }
}

fn line(number: i64) -> KeptLine {
    KeptLine {
        at: TimestampMs::from_millis(number),
        stderr: number % 2 == 1,
        text: format!("line {number:05}").into_bytes(),
    }
}

/// What each of the lines above takes.
const LINE: usize = 13 + 10;

#[tokio::test]
async fn lines_come_back_as_they_were_written() {
    let fixture = Fixture::new();
    let mut lines: Vec<_> = (0..1_000).map(line).collect();
    lines[1].text.clear();
    lines[2].text = vec![0, 255, b'\n', 27];
    lines[3].text = vec![b'x'; 300_000];
    assert_eq!(fixture.keep(&lines, u64::MAX).await, 0);
    assert!(fixture.read(None, None).await.unwrap() == lines);

    let files = fixture.files();
    assert_eq!(
        files,
        [fixture.logs.file_of(&fixture.task, &fixture.container, 0)]
    );
    let mode = fs::metadata(&files[0]).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    let folder = fs::metadata(fixture.folder.path().join("logs")).unwrap();
    assert_eq!(folder.permissions().mode() & 0o7777, 0o700);
}

#[tokio::test]
async fn since_and_tail_narrow_together() {
    let fixture = Fixture::new();
    let lines: Vec<_> = (0..10).map(line).collect();
    fixture.keep(&lines, u64::MAX).await;
    let since = |n| Some(TimestampMs::from_millis(n));
    assert_eq!(fixture.read(since(4), None).await.unwrap(), lines[4..]);
    assert_eq!(fixture.read(None, Some(3)).await.unwrap(), lines[7..]);
    assert_eq!(fixture.read(since(4), Some(3)).await.unwrap(), lines[7..]);
    assert_eq!(fixture.read(since(8), Some(3)).await.unwrap(), lines[8..]);
    assert_eq!(fixture.read(None, Some(0)).await.unwrap(), []);
    assert_eq!(fixture.read(None, Some(u64::MAX)).await.unwrap(), lines);
    assert_eq!(fixture.read(since(99), None).await.unwrap(), []);
}

#[tokio::test]
async fn the_newest_lines_are_kept_and_the_dropped_ones_counted() {
    for kept in [1, 2, 3, 7, 50_usize] {
        for written in 0..60_usize {
            let fixture = Fixture::new();
            let lines: Vec<_> = (0_i64..).take(written).map(line).collect();
            // Room for less than one more line than is to be kept.
            let max_bytes = (LINE * kept + LINE - 1) as u64;
            let dropped = fixture.keep(&lines, max_bytes).await;
            let gone = written.saturating_sub(kept);
            assert_eq!(fixture.read(None, None).await.unwrap(), lines[gone..]);
            assert_eq!(dropped, gone as u64);
            let log = fixture
                .logs
                .read(&fixture.task, &fixture.container, 0, None, None);
            assert_eq!(log.await.unwrap().dropped(), gone as u64);
            assert_eq!(fixture.files().len(), 1);
        }
    }
}

#[tokio::test]
async fn a_line_longer_than_the_log_is_cut() {
    let fixture = Fixture::new();
    let mut long = line(1);
    long.text = vec![b'x'; 100];
    fixture.keep(&[line(0), long], 50).await;
    let found = fixture.read(None, None).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].text, vec![b'x'; 37]);
}

#[tokio::test]
async fn a_log_that_was_not_finished_is_not_there() {
    let fixture = Fixture::new();
    let writer = fixture
        .logs
        .writer(&fixture.task, &fixture.container, 0, LINE as u64);
    let mut writer = writer.await.unwrap();
    for number in 0..5 {
        writer.append(&line(number)).await.unwrap();
    }
    drop(writer);
    assert!(!fixture.logs.has(&fixture.task, &fixture.container, 0));
    assert_eq!(fixture.files().len(), 0);
    let error = fixture.read(None, None).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { .. }), "{error:?}");
}

#[tokio::test]
async fn removing_takes_all_of_a_task_and_can_be_repeated() {
    let fixture = Fixture::new();
    fixture.keep(&[line(0)], u64::MAX).await;
    assert!(fixture.logs.has(&fixture.task, &fixture.container, 0));
    fixture.logs.remove(&fixture.task).await.unwrap();
    fixture.logs.remove(&fixture.task).await.unwrap();
    assert!(!fixture.logs.has(&fixture.task, &fixture.container, 0));
}

#[tokio::test]
async fn each_attempt_has_a_log_of_its_own() {
    let mut fixture = Fixture::new();
    for container in ["app".to_owned(), "a".repeat(255)] {
        fixture.container = container.parse().unwrap();
        for attempt in [0, 1, 11] {
            let writer = fixture
                .logs
                .writer(&fixture.task, &fixture.container, attempt, u64::MAX);
            let mut writer = writer.await.unwrap();
            writer.append(&line(attempt.into())).await.unwrap();
            writer.finish().await.unwrap();
        }
        let forgotten = fixture.logs.forget(&fixture.task, &fixture.container, 1);
        forgotten.await.unwrap();
        let again = fixture.logs.forget(&fixture.task, &fixture.container, 1);
        again.await.unwrap();
        for (attempt, kept) in [(0, true), (1, false), (11, true)] {
            let has = fixture.logs.has(&fixture.task, &fixture.container, attempt);
            assert_eq!(has, kept, "{container} {attempt}");
        }
        assert_eq!(fixture.read(None, None).await.unwrap(), [line(0)]);
    }
}

#[tokio::test]
async fn names_of_any_length_make_files_of_their_own() {
    let mut fixture = Fixture::new();
    let start = "a".repeat(254);
    for (number, end) in [(0, "b"), (1, "c")] {
        fixture.container = format!("{start}{end}").parse().unwrap();
        fixture.keep(&[line(number)], u64::MAX).await;
    }
    assert_eq!(fixture.files().len(), 2);
    assert_eq!(fixture.read(None, None).await.unwrap(), [line(1)]);
}

#[tokio::test]
async fn a_broken_log_is_named() {
    let fixture = Fixture::new();
    fixture.keep(&[line(0), line(1)], u64::MAX).await;
    let path = fixture.logs.file_of(&fixture.task, &fixture.container, 0);
    let whole = fs::read(&path).unwrap();
    let mut bad_stream = whole.clone();
    bad_stream[16 + 8] = 7;
    for bytes in [
        &whole[..whole.len() - 1],
        &whole[..whole.len() - LINE + 2],
        &whole[..10],
        b"something else, and longer",
        &bad_stream,
    ] {
        fs::write(&path, bytes).unwrap();
        for tail in [None, Some(1)] {
            let error = fixture.read(None, tail).await.unwrap_err();
            assert!(matches!(error, StoreError::Unreadable { .. }), "{error:?}");
        }
    }
}

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, SystemTime};

use futures_util::TryStreamExt as _;
use tempfile::TempDir;

use super::prune::REMOVED;
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
        let logs = LogStore::new(folder.path(), Pace::default());
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
async fn what_repeats_takes_little_room_and_comes_back_from_any_place() {
    let fixture = Fixture::new();
    let mut lines: Vec<_> = (0..20_000).map(line).collect();
    for line in &mut lines {
        line.text.extend_from_slice(&[b'x'; 100]);
    }
    fixture.keep(&lines, u64::MAX).await;
    let path = fixture.logs.file_of(&fixture.task, &fixture.container, 0);
    let written: usize = lines.iter().map(|line| LINE + line.text.len() - 10).sum();
    let kept = fs::metadata(&path).unwrap().len();
    assert!(kept * 8 < written as u64, "{kept} of {written} bytes");
    assert!(fixture.read(None, Some(3)).await.unwrap() == lines[19_997..]);
    let since = Some(TimestampMs::from_millis(19_000));
    assert!(fixture.read(since, None).await.unwrap() == lines[19_000..]);
    assert_eq!(fixture.files(), [path]);
}

#[tokio::test]
async fn a_broken_log_is_named() {
    let fixture = Fixture::new();
    fixture.keep(&[line(0), line(1)], u64::MAX).await;
    let path = fixture.logs.file_of(&fixture.task, &fixture.container, 0);
    let whole = fs::read(&path).unwrap();
    let mut changed = whole.clone();
    let checksum = changed.len() - 6;
    changed[checksum] ^= 1;
    for bytes in [
        &whole[..whole.len() - 1],
        &whole[..20],
        &whole[..10],
        b"something else, and longer",
        &changed,
    ] {
        fs::write(&path, bytes).unwrap();
        for tail in [None, Some(1)] {
            let error = fixture.read(None, tail).await.unwrap_err();
            assert!(matches!(error, StoreError::Unreadable { .. }), "{error:?}");
        }
    }
}

/// The logs of `count` tasks, the first the oldest by a day each; what each takes.
async fn aged(fixture: &mut Fixture, count: u8) -> Vec<(TaskId, u64)> {
    let mut kept = Vec::new();
    for number in 0..count {
        fixture.task = format!("{number:032x}").parse().unwrap();
        fixture.keep(&[line(number.into())], u64::MAX).await;
        let path = fixture.logs.file_of(&fixture.task, &fixture.container, 0);
        let file = fs::File::open(&path).unwrap();
        file.set_modified(noon() - DAY * u32::from(count - number))
            .unwrap();
        kept.push((fixture.task.clone(), file.metadata().unwrap().len()));
    }
    kept
}

const DAY: Duration = Duration::from_hours(24);

fn noon() -> SystemTime {
    SystemTime::UNIX_EPOCH + DAY * 20_000
}

fn now() -> TimestampMs {
    moment(noon())
}

fn moment(at: SystemTime) -> TimestampMs {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    TimestampMs::from_millis(i64::try_from(since.as_millis()).unwrap())
}

fn bounds(days: u32, bytes: u64) -> KeptLogs {
    KeptLogs {
        max_age: Some(DAY * days),
        max_bytes: Some(bytes),
    }
}

#[tokio::test]
async fn the_oldest_logs_go_when_they_are_too_old_or_too_many() {
    let mut fixture = Fixture::new();
    let kept = aged(&mut fixture, 5).await;
    let left = |fixture: &Fixture| {
        let has = |task: &TaskId| fixture.logs.has(task, &fixture.container, 0);
        kept.iter().map(|(task, _)| has(task)).collect::<Vec<_>>()
    };
    let bytes = |from: usize| kept[from..].iter().map(|(_, bytes)| bytes).sum::<u64>();
    let prune = |days, bytes| fixture.logs.prune(bounds(days, bytes), now());
    assert_eq!(prune(9, bytes(0)).await.unwrap(), 0);
    // Ages are 5, 4, 3, 2 and 1 days.
    assert_eq!(prune(4, bytes(0)).await.unwrap(), 1);
    assert_eq!(left(&fixture), [false, true, true, true, true]);
    assert_eq!(prune(9, bytes(3)).await.unwrap(), 2);
    assert_eq!(left(&fixture), [false, false, false, true, true]);
    assert_eq!(
        fixture
            .logs
            .prune(
                KeptLogs {
                    max_age: None,
                    max_bytes: None
                },
                now()
            )
            .await
            .unwrap(),
        0
    );
    assert_eq!(fs::read_dir(&*fixture.logs.folder).unwrap().count(), 2);
}

#[tokio::test]
async fn a_log_that_is_being_written_is_left_alone_and_what_a_crash_left_goes() {
    let mut fixture = Fixture::new();
    aged(&mut fixture, 1).await;
    let writer = fixture
        .logs
        .writer(&fixture.task, &fixture.container, 0, 100);
    let writer = writer.await.unwrap();
    // By the clock that the files have their times from.
    let folder = fs::metadata(fixture.logs.folder_of(&fixture.task)).unwrap();
    let real_now = moment(folder.modified().unwrap());
    assert_eq!(fixture.logs.prune(bounds(1, 0), real_now).await.unwrap(), 0);
    writer.finish().await.unwrap();
    let half_removed = fixture
        .logs
        .folder
        .join(format!("{REMOVED}{}", fixture.task));
    fs::create_dir(&half_removed).unwrap();
    fs::write(half_removed.join("app.log"), "half").unwrap();
    assert_eq!(
        fixture
            .logs
            .prune(bounds(1, u64::MAX), real_now)
            .await
            .unwrap(),
        0
    );
    assert!(!half_removed.exists());
    assert!(fixture.logs.has(&fixture.task, &fixture.container, 0));
    // Nothing was ever kept.
    let empty = Fixture::new();
    assert_eq!(empty.logs.prune(bounds(1, 0), real_now).await.unwrap(), 0);
}

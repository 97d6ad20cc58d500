use std::fs;
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::*;
use crate::cluster::event::Event;
use crate::daemon::namespace;
use crate::wire::{GroupTag, Term};

/// Long enough for a disk under load.
const PATIENCE: Duration = Duration::from_secs(20);

fn on_loop<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn open(dir: &Path) -> Opened {
    Store::open(dir, Clock::start()).unwrap()
}

fn memory(term: u64) -> Memory {
    Memory { terms: vec![(GroupTag::of("web"), Term(term))], ..Memory::default() }
}

fn record(unix_ms: u64) -> Record {
    Record::new(unix_ms, Event::PeerLeft { peer: "beta".to_owned() })
}

async fn next(store: &mut Store) -> Option<String> {
    let news = tokio::time::timeout(PATIENCE, store.next()).await.expect("news in time");
    let Input::Remembered { error, .. } = news else { panic!("{news:?}") };
    error
}

/// Nothing is left to be written, and there are no news.
async fn settled(store: &mut Store) {
    while store.writing || store.queued > 0 {
        let done =
            tokio::time::timeout(PATIENCE, store.done.recv()).await.expect("answers in time");
        store.take(done.unwrap());
    }
}

fn times(store: &Store) -> Vec<u64> {
    store.history(usize::MAX).iter().map(|record| record.unix_ms).collect()
}

#[test]
fn one_daemon_a_directory() {
    on_loop(async {
        let dir = tempfile::tempdir().unwrap();
        let first = open(dir.path());
        let refused = Store::open(dir.path(), Clock::start()).unwrap_err().to_string();
        assert!(refused.contains("another lubdub daemon"), "{refused}");
        drop(first);
        open(dir.path());
    });
}

#[test]
fn what_was_kept_is_there_in_the_next_life() {
    on_loop(async {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("not/yet/there");
        let Opened { mut store, memory: first, complaints } = open(&dir);
        assert_eq!((first.terms.len(), complaints.len()), (0, 0));
        store.remember(7, memory(7));
        assert_eq!(next(&mut store).await, None);
        store.append(record(1));
        store.append(record(2));
        store.close(PATIENCE).await.unwrap();

        let Opened { store, memory: kept, complaints } = open(&dir);
        assert_eq!(complaints, Vec::<String>::new());
        assert_eq!(kept.terms, memory(7).terms);
        assert!(kept.unix_ms > 1_577_836_800_000, "the wall clock is filled in");
        assert_eq!(times(&store), [1, 2]);
        assert_eq!(store.history(1).first().map(|record| record.unix_ms), Some(2));
        assert!(!dir.join("state.json.new").exists());
    });
}

#[test]
fn the_newest_memory_wins_and_is_answered_for() {
    on_loop(async {
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path()).store;
        for term in 1..=100 {
            store.remember(term, memory(term));
        }
        assert_eq!(next(&mut store).await, None);
        let text = fs::read_to_string(dir.path().join("state.json")).unwrap();
        assert_eq!(serde_json::from_str::<Memory>(&text).unwrap(), memory(100));
        assert!(!store.writing);
    });
}

#[test]
fn what_makes_no_sense_is_put_aside_and_said() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("state.json"), "{\"terms\": [[").unwrap();
    let good = serde_json::to_string(&record(5)).unwrap();
    fs::write(
        dir.path().join("history.jsonl"),
        format!("{good}\nnonsense\n{good}\n{{\"time\": \"20"),
    )
    .unwrap();
    let Opened { store, memory, complaints } = open(dir.path());
    assert!(memory.terms.is_empty());
    assert_eq!(times(&store), [5, 5]);
    let [state, history] = complaints.as_slice() else { panic!("{complaints:?}") };
    assert!(state.contains("state.json: EOF") && state.contains("state.json.corrupt"), "{state}");
    assert!(history.contains("lines that make no sense here are skipped: 1"), "{history}");
    assert_eq!(
        fs::read_to_string(dir.path().join("state.json.corrupt")).unwrap(),
        "{\"terms\": [["
    );
    assert!(!dir.path().join("state.json").exists());
}

#[test]
fn a_torn_line_is_cut_off_before_the_next() {
    on_loop(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.jsonl");
        let good = serde_json::to_string(&record(5)).unwrap();
        fs::write(&path, format!("{good}\n{{\"time\": \"20")).unwrap();
        let mut store = open(dir.path()).store;
        store.append(record(6));
        store.close(PATIENCE).await.unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            format!("{good}\n{}\n", good.replace('5', "6"))
        );
    });
}

#[test]
fn history_is_bounded_on_disk_and_in_memory() {
    on_loop(async {
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path()).store;
        let long = "x".repeat(8 * 1024);
        for unix_ms in 0..300 {
            store.append(Record::new(unix_ms, Event::PeerLeft { peer: long.clone() }));
            if unix_ms % 20 == 19 {
                settled(&mut store).await;
            }
        }
        let size = |name: &str| fs::metadata(dir.path().join(name)).unwrap().len();
        assert!(size("history.jsonl") <= 1 << 20);
        assert!((1 << 19..=1 << 20).contains(&size("history.jsonl.1")));
        store.close(PATIENCE).await.unwrap();
        // Both files are read; what fell off the end is gone.
        let times = times(&open(dir.path()).store);
        assert_eq!(times.last(), Some(&299));
        assert!(
            times.len() > 128 && times.windows(2).all(|pair| pair[0] + 1 == pair[1]),
            "{times:?}"
        );

        let mut store = open(&dir.path().join("other")).store;
        for unix_ms in 0..1500 {
            store.append(record(unix_ms));
            if unix_ms % 500 == 499 {
                settled(&mut store).await;
            }
        }
        assert_eq!(store.history(usize::MAX).len(), 1000);
        assert_eq!(store.history(1000).first().map(|record| record.unix_ms), Some(500));
    });
}

#[test]
fn a_full_queue_loses_lines_says_so_and_keeps_them_in_memory() {
    on_loop(async {
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path()).store;
        // The writer answers, but nobody listens: for the loop the queue stays full.
        for unix_ms in 0..900 {
            store.append(record(unix_ms));
        }
        assert_eq!(store.lost(), 300);
        assert_eq!(store.history(usize::MAX).len(), 900);
        // There is still room for the memory, and the loop did not wait for any of it.
        store.remember(1, memory(1));
        let error = next(&mut store).await.unwrap();
        assert!(error.contains("too slow"), "{error}");
        while next(&mut store).await.is_some() {}
        store.close(PATIENCE).await.unwrap();
        assert_eq!(times(&open(dir.path()).store).len(), 600);
    });
}

#[test]
fn a_disk_that_fails_is_told_once_and_tried_again() {
    on_loop(async {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("state");
        // A file where the directory should be: unwritable for root, too.
        fs::write(&dir, "").unwrap();
        let Opened { mut store, complaints, .. } = open(&dir);
        assert!(complaints.iter().any(|text| text.contains("are not kept")), "{complaints:?}");
        store.remember(1, memory(1));
        let error = next(&mut store).await.unwrap();
        assert!(error.contains("state.json: Not a directory"), "{error}");
        store.remember(2, memory(2));
        assert_eq!(
            next(&mut store).await.as_ref(),
            Some(&error),
            "each newest memory is answered for"
        );
        // The history fails, too, which is no news.
        store.append(record(1));
        settled(&mut store).await;
        assert_eq!((store.error(), store.lost()), (Some(&error), 1));

        fs::remove_file(&dir).unwrap();
        fs::create_dir(&dir).unwrap();
        assert_eq!(
            next(&mut store).await.as_deref().map(|error| error.contains("history.jsonl")),
            Some(true)
        );
        store.append(record(2));
        assert_eq!(next(&mut store).await, None);
        let text = fs::read_to_string(dir.join("state.json")).unwrap();
        assert_eq!(serde_json::from_str::<Memory>(&text).unwrap(), memory(2));
    });
}

#[test]
fn a_memory_that_failed_never_replaces_a_newer_one() {
    on_loop(async {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("state");
        fs::write(&dir, "").unwrap();
        let mut store = open(&dir).store;
        store.remember(1, memory(1));
        assert!(next(&mut store).await.is_some());
        fs::remove_file(&dir).unwrap();
        fs::create_dir(&dir).unwrap();
        store.remember(2, memory(2));
        assert_eq!(next(&mut store).await, None);
        // Each append is a chance to try again what failed; it is over when the next one is answered.
        for unix_ms in 1..=2 {
            store.append(record(unix_ms));
            settled(&mut store).await;
        }
        assert_eq!(open(&dir).memory.terms, memory(2).terms);
    });
}

/// A disk of 64 KiB, in a mount namespace of its own.
#[test]
fn a_full_disk_stops_nothing_and_leaves_whole_batches() {
    const FLAGS: &[&str] = &["--user", "--map-root-user", "--mount"];
    if !namespace::inside(
        module_path!(),
        "a_full_disk_stops_nothing_and_leaves_whole_batches",
        FLAGS,
    ) {
        return;
    }
    on_loop(async {
        let dir = tempfile::tempdir().unwrap();
        mount(Some("tmpfs"), dir.path(), Some("tmpfs"), MsFlags::empty(), Some("size=64k"))
            .unwrap();
        let mut store = open(dir.path()).store;
        store.remember(1, memory(1));
        assert_eq!(next(&mut store).await, None);
        store.append(record(1));
        settled(&mut store).await;
        fs::write(dir.path().join("filler"), vec![0; 1 << 20]).unwrap_err();

        store.remember(2, memory(2));
        let error = next(&mut store).await.unwrap();
        assert!(error.contains("state.json: No space left on device"), "{error}");
        // Some lines of these still fit the last page, and are taken back.
        let many: Vec<Record> = (2..100).map(record).collect();
        let error = files::History::new(dir.path()).append(&many).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        let mut complaints = Vec::new();
        let kept = files::read_state(dir.path(), &mut complaints);
        let history = files::read_history(dir.path(), RING, &mut complaints);
        assert_eq!((kept.terms, complaints), (memory(1).terms, vec![]), "the old state is whole");
        assert_eq!(history.iter().map(|record| record.unix_ms).collect::<Vec<_>>(), [1]);

        fs::remove_file(dir.path().join("filler")).unwrap();
        assert_eq!(next(&mut store).await, None);
        assert_eq!(files::read_state(dir.path(), &mut Vec::new()).terms, memory(2).terms);
        // The writers of this test may still have files open on it.
        umount2(dir.path(), MntFlags::MNT_DETACH).unwrap();
    });
}

//! Run folders, and what is not theirs.

use super::*;
use std::fs;

/// What a run has not left is the user's, whatever its name.
#[test]
fn files_of_others_stay() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("proj");
    fs::create_dir(&run).unwrap();
    for name in ["report.html", "model.toml", "metrics.json", "samples.png"] {
        fs::write(run.join(name), "mine").unwrap();
        let message = RunFolder::create(Some(&run), false).err().unwrap().to_string();
        assert!(message.contains(&format!("{name}: a run would replace it, and no run has left it")), "{message}");
        fs::remove_file(run.join(name)).unwrap();
    }
    drop(RunFolder::create(Some(&run), false).unwrap());
    let own = ["weights/llama.safetensors", ".unfinished-novel.txt"].map(|name| run.join(name));
    own.iter().for_each(|name| fs::write(name, "mine").unwrap());
    drop(RunFolder::create(Some(&run), true).unwrap());
    assert!(own.iter().all(|name| name.exists()), "--force removed what no run has left");
}

#[cfg(unix)]
#[test]
fn links_within_a_run_are_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let [run, far] = ["run", "far"].map(|name| folder.path().join(name));
    drop(RunFolder::create(Some(&run), false).unwrap());
    fs::create_dir(&far).unwrap();
    fs::write(far.join("best.safetensors"), "precious").unwrap();
    fs::remove_dir(run.join("weights")).unwrap();
    std::os::unix::fs::symlink(&far, run.join("weights")).unwrap();
    for force in [false, true] {
        let message = RunFolder::create(Some(&run), force).err().unwrap().to_string();
        assert!(message.contains("weights: it is a link, which no run follows"), "{message}");
    }
    assert!(far.join("best.safetensors").exists());
    fs::remove_file(run.join("weights")).unwrap();
    fs::remove_file(run.join(".lock")).unwrap();
    std::os::unix::fs::symlink(folder.path().join("rc"), run.join(".lock")).unwrap();
    assert!(RunFolder::create(Some(&run), true).is_err() && !folder.path().join("rc").exists());
}

#[test]
fn force_leaves_nothing_of_the_earlier_run() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    RunFolder::create(Some(&run), false).unwrap();
    let weights = ["weights/best.safetensors", "weights/last.safetensors"];
    for name in weights.into_iter().chain(MEASURED).chain(ALONG_THE_WAY) {
        fs::write(run.join(name), "old").unwrap();
    }
    fs::write(run.join("notes.txt"), "mine").unwrap();
    let message = RunFolder::create(Some(&run), false).err().unwrap().to_string();
    assert!(message.contains("already holds a run") && message.contains("--force"), "{message}");
    assert!(run.join("weights/best.safetensors").exists(), "a refusal removes nothing");

    let open = RunFolder::create(Some(&run), true).unwrap();
    let message = RunFolder::create(Some(&run), true).err().unwrap().to_string();
    assert!(message.contains("another process is training into it"), "{message}");
    drop(open);
    RunFolder::create(Some(&run), true).unwrap();
    assert_eq!(fs::read_dir(run.join("weights")).unwrap().count(), 0);
    let mut left: Vec<_> = fs::read_dir(&run).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, [".lock", "history.csv", "notes.txt", "weights"]);
}

#[test]
fn weights_without_a_history_are_a_run_too() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("weights")).unwrap();
    RunFolder::check(Some(folder.path()), false).unwrap();
    fs::write(folder.path().join("weights/best.safetensors"), "old").unwrap();
    assert!(RunFolder::check(Some(folder.path()), false).is_err());
    RunFolder::check(Some(folder.path()), true).unwrap();
}

#[test]
fn paths_that_cannot_be_folders_are_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "mine").unwrap();
    for path in [file.clone(), file.join("run")] {
        for force in [false, true] {
            let message = RunFolder::check(Some(&path), force).unwrap_err().to_string();
            assert!(message.contains("file: it is no folder; name another folder"), "{message}");
        }
    }
    RunFolder::check(Some(&folder.path().join("a/b/c")), false).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "something was left behind");
    // No one, not even root, writes here.
    #[cfg(target_os = "linux")]
    assert!(RunFolder::check(Some(Path::new("/proc/galaxy-gpu/run")), false).is_err());
}

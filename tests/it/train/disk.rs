//! Disks that are full or may not be written to: training says so, goes on where it can, and leaves nothing half-written.

use super::{Desk, SMALL};
use galaxy_gpu::train::history::History;
use galaxy_gpu::train::{Checkpoint, Weights};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

/// Whether this user may mount file systems in a namespace of their own, as containers often forbid.
fn mounts() -> bool {
    let tried = Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "none", "/mnt"]).output();
    tried.is_ok_and(|output| output.status.success())
}

/// Runs a script of the shell on the desk, where `$PROGRAM` is ours. In a mount namespace of its own where `mounts`.
fn shell(desk: &Desk, mounts: bool, script: &str) -> Output {
    let ours = desk.program("");
    let mut command = Command::new(if mounts { "unshare" } else { "sh" });
    if mounts {
        command.args(["-rm", "sh"]);
    }
    command.args(["-c", script]);
    command.current_dir(desk.path("")).env("PROGRAM", ours.get_program());
    for (name, value) in ours.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command.process_group(0).output().unwrap()
}

/// Everything in a run folder that carries the name of a result is one; returns how many there are.
fn all_is_whole(run: &Path) -> usize {
    let mut whole = 0;
    for name in ["best", "last"] {
        let path = run.join(format!("weights/{name}.safetensors"));
        if path.exists() {
            Weights::load(&path).unwrap();
            whole += 1;
        }
    }
    let history = run.join("history.csv");
    if history.exists() {
        History::read(&history).unwrap();
        whole += 1;
    }
    if run.join("checkpoint/current.safetensors").exists() || run.join("checkpoint/previous.safetensors").exists() {
        let (_, note) = Checkpoint::load(run).unwrap();
        assert!(note.is_none_or(|note| note.contains("it is missing")), "a damaged checkpoint");
        whole += 1;
    }
    let left = |folder: &str| {
        let entries = std::fs::read_dir(run.join(folder)).into_iter().flatten().flatten();
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(".unfinished")).count()
    };
    assert_eq!([left(""), left("weights"), left("checkpoint")], [0; 3], "half-written files");
    whole
}

const TRAIN: &str = "--device reference --epochs 3 --seed 1";

#[test]
fn a_full_disk_is_reported_and_corrupts_nothing() {
    let desk = Desk::new();
    desk.run(&format!("{SMALL} {TRAIN} --out whole"));
    let mounts = mounts();
    let (mut complete, mut partial) = (0, 0);
    for kilobytes in [8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 320, 2048] {
        let train = format!("$PROGRAM {SMALL} {TRAIN}");
        let script = match mounts {
            true => format!(
                "mkdir -p disk && mount -t tmpfs -o size={kilobytes}k none disk && {train} --out disk/run; code=$?; \
                 rm -rf run; cp -a disk/run run 2>/dev/null; exit $code"
            ),
            // a disk for each file
            false => format!("trap '' XFSZ; ulimit -f {}; rm -rf run; {train} --out run", kilobytes / 8),
        };
        let output = shell(&desk, mounts, &script);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("panicked"), "{kilobytes} kB: {said}");
        let whole = all_is_whole(&desk.path("run"));
        let full = said.contains("No space left on device") || said.contains("File too large");
        match output.status.code() {
            Some(0) => {
                let hash =
                    |run: &str| Weights::load(&desk.path(&format!("{run}/weights/last.safetensors"))).unwrap().hash();
                assert!(whole >= 3 && hash("run") == hash("whole"), "{kilobytes} kB: {said}");
                complete += 1;
            }
            code => {
                assert!(matches!(code, Some(1 | 2)) && full, "{kilobytes} kB, {code:?}: {said}");
                partial += usize::from(whole > 0);
            }
        }
    }
    assert!(complete > 0 && (partial > 0 || !mounts), "no disk was full in mid-training");
}

#[test]
fn a_folder_that_may_not_be_written_to_is_refused_before_the_work() {
    let desk = Desk::new();
    let train = format!("$PROGRAM {SMALL} {TRAIN}");
    let mounts = mounts();
    let script = match mounts {
        true => format!("mkdir disk && mount -t tmpfs -o ro none disk && {train} --out disk/run"),
        false => format!("mkdir -m 555 disk && {train} --out disk/run"),
    };
    let output = shell(&desk, mounts, &script);
    if !mounts && output.status.success() {
        // no mode keeps root out, so there is no such folder for it but on a file system it may not mount
        return assert!(std::fs::write(desk.path("disk/any"), "").is_ok());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("disk: it cannot be written to (") && said.contains("name another folder with --out"),
        "{said}"
    );
    assert!(output.stdout.is_empty(), "it began to work");
}

#[test]
fn a_folder_that_turns_read_only_keeps_what_it_held() {
    if !mounts() {
        // what a failing write leaves behind is tested above, by files that are too large
        return println!("SKIPPED: no file system may be mounted here");
    }
    let desk = Desk::new();
    let script = format!(
        "mkdir disk && mount -t tmpfs none disk && $PROGRAM {SMALL} {TRAIN} --out disk/run && cp -a disk/run before && \
         mount -o remount,ro disk && $PROGRAM train --resume disk/run --epochs 6; code=$?; cp -a disk/run run; exit $code"
    );
    let output = shell(&desk, true, &script);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code().is_some_and(|code| code == 2), "{said}");
    assert!(said.contains("Read-only file system") && !said.contains("panicked"), "{said}");
    assert_eq!(all_is_whole(&desk.path("run")), 4);
    for name in
        ["weights/last.safetensors", "weights/best.safetensors", "history.csv", "checkpoint/current.safetensors"]
    {
        let file = |run: &str| std::fs::read(desk.path(&format!("{run}/{name}"))).unwrap();
        assert!(file("run") == file("before"), "{name}");
    }
}

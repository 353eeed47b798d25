//! What a shell has to do with: `completions`, `man`, and readers that leave early.

use crate::common::desk::Desk;
use assert_cmd::Command;

#[test]
fn bash_takes_its_completions() {
    // what the word after `galaxy-gpu da` may become
    let ask =
        "\nCOMP_WORDS=(galaxy-gpu da); COMP_CWORD=1; _galaxy__gpu galaxy-gpu da galaxy-gpu; echo \"${COMPREPLY[@]}\"";
    let whole = Desk::new().run("completions bash") + ask;
    let found = Command::new("bash").args(["--norc", "-c", &whole]).assert().success();
    assert_eq!(String::from_utf8(found.get_output().stdout.clone()).unwrap(), "data\n");
}

#[test]
fn each_command_has_a_manual_page() {
    let desk = Desk::new();
    desk.run("man --out man1");
    for name in ["galaxy-gpu", "galaxy-gpu-train", "galaxy-gpu-data-inspect"] {
        let page = desk.text(&format!("man1/{name}.1"));
        assert!(page.contains(".TH") && page.contains("NAME"), "{name}");
    }
    assert!(!desk.path("man1/galaxy-gpu-read-hdf5.1").exists(), "a hidden command has no page");
    desk.refuses("man --out tiny.toml", &["choose another --out"]);
}

/// A reader that leaves early closes the pipe.
#[cfg(unix)]
#[test]
fn a_reader_that_leaves_is_no_failure() {
    let desk = Desk::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = desk.program("model summary").stdout(writer).status().unwrap();
    assert!(status.success(), "{status}");
}

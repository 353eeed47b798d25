//! `completions` and `man`: every command is there, and shells can read what is printed.

use assert_cmd::Command;

fn galaxy_gpu(arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("galaxy-gpu").unwrap();
    command.args(arguments);
    command
}

#[test]
fn completions_know_commands_options_and_their_values() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = galaxy_gpu(&["completions", shell]).assert().success().get_output().stdout.clone();
        let script = String::from_utf8(script).unwrap();
        for word in ["train", "classify", "learning-rate", "mixed"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn bash_takes_its_completions() {
    let script = galaxy_gpu(&["completions", "bash"]).assert().success().get_output().stdout.clone();
    // what the word after `galaxy-gpu da` may become
    let ask =
        "\nCOMP_WORDS=(galaxy-gpu da); COMP_CWORD=1; _galaxy__gpu galaxy-gpu da galaxy-gpu; echo \"${COMPREPLY[@]}\"";
    let whole = String::from_utf8(script).unwrap() + ask;
    let found = Command::new("bash").args(["--norc", "-c", &whole]).assert().success();
    assert_eq!(String::from_utf8(found.get_output().stdout.clone()).unwrap(), "data\n");
}

#[test]
fn each_command_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("man1");
    galaxy_gpu(&["man", "--out", out.to_str().unwrap()]).assert().success();
    for name in ["galaxy-gpu", "galaxy-gpu-train", "galaxy-gpu-data-inspect"] {
        let page = std::fs::read_to_string(out.join(format!("{name}.1"))).unwrap();
        assert!(page.contains(".TH") && page.contains("NAME"), "{name}");
    }
    assert!(!out.join("galaxy-gpu-read-hdf5.1").exists(), "a hidden command has no page");

    let file = folder.path().join("file");
    std::fs::write(&file, "mine").unwrap();
    let refused = galaxy_gpu(&["man", "--out", file.to_str().unwrap()]).assert().code(2);
    assert!(String::from_utf8_lossy(&refused.get_output().stderr).contains("choose another --out"));
}

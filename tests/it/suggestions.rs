//! Misspelt names are answered with what was meant, wherever a list of names is known.

use crate::common;
use std::path::Path;
use std::process::Command;

/// What a command says on standard error when it refuses.
fn refusal(folder: &Path, line: &str) -> String {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("galaxy-gpu"));
    let output = command.current_dir(folder).args(line.split_whitespace()).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{line}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn misspelt_names_are_recognised() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, layer: &str| {
        let text = format!("name = 'a'\nlayer = [{{ {layer} }}, {{ type = 'flatten' }}, {{ type = 'dense' }}]\n");
        std::fs::write(folder.path().join(name), text).unwrap();
    };
    write("kind.toml", "type = 'conv2', filters = 4");
    write("key.toml", "type = 'conv2d', filter = 4");
    write("padding.toml", "type = 'conv2d', filters = 4, padding = 'smae'");
    std::fs::write(folder.path().join("top.toml"), "nmae = 'a'\nlayer = []\n").unwrap();
    std::fs::write(folder.path().join("split.csv"), "index,ans,split\n0,0,trian\n").unwrap();
    let train = "train --device cpu --images 20 --size 16";
    for (line, meant) in [
        (format!("{train} --use conv_block.forward=direkt"), "`direct`"),
        (format!("{train} --use conv_blok.forward=direct"), "`conv_block.forward`"),
        (format!("{train} --model conv5"), "`conv3` or `conv4`"),
        (format!("{train} --model Conv3"), "`conv3`"),
        (format!("{train} --model kind.toml"), "`conv2d`"),
        (format!("{train} --model key.toml"), "`filters`"),
        (format!("{train} --model padding.toml"), "`same`"),
        (format!("{train} --model top.toml"), "`name`"),
        (format!("{train} --split split.csv"), "`train`"),
        (format!("{train} --class-weights balancd"), "`balanced`"),
        (format!("{train} --micro-batch atuo"), "`auto`"),
        (format!("{train} --fill reflcet"), "`reflect`"),
        ("kernels validate dens".to_owned() + "s", "`dense`"),
        ("kernels validate conv_block.forwrd".to_owned(), "`conv_block.forward`"),
        ("kernels validate relu.forward::direkt".to_owned(), "`relu.forward::direct`"),
        ("data show --out a.pgn".to_owned(), "`.png`"),
    ] {
        let said = refusal(folder.path(), &line);
        assert!(said.contains(&format!("did you mean {meant}?")), "{line}: {said}");
    }
    for line in ["train --device cpu --model resnet", "kernels validate tachyon", "train --use a=b"] {
        let said = refusal(folder.path(), line);
        assert!(!said.contains("did you mean"), "{line}: {said}");
    }
}

#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn adapters_are_known_by_the_words_of_their_names() {
    let gpu = common::gpu();
    let word = gpu.profile().name.split_whitespace().next().unwrap().to_owned();
    let misspelt: String = word.chars().take(2).chain(['x']).chain(word.chars().skip(2)).collect();
    let folder = tempfile::tempdir().unwrap();
    let said = refusal(folder.path(), &format!("train --adapter {misspelt}"));
    assert!(said.contains(&format!("did you mean `{word}`?")), "{said}");
}

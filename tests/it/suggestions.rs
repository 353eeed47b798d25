//! Misspelt names are answered with what was meant, wherever a list of names is known.

use crate::common::{self, desk::Desk};

#[test]
fn misspelt_names_are_recognised() {
    let desk = Desk::new();
    let write = |name: &str, layer: &str| {
        let text = format!("name = 'a'\nlayer = [{{ {layer} }}, {{ type = 'flatten' }}, {{ type = 'dense' }}]\n");
        desk.write(name, text);
    };
    write("kind.toml", "type = 'conv2', filters = 4");
    write("key.toml", "type = 'conv2d', filter = 4");
    write("padding.toml", "type = 'conv2d', filters = 4, padding = 'smae'");
    desk.write("top.toml", "nmae = 'a'\nlayer = []\n");
    desk.write("split.csv", "index,ans,split\n0,0,trian\n");
    let train = "train --device reference --images 20 --size 16";
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
        desk.refuses(&line, &[&format!("did you mean {meant}?")]);
    }
    for line in ["train --device reference --model resnet", "kernels validate tachyon", "train --use a=b"] {
        let (code, _, said) = desk.ended(line);
        assert!(code == 2 && !said.contains("did you mean"), "{line}: {said}");
    }
}

#[test]
#[cfg_attr(no_adapter, ignore = "needs an adapter")]
fn adapters_are_known_by_the_words_of_their_names() {
    let gpu = common::gpu();
    let word = gpu.profile().name.split_whitespace().next().unwrap().to_owned();
    let misspelt: String = word.chars().take(2).chain(['x']).chain(word.chars().skip(2)).collect();
    let desk = Desk::new();
    desk.refuses(&format!("train --adapter {misspelt}"), &[&format!("did you mean `{word}`?")]);
}

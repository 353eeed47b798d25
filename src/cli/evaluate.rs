//! `galaxy-gpu evaluate`: how good a trained network is.

use super::options::{DataOptions, DeviceOptions, print_notes};
use super::{print_json, print_text};
use crate::data::{Dataset, Split};
use crate::report::{self, Table};
use crate::train::metrics::Evaluation;
use crate::train::{Session, Setup, Weights, find_weights};
use std::path::PathBuf;
use std::process::ExitCode;

/// Which weights, on which images.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  galaxy-gpu evaluate runs/1
  galaxy-gpu evaluate runs/a --data F.h5 --split S.csv --json")]
pub struct Args {
    /// Run folder, or a weights file
    run: PathBuf,
    #[command(flatten)]
    data: DataOptions,
    /// Every image, not only the test side of the split
    #[arg(long, conflicts_with = "split")]
    all: bool,
    /// The last weights instead of the best
    #[arg(long)]
    last: bool,
    /// Images in a step
    #[arg(long, default_value_t = 50)]
    batch: usize,
    /// Confusion matrix to draw; confusion_matrix.png in the run folder where absent
    #[arg(long, value_name = "FILE.png")]
    out: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceOptions,
}

/// Classifies the images and prints accuracy, scores per class and the confusion matrix.
///
/// # Errors
/// Bad input; a device or a disk that fails.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let weights = find_weights(&args.run, args.last)?;
    let dataset = args.data.load()?;
    print_notes(&dataset);
    let classes = &weights.card.classes;
    if dataset.classes.len() == classes.len() && dataset.classes != *classes {
        let names = classes.join(", ");
        eprintln!("note: the classes of this data have other names; the network knows them, in order, as {names}");
    }
    let images = images(args, &weights, &dataset)?;
    let (probabilities, labels) = classify(args, &weights, &dataset, &images)?;
    let evaluation = Evaluation::new(&weights.card.classes, &labels, &probabilities)?;
    let picture = match (&args.out, args.run.is_dir()) {
        (Some(path), _) => path.clone(),
        (None, true) => args.run.join("confusion_matrix.png"),
        (None, false) => PathBuf::from("confusion_matrix.png"),
    };
    report::confusion_matrix(&weights.card.classes, &evaluation.confusion, &picture)?;
    if args.json {
        print_json(&evaluation)?;
    } else {
        let drawn = format!("\nconfusion matrix drawn in {}\n", picture.display());
        print_text(in_words(&weights, &evaluation)? + &drawn)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The test side of the split (drawn from the run's own seed where none is given), or every image.
fn images(args: &Args, weights: &Weights, dataset: &Dataset) -> crate::Result<Vec<u32>> {
    if args.all {
        return Ok((0..dataset.len() as u32).collect());
    }
    let split: Split = args.data.split(dataset, weights.card.seed)?;
    if split.hash != weights.card.split_hash {
        eprintln!("note: this is not the split the weights were trained with; training images may be among these");
    }
    Ok(split.test)
}

fn classify(args: &Args, weights: &Weights, dataset: &Dataset, images: &[u32]) -> crate::Result<(Vec<f32>, Vec<u32>)> {
    let network = weights.network()?;
    let device = args.device.open()?;
    let mut setup = Setup::inference(args.batch);
    setup.fuse = !args.device.no_fuse;
    setup.choices.clone_from(&args.device.choices);
    let make_engine = |plan| device.engine(plan, args.device.checked);
    let mut session = Session::new(&network, dataset, &setup, &device.profile(), make_engine)?;
    session.set_parameters(&weights.tensors)?;
    session.set_order(images)?;
    session.infer(0, images.len(), 1)?;
    let mut probabilities = session.probabilities()?;
    probabilities.truncate(images.len() * network.classes);
    Ok((probabilities, images.iter().map(|&image| dataset.labels[image as usize]).collect()))
}

fn in_words(weights: &Weights, evaluation: &Evaluation) -> crate::Result<String> {
    let mut text = format!("accuracy {:.4}   loss {:.4}\n", evaluation.accuracy, evaluation.loss);
    if evaluation.non_finite > 0 {
        text += &format!("{} images gave scores that are not numbers; they count as wrong\n", evaluation.non_finite);
    }
    let mut table = Table::new(&["class", "precision", "recall", "f1", "images"]).right([1, 2, 3, 4]);
    for class in &evaluation.per_class {
        let [precision, recall, f1] = [class.precision, class.recall, class.f1].map(|score| format!("{score:.3}"));
        table.row(&[class.name.clone(), precision, recall, f1, class.support.to_string()]);
    }
    let confusion = report::confusion_table(&weights.card.classes, &evaluation.confusion)?;
    Ok(format!("{text}\n{table}\n{confusion}"))
}

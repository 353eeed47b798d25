//! `galaxy-gpu evaluate`: measures a trained network.

use super::assessment;
use super::flags::{DataFlags, DeviceFlags, recipe};
use super::options::check_output;
use super::{note, print_json, print_note, print_text};
use crate::data::{ChosenBy, Dataset, Split};
use crate::error::Error;
use crate::report::{self, Table};
use crate::run::{Device, Recipe};
use crate::suggest::did_you_mean;
use crate::train::{Assessment, Measured, Weights, assess, find_weights};
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
    data: DataFlags,
    /// Measure every image, not only the test set of the split
    #[arg(long, conflicts_with = "split")]
    all: bool,
    /// Use the last weights instead of the best
    #[arg(long)]
    last: bool,
    /// Images in a step
    #[arg(long, default_value_t = 50)]
    batch: usize,
    /// Picture of the confusion matrix [default: confusion_matrix.png in the run folder]
    #[arg(long, value_name = "FILE.png|svg|pdf")]
    out: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceFlags,
}

/// Classifies the images, prints accuracy, calibration, scores for each class and the confusion matrix, and draws the matrix. If the
/// picture cannot be drawn, that is only a note, as the numbers matter more.
///
/// # Errors
/// Bad input; a device that fails.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    args.out.as_deref().map_or(Ok(()), |path| check_output("--out", path, report::FORMATS))?;
    let weights = find_weights(&args.run, args.last)?;
    let data = recipe(&args.data)?;
    let mut dataset = data.dataset(&mut note)?;
    let labels = labels_by_name(&dataset, &weights.card.classes)?;
    // A split, drawn or read, counts the data's own labels.
    let sides = Sides::of(args, &data, &weights, &dataset)?;
    if let Some(labels) = labels {
        dataset.labels = labels;
        dataset.classes.clone_from(&weights.card.classes);
    }
    let assessment = measure(args, &weights, &dataset, &sides)?;
    if args.json {
        print_json(&assessment)?;
    } else {
        print_text(in_words(&weights, &assessment)?)?;
    }
    let picture = match (&args.out, args.run.is_dir()) {
        (Some(path), _) => path.clone(),
        (None, true) => args.run.join("confusion_matrix.png"),
        (None, false) => PathBuf::from("confusion_matrix.png"),
    };
    match report::confusion_matrix(&weights.card.classes, &assessment.evaluation.confusion, &picture) {
        Ok(()) if args.json => {}
        Ok(()) => print_text(format!("\nconfusion matrix drawn in {}\n", picture.display()))?,
        Err(error) => print_note(format!("no confusion matrix is drawn: {error}")),
    }
    Ok(ExitCode::SUCCESS)
}

/// The labels of the data set in the network's order of classes, matched by name; `None` if they are in that order already.
///
/// # Errors
/// The network does not know a class.
fn labels_by_name(dataset: &Dataset, classes: &[String]) -> crate::Result<Option<Vec<u32>>> {
    if dataset.classes == classes {
        return Ok(None);
    }
    let place = |name: &String| classes.iter().position(|class| class == name).map(|place| place as u32);
    let Some(places) = dataset.classes.iter().map(place).collect::<Option<Vec<u32>>>() else {
        let (data, network) = (dataset.classes.join(", "), classes.join(", "));
        let unknown = dataset.classes.iter().find(|name| place(name).is_none()).map_or("", String::as_str);
        let near = did_you_mean(unknown, classes.iter().map(String::as_str));
        let near = near.strip_prefix(';').map_or(String::new(), |near| format!("; for `{unknown}`,{near}"));
        let problem = format!("its classes are {data}, but the network was trained on {network}{near}");
        let remedy = "use data of these classes, or name them in the data's order with --class-names";
        return Err(Error::data(&dataset.name, problem, remedy));
    };
    match places.len() == classes.len() {
        true => print_note("the data has the network's classes in another order; labels are matched by name"),
        false => print_note(format!(
            "the data has {} of the network's {} classes; labels are matched by name",
            places.len(),
            classes.len()
        )),
    }
    Ok(Some(dataset.labels.iter().map(|&label| places[label as usize]).collect()))
}

/// The images to measure, and those to fit the temperature on.
struct Sides {
    measured: Vec<u32>,
    validation: Vec<u32>,
    have_chosen: bool,
}

impl Sides {
    /// The test set of the split (drawn with the run's own seed if none is given), or every image. The validation set is that of the
    /// training.
    fn of(args: &Args, data: &Recipe, weights: &Weights, dataset: &Dataset) -> crate::Result<Self> {
        if args.all {
            let measured = (0..dataset.len() as u32).collect();
            return Ok(Self { measured, validation: Vec::new(), have_chosen: false });
        }
        let card = &weights.card;
        let mut split: Split = data.split(dataset, card.seed, &mut note)?;
        if split.chosen_by() == ChosenBy::Test {
            split = split.set_aside(dataset, card.validation, card.seed)?;
        }
        let own = split.hash == card.split_hash;
        if !own {
            print_note("this is not the split the weights were trained with; training images may be among these");
        }
        let have_chosen = own && card.chosen_by == ChosenBy::Test && !args.last;
        Ok(Self { measured: split.test, validation: split.validation, have_chosen })
    }
}

fn measure(args: &Args, weights: &Weights, dataset: &Dataset, sides: &Sides) -> crate::Result<Assessment> {
    let network = weights.network()?;
    let device = Device::for_weights(&args.device.recipe()?, weights, &mut note)?;
    let mut session = device.session(&network, dataset, &device.setup(args.batch))?;
    let Sides { measured: images, validation, have_chosen } = sides;
    let name = if args.all { "all" } else { "test" };
    let measured = Measured { name, images, validation, have_chosen: *have_chosen };
    assess(&mut session, weights, measured, 1)
}

fn in_words(weights: &Weights, assessment: &Assessment) -> crate::Result<String> {
    let mut text = assessment::in_words(assessment).join("\n") + "\n";
    let evaluation = &assessment.evaluation;
    if evaluation.non_finite > 0 {
        text += &format!("{} images have scores that are not numbers; they count as wrong\n", evaluation.non_finite);
    }
    let mut table = Table::new(&["class", "precision", "recall", "f1", "images"]).right([1, 2, 3, 4]);
    for class in &evaluation.per_class {
        let [precision, recall, f1] = [class.precision, class.recall, class.f1].map(|score| format!("{score:.3}"));
        table.row(&[class.name.clone(), precision, recall, f1, class.support.to_string()]);
    }
    let confusion = report::confusion_table(&weights.card.classes, &evaluation.confusion)?;
    Ok(format!("{text}\n{table}\n{confusion}"))
}

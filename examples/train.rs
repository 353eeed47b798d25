//! Trains on simulated galaxies, measures the network, and classifies a galaxy: `cargo run --release --example train`.

use galaxy_gpu::run::{Device, Recipe, Target, train};

fn main() -> galaxy_gpu::Result<()> {
    let recipe = Recipe { images: 200, size: Some(32), epochs: 2, ..Recipe::default() };
    println!("{}", train_and_classify(&recipe, "runs/example")?);
    Ok(())
}

/// Leaves a run folder, and says how good its network is and what it takes the first galaxy for.
pub fn train_and_classify(recipe: &Recipe, folder: &str) -> galaxy_gpu::Result<String> {
    let run = train(recipe, &Target { force: true, ..Target::folder(folder) }, &mut ())?;
    let accuracy = run.measured.map_or(0.0, |found| found.evaluation.accuracy);

    let note = &mut |text| eprintln!("note: {text}");
    let mut classifier = Device::for_weights(recipe, &run.weights, note)?.classifier(&run.weights, 1)?;
    classifier.next(&[recipe.dataset(note)?.image(0)])?;
    let scores = classifier.finish()?;
    let best = (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap_or(0);
    let (class, sure) = (&run.weights.card.classes[best], 100.0 * scores[best]);
    Ok(format!("accuracy {accuracy:.3} on the test set; the first galaxy is a {class} ({sure:.1} %)"))
}

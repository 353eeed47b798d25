//! What the template and the script read: every number already as text, every place already computed.
//!
//! It knows the words of the page; how they look is the template's.

use super::{Fact, Kernels, Layer, Report};
use crate::report::chosen::{IN_ALL, Mistake, PER_CELL, confidence, percent};
use crate::report::curves::Chart;
use crate::report::drawing::Drawing;
use crate::report::table::with_separators;
use crate::report::{confusion, reliability};
use crate::train::history::{EpochRecord, History};
use crate::train::{Assessment, Prediction};
use serde::Serialize;
use std::collections::BTreeMap;

/// Most epochs that stand in the page's table.
const MOST_ROWS: usize = 500;

/// A number in large letters.
#[derive(Serialize)]
struct Headline {
    name: &'static str,
    value: String,
    note: String,
}

/// A class with its scores.
#[derive(Serialize)]
struct Class {
    number: usize,
    name: String,
    support: u64,
    precision: String,
    recall: String,
    f1: String,
}

/// A chart of the curves: `accuracy` or `loss`, and its SVG.
#[derive(Serialize)]
struct Curve {
    key: &'static str,
    svg: String,
}

/// A picture and words.
#[derive(Serialize)]
struct Picture {
    src: String,
    caption: String,
}

/// A mistake with its picture.
#[derive(Serialize)]
struct Pictured {
    src: String,
    #[serde(flatten)]
    mistake: Mistake,
}

/// A row of the table of layers.
#[derive(Serialize)]
struct LayerRow {
    name: String,
    output: String,
    parameters: String,
}

impl LayerRow {
    fn new(layer: &Layer) -> Self {
        let sizes: Vec<String> = layer.output.iter().map(usize::to_string).collect();
        let (name, parameters) = (layer.name.clone(), with_separators(layer.parameters));
        Self { name, output: sizes.join(" × "), parameters }
    }
}

/// A row of the table of kernels.
#[derive(Serialize)]
struct KernelRow {
    layer: String,
    contract: String,
    implementation: String,
    ms: String,
    percent: String,
    /// Of the slowest kernel's time, 0 to 1.
    fraction: String,
    gflops: String,
    gigabytes: String,
}

/// Everything that the template reads.
#[derive(Serialize)]
pub struct Page {
    title: String,
    made: String,
    headlines: Vec<Headline>,
    summary: Vec<Fact>,
    caveats: Vec<String>,
    charts: Vec<Curve>,
    /// Epoch, loss, accuracy, the same of the set that chose the epoch, seconds.
    epochs: Vec<[String; 6]>,
    /// Which set chose the epoch.
    side: &'static str,
    /// How the measured images are called: `test images`, or `images`.
    measured: String,
    /// The confusion matrix as SVG.
    matrix: String,
    classes: Vec<Class>,
    count: usize,
    behind: usize,
    per_cell: usize,
    in_all: usize,
    /// Reliability diagrams as SVG.
    diagrams: Vec<String>,
    calibration: Vec<String>,
    wrong: u64,
    mistakes: Vec<Pictured>,
    samples: Vec<Picture>,
    augmented: Vec<Vec<Picture>>,
    layers: Vec<LayerRow>,
    parameters: String,
    kernels: Vec<KernelRow>,
    kernels_about: String,
    kernels_ms: String,
    provenance: Vec<Fact>,
    command: Vec<String>,
}

impl Page {
    /// Of a report whose pictures are ready: those of its mistakes, and of samples and augmented rows; `behind` more are for the script.
    pub fn new(
        report: &Report,
        charts: &[Chart],
        of_mistakes: &[String],
        fixed: Vec<Vec<String>>,
        behind: usize,
    ) -> Self {
        let Report { classes, assessment, .. } = *report;
        let pictured = |(mistake, src): (&Mistake, &String)| Pictured { src: src.clone(), mistake: mistake.clone() };
        let shown = std::iter::once(&report.samples).chain(&report.augmented);
        let mut pictures = shown.zip(fixed).map(|(row, addresses)| {
            let picture = |(shown, src): (&super::Shown, String)| Picture { src, caption: shown.caption.clone() };
            row.iter().zip(addresses).map(picture).collect::<Vec<Picture>>()
        });
        let samples = pictures.next().unwrap_or_default();
        let right: u64 = (0..classes.len()).map(|class| assessment.evaluation.confusion[class][class]).sum();
        let (kernels, kernels_about, kernels_ms) = kernels(&report.kernels);
        Self {
            title: report.title.clone(),
            made: report.made.clone(),
            headlines: headlines(report),
            summary: report.summary.clone(),
            caveats: assessment.caveats.iter().map(|caveat| capital(caveat)).collect(),
            charts: charts.iter().map(|chart| curve(chart, report.side)).collect(),
            epochs: epochs(report.history),
            side: report.side,
            measured: if assessment.images == "all" {
                "images".into()
            } else {
                format!("{} images", assessment.images)
            },
            matrix: confusion::drawing(classes, &assessment.evaluation.confusion).inline("group", "Confusion matrix"),
            classes: self::classes(classes, assessment),
            count: assessment.count,
            behind,
            per_cell: PER_CELL,
            in_all: IN_ALL,
            diagrams: diagrams(report),
            calibration: calibration(assessment),
            wrong: assessment.count as u64 - right,
            mistakes: report.mistakes.iter().zip(of_mistakes).map(pictured).collect(),
            samples,
            augmented: pictures.collect(),
            parameters: with_separators(report.layers.iter().map(|layer| layer.parameters).sum::<usize>()),
            layers: report.layers.iter().map(LayerRow::new).collect(),
            kernels,
            kernels_about,
            kernels_ms,
            provenance: report.provenance.clone(),
            command: report.command.clone(),
        }
    }
}

/// A sentence with a capital and a full stop.
fn capital(sentence: &str) -> String {
    let mut letters = sentence.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

fn headlines(report: &Report) -> Vec<Headline> {
    let scores = &report.assessment.evaluation;
    let (low, high) = scores.accuracy_95;
    let interval = format!("{:.1} to {} with 95\u{a0}% confidence", 100.0 * low, percent(high));
    let mut headlines = vec![
        Headline { name: "Accuracy", value: percent(scores.accuracy), note: interval },
        Headline {
            name: "Balanced accuracy",
            value: percent(scores.balanced_accuracy),
            note: "as if all classes were equally frequent".into(),
        },
        Headline { name: "Macro F1", value: format!("{:.3}", scores.macro_f1), note: "mean over the classes".into() },
    ];
    if let Some(found) = &report.assessment.calibration {
        let note = format!("{} with temperature {:.3}", percent(found.ece_after), found.temperature);
        headlines.push(Headline { name: "Calibration error", value: percent(found.ece), note });
    }
    if let Some(best) = report.history.best() {
        let note = format!("of {}, chosen by the {} set", report.history.epochs.len(), report.side);
        headlines.push(Headline { name: "Best epoch", value: best.epoch.to_string(), note });
    }
    headlines
}

fn curve(chart: &Chart, set: &str) -> Curve {
    let label = format!("{} over the epochs, training and {set} set", chart.title);
    Curve { key: chart.key, svg: chart.drawing.inline("img", &label) }
}

fn epochs(history: &History) -> Vec<[String; 6]> {
    let row = |record: &EpochRecord| {
        let [loss, accuracy, val_loss, val_accuracy] =
            [record.loss, record.accuracy, record.val_loss, record.val_accuracy].map(|value| format!("{value:.4}"));
        [record.epoch.to_string(), loss, accuracy, val_loss, val_accuracy, format!("{:.1}", record.seconds)]
    };
    let rows = if history.epochs.len() <= MOST_ROWS { &history.epochs[..] } else { &[] };
    rows.iter().map(row).collect()
}

fn classes(names: &[String], assessment: &Assessment) -> Vec<Class> {
    let class = |(number, name): (usize, &String)| {
        let scores = &assessment.evaluation.per_class[number];
        let [precision, recall, f1] = [scores.precision, scores.recall, scores.f1].map(|score| format!("{score:.3}"));
        Class { number, name: name.clone(), support: scores.support, precision, recall, f1 }
    };
    names.iter().enumerate().map(class).collect()
}

fn diagrams(report: &Report) -> Vec<String> {
    let (Some([before, after]), Some(found)) = (report.bins(), &report.assessment.calibration) else {
        return Vec::new();
    };
    let diagrams = reliability::diagrams(&before, &after, found);
    let inline = |(title, drawing): &(String, Drawing)| drawing.inline("img", &format!("Reliability diagram. {title}"));
    diagrams.iter().map(inline).collect()
}

fn calibration(assessment: &Assessment) -> Vec<String> {
    let Some(found) = &assessment.calibration else {
        return vec!["No image has finite scores, so that nothing can be said of its confidence.".into()];
    };
    let on = if found.fitted_on == "all" { "these" } else { found.fitted_on };
    vec![
        format!(
            "Expected calibration error over {} bins: {} as the network is, {} with the temperature.",
            found.bins,
            percent(found.ece),
            percent(found.ece_after)
        ),
        format!(
            "Temperature {:.3}, fitted on {} {on} images; it changes no decision. Negative log-likelihood {:.4} before, {:.4} after.",
            found.temperature, found.fitted_images, found.nll, found.nll_after
        ),
    ]
}

fn kernels(timed: &Result<Kernels, String>) -> (Vec<KernelRow>, String, String) {
    let timed = match timed {
        Ok(timed) => timed,
        Err(why) => return (Vec::new(), capital(why), String::new()),
    };
    let sum: f64 = timed.calls.iter().map(|call| call.seconds).sum();
    let most = timed.calls.iter().map(|call| call.seconds).fold(0.0, f64::max);
    let row = |call: &super::Kernel| KernelRow {
        layer: call.layer.clone(),
        contract: call.contract.clone(),
        implementation: call.implementation.clone(),
        ms: format!("{:.3}", 1e3 * call.seconds),
        percent: format!("{:.1}", 1e2 * call.seconds / sum.max(1e-12)),
        fraction: format!("{:.3}", call.seconds / most.max(1e-12)),
        gflops: format!("{:.1}", call.flops / call.seconds.max(1e-12) / 1e9),
        gigabytes: format!("{:.1}", call.bytes / call.seconds.max(1e-12) / 1e9),
    };
    (timed.calls.iter().map(row).collect(), capital(&timed.about), format!("{:.3}", 1e3 * sum))
}

/// What the script reads.
#[derive(Serialize)]
struct ScriptData<'a> {
    charts: &'a [Chart],
    classes: &'a [String],
    /// Images behind a cell: number, confidence and address.
    cells: BTreeMap<String, Vec<(u32, String, &'a str)>>,
}

/// What the script reads, as JSON that may stand in a script element.
///
/// # Errors
/// What serde_json finds; nothing in a page should.
pub fn script_data(charts: &[Chart], classes: &[String], behind: &[(Prediction, &str)]) -> serde_json::Result<String> {
    let mut cells: BTreeMap<String, Vec<(u32, String, &str)>> = BTreeMap::new();
    for (prediction, src) in behind {
        let cell = cells.entry(format!("{}-{}", prediction.label, prediction.predicted)).or_default();
        cell.push((prediction.image, confidence(prediction.confidence), src));
    }
    let text = serde_json::to_string(&ScriptData { charts, classes, cells })?;
    // neither `</script>` nor `<!--` may end the element or hide its end (HTML, 4.12.1.3), wherever a name brings them along
    Ok(text.replace('<', "\\u003c"))
}

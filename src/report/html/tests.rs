//! Pages of runs that are small, large, hostile and perfect.

use super::*;
use crate::report::thumbnail::tests::decoded;
use crate::train::history::EpochRecord;
use crate::train::metrics::Evaluation;
use std::collections::BTreeSet;

/// What a page is made of.
struct Run {
    classes: Vec<String>,
    history: History,
    assessment: Assessment,
    scored: Scored,
    pixels: Vec<u8>,
    size: (usize, usize),
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|class| format!("class {class}")).collect()
}

impl Run {
    /// Images of these true and predicted classes, each with some confidence.
    fn new(classes: Vec<String>, outcomes: &[(u32, usize, f32)]) -> Self {
        let count = classes.len();
        let row = |&(_, predicted, sure): &(u32, usize, f32)| -> Vec<f32> {
            let rest = (1.0 - sure) / (count - 1) as f32;
            (0..count).map(|class| if class == predicted { sure } else { rest }).collect()
        };
        let labels: Vec<u32> = outcomes.iter().map(|outcome| outcome.0).collect();
        let probabilities: Vec<f32> = outcomes.iter().flat_map(row).collect();
        let evaluation = Evaluation::new(&classes, &labels, &probabilities).unwrap();
        let images = (0..outcomes.len() as u32).collect();
        let scored = Scored { classes: count, images, labels, probabilities };
        let calibration = crate::train::calibration::Calibration::new(scored.scores(), scored.scores(), "test");
        let caveats = vec!["they <b>flatter</b>".to_owned()];
        let (images, chosen_by) = ("test", Default::default());
        let assessment =
            Assessment { images, count: outcomes.len(), epochs: 1, chosen_by, caveats, evaluation, calibration };
        let record = |epoch| EpochRecord {
            epoch,
            loss: 0.75,
            accuracy: 0.5,
            val_loss: f32::NAN,
            val_accuracy: 0.625,
            seconds: 1.5,
        };
        let history = History { epochs: vec![record(1), record(2)] };
        Self { classes, history, assessment, scored, pixels: vec![90; 4 * 5 * 3], size: (4, 5) }
    }

    fn html(&self, kernels: std::result::Result<Kernels, String>) -> String {
        let shown = || Shown { pixels: self.pixels.clone(), caption: self.classes[0].clone() };
        let report = Report {
            title: self.classes[0].clone(),
            made: "today".into(),
            summary: vec![Fact::new("Data", &self.classes[0])],
            classes: &self.classes,
            history: &self.history,
            side: "test",
            assessment: &self.assessment,
            scored: &self.scored,
            mistakes: chosen::mistakes(&self.scored.predictions(), &self.classes),
            samples: vec![shown()],
            augmented: vec![vec![shown(), shown()]],
            layers: vec![Layer { name: "dense".into(), output: vec![7, 9], parameters: 12_345 }],
            kernels,
            provenance: vec![Fact::new("Seed", 17)],
            command: vec!["galaxy-gpu".into(), self.classes[0].clone()],
            size: self.size,
            image: &|_| &self.pixels,
        };
        report.html().unwrap()
    }
}

fn no_kernels() -> std::result::Result<Kernels, String> {
    Err("no clock".into())
}

/// Holds a page to what every HTML page is: elements that are closed in the order they were opened. The script's and style's text
/// is not looked into.
fn check_structure(html: &str) -> BTreeSet<String> {
    const VOID: [&str; 5] = ["meta", "img", "br", "line", "circle"];
    assert!(html.starts_with("<!DOCTYPE html>"));
    let mut rest = &html["<!DOCTYPE html>".len()..];
    let (mut open, mut ids): (Vec<String>, BTreeSet<String>) = (Vec::new(), BTreeSet::new());
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        // attributes hold no '>' as the template escapes it
        let tag = &rest[..rest.find('>').unwrap()];
        rest = &rest[tag.len() + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "closed before: {}", &rest[..rest.len().min(80)]);
            continue;
        }
        let name = tag.split_whitespace().next().unwrap().trim_end_matches('/');
        if let Some(id) = tag.split(" id=\"").nth(1) {
            assert!(ids.insert(id.split('"').next().unwrap().to_owned()), "the id of {tag} is there twice");
        }
        if ["script", "style"].contains(&name) {
            rest = &rest[rest.find(&format!("</{name}>")).unwrap()..];
        }
        if !tag.ends_with('/') && !VOID.contains(&name) {
            open.push(name.to_owned());
        }
    }
    assert!(open.is_empty(), "{open:?} stay open");
    ids
}

/// What the script reads.
fn data(html: &str) -> serde_json::Value {
    let start = "<script type=\"application/json\" id=\"data\">";
    let text = html.split(start).nth(1).unwrap();
    serde_json::from_str(&text[..text.find("</script>").unwrap()]).unwrap()
}

#[test]
fn a_page_holds_everything_and_asks_for_nothing() {
    let run = Run::new(names(3), &[(0, 0, 0.9), (0, 1, 0.8), (1, 1, 0.7), (2, 2, 0.6), (2, 0, 0.95)]);
    let (contract, implementation) = ("conv_block.forward".into(), "llvmpipe".into());
    let (seconds, flops, bytes) = (0.002, 4e9, 2e9);
    let kernel = Kernel { layer: "conv2d".into(), contract, implementation, seconds, flops, bytes };
    let html = run.html(Ok(Kernels { about: "a step".into(), calls: vec![kernel] }));
    let ids = check_structure(&html);
    for section in "summary curves confusion classes calibration mistakes samples model kernels reproduce".split(' ') {
        assert!(ids.contains(section) && html.contains(&format!("href=\"#{section}\"")), "{section}");
    }
    for wanted in
        ["60.0\u{a0}%", "12,345", "7 × 9", "2.000", "2000.0", "1000.0", "conv_block.forward", "2 of 5 test images"]
    {
        assert!(html.contains(wanted), "{wanted}");
    }
    assert!(html.contains("True class 2, predicted class 0: 1 image, 50.0\u{a0}% of the row"));
    for outside in ["http:", "https:", "url(", "@import", "src=\"/", "<link", "<iframe"] {
        assert!(!html.contains(outside), "{outside}");
    }
    let data = data(&html);
    assert_eq!(data["charts"][0]["series"][0]["values"], serde_json::json!([0.5, 0.5]));
    assert_eq!(data["charts"][1]["series"][1]["values"], serde_json::json!([null, null]), "a loss that is no number");
    let cell = &data["cells"]["2-0"];
    assert_eq!((&cell[0][0], &cell[0][1]), (&serde_json::json!(4), &serde_json::json!("95.0\u{a0}%")));
    assert_eq!(decoded(cell[0][2].as_str().unwrap()).dimensions(), (5, 4));
    assert_eq!(data["cells"].as_object().unwrap().len(), 5);
    let positions = ["image&nbsp;4<", "image&nbsp;1<"].map(|caption| html.find(caption).unwrap());
    assert!(positions[0] < positions[1], "the surest mistake comes first");
}

#[test]
fn hostile_names_stay_text() {
    let hostile = [
        "</script><script>alert(1)</script>",
        "<!--<script>\" onload='alert(2)'",
        "{{ page }}{% raw %}\u{202e}&amp;\u{2028}",
    ];
    let run = Run::new(hostile.map(String::from).to_vec(), &[(0, 1, 0.9), (1, 2, 0.8), (2, 2, 0.7)]);
    let html = run.html(Err(hostile[0].into()));
    check_structure(&html);
    assert_eq!(html.matches("<script").count(), 2, "the data's and the page's own");
    assert_eq!(html.matches("</script").count(), 2);
    assert!(!html.contains("<!--") && !html.contains("<b>flatter"));
    assert!(html.contains("&lt;&#x2f;script&gt;&lt;script&gt;alert(1)"), "escaped, and there");
    assert_eq!(data(&html)["classes"], serde_json::json!(hostile), "the script sees them as they are");
}

#[test]
fn no_mistakes_no_scores_no_kernels_and_many_classes_are_pages() {
    let perfect = Run::new(names(2), &[(0, 0, 0.9), (1, 1, 0.8)]).html(no_kernels());
    check_structure(&perfect);
    assert!(perfect.contains("None of 2 test images is mistaken.") && perfect.contains("No clock."));

    let mut lost = Run::new(names(2), &[(0, 0, f32::NAN), (1, 1, f32::NAN)]);
    lost.history.epochs.clear();
    let lost = lost.html(no_kernels());
    check_structure(&lost);
    assert!(lost.contains("nothing can be said of its confidence") && lost.contains("not a number"));

    let long: Vec<String> = (0..40).map(|class| format!("{class} {}", "long name ".repeat(30))).collect();
    let outcomes: Vec<(u32, usize, f32)> = (0..4000).map(|i| (i % 40, (i as usize / 40) % 40, 0.5)).collect();
    let html = Run::new(long, &outcomes).html(no_kernels());
    check_structure(&html);
    assert_eq!(html.matches("data-cell=").count(), 1600);
    let data = data(&html);
    let cells = data["cells"].as_object().unwrap();
    let behind: usize = cells.values().map(|cell| cell.as_array().unwrap().len()).sum();
    assert_eq!(behind, chosen::IN_ALL);
    assert!(html.contains(&format!("Of the 4000 test images, {} stand behind the cells", chosen::IN_ALL)));
}

/// Bytes that no compressor makes smaller: those of a linear congruential generator (Knuth's MMIX).
fn noise(count: usize) -> Vec<u8> {
    let next =
        |state: &u64| Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
    std::iter::successors(Some(1), next).map(|state| (state >> 56) as u8).take(count).collect()
}

#[test]
fn a_page_stays_small_whatever_its_images_are() {
    let outcomes: Vec<(u32, usize, f32)> = (0..4000).map(|i| (i % 40, (i as usize / 40) % 40, 0.5)).collect();
    let mut run = Run::new(names(40), &outcomes);
    // noise is what JPEG is worst at
    run.size = (128, 128);
    run.pixels = noise(128 * 128 * 3);
    let html = run.html(no_kernels());
    let images: usize = html.split("data:image/jpeg").skip(1).map(|part| part.find('"').unwrap() + 15).sum();
    assert!(images <= MOST_IMAGE_BYTES && images > MOST_IMAGE_BYTES * 9 / 10, "{images}");
    let data = data(&html);
    let cells = data["cells"].as_object().unwrap();
    let behind: usize = cells.values().map(|cell| cell.as_array().unwrap().len()).sum();
    assert!(behind < chosen::IN_ALL && html.contains(&format!("test images, {behind} stand behind the cells")));
}

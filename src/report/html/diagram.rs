//! Where the bars of a reliability diagram stand in an SVG.
//!
//! It reads bins and knows neither the page nor how they were counted.

use super::chart::place;
use crate::train::calibration::Bin;
use serde::Serialize;

/// Left edge and side of the plot, in the units of the diagram's `viewBox` of 360 x 432.
const LEFT: f64 = 44.0;
const SIDE: f64 = 300.0;
const TOP: f64 = 8.0;
/// Top and height of the counts.
const COUNTS: (f64, f64) = (322.0, 60.0);

/// One bin with images: edges and heights of its bar, of the gap to its confidence, and of its count.
#[derive(Serialize)]
pub struct Bar {
    x: f64,
    width: f64,
    y: f64,
    height: f64,
    gap_y: f64,
    gap_height: f64,
    /// Where the confidence is from the bar's end: `above` or `below`.
    gap_side: &'static str,
    count_y: f64,
    count_height: f64,
    words: String,
}

/// A panel.
#[derive(Serialize)]
pub struct Diagram {
    title: String,
    bars: Vec<Bar>,
    /// Places of 0, 0.2, ... 1 along x and y, with their labels.
    ticks: Vec<(f64, f64, String)>,
    most: usize,
}

impl Diagram {
    /// Of bins from 0 to 1, all of one width.
    pub fn new(title: String, bins: &[Bin]) -> Self {
        let most = bins.iter().map(|bin| bin.count).max().unwrap_or(0);
        let width = SIDE / bins.len().max(1) as f64;
        let y = |share: f64| place(TOP + SIDE * (1.0 - share));
        let bar = |(index, bin): (usize, &Bin)| {
            let (confidence, accuracy) = bin.means()?;
            let count_height = place((COUNTS.1 * bin.count as f64 / most as f64).max(1.0));
            let images = if bin.count == 1 { "image" } else { "images" };
            Some(Bar {
                x: place(LEFT + index as f64 * width + 1.0),
                width: place(width - 2.0),
                y: y(accuracy),
                height: place(SIDE * accuracy),
                gap_y: y(confidence.max(accuracy)),
                gap_height: place(SIDE * (confidence - accuracy).abs()),
                gap_side: if confidence > accuracy { "above" } else { "below" },
                count_y: place(COUNTS.0 + COUNTS.1 - count_height),
                count_height,
                words: format!(
                    "{} {images}, confidence {:.1} %, right {:.1} %",
                    bin.count,
                    1e2 * confidence,
                    1e2 * accuracy
                ),
            })
        };
        let bars = bins.iter().enumerate().filter_map(bar).collect();
        let tick = |step: u32| {
            let share = f64::from(step) / 5.0;
            (place(LEFT + SIDE * share), y(share), format!("{share:.1}"))
        };
        Self { title, bars, ticks: (0..=5).map(tick).collect(), most }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_and_gaps_meet_at_the_share_that_is_right() {
        let bins = [Bin::default(), Bin { count: 4, confidence: 3.6, hits: 2.0 }];
        let unsure = [Bin { count: 4, confidence: 2.0, hits: 3.0 }];
        let diagram = Diagram::new("title".into(), &bins);
        let [bar] = &diagram.bars[..] else { panic!("an empty bin has no bar") };
        assert_eq!((bar.x, bar.width), (LEFT + SIDE / 2.0 + 1.0, SIDE / 2.0 - 2.0));
        assert_eq!((bar.height, bar.gap_height), (SIDE * 0.5, SIDE * 0.4));
        assert_eq!((bar.y, bar.gap_y + bar.gap_height), (TOP + SIDE * 0.5, bar.y));
        assert_eq!((bar.gap_side, Diagram::new(String::new(), &unsure).bars[0].gap_side), ("above", "below"));
        assert_eq!((bar.count_y, bar.count_height), COUNTS);
        assert_eq!(bar.words, "4 images, confidence 90.0 %, right 50.0 %");
        assert!(Diagram::new(String::new(), &[]).bars.is_empty());
    }
}

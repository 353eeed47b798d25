//! What the options do to the result, and what they do not.

use super::{Desk, SIDE, pixels, probabilities, rows, save};
use crate::common::{Device, on_every_device};
use galaxy_gpu::catalogue::views;

on_every_device!(neither_batch_size_nor_place_in_the_batch_changes_a_bit);

fn neither_batch_size_nor_place_in_the_batch_changes_a_bit(device: Device) {
    let desk = Desk::new();
    desk.galaxies("in", 21);
    let run = |batch: usize| {
        let line = format!("classify RUN0 in --device {device} --batch {batch} --out t.csv --force --quiet");
        let (code, said, notes) = desk.ended(&line);
        assert_eq!((code, &said[..]), (0, ""), "{notes}");
        desk.text("t.csv")
    };
    let whole = run(64);
    for batch in [1, 2, 7, 16] {
        assert_eq!(run(batch), whole, "batch {batch} on {device}");
    }
}

#[test]
fn a_low_confidence_names_no_class() {
    let desk = Desk::new();
    desk.galaxies("in", 20);
    desk.classify(0, "RUN0 in --out all.csv");
    let all = rows(&desk.text("all.csv"));
    let mut confidences: Vec<f32> = all.iter().map(|row| row["confidence"].parse().unwrap()).collect();
    confidences.sort_by(f32::total_cmp);
    let limit = confidences[7];
    assert!(confidences[6] < limit, "ties would blur the test");
    let said = desk.classify(0, &format!("RUN0 in --out sure.csv --min-confidence {limit}"));
    assert_eq!(said, "20 classified (7 below --min-confidence), 0 failed; see sure.csv");
    for (row, sure) in all.iter().zip(rows(&desk.text("sure.csv"))) {
        let wanted = if row["confidence"].parse::<f32>().unwrap() < limit { "" } else { &row["class"] };
        assert_eq!((&sure["class"][..], &sure["status"][..]), (wanted, "ok"));
        assert_eq!(probabilities(row), probabilities(&sure));
    }
}

on_every_device!(eight_views_do_not_see_how_an_image_is_turned);

/// The mean of all views is that of any view's views: to the bit, as they are added by size.
fn eight_views_do_not_see_how_an_image_is_turned(device: Device) {
    let desk = Desk::new();
    for number in 0..3 {
        for turn in 0..views::ALL {
            save(&desk.path(&format!("in/{number}/{turn}.png")), views::view(&pixels(number), SIDE, turn));
        }
    }
    let line = format!("classify RUN0 in --device {device} --batch 20 --force");
    assert_eq!(desk.ended(&format!("{line} --out one.csv")).0, 0);
    assert_eq!(desk.ended(&format!("{line} --out eight.csv --views 8")).0, 0);
    let (one, eight) = (rows(&desk.text("one.csv")), rows(&desk.text("eight.csv")));
    for (one, eight) in one.chunks(views::ALL).zip(eight.chunks(views::ALL)) {
        assert!(one.iter().any(|row| probabilities(row) != probabilities(&one[0])), "the network sees turns");
        let all: Vec<f32> = one.iter().flat_map(probabilities).collect();
        let mean = views::mean(&all, 10);
        assert!(eight.iter().all(|row| probabilities(row) == mean), "{device}");
    }
}

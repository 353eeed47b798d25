//! Decodes items on all cores while the device classifies earlier ones, and hands them on in order.
//!
//! **Memory**: three lots (being decoded, waiting, being classified), each of at most one submission's images and [`MOST_ROWS`]
//! rows; and what decoding takes (`data::picture`).

use super::earlier::Earlier;
use super::{Row, views};
use crate::data::items::ItemPicture;
use crate::data::{Item, Items};
use rayon::prelude::*;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Most rows of a lot: rows of an earlier job have no images that would bound it.
const MOST_ROWS: usize = 4096;

/// An item of a lot.
pub(super) enum Entry {
    /// An earlier job has its row (`kept`), or it has no pixels.
    Done { row: Row, kept: bool },
    /// To be classified from these views.
    Views(Row, Vec<Vec<u8>>),
}

/// Some items in order.
pub(super) struct Lot {
    pub entries: Vec<Entry>,
    /// Whether no rows of an earlier job are left.
    pub spent: bool,
    /// Number of items that follow, where known.
    pub left: Option<u64>,
    /// What the user should know.
    pub notes: Vec<String>,
    /// Whether this is the last lot.
    pub last: bool,
}

impl Lot {
    /// All images, views of one item after the other.
    pub fn images(&self) -> Vec<&[u8]> {
        let views = self.entries.iter().filter_map(|entry| match entry {
            Entry::Views(_, views) => Some(views),
            Entry::Done { .. } => None,
        });
        views.flatten().map(|view| &view[..]).collect()
    }

    /// Frees the images when the device has them.
    pub fn forget_pixels(&mut self) {
        for entry in &mut self.entries {
            if let Entry::Views(_, views) = entry {
                *views = Vec::new();
            }
        }
    }
}

/// Where items come from and how they become images.
pub(super) struct Feed {
    pub items: Items,
    pub earlier: Option<Earlier>,
    /// Rows and columns of an image.
    pub size: (usize, usize),
    pub views: usize,
    /// Most images of a lot, counting views; one item may have more.
    pub capacity: usize,
}

impl Feed {
    /// Starts a thread that decodes until the last lot, or until the receiver is dropped. Nobody waits for its end: a large HDF5
    /// file may take minutes to open.
    pub fn start(self) -> std::io::Result<Receiver<Lot>> {
        let (sender, receiver) = sync_channel(1);
        std::thread::Builder::new().name("feed".into()).spawn(move || self.run(&sender))?;
        Ok(receiver)
    }

    fn run(mut self, sender: &SyncSender<Lot>) {
        loop {
            let lot = self.lot();
            let last = lot.last;
            if sender.send(lot).is_err() || last {
                return;
            }
        }
    }

    fn lot(&mut self) -> Lot {
        let most = (self.capacity / self.views).max(1);
        let (mut found, mut fresh, mut last) = (Vec::new(), 0, false);
        while fresh < most && found.len() < MOST_ROWS {
            let Some(item) = self.items.next() else {
                last = true;
                break;
            };
            let kept = self.earlier.as_mut().and_then(|earlier| earlier.take(&item.about));
            let kept = kept.filter(|row| row.outcome.is_ok());
            fresh += usize::from(kept.is_none());
            found.push((item, kept));
        }
        let (size, views) = (self.size, self.views);
        let entry = |(item, kept): (Item, Option<Row>)| match kept {
            Some(row) => Entry::Done { row, kept: true },
            None => decode(item, size, views),
        };
        let entries = found.into_par_iter().with_max_len(4).map(entry).collect();
        if self.earlier.as_ref().is_some_and(Earlier::is_spent) {
            self.earlier = None;
        }
        let (spent, left, notes) = (self.earlier.is_none(), self.items.left(), self.items.notes());
        Lot { entries, spent, left, notes, last }
    }
}

fn decode(item: Item, (height, width): (usize, usize), views: usize) -> Entry {
    match item.read(height, width) {
        Err(reason) => {
            // The reason may quote a file, and rows are lines.
            let reason = reason.replace(char::is_control, "\u{fffd}");
            Entry::Done { row: Row { about: item.about, outcome: Err(reason) }, kept: false }
        }
        Ok(ItemPicture { pixels, sky }) => {
            let mut about = item.about;
            if let (Some(sky), None, None) = (sky, about.ra, about.dec) {
                (about.ra, about.dec) = (Some(sky.ra), Some(sky.dec));
            }
            let turned = match views {
                1 => vec![pixels],
                _ => (0..views).map(|number| views::view(&pixels, height, number)).collect(),
            };
            Entry::Views(Row { about, outcome: Ok(Vec::new()) }, turned)
        }
    }
}

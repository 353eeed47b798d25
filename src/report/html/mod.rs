//! `report.html`: a run on one page that needs no network, no server and no other file.
//!
//! Plain numbers, words and bytes go in, text comes out. Names of classes and files come from strangers: the template escapes all
//! of them (minijinja's HTML escaping), and the numbers for the script are JSON without `<`. The page forbids itself every
//! request by a content security policy.

mod view;

use super::chosen::{self, Mistake};
use super::{curves, drawing, thumbnail};
use crate::error::{Error, Result};
use crate::files::write_whole;
use crate::train::calibration::Bin;
use crate::train::history::History;
use crate::train::{Assessment, Prediction, Scored};
use minijinja::value::{Serde, Value};
use minijinja::{Environment, context};
use rayon::prelude::*;
use serde::Serialize;
use std::path::Path;

/// Most bytes of images in a page, in base64. Where more are to be shown, those behind cells that come last are left out.
pub const MOST_IMAGE_BYTES: usize = 4 << 20;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// A name and what is said of it.
#[derive(Clone, Debug, Serialize)]
pub struct Fact {
    /// The name.
    pub name: String,
    /// What is said.
    pub text: String,
}

impl Fact {
    /// A fact.
    pub fn new(name: &str, text: impl ToString) -> Self {
        Self { name: name.to_owned(), text: text.to_string() }
    }
}

/// A layer of the network.
#[derive(Clone, Debug, Serialize)]
pub struct Layer {
    /// Its name.
    pub name: String,
    /// Sizes of one output.
    pub output: Vec<usize>,
    /// Numbers that it learns.
    pub parameters: usize,
}

/// A call of a kernel in a step.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// For which layer.
    pub layer: String,
    /// What it computes.
    pub contract: String,
    /// Which of its implementations.
    pub implementation: String,
    /// Median seconds.
    pub seconds: f64,
    /// Additions and multiplications.
    pub flops: f64,
    /// Bytes read and written.
    pub bytes: f64,
}

/// Times of a step's kernels.
#[derive(Clone, Debug)]
pub struct Kernels {
    /// What was timed and how, in words.
    pub about: String,
    /// In the order of the step.
    pub calls: Vec<Kernel>,
}

/// An image with words under it.
pub struct Shown {
    /// `height x width x 3` bytes.
    pub pixels: Vec<u8>,
    /// The words.
    pub caption: String,
}

/// Everything that a page says.
pub struct Report<'a> {
    /// The heading.
    pub title: String,
    /// When it was made, in words.
    pub made: String,
    /// The run in a few facts.
    pub summary: Vec<Fact>,
    /// Names of the classes.
    pub classes: &'a [String],
    /// Numbers of each epoch.
    pub history: &'a History,
    /// Which set chose the best epoch: `test` or `validation`.
    pub side: &'static str,
    /// What was measured.
    pub assessment: &'a Assessment,
    /// The same, image by image.
    pub scored: &'a Scored,
    /// What it is surest of and wrong.
    pub mistakes: Vec<Mistake>,
    /// Some training images.
    pub samples: Vec<Shown>,
    /// Rows of a training image and what became of it; none where images are not augmented.
    pub augmented: Vec<Vec<Shown>>,
    /// The network.
    pub layers: Vec<Layer>,
    /// Times of its kernels, or why there are none.
    pub kernels: std::result::Result<Kernels, String>,
    /// Where it ran and what else decides its numbers.
    pub provenance: Vec<Fact>,
    /// The words of the command that makes the run again.
    pub command: Vec<String>,
    /// Rows and columns of an image.
    pub size: (usize, usize),
    /// Bytes of an image by its place in the data set: `height x width x 3`.
    pub image: &'a (dyn Fn(u32) -> &'a [u8] + Sync),
}

impl Report<'_> {
    /// The bins before and after the temperature; `None` where nothing could be calibrated.
    pub fn bins(&self) -> Option<[Vec<Bin>; 2]> {
        let temperature = self.assessment.calibration.as_ref()?.temperature;
        Some([1.0, temperature].map(|temperature| self.scored.scores().bins(temperature).to_vec()))
    }

    /// The page's text.
    ///
    /// # Errors
    /// [`Error::Data`] where the template does not suit what it is given, which its tests meet.
    pub fn html(&self) -> Result<String> {
        let failed = |e: &dyn std::fmt::Display| Error::data("report.html", e.to_string(), "please report this");
        let predictions = self.scored.predictions();
        let behind = chosen::behind_cells(&predictions);
        let images = self.mistakes.iter().map(|mistake| mistake.image).chain(behind.iter().map(|shown| shown.image));
        let images: Vec<u32> = images.collect();
        let addresses: Vec<String> = images.par_iter().map(|&image| self.address(image)).collect();
        let (of_wrong, of_behind) = addresses.split_at(self.mistakes.len());
        let fixed = self.fixed_pictures();
        let used = of_wrong.iter().chain(fixed.iter().flatten()).map(String::len).sum::<usize>();
        let behind = within(MOST_IMAGE_BYTES.saturating_sub(used), &behind, of_behind);
        let charts = curves::charts(self.history, self.side);
        let data = view::script_data(&charts, self.classes, &behind).map_err(|e| failed(&e))?;
        let page = view::Page::new(self, &charts, of_wrong, fixed, behind.len());
        let mut environment = Environment::new();
        environment.add_template("page.html", PAGE).map_err(|e| failed(&e))?;
        let template = environment.get_template("page.html").map_err(|e| failed(&e))?;
        let data = Value::from_safe_string(data);
        let [style, script] = [format!("{}{STYLE}", drawing::STYLE), SCRIPT.to_owned()].map(Value::from_safe_string);
        let text = template.render(context!(page => Value::from(Serde(page)), data, style, script));
        text.map_err(|e| failed(&e))
    }

    /// Writes the page whole.
    ///
    /// # Errors
    /// As [`Report::html`]; a file that cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        write_whole(path, self.html()?.as_bytes())
    }

    fn address(&self, image: u32) -> String {
        thumbnail::data_address((self.image)(image), self.size).unwrap_or_default()
    }

    /// Addresses of the samples, then of each row of augmented ones.
    fn fixed_pictures(&self) -> Vec<Vec<String>> {
        let rows: Vec<&Vec<Shown>> = std::iter::once(&self.samples).chain(&self.augmented).collect();
        let address = |shown: &Shown| thumbnail::data_address(&shown.pixels, self.size).unwrap_or_default();
        rows.par_iter().map(|row| row.iter().map(address).collect()).collect()
    }
}

/// The first pictures that fit into so many bytes.
fn within<'p>(room: usize, shown: &[Prediction], addresses: &'p [String]) -> Vec<(Prediction, &'p str)> {
    let mut left = room;
    let fitting = shown.iter().zip(addresses).take_while(|(_, address)| {
        let fits = address.len() <= left;
        left = left.saturating_sub(address.len());
        fits
    });
    fitting.map(|(prediction, address)| (*prediction, &address[..])).collect()
}

#[cfg(test)]
mod tests;

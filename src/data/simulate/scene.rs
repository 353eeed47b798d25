//! A scene of light and dust, and its projection onto a grid of samples.
//!
//! The field of view is -1..1 on both axes, x to the right and y down, whatever the number of pixels; brightness is
//! that of [`super::light`]. A scene knows no classes, no seeing, no noise and no colours on a screen.

use super::light::Bands;
use super::profile;
use super::spiral::Arms;

/// Light fainter than this (nanomaggies per reference pixel, a tenth of the sky noise) is not drawn.
const FAINTEST: f32 = 2e-4;
/// Softens the cusp of Sersic profiles, which no seeing resolves, in units of the field.
const SOFTENING: f32 = 0.006;
/// Extinction in g, r, z relative to r: Schlafly & Finkbeiner (2011, ApJ 737, 103) for DECam's filters.
const EXTINCTION: [f32; 3] = [3.214 / 2.165, 1.0, 1.211 / 2.165];

/// Where a component lies: its own plane, foreshortened across `v`, turned and moved to the image.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placement {
    /// Centre in the field.
    pub x: f32,
    /// Centre in the field.
    pub y: f32,
    cosine: f32,
    sine: f32,
    ratio: f32,
}

impl Placement {
    /// Centre, position angle of the major axis (radians) and apparent axis ratio.
    pub fn new(centre: (f32, f32), angle: f32, ratio: f32) -> Self {
        Self { x: centre.0, y: centre.1, cosine: angle.cos(), sine: angle.sin(), ratio }
    }

    /// The same centre and angle with another axis ratio.
    pub fn with_ratio(self, ratio: f32) -> Self {
        Self { ratio, ..self }
    }

    /// The same angle and axis ratio around another centre.
    pub fn moved(self, centre: (f32, f32)) -> Self {
        Self { x: centre.0, y: centre.1, ..self }
    }

    /// From the image to the component's plane.
    fn plane(&self, x: f32, y: f32) -> (f32, f32) {
        let (x, y) = (x - self.x, y - self.y);
        (x * self.cosine + y * self.sine, (y * self.cosine - x * self.sine) / self.ratio)
    }

    /// From the component's plane to the image.
    pub fn image(&self, u: f32, v: f32) -> (f32, f32) {
        let v = v * self.ratio;
        (self.x + u * self.cosine - v * self.sine, self.y + u * self.sine + v * self.cosine)
    }

    /// Half sides of the box around a circle of this radius in the plane.
    fn extent(&self, radius: f32) -> (f32, f32) {
        let (along, across) = (radius, radius * self.ratio);
        ((along * self.cosine).hypot(across * self.sine), (along * self.sine).hypot(across * self.cosine))
    }
}

/// A distribution of light in its own plane, relative to a reference brightness.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    /// Bulge or elliptical galaxy: reference at the effective radius.
    Sersic {
        /// Sersic's n.
        index: f32,
        /// [`profile::sersic_b`] of it.
        b: f32,
        /// Effective radius.
        radius: f32,
    },
    /// Exponential disc: reference at the centre.
    Disc {
        /// Scale length.
        length: f32,
    },
    /// The arms' share of a disc: reference at the centre of the disc's exponential.
    Arms {
        /// Scale length.
        length: f32,
        /// The pattern.
        arms: Arms,
    },
    /// Disc seen from its side: reference at the centre. Its plane is the image, so the placement's ratio is one.
    EdgeOn {
        /// Scale length.
        length: f32,
        /// Scale height.
        height: f32,
    },
    /// Bar in the plane of a disc: reference at the centre.
    Bar {
        /// Half length.
        length: f32,
        /// Half width.
        width: f32,
        /// Direction in the plane, radians.
        azimuth: f32,
    },
    /// Gaussian cloud: reference at the centre.
    Blob {
        /// Standard deviation.
        deviation: f32,
    },
}

impl Shape {
    /// A Sersic profile.
    pub fn sersic(index: f32, radius: f32) -> Self {
        Self::Sersic { index, b: profile::sersic_b(index), radius }
    }

    fn at(&self, u: f32, v: f32) -> f32 {
        let square = u * u + v * v;
        match self {
            Self::Sersic { index, b, radius } => {
                profile::sersic((square + SOFTENING * SOFTENING).sqrt() / radius, *index, *b)
            }
            Self::Disc { length } => profile::disc(square.sqrt() / length),
            Self::Arms { length, arms } => {
                let radius = square.sqrt();
                profile::disc(radius / length) * arms.strength(radius, v.atan2(u))
            }
            Self::EdgeOn { length, height } => {
                if v.abs() > 6.0 * height {
                    return 0.0;
                }
                profile::edge_on(u.abs() / length) * profile::sheet(v / height)
            }
            Self::Bar { length, width, azimuth } => {
                let (sine, cosine) = azimuth.sin_cos();
                let (along, across) = ((u * cosine + v * sine) / length, (v * cosine - u * sine) / width);
                profile::ferrers(along * along + across * across)
            }
            Self::Blob { deviation } => (-0.5 * square / (deviation * deviation)).exp(),
        }
    }

    /// Radius beyond which the shape stays below `fraction` of its reference brightness.
    fn reach(&self, fraction: f32) -> f32 {
        let decades = -fraction.min(1.0).ln();
        match self {
            Self::Sersic { index, b, radius } => radius * profile::sersic_reach(fraction, *index, *b),
            // The arms may be up to twice as bright as the bare disc, and edge_on decays a little later.
            Self::Disc { length } | Self::Arms { length, .. } | Self::EdgeOn { length, .. } => {
                length * (decades + 1.2).min(6.5)
            }
            Self::Bar { length, .. } => *length,
            Self::Blob { deviation } => deviation * (2.0 * decades).sqrt(),
        }
    }
}

/// One shape with its place and its light.
#[derive(Clone, Debug)]
pub(super) struct Component {
    /// Where.
    pub placement: Placement,
    /// What form.
    pub shape: Shape,
    /// Reference brightness.
    pub light: Bands,
}

/// Dust in front of the galaxy's light.
#[derive(Clone, Debug)]
pub(super) enum Dust {
    /// The dark lane along a disc seen from its side.
    Lane {
        /// Centre and direction, ratio one.
        placement: Placement,
        /// Scale length.
        length: f32,
        /// Scale height.
        height: f32,
        /// Optical depth in r at the centre.
        depth: f32,
    },
    /// Dust along the inner edges of spiral arms.
    Arms {
        /// The disc's.
        placement: Placement,
        /// Scale length.
        length: f32,
        /// The pattern.
        arms: Arms,
        /// Optical depth in r at the centre.
        depth: f32,
    },
}

impl Dust {
    /// Optical depth in r at a point of the image.
    fn depth(&self, x: f32, y: f32) -> f32 {
        match self {
            Self::Lane { placement, length, height, depth } => {
                let (u, v) = placement.plane(x, y);
                if v.abs() > 6.0 * height {
                    0.0
                } else {
                    depth * profile::disc(u.abs() / length) * profile::sheet(v / height)
                }
            }
            Self::Arms { placement, length, arms, depth } => {
                let (u, v) = placement.plane(x, y);
                let radius = u.hypot(v);
                if radius > 5.0 * length {
                    0.0
                } else {
                    depth * profile::disc(radius / length) * arms.strength(radius, v.atan2(u))
                }
            }
        }
    }
}

/// What a recent encounter did to a galaxy: its isophotes are bent, and one side is brighter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Disturbance {
    /// Largest displacement of a point, in the field's unit.
    pub bend: f32,
    /// Wave number of the bending, radians per unit.
    pub wave: f32,
    /// Phases of the bending along both axes.
    pub phases: (f32, f32),
    /// Centre of the galaxy.
    pub centre: (f32, f32),
    /// Amplitude (below 1), direction and radius of the lopsidedness (m = 1; Rix & Zaritsky 1995, ApJ 447, 82).
    pub lopsided: (f32, f32, f32),
}

impl Disturbance {
    /// Where the light at a point of the image came from, and the factor of its brightness.
    fn origin(&self, x: f32, y: f32) -> (f32, f32, f32) {
        let (amplitude, direction, radius) = self.lopsided;
        let (dx, dy) = (x - self.centre.0, y - self.centre.1);
        let side = (dx * direction.cos() + dy * direction.sin()) / radius;
        let bent_x = x + self.bend * ((self.wave * dy + self.phases.0).sin() - self.phases.0.sin());
        let bent_y = y + self.bend * ((self.wave * dx + self.phases.1).sin() - self.phases.1.sin());
        (bent_x, bent_y, 1.0 + amplitude * side / (1.0 + side * side).sqrt())
    }
}

/// A point source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Star {
    /// Place in the field.
    pub x: f32,
    /// Place in the field.
    pub y: f32,
    /// Total flux, nanomaggies.
    pub flux: Bands,
}

/// Everything in the field of view.
#[derive(Default)]
pub(super) struct Scene {
    /// The galaxy.
    pub galaxy: Vec<Component>,
    /// What bends the galaxy.
    pub disturbance: Option<Disturbance>,
    /// Dust in front of the galaxy.
    pub dust: Vec<Dust>,
    /// Small galaxies elsewhere in the field.
    pub field: Vec<Component>,
    /// Foreground stars.
    pub stars: Vec<Star>,
}

/// A square grid of samples: g, r, z of one sample after the other, row by row.
pub(super) struct Canvas {
    /// Samples along one side.
    pub side: usize,
    /// `side * side * 3` values.
    pub samples: Vec<f32>,
}

impl Canvas {
    /// A dark canvas.
    pub fn new(side: usize) -> Self {
        Self { side, samples: vec![0.0; side * side * 3] }
    }

    fn coordinate(&self, index: usize) -> f32 {
        (index as f32 + 0.5) * 2.0 / self.side as f32 - 1.0
    }

    /// Indices of the samples between two coordinates.
    fn window(&self, low: f32, high: f32) -> std::ops::Range<usize> {
        let index = |value: f32| (((value + 1.0) * 0.5 * self.side as f32).clamp(0.0, self.side as f32)) as usize;
        index(low)..(index(high) + 1).min(self.side)
    }

    fn add(&mut self, component: &Component, disturbance: Option<&Disturbance>) {
        let reach = component.shape.reach(FAINTEST / component.light.brightest());
        let (half_width, half_height) = component.placement.extent(reach);
        // Bending moves a point by at most twice the amplitude.
        let margin = disturbance.map_or(0.0, |it| 2.0 * it.bend);
        let (half_width, half_height) = (half_width + margin, half_height + margin);
        let columns = self.window(component.placement.x - half_width, component.placement.x + half_width);
        for row in self.window(component.placement.y - half_height, component.placement.y + half_height) {
            let y = self.coordinate(row);
            for column in columns.clone() {
                let x = self.coordinate(column);
                let (from_x, from_y, factor) = disturbance.map_or((x, y, 1.0), |it| it.origin(x, y));
                let (u, v) = component.placement.plane(from_x, from_y);
                let light = component.light * (component.shape.at(u, v) * factor);
                let at = (row * self.side + column) * 3;
                self.samples[at..at + 3].iter_mut().zip(light.0).for_each(|(sample, value)| *sample += value);
            }
        }
    }

    fn dim(&mut self, dust: &[Dust]) {
        if dust.is_empty() {
            return;
        }
        for row in 0..self.side {
            for column in 0..self.side {
                let (x, y) = (self.coordinate(column), self.coordinate(row));
                let depth: f32 = dust.iter().map(|it| it.depth(x, y)).sum();
                if depth > 1e-3 {
                    let at = (row * self.side + column) * 3;
                    let samples = self.samples[at..at + 3].iter_mut();
                    samples.zip(EXTINCTION).for_each(|(sample, ratio)| *sample *= (-depth * ratio).exp());
                }
            }
        }
    }

    /// A star falls on the four samples around it; the seeing spreads it later. `pixels` is the side of the reference
    /// picture, in which brightness counts per pixel.
    fn add_star(&mut self, star: &Star, pixels: f32) {
        let density = (self.side as f32 / pixels).powi(2);
        let place = |value: f32| (value + 1.0) * 0.5 * self.side as f32 - 0.5;
        let (column, row) = (place(star.x), place(star.y));
        for (dy, dx) in [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)] {
            let (x, y) = (column.floor() + dx, row.floor() + dy);
            let weight = (1.0 - (x - column).abs()) * (1.0 - (y - row).abs()) * density;
            if x >= 0.0 && y >= 0.0 && x < self.side as f32 && y < self.side as f32 {
                let at = (y as usize * self.side + x as usize) * 3;
                let samples = self.samples[at..at + 3].iter_mut();
                samples.zip(star.flux.0).for_each(|(sample, value)| *sample += value * weight);
            }
        }
    }
}

impl Scene {
    /// The light that arrives on a grid of `side` by `side` samples, before seeing and noise; `pixels` as in
    /// [`super::FIELD_PIXELS`].
    pub fn render(&self, side: usize, pixels: f32) -> Canvas {
        let mut canvas = Canvas::new(side);
        self.galaxy.iter().for_each(|component| canvas.add(component, self.disturbance.as_ref()));
        canvas.dim(&self.dust);
        self.field.iter().for_each(|component| canvas.add(component, None));
        self.stars.iter().for_each(|star| canvas.add_star(star, pixels));
        canvas
    }
}

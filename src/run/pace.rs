//! How fast a training goes at this moment, and how long the rest will take.
//!
//! It knows times and numbers of images. Times are given to it, in seconds since any moment, so that it can be tested.

/// Seconds after which a measurement counts 1/e of a new one.
const MEMORY: f64 = 10.0;
/// What an image of validation takes of the time of a training image, before a validation was measured: the forward half of
/// a step is about a third of it.
const FORWARD_SHARE: f64 = 1.0 / 3.0;

/// Images of a training.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Epochs of the whole training.
    pub epochs: u32,
    /// Training images of an epoch.
    pub images: usize,
    /// Images measured after each.
    pub validation: usize,
}

/// Watches a training's clock.
#[derive(Clone, Debug)]
pub struct Pace {
    work: Work,
    /// Images and seconds of the recent past, older ones fading.
    recent: (f64, f64),
    /// Whether `recent` is the first steps alone, which wait for the device to get ready and count only until others are known.
    is_first: bool,
    /// When how many images of the whole training were done; `None` before the first, and between epochs.
    newest: Option<(f64, usize)>,
    /// Images of the whole training that are done.
    done: usize,
    /// When the training images of an epoch were all done, and the next epoch has not begun.
    between: Option<f64>,
    /// Seconds between the newest two epochs: validation, and writing everything down.
    pause: Option<f64>,
}

impl Pace {
    /// Before the first image of this process.
    pub fn new(work: Work) -> Self {
        Self { work, recent: (0.0, 0.0), is_first: false, newest: None, done: 0, between: None, pause: None }
    }

    /// At this time, so many images of the epoch of this number (from 1) are done.
    pub fn trained(&mut self, now: f64, epoch: u32, images: usize) {
        let done = (epoch.max(1) as usize - 1) * self.work.images + images;
        if let Some(since) = self.between.take() {
            self.pause = Some(now - since);
        }
        // a training that goes back begins anew
        if let Some((then, before)) = self.newest.filter(|(_, before)| *before <= done) {
            let mut fading = (-(now - then) / MEMORY).exp();
            if done > before {
                fading = if self.is_first { 0.0 } else { fading };
                self.is_first = self.recent.0 == 0.0;
            }
            self.recent.0 = self.recent.0 * fading + (done - before) as f64;
            self.recent.1 = self.recent.1 * fading + (now - then);
        }
        (self.newest, self.done) = (Some((now, done)), done);
    }

    /// At this time, the training images of an epoch are done and it is validated; may be said again and again.
    pub fn validates(&mut self, now: f64) {
        self.newest = None;
        self.between.get_or_insert(now);
    }

    /// Training images a second of the recent past.
    pub fn rate(&self) -> Option<f64> {
        let (images, seconds) = self.recent;
        (images > 0.0 && seconds > 0.0).then(|| images / seconds)
    }

    /// Seconds until everything is done, validations counted; `None` before the rate is known.
    pub fn left(&self, now: f64) -> Option<f64> {
        let Work { epochs, images, validation } = self.work;
        let rate = self.rate()?;
        let pause = self.pause.unwrap_or(validation as f64 * FORWARD_SHARE / rate);
        // the validation that runs is one of an epoch whose images are done
        let ended = self.done / images.max(1);
        let running = self.between.map_or(0.0, |since| (pause - (now - since)).max(0.0));
        let whole = (epochs as usize).saturating_sub(ended) as f64;
        let images = (epochs as usize * images).saturating_sub(self.done) as f64;
        Some(images / rate + pause * whole + running)
    }

    /// Share of the training images that is done, 0 to 1.
    pub fn share(&self) -> f64 {
        self.done as f64 / (self.work.epochs as usize * self.work.images).max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;

    const WORK: Work = Work { epochs: 10, images: 1000, validation: 300 };

    #[test]
    fn a_resumed_training_counts_only_its_own_images() {
        let mut pace = Pace::new(WORK);
        pace.trained(0.0, 6, 500);
        assert_eq!((pace.rate(), pace.left(0.0)), (None, None));
        pace.trained(2.0, 6, 700);
        assert_relative_eq!(pace.rate().unwrap(), 100.0);
        // 4300 images at 100 a second, and five validations of 300 images at three times that
        assert_relative_eq!(pace.left(2.0).unwrap(), 43.0 + 5.0, epsilon = 1e-9);
        assert_relative_eq!(pace.share(), 0.57);
    }

    #[test]
    fn validation_is_counted_as_it_was_measured() {
        let mut pace = Pace::new(WORK);
        pace.trained(0.0, 1, 0);
        pace.trained(10.0, 1, 1000);
        pace.validates(10.0);
        pace.validates(12.0);
        // nine epochs and validations, and what is left of the running one, at first by the forward share
        assert_relative_eq!(pace.left(10.5).unwrap(), 90.0 + 9.0 + 0.5, epsilon = 1e-9);
        pace.trained(14.0, 2, 0);
        assert_relative_eq!(pace.rate().unwrap(), 100.0, epsilon = 1e-9);
        assert_relative_eq!(pace.left(14.0).unwrap(), 90.0 + 9.0 * 4.0, epsilon = 1e-9);
        pace.trained(24.0, 2, 1000);
        pace.validates(24.0);
        assert_relative_eq!(pace.left(27.0).unwrap(), 80.0 + 8.0 * 4.0 + 1.0, epsilon = 1e-9);
        assert_relative_eq!(pace.left(40.0).unwrap(), 80.0 + 8.0 * 4.0, epsilon = 1e-9);
    }

    #[test]
    fn the_rate_follows_the_recent_past_and_outlives_bursts() {
        let mut pace = Pace::new(Work { epochs: 1, images: 1_000_000, validation: 0 });
        pace.trained(0.0, 1, 0);
        // a first step that builds pipelines, then 100 a second in bursts of two arrivals
        pace.trained(20.0, 1, 10);
        pace.trained(20.0, 1, 10);
        assert_relative_eq!(pace.rate().unwrap(), 0.5);
        pace.trained(21.0, 1, 110);
        assert_relative_eq!(pace.rate().unwrap(), 100.0);
        for second in 1..100 {
            pace.trained(21.0 + f64::from(second), 1, 60 + 100 * second as usize);
            pace.trained(21.0 + f64::from(second), 1, 110 + 100 * second as usize);
        }
        assert_relative_eq!(pace.rate().unwrap(), 100.0, epsilon = 1.0);
        for second in 0..60 {
            pace.trained(121.0 + f64::from(second), 1, 10_010 + 20 * (second as usize + 1));
        }
        assert_relative_eq!(pace.rate().unwrap(), 20.0, epsilon = 1.0);
    }

    #[test]
    fn going_back_keeps_the_rate() {
        let mut pace = Pace::new(WORK);
        pace.trained(0.0, 2, 0);
        pace.trained(5.0, 2, 500);
        pace.trained(6.0, 2, 0);
        assert_relative_eq!(pace.rate().unwrap(), 100.0, epsilon = 1e-9);
        pace.trained(7.0, 2, 100);
        assert_relative_eq!(pace.rate().unwrap(), 100.0, epsilon = 1e-9);
    }
}

//! A batch's images become floats: gathered from the data set's shards, while training through a random affine map.

use super::Lowering;
use crate::graph::{Augment, FillMode, TensorId};
use crate::kernels::Constants;

impl Lowering<'_> {
    /// The batch's images as floats in 0..1, one call per shard.
    pub(super) fn images(&mut self, augment: Option<Augment>) -> TensorId {
        let (height, width, channels) = self.network.image;
        let images = self.passing("images", self.settings.batch * height * width * channels);
        let transforms = augment.map(|augment| self.transforms(augment));
        for index in 0..self.shared.pixels.len() {
            let (shard, pixels) = self.shared.pixels[index];
            let constants = Constants::sizes(&[
                ("BATCH", self.settings.batch),
                ("ROWS", self.settings.rows),
                ("HEIGHT", height),
                ("WIDTH", width),
                ("SHARD_FIRST", shard.first),
                ("SHARD_COUNT", shard.count),
            ]);
            let order = self.shared.order;
            match (transforms, augment) {
                (Some(transforms), Some(augment)) => {
                    let constants = constants.with("FILL_MODE", fill_mode(augment.fill)).with("FILL_VALUE", 0.0);
                    self.call("augment.warp", "augment", constants, &[pixels, order, transforms, images]);
                }
                _ => self.call("augment.gather", "images", constants, &[pixels, order, images]),
            }
        }
        images
    }

    fn transforms(&mut self, augment: Augment) -> TensorId {
        let (height, width, _) = self.network.image;
        let sizes = [("BATCH", self.settings.batch), ("HEIGHT", height), ("WIDTH", width)];
        let constants = Constants::sizes(&sizes)
            .with("FLIP", f64::from(u8::from(augment.flip)))
            .with("ROTATION", augment.rotation)
            .with("ZOOM_LOW", augment.zoom.0)
            .with("ZOOM_HIGH", augment.zoom.1)
            .with("SHIFT", augment.shift);
        let transforms = self.passing("transforms", self.settings.batch * 6);
        self.call("augment.draw", "augment", constants, &[transforms]);
        transforms
    }
}

fn fill_mode(fill: FillMode) -> f64 {
    match fill {
        FillMode::Reflect => 0.0,
        FillMode::Wrap => 1.0,
        FillMode::Nearest => 2.0,
        FillMode::Constant => 3.0,
    }
}

//! The order in which an epoch visits the training images, and the seeded generator of this room.
//!
//! The shuffle is our own, since that of `rand` may draw differently in another version: a seed must give the same run
//! for as long as this crate exists.

use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;

/// A generator of its own for each purpose, seed and number. All 256 bits of state and stream come from a hash, since
/// PCG's streams of neighbouring numbers are alike.
pub(crate) fn generator(purpose: &str, seed: u64, number: u64) -> Pcg64 {
    let mut hasher = blake3::Hasher::new_derive_key("galaxy-gpu data order v1");
    hasher.update(&seed.to_le_bytes());
    hasher.update(&number.to_le_bytes());
    hasher.update(purpose.as_bytes());
    Pcg64::from_seed(*hasher.finalize().as_bytes())
}

/// Shuffles in place (Fisher and Yates, in the form of Durstenfeld, 1964: Algorithm 235, CACM 7(7)).
pub(crate) fn shuffle<T>(items: &mut [T], generator: &mut Pcg64) {
    for last in (1..items.len()).rev() {
        // The high half of a 128-bit product (Lemire, 2019): its bias is below 2^-32 for any list of u32 indices.
        let chosen = (u128::from(generator.next_u64()) * (last as u128 + 1)) >> 64;
        items.swap(last, chosen as usize);
    }
}

/// The indices of `train` in the order of epoch `epoch`: a permutation that depends on `train`, `seed` and `epoch` only.
pub fn epoch_order(train: &[u32], seed: u64, epoch: u32) -> Vec<u32> {
    let mut order = train.to_vec();
    shuffle(&mut order, &mut generator("epoch", seed, u64::from(epoch)));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_a_permutation_that_seed_and_epoch_decide() {
        let train: Vec<u32> = (0..1000).map(|i| i * 3).collect();
        let order = epoch_order(&train, 7, 2);
        assert_eq!(order, epoch_order(&train, 7, 2));
        assert_ne!(order, epoch_order(&train, 7, 3));
        assert_ne!(order, epoch_order(&train, 8, 2));
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, train);
        assert_ne!(order, train);
        assert!(epoch_order(&[], 1, 1).is_empty());
    }

    #[test]
    fn every_place_is_equally_likely() {
        // 6000 shuffles of four: each of 16 (item, place) pairs has mean 1500 and deviation 33.5.
        let mut hits = [[0u32; 4]; 4];
        for epoch in 0..6000 {
            for (place, &item) in epoch_order(&[0, 1, 2, 3], 11, epoch).iter().enumerate() {
                hits[item as usize][place] += 1;
            }
        }
        assert!(hits.iter().flatten().all(|hit| hit.abs_diff(1500) < 170), "{hits:?}");
    }
}

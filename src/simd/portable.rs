//! Plain code, for processors without a set of their own here.

use super::{LANES, NOWHERE, Simd};

/// Plain code, which every processor runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Portable;

type V = [f32; LANES];

#[inline(always)]
fn each(f: impl Fn(usize) -> f32) -> V {
    let mut lanes = [0.0; LANES];
    for (i, lane) in lanes.iter_mut().enumerate() {
        *lane = f(i);
    }
    lanes
}

impl Simd for Portable {
    type V = V;
    const PIXELS: usize = 2;
    const TAP_ROWS: usize = 1;

    #[inline(always)]
    fn splat(self, value: f32) -> V {
        [value; LANES]
    }
    #[inline(always)]
    fn load(self, from: &V) -> V {
        *from
    }
    #[inline(always)]
    fn store(self, vector: V, to: &mut V) {
        *to = vector;
    }
    #[inline(always)]
    fn add(self, a: V, b: V) -> V {
        each(|i| a[i] + b[i])
    }
    #[inline(always)]
    fn sub(self, a: V, b: V) -> V {
        each(|i| a[i] - b[i])
    }
    #[inline(always)]
    fn mul(self, a: V, b: V) -> V {
        each(|i| a[i] * b[i])
    }
    #[inline(always)]
    fn div(self, a: V, b: V) -> V {
        each(|i| a[i] / b[i])
    }
    #[inline(always)]
    fn sqrt(self, a: V) -> V {
        each(|i| a[i].sqrt())
    }
    #[inline(always)]
    fn fma(self, a: V, b: V, c: V) -> V {
        each(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    fn where_greater(self, a: V, b: V, yes: V, no: V) -> V {
        each(|i| if a[i] > b[i] { yes[i] } else { no[i] })
    }
    #[inline(always)]
    fn bytes(self, a: V) -> [u8; LANES] {
        a.map(|value| value as u8)
    }
    #[inline(always)]
    fn places(self, places: &[u8; LANES]) -> V {
        each(|i| f32::from_bits(places[i].into()))
    }
    #[inline(always)]
    fn choose(self, four: &[f32; 4], places: V) -> V {
        each(|i| four[places[i].to_bits() as usize % 4])
    }
    #[inline(always)]
    fn pick(
        self,
        codes: &[u8; LANES],
        code: u8,
        from: &[f32; LANES],
        values: &mut [f32; LANES],
        places: &mut [u32; LANES],
    ) -> usize {
        pick(codes, code, from, values, places)
    }
}

/// [`Simd::transpose`].
#[inline(always)]
pub(super) fn transpose(rows: &[V; LANES]) -> [V; LANES] {
    let mut columns = [[0.0; LANES]; LANES];
    for (x, column) in columns.iter_mut().enumerate() {
        for (y, value) in column.iter_mut().enumerate() {
            *value = rows[y][x];
        }
    }
    columns
}

/// [`Simd::keep`], one lane after the other.
#[inline(always)]
pub(super) fn keep(from: &V, places: &V, values: &mut V, to: &mut [u32; LANES]) -> usize {
    let mut count = 0;
    for (&value, place) in from.iter().zip(places) {
        // a value that is not kept is overwritten by the next
        (values[count], to[count]) = (value, place.to_bits());
        count += usize::from(place.to_bits() != NOWHERE);
        if count == LANES {
            break;
        }
    }
    count
}

/// [`Simd::pick`], one lane after the other.
#[inline(always)]
pub(super) fn pick(
    codes: &[u8; LANES],
    code: u8,
    from: &[f32; LANES],
    values: &mut [f32; LANES],
    places: &mut [u32; LANES],
) -> usize {
    let mut count = 0;
    for lane in 0..LANES {
        // a value that is not picked is overwritten by the next
        values[count] = from[lane];
        places[count] = lane as u32;
        count += usize::from(codes[lane] == code);
        if count == LANES {
            break;
        }
    }
    count
}

//! The twins of the fused block: compositions of those of the convolution and the pooling. Formulas and constants are in the folder's
//! `mod.rs`.

use super::Sizes;
use crate::kernels::{Args, Real, View, ViewMut, conv2d, maxpool2d};
use crate::shape::{Padding, Window};

/// Code of a window that relu closed.
const CLOSED: u32 = 4;

/// Sizes of the two single operations a block is made of.
fn parts(c: Sizes) -> (conv2d::Sizes, maxpool2d::Sizes) {
    let window = Window { kernel: 3, stride: 1, padding: Padding::Same };
    let conv = conv2d::Sizes::new(c.batch, (c.in_h, c.in_w, c.in_c), window, c.out_c).unwrap_or_default();
    let pool = maxpool2d::Sizes::new(c.batch, (c.in_h, c.in_w, c.out_c), 2, 2).unwrap_or_default();
    (conv2d::Sizes { relu: true, ..conv }, pool)
}

/// Word and shift of an element's argmax code.
fn code_place(c: Sizes, output: usize) -> (usize, usize) {
    let (pixel, channel) = (output / c.out_c, output % c.out_c);
    (pixel * c.words + channel / 4, channel % 4 * 8)
}

/// Twin of `conv_block.forward`: `conv2d.forward` with relu, then `maxpool2d.forward`, noting who won.
pub fn forward<T: Real>(mut args: Args<T>) {
    let c = Sizes::from(args.constants);
    let (conv, pool) = parts(c);
    let mut activation = vec![T::zero(); conv.outputs()];
    let writes = vec![Some(ViewMut::Float(&mut activation[..]))];
    conv2d::forward(Args { constants: &conv.into(), step: args.step, reads: args.reads.clone(), writes });

    let (pooled, argmax) = (args.floats_out(0), args.indices_out(1));
    argmax.fill(u32::from_le_bytes([CLOSED as u8; 4]));
    let width = c.in_w;
    maxpool2d::argmaxes(pool, &activation, |out, place| {
        pooled[out] = T::zero();
        if activation[place] > T::zero() {
            pooled[out] = activation[place];
            let (x, y) = (place / c.out_c % width, place / (c.out_c * width) % c.in_h);
            let (word, shift) = code_place(c, out);
            argmax[word] = argmax[word] & !(255 << shift) | (((y % 2 * 2 + x % 2) as u32) << shift);
        }
    });
}

/// The gradient of the convolution's output, expanded from pooled gradient and argmax codes.
fn expand<T: Real>(c: Sizes, pooled_gradient: &[T], argmax: &[u32]) -> Vec<T> {
    let Sizes { in_h, in_w, pool_h, pool_w, out_c, .. } = c;
    let mut gradient = vec![T::zero(); c.batch * c.in_h * c.in_w * c.out_c];
    for (out, &value) in pooled_gradient.iter().enumerate() {
        let (word, shift) = code_place(c, out);
        let code = (argmax[word] >> shift & 255) as usize;
        if code < CLOSED as usize {
            let (px, py) = (out / out_c % pool_w, out / (out_c * pool_w) % pool_h);
            let n = out / (out_c * pool_w * pool_h);
            let (y, x) = (py * 2 + code / 2, px * 2 + code % 2);
            gradient[((n * in_h + y) * in_w + x) * out_c + out % out_c] = value;
        }
    }
    gradient
}

/// Twin of `conv_block.backward_input`: expand, then `conv2d.backward_input`.
pub fn backward_input<T: Real>(args: Args<T>) {
    let c = Sizes::from(args.constants);
    let gradient = expand(c, args.floats(0), args.indices(1));
    let reads = vec![View::Float(&gradient[..]), args.reads[2]];
    conv2d::backward_input(Args { constants: &parts(c).0.into(), step: args.step, reads, writes: args.writes });
}

/// Twin of `conv_block.backward_weights`: expand, then `conv2d.backward_weights`.
pub fn backward_weights<T: Real>(args: Args<T>) {
    let c = Sizes::from(args.constants);
    let gradient = expand(c, args.floats(1), args.indices(2));
    let reads = vec![args.reads[0], View::Float(&gradient[..])];
    conv2d::backward_weights(Args { constants: &parts(c).0.into(), step: args.step, reads, writes: args.writes });
}

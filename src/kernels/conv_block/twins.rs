//! The twins of the fused block: compositions of those of the convolution and the pooling. Formulas and constants are in the folder's
//! `mod.rs`.

use crate::kernels::{Args, Constants, Real, View, ViewMut, conv2d, maxpool2d};
use crate::shape::{Padding, Window};

/// Code of a window that relu closed.
const CLOSED: u32 = 4;

/// Constants of the two single operations a block is made of.
fn parts(c: &Constants) -> (Constants, Constants) {
    let window = Window { kernel: 3, stride: 1, padding: Padding::Same };
    let (batch, height, width) = (c.size("BATCH"), c.size("IN_H"), c.size("IN_W"));
    let conv = conv2d::constants(batch, (height, width, c.size("IN_C")), window, c.size("OUT_C"));
    let pool = maxpool2d::constants(batch, (height, width, c.size("OUT_C")), 2, 2);
    (conv.unwrap_or_default().with("RELU", 1.0), pool.unwrap_or_default())
}

/// Word and shift of an element's argmax code.
fn code_place(c: &Constants, output: usize) -> (usize, usize) {
    let (pixel, channel) = (output / c.size("OUT_C"), output % c.size("OUT_C"));
    (pixel * c.size("WORDS") + channel / 4, channel % 4 * 8)
}

/// Twin of `conv_block.forward`: `conv2d.forward` with relu, then `maxpool2d.forward`, noting who won.
pub fn forward<T: Real>(mut args: Args<T>) {
    let c = args.constants;
    let (conv, pool) = parts(c);
    let mut activation = vec![T::zero(); conv.product(&["BATCH", "OUT_H", "OUT_W", "OUT_C"])];
    let writes = vec![Some(ViewMut::Float(&mut activation[..]))];
    conv2d::forward(Args { constants: &conv, step: args.step, reads: args.reads.clone(), writes });

    let (pooled, argmax) = (args.floats_out(0), args.indices_out(1));
    argmax.fill(u32::from_le_bytes([CLOSED as u8; 4]));
    let width = c.size("IN_W");
    maxpool2d::argmaxes(&pool, &activation, |out, place| {
        pooled[out] = T::zero();
        if activation[place] > T::zero() {
            pooled[out] = activation[place];
            let (x, y) = (place / c.size("OUT_C") % width, place / (c.size("OUT_C") * width) % c.size("IN_H"));
            let (word, shift) = code_place(c, out);
            argmax[word] = argmax[word] & !(255 << shift) | (((y % 2 * 2 + x % 2) as u32) << shift);
        }
    });
}

/// The gradient of the convolution's output, expanded from pooled gradient and argmax codes.
fn expand<T: Real>(c: &Constants, pooled_gradient: &[T], argmax: &[u32]) -> Vec<T> {
    let [in_h, in_w, pool_h, pool_w, out_c] = ["IN_H", "IN_W", "POOL_H", "POOL_W", "OUT_C"].map(|name| c.size(name));
    let mut gradient = vec![T::zero(); c.product(&["BATCH", "IN_H", "IN_W", "OUT_C"])];
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
    let gradient = expand(args.constants, args.floats(0), args.indices(1));
    let reads = vec![View::Float(&gradient[..]), args.reads[2]];
    conv2d::backward_input(Args { constants: &parts(args.constants).0, step: args.step, reads, writes: args.writes });
}

/// Twin of `conv_block.backward_weights`: expand, then `conv2d.backward_weights`.
pub fn backward_weights<T: Real>(args: Args<T>) {
    let gradient = expand(args.constants, args.floats(1), args.indices(2));
    let reads = vec![args.reads[0], View::Float(&gradient[..])];
    conv2d::backward_weights(Args { constants: &parts(args.constants).0, step: args.step, reads, writes: args.writes });
}

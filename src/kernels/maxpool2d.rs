//! Two-dimensional max-pooling without padding, NHWC.
//!
//! ```text
//! output[n,oy,ox,c]         = max_{ky,kx} input[n, oy*s+ky, ox*s+kx, c]
//! input_gradient[n,iy,ix,c] = sum of output_gradient[n,oy,ox,c] over the windows whose first maximum is (iy,ix)
//! ```
//!
//! *First maximum*: rows from the top, columns from the left; where several places tie, only the first receives the
//! gradient. Sizes floor as in Keras: rows and columns that fill no window are dropped and receive zero. The backward
//! kernel finds the maximum again from the input, so nothing is stored between the passes.
//!
//! Constants: `BATCH IN_H IN_W CHANNELS OUT_H OUT_W KERNEL STRIDE`.

use super::launch::by_item;
use super::{Args, Binding, Case, Constants, Contract, Cost, Fill, Implementation, Launch, Needs, Real, Tolerance};
use crate::shape::{Padding, Window};
use crate::{shader, twin};

const CONSTANTS: &[&str] = &["BATCH", "IN_H", "IN_W", "CHANNELS", "OUT_H", "OUT_W", "KERNEL", "STRIDE"];

/// Constants of a layer; `None` where no window fits. `input` is height, width, channels of one image.
pub fn constants(batch: usize, input: (usize, usize, usize), kernel: usize, stride: usize) -> Option<Constants> {
    let window = Window { kernel, stride, padding: Padding::Valid };
    Some(Constants::sizes(&[
        ("BATCH", batch),
        ("IN_H", input.0),
        ("IN_W", input.1),
        ("CHANNELS", input.2),
        ("OUT_H", window.over(input.0)?.0),
        ("OUT_W", window.over(input.1)?.0),
        ("KERNEL", kernel),
        ("STRIDE", stride),
    ]))
}

/// The contracts of this file.
pub const CONTRACTS: &[&Contract] = &[&FORWARD, &BACKWARD];

/// `input -> output`.
pub static FORWARD: Contract = Contract {
    name: "maxpool2d.forward",
    formula: "output[n,oy,ox,c] = max over ky,kx of input[n, oy*s+ky, ox*s+kx, c]",
    bindings: &[Binding::read("input").or_half(), Binding::write("output").or_half()],
    constants: CONSTANTS,
    lengths: |c| vec![inputs(c), outputs(c)],
    twin: twin!(forward),
    cost,
    tolerance: |_| Tolerance::EXACT,
    cases,
    implementations: by_item!("maxpool2d/forward.wgsl", 2, outputs, channels),
};

/// `input, output_gradient -> input_gradient`.
pub static BACKWARD: Contract = Contract {
    name: "maxpool2d.backward",
    formula: "input_gradient[n,iy,ix,c] = sum of output_gradient over windows whose first maximum is (iy,ix)",
    // dyadic inputs tie often, which is what the rule of the first maximum is about
    bindings: &[
        Binding::read("input").filled(Fill::Dyadic).or_half(),
        Binding::read("output_gradient").or_half(),
        Binding::write("input_gradient").or_half(),
    ],
    constants: CONSTANTS,
    lengths: |c| vec![inputs(c), outputs(c), inputs(c)],
    twin: twin!(backward),
    cost,
    tolerance: |c| if c.size("KERNEL") > c.size("STRIDE") { Tolerance::sum(4) } else { Tolerance::EXACT },
    cases,
    implementations: &[
        Implementation::new(
            "windows",
            Needs::NOTHING,
            |c| channels(c).is_multiple_of(4) && c.size("KERNEL") == c.size("STRIDE"),
            |c| {
                let [rows, columns] = ["IN_H", "IN_W"].map(|side| c.size(side).div_ceil(c.size("KERNEL")));
                let elements = c.size("BATCH") * channels(c) * rows * columns;
                Launch::items(shader!("maxpool2d/backward_windows.wgsl"), 3, elements, 4)
            },
        ),
        Implementation::new(
            "vectors",
            Needs::NOTHING,
            |c| channels(c).is_multiple_of(4),
            |c| Launch::items(shader!("maxpool2d/backward.wgsl"), 3, inputs(c), 4),
        ),
        Implementation::direct(|c| Launch::items(shader!("maxpool2d/backward.wgsl"), 3, inputs(c), 1)),
    ],
};

fn channels(c: &Constants) -> usize {
    c.size("CHANNELS")
}

fn inputs(c: &Constants) -> usize {
    c.product(&["BATCH", "IN_H", "IN_W", "CHANNELS"])
}

fn outputs(c: &Constants) -> usize {
    c.product(&["BATCH", "OUT_H", "OUT_W", "CHANNELS"])
}

/// One comparison per tap, counted as one operation.
fn cost(c: &Constants) -> Cost {
    let flops = (outputs(c) * c.product(&["KERNEL", "KERNEL"])) as f64;
    Cost { flops, bytes: 4.0 * (inputs(c) + outputs(c)) as f64 }
}

/// Calls `visit(output element, input element of its first maximum)` for each window, in order.
pub fn argmaxes<T: Real>(c: &Constants, input: &[T], mut visit: impl FnMut(usize, usize)) {
    let [in_h, in_w, channels, out_h, out_w] = ["IN_H", "IN_W", "CHANNELS", "OUT_H", "OUT_W"].map(|name| c.size(name));
    let (kernel, stride) = (c.size("KERNEL"), c.size("STRIDE"));
    for output in 0..outputs(c) {
        let (ch, ox) = (output % channels, output / channels % out_w);
        let (oy, n) = (output / (channels * out_w) % out_h, output / (channels * out_w * out_h));
        let place = |tap: usize| {
            let (y, x) = (oy * stride + tap / kernel, ox * stride + tap % kernel);
            ((n * in_h + y) * in_w + x) * channels + ch
        };
        let first =
            (1..kernel * kernel).map(place).fold(place(0), |best, at| if input[at] > input[best] { at } else { best });
        visit(output, first);
    }
}

/// Twin of `maxpool2d.forward`.
pub fn forward<T: Real>(mut args: Args<T>) {
    let (input, output) = (args.floats(0), args.floats_out(0));
    argmaxes(args.constants, input, |out, argmax| output[out] = input[argmax]);
}

/// Twin of `maxpool2d.backward`.
pub fn backward<T: Real>(mut args: Args<T>) {
    let (input, output_gradient, input_gradient) = (args.floats(0), args.floats(1), args.floats_out(0));
    input_gradient.fill(T::zero());
    argmaxes(args.constants, input, |out, argmax| input_gradient[argmax] += output_gradient[out]);
}

fn cases() -> Vec<Case> {
    let layer = |name, batch, input, kernel, stride| {
        Case::new(name, constants(batch, input, kernel, stride).unwrap_or_default())
    };
    vec![
        layer("smallest", 1, (1, 1, 1), 1, 1),
        layer("four channels at a time", 3, (7, 9, 12), 2, 2),
        layer("four channels at a time, overlapping", 2, (9, 8, 8), 3, 2),
        layer("2x2", 2, (6, 8, 5), 2, 2),
        layer("2x2 odd", 3, (7, 9, 4), 2, 2),
        layer("3x3 stride 2", 2, (9, 11, 3), 3, 2),
        layer("3x3 stride 2 even", 2, (8, 10, 3), 3, 2),
        layer("3x3 stride 1", 1, (6, 5, 2), 3, 1),
        layer("2x2 stride 3", 1, (8, 11, 2), 2, 3),
        layer("beyond 65535 workgroups", 1, (1026, 1026, 16), 2, 2),
        layer("64 px", 8, (64, 64, 16), 2, 2).timed(),
    ]
}

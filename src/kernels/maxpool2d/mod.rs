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

mod native;

use super::{Args, Binding, Case, Contract, Cost, Fill, Launch, Native, Needs, Real, Tolerance};
use crate::kernels::sizes::{by_item, direct, implementation, sized, sizes};
use crate::shape::{Padding, Window};
use crate::{shader, twin};

sizes! {
    /// Sizes of a pooling.
    Sizes {
        batch: usize = "BATCH", in_h: usize = "IN_H", in_w: usize = "IN_W", channels: usize = "CHANNELS",
        out_h: usize = "OUT_H", out_w: usize = "OUT_W", kernel: usize = "KERNEL", stride: usize = "STRIDE",
    }
}

impl Sizes {
    /// `None` where no window fits. `input` is height, width, channels of one image.
    pub fn new(batch: usize, input: (usize, usize, usize), kernel: usize, stride: usize) -> Option<Self> {
        let (in_h, in_w, channels) = input;
        let window = Window { kernel, stride, padding: Padding::Valid };
        let (out_h, out_w) = (window.over(in_h)?.0, window.over(in_w)?.0);
        Some(Self { batch, in_h, in_w, channels, out_h, out_w, kernel, stride })
    }

    fn inputs(self) -> usize {
        self.batch * self.in_h * self.in_w * self.channels
    }

    fn outputs(self) -> usize {
        self.batch * self.out_h * self.out_w * self.channels
    }
}

/// The contracts of this file.
pub const CONTRACTS: &[&Contract] = &[&FORWARD, &BACKWARD];

/// `input -> output`.
pub static FORWARD: Contract = Contract {
    name: "maxpool2d.forward",
    formula: "output[n,oy,ox,c] = max over ky,kx of input[n, oy*s+ky, ox*s+kx, c]",
    bindings: &[Binding::read("input").or_half(), Binding::write("output").or_half()],
    constants: Sizes::CONSTANTS,
    lengths: sized!(|c| vec![c.inputs(), c.outputs()]),
    twin: twin!(forward),
    cost: sized!(cost),
    tolerance: |_| Tolerance::EXACT,
    cases,
    native: &[Native::direct(native::forward)],
    implementations: by_item!("maxpool2d/forward.wgsl", 2, |c| c.outputs(), c.channels),
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
    constants: Sizes::CONSTANTS,
    lengths: sized!(|c| vec![c.inputs(), c.outputs(), c.inputs()]),
    twin: twin!(backward),
    cost: sized!(cost),
    tolerance: sized!(|c| if c.kernel > c.stride { Tolerance::sum(4) } else { Tolerance::EXACT }),
    cases,
    native: &[Native::direct(native::backward)],
    implementations: &[
        implementation!("windows", Needs::NOTHING, |c| c.channels.is_multiple_of(4) && c.kernel == c.stride, {
            let (rows, columns) = (c.in_h.div_ceil(c.kernel), c.in_w.div_ceil(c.kernel));
            let elements = c.batch * c.channels * rows * columns;
            Launch::items(shader!("maxpool2d/backward_windows.wgsl"), 3, elements, 4)
        }),
        implementation!(
            "vectors",
            Needs::NOTHING,
            |c| c.channels.is_multiple_of(4),
            Launch::items(shader!("maxpool2d/backward.wgsl"), 3, c.inputs(), 4)
        ),
        direct!(|c| Launch::items(shader!("maxpool2d/backward.wgsl"), 3, c.inputs(), 1)),
    ],
};

/// One comparison per tap, counted as one operation.
fn cost(c: Sizes) -> Cost {
    let flops = (c.outputs() * c.kernel * c.kernel) as f64;
    Cost { flops, bytes: 4.0 * (c.inputs() + c.outputs()) as f64 }
}

/// Calls `visit(output element, input element of its first maximum)` for each window, in order.
pub fn argmaxes<T: Real>(c: Sizes, input: &[T], mut visit: impl FnMut(usize, usize)) {
    let Sizes { in_h, in_w, channels, out_h, out_w, kernel, stride, .. } = c;
    for output in 0..c.outputs() {
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
    argmaxes(args.constants.into(), input, |out, argmax| output[out] = input[argmax]);
}

/// Twin of `maxpool2d.backward`.
pub fn backward<T: Real>(mut args: Args<T>) {
    let (input, output_gradient, input_gradient) = (args.floats(0), args.floats(1), args.floats_out(0));
    input_gradient.fill(T::zero());
    argmaxes(args.constants.into(), input, |out, argmax| input_gradient[argmax] += output_gradient[out]);
}

fn cases() -> Vec<Case> {
    let layer = |name, batch, input, kernel, stride| {
        Case::new(name, Sizes::new(batch, input, kernel, stride).unwrap_or_default())
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

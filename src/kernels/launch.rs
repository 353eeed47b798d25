//! Implementations: which WGSL runs a contract, what it needs, and how it is launched.

use super::{Access, Constants, Contract, Precision, Shader};
use crate::shader;

/// Workgroups that WebGPU takes along one axis.
const AXIS: usize = 65_535;

/// Workgroups along x and y; more than 65535 are folded into y, so a kernel checks its flat id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Along x.
    pub x: u32,
    /// Along y.
    pub y: u32,
}

impl Grid {
    /// At least `groups` workgroups.
    pub fn groups(groups: usize) -> Self {
        let y = groups.div_ceil(AXIS).max(1);
        Self { x: groups.div_ceil(y).max(1) as u32, y: y as u32 }
    }

    /// Enough workgroups of `size` threads for one thread per element.
    pub fn elements(elements: usize, size: usize) -> Self {
        Self::groups(elements.div_ceil(size))
    }
}

/// The kind of adapter that an implementation is written for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Adapters {
    /// Any.
    #[default]
    All,
    /// Software adapters, where a load is a loop over the lanes.
    Software,
    /// Hardware: what is cheap there, such as a branch that all of a subgroup takes, is not where lanes are emulated.
    Hardware,
}

/// What an adapter must offer beyond WebGPU's default limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Adapters that it is written for; others run it when told to.
    pub adapters: Adapters,
    /// The one precision it is written for; any where absent.
    pub precision: Option<Precision>,
    /// Cooperative matrices with f16 factors and f32 sums.
    pub matrix: bool,
    /// Workgroup memory, bytes.
    pub workgroup_bytes: u32,
    /// Threads in a workgroup.
    pub invocations: u32,
    /// Threads in a subgroup, exactly; zero for a kernel without subgroup operations.
    pub subgroup: u32,
}

impl Needs {
    /// Any adapter will do.
    pub const NOTHING: Self = Self {
        adapters: Adapters::All,
        precision: None,
        matrix: false,
        workgroup_bytes: 0,
        invocations: 0,
        subgroup: 0,
    };
    /// A software adapter with subgroups of 8 (one AVX2 register) is wanted, and f32, as none calculates in f16.
    pub const SOFTWARE: Self =
        Self { adapters: Adapters::Software, precision: Some(Precision::F32), subgroup: 8, ..Self::NOTHING };
    /// Hardware is wanted, and nothing else.
    pub const HARDWARE: Self = Self { adapters: Adapters::Hardware, ..Self::NOTHING };
    /// Cooperative matrices, which mixed precision alone may use.
    pub const MATRIX: Self = Self { precision: Some(Precision::Mixed), matrix: true, ..Self::HARDWARE };
}

/// One dispatch of an implementation.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The kernel.
    pub shader: Shader,
    /// Contract bindings it sees, by number, in the order of its own bindings; the number after the last contract
    /// binding is the scratch buffer.
    pub bindings: Vec<usize>,
    /// Workgroups.
    pub grid: Grid,
    /// Elements of an `Item`, in shaders that know it: 1 or 4.
    pub lanes: usize,
}

/// How one call runs.
#[derive(Clone, Debug)]
pub struct Launch {
    /// Constants beside the contract's own (split counts, tile sizes).
    pub extra: Constants,
    /// Dispatches, in order.
    pub stages: Vec<Stage>,
    /// f32 elements of scratch shared by the stages.
    pub scratch: usize,
    /// Loop iterations of a thread where they grow with the layer; zero where they are bounded otherwise.
    pub iterations: usize,
}

impl Launch {
    /// No dispatch: the call runs without a driver.
    pub fn none() -> Self {
        Self { extra: Constants::default(), stages: Vec::new(), scratch: 0, iterations: 0 }
    }

    /// One dispatch that sees all `bindings` of its contract.
    pub fn single(shader: Shader, bindings: usize, grid: Grid) -> Self {
        let stage = Stage { shader, bindings: (0..bindings).collect(), grid, lanes: 1 };
        Self { extra: Constants::default(), stages: vec![stage], scratch: 0, iterations: 0 }
    }

    /// One dispatch with a thread for each item of so many `lanes` of the `elements`.
    pub fn items(shader: Shader, bindings: usize, elements: usize, lanes: usize) -> Self {
        let mut launch = Self::single(shader, bindings, Grid::elements(elements / lanes, 64));
        launch.stages[0].lanes = lanes;
        launch
    }

    /// How each stage uses its bindings. The first that names the scratch writes it, later ones read it.
    pub fn accesses(&self, contract: &Contract) -> Vec<Vec<Access>> {
        let mut scratch = Access::Write;
        let mut access = |&number: &usize| match contract.bindings.get(number) {
            Some(binding) => binding.access,
            None => std::mem::replace(&mut scratch, Access::Read),
        };
        self.stages.iter().map(|stage| stage.bindings.iter().map(&mut access).collect()).collect()
    }

    /// The same launch, saying how many loop iterations a thread makes.
    pub fn iterating(mut self, iterations: usize) -> Self {
        self.iterations = iterations;
        self
    }
}

/// Loop iterations of one thread that a kernel aims to stay below, which keeps its dispatches short.
pub const LOOP_ITERATIONS: usize = 16_384;

/// Loop iterations after which Mesa's llvmpipe (22.3) silently leaves all loops of a thread. The plan refuses a launch
/// that comes near on a software adapter.
pub const MOST_LOOP_ITERATIONS: usize = 65_535;

/// Rows of a batch cut into equal runs, each summed apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// Number of runs.
    pub splits: usize,
    /// Rows in a run.
    pub rows: usize,
}

impl Split {
    /// Cuts `rows` of `row_iterations` each so that runs x `threads` come to about 2^16 threads, in at most 1024 runs of
    /// at least 64 iterations (shorter ones spend their time on writing and adding partial sums), more only where a run
    /// would exceed [`LOOP_ITERATIONS`]. From the shapes alone, never from the device, so that results do not depend on
    /// it.
    pub fn new(rows: usize, row_iterations: usize, threads: usize) -> Self {
        let wanted = (65_536 / threads.max(1)).clamp(1, 1024);
        let shortest = 64_usize.div_ceil(row_iterations.max(1));
        let longest = (LOOP_ITERATIONS / row_iterations.max(1)).max(1);
        let run = rows.div_ceil(wanted).max(shortest).min(longest);
        Self { splits: rows.div_ceil(run).max(1), rows: run }
    }
}

/// A weights' gradient in two dispatches: `shader` sums each run with `threads` threads into scratch, then
/// `reduce/splits_direct.wgsl` adds the runs in order. The contract's bindings are `reads` inputs, the weights'
/// gradient of `weights` elements and the bias gradient of `biases`.
pub fn launch_split(shader: Shader, reads: usize, split: Split, threads: usize, sizes: [usize; 2]) -> Launch {
    let [weights, biases] = sizes;
    let (weights_gradient, bias_gradient, scratch) = (reads, reads + 1, reads + 2);
    let extra = Constants::sizes(&[
        ("SPLITS", split.splits),
        ("SPLIT_ROWS", split.rows),
        ("WEIGHTS", weights),
        ("BIASES", biases),
    ]);
    let sum_runs = Stage {
        shader,
        bindings: (0..reads).chain([scratch]).collect(),
        grid: Grid::elements(split.splits * threads, 64),
        lanes: 1,
    };
    let add_runs = Stage {
        shader: shader!("reduce/splits_direct.wgsl"),
        bindings: vec![weights_gradient, bias_gradient, scratch],
        grid: Grid::elements(weights + biases, 64),
        lanes: 1,
    };
    Launch { extra, stages: vec![sum_runs, add_runs], scratch: split.splits * (weights + biases), iterations: 0 }
}

/// Runs from which several threads to an element add them sooner than one.
const MANY_RUNS: usize = 32;

/// The same with `groups` workgroups to a run; where there are many runs, `reduce/splits_shared.wgsl` adds them with several threads to an
/// element.
pub fn launch_many_runs(shader: Shader, reads: usize, split: Split, groups: usize, sizes: [usize; 2]) -> Launch {
    let mut launch = launch_split(shader, reads, split, 0, sizes);
    launch.stages[0].grid = Grid::groups(split.splits * groups);
    if split.splits >= MANY_RUNS {
        launch.stages[1].shader = shader!("reduce/splits_shared.wgsl");
        launch.stages[1].grid = Grid::elements(sizes[0] + sizes[1], 32);
    }
    launch
}

/// Subgroups of a workgroup that take `width` channels each, side by side, on cooperative matrices: 4, 2 or 1, whichever
/// divides `channels` evenly.
pub fn subgroups_across(channels: usize, width: usize) -> usize {
    [4, 2].into_iter().find(|across| channels.is_multiple_of(width * across)).unwrap_or(1)
}

/// Workgroups that cut a long sum into runs, with their number fixed by the shapes: about four for each of the 132 multiprocessors of
/// a large card.
pub const SUM_WORKGROUPS: usize = 528;

/// Runs of `pieces` so that runs x `groups` come to about `workgroups`.
pub fn runs_of(pieces: usize, groups: usize, workgroups: usize) -> Split {
    let rows = pieces.div_ceil((workgroups / groups).max(1)).max(1);
    Split { splits: pieces.div_ceil(rows), rows }
}

/// One way to run a contract on a GPU.
pub struct Implementation {
    /// `direct`, `registers`, ...; the part after the last `direction_` in the file's name.
    pub name: &'static str,
    /// Limits beyond WebGPU's defaults.
    pub needs: Needs,
    /// Whether it can run with these constants.
    pub accepts: fn(&Constants) -> bool,
    /// Dispatches for these constants.
    pub launch: fn(&Constants) -> Launch,
}

impl Implementation {
    /// Whether it is written for a precision.
    pub fn runs_in(&self, precision: Precision) -> bool {
        self.needs.precision.is_none_or(|only| only == precision)
    }

    /// Its name, and the precision where that is not f32.
    pub fn label(&self, precision: Precision) -> String {
        if precision == Precision::F32 { self.name.to_owned() } else { format!("{} {precision}", self.name) }
    }

    /// An implementation with no more than these needs, for constants that it `accepts`.
    pub const fn new(
        name: &'static str,
        needs: Needs,
        accepts: fn(&Constants) -> bool,
        launch: fn(&Constants) -> Launch,
    ) -> Self {
        Self { name, needs, accepts, launch }
    }

    /// The portable implementation every contract ends with.
    pub const fn direct(launch: fn(&Constants) -> Launch) -> Self {
        Self { name: "direct", needs: Needs::NOTHING, accepts: |_| true, launch }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_fold_and_cover() {
        for groups in [0, 1, 65_535, 65_536, 200_000, 10_000_000] {
            let grid = Grid::groups(groups);
            assert!(grid.x as usize <= AXIS && grid.y as usize <= AXIS, "{groups}");
            assert!(grid.x as usize * grid.y as usize >= groups, "{groups}");
        }
    }

    #[test]
    fn splits_cover_all_rows_within_the_loop_limit() {
        for (rows, row_iterations, threads) in
            [(1, 1, 1), (6400, 128, 9), (513, 513, 17), (50, 20_000, 4), (800, 16, 1152)]
        {
            let split = Split::new(rows, row_iterations, threads);
            assert!(split.splits * split.rows >= rows && (split.splits - 1) * split.rows < rows, "{split:?}");
            assert!(split.rows == 1 || split.rows * row_iterations <= LOOP_ITERATIONS, "{split:?}");
        }
    }

    #[test]
    fn lists_of_a_header_are_told_from_sentences() {
        let text = "// mine\n// use index, products\n// use of words\n// use block\n\n// use rng\n";
        let shader = Shader { path: "x", text, folder: None };
        assert_eq!(shader.listed("use"), ["index", "products", "block"]);
        assert!(shader.listed("vec4").is_empty());
    }
}

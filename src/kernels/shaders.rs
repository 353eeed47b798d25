//! A user's own WGSL in the place of the crate's, or beside it: what `--shaders` hands over.
//!
//! A file with the path of one of the crate's shaders replaces it; one of another name in `common/` or `parts/` is there for the
//! folder's kernels to use. A file `<operation>/<direction>_<name>.wgsl` of another name is
//! a new implementation of the contract `<operation>.<direction>`: it takes needs, sizes and launch (grid, extra constants,
//! bindings, scratch) of the implementation that its header names in a line `// launch: <name>`, `direct` where there is none. A kernel
//! whose header has no line `// use ...` may use all of `common/`. Its
//! workgroups must then be as large and its threads do as much. Where the launch has later stages, `<direction>_<name>_<stage>.wgsl` replaces one.
//!
//! Texts live as long as the program: they are read once, and the plan holds them as plain names and text. This file knows no
//! file system.

use super::parts::{PARTS, is_part, part_name, uses};
use super::{Contract, Folder, Implementation, Precision, Shader, find, registry};
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::path::Path;

/// The shaders to run: the crate's own, with a user's in their place and beside them.
#[derive(Clone, Debug, Default)]
pub struct Shaders {
    /// The user's, by their path in the folder.
    files: BTreeMap<&'static str, Shader>,
    added: Vec<Added>,
}

/// A new implementation.
#[derive(Clone, Copy)]
struct Added {
    contract: &'static Contract,
    /// The implementation whose launch it takes.
    base: &'static str,
    implementation: &'static Implementation,
}

impl std::fmt::Debug for Added {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={} launched as {}", self.contract.name, self.implementation.name, self.base)
    }
}

/// Every kernel of the registry's implementations by its path below `shaders/`, without the files they use.
pub fn embedded() -> BTreeMap<&'static str, Shader> {
    let mut shaders = BTreeMap::new();
    for &contract in registry() {
        for implementation in contract.implementations {
            shaders.extend(stages(contract, implementation).into_iter().map(|shader| (shader.path, shader)));
        }
    }
    shaders
}

/// The shaders that an implementation launches, over all cases that it accepts.
fn stages(contract: &Contract, implementation: &Implementation) -> Vec<Shader> {
    let mut shaders: Vec<Shader> = Vec::new();
    for case in (contract.cases)().iter().filter(|case| (implementation.accepts)(&case.constants)) {
        for stage in (implementation.launch)(&case.constants).stages {
            if !shaders.contains(&stage.shader) {
                shaders.push(stage.shader);
            }
        }
    }
    shaders
}

/// The contract that a path such as `conv2d/forward_mine.wgsl` belongs to, and the name that is left.
fn contract_of(path: &str) -> Option<(&'static Contract, &str)> {
    let (operation, file) = path.strip_suffix(".wgsl")?.split_once('/')?;
    let mut places = file.match_indices('_').map(|(place, _)| place).rev();
    // adam/update_mixed_x.wgsl belongs to adam.update_mixed, not to adam.update
    let found = places.find_map(|place| Some((find(&format!("{operation}.{}", &file[..place]))?, &file[place + 1..])));
    found.filter(|(_, name)| !name.is_empty())
}

/// `conv2d/forward_mine`: how the files of an implementation begin.
fn stem(contract: &Contract, name: &str) -> String {
    format!("{}_{name}", contract.name.replacen('.', "/", 1))
}

/// What a header says after `// launch:`.
fn launch_line(text: &str) -> Option<&str> {
    let header = text.lines().take_while(|line| line.starts_with("//"));
    header.filter_map(|line| line.trim_start_matches('/').trim().strip_prefix("launch:")).map(str::trim).next()
}

/// What stands between the brackets of `@workgroup_size(...)`.
fn workgroup(files: &[Shader]) -> Option<String> {
    let (_, rest) = files.iter().find_map(|file| file.text.split_once("@workgroup_size("))?;
    rest.split_once(')').map(|(size, _)| size.split_whitespace().collect())
}

impl Shaders {
    /// The crate's shaders with those of a folder: paths below it (with `/`) and texts.
    ///
    /// # Errors
    /// A path that is neither one of the crate's shaders nor named after a contract; a header that names no implementation to
    /// launch it as; a workgroup that is not of the launch's size.
    pub fn new(folder: &str, trusted: bool, files: Vec<(String, String)>) -> Result<Self> {
        let folder = Folder { path: String::leak(folder.trim_end_matches('/').to_owned()), trusted };
        let own = embedded();
        let mut shaders = Self::default();
        for (path, mut text) in files {
            // the next file begins on a line of its own
            if !text.ends_with('\n') {
                text.push('\n');
            }
            let shader = Shader { path: String::leak(path), text: String::leak(text), folder: Some(folder) };
            shaders.files.insert(shader.path, shader);
        }
        for shader in shaders.files.values() {
            shaders.check_uses(shader)?;
            if !own.contains_key(shader.path) && !is_part(shader.path) && !shaders.is_later_stage(shader) {
                shaders.added.push(shaders.added(shader)?);
            }
        }
        Ok(shaders)
    }

    /// Whether a file of no implementation's name is a later stage of one that is there.
    fn is_later_stage(&self, shader: &Shader) -> bool {
        let others = self.files.values().filter(|other| other.path != shader.path);
        others.filter_map(|other| self.added(other).ok()).any(|other| {
            let Some(base) = other.contract.implementation(other.base) else { return false };
            let (old, new) = (stem(other.contract, other.base), stem(other.contract, other.implementation.name));
            stages(other.contract, base)
                .iter()
                .any(|stage| renamed(stage.path, &old, &new).as_deref() == Some(shader.path))
        })
    }

    /// Whether all shaders are the crate's own.
    pub fn are_own(&self) -> bool {
        self.files.is_empty()
    }

    /// A contract's implementation of this name, the registry's or a new one.
    pub fn implementation(&self, contract: &Contract, name: &str) -> Option<&'static Implementation> {
        self.implementations(contract).into_iter().find(|implementation| implementation.name == name)
    }

    /// A contract's implementations: new ones, then the registry's, best first.
    pub fn implementations(&self, contract: &Contract) -> Vec<&'static Implementation> {
        let added = self.added.iter().filter(|added| added.contract.name == contract.name);
        added.map(|added| added.implementation).chain(contract.implementations).collect()
    }

    /// The same, each with the precisions it runs in.
    pub fn variants(&self, contract: &Contract) -> Vec<(&'static Implementation, Precision)> {
        let precisions = contract.precisions();
        let of = |implementation: &'static Implementation| {
            let runs = precisions.iter().filter(move |&&precision| implementation.runs_in(precision));
            runs.map(move |&precision| (implementation, precision))
        };
        self.implementations(contract).into_iter().flat_map(of).collect()
    }

    /// The shader that a contract's implementation runs where its launch names `shader`.
    pub fn shader(&self, contract: &Contract, implementation: &str, shader: Shader) -> Shader {
        let added = self
            .added
            .iter()
            .find(|added| added.contract.name == contract.name && added.implementation.name == implementation);
        let replaced = added.and_then(|added| {
            let new = stem(contract, implementation);
            let path = if first_stage(contract, added.base)?.path == shader.path {
                format!("{new}.wgsl")
            } else {
                renamed(shader.path, &stem(contract, added.base), &new)?
            };
            self.files.get(&path[..])
        });
        replaced.or_else(|| self.files.get(shader.path)).copied().unwrap_or(shader)
    }

    /// The files that a kernel uses, directly or through others.
    pub fn parts(&self, kernel: &Shader) -> Vec<Shader> {
        let mut found: Vec<Shader> = Vec::new();
        let mut open = vec![*kernel];
        while let Some(file) = open.pop() {
            // names of no file were refused when the folder was read
            for part in uses(&file).into_iter().filter_map(|name| self.part(name)) {
                if !found.contains(&part) {
                    found.push(part);
                    open.push(part);
                }
            }
        }
        found
    }

    /// The part of this name: the user's, else the crate's.
    fn part(&self, name: &str) -> Option<Shader> {
        let named = |file: &&Shader| is_part(file.path) && part_name(file.path) == name;
        self.files.values().find(named).or_else(|| PARTS.iter().find(named)).copied()
    }

    /// Refuses a file that uses what is not there.
    fn check_uses(&self, file: &Shader) -> Result<()> {
        let Some(name) = file.listed("use").into_iter().find(|name| self.part(name).is_none()) else { return Ok(()) };
        let names: Vec<&str> = PARTS.iter().map(|part| part_name(part.path)).collect();
        let problem = format!("its header says \"use {name}\", and no file of common/ or parts/ has that name");
        Err(Error::file(Path::new(&file.place()), problem, format!("the program's own are {}", names.join(", "))))
    }

    /// The implementation that a file adds to its contract.
    fn added(&self, shader: &Shader) -> Result<Added> {
        let place = shader.place();
        let refuse = |problem: String, remedy: String| Error::file(Path::new(&place), problem, remedy);
        let (contract, name) = contract_of(shader.path).ok_or_else(|| {
            let remedy = "name it <operation>/<direction>_<name>.wgsl after one of `galaxy-gpu kernels list`";
            refuse("it belongs to no contract".into(), remedy.into())
        })?;
        let base = launch_line(shader.text).unwrap_or("direct");
        let names = || contract.implementations.iter().map(|i| i.name).collect::<Vec<_>>().join(", ");
        let Some(of) = contract.implementation(base) else {
            let remedy = format!("{} can be launched as {}", contract.name, names());
            return Err(refuse(format!("its header says \"launch: {base}\""), remedy));
        };
        let size = |file: &Shader| workgroup(&[&[*file], &self.parts(file)[..]].concat());
        let (wanted, found) = (first_stage(contract, base).and_then(|stage| size(&stage)), size(shader));
        if wanted != found {
            let [wanted, found] = [wanted, found].map(|size| size.unwrap_or_else(|| "none".into()));
            let problem = format!("its workgroup_size is {found}, that of launch {base} is {wanted}");
            return Err(refuse(problem, "make it the same, or name another launch in the header".into()));
        }
        let name: &'static str = String::leak(name.to_owned());
        let Implementation { needs, accepts, launch, .. } = *of;
        let implementation = Box::leak(Box::new(Implementation { name, needs, accepts, launch }));
        Ok(Added { contract, base: of.name, implementation })
    }

    /// Stands for the user's shaders: equal for equal paths and texts; `None` where there are none (blake3, 16 hexadecimal digits).
    pub fn hash(&self) -> Option<String> {
        let mut hasher = blake3::Hasher::new();
        for word in self.files.values().flat_map(|shader| [shader.path, shader.text]) {
            hasher.update(&(word.len() as u64).to_le_bytes());
            hasher.update(word.as_bytes());
        }
        (!self.are_own()).then(|| hasher.finalize().to_hex()[..16].to_owned())
    }

    /// What the user's shaders do, a line each.
    pub fn in_words(&self) -> Vec<String> {
        let line = |shader: &Shader| {
            let checks = if shader.folder.is_some_and(|folder| folder.trusted) { "trusted" } else { "checked" };
            let stem = shader.path.trim_end_matches(".wgsl");
            match self.added.iter().find(|added| self::stem(added.contract, added.implementation.name) == stem) {
                Some(added) => {
                    let choice = format!("{}={}", added.contract.name, added.implementation.name);
                    format!("{} is {choice}, launched as {}, {checks}", shader.place(), added.base)
                }
                None if is_part(shader.path) && PARTS.iter().all(|part| part.path != shader.path) => {
                    format!("{} is there to be used, {checks}", shader.place())
                }
                None => format!("{} stands in the place of the crate's own, {checks}", shader.place()),
            }
        };
        self.files.values().map(line).collect()
    }
}

/// `dense/forward_split_sum.wgsl` from `dense/forward_split` to `dense/forward_mine`: `dense/forward_mine_sum.wgsl`.
fn renamed(path: &str, old: &str, new: &str) -> Option<String> {
    let rest = path.strip_prefix(old)?;
    (rest.starts_with('.') || rest.starts_with('_')).then(|| format!("{new}{rest}"))
}

/// The shader that an implementation's file is: that of its first stage.
fn first_stage(contract: &Contract, implementation: &str) -> Option<Shader> {
    stages(contract, contract.implementation(implementation)?).into_iter().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "// mine\n@compute @workgroup_size(64)\nfn main() {}";

    fn shaders(files: &[(&str, &str)]) -> Result<Shaders> {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        Shaders::new("mine/", false, files)
    }

    #[test]
    fn a_known_path_replaces_and_a_new_name_adds() {
        let launch = format!("// launch: vectors\n{HEAD}");
        let shaders = shaders(&[
            ("relu/forward.wgsl", HEAD),
            ("relu/forward_fast.wgsl", &launch),
            ("common/index.wgsl", "// index"),
        ]);
        let shaders = shaders.unwrap();
        let contract = find("relu.forward").unwrap();
        let names: Vec<&str> = shaders.implementations(contract).iter().map(|i| i.name).collect();
        assert_eq!(names, ["fast", "vectors", "direct"]);
        let run = |name: &str| shaders.shader(contract, name, embedded()["relu/forward.wgsl"]);
        assert_eq!(run("fast").place(), "mine/relu/forward_fast.wgsl");
        assert_eq!(run("direct").text, format!("{HEAD}\n"));
        assert_eq!(run("vectors").text, format!("{HEAD}\n"), "one file serves both");
        let replaced = |kernel: &Shader| {
            let parts = shaders.parts(kernel).into_iter();
            parts.filter(|part| part.folder.is_some()).map(|part| part.place()).collect::<Vec<_>>()
        };
        assert_eq!(replaced(&embedded()["relu/backward.wgsl"]), ["mine/common/index.wgsl"]);
        assert_eq!(shaders.parts(&run("fast")).len(), shaders.parts(&run("direct")).len());
        assert!(!contract.implementations.iter().any(|i| i.name == "fast"), "the registry stays as it is");
        assert_eq!(shaders.in_words().len(), 3);
        assert!(shaders.hash().is_some() && Shaders::default().hash().is_none());
    }

    #[test]
    fn later_stages_follow_their_implementation() {
        let first = "// launch: split\n@compute @workgroup_size(64)\n";
        let shaders = shaders(&[("dense/forward_mine.wgsl", first), ("dense/forward_mine_sum.wgsl", HEAD)]).unwrap();
        let contract = find("dense.forward").unwrap();
        let names: Vec<&str> = shaders.implementations(contract).iter().map(|i| i.name).collect();
        assert!(names.contains(&"mine") && !names.contains(&"mine_sum"), "{names:?}");
        let sum = shaders.shader(contract, "mine", embedded()["dense/forward_split_sum.wgsl"]);
        assert_eq!(sum.path, "dense/forward_mine_sum.wgsl");
    }

    #[test]
    fn the_longest_direction_counts() {
        assert_eq!(
            contract_of("adam/update_mixed_x.wgsl").map(|(c, name)| (c.name, name)),
            Some(("adam.update_mixed", "x"))
        );
        assert_eq!(contract_of("adam/update_x.wgsl").map(|(c, name)| (c.name, name)), Some(("adam.update", "x")));
        assert_eq!(contract_of("conv2d/backward_input_a_b.wgsl").map(|(_, name)| name), Some("a_b"));
        assert!(contract_of("conv2d/sideways_x.wgsl").is_none() && contract_of("conv2d/forward_.wgsl").is_none());
    }

    #[test]
    fn a_folder_may_hold_parts_of_its_own() {
        let kernel = format!("// x\n// use mine, products\n{HEAD}");
        let files = [("relu/forward_x.wgsl", &kernel[..]), ("parts/mine.wgsl", "// mine\n// use rng, mine\n")];
        let shaders = shaders(&files).unwrap();
        let used = shaders.parts(&shaders.files["relu/forward_x.wgsl"]);
        assert_eq!(
            used.iter().map(|part| part.path).collect::<Vec<_>>(),
            ["parts/mine.wgsl", "common/products.wgsl", "common/rng.wgsl"]
        );
        assert!(shaders.in_words()[0].contains("mine/parts/mine.wgsl is there to be used"), "{:?}", shaders.in_words());
    }

    #[test]
    fn strangers_are_refused_with_what_to_do() {
        let message = |files: &[(&str, &str)]| shaders(files).unwrap_err().to_string();
        assert!(
            message(&[("fft/forward_x.wgsl", HEAD)]).contains("mine/fft/forward_x.wgsl: it belongs to no contract")
        );
        let unknown = message(&[("relu/forward_x.wgsl", &format!("// launch: magic\n{HEAD}"))]);
        assert!(unknown.contains("\"launch: magic\"") && unknown.contains("vectors, direct"), "{unknown}");
        let part = message(&[("relu/forward_x.wgsl", &format!("// use indx\n{HEAD}"))]);
        assert!(part.contains("its header says \"use indx\"") && part.contains("own are"), "{part}");
        let size = message(&[("relu/forward_x.wgsl", "// x\n@compute @workgroup_size(128)\n")]);
        assert!(size.contains("workgroup_size is 128, that of launch direct is 64"), "{size}");
    }
}

//! What holds of every contract of the registry and of its WGSL files: names, constants, bindings.

use crate::structure::{code, sources};
use galaxy_gpu::kernels::{Access, Contract, Implementation, Precision, Prelude, Shaders, Source, Stage, registry};
use std::collections::{BTreeMap, BTreeSet};

/// How shaders are called that serve several contracts or implementations, and words of their header that say so.
const SHARED: &[(&str, &str)] =
    &[("reduce/splits_", "split weights' gradients"), ("dense/forward_split_sum.wgsl", "dense.forward")];

/// All (contract, implementation) pairs with the stages of each case it accepts.
fn launches() -> Vec<(&'static Contract, &'static Implementation, Vec<Stage>)> {
    let mut launches = Vec::new();
    for &contract in registry() {
        for implementation in contract.implementations {
            let mut accepted = (contract.cases)();
            accepted.retain(|case| (implementation.accepts)(&case.constants));
            let name = format!("{}={}", contract.name, implementation.name);
            assert!(!accepted.is_empty(), "no case of {name} runs it, so nothing tests it");
            let stages = accepted.iter().flat_map(|case| (implementation.launch)(&case.constants).stages);
            launches.push((contract, implementation, stages.collect()));
        }
    }
    launches
}

#[test]
fn every_contract_runs_natively_by_direct_sums() {
    for contract in registry() {
        let last = contract.native.last().unwrap_or_else(|| panic!("{} has no native kernel", contract.name));
        assert!(last.is_direct(), "{}", contract.name);
        assert!((contract.cases)().iter().all(|case| (last.accepts)(&case.constants)), "{}", contract.name);
    }
}

/// The comment a file opens with.
fn header(text: &str) -> String {
    text.lines().take_while(|line| line.starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn shaders_are_named_after_their_contract_and_none_is_an_orphan() {
    let files = sources("shaders", "wgsl").into_iter();
    let files: BTreeMap<String, String> =
        files.map(|source| (source.path["shaders/".len()..].to_owned(), source.text)).collect();
    let mut used = BTreeSet::new();
    for (contract, implementation, stages) in launches() {
        let (operation, direction) = contract.name.split_once('.').unwrap();
        let stem = format!("{operation}/{direction}_{}", implementation.name);
        let whole_direction = format!("{operation}/{direction}.wgsl");
        for Stage { shader, .. } in &stages {
            used.insert(shader.path);
            used.extend(Shaders::default().parts(shader).iter().map(|part| part.path));
            assert_eq!(files.get(shader.path).map(String::as_str), Some(shader.text), "{}", shader.path);
            let role = SHARED.iter().find(|(path, _)| shader.path.starts_with(path)).map(|(_, role)| *role);
            // a later stage of the same implementation adds a word: forward_split_sum
            let rest = shader.path.strip_prefix(&stem).and_then(|rest| rest.strip_suffix(".wgsl"));
            // and one file may hold all the implementations on items
            let named = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'));
            let named = named || shader.path == whole_direction;
            assert!(named || role.is_some(), "{} should be named {stem}.wgsl", shader.path);
            let says = header(shader.text).contains(role.unwrap_or(contract.name));
            assert!(says, "the header of {} does not name {}", shader.path, role.unwrap_or(contract.name));
        }
        let own = |stage: &Stage| stage.shader.path.starts_with(&stem) || stage.shader.path == whole_direction;
        assert!(stages.iter().any(own), "no stage of {stem} has its name");
    }
    let orphans: Vec<&String> = files.keys().filter(|path| !used.contains(&path[..])).collect();
    assert!(orphans.is_empty(), "no implementation uses {orphans:?}");
}

/// A kernel's constants and bindings are those of its contract by construction where it leaves their declarations to the head.
#[test]
fn shaders_leave_declarations_to_the_head() {
    for (contract, _, stages) in launches() {
        for shader in stages.iter().map(|stage| stage.shader) {
            let files = [vec![shader], Shaders::default().parts(&shader)].concat();
            let bindings: BTreeSet<&str> =
                contract.bindings.iter().map(|binding| binding.name).chain(["partial"]).collect();
            for file in &files {
                let text = code(file.text);
                assert!(!text.contains("override "), "{} declares a constant", file.path);
                // shard is no array
                let bound = text.lines().filter(|line| line.contains("@binding") && !line.contains(" shard: vec2u"));
                let bound: Vec<&str> = bound.filter(|line| !line.contains(" params: StepParams")).collect();
                assert!(bound.is_empty(), "{} declares {bound:?}", file.path);
                let listed = ["vec4", "item"].iter().flat_map(|word| file.listed(word));
                let strange: Vec<&str> = listed.filter(|name| !bindings.contains(name)).collect();
                assert!(strange.is_empty(), "{} lists {strange:?}, which {} does not bind", file.path, contract.name);
            }
        }
    }
}

#[test]
fn contracts_are_unique_and_end_with_direct() {
    let mut names = BTreeSet::new();
    for &contract in registry() {
        assert!(names.insert(contract.name), "two contracts are called {}", contract.name);
        assert_eq!(contract.implementations.last().map(|i| i.name), Some("direct"), "{}", contract.name);
        let unique: BTreeSet<&str> = contract.implementations.iter().map(|i| i.name).collect();
        assert_eq!(unique.len(), contract.implementations.len(), "{} has two implementations of a name", contract.name);
        let bindings = contract.bindings;
        let reads_first = bindings.iter().skip(contract.reads()).all(|binding| binding.access != Access::Read);
        assert!(reads_first, "{}: reads come first", contract.name);
        let cases = (contract.cases)();
        let unique: BTreeSet<&str> = cases.iter().map(|case| case.name).collect();
        assert_eq!(unique.len(), cases.len(), "{} has two cases of a name", contract.name);
        assert!(cases.iter().any(|case| case.bench), "{} has no case worth timing", contract.name);
        let last = contract.implementations.last().unwrap();
        assert!(cases.iter().all(|case| (last.accepts)(&case.constants)), "{}: direct runs every case", contract.name);
    }
}

/// Constants that the kernels of an operation name, over its directions: those share their constants, and not every direction looks at
/// all of them.
fn overrides_of(operation: &str) -> BTreeSet<String> {
    let (shaders, prelude) = (Shaders::default(), Prelude { precision: Precision::F32, matrix: None });
    let mut found = BTreeSet::new();
    for contract in registry().iter().filter(|contract| contract.name.starts_with(operation)) {
        for case in (contract.cases)() {
            for implementation in contract.implementations.iter().filter(|i| (i.accepts)(&case.constants)) {
                let launch = (implementation.launch)(&case.constants);
                let of = (*contract, implementation.name);
                for source in Source::of_launch(&shaders, of, &launch, prelude) {
                    found.extend(source.overrides().into_iter().map(str::to_owned));
                }
            }
        }
    }
    found
}

#[test]
fn every_case_gives_exactly_the_contracts_constants() {
    for &contract in registry() {
        let wanted: BTreeSet<&str> = contract.constants.iter().map(|constant| constant.name).collect();
        for case in (contract.cases)() {
            let given: BTreeSet<&str> = case.constants.pairs().iter().map(|(name, _)| *name).collect();
            assert_eq!(given, wanted, "{}, case {}", contract.name, case.name);
            assert_eq!((contract.lengths)(&case.constants).len(), contract.bindings.len(), "{}", contract.name);
        }
        let used = overrides_of(&contract.name[..=contract.name.find('.').unwrap()]);
        let constants = (contract.cases)().swap_remove(0).constants;
        let sizes_a_binding = |name: &&'static str| {
            let larger = constants.clone().with(name, constants.float(name) + 1.0);
            (contract.lengths)(&larger) != (contract.lengths)(&constants)
        };
        let unused: Vec<_> =
            wanted.into_iter().filter(|name| !used.contains(*name) && !sizes_a_binding(name)).collect();
        assert!(unused.is_empty(), "{}: neither a shader nor a length uses {unused:?}", contract.name);
    }
}

//! Every kernel in the words of the drivers: naga, which wgpu translates with, takes the text and writes SPIR-V and HLSL of it, for
//! adapters that are not at hand (cooperative matrices of 16 x 16 in the shapes of hardware). On the way the kernels are held to what
//! they say they need, and to a rule of memory that this machine's driver does not enforce. What a driver makes of it is seen on
//! its card alone.

use galaxy_gpu::graph::Graph;
use galaxy_gpu::kernels::{Case, Contract, Implementation, Matrix, Needs, Precision, registry};
use galaxy_gpu::plan::{AdapterKind, Dispatch, Options, Plan, Profile, Program};
use naga::back::{hlsl, pipeline_constants::process_overrides, spv};
use naga::front::wgsl::Frontend;
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Block, Expression, Handle, Module, Statement, TypeInner};

/// A card that offers all that an implementation may ask for.
fn card(implementation: &Implementation, matrix: Matrix) -> Profile {
    let threads = if implementation.needs.subgroup > 0 { implementation.needs.subgroup } else { matrix.subgroup };
    Profile {
        kind: AdapterKind::Discrete,
        f16: true,
        matrix: Some(matrix),
        subgroup: (threads, threads),
        workgroup_bytes: 48 << 10,
        invocations: 1024,
        ..Profile::cpu()
    }
}

/// The dispatches of an implementation on the last of its cases, a real layer as a rule.
fn dispatches(
    contract: &'static Contract,
    implementation: &Implementation,
    precision: Precision,
    profile: &Profile,
) -> Vec<Dispatch> {
    let accepted = |case: &Case| (implementation.accepts)(&case.constants);
    let case = (contract.cases)().into_iter().rfind(accepted).expect("a case");
    let choice = format!("{}={}", contract.name, implementation.name).parse().unwrap();
    let options = Options { choices: vec![choice], ..Options::default() };
    let plan = Plan::new(&Graph::single(contract, &case, precision), profile, &options).unwrap();
    plan.steps(Program::Train).iter().flat_map(|step| step.dispatches.clone()).collect()
}

fn translate(dispatch: &Dispatch, needs: Needs) -> Result<(), String> {
    let text = dispatch.source.text();
    let module = Frontend::new().parse(&text).map_err(|error| error.emit_to_string(&text))?;
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::all());
    let info = validator.validate(&module).map_err(|error| error.emit_to_string(&text))?;
    let constants = dispatch.constants.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    let main = (naga::ShaderStage::Compute, "main");
    let (module, info) =
        process_overrides(&module, &info, Some(main), &constants).map_err(|error| error.to_string())?;
    stays_within(&module, &info, needs)?;
    stores_whole_vectors(&module, &info)?;
    let entry = spv::PipelineOptions { shader_stage: main.0, entry_point: main.1.into() };
    let options = spv::Options { lang_version: (1, 4), ..spv::Options::default() };
    let words = spv::write_vec(&module, &info, &options, Some(&entry)).map_err(|error| error.to_string())?;
    assert!(words.len() > 100, "{} words of SPIR-V", words.len());
    if dispatch.prelude.matrix.is_some() {
        return Ok(()); // DirectX 12 has none
    }
    let entry = hlsl::PipelineOptions { entry_point: Some((main.0, main.1.into())) };
    let options = hlsl::Options { shader_model: hlsl::ShaderModel::V6_2, ..hlsl::Options::default() };
    let mut written = String::new();
    let mut writer = hlsl::Writer::new(&mut written, &options, &entry);
    writer.write(&module, &info, None).map_err(|error| error.to_string())?;
    assert!(written.contains("numthreads"), "{written}");
    Ok(())
}

/// What an implementation does not ask for is WebGPU's least.
fn stays_within(module: &Module, info: &ModuleInfo, needs: Needs) -> Result<(), String> {
    let (entry, uses) = (&module.entry_points[0], info.get_entry_point(0));
    let shared = module.global_variables.iter();
    let shared = shared.filter(|(handle, global)| global.space == AddressSpace::WorkGroup && !uses[*handle].is_empty());
    let bytes: u32 = shared.map(|(_, global)| module.types[global.ty].inner.size(module.to_ctx())).sum();
    let threads: u32 = entry.workgroup_size.iter().product();
    match bytes <= needs.workgroup_bytes.max(16 << 10) && threads <= needs.invocations.max(256) {
        true => Ok(()),
        false => Err(format!("{threads} threads and {bytes} B of workgroup memory are more than it says it needs")),
    }
}

/// WGSL lets a store to a part of a vector be one to all of it, and on Metal and DirectX it is: threads that write parts of one vector in
/// workgroup memory would undo each other's work.
fn stores_whole_vectors(module: &Module, info: &ModuleInfo) -> Result<(), String> {
    let functions = module.functions.iter().map(|(handle, function)| (function, &info[handle]));
    let entry = (&module.entry_points[0].function, info.get_entry_point(0));
    for (function, info) in functions.chain([entry]) {
        let part = |pointer: Handle<Expression>| {
            let inner = info[pointer].ty.inner_with(&module.types);
            matches!(inner, TypeInner::ValuePointer { size: None, space: AddressSpace::WorkGroup, .. })
        };
        if stored_to(&function.body).into_iter().any(part) {
            return Err("a thread stores a part of a vector in workgroup memory".into());
        }
    }
    Ok(())
}

/// Where the stores of a block and of those within it go.
fn stored_to(block: &Block) -> Vec<Handle<Expression>> {
    let of_statement = |statement: &Statement| match statement {
        Statement::Store { pointer, .. } => vec![*pointer],
        Statement::Block(block) => stored_to(block),
        Statement::If { accept, reject, .. } => [stored_to(accept), stored_to(reject)].concat(),
        Statement::Switch { cases, .. } => cases.iter().flat_map(|case| stored_to(&case.body)).collect(),
        Statement::Loop { body, continuing, .. } => [stored_to(body), stored_to(continuing)].concat(),
        _ => Vec::new(),
    };
    block.iter().flat_map(of_statement).collect()
}

#[test]
fn a_part_of_a_shared_vector_is_seen() {
    let text = "var<workgroup> pairs: array<vec2f, 4>; @compute @workgroup_size(4) fn main(@builtin(local_invocation_index) i: u32) \
                { if i < 2u { pairs[i / 2u]PLACE = VALUE; } }";
    let check = |place: &str, value: &str| {
        let module = Frontend::new().parse(&text.replace("PLACE", place).replace("VALUE", value)).unwrap();
        let info = Validator::new(ValidationFlags::all(), Capabilities::all()).validate(&module).unwrap();
        stores_whole_vectors(&module, &info)
    };
    assert!(check("", "vec2f(1.0)").is_ok());
    assert!(check("[i % 2u]", "1.0").is_err() && check(".x", "1.0").is_err());
}

#[test]
fn every_kernel_is_translated() {
    let shapes = [(16, 32), (16, 64), (8, 32)].map(|(tile, subgroup)| Matrix { tile, subgroup, emulated: false });
    let mut translated = 0;
    let mut failed = Vec::new();
    for &contract in registry() {
        for (implementation, precision) in contract.variants() {
            let shapes = if implementation.needs.matrix { &shapes[..] } else { &shapes[..1] };
            for &matrix in shapes {
                for dispatch in dispatches(contract, implementation, precision, &card(implementation, matrix)) {
                    translated += 1;
                    let name = format!("{} ({precision}, {matrix:?})", dispatch.source.kernel().place());
                    failed.extend(
                        translate(&dispatch, implementation.needs).err().map(|error| format!("{name}: {error}")),
                    );
                }
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(translated > 150, "{translated}");
}

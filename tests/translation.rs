//! Every kernel in the words of the drivers: naga, which wgpu translates with, takes the text and writes SPIR-V and HLSL of it, for
//! adapters that are not at hand (cooperative matrices of 16 x 16 in the shapes of hardware). What a driver makes of it is seen
//! on its card alone.

use galaxy_gpu::graph::Graph;
use galaxy_gpu::kernels::{Case, Contract, Implementation, Matrix, Precision, registry};
use galaxy_gpu::plan::{Dispatch, Options, Plan, Profile, Program};
use naga::back::{hlsl, pipeline_constants::process_overrides, spv};
use naga::front::wgsl::Frontend;
use naga::valid::{Capabilities, ValidationFlags, Validator};

/// A card that can run an implementation, if any can.
fn card(implementation: &Implementation, matrix: Matrix) -> Profile {
    let threads = if implementation.needs.subgroup > 0 { implementation.needs.subgroup } else { matrix.subgroup };
    Profile {
        kind: "discrete".into(),
        f16: true,
        matrix: Some(matrix),
        subgroup: (threads, threads),
        workgroup_bytes: 48 << 10,
        invocations: 1024,
        ..Profile::cpu()
    }
}

/// The dispatches of an implementation on its largest case.
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

fn translate(dispatch: &Dispatch) -> Result<(), String> {
    let text = dispatch.source().text();
    let module = Frontend::new().parse(&text).map_err(|error| error.emit_to_string(&text))?;
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::all());
    let info = validator.validate(&module).map_err(|error| error.emit_to_string(&text))?;
    let constants = dispatch.constants.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    let main = (naga::ShaderStage::Compute, "main");
    let (module, info) =
        process_overrides(&module, &info, Some(main), &constants).map_err(|error| error.to_string())?;
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

#[test]
fn every_kernel_is_translated() {
    let shapes = [(16, 32), (16, 64), (8, 32)].map(|(tile, subgroup)| Matrix { tile, subgroup, imitated: false });
    let mut translated = 0;
    let mut failed = Vec::new();
    for contract in registry() {
        for (implementation, precision) in contract.variants() {
            let shapes = if implementation.needs.matrix { &shapes[..] } else { &shapes[..1] };
            for &matrix in shapes {
                for dispatch in dispatches(contract, implementation, precision, &card(implementation, matrix)) {
                    translated += 1;
                    let name = format!("{} ({precision}, {matrix:?})", dispatch.shader.place());
                    failed.extend(translate(&dispatch).err().map(|error| format!("{name}: {error}")));
                }
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(translated > 150, "{translated}");
}

//! Tells tests what the machine lacks, by its own word: a test that needs an adapter, or one with 16-bit floats, fails without it,
//! and is ignored where `GALAXY_GPU_NO_ADAPTER=allow` or `GALAXY_GPU_NO_F16=allow` is set. Nothing else depends on this.

fn main() {
    let allowed = |variable: &str| {
        println!("cargo::rerun-if-env-changed={variable}");
        std::env::var(variable).is_ok_and(|value| value == "allow")
    };
    let no_adapter = allowed("GALAXY_GPU_NO_ADAPTER");
    for (cfg, set) in [("no_adapter", no_adapter), ("no_f16", allowed("GALAXY_GPU_NO_F16") || no_adapter)] {
        println!("cargo::rustc-check-cfg=cfg({cfg})");
        if set {
            println!("cargo::rustc-cfg={cfg}");
        }
    }
}

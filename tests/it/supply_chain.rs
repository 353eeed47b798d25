//! What this crate is built from, on every platform and with every feature, against `deny.toml`: licences, duplicate versions,
//! sources. `scripts/supply-chain` holds it to the same file with cargo-deny, and to the advisories.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

#[derive(Deserialize)]
struct Rules {
    licenses: Licenses,
    bans: Bans,
    sources: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
    exceptions: Vec<Exception>,
    clarify: Vec<Clarification>,
}

#[derive(Deserialize)]
struct Exception {
    #[serde(rename = "crate")]
    name: String,
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Clarification {
    #[serde(rename = "crate")]
    name: String,
    expression: String,
}

#[derive(Deserialize)]
struct Bans {
    #[serde(rename = "multiple-versions")]
    multiple_versions: String,
    skip: Vec<Skip>,
}

#[derive(Deserialize)]
struct Skip {
    /// `name@version`, of which the version may be its first numbers only.
    #[serde(rename = "crate")]
    which: String,
}

impl Skip {
    fn covers(&self, package: &Package) -> bool {
        let (name, version) = self.which.split_once('@').expect("name@version");
        name == package.name && format!("{}.", package.version).starts_with(&format!("{version}."))
    }
}

#[derive(Clone, Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    /// None for this crate itself.
    source: Option<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

fn rules() -> Rules {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deny.toml");
    let rules: Rules = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!((rules.bans.multiple_versions.as_str(), rules.sources["unknown-git"].as_str()), ("deny", "deny"));
    assert_eq!(rules.sources["unknown-registry"], "deny");
    rules
}

/// Every package of `Cargo.lock` with the features there are.
fn packages() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--all-features", "--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo fetch once with a network, for the crates of other platforms: {said}");
    serde_json::from_slice::<Metadata>(&output.stdout).unwrap().packages
}

/// Packages whose licence, by the crate's own word, is not one of those allowed.
fn wrong_licences(rules: &Licenses, packages: &[Package]) -> Vec<String> {
    let fault = |package: &Package| {
        let clarified = rules.clarify.iter().find(|known| known.name == package.name);
        let text = package.license.as_deref().or(clarified.map(|known| known.expression.as_str()))?;
        let expression = spdx::Expression::parse_mode(text, spdx::ParseMode::LAX).ok()?;
        let exception = rules.exceptions.iter().find(|known| known.name == package.name);
        let allowed = |name: &str| rules.allow.iter().chain(exception.iter().flat_map(|e| &e.allow)).any(|a| a == name);
        expression.evaluate(|wanted| allowed(&wanted.to_string())).then_some(())
    };
    let wrong = packages.iter().filter(|package| fault(package).is_none());
    wrong.map(|package| format!("{} {}: {:?}", package.name, package.version, package.license)).collect()
}

/// Packages of which there is more than one version, apart from those that `deny.toml` gives a reason for.
fn duplicates(rules: &Bans, packages: &[Package]) -> Vec<String> {
    let mut versions = BTreeMap::<&str, Vec<&str>>::new();
    for package in packages.iter().filter(|package| !rules.skip.iter().any(|skip| skip.covers(package))) {
        versions.entry(&package.name).or_default().push(&package.version);
    }
    let several = versions.into_iter().filter(|(_, versions)| versions.len() > 1);
    several.map(|(name, versions)| format!("{name}: {}", versions.join(", "))).collect()
}

/// Packages that do not come from crates.io.
fn foreign(packages: &[Package]) -> Vec<String> {
    let known = "registry+https://github.com/rust-lang/crates.io-index";
    let sources = packages.iter().filter_map(|package| package.source.as_deref());
    sources.filter(|source| *source != known).map(str::to_owned).collect()
}

#[test]
fn dependencies_keep_to_the_rules() {
    let (rules, packages) = (rules(), packages());
    assert!(packages.len() > 100, "{} packages are not all", packages.len());
    assert_eq!(wrong_licences(&rules.licenses, &packages), [""; 0]);
    assert_eq!(duplicates(&rules.bans, &packages), [""; 0], "avoid them, or add them to deny.toml with the reason");
    assert_eq!(foreign(&packages), [""; 0]);
    let idle = rules.bans.skip.iter().filter(|skip| !packages.iter().any(|package| skip.covers(package)));
    assert_eq!(idle.map(|skip| &skip.which).collect::<Vec<_>>(), [""; 0], "no such package any more");
}

#[test]
fn a_broken_rule_is_found() {
    let rules = rules();
    let package = |name: &str, version: &str, license: Option<&str>, source: &str| Package {
        name: name.into(),
        version: version.into(),
        license: license.map(String::from),
        source: Some(source.into()),
    };
    let git = "git+https://example.org/a.git";
    let packages = [
        package("a", "1.0.0", Some("GPL-3.0-only"), git),
        package("a", "2.0.0", Some("MIT/GPL-3.0-only"), git),
        package("b", "1.0.0", Some("MIT AND MPL-2.0"), git),
        package("option-ext", "1.0.0", Some("MPL-2.0"), git),
        package("c", "1.0.0", None, git),
        package("hashbrown", "0.16.1", Some("MIT"), git),
        package("hashbrown", "0.17.0", Some("MIT"), git),
        package("hashbrown", "0.161.0", Some("MIT"), git),
    ];
    let found = wrong_licences(&rules.licenses, &packages);
    assert_eq!(found.iter().map(|fault| &fault[..1]).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(duplicates(&rules.bans, &packages), ["a: 1.0.0, 2.0.0", "hashbrown: 0.17.0, 0.161.0"]);
    assert_eq!(foreign(&packages).len(), packages.len());
}

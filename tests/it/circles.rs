//! Which files of `src` import which, and that none import each other in a circle.
//!
//! A file imports another where it names something in it, in a `use` or in passing. What a module passes on (`pub use`) belongs to
//! the file that it comes from. A mod.rs holds words for the files below it, so what they take from it does not count.

use crate::structure::{Source, code, is_word, rust};
use std::collections::{BTreeMap, BTreeSet};

/// Names from the crate's root down.
type Module = Vec<String>;
/// Modules and what each names: whether it passes it on, and the path.
type Paths = BTreeMap<Module, Vec<(bool, Vec<String>)>>;

/// `src/a/b.rs` and `src/a/b/mod.rs` -> `a`, `b`.
fn module(source: &Source) -> Module {
    let path = source.path.strip_prefix("src/").unwrap().strip_suffix(".rs").unwrap();
    path.split('/').filter(|name| !["mod", "lib"].contains(name)).map(str::to_owned).collect()
}

/// Words, `::` and single characters of a file, without its tests.
fn tokens(text: &str) -> Vec<String> {
    let code = code(text.split("#[cfg(test)]\nmod tests").next().unwrap());
    let (mut tokens, mut rest) = (Vec::new(), code.trim_start());
    while let Some(first) = rest.chars().next() {
        let length = match first {
            _ if is_word(first) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            ':' if rest.starts_with("::") => 2,
            _ => first.len_utf8(),
        };
        tokens.push(rest[..length].to_owned());
        rest = rest[length..].trim_start();
    }
    tokens
}

/// Reads what a `use` names from token `at` on, and returns where it ends.
fn read_use(tokens: &[String], mut at: usize, before: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let mut path = before.to_vec();
    while let Some(token) = tokens.get(at) {
        match &token[..] {
            "," | ";" | "}" => break,
            "{" => {
                while tokens.get(at).is_some_and(|token| token != "}") {
                    at = read_use(tokens, at + 1, &path, found);
                }
                return at + 1;
            }
            "as" => at += 1,
            "::" => {}
            name => path.push(name.to_owned()),
        }
        at += 1;
    }
    if path.len() > before.len() {
        found.push(path);
    }
    at
}

/// All paths that a file names.
fn paths(text: &str) -> Vec<(bool, Vec<String>)> {
    let tokens = tokens(text);
    let (mut found, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        if tokens[at] == "use" {
            let passed_on = at > 0 && ["pub", ")"].contains(&&tokens[at - 1][..]);
            let mut own = Vec::new();
            at = read_use(&tokens, at + 1, &[], &mut own);
            found.extend(own.into_iter().map(|path| (passed_on, path)));
        } else if tokens[at].starts_with(is_word) && tokens.get(at + 1).is_some_and(|next| next == "::") {
            let mut path = vec![tokens[at].clone()];
            while tokens.get(at + 1).is_some_and(|next| next == "::") && tokens.get(at + 2).is_some() {
                path.push(tokens[at + 2].clone());
                at += 2;
            }
            found.push((false, path));
            at += 1;
        } else {
            at += 1;
        }
    }
    found
}

/// The file that `path`, named in `from`, leads to.
fn resolve(all: &Paths, from: &Module, path: &[String], depth: usize) -> Option<Module> {
    let mut rest = path;
    let mut module = from.clone();
    match &path[0][..] {
        "crate" => (module, rest) = (Vec::new(), &rest[1..]),
        "self" => rest = &rest[1..],
        "super" => {
            while rest.first().is_some_and(|name| name == "super") {
                module.pop();
                rest = &rest[1..];
            }
        }
        name if !all.contains_key(&[from.clone(), vec![name.to_owned()]].concat()) => return None,
        _ => {}
    }
    while let Some(name) = rest.first() {
        let below = [module.clone(), vec![name.clone()]].concat();
        if !all.contains_key(&below) {
            break;
        }
        (module, rest) = (below, &rest[1..]);
    }
    let name = rest.first().filter(|_| depth < 8);
    let passed_on = all[&module].iter().filter(|(passed_on, path)| *passed_on && path.last() == name);
    let further = passed_on.filter_map(|(_, path)| resolve(all, &module, path, depth + 1)).next();
    Some(further.unwrap_or(module))
}

/// Which file imports which others.
fn imports(sources: &[Source]) -> BTreeMap<Module, BTreeSet<Module>> {
    let files = sources.iter().filter(|source| source.path != "src/main.rs");
    let all: Paths = files.map(|source| (module(source), paths(&source.text))).collect();
    let of = |from: &Module, paths: &Vec<(bool, Vec<String>)>| {
        let own = paths.iter().filter(|(passed_on, _)| !passed_on);
        let found = own.filter_map(|(_, path)| resolve(&all, from, path, 0));
        found.filter(|module| !from.starts_with(module)).collect()
    };
    all.iter().map(|(module, paths)| (module.clone(), of(module, paths))).collect()
}

/// Files that lead back to themselves.
fn in_circles(imports: &BTreeMap<Module, BTreeSet<Module>>) -> Vec<String> {
    let leads_back = |module: &&Module| {
        let (mut seen, mut left) = (BTreeSet::new(), vec![*module]);
        while let Some(next) = left.pop() {
            left.extend(imports[next].iter().filter(|other| seen.insert(*other)));
        }
        seen.contains(module)
    };
    imports.keys().filter(leads_back).map(|module| module.join("/")).collect()
}

#[test]
fn files_do_not_import_each_other_in_circles() {
    let found = in_circles(&imports(&rust()));
    assert!(found.is_empty(), "{found:?} import each other in a circle");
}

#[test]
fn circles_are_found() {
    let source = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
    let names = |extra: &str| {
        let sources = [
            source("src/lib.rs", "pub mod a; pub mod b;"),
            source("src/a/mod.rs", "mod x; mod y; pub use self::x::{X, W as V}; fn f() { y::g(self::x::h()); }"),
            source("src/a/x.rs", "use super::{f, y::Y}; // crate::b::B"),
            source("src/a/y.rs", &format!("use super::f; {extra}\n#[cfg(test)]\nmod tests {{ use super::super::X; }}")),
            source("src/b.rs", "pub struct B; fn b() -> crate::a::X {}"),
        ];
        in_circles(&imports(&sources))
    };
    assert_eq!(names("use std::x::X;"), [""; 0]);
    assert_eq!(names("use super::{z, X};"), ["a/x", "a/y"]);
    assert_eq!(names("fn y() -> crate::b::B {}"), ["a/x", "a/y", "b"]);
}

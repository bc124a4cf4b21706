//! The direction of imports, read from the sources: who may call whom (docs/ARCHITECTURE.md).
//!
//! What counts is every path in code, whether in a `use` or in an expression. Tests (code under
//! `#[cfg(test)]` at the end of a file, `tests.rs`, `testing.rs`, what lies below `tests/`) are not judged: a test
//! may look at what it tests.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Crates of the workspace, each with those it may depend on.
const CRATES: &[(&str, &str, &[&str])] = &[
    ("policy", "policy", &[]),
    ("hsm", "hsm", &["policy"]),
    ("daemon", "daemon", &["policy", "hsm"]),
    ("packaging/manuals", "manuals", &["hsm", "daemon"]),
    ("softhsm-tests", "softhsm_tests", &["policy", "hsm", "daemon"]),
];

/// Rooms of the daemon, each with the rooms that it may import: those to its right in the design,
/// and what every room may know (its own settings, the kinds of engines that a setting names).
/// `bin` and `boot` may import all.
const ROOMS: &[(&str, &[&str])] = &[
    ("api", &["config", "issuance", "problem", "revocation", "service", "upstream", "validation"]),
    ("config", &["store"]),
    ("http", &["api", "config", "problem", "service"]),
    ("issuance", &["config", "store"]),
    ("problem", &["issuance", "service"]),
    ("revocation", &["config", "issuance", "store"]),
    ("service", &["config", "issuance", "revocation", "store", "upstream", "validation"]),
    ("store", &[]),
    ("tls", &["config"]),
    ("upstream", &["config", "store"]),
    ("validation", &["config", "store"]),
];

/// Rooms of the daemon that may speak to a signer.
const CLIENT_IMPORTERS: &[&str] = &["boot", "issuance", "revocation", "tls"];

/// Where unsafe code may stand.
const UNSAFE: &[&str] = &["hsm/src/pkcs11", "hsm/src/confine"];

#[test]
fn crates_import_only_what_lies_below_them() {
    let mut faults = Vec::new();
    for (folder, _, below) in CRATES {
        let forbidden: Vec<&str> =
            CRATES.iter().map(|(_, name, _)| *name).filter(|name| !below.contains(name)).collect();
        let own = CRATES.iter().find(|(other, ..)| other == folder).map(|(_, name, _)| *name);
        for import in imports(folder) {
            let first = import.path[0].as_str();
            if forbidden.contains(&first) && Some(first) != own {
                faults.push(format!("{}: {folder} imports {first}", import.place));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn rooms_of_the_daemon_import_only_what_lies_to_their_right() {
    let mut faults = Vec::new();
    let mut seen = BTreeSet::new();
    for import in imports("daemon") {
        let Some(room) = import.module.first() else { continue };
        let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| name == room) else { continue };
        seen.insert(room.clone());
        if let ["crate", other, ..] = strs(&import.path)[..]
            && ROOMS.iter().any(|(name, _)| *name == other)
            && other != room
            && !allowed.contains(&other)
        {
            faults.push(format!("{}: {room} imports {other}", import.place));
        }
        if ["boot", "bin"].contains(&strs(&import.path).get(1).copied().unwrap_or_default())
            && import.path[0] == "crate"
        {
            faults.push(format!("{}: {room} imports {}", import.place, import.path[1]));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(seen.contains("api") && seen.contains("service"), "the rooms were not found: {seen:?}");
}

#[test]
fn only_the_pipelines_and_tls_speak_to_a_signer() {
    let faults: Vec<_> = imports("daemon")
        .into_iter()
        .filter(|import| import.path.starts_with(&["hsm".into(), "client".into()]))
        .filter(|import| !import.module.iter().any(|part| CLIENT_IMPORTERS.contains(&part.as_str())))
        .map(|import| format!("{}: imports hsm::client", import.place))
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn surfaces_import_neither_store_nor_signer_nor_each_other() {
    let mut faults = Vec::new();
    for import in imports("daemon") {
        let ["api", rest @ ..] = &strs(&import.module)[..] else { continue };
        let path = strs(&import.path);
        match path[..] {
            ["hsm", ..] | ["crate", "store", ..] => {
                faults.push(format!("{}: api imports {}", import.place, path.join("::")))
            }
            ["crate", "api", other, ..]
                if !rest.is_empty() && rest[0] != other && is_surface(other) && is_surface(rest[0]) =>
            {
                faults.push(format!("{}: surface {} imports surface {other}", import.place, rest[0]));
            }
            _ => {}
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn unsafe_code_stands_only_where_the_design_allows_it() {
    let mut faults = Vec::new();
    for (folder, ..) in CRATES {
        for file in rust_files(&root().join(folder)) {
            let name = relative(&file);
            let allowed = UNSAFE.iter().any(|place| name.starts_with(place));
            let tokens = tokens(&read(&file));
            if !allowed && tokens.iter().any(|(_, token)| token == "unsafe") {
                faults.push(name);
            }
        }
    }
    // The module that injects faults is a PKCS#11 module itself: a C library, for tests only.
    faults.retain(|name| !name.starts_with("softhsm-tests/fault-module/"));
    assert!(faults.is_empty(), "unsafe code in {}", faults.join(", "));
}

#[test]
fn every_way_of_writing_an_import_is_seen() {
    let text = r#"
        use crate::{store::{self, Table}, service as s};
        // use crate::comment;
        fn f() { let _ = "crate::text"; super::super::issuance::go(); hsm::client::Client::new() }
        #[cfg(test)] mod tests { use crate::tested; }
    "#;
    let module = ["api".to_owned(), "acme".to_owned(), "order".to_owned()];
    let found: BTreeSet<String> = paths(text, &module).into_iter().map(|(_, path)| path.join("::")).collect();
    for expected in [
        "crate::store::self",
        "crate::store::Table",
        "crate::service",
        "crate::api::issuance::go",
        "hsm::client::Client::new",
    ] {
        assert!(found.contains(expected), "{expected} is missing in {found:?}");
    }
    assert!(!found.iter().any(|path| path.contains("comment") || path.contains("text") || path.contains("tested")));
}

/// One path in a source file.
struct Import {
    /// `file:line`
    place: String,
    /// Module of the file below the crate: `["api", "acme"]`; `["bin"]` for programs.
    module: Vec<String>,
    /// The path, `self` and `super` resolved.
    path: Vec<String>,
}

fn imports(folder: &str) -> Vec<Import> {
    let source = root().join(folder).join("src");
    let mut found = Vec::new();
    for file in rust_files(&source) {
        if file.iter().any(|part| part == "tests" || part == "tests.rs" || part == "testing.rs") {
            continue;
        }
        let module = module_of(file.strip_prefix(&source).expect("below src"));
        for (line, path) in paths(&read(&file), &module) {
            found.push(Import { place: format!("{}:{line}", relative(&file)), module: module.clone(), path });
        }
    }
    assert!(!found.is_empty(), "no source in {}", source.display());
    found
}

/// Every path of a source text, with its line.
fn paths(text: &str, module: &[String]) -> Vec<(usize, Vec<String>)> {
    let mut tokens = tokens(text);
    let test = tokens.windows(4).position(|four| {
        let four: Vec<&str> = four.iter().map(|(_, token)| token.as_str()).collect();
        four == ["#", "[", "cfg", "("]
    });
    // Only a test module that ends the file is cut off; `cfg` of anything else stays.
    if let Some(at) = test.filter(|at| tokens.get(at + 4).is_some_and(|(_, token)| token == "test")) {
        tokens.truncate(at);
    }
    let mut found = Vec::new();
    let mut position = 0;
    while position < tokens.len() {
        let line = tokens[position].0;
        let mut tree = Vec::new();
        let next = read_tree(&tokens, position, &[], &mut tree);
        found.extend(tree.into_iter().filter(|path| path.len() > 1).map(|path| (line, resolve(path, module))));
        position = next.max(position + 1);
    }
    found
}

/// Reads one path, groups in braces included, from `position`; gives the position after it.
fn read_tree(
    tokens: &[(usize, String)],
    mut position: usize,
    prefix: &[String],
    found: &mut Vec<Vec<String>>,
) -> usize {
    let token = |at: usize| tokens.get(at).map(|(_, token)| token.as_str()).unwrap_or_default();
    let mut path = prefix.to_vec();
    loop {
        match token(position) {
            "{" if !path.is_empty() => {
                position += 1;
                while !matches!(token(position), "}" | "") {
                    let next = read_tree(tokens, position, &path, found);
                    position = next.max(position + 1);
                }
                return position + 1;
            }
            word if is_word(word) => path.push(word.to_owned()),
            _ => break,
        }
        position += 1;
        if token(position) != "::" {
            break;
        }
        position += 1;
    }
    if path.len() > prefix.len() {
        found.push(path);
    }
    position
}

/// `self` and `super` become `crate::…`.
fn resolve(path: Vec<String>, module: &[String]) -> Vec<String> {
    let supers = path.iter().take_while(|part| *part == "super").count();
    let own = usize::from(path[0] == "self");
    if supers + own == 0 {
        return path;
    }
    let mut whole = vec!["crate".to_owned()];
    whole.extend_from_slice(&module[..module.len().saturating_sub(supers)]);
    whole.extend_from_slice(&path[supers + own..]);
    whole
}

/// Words and `::`; strings, characters and comments are left out.
fn tokens(text: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut line = 1;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |at| at + 2)
        } else if let Some(length) = raw_string(rest) {
            length
        } else if first == '"' {
            quoted(rest)
        } else if first == '\'' {
            character(rest)
        } else if first.is_alphanumeric() || first == '_' {
            let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            found.push((line, rest[..length].to_owned()));
            length
        } else if rest.starts_with("::") {
            found.push((line, "::".into()));
            2
        } else {
            if !first.is_whitespace() {
                found.push((line, first.to_string()));
            }
            first.len_utf8()
        };
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    found
}

/// Length of a raw string that starts here.
fn raw_string(text: &str) -> Option<usize> {
    let after = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let inner = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(text.len() - inner.len() + inner.find(&end).map_or(inner.len(), |at| at + end.len()))
}

fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// A character literal, or the quote of a lifetime.
fn character(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => text[2..].find('\'').map_or(1, |at| if at == 0 { 4 } else { at + 3 }),
        Some(_) => chars.next().filter(|(_, c)| *c == '\'').map_or(1, |(at, _)| at + 1),
        None => 1,
    }
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// The table of routes is no surface: every surface is made of one.
fn is_surface(name: &str) -> bool {
    name != "route" && root().join("daemon/src/api").join(name).is_dir()
}

fn strs(path: &[String]) -> Vec<&str> {
    path.iter().map(String::as_str).collect()
}

fn module_of(file: &Path) -> Vec<String> {
    let mut parts: Vec<String> =
        file.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if parts.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        parts.pop();
    }
    parts
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of the tree") {
            let path = entry.expect("an entry").path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn relative(file: &Path) -> String {
    file.strip_prefix(root()).expect("below the workspace").display().to_string()
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).expect("a source file")
}

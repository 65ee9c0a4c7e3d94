//! Imports run one way: no circle between files, nor between folders.
//!
//! Read from the sources with `syn`: `use` lines and paths written out, followed through re-exports
//! to the file that defines the name. Tests inside a file (`#[cfg(test)]`) may look wherever they
//! like.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::Visit;

/// A path as it is written, such as `crate::ops::Form`.
type Names = Vec<String>;

/// One source file: a module of its crate.
#[derive(Default)]
struct Module {
    file: String,
    /// Names that it defines.
    items: BTreeSet<String>,
    /// Names that it imports, with where from. A re-export is no dependency of the file itself.
    imports: BTreeMap<String, Names>,
    /// Modules that it imports all names of.
    globs: Vec<Names>,
    /// Paths that it depends on: its private imports, and those written out in its code.
    paths: Vec<Names>,
    /// Modules inside the file around what is being read.
    inline: usize,
}

impl Module {
    /// A path as the file itself would write it.
    fn outside_modules(&self, path: Names) -> Names {
        let inside = path.iter().take(self.inline).take_while(|name| *name == "super").count();
        if inside == 0 { path } else { [&["self".into()], &path[inside..]].concat() }
    }

    fn depend(&mut self, path: Names) {
        let path = self.outside_modules(path);
        self.paths.push(path);
    }

    fn import(&mut self, tree: &syn::UseTree, mut before: Names, exported: bool) {
        match tree {
            syn::UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.import(&path.tree, before, exported);
            }
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.import(tree, before.clone(), exported));
            }
            syn::UseTree::Glob(_) => {
                if !exported {
                    self.depend(before.clone());
                }
                self.globs.push(self.outside_modules(before));
            }
            syn::UseTree::Name(name) => self.import_as(name.ident.to_string(), &name.ident, before, exported),
            syn::UseTree::Rename(name) => self.import_as(name.rename.to_string(), &name.ident, before, exported),
        }
    }

    fn import_as(&mut self, local: String, name: &syn::Ident, mut path: Names, exported: bool) {
        let local = if name == "self" { path.last().expect("self of a module").clone() } else { local };
        if name != "self" {
            path.push(name.to_string());
        }
        if !exported {
            self.depend(path.clone());
        }
        self.imports.insert(local, self.outside_modules(path));
    }

    /// Paths inside a macro's call, which are tokens only.
    fn read_tokens(&mut self, tokens: TokenStream) {
        let mut path = Names::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) if path.is_empty() || colons == 2 => {
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && colons < 2 => colons += 1,
                other => {
                    self.depend(std::mem::take(&mut path));
                    colons = 0;
                    match other {
                        TokenTree::Group(group) => self.read_tokens(group.stream()),
                        TokenTree::Ident(ident) => path.push(ident.to_string()),
                        _ => {}
                    }
                }
            }
        }
        self.depend(path);
    }
}

fn only_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|a| a.path().is_ident("cfg") && a.parse_args::<syn::Ident>().is_ok_and(|cfg| cfg == "test"))
}

impl<'ast> Visit<'ast> for Module {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        use syn::Item::{Const, Enum, Fn, Macro, Mod, Static, Struct, Trait, Type, Union, Use};
        let (name, attributes) = match item {
            Const(item) => (Some(&item.ident), &item.attrs),
            Enum(item) => (Some(&item.ident), &item.attrs),
            Fn(item) => (Some(&item.sig.ident), &item.attrs),
            Macro(item) => (item.ident.as_ref(), &item.attrs),
            Mod(item) => (None, &item.attrs),
            Static(item) => (Some(&item.ident), &item.attrs),
            Struct(item) => (Some(&item.ident), &item.attrs),
            Trait(item) => (Some(&item.ident), &item.attrs),
            Type(item) => (Some(&item.ident), &item.attrs),
            Union(item) => (Some(&item.ident), &item.attrs),
            Use(item) => (None, &item.attrs),
            _ => return syn::visit::visit_item(self, item),
        };
        if only_for_tests(attributes) {
            return;
        }
        self.items.extend(name.map(ToString::to_string));
        if let Use(item) = item {
            self.import(&item.tree, Names::new(), !matches!(item.vis, syn::Visibility::Inherited));
        }
        self.inline += usize::from(matches!(item, Mod(_)));
        syn::visit::visit_item(self, item);
        self.inline -= usize::from(matches!(item, Mod(_)));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.depend(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        syn::visit::visit_path(self, path);
    }

    /// `pub(super)` names a module and imports nothing.
    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.read_tokens(call.tokens.clone());
    }
}

/// The modules of a crate by their paths.
struct Sources(BTreeMap<Names, Module>);

impl Sources {
    fn read(source: &Path) -> Self {
        let mut files = vec![];
        collect(source, &mut files);
        let module = |file: &PathBuf| {
            let relative = file.strip_prefix(source).unwrap().with_extension("");
            let mut place: Names = relative.iter().map(|name| name.to_string_lossy().into_owned()).collect();
            if ["mod", "lib", "main"].contains(&place.last().unwrap().as_str()) {
                place.pop();
            }
            let mut module = Module { file: relative.with_extension("rs").display().to_string(), ..Module::default() };
            let text = fs::read_to_string(file).unwrap();
            module.visit_file(&syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display())));
            (place, module)
        };
        Self(files.iter().map(module).collect())
    }

    /// The file that defines what a path written in a module names; `None` for what belongs to
    /// other crates.
    fn find(&self, module: &[String], path: &[String], depth: usize) -> Option<&Names> {
        let (first, rest) = path.split_first()?;
        if depth > 20 {
            return None;
        }
        match first.as_str() {
            "crate" => self.walk(&[], rest, depth),
            "self" => self.walk(module, rest, depth),
            "super" => self.walk(&module[..module.len().checked_sub(1)?], rest, depth),
            // Plain names are found where they are imported; a path through a module is followed.
            _ if rest.is_empty() && depth == 0 => None,
            _ => self.walk(module, path, depth),
        }
    }

    fn walk(&self, module: &[String], path: &[String], depth: usize) -> Option<&Names> {
        let (place, here) = self.0.get_key_value(module)?;
        let Some((first, rest)) = path.split_first() else { return Some(place) };
        if first == "super" || first == "self" {
            return self.find(module, path, depth + 1);
        }
        let child = [module, std::slice::from_ref(first)].concat();
        if self.0.contains_key(&child) {
            return self.walk(&child, rest, depth + 1);
        }
        if here.items.contains(first) {
            return Some(place);
        }
        if let Some(import) = here.imports.get(first) {
            return self.find(module, &[import, rest].concat(), depth + 1);
        }
        here.globs.iter().find_map(|glob| self.find(module, &[glob, path].concat(), depth + 1))
    }

    /// Which module depends on which.
    fn dependencies(&self) -> BTreeSet<(&Names, &Names)> {
        let of = |(module, source): (&_, &_)| -> Vec<(&Names, &Names)> {
            let (module, source): (&Names, &Module) = (module, source);
            let found = source.paths.iter().filter_map(|path| self.find(module, path, 0));
            // Whoever imports a module by name uses what is inside, which is written out.
            let (place, _) = self.0.get_key_value(module).unwrap();
            found.filter(|other| *other != module).map(|other| (place, other)).collect()
        };
        self.0.iter().flat_map(of).collect()
    }

    /// Circles among the entries of a folder: files and folders, each with all that is below it.
    fn circles(&self) -> BTreeSet<BTreeSet<String>> {
        let mut circles = BTreeSet::new();
        let dependencies = self.dependencies();
        for folder in self.0.keys() {
            let entry = |module: &Names| -> Option<String> {
                let below = module.strip_prefix(folder.as_slice())?;
                Some(below.first().map_or_else(
                    || self.0[folder].file.clone(),
                    |name| [folder, std::slice::from_ref(name)].concat().join("/"),
                ))
            };
            let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            for (from, to) in &dependencies {
                if let (Some(from), Some(to)) = (entry(from), entry(to))
                    && from != to
                {
                    edges.entry(from).or_default().insert(to);
                }
            }
            let reached = |start: &String| {
                let (mut seen, mut next) = (BTreeSet::new(), vec![start]);
                while let Some(entry) = next.pop() {
                    next.extend(edges.get(entry).into_iter().flatten().filter(|to| seen.insert((*to).clone())));
                }
                seen
            };
            let reach: BTreeMap<_, _> = edges.keys().map(|entry| (entry, reached(entry))).collect();
            for (entry, seen) in &reach {
                let circle: BTreeSet<_> =
                    seen.iter().filter(|other| reach.get(other).is_some_and(|r| r.contains(*entry))).cloned().collect();
                if !circle.is_empty() {
                    circles.insert(circle);
                }
            }
        }
        circles
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
}

#[test]
fn imports_run_one_way() {
    let mut circles = String::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).unwrap() {
        let folder = entry.unwrap().path();
        if !folder.join("src").is_dir() {
            continue;
        }
        for circle in Sources::read(&folder.join("src")).circles() {
            let names: Vec<_> = circle.into_iter().collect();
            circles += &format!("{}: {}\n", folder.file_name().unwrap().display(), names.join(", "));
        }
    }
    assert!(circles.is_empty(), "these import each other; put what they share into a file of its own:\n{circles}");
}

#[test]
fn a_circle_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let files = [
        ("lib.rs", "mod a; mod b; pub mod c; pub use a::One;"),
        ("a.rs", "pub struct One; fn f() -> u8 { vec![crate::b::two()][0] }"),
        (
            "b.rs",
            "use crate::One; pub(super) fn two() -> u8 { let _ = One; 2 } #[cfg(test)] mod tests { use crate::c::X; }",
        ),
        ("c/mod.rs", "mod d; pub use d::X; pub fn five() {}"),
        ("c/d.rs", "use crate::b; pub struct X; fn f() { b::two(); }"),
    ];
    fs::create_dir(folder.path().join("c")).unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let circle = |names: &[&str]| names.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    let circles = |folder| Sources::read(folder).circles();
    assert_eq!(circles(folder.path()), BTreeSet::from([circle(&["a", "b"])]));
    fs::write(folder.path().join("a.rs"), "pub struct One;").unwrap();
    assert_eq!(circles(folder.path()), BTreeSet::new());
    // A file and its folder's own file.
    fs::write(folder.path().join("c/mod.rs"), "mod d; use d::X; pub fn five() { let _ = X; }").unwrap();
    fs::write(folder.path().join("c/d.rs"), "pub struct X; fn f() { super::five() }").unwrap();
    assert_eq!(circles(folder.path()), BTreeSet::from([circle(&["c/d", "c/mod.rs"])]));
}

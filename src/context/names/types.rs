//! The members of a type, wherever they are declared: by its definition, by what adds to it, by its bases.

use std::path::{Path, PathBuf};

use super::modules::{Files, Module};
use super::standard;
use crate::syntax::{Member, Modules, Names, Origin, Part, Reach};

/// How many bases of bases, and modules that re-export names of modules, are followed.
const MOST_STEPS: usize = 8;

/// Members that are known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Members {
    pub(super) members: Vec<Member>,
    /// There are no more members than these.
    pub(super) is_complete: bool,
}

impl Members {
    pub(super) fn add(&mut self, other: Self) {
        self.members.extend(other.members);
        self.is_complete &= other.is_complete;
    }
}

/// Where a type is defined, and what it is called there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TypePlace {
    pub(super) path: PathBuf,
    pub(super) name: String,
}

impl Files<'_> {
    /// The members of the type that is defined at `place`.
    pub(super) fn members(&self, place: &TypePlace) -> Members {
        self.members_at(place, &mut Vec::new())
    }

    fn members_at(&self, place: &TypePlace, seen: &mut Vec<TypePlace>) -> Members {
        let mut found = Members { members: Vec::new(), is_complete: true };
        if seen.contains(place) {
            return found;
        }
        seen.push(place.clone());
        let Some(names) = self.names(&place.path).filter(|_| seen.len() < MOST_STEPS * 2) else {
            return Members::default();
        };
        let parts = names.parts_of(&place.name).map(|part| (place.path.clone(), part.clone()));
        let mut parts: Vec<(PathBuf, Part)> = parts.collect();
        match self.parts_elsewhere(place) {
            Some(more) => parts.extend(more),
            None => found.is_complete = false,
        }
        for (path, part) in parts {
            found.is_complete &= !part.may_have_more && !part.is_broken;
            found.members.extend(part.members);
            for base in &part.bases {
                found.add(self.members_of_base(&path, base, seen));
            }
        }
        found
    }

    fn members_of_base(&self, path: &Path, base: &str, seen: &mut Vec<TypePlace>) -> Members {
        let both = |name: &&str| Member { name: (*name).to_owned(), reach: Reach::Both, type_name: None };
        if let Some(place) = self.type_called(path, base) {
            let mut members = self.members_at(&place, seen);
            // An embedded field is called as its type is.
            let last = base.rsplit('.').next().unwrap_or(base);
            members.members.extend(Some(last).filter(|_| self.rules() == Modules::Go).iter().map(both));
            return members;
        }
        match standard::base(self.rules(), base) {
            Some(members) => Members { members: members.iter().map(both).collect(), is_complete: true },
            None => Members::default(),
        }
    }

    /// The type of the field `name` of the type at `place`, as its definition or that of a base says it.
    pub(super) fn field_type(&self, place: &TypePlace, name: &str) -> Option<TypePlace> {
        self.field_type_within(place, name, MOST_STEPS)
    }

    fn field_type_within(&self, place: &TypePlace, name: &str, steps: usize) -> Option<TypePlace> {
        let (names, steps) = (self.names(&place.path)?, steps.checked_sub(1)?);
        let fields = names.parts_of(&place.name).flat_map(|part| &part.members).filter(|member| member.name == name);
        if let Some(type_name) = fields.filter_map(|field| field.type_name.as_deref()).next() {
            return self.type_called(&place.path, type_name);
        }
        let bases = names.parts_of(&place.name).flat_map(|part| &part.bases);
        let mut bases = bases.filter_map(|base| self.type_called(&place.path, base)).filter(|base| base != place);
        bases.find_map(|base| self.field_type_within(&base, name, steps))
    }

    /// What other files add to a type; `None` where not all of them are known.
    fn parts_elsewhere(&self, place: &TypePlace) -> Option<Vec<(PathBuf, Part)>> {
        let paths = match self.rules() {
            Modules::Rust => self.with_members_of(&place.name)?,
            Modules::Go => self.beside(&place.path)?,
            _ => return Some(Vec::new()),
        };
        let own = (self.rules() == Modules::Rust).then(|| self.own_path.clone());
        let mut parts = Vec::new();
        for path in paths.into_iter().chain(own).filter(|path| *path != place.path) {
            let Some(names) = self.names(&path) else { continue };
            // One that defines a type of that name adds to its own.
            if self.rules() == Modules::Rust && names.parts_of(&place.name).any(|part| part.is_definition) {
                continue;
            }
            parts.extend(names.parts_of(&place.name).map(|part| (path.clone(), part.clone())));
        }
        Some(parts)
    }

    /// The type that the file at `path` calls `name`, which may be qualified.
    pub(super) fn type_called(&self, path: &Path, name: &str) -> Option<TypePlace> {
        let separator = if matches!(self.rules(), Modules::Rust | Modules::C | Modules::Cpp) { "::" } else { "." };
        match name.rsplit_once(separator) {
            None => self.type_named(path, name, MOST_STEPS),
            Some((module, name)) => {
                let file = self.module_called(path, module)?;
                self.type_named(&file, name, MOST_STEPS)
            }
        }
    }

    /// The file of the module that the file at `path` calls `module`, as a name that it imports or as a path.
    pub(super) fn module_called(&self, path: &Path, module: &str) -> Option<PathBuf> {
        if self.rules() == Modules::Rust {
            return self.rust(path, &module.split("::").collect::<Vec<_>>(), 0);
        }
        let mut names = module.split('.');
        let first = names.next()?;
        let own = self.names(path)?;
        let origin = own.binding(first)?.origin.as_ref()?;
        let mut file = self.file(path, origin)?;
        for name in names {
            file = self.below(&file, name)?;
        }
        Some(file)
    }

    /// The file that is imported by `origin` as a module.
    fn file(&self, path: &Path, origin: &Origin) -> Option<PathBuf> {
        let file = |module: &str| match self.module(path, module)? {
            Module::File(file) => Some(file),
            Module::Folder(_) => None,
        };
        let Some(name) = &origin.name else { return file(&origin.module) };
        if self.rules() != Modules::Python {
            return None;
        }
        // What the package declares itself by that name is no module.
        let package = file(&origin.module).and_then(|package| self.names(&package));
        if package.is_some_and(|package| package.binding(name).is_some_and(|binding| binding.origin.is_none())) {
            return None;
        }
        let separator = if origin.module.ends_with('.') { "" } else { "." };
        file(&format!("{}{separator}{name}", origin.module))
    }

    /// The module `name` of the package in the file `package`.
    fn below(&self, package: &Path, name: &str) -> Option<PathBuf> {
        let is_submodule =
            self.rules() == Modules::Python && self.submodules(package).iter().any(|module| module == name);
        let here = || match self.module(package, &format!(".{name}"))? {
            Module::File(file) => Some(file),
            Module::Folder(_) => None,
        };
        is_submodule.then(here).flatten()
    }

    /// The type that the file at `path` calls `name`, found by at most `steps` imports.
    fn type_named(&self, path: &Path, name: &str, steps: usize) -> Option<TypePlace> {
        let names = self.names(path)?;
        if names.parts_of(name).any(|part| part.is_definition) {
            let place = TypePlace { path: path.to_owned(), name: name.to_owned() };
            return (!self.may_be_other(&names, name)).then_some(place);
        }
        let steps = steps.checked_sub(1)?;
        if let Some(origin) = names.binding(name).and_then(|binding| binding.origin.as_ref()) {
            return self.imported_type(path, origin, steps);
        }
        let taken_over = names.all_of.iter().filter_map(|module| self.module(path, module));
        let mut files = taken_over.filter_map(|module| match module {
            Module::File(file) if file != path => Some(file),
            _ => None,
        });
        files.find_map(|file| self.type_named(&file, name, steps)).or_else(|| self.type_nearby(path, name))
    }

    /// Whether the type `name` that a text defines may be another one by then: one that is imported in an inner module, or where the
    /// import does not fail, or what is assigned to its name.
    fn may_be_other(&self, names: &Names, name: &str) -> bool {
        let bindings = || names.bindings.iter().filter(|binding| binding.name == name);
        let is_other = |origin: &Origin| !origin.module.ends_with("super");
        let is_imported = bindings().any(|binding| binding.origin.as_ref().is_some_and(is_other));
        let is_bound_again = self.rules() == Modules::Python && bindings().count() > names.parts_of(name).count();
        is_imported || is_bound_again
    }

    fn imported_type(&self, path: &Path, origin: &Origin, steps: usize) -> Option<TypePlace> {
        let name = origin.name.as_deref()?;
        if self.rules() == Modules::Java {
            return self.type_named(&self.java(path, &origin.module, name)?, name, steps);
        }
        match self.module(path, &origin.module)? {
            Module::File(file) if file == path => None,
            Module::File(file) => self.type_named(&file, name, steps),
            Module::Folder(_) => None,
        }
    }

    /// A type that needs no import.
    fn type_nearby(&self, path: &Path, name: &str) -> Option<TypePlace> {
        let candidates = match self.rules() {
            Modules::Java => vec![path.with_file_name(format!("{name}.java"))],
            Modules::Go => self.beside(path)?,
            Modules::C | Modules::Cpp => self.defining(name),
            _ => return None,
        };
        let defines = |names: &Names| names.parts_of(name).any(|part| part.is_definition);
        let mut defining =
            candidates.into_iter().filter(|file| file != path && self.names(file).is_some_and(|names| defines(&names)));
        let found = defining.next()?;
        // What two files define may be either.
        defining.next().is_none().then(|| TypePlace { path: found, name: name.to_owned() })
    }

    /// What the module in the file at `path` has.
    pub(super) fn exports(&self, path: &Path) -> Members {
        self.exports_within(path, MOST_STEPS)
    }

    fn exports_within(&self, path: &Path, steps: usize) -> Members {
        let (Some(names), Some(steps)) = (self.names(path), steps.checked_sub(1)) else { return Members::default() };
        let member = |name: &str| Member { name: name.to_owned(), reach: Reach::Both, type_name: None };
        let own = names.bindings.iter().filter(|binding| binding.is_exported).map(|binding| member(&binding.name));
        let mut found = Members { members: own.collect(), is_complete: !names.may_have_more };
        // What such a file declares is exported, whether it says so or not.
        found.is_complete &= !path.to_str().is_some_and(|path| path.ends_with(".d.ts"));
        found.members.extend(self.submodules(path).iter().map(|name| member(name)));
        for module in &names.all_of {
            match self.module(path, module) {
                Some(Module::File(file)) if file == path => {}
                Some(Module::File(file)) => found.add(self.exports_within(&file, steps)),
                _ => found.is_complete = false,
            }
        }
        found
    }
}

//! Names that are given values: the parameters of what is called, the fields of what is made.

use std::path::Path;

use super::types::{Members, TypePlace};
use super::{Asked, Files, Found, Module, standard};
use crate::syntax::{Callable, GivenList, Member, Modules, Names, Part, Reach};

/// How many bases of bases, and imports from one to the next, are followed.
const MOST_STEPS: usize = 8;
/// The methods of Python that take what a type is called with.
const MAKERS: [&str; 2] = ["__init__", "__new__"];

impl Asked<'_> {
    /// The names that can be given values in `list`, those that have some left out.
    pub(super) fn given(&self, list: &GivenList) -> Option<Found> {
        let own_path = &self.files.own_path;
        let mut members = match self.rules {
            Modules::Python => self.parameters(&list.to)?,
            Modules::Rust => self.files.fields(&self.rust_type(&list.to)?),
            Modules::Go => self.go_fields(&list.to)?,
            Modules::Script => self.files.members(&self.files.type_called(own_path, &list.to)?),
            Modules::C | Modules::Cpp => {
                self.of_type(&self.files.type_called(own_path, &list.to)?, Reach::Both).members
            }
            Modules::Java | Modules::Unknown => return None,
        };
        members.members.retain(|member| !list.given.contains(&member.name));
        Some(Found { members, is_module: false, path: own_path.clone() })
    }

    /// The type or variant that a literal of Rust names.
    fn rust_type(&self, name: &str) -> Option<TypePlace> {
        let own_path = &self.files.own_path;
        let type_called = |name: &str| match name {
            "Self" => self.own_type(),
            _ => self.files.type_called(own_path, name),
        };
        let variant = || {
            let (of, variant) = name.rsplit_once("::")?;
            let TypePlace { path, name } = type_called(of)?;
            Some(TypePlace { path, name: format!("{name}::{variant}") })
        };
        type_called(name).or_else(variant)
    }

    /// The fields of the type that a literal of Go names.
    fn go_fields(&self, name: &str) -> Option<Members> {
        let Some((package, name)) = name.split_once('.') else {
            return Some(self.files.fields(&self.files.type_called(&self.files.own_path, name)?));
        };
        let own = self.files.names(&self.files.own_path)?;
        let origin = own.binding(package)?.origin.clone()?;
        let Module::Folder(folder) = self.files.module(&self.files.own_path, &origin.module)? else { return None };
        let defines = |path: &Path| self.files.names(path).is_some_and(|names| has_definition(&names, name));
        let files = self.files.beside(&folder.join("package.go"))?;
        let mut defining = files.into_iter().filter(|path| defines(path));
        let place = TypePlace { path: defining.next()?, name: name.to_owned() };
        // What two files define may be either.
        let mut fields = defining.next().is_none().then(|| self.files.fields(&place))?;
        fields.members.retain(|member| member.name.starts_with(char::is_uppercase));
        Some(fields)
    }

    /// The parameters of what Python calls `callee`.
    fn parameters(&self, callee: &str) -> Option<Members> {
        if let Some(name) = callee.strip_prefix("super().") {
            return self.files.inherited(&self.own_value_type()?, name);
        }
        let (name, receiver) =
            callee.rsplit_once('.').map_or((callee, None), |(receiver, name)| (name, Some(receiver)));
        let own_path = &self.files.own_path;
        let Some(receiver) = receiver else {
            return match name {
                "cls" => self.files.made_with(&self.own_value_type()?, MOST_STEPS),
                // A variable may be anything.
                _ if self.type_of_variable(name).is_some() => None,
                _ => self.files.called_with(own_path, name, MOST_STEPS),
            };
        };
        let (first, fields) = receiver.split_once('.').map_or((receiver, None), |(first, rest)| (first, Some(rest)));
        let of = match fields {
            None if self.is_own_value(first) => Some(self.own_value_type()?),
            None => match self.type_of_variable(first) {
                Some(type_name) => Some(self.files.type_called(own_path, &type_name?)?),
                None => self.files.type_called(own_path, first),
            },
            Some(_) if self.is_own_value(first) || self.type_of_variable(first).is_some() => return None,
            Some(_) => None,
        };
        match of {
            Some(of) => self.files.method(&of, name, MOST_STEPS),
            None => self.files.called_with(&self.files.module_called(own_path, receiver)?, name, MOST_STEPS),
        }
    }
}

impl Files<'_> {
    /// What a literal of the type at `place` can name: the fields that its own definition has.
    fn fields(&self, place: &TypePlace) -> Members {
        let Some(names) = self.names(&place.path) else { return Members::default() };
        let mut found = Members { members: Vec::new(), is_complete: true };
        for part in names.parts_of(&place.name).filter(|part| part.is_definition) {
            found.is_complete &= !part.may_take_more && !part.is_broken;
            let is_field = |member: &&Member| self.rules() != Modules::Rust || member.reach == Reach::Value;
            found.members.extend(part.members.iter().filter(is_field).cloned());
            if self.rules() == Modules::Go {
                // An embedded field is called as its type is.
                found.members.extend(part.bases.iter().map(|base| named(base.rsplit('.').next().unwrap_or(base))));
            }
        }
        found
    }

    /// What a call of what the module of Python in the file at `path` calls `name` can give by name.
    fn called_with(&self, path: &Path, name: &str, steps: usize) -> Option<Members> {
        if let Some(place) = self.type_called(path, name) {
            return self.made_with(&place, steps);
        }
        let names = self.names(path)?;
        let functions = || names.callables.iter().filter(|callable| callable.name == name && callable.owner.is_none());
        if functions().next().is_some() {
            let mut found = all_parameters(functions());
            // It may be something else by then.
            let bound = names.bindings.iter().filter(|binding| binding.name == name).count();
            found.is_complete &= bound <= functions().filter(|function| !function.is_local).count();
            return Some(found);
        }
        let steps = steps.checked_sub(1)?;
        let file = |module: &str| match self.module(path, module)? {
            Module::File(file) if file != path => Some(file),
            _ => None,
        };
        match names.binding(name) {
            Some(binding) => {
                let origin = binding.origin.as_ref()?;
                self.called_with(&file(&origin.module)?, origin.name.as_deref()?, steps)
            }
            None => names.all_of.iter().find_map(|module| self.called_with(&file(module)?, name, steps)),
        }
    }

    /// What a call of the type of Python at `place` can give by name.
    fn made_with(&self, place: &TypePlace, steps: usize) -> Option<Members> {
        let (names, steps) = (self.names(&place.path)?, steps.checked_sub(1)?);
        let parts: Vec<&Part> = names.parts_of(&place.name).collect();
        let is_maker = |callable: &&Callable| is_method_of(callable, place) && MAKERS.contains(&callable.name.as_str());
        let mut found = all_parameters(names.callables.iter().filter(is_maker));
        for part in &parts {
            found.is_complete &= !part.may_have_more && !part.may_take_more && !part.is_broken;
            found.members.extend(part.parameters.iter().map(|parameter| named(parameter)));
        }
        if !names.callables.iter().any(|callable| is_maker(&callable)) {
            self.add_bases(place, &parts, &mut found, |base| self.made_with(base, steps));
        }
        Some(found)
    }

    /// What a call of the method `name` of the type of Python at `place` can give by name.
    fn method(&self, place: &TypePlace, name: &str, steps: usize) -> Option<Members> {
        let (names, steps) = (self.names(&place.path)?, steps.checked_sub(1)?);
        let is_it = |callable: &&Callable| is_method_of(callable, place) && callable.name == name;
        let own = all_parameters(names.callables.iter().filter(is_it));
        if names.callables.iter().any(|callable| is_it(&callable)) {
            return Some(own);
        }
        let parts: Vec<&Part> = names.parts_of(&place.name).collect();
        // A member by that name that is no method may be anything.
        if parts.iter().flat_map(|part| &part.members).any(|member| member.name == name) {
            return None;
        }
        let mut found = own;
        self.add_bases(place, &parts, &mut found, |base| self.method(base, name, steps));
        Some(found)
    }

    /// What a call of `super().name` in the type of Python at `place` can give by name.
    fn inherited(&self, place: &TypePlace, name: &str) -> Option<Members> {
        let names = self.names(&place.path)?;
        let parts: Vec<&Part> = names.parts_of(&place.name).collect();
        let mut found = Members { members: Vec::new(), is_complete: true };
        self.add_bases(place, &parts, &mut found, |base| match MAKERS.contains(&name) {
            true => self.made_with(base, MOST_STEPS),
            false => self.method(base, name, MOST_STEPS),
        });
        Some(found)
    }

    /// Adds what `of` says of the bases of `parts`.
    fn add_bases(
        &self,
        place: &TypePlace,
        parts: &[&Part],
        found: &mut Members,
        of: impl Fn(&TypePlace) -> Option<Members>,
    ) {
        for base in parts.iter().flat_map(|part| &part.bases) {
            match self.type_called(&place.path, base).filter(|base| base != place) {
                Some(base) => found.add(of(&base).unwrap_or_default()),
                None => found.is_complete &= standard::base(self.rules(), base).is_some(),
            }
        }
    }
}

fn is_method_of(callable: &Callable, place: &TypePlace) -> bool {
    callable.owner.as_deref() == Some(&*place.name)
}

/// All parameters of `callables`, which are called alike.
fn all_parameters<'a>(callables: impl Iterator<Item = &'a Callable>) -> Members {
    let mut found = Members { members: Vec::new(), is_complete: true };
    for callable in callables {
        found.is_complete &= !callable.may_take_more;
        let is_given =
            |name: &&String| callable.owner.is_none() || !Modules::Python.own_value().contains(&name.as_str());
        found.members.extend(callable.parameters.iter().filter(is_given).map(|name| named(name)));
    }
    found
}

fn has_definition(names: &Names, name: &str) -> bool {
    names.parts_of(name).any(|part| part.is_definition)
}

fn named(name: &str) -> Member {
    Member { name: name.to_owned(), reach: Reach::Both, type_name: None }
}

//! Names that exist: which ones can come at a place, if the tree and the project show it.
//!
//! `self.` and `this.` lead to the members of the enclosing type, a variable or type to the members of its type, a
//! module to its contents; arguments and fields that are given by name to those of what is called or made. Nothing is resolved as a compiler would: if anything is not understood, the names do not
//! count as complete.

mod given;
mod modules;
mod place;
mod standard;
mod types;

use std::ops::Range;
use std::path::PathBuf;

use super::Snapshot;
use crate::syntax::{Language, Member, Modules, Parsed, Reach};
use crate::text::{KnownNames, Rope, floor_char_boundary, line_content};
use modules::{Files, Module};
use place::{GivenPlace, NamePlace, Through, given_place, is_in_name, name_place};
use types::{Members, TypePlace};

/// Names in larger texts are not looked for, because somebody is waiting.
const MAX_BYTES: usize = 128 << 10;
/// More names than this are no help.
const MOST_NAMES: usize = 4000;
/// A placeholder for the name that is being written, so that the text around it can be parsed.
const HERE: &str = "phi_ls_name";

/// Names that can come at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offered {
    /// In order.
    pub(super) names: Vec<String>,
    /// No other name can come here.
    pub(super) is_complete: bool,
    /// The part of the name that is already there.
    begun: String,
    /// They are elements of a list that may go over lines.
    is_listed: bool,
    /// The file whose names they are, as those of a module.
    pub(super) module: Option<PathBuf>,
}

/// All names that can come at `offset`; `None` if not all of them are known.
pub fn known_names(snapshot: &Snapshot, offset: usize) -> Option<KnownNames> {
    let offered = offered(snapshot, offset).filter(|offered| offered.is_complete)?;
    let names = KnownNames::new(offered.names.iter().map(String::as_str), &offered.begun)?;
    Some(if offered.is_listed { names.over_lines() } else { names })
}

/// The names that are known to be possible at `offset`.
pub(super) fn offered(snapshot: &Snapshot, offset: usize) -> Option<Offered> {
    let parsed = snapshot.parsed.as_ref().filter(|parsed| parsed.text().len_bytes() <= MAX_BYTES)?;
    let offset = floor_char_boundary(&snapshot.text, offset);
    let rules = parsed.language.modules;
    let place = Place::at(&snapshot.text, offset, rules)?;
    if parsed.region_at(offset).is_some() || is_in_open_quotes(parsed, offset) {
        return None;
    }
    let begun = snapshot.text.byte_slice(place.begun()).to_string();
    let at = place.begun().start;
    let repaired = repaired(parsed, &place)?;
    let list = match &place {
        Place::Given(_) => Some(repaired.given_list(at)?),
        Place::Reached(_) => None,
    };
    let asked = Asked { files: Files::around(snapshot, repaired.names()), parsed: repaired, at, rules };
    let (found, extra) = match (&place, list) {
        (Place::Reached(place), _) => {
            let found = asked.reached(place)?;
            let extra = standard_names(&place.through, &found, rules).collect();
            (found, extra)
        }
        (Place::Given(_), list) => (asked.given(&list?)?, standard::before_given(rules).to_vec()),
    };
    let module = found.is_module.then_some(found.path);
    let is_kept = |name: &String| name != HERE && name.chars().all(is_in_name);
    let mut names: Vec<String> = found.members.members.into_iter().map(|member| member.name).filter(is_kept).collect();
    let has_any = !names.is_empty();
    names.extend(extra.into_iter().map(str::to_owned));
    names.sort_unstable();
    names.dedup();
    let is_complete = found.members.is_complete && has_any && names.len() <= MOST_NAMES;
    let is_listed = matches!(place, Place::Given(_));
    has_any.then_some(Offered { names, is_complete, begun, is_listed, module })
}

/// Whether a string is open at `offset` that nothing has closed yet, which the tree does not know as one.
fn is_in_open_quotes(parsed: &Parsed, offset: usize) -> bool {
    let text = parsed.text();
    let line = line_content(text, text.byte_to_line(offset));
    let rest = text.byte_slice(offset..line.end.max(offset)).to_string();
    let line = text.byte_slice(line.start..offset).to_string();
    let mut open = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match (character, open) {
            ('\\', Some(_)) => drop(characters.next()),
            (_, Some(quote)) if character == quote => open = None,
            ('"', None) => open = Some('"'),
            ('\'', None) if parsed.language.quotes.single => open = Some('\''),
            _ => {}
        }
    }
    open.is_some_and(|quote| !rest.contains(quote))
}

/// A place where only some names can come.
enum Place {
    Reached(NamePlace),
    Given(GivenPlace),
}

impl Place {
    fn at(text: &Rope, offset: usize, rules: Modules) -> Option<Self> {
        let reached = name_place(text, offset, rules).map(Self::Reached);
        reached.or_else(|| given_place(text, offset, rules).map(Self::Given))
    }

    fn begun(&self) -> Range<usize> {
        match self {
            Self::Reached(place) => place.begun.clone(),
            Self::Given(place) => place.begun.clone(),
        }
    }

    /// What may follow the name, the likelier first; it ends with its line where a statement does.
    fn ends(&self, language: &Language) -> &'static [&'static str] {
        match self {
            Self::Given(_) => &[",", ";", ""],
            Self::Reached(_) if language.block_openers.contains(&":") => &[""],
            Self::Reached(_) => &[";", ""],
        }
    }
}

/// The document with a name at the place, and with what its line is likely to go on with if that makes it sounder.
fn repaired(parsed: &Parsed, place: &Place) -> Option<Parsed> {
    let begun = place.begun();
    let name = match place {
        Place::Reached(_) => HERE.to_owned(),
        Place::Given(place) => format!("{HERE}{}", place.value),
    };
    let named = parsed.with_replacement(begun.clone(), &name)?;
    let errors = named.error_count();
    let text = parsed.text();
    let line = line_content(text, text.byte_to_line(begun.start));
    let rest = text.byte_slice(begun.end..line.end.max(begun.end)).to_string();
    if errors == 0 || !rest.trim().is_empty() {
        return Some(named);
    }
    let closers = closers(&text.byte_slice(line.start..begun.start).to_string());
    let mut best = (errors, named);
    for end in place.ends(parsed.language) {
        let closed = parsed.with_replacement(begun.clone(), &format!("{name}{closers}{end}"))?;
        let errors = closed.error_count();
        if errors < best.0 {
            best = (errors, closed);
        }
    }
    Some(best.1)
}

/// What closes the brackets that `line` leaves open.
fn closers(line: &str) -> String {
    let (mut open, mut quoted) = (Vec::new(), false);
    for character in line.chars() {
        match character {
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' => open.push(')'),
            '[' => open.push(']'),
            '{' => open.push('}'),
            ')' | ']' | '}' => drop(open.pop()),
            _ => {}
        }
    }
    open.into_iter().rev().collect()
}

/// The names that the language adds.
fn standard_names(through: &Through, found: &Found, rules: Modules) -> impl Iterator<Item = &'static str> + use<> {
    let names = match (found.is_module, through) {
        (true, Through::Import(_)) => [standard::of_modules(rules), standard::in_imports(rules)],
        (true, _) => [standard::of_modules(rules), &[]],
        (false, Through::Path(_)) => [standard::everywhere(rules, Reach::Type), &[]],
        (false, _) => [standard::everywhere(rules, Reach::Value), &[]],
    };
    names.into_iter().flatten().copied()
}

/// What a name is reached through, found.
struct Found {
    members: Members,
    is_module: bool,
    path: PathBuf,
}

/// A place in a document.
struct Asked<'a> {
    files: Files<'a>,
    /// The document, with a name at the place.
    parsed: Parsed,
    at: usize,
    rules: Modules,
}

impl Asked<'_> {
    fn reached(&self, place: &NamePlace) -> Option<Found> {
        match &place.through {
            Through::Import(module) => match self.files.module(&self.files.own_path, module)? {
                Module::File(path) => Some(self.module(path)),
                Module::Folder(_) => None,
            },
            Through::Path(names) => self.through_path(&names.iter().map(String::as_str).collect::<Vec<_>>()),
            Through::Value(names) => match names.as_slice() {
                [name] if self.is_own_value(name) => self.own_members(place),
                [name] => self.through_name(name, place),
                [first, fields @ ..] => {
                    self.through_fields(first, fields).or_else(|| self.through_module(&names.join(".")))
                }
                [] => None,
            },
        }
    }

    fn is_own_value(&self, name: &str) -> bool {
        self.rules.own_value().contains(&name)
    }

    /// The type that the code at the place is part of.
    fn own_type(&self) -> Option<TypePlace> {
        let own = self.files.names(&self.files.own_path)?;
        let part = own.part_around(self.at)?;
        self.files.type_called(&self.files.own_path, &part.name)
    }

    /// The type whose members the word for the own value leads to.
    fn own_value_type(&self) -> Option<TypePlace> {
        let own = self.files.names(&self.files.own_path)?;
        let part = own.part_around(self.at)?;
        (!self.parsed.binds_own_value(part.range.start, self.at)).then(|| self.own_type()).flatten()
    }

    /// Members of the type that the code at the place is part of.
    fn own_members(&self, place: &NamePlace) -> Option<Found> {
        let type_place = self.own_value_type()?;
        let mut found = self.unless_made(self.of_type(&type_place, Reach::Value), place);
        // What is mixed in knows more than it says.
        let is_mixed_in = type_place.name.ends_with("Mixin") || type_place.name.ends_with("Base");
        found.members.is_complete &= !is_mixed_in || self.has_declared_members();
        Some(found)
    }

    /// Members of the type that the last of `fields` has, each a field of the one before it, the first of them of `first`.
    fn through_fields(&self, first: &str, fields: &[String]) -> Option<Found> {
        let start = match self.is_own_value(first) {
            true => self.own_value_type(),
            false => self.files.type_called(&self.files.own_path, &self.type_of_variable(first)??),
        };
        let type_place = fields.iter().try_fold(start?, |place, field| self.files.field_type(&place, field))?;
        Some(self.of_type(&type_place, Reach::Value))
    }

    fn has_declared_members(&self) -> bool {
        self.parsed.language.has_declared_members
    }

    /// Whether what comes may be an assignment that makes a member.
    fn may_make_members(&self, place: &NamePlace) -> bool {
        place.is_statement && !self.has_declared_members()
    }

    /// Members of a variable's type, of a type, or of a module.
    fn through_name(&self, name: &str, place: &NamePlace) -> Option<Found> {
        if let Some(type_name) = self.type_of_variable(name) {
            let type_place = self.files.type_called(&self.files.own_path, &type_name?)?;
            return Some(self.unless_made(self.of_type(&type_place, Reach::Value), place));
        }
        // The own value need not be named where fields are meant.
        if matches!(self.rules, Modules::Java | Modules::C | Modules::Cpp)
            && let Some(type_place) = self.own_type().and_then(|own| self.files.field_type(&own, name))
        {
            return Some(self.of_type(&type_place, Reach::Value));
        }
        if !matches!(self.rules, Modules::Rust | Modules::C | Modules::Cpp | Modules::Go)
            && let Some(type_place) = self.files.type_called(&self.files.own_path, name)
        {
            return Some(self.unless_made(self.of_type(&type_place, Reach::Both), place));
        }
        self.through_module(name)
    }

    /// `found`, to which an assignment at the place may add.
    fn unless_made(&self, mut found: Found, place: &NamePlace) -> Found {
        found.members.is_complete &= !self.may_make_members(place);
        found
    }

    /// The type of the variable `name` at the place: the outer `None` if there is no such variable, the inner if nothing says it.
    fn type_of_variable(&self, name: &str) -> Option<Option<String>> {
        let items = self.parsed.enclosing_items(self.at);
        let function = items.iter().find(|item| item.kind.is_callable())?;
        let variables = self.parsed.variables(function.range.clone());
        let mut types =
            variables.into_iter().filter(|variable| variable.name == name).map(|variable| variable.type_name);
        let first = types.next()?;
        // Where it is made twice, or of two types, it is not known which one is meant.
        Some(first.filter(|first| types.all(|other| other.as_ref() == Some(first))))
    }

    fn through_module(&self, name: &str) -> Option<Found> {
        if self.rules == Modules::Go {
            return self.through_package(name);
        }
        (self.rules != Modules::Rust)
            .then(|| self.files.module_called(&self.files.own_path, name))
            .flatten()
            .map(|path| self.module(path))
    }

    /// What a package of Go has, which are the names of all its files that begin with a capital letter.
    fn through_package(&self, name: &str) -> Option<Found> {
        let own = self.files.names(&self.files.own_path)?;
        let origin = own.binding(name)?.origin.clone()?;
        let Module::Folder(folder) = self.files.module(&self.files.own_path, &origin.module)? else { return None };
        let path = folder.join("package.go");
        let mut members = Members { members: Vec::new(), is_complete: true };
        for file in self.files.beside(&path)? {
            let exports = self.files.exports(&file);
            members.is_complete &= exports.is_complete;
            let is_public = |member: &Member| member.name.starts_with(char::is_uppercase);
            members.members.extend(exports.members.into_iter().filter(is_public));
        }
        Some(Found { members, is_module: true, path })
    }

    /// Behind `a::b::`: what a type has, or a module.
    fn through_path(&self, names: &[&str]) -> Option<Found> {
        let own_path = &self.files.own_path;
        if let ["Self"] = names {
            return Some(self.of_type(&self.own_type()?, Reach::Type));
        }
        let (name, module) = names.split_last()?;
        let inner = self.inner_modules();
        if self.rules == Modules::Rust
            && let Some(path) = self.files.rust(own_path, names, inner)
        {
            let mut found = self.module(path);
            // Macros of any module may be exported to there.
            found.members.is_complete &= names != ["crate"];
            return Some(found);
        }
        let type_place = match module {
            [] => self.files.type_called(own_path, name),
            module if self.rules == Modules::Rust => {
                self.files.type_called(&self.files.rust(own_path, module, inner)?, name)
            }
            _ => None,
        }?;
        let mut found = self.of_type(&type_place, Reach::Type);
        if matches!(self.rules, Modules::C | Modules::Cpp) {
            // Behind the name of a class stand types too, which are not looked for.
            let all = self.files.members(&type_place);
            found.members.is_complete &= all.members.iter().all(|member| member.reach == Reach::Type);
        }
        Some(found)
    }

    /// Modules within the document's text that the place is in.
    fn inner_modules(&self) -> usize {
        let around = |module: &crate::syntax::Module| module.body.as_ref().is_some_and(|body| body.contains(&self.at));
        if self.rules == Modules::Rust {
            self.parsed.modules().iter().filter(|module| around(module)).count()
        } else {
            0
        }
    }

    /// What is reached through a value of the type, or through the type.
    fn of_type(&self, place: &TypePlace, reach: Reach) -> Found {
        let mut members = self.files.members(place);
        // Macros, and what is called the same in headers that are understood as those of C, are not seen.
        let is_here = place.path == self.files.own_path || reach == Reach::Type;
        members.is_complete &= is_here || self.rules != Modules::Cpp;
        members.members.retain(|member| reach == Reach::Both || member.reach == Reach::Both || member.reach == reach);
        Found { members, is_module: false, path: place.path.clone() }
    }

    fn module(&self, path: PathBuf) -> Found {
        Found { members: self.files.exports(&path), is_module: true, path }
    }
}

#[cfg(test)]
mod tests;

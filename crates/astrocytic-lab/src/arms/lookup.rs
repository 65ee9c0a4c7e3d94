//! Which table a name stands for.

use std::sync::LazyLock;

use super::endings::{ENDINGS, Ending};
use super::names;
use super::table::{Definitions, Table};
use crate::file::Source;

/// The built-in arms, in the order of their file, the baseline first.
pub(super) static BUILT_IN: LazyLock<Vec<(String, Table)>> = LazyLock::new(|| {
    let source = Source::parse("built_in.toml".into(), include_str!("built_in.toml").into()).expect("it is TOML");
    let table = |name: String| {
        let table = source.value()[&name].as_object().expect("a table").clone();
        (name, table)
    };
    source.keys(&[]).into_iter().map(table).collect()
});

/// The table of an arm.
pub(super) fn table<'a>(name: &str, own: &'a Definitions) -> Option<&'a Table> {
    own.get(name).or_else(|| BUILT_IN.iter().find(|(known, _)| known == name).map(|(_, table)| table))
}

/// Names of arms without endings, those of a file first.
pub(super) fn known(own: &Definitions) -> impl Iterator<Item = &str> {
    own.keys().map(String::as_str).chain(BUILT_IN.iter().map(|(name, _)| name.as_str()))
}

/// What the arm of that name is called now: two names that share this are one arm's.
pub fn current(name: &str, own: &Definitions) -> String {
    match split(name, own) {
        Some((model, ending)) => format!("{model}{}", ending.map_or("", |(ending, ..)| ending)),
        None => name.into(),
    }
}

/// Name of the table that an arm is of, and the ending behind it. Tables called so come before
/// endings, and both before names that arms had once.
pub(super) fn split(name: &str, own: &Definitions) -> Option<(String, Option<&'static Ending>)> {
    let whole = |name: &str| table(name, own).is_some().then(|| (name.to_string(), None));
    let ended = |name: &str| {
        let of = |ending: &'static Ending| {
            let model = name.strip_suffix(ending.0).filter(|model| table(model, own).is_some());
            model.map(|model| (model.to_string(), Some(ending)))
        };
        ENDINGS.iter().find_map(of)
    };
    let now = names::current(name, &ENDINGS.each_ref().map(|(ending, ..)| *ending));
    whole(name).or_else(|| ended(name)).or_else(|| whole(&now)).or_else(|| ended(&now))
}

/// Name of the table that an arm is of, or the name itself where there is none.
pub(crate) fn without_ending(name: &str, own: &Definitions) -> String {
    split(name, own).map_or_else(|| name.into(), |(model, _)| model)
}

//! Arms by their names.

use anyhow::Result;
use astrocytic_models::memory::MemoryKind;

use super::arm::{Arm, Matching};
use super::attention::Attention;
use super::depth::Depth;
use super::design::{Design, Segments};
use super::endings::{Beyond, ENDINGS};
use super::lineage::{Merged, merged, table, unknown};
use super::names;
use super::table::{Definitions, Kind, Learns, Match, Parts, Settings};
use crate::file::Fault;
use crate::learning::Learning;
use crate::results::Role;

/// The arm of which all others have the parameters.
const VANILLA: &str = "vanilla";

/// The built-in arm of that name: a model's, or a decoder's with an ending that says what it knows
/// beyond its window. The arm keeps the name as it is written, which may be one from before.
///
/// # Errors
/// For a name that is none; says which are near.
pub fn arm(name: &str) -> Result<Arm> {
    Ok(find(name, &Definitions::new())?)
}

/// What the arm of that name is called now: two arms that share this are one.
pub fn current(name: &str) -> String {
    names::current(name, &ENDINGS.map(|(ending, ..)| ending))
}

/// A name without its ending, where it has one and is no model's itself.
pub(super) fn without_ending(name: &str, own: &Definitions) -> String {
    let name = current(name);
    if table(&name, own).is_some() {
        return name;
    }
    let stripped = ENDINGS.iter().filter_map(|(ending, ..)| name.strip_suffix(ending));
    stripped.into_iter().find(|name| table(name, own).is_some()).map(Into::into).unwrap_or(name)
}

/// The arm of that name, one of a file or a built-in one.
///
/// # Errors
/// For a name that is none, and a table that cannot be, with the key.
pub(crate) fn find(name: &str, own: &Definitions) -> Result<Arm, Fault> {
    resolve(name, own, &mut Vec::new())
}

/// `trail` are arms whose matching waits for this one.
fn resolve(name: &str, own: &Definitions, trail: &mut Vec<String>) -> Result<Arm, Fault> {
    let now = current(name);
    if table(&now, own).is_some() {
        return Ok(Arm { name: name.into(), ..build(&now, own, trail)? });
    }
    for (ending, beyond, what) in ENDINGS {
        let Some(model) = now.strip_suffix(ending).filter(|model| table(model, own).is_some()) else { continue };
        let arm = build(model, own, trail)?;
        if arm.is_encoder() || arm.beyond != Beyond::Nothing {
            continue;
        }
        let role = if arm.role == Role::Baseline { Role::Control } else { arm.role };
        return Ok(Arm { name: name.into(), role, description: format!("{}; {what}", arm.description), beyond, ..arm });
    }
    Err(unknown(name, own))
}

/// The arm of a table.
fn build(name: &str, own: &Definitions, trail: &mut Vec<String>) -> Result<Arm, Fault> {
    let Merged { preset, role, description, values } = merged(name, own)?;
    let Parts { settings, attention, model } = Parts::of(&values, preset)?;
    if !(settings.data >= 0.0 && settings.data.is_finite()) {
        return Err(Fault::at("data", format!("{} must be at least 0: times the data of a cell", settings.data)));
    }
    let depth = Depth::of(settings.layers.as_ref()).map_err(|fault| fault.within("layers"))?;
    let swapped =
        depth.arms().map(|(key, arm)| attention_of(arm, own).map_err(|fault| fault.within(key).within("layers")));
    let design = Design {
        kind: settings.model,
        attention: Attention { preset, options: attention, heads: settings.heads },
        swapped: swapped.collect::<Result<_, _>>()?,
        depth,
        options: model,
        segments: Segments::of(&settings)?,
    };
    Ok(Arm {
        name: name.into(),
        role,
        description,
        beyond: beyond(&settings)?,
        design,
        matching: matching(name, &settings, own, trail)?,
        data: settings.data,
        seeds: settings.seeds,
        weights: settings.weights,
    })
}

/// The attention of an arm's layers but for those that are swapped.
fn attention_of(name: &str, own: &Definitions) -> Result<Attention, Fault> {
    let name = current(name);
    if table(&name, own).is_none() {
        return Err(unknown(&name, own));
    }
    let Merged { preset, values, .. } = merged(&name, own)?;
    let Parts { settings, attention, .. } = Parts::of(&values, preset)?;
    Ok(Attention { preset, options: attention, heads: settings.heads })
}

fn beyond(settings: &Settings) -> Result<Beyond, Fault> {
    let Settings { model, carried, learns, through_documents, .. } = *settings;
    let beyond = match (carried, learns) {
        (true, Some(_)) => return Err(Fault::at("learns", "an arm is carried or learns in tests, not both")),
        (true, None) => Beyond::Carried,
        (false, None) if through_documents => {
            return Err(Fault::at("through_documents", "it says how an arm learns; write learns = \"ngram\" too"));
        }
        (false, None) => Beyond::Nothing,
        (false, Some(learns)) => {
            let learns = match learns {
                Learns::Ngram => MemoryKind::Ngram,
                Learns::ReadOut => MemoryKind::ReadOut,
                Learns::Dynamic => MemoryKind::Dynamic,
            };
            Beyond::Learned(Learning { learns, through_documents })
        }
    };
    if model == Kind::Encoder && beyond != Beyond::Nothing {
        return Err(Fault::at("model", "an encoder knows nothing beyond its example; leave carried and learns away"));
    }
    Ok(beyond)
}

fn matching(name: &str, settings: &Settings, own: &Definitions, trail: &mut Vec<String>) -> Result<Matching, Fault> {
    let Settings { matching, d_hidden, .. } = settings;
    if d_hidden.is_some() && *matching != Match::Nothing {
        return Err(Fault::at(
            "d_hidden",
            "it is chosen to match the arms; for a width of your own add match = \"nothing\"",
        ));
    }
    match matching {
        Match::Nothing => Ok(Matching::Width(*d_hidden)),
        Match::Parameters if name == VANILLA => Ok(Matching::Parameters(None)),
        Match::Parameters => Ok(Matching::Parameters(Some(Box::new(build(VANILLA, own, trail)?)))),
        Match::Flops(arm) => {
            let fault = |fault: Fault| fault.within("flops").within("match");
            if trail.iter().any(|waiting| waiting == name) {
                return Err(fault(Fault::new(format!("a circle: {} → {name}", trail.join(" → ")))));
            }
            trail.push(name.into());
            let found = resolve(arm, own, trail).map_err(fault);
            trail.pop();
            Ok(Matching::Flops(Box::new(found?)))
        }
    }
}

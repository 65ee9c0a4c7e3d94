//! Arms by their names.

use anyhow::Result;
use astrocytic_models::memory::MemoryKind;

use super::arm::{Arm, Matching};
use super::attention::Attention;
use super::depth::Depth;
use super::design::{Design, Lent, Segments};
use super::endings::Beyond;
use super::lineage::{Merged, merged, of_table, unknown};
use super::lookup::{split, without_ending};
use super::table::{Definitions, Kind, Learns, Match, Parts, Settings};
use crate::file::Fault;
use crate::learning::Learning;
use crate::results::Role;

/// The arm of which all others have the parameters.
const VANILLA: &str = "vanilla";
/// The widest feed-forward layer that can be asked for.
const MOST_HIDDEN: usize = 1 << 16;

/// The built-in arm of that name: a model's, or a decoder's with an ending that says what it knows
/// beyond its window. The arm keeps the name as it is written, which may be one from before.
///
/// # Errors
/// For a name that is none; says which are near.
pub fn arm(name: &str) -> Result<Arm> {
    Ok(find(name, &Definitions::new())?)
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
    let (model, ending) = split(name, own).ok_or_else(|| unknown(name, own))?;
    let arm = Arm { name: name.into(), ..build(&model, own, trail)? };
    let Some((ending, beyond, what)) = ending else { return Ok(arm) };
    if arm.is_encoder() {
        return Err(Fault::new(format!("\"{name}\": {model} is an encoder, which knows nothing beyond its example")));
    }
    if arm.beyond != Beyond::Nothing {
        let message = format!("\"{name}\": {model} knows more than its window already; {ending} cannot be added");
        return Err(Fault::new(message));
    }
    let role = if arm.role == Role::Baseline { Role::Control } else { arm.role };
    Ok(Arm { role, description: format!("{}; {what}", arm.description), beyond: *beyond, ..arm })
}

/// The arm of a table.
fn build(name: &str, own: &Definitions, trail: &mut Vec<String>) -> Result<Arm, Fault> {
    built(name, own, trail).map_err(|fault| of_table(fault, name, own))
}

fn built(name: &str, own: &Definitions, trail: &mut Vec<String>) -> Result<Arm, Fault> {
    let Merged { preset, role, description, values } = merged(name, own)?;
    let Parts { settings, attention, model } = Parts::of(&values, preset)?;
    if !(settings.data >= 0.0 && settings.data.is_finite()) {
        return Err(Fault::at("data", format!("{} must be at least 0: times the data of a cell", settings.data)));
    }
    let depth = Depth::of(settings.layers.as_ref()).map_err(|fault| fault.within("layers"))?;
    let swapped = depth.arms().map(|(key, arm)| {
        let lent = if arm == name { Err(Fault::new("it is the arm itself")) } else { lent(arm, own) };
        lent.map_err(|fault| fault.within(key).within("layers"))
    });
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

/// The attention that an arm lends to layers of another: that of its own layers but for those that
/// are swapped.
fn lent(name: &str, own: &Definitions) -> Result<Lent, Fault> {
    let model = match split(name, own) {
        Some((model, None)) => model,
        Some((model, Some(_))) => {
            return Err(Fault::new(format!("a layer has an arm's attention alone; write \"{model}\"")));
        }
        None => return Err(unknown(name, own)),
    };
    let read = || {
        let Merged { preset, values, .. } = merged(&model, own)?;
        Ok((preset, Parts::of(&values, preset)?))
    };
    let (preset, Parts { settings, attention, .. }) = read().map_err(|fault| of_table(fault, &model, own))?;
    let why = if settings.model == Kind::Encoder {
        "is an encoder"
    } else if settings.data == 0.0 {
        "is never trained"
    } else if settings.carried || settings.learns.is_some() {
        "is what it is by what it knows beyond its window"
    } else {
        let attention = Attention { preset, options: attention, heads: settings.heads };
        return Ok(Lent { is_own: own.contains_key(&model), name: model, attention });
    };
    Err(Fault::new(format!("\"{name}\" {why}: it has no attention of its own to lend; name an arm that has")))
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
    if let Some(hidden) = d_hidden.filter(|hidden| *hidden > MOST_HIDDEN) {
        return Err(Fault::at("d_hidden", format!("at most {MOST_HIDDEN}, got {hidden}")));
    }
    match matching {
        Match::Nothing => Ok(Matching::Width(*d_hidden)),
        Match::Parameters if name == VANILLA => Ok(Matching::Parameters(None)),
        Match::Parameters => Ok(Matching::Parameters(Some(Box::new(build(VANILLA, own, trail)?)))),
        Match::Flops(arm) => {
            let fault = |fault: Fault| fault.within("flops").within("match");
            trail.push(name.into());
            let wanted = without_ending(arm, own);
            let circle = trail.iter().position(|waiting| *waiting == wanted);
            let found = match circle {
                Some(start) => Err(Fault::new(format!("a circle: {} → {wanted}", trail[start..].join(" → ")))),
                None => resolve(arm, own, trail),
            };
            trail.pop();
            Ok(Matching::Flops(Box::new(found.map_err(fault)?)))
        }
    }
}

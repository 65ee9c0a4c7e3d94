//! `layers` of a table: how many, and which of them have another arm's attention.

use serde_json::Value;

use super::table::Table;
use crate::file::Fault;

/// How many layers a model has.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Count {
    Times(f64),
    Exactly(usize),
}

/// Layers by their places.
#[derive(Debug, Clone, PartialEq)]
enum Places {
    Last,
    /// First and last of each range.
    Ranges(Vec<(usize, usize)>),
}

/// `layers` of a table.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Depth {
    count: Count,
    /// Places as they are written, what they are, and whose attention stands there.
    swapped: Vec<(String, Places, String)>,
}

const FORMS: &str = "write a number of layers, \"2x\" for twice the study's, or a table such as { count = 4, \"0,2\" = \
                     \"vanilla\", last = \"vanilla\" }";

impl Depth {
    /// What a table says.
    ///
    /// # Errors
    /// For what is no number and no table of places, with the key.
    pub(super) fn of(value: Option<&Value>) -> Result<Self, Fault> {
        let plain = |count| Self { count, swapped: Vec::new() };
        match value {
            None => Ok(plain(Count::Times(1.0))),
            Some(Value::Object(table)) => Self::of_table(table),
            Some(value) => Ok(plain(count(value).ok_or_else(|| Fault::new(FORMS))?)),
        }
    }

    fn of_table(table: &Table) -> Result<Self, Fault> {
        let mut depth = Self { count: Count::Times(1.0), swapped: Vec::new() };
        for (key, value) in table {
            if key == "count" {
                depth.count = count(value).ok_or_else(|| Fault::at(key, FORMS))?;
                continue;
            }
            let places = places(key).ok_or_else(|| {
                Fault::at(key, "no place of layers; write numbers from 0 such as \"0,2\" or \"1-3\", or last, or count")
            })?;
            let arm = value.as_str().ok_or_else(|| Fault::at(key, "the name of an arm is wanted"))?;
            depth.swapped.push((key.clone(), places, arm.into()));
        }
        Ok(depth)
    }

    /// Arms whose attention stands somewhere, after the key that says so.
    pub(super) fn arms(&self) -> impl Iterator<Item = (&str, &str)> {
        self.swapped.iter().map(|(key, _, arm)| (key.as_str(), arm.as_str()))
    }

    /// Number of layers, where a study has so many.
    ///
    /// # Errors
    /// For none, and for more than a model can have.
    pub(super) fn count(&self, of_study: usize) -> Result<usize, Fault> {
        let count = match self.count {
            Count::Exactly(count) => count,
            Count::Times(times) => (times * of_study as f64).round() as usize,
        };
        match (1..=MOST_LAYERS).contains(&count) {
            true => Ok(count),
            false => Err(Fault::new(format!("{count} layers; it must be 1 to {MOST_LAYERS}"))),
        }
    }

    /// Places of layers with another attention, ascending, and the number of it among
    /// [`arms`](Self::arms).
    ///
    /// # Errors
    /// For a layer that there is not, or twice, with the key.
    pub(super) fn swapped(&self, of_study: usize) -> Result<Vec<(usize, usize)>, Fault> {
        let count = self.count(of_study)?;
        let mut swapped: Vec<(usize, usize)> = Vec::new();
        for (which, (key, places, _)) in self.swapped.iter().enumerate() {
            let ranges = match places {
                Places::Last => vec![(count.saturating_sub(1), count.saturating_sub(1))],
                Places::Ranges(ranges) => ranges.clone(),
            };
            for layer in ranges.into_iter().flat_map(|(first, last)| first..=last) {
                if layer >= count {
                    return Err(Fault::at(key, format!("layer {layer} is none of {count}, which count from 0")));
                }
                if swapped.iter().any(|(other, _)| *other == layer) {
                    return Err(Fault::at(key, format!("layer {layer} is there twice")));
                }
                swapped.push((layer, which));
            }
        }
        swapped.sort_unstable();
        Ok(swapped)
    }
}

fn count(value: &Value) -> Option<Count> {
    if let Some(text) = value.as_str() {
        let times = text.strip_suffix('x').and_then(|times| times.trim().parse().ok());
        return times.filter(|times: &f64| times.is_finite() && *times > 0.0).map(Count::Times);
    }
    value.as_u64().filter(|count| *count > 0).map(|count| Count::Exactly(count as usize))
}

/// The most layers of a model.
const MOST_LAYERS: usize = 1 << 10;

fn places(key: &str) -> Option<Places> {
    if key == "last" {
        return Some(Places::Last);
    }
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        (first <= last && last < MOST_LAYERS).then_some((first, last))
    };
    key.split(',').map(range).collect::<Option<Vec<_>>>().map(Places::Ranges)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn places_are_counted_from_the_first_layer() {
        let depth = Depth::of(Some(&json!({ "count": 5, "0,2-3": "linear", "last": "vanilla" }))).unwrap();
        assert_eq!(depth.arms().map(|(_, arm)| arm).collect::<Vec<_>>(), ["linear", "vanilla"]);
        assert_eq!((depth.count(2).unwrap(), depth.swapped(2).unwrap()), (5, vec![(0, 0), (2, 0), (3, 0), (4, 1)]));
        for (value, layers) in [(json!("2x"), 6), (json!(1), 1), (json!({ "count": "0.5x" }), 2)] {
            assert_eq!(Depth::of(Some(&value)).unwrap().count(3).unwrap(), layers);
        }
        assert_eq!(Depth::of(None).unwrap().count(3).unwrap(), 3);
        for value in [json!("0.1x"), json!("1000x"), json!(100_000)] {
            assert!(Depth::of(Some(&value)).unwrap().count(3).is_err(), "{value}");
        }
        for (value, path) in [
            (json!("x"), ""),
            (json!(0), ""),
            (json!({ "lats": "vanilla" }), "lats"),
            (json!({ "3-1": "vanilla" }), "3-1"),
            (json!({ "0": 1 }), "0"),
            (json!({ "count": -1 }), "count"),
        ] {
            assert_eq!(Depth::of(Some(&value)).unwrap_err().path().join("."), path);
        }
        for value in [json!({ "7": "vanilla" }), json!({ "0-2": "vanilla", "last": "linear" })] {
            assert!(Depth::of(Some(&value)).unwrap().swapped(3).is_err(), "{value}");
        }
    }
}

//! Which layers of a model: "all", "0,2,4-6" or "last:N".

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::error::ConversionError;

/// A choice of layers, before the model is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum LayerChoice {
    /// All of them.
    All,
    /// The last so many.
    Last(usize),
    /// These, from 0.
    These(Vec<usize>),
}

impl fmt::Display for LayerChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Last(count) => write!(f, "last:{count}"),
            Self::These(layers) => {
                let layers: Vec<String> = layers.iter().map(ToString::to_string).collect();
                f.write_str(&layers.join(","))
            }
        }
    }
}

impl FromStr for LayerChoice {
    type Err = ConversionError;

    fn from_str(text: &str) -> Result<Self, ConversionError> {
        let wrong =
            || ConversionError::Layers(format!(" \"{text}\" are not \"all\", \"last:N\" or a list such as 0,2,4-6"));
        if text == "all" {
            return Ok(Self::All);
        }
        if let Some(count) = text.strip_prefix("last:") {
            return Ok(Self::Last(count.parse().map_err(|_| wrong())?));
        }
        let mut layers = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let [first, last] = [first, last].map(|number| number.trim().parse::<usize>());
            let (first, last) = (first.map_err(|_| wrong())?, last.map_err(|_| wrong())?);
            // No model has more layers than that; a range of billions is a slip.
            if first > last || last > 100_000 {
                return Err(wrong());
            }
            layers.extend(first..=last);
        }
        layers.sort_unstable();
        layers.dedup();
        Ok(Self::These(layers))
    }
}

impl LayerChoice {
    /// The layers of a model with `count`.
    ///
    /// # Errors
    /// For a layer that it does not have, or none.
    pub fn of(&self, count: usize) -> Result<Vec<usize>, ConversionError> {
        let fault = |text: String| Err(ConversionError::Layers(text));
        let layers = match self {
            Self::All => (0..count).collect(),
            Self::Last(last) if *last <= count => (count - last..count).collect(),
            Self::Last(last) => return fault(format!(": the last {last} of {count} is more than there are")),
            Self::These(layers) => layers.clone(),
        };
        match layers.last() {
            Some(&last) if last < count => Ok(layers),
            Some(last) => fault(format!(": there is no layer {last}; the model has 0 to {}", count - 1)),
            None => fault(": there is nothing to swap".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_ranges_and_ends() {
        let layers = |text: &str| text.parse::<LayerChoice>().and_then(|choice| choice.of(6));
        assert_eq!(layers("all").unwrap(), [0, 1, 2, 3, 4, 5]);
        assert_eq!(layers("last:2").unwrap(), [4, 5]);
        assert_eq!(layers("4-5,0,2,4").unwrap(), [0, 2, 4, 5]);
        for text in ["all", "last:2", "0,2,4"] {
            assert_eq!(text.parse::<LayerChoice>().unwrap().to_string(), text);
        }
        for wrong in ["", "x", "3-1", "6", "last:7", "last:0", "0,,1", "0-99999999999"] {
            let fault = layers(wrong).unwrap_err().to_string();
            assert!(fault.starts_with("layers") && !fault.contains('\n'), "{wrong}: {fault}");
        }
    }
}

//! An arm's attention: a preset and the options that change it.

use astrocytic_attention::{AstrocyticAttentionConfig, AttentionConfig, LstmConfig, SoftmaxAttentionConfig};

use super::preset::Preset;
use super::table::{ATTENTION_DROPOUT, Table, overlaid, said};
use crate::file::Fault;

/// How many heads attend by softmax beside those with a memory.
const SOFTMAX_HEADS: &str = "softmax_heads";
/// Half of the heads, how many there are.
const HALF: &str = "half";

/// A preset and the options that change it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Attention {
    pub(super) preset: Preset,
    pub(super) options: Table,
    /// Heads, where they are not the study's.
    pub(super) heads: Option<usize>,
}

impl Attention {
    /// For a width, a study's number of heads, whether it looks back only, and tokens that are read
    /// together at most.
    ///
    /// # Errors
    /// For options that cannot be.
    pub(super) fn config(
        &self,
        d_model: usize,
        heads: usize,
        causal: bool,
        steps: usize,
    ) -> Result<AttentionConfig, Fault> {
        let config = self.unchecked(d_model, self.heads.unwrap_or(heads), causal, steps);
        let checked = config.and_then(|config| config.validate().map_err(said).map(|()| config));
        checked.map_err(|fault| match fault.path().first().map(String::as_str) {
            // Whoever says the heads says the size of one.
            _ if fault.message().contains("an even head size") => {
                Fault::at(if self.heads.is_some() { "heads" } else { "d_model" }, fault.message())
            }
            Some("dropout") => {
                let message =
                    fault.message().strip_prefix("dropout = ").map(|rest| format!("{ATTENTION_DROPOUT} = {rest}"));
                Fault::at(ATTENTION_DROPOUT, message.unwrap_or_else(|| fault.message().into()))
            }
            _ => fault,
        })
    }

    fn unchecked(&self, d_model: usize, heads: usize, causal: bool, steps: usize) -> Result<AttentionConfig, Fault> {
        let astrocytic = match self.preset {
            Preset::Off => return Ok(AttentionConfig::Off),
            Preset::Softmax => {
                let config = SoftmaxAttentionConfig::new(d_model, heads).with_causal(causal);
                return Ok(AttentionConfig::Softmax(overlaid(&config, &self.options)?));
            }
            Preset::Lstm if !causal => {
                return Err(Fault::at("model", "an LSTM looks back only, and an encoder's attention looks both ways"));
            }
            Preset::Lstm => return Ok(AttentionConfig::Lstm(overlaid(&LstmConfig::new(d_model), &self.options)?)),
            Preset::Linear => AstrocyticAttentionConfig::linear(d_model, heads),
            Preset::Tripartite => AstrocyticAttentionConfig::tripartite(d_model, heads),
            Preset::DeltaProduct => AstrocyticAttentionConfig::delta_product(d_model, heads),
            Preset::Retnet => AstrocyticAttentionConfig::retnet(d_model, heads),
            Preset::Kozachkov2023 => AstrocyticAttentionConfig::kozachkov2023(d_model, heads),
            Preset::Astromorphic => AstrocyticAttentionConfig::astromorphic(d_model, heads, steps),
        };
        let options = halved(&self.options, heads)?;
        Ok(AttentionConfig::Astrocytic(overlaid(&astrocytic.with_causal(causal), &options)?))
    }
}

/// The options with a number of softmax heads where "half" stands for half of all heads, which
/// differ from study to study.
fn halved(options: &Table, heads: usize) -> Result<Table, Fault> {
    let mut options = options.clone();
    if let Some(softmax_heads) = options.get_mut(SOFTMAX_HEADS).filter(|value| value.is_string()) {
        match (softmax_heads.as_str(), heads / 2) {
            (Some(HALF), half) if half > 0 => *softmax_heads = half.into(),
            (Some(HALF), _) => {
                return Err(Fault::at(SOFTMAX_HEADS, "half of one head is none; write heads = 2 or more"));
            }
            _ => return Err(Fault::at(SOFTMAX_HEADS, "a number of heads, or \"half\" for half of them")),
        }
    }
    Ok(options)
}

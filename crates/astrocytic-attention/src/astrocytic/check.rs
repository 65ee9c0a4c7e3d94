//! Which settings of astrocytic attention fit each other.

use super::config::{AstrocyticAttentionConfig, Normalizer};
use crate::decay::DecayConfig;
use crate::error::{AttentionError, in_words};
use crate::initializer::check_initializer;
use crate::ops::{LARGEST_CHUNK, Plasticity};
use crate::position::PositionConfig;

/// Features of a head beyond which a memory is of no use: that of Taylor's map of a head of 361.
const MOST_FEATURES: usize = 1 << 17;
/// Steps beyond which neither a window nor distance keys are of any use.
const MOST_STEPS: usize = 1 << 16;
/// Writes a step beyond which rotations of a head's features gain nothing.
const MOST_WRITES: usize = 16;

impl AstrocyticAttentionConfig {
    /// Checks that the settings fit each other.
    ///
    /// # Errors
    /// [`AttentionError::Config`] with the field, its value and what would do.
    pub fn validate(&self) -> Result<(), AttentionError> {
        let checks = [
            Self::check_sizes,
            Self::check_softmax_heads,
            Self::check_writes,
            Self::check_decay,
            Self::check_normalizer,
            Self::check_window,
            Self::check_position,
        ];
        checks.iter().try_for_each(|check| check(self)).map_err(AttentionError::Config)
    }

    fn check_sizes(&self) -> Result<(), String> {
        let Self { d_model, n_heads, convolution, chunk, .. } = *self;
        if n_heads == 0 || d_model == 0 || d_model % n_heads != 0 {
            return Err(format!("n_heads = {n_heads} must divide d_model = {d_model}, both above 0"));
        }
        let kv_heads = self.key_heads();
        if kv_heads == 0 || n_heads % kv_heads != 0 {
            return Err(format!("kv_heads = {kv_heads} must divide n_heads = {n_heads}"));
        }
        if convolution == 1 || convolution > 8 {
            return Err(format!("convolution = {convolution} must be 0 (off) or 2 to 8"));
        }
        if !(1..=LARGEST_CHUNK).contains(&chunk) {
            return Err(format!("chunk = {chunk} must be 1 to {LARGEST_CHUNK}"));
        }
        check_initializer(&self.initializer)?;
        self.feature_map.validate()?;
        match self.features() {
            0..=MOST_FEATURES => Ok(()),
            features => {
                Err(format!("feature_map: {features} features of a head, where at most {MOST_FEATURES} can be"))
            }
        }
    }

    fn check_softmax_heads(&self) -> Result<(), String> {
        let (heads, group) = (self.softmax_heads, self.n_heads / self.key_heads());
        if heads == 0 {
            return Ok(());
        }
        if heads >= self.n_heads || heads % group != 0 {
            return Err(format!(
                "softmax_heads = {heads} must be whole groups of {group} and fewer than n_heads = {}, so that a memory \
                 is left",
                self.n_heads
            ));
        }
        if !self.causal || self.window > 0 {
            return Err(format!("softmax_heads = {heads} needs causal = true and no window"));
        }
        match self.softmax_rotary_theta {
            Some(theta) if !(theta.is_finite() && theta > 0.0) => {
                Err(format!("softmax_rotary_theta = {theta} must be above 0"))
            }
            Some(_) if self.head_size() % 2 == 1 => {
                Err(format!("softmax_rotary_theta needs an even head size, got {}", self.head_size()))
            }
            _ => Ok(()),
        }
    }

    fn check_writes(&self) -> Result<(), String> {
        let Self { write_dropout, largest_write, write_gate, .. } = *self;
        if !(0.0..1.0).contains(&write_dropout) {
            return Err(format!("write_dropout = {write_dropout} must be in [0, 1)"));
        }
        if !(largest_write > 0.0 && largest_write <= 2.0) {
            return Err(format!("largest_write = {largest_write} must be above 0 and at most 2"));
        }
        if largest_write != 1.0 && !write_gate {
            return Err(format!("largest_write = {largest_write} is what a write gate gives; set write_gate = true"));
        }
        self.check_several_writes()?;
        let Some([first, last]) = self.initial_write else { return Ok(()) };
        let can_be = |strength: f64| strength > 0.0 && strength < largest_write;
        if !write_gate || !can_be(first) || !can_be(last) {
            return Err(format!(
                "initial_write = [{first}, {last}] must be above 0 and below largest_write = {largest_write}, and needs \
                 write_gate = true"
            ));
        }
        Ok(())
    }

    fn check_several_writes(&self) -> Result<(), String> {
        let writes = self.writes_per_step;
        if !(1..=MOST_WRITES).contains(&writes) {
            return Err(format!("writes_per_step = {writes} must be 1 to {MOST_WRITES}"));
        }
        let whose = match self.position {
            _ if writes == 1 => return Ok(()),
            PositionConfig::Distance { .. } => "a distance memory",
            _ if self.window > 0 => "a window",
            _ => return Ok(()),
        };
        Err(format!("writes_per_step = {writes}: {whose} has one write a step; leave one of the two out"))
    }

    fn check_decay(&self) -> Result<(), String> {
        let Self { decay, undecayed_heads, .. } = *self;
        if undecayed_heads > 0 && (decay == DecayConfig::None || undecayed_heads >= self.memory_key_heads()) {
            return Err(format!(
                "undecayed_heads = {undecayed_heads} must be fewer than the {} key heads of memories, and the others need a decay",
                self.memory_key_heads()
            ));
        }
        let Some([first, last]) = self.initial_leak else { return Ok(()) };
        let can_be = |leak: f64| leak > 0.0 && decay.open(leak).is_some_and(|open| open.iter().all(|x| x.is_finite()));
        if !can_be(first) || !can_be(last) {
            return Err(format!(
                "initial_leak = [{first}, {last}] is where a gated or Griffin decay starts: above 0, and below what the \
                 decay can reach"
            ));
        }
        Ok(())
    }

    fn check_normalizer(&self) -> Result<(), String> {
        let Normalizer::Calcium { alpha } = self.normalizer else { return Ok(()) };
        let map = self.feature_map;
        if !(alpha > 0.0 && alpha <= 1.0) {
            return Err(format!("normalizer: calcium exponent alpha = {alpha} must be in (0, 1]"));
        }
        if self.plasticity == Plasticity::Delta {
            return Err("normalizer: the delta rule has no calcium; use rms or none".into());
        }
        if !map.has_positive_kernel() {
            return Err(format!(
                "normalizer: calcium needs a positive kernel, which {} is not; use rms or another map",
                in_words(&map)
            ));
        }
        if alpha != 1.0 && !map.has_positive_features() {
            return Err(format!(
                "normalizer: an exponent needs features ≥ 0, which those of {} are not",
                in_words(&map)
            ));
        }
        Ok(())
    }

    fn check_window(&self) -> Result<(), String> {
        let window = self.window;
        let plain = self.normalizer == (Normalizer::Calcium { alpha: 1.0 });
        let fits = self.causal && plain && !matches!(self.position, PositionConfig::Distance { .. });
        if window > 0 && !fits {
            return Err(format!(
                "window = {window}: a window shares its normaliser with the memory and looks back; it needs causal = \
                 true, a calcium normaliser without exponent, and no distance memory"
            ));
        }
        if window > MOST_STEPS {
            return Err(format!("window = {window} must be at most {MOST_STEPS}"));
        }
        if !self.memory && window == 0 {
            return Err("memory = false leaves nothing without a window; write preset = \"off\" for none".into());
        }
        Ok(())
    }

    fn check_position(&self) -> Result<(), String> {
        match self.position {
            PositionConfig::Distance { .. } if self.plasticity == Plasticity::Delta => {
                Err("position: the sum of a key and a distance key is longer than the delta rule bears".into())
            }
            PositionConfig::Distance { scale, max_steps } if !(scale > 0.0 && scale.is_finite()) || max_steps == 0 => {
                Err(format!("position: distance scale = {scale} and max_steps = {max_steps} must be above 0"))
            }
            PositionConfig::Distance { max_steps, .. } if max_steps > MOST_STEPS => {
                Err(format!("position: max_steps = {max_steps} must be at most {MOST_STEPS}"))
            }
            PositionConfig::Rotary { .. } if self.head_size() % 2 == 1 => {
                Err(format!("position: rotary needs an even head size, got {}", self.head_size()))
            }
            PositionConfig::Rotary { theta } if !(theta.is_finite() && theta > 0.0) => {
                Err(format!("position: rotary theta = {theta} must be above 0"))
            }
            _ => Ok(()),
        }
    }
}

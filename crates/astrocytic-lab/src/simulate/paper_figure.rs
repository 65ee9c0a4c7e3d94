//! `simulate paper-figure`: the astrocyte's response against the softmax normaliser on a pretrained model's queries and keys
//! (Kozachkov, Kastanenka, Krotov, PNAS 2023, figure 4), and past it: the error of the attention's output, layer by layer, and the
//! loss of the whole model.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, anyhow, bail};
use astrocytic_attention::ops::cross_entropy;
use astrocytic_attention::{Attention, AttentionConfig, FeatureMapConfig, SoftmaxAttention};
use astrocytic_models::Block;
use astrocytic_models::conversion::{Inputs, Swappable, seen_by_attention};
use astrocytic_train::number;
use burn::tensor::{Bool, DType, Device, Int, Tensor, TensorData};
use serde::Serialize;

use super::feature_maps::{RandomMap, of_modules};
use super::page::{figures, line, linear, logarithmic, plot, write};
use crate::report::plot::{Pattern, Series, colour};
use crate::report::{Shade, escape, picture};
use crate::source::{self, EmbeddingModel, LanguageModel, Source};
use crate::swap::transfer;
use crate::swap::{Match, Rows, StageConfig};

/// What an encoder reads: the beginning of Moby-Dick (in the public domain).
const TEXT: &str = "Call me Ishmael. Some years ago—never mind how long precisely—having little or no money in my purse, and nothing \
particular to interest me on shore, I thought I would sail about a little and see the watery part of the world. It is a way I have \
of driving off the spleen and regulating the circulation. Whenever I find myself growing grim about the mouth; whenever it is a \
damp, drizzly November in my soul; whenever I find myself involuntarily pausing before coffin warehouses, and bringing up the rear \
of every funeral I meet; and especially whenever my hypos get such an upper hand of me, that it requires a strong moral principle \
to prevent me from deliberately stepping into the street, and methodically knocking people's hats off—then, I account it high time \
to get to sea as soon as I can. This is my substitute for pistol and ball.";
/// Features of the two curves of the figure.
const FIGURE_FEATURES: [usize; 2] = [1_000, 100_000];
/// Rows that a decoder samples and reads, and rows that learned maps are trained on.
const ROWS: usize = 4;
const TRAINING_ROWS: usize = 256;
/// Rows of a step of that training.
const BATCH: usize = 8;
/// More features than anybody waits for.
const MOST_FEATURES: usize = 1 << 20;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PaperFigureConfig {
    /// A pretrained model's file or folder, or a name that is fetched.
    pub model: PathBuf,
    /// Tokens of a row.
    pub steps: usize,
    /// Numbers m of random features.
    pub features: Vec<usize>,
    /// Steps in which learned maps learn to do what softmax does; 0 leaves them out.
    pub transfer_steps: u64,
    /// Seed.
    pub seed: u64,
}

/// A layer's errors.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerMapError {
    /// Median of the relative difference of the normaliser, over tokens and heads: its tails are too heavy for a mean. Null where
    /// it is not finite.
    #[serde(serialize_with = "number::serialize")]
    pub normaliser: f64,
    /// Root of the mean squared difference of the layer's output, relative to the original's.
    #[serde(serialize_with = "number::serialize")]
    pub output: f64,
}

/// What a feature map does to the model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MapError {
    /// Its name.
    pub map: String,
    /// Its features.
    pub m: usize,
    /// Error of the normaliser, mean over layers.
    #[serde(serialize_with = "number::serialize")]
    pub error_normaliser: f64,
    /// Error of the output, mean over layers.
    #[serde(serialize_with = "number::serialize")]
    pub error_output: f64,
    /// Loss of the model with this attention in all of its layers, not trained any further.
    #[serde(serialize_with = "number::serialize")]
    pub loss: f64,
    /// Layer by layer, each with the original's inputs.
    pub layers: Vec<LayerMapError>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PaperFigureReport {
    /// What was asked.
    pub config: PaperFigureConfig,
    /// Of what kind the losses are.
    pub loss: &'static str,
    /// The original model's.
    pub original_loss: f64,
    /// The model's without attention.
    pub no_attention_loss: f64,
    /// Every map, those of random directions at each number of features.
    pub maps: Vec<MapError>,
}

/// Measures every map, and writes a page.
///
/// # Errors
/// For a model that cannot be had or is not softmax throughout, numbers of features or steps that make no sense, or a folder
/// that cannot be written.
pub fn paper_figure(config: &PaperFigureConfig, folder: &Path, device: &Device) -> Result<PaperFigureReport> {
    if config.features.is_empty() || config.features.iter().any(|m| !(1..=MOST_FEATURES).contains(m)) {
        bail!("--features: numbers from 1 to {MOST_FEATURES}, got {:?}", config.features);
    }
    if !(8..=1024).contains(&config.steps) {
        bail!("--steps {} must be between 8 and 1024", config.steps);
    }
    let started = Instant::now();
    match source::open(&config.model, device)? {
        Source::Decoder(source) => {
            let LanguageModel { model, boundaries, .. } = *source;
            let begin = boundaries.first().ok_or_else(|| anyhow!("the model has no token that texts begin with"))?;
            if let Some(most) = model.config().positions.filter(|&most| config.steps > most) {
                bail!("--steps {} is more than the model's {most} positions", config.steps);
            }
            let count = ROWS + if config.transfer_steps > 0 { TRAINING_ROWS } else { 0 };
            let progress = crate::progress::Progress::rows(count as u64);
            let rows = Rows::sample(&model, begin, [count, config.steps], config.seed, &progress);
            progress.finish();
            let some: Vec<usize> = (0..ROWS).collect();
            let batch = rows.batch(&some, device);
            let loss = |x: Tensor<3>| {
                let logits = model.logits(x);
                let [rows, steps, vocabulary] = logits.dims();
                f64::from(
                    cross_entropy(logits.reshape([rows * steps, vocabulary]), &batch.targets).into_scalar::<f32>(),
                )
            };
            let training = |step| {
                let some: Vec<usize> = rows_of(step, TRAINING_ROWS).iter().map(|row| ROWS + row).collect();
                rows.inputs(&some, device)
            };
            let inputs = rows.inputs(&some, device);
            let study = Study { model: &model, inputs, loss: &loss, causal: true, of: "nats per token" };
            study.run(config, &training, folder, started)
        }
        Source::Encoder(source) => {
            let EmbeddingModel { model, tokenizer, .. } = *source;
            let tokenizer = tokenizer.ok_or_else(|| anyhow!("the model comes without its tokenizer"))?;
            let ids = tokenizer.encode_with_special(TEXT)?;
            let ids: Vec<i32> = ids.into_iter().take(config.steps).map(|id| id as i32).collect();
            let steps = ids.len();
            let tokens = Tensor::<2, Int>::from_data(TensorData::new(ids, [1, steps]), device);
            let inputs = Inputs { tokens, padded: None };
            let none = Tensor::<2, Int>::zeros([1, steps], device).bool();
            let embedding = model.pool(
                run(&model, &inputs, &mut |layer, x| {
                    let attention = &model.blocks()[layer].attention;
                    attention.forward(inputs.attention(x)).context
                }),
                &none,
            );
            let loss = |x: Tensor<3>| {
                let found = model.pool(x, &none);
                let dot = |a: &Tensor<2>, b: &Tensor<2>| f64::from((a.clone() * b.clone()).sum().into_scalar::<f32>());
                1.0 - dot(&found, &embedding) / (dot(&found, &found) * dot(&embedding, &embedding)).sqrt()
            };
            let training = |_| inputs.clone();
            let study = Study {
                model: &model,
                inputs: inputs.clone(),
                loss: &loss,
                causal: false,
                of: "1 − cosine with the original",
            };
            // Learned maps would learn this one text by heart.
            study.run(&PaperFigureConfig { transfer_steps: 0, ..config.clone() }, &training, folder, started)
        }
    }
}

/// Rows of a step of training, one after the other.
fn rows_of(step: u64, count: usize) -> Vec<usize> {
    (0..BATCH).map(|i| (step as usize * BATCH + i) % count).collect()
}

/// The last block's output with `attend` in the place of the attention of each layer.
fn run<M: Swappable>(model: &M, inputs: &Inputs, attend: &mut dyn FnMut(usize, Tensor<3>) -> Tensor<3>) -> Tensor<3> {
    let start = model.start(inputs.tokens.clone());
    model.blocks().iter().enumerate().fold(start, |x, (layer, block)| block.forward_with(x, |x| attend(layer, x)))
}

/// A model, what it reads, and what its loss is.
struct Study<'a, M> {
    model: &'a M,
    inputs: Inputs,
    loss: &'a dyn Fn(Tensor<3>) -> f64,
    causal: bool,
    of: &'static str,
}

/// The kernel of a layer's queries and keys.
type Kernel<'a> = &'a dyn Fn(usize, &Tensor<4>, &Tensor<4>) -> Tensor<4>;

impl<M: Swappable> Study<'_, M> {
    fn run(
        &self,
        config: &PaperFigureConfig,
        training: &dyn Fn(u64) -> Inputs,
        folder: &Path,
        started: Instant,
    ) -> Result<PaperFigureReport> {
        let blocks = self.model.blocks();
        let layers: Vec<&SoftmaxAttention> = blocks.iter().map(softmax_of).collect::<Result<_>>()?;
        let seen = seen_by_attention(self.model, &self.inputs);
        let [_, heads, _, d] = layers[0].heads(seen[0][0].clone())[0].dims();
        let measure = |name: &str, m: usize, kernel: Kernel| self.measure(name, m, &layers, &seen, kernel);
        let mut maps = Vec::new();
        for map in RandomMap::ALL {
            for &m in &config.features {
                eprintln!("{} with {m} features", map.name());
                let seed = |layer: usize| config.seed.wrapping_add(1_000 * layer as u64);
                maps.push(measure(map.name(), m, &|layer, q, k| map.kernel(q, k, m, seed(layer))));
            }
        }
        for (name, map) in [
            ("elu + 1", FeatureMapConfig::Elu),
            ("relu", FeatureMapConfig::Relu),
            ("Taylor, second order", FeatureMapConfig::Taylor),
            ("DPFP, 2 shifts", FeatureMapConfig::Dpfp { nu: 2 }),
            ("Hedgehog, untrained", FeatureMapConfig::Hedgehog),
        ] {
            let module = map.init(heads, heads, d, &seen[0][0].device());
            maps.push(measure(name, map.features(d), &|_, q, k| of_modules([&module, &module], heads, q, k)));
        }
        if config.transfer_steps > 0 {
            maps.push(self.learned(config, training, &layers, &seen)?);
        }
        let without = run(self.model, &self.inputs, &mut |_, x| x.zeros_like());
        let original = run(self.model, &self.inputs, &mut |layer, x| {
            blocks[layer].attention.forward(self.inputs.attention(x)).context
        });
        let report = PaperFigureReport {
            config: config.clone(),
            loss: self.of,
            original_loss: (self.loss)(original),
            no_attention_loss: (self.loss)(without),
            maps,
        };
        let body = self.body(&report, &layers, &seen)?;
        let title = "An astrocyte's response and softmax attention, on a pretrained model";
        write(folder, title, &headline(&report), &body, started.elapsed().as_secs_f64(), &report)?;
        Ok(report)
    }

    /// Hedgehog's maps, trained to do what each layer does.
    fn learned(
        &self,
        config: &PaperFigureConfig,
        training: &dyn Fn(u64) -> Inputs,
        layers: &[&SoftmaxAttention],
        seen: &[[Tensor<3>; 2]],
    ) -> Result<MapError> {
        let all: Vec<usize> = (0..layers.len()).collect();
        let mut model = self.model.clone();
        let own = layers[0].config();
        let mut attention = astrocytic_attention::AstrocyticAttentionConfig::new(own.d_model, own.n_heads)
            .with_kv_heads(own.kv_heads)
            .with_causal(self.causal)
            .with_feature_map(FeatureMapConfig::Hedgehog);
        if let Some(theta) = own.rotary_theta {
            attention = attention.with_position(astrocytic_attention::PositionConfig::Rotary { theta });
        }
        for &layer in &all {
            model.swap_layer(layer, &AttentionConfig::Astrocytic(attention.clone()))?;
        }
        // Its checkpoints are of no use afterwards.
        let folder = tempfile::tempdir()?;
        let stage = StageConfig { steps: config.transfer_steps, learning_rate: 1e-2 };
        let model = transfer::run(self.model, model, &all, training, Match::Weights, &stage, folder.path())?;
        let trained: Vec<_> = model.blocks().iter().map(|block| &block.attention).collect();
        let kernel = |layer: usize, q: &Tensor<4>, k: &Tensor<4>| match trained[layer] {
            Attention::Astrocytic(layer) => {
                of_modules([&layer.query_map, &layer.key_map], own.kv_heads.unwrap_or(own.n_heads), q, k)
            }
            _ => unreachable!("all layers were swapped"),
        };
        let m = FeatureMapConfig::Hedgehog.features(own.d_model / own.n_heads);
        Ok(self.measure("Hedgehog, learned", m, layers, seen, &kernel))
    }

    fn measure(
        &self,
        name: &str,
        m: usize,
        layers: &[&SoftmaxAttention],
        seen: &[[Tensor<3>; 2]],
        kernel: Kernel,
    ) -> MapError {
        let errors: Vec<LayerMapError> = layers
            .iter()
            .zip(seen)
            .enumerate()
            .map(|(place, (layer, [x, expected]))| {
                let [query, key, value] = in_full(layer.heads(x.clone()));
                let weights = self.visible(kernel(place, &query, &key));
                let exact = self.visible(softmax_kernel(&query, &key));
                let [found, wanted] = [&weights, &exact].map(|weights| weights.clone().sum_dim(3));
                let mut relative: Vec<f64> = (found / wanted - 1.0).abs().into_data().iter::<f64>().collect();
                relative.sort_by(f64::total_cmp);
                let error = (output(layer, weights, value) - expected.clone()).square().mean();
                let size = expected.clone().square().mean();
                LayerMapError {
                    normaliser: relative[relative.len() / 2],
                    output: f64::from((error / size).sqrt().into_scalar::<f32>()),
                }
            })
            .collect();
        let end = run(self.model, &self.inputs, &mut |place, x| {
            let [query, key, value] = in_full(layers[place].heads(x));
            output(layers[place], self.visible(kernel(place, &query, &key)), value)
        });
        let mean = |of: fn(&LayerMapError) -> f64| errors.iter().map(of).sum::<f64>() / errors.len() as f64;
        MapError {
            map: name.into(),
            m,
            error_normaliser: mean(|error| error.normaliser),
            error_output: mean(|error| error.output),
            loss: (self.loss)(end),
            layers: errors,
        }
    }

    /// Without what a causal model does not see.
    fn visible(&self, kernel: Tensor<4>) -> Tensor<4> {
        if !self.causal {
            return kernel;
        }
        let shape @ [.., steps, keys] = kernel.dims();
        let hidden = Tensor::<2, Bool>::tril_mask([steps, keys], 0, &kernel.device());
        kernel.mask_fill(hidden.unsqueeze::<4>().expand(shape), 0.0)
    }

    fn body(
        &self,
        report: &PaperFigureReport,
        layers: &[&SoftmaxAttention],
        seen: &[[Tensor<3>; 2]],
    ) -> Result<String> {
        let mut body = String::from("<h2>The paper's figure</h2>\n");
        let [query, key, _] = in_full(layers[0].heads(seen[0][0].clone()));
        let head = 5.min(query.dims()[1] - 1);
        let [query, key] = [query, key].map(|x| x.narrow(0, 0, 1).narrow(1, head, 1));
        let exact = self.visible(softmax_kernel(&query, &key));
        let curve = |weights: Tensor<4>| -> Vec<(f64, f64)> {
            let sums = weights.sum_dim(3).into_data().iter::<f64>().collect::<Vec<f64>>();
            sums.into_iter().enumerate().map(|(token, sum)| (token as f64 + 1.0, sum)).collect()
        };
        let mut series = vec![line("softmax normaliser", colour(0), curve(exact.clone()))];
        let estimates =
            FIGURE_FEATURES.map(|m| self.visible(RandomMap::Positive.kernel(&query, &key, m, report.config.seed)));
        for (place, (m, estimate)) in FIGURE_FEATURES.iter().zip(&estimates).enumerate() {
            let pattern = if place == 0 { Pattern::Dotted } else { Pattern::Dashed };
            let curve = line(&format!("astrocyte, m = {m}"), colour(place + 1), curve(estimate.clone()));
            series.push(Series { pattern, ..curve });
        }
        let title = format!("Read normaliser of each token, first layer, head {}", head + 1);
        body += &plot(&title, linear("token"), logarithmic("normaliser"), series)?;
        let steps = exact.dims()[3];
        let map = |weights: &Tensor<4>| {
            let weights = weights.clone() / weights.clone().sum_dim(3);
            let values: Vec<f64> = weights.into_data().iter::<f64>().collect();
            picture(&values, steps, (256 / steps).clamp(1, 8), Shade::Rows, "attention weights")
        };
        let captions = ["softmax attention", "the network's, m = 1,000", "the network's, m = 100,000"];
        let pictures = std::iter::once(&exact).chain(&estimates).zip(captions);
        let pictures = pictures.map(|(weights, caption)| Ok((map(weights)?, caption))).collect::<Result<Vec<_>>>()?;
        body += &figures(&pictures);

        body += "<h2>Past it: more features, more maps, the output, the loss</h2>\n";
        let drawn = |of: fn(&MapError) -> f64| -> Vec<Series> {
            let points = |name: &str| -> Vec<(f64, f64)> {
                let own = report.maps.iter().filter(|map| map.map == name && of(map).is_finite());
                own.map(|map| (map.m as f64, of(map))).collect()
            };
            let random = RandomMap::ALL.iter().enumerate();
            random
                .map(|(place, map)| Series {
                    dots: points(map.name()),
                    ..line(map.name(), colour(place), points(map.name()))
                })
                .collect()
        };
        let m = || logarithmic("random features m");
        body += &plot(
            "Error of the normaliser",
            m(),
            logarithmic("relative error, median"),
            drawn(|map| map.error_normaliser),
        )?;
        body += &plot("Error of a layer's output", m(), logarithmic("relative error"), drawn(|map| map.error_output))?;
        let mut losses = drawn(|map| map.loss);
        let ends = [report.config.features.iter().min(), report.config.features.iter().max()];
        let [Some(&few), Some(&many)] = ends else { bail!("--features: at least one") };
        for (name, loss, pattern) in [
            ("original", report.original_loss, Pattern::Dotted),
            ("no attention", report.no_attention_loss, Pattern::Dashed),
        ] {
            let across = vec![(few as f64, loss), (many as f64, loss)];
            losses.push(Series { pattern, ..line(name, plotters::style::RGBColor(110, 110, 110), across) });
        }
        body += &plot("Loss of the whole model", m(), linear(report.loss), losses)?;
        body += &table(report);
        body += &format!(
            "<p class=\"note\">Errors are relative and means over layers, each layer with the original's inputs: of the normaliser the \
             median over tokens and heads, whose tails are too heavy for a mean; of the output the root mean square. Loss: {}, \
             with this attention in all layers and nothing trained further. Maps of the authors' notebooks: positive random, cosine, \
             linear, truncated, positive cosine, clipped sine; of these the first two estimate e<sup>q·k/√d</sup> without bias. For \
             maps that do not imitate it the normaliser's error says little: the scale divides out.{} A row is {} tokens{}.</p>\n",
            escape(report.loss),
            match report.config.transfer_steps {
                0 => String::new(),
                steps => format!(" Learned: Hedgehog's maps, trained for {steps} steps to the original's weights."),
            },
            self.inputs.tokens.dims()[1],
            if self.causal { ", causal" } else { ", seen in both directions" }
        );
        Ok(body)
    }
}

fn softmax_of(block: &Block) -> Result<&SoftmaxAttention> {
    match &block.attention {
        Attention::Softmax(layer) if layer.convolution.is_none() && layer.gate.is_none() && layer.decay.is_none() => {
            Ok(layer)
        }
        _ => bail!("the model's attention is not softmax attention in every layer; give a pretrained model"),
    }
}

fn in_full(heads: [Tensor<4>; 3]) -> [Tensor<4>; 3] {
    heads.map(|x| x.cast(DType::F64))
}

/// `e^{q·k/√d}`.
fn softmax_kernel(query: &Tensor<4>, key: &Tensor<4>) -> Tensor<4> {
    let d = query.dims()[3] as f64;
    query.clone().matmul(key.clone().transpose()).mul_scalar(d.powf(-0.5)).exp()
}

/// The layer's output for weights that are not yet normalised.
fn output(layer: &SoftmaxAttention, weights: Tensor<4>, value: Tensor<4>) -> Tensor<3> {
    // Where nothing fires nothing is read.
    let sum = weights.clone().sum_dim(3);
    let sum = sum.clone().mask_fill(sum.equal_elem(0.0), 1.0);
    let weights = weights / sum;
    let [batch, heads, steps, d] = value.dims();
    let reads = weights.matmul(value).swap_dims(1, 2).reshape([batch, steps, heads * d]);
    layer.output.forward(reads.cast(DType::F32))
}

fn headline(report: &PaperFigureReport) -> String {
    let most = report.config.features.iter().max().copied().unwrap_or(0);
    let of = |name: &str| report.maps.iter().find(|map| map.map == name && map.m == most);
    let Some([positive, orthogonal]) =
        of(RandomMap::Positive.name()).zip(of(RandomMap::PositiveOrthogonal.name())).map(|(a, b)| [a, b])
    else {
        return String::new();
    };
    format!(
        "With {most} positive random features the normaliser of a token is {:.1} % off (median) and a layer's output {:.1} %; orthogonal directions: \
         {:.1} and {:.1} %. Whole model, {}: {:.3} and {:.3}; original {:.3}, without attention {:.3}.",
        100.0 * positive.error_normaliser,
        100.0 * positive.error_output,
        100.0 * orthogonal.error_normaliser,
        100.0 * orthogonal.error_output,
        report.loss,
        positive.loss,
        orthogonal.loss,
        report.original_loss,
        report.no_attention_loss
    )
}

/// All maps, those of random directions with the most features, with the output's error layer by layer.
fn table(report: &PaperFigureReport) -> String {
    let most = report.config.features.iter().max().copied().unwrap_or(0);
    let random = |map: &MapError| RandomMap::ALL.iter().any(|random| random.name() == map.map);
    let shown = report.maps.iter().filter(|map| !random(map) || map.m == most);
    let layers = report.maps.first().map_or(0, |map| map.layers.len());
    let heads: String = (0..layers).map(|layer| format!("<th>layer {layer}</th>")).collect();
    let cell = |value: f64| match value.is_finite() {
        true if value.abs() >= 1e4 => format!("<td>{value:.1e}</td>"),
        true => format!("<td>{value:.3}</td>"),
        false => "<td>not finite</td>".into(),
    };
    let row = |map: &MapError| {
        let layers: String = map.layers.iter().map(|error| cell(error.output)).collect();
        let figures = [map.error_normaliser, map.error_output, map.loss].map(cell).concat();
        format!("<tr><td>{}</td><td>{}</td>{figures}{layers}</tr>", escape(&map.map), map.m)
    };
    let rows: String = shown.map(row).collect();
    format!(
        "<div class=\"wide\"><table><tr><th>map</th><th>m</th><th>normaliser</th><th>output</th><th>loss</th>{heads}</tr>{rows}</table>\
         </div>\n"
    )
}

impl std::fmt::Display for PaperFigureReport {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        writeln!(
            f,
            "{}: original {:.4}, without attention {:.4}",
            self.loss, self.original_loss, self.no_attention_loss
        )?;
        write!(f, "{:30} {:>7} {:>12} {:>10} {:>10}", "map", "m", "normaliser", "output", "loss")?;
        for MapError { map, m, error_normaliser, error_output, loss, .. } in &self.maps {
            let normaliser = match error_normaliser.abs() < 1e4 {
                true => format!("{error_normaliser:.4}"),
                false => format!("{error_normaliser:.1e}"),
            };
            write!(f, "\n{map:30} {m:7} {normaliser:>12} {error_output:10.4} {loss:10.4}")?;
        }
        Ok(())
    }
}

//! An encoder's conversion, held to the original's embeddings and to what a probe reads from them.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail};
use astrocytic_attention::AttentionConfig;
use astrocytic_attention::ops::cross_entropy;
use astrocytic_data::labelled::{self, LabelledFile, LabelledPath, LabelledText};
use astrocytic_data::{Cache, Corpus, Tokenizer, write_atomically};
use astrocytic_models::TextEncoder;
use astrocytic_models::conversion::Inputs;
use astrocytic_train::config::Length;
use astrocytic_train::learner::Learner;
use astrocytic_train::objective::Loss;
use astrocytic_train::seed::derive_seed;
use astrocytic_train::train::Run;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::optim::AdamWConfig;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::rows::of_step;
use super::{Conversion, LayerError, SwapConfig, attention_for, measure, note, page, recover, save_report, transfer};
use crate::provenance::machine;
use crate::source::EmbeddingModel;

/// Fewest characters of a sentence: shorter pieces are headings and numbers.
const SHORTEST: usize = 20;
/// Texts that are embedded side by side.
const BATCH: usize = 32;
/// Steps of a probe's training.
const PROBE_STEPS: u64 = 300;
/// Their rate.
const PROBE_RATE: f64 = 1e-2;

/// What came of an encoder's conversion. Cosines are the mean over held-out texts with the original's embedding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EncoderReport {
    /// What was asked for.
    pub config: SwapConfig,
    /// The attention that took their place.
    pub preset: String,
    /// Layers that were swapped.
    pub layers: Vec<usize>,
    /// Layers of the model.
    pub model_layers: usize,
    /// Parameters of the original and the converted model.
    pub parameters: [usize; 2],
    /// After conversion, before any training.
    pub converted_cosine: f64,
    /// After attention transfer.
    pub after_transfer_cosine: f64,
    /// After recovery.
    pub after_recovery_cosine: f64,
    /// The original without attention in the swapped layers.
    pub no_attention_cosine: f64,
    /// The same, recovered with the same budget.
    pub no_attention_recovered_cosine: Option<f64>,
    /// How the steps of a text become its embedding.
    #[serde(default)]
    pub pooling: String,
    /// What was guessed or left out in reading the model's files and texts.
    #[serde(default)]
    pub notes: Vec<String>,
    /// What is read from the embeddings.
    pub probes: Vec<Probe>,
    /// Errors of the swapped layers after conversion, transfer and recovery.
    pub converted: Vec<LayerError>,
    /// After transfer.
    pub after_transfer: Vec<LayerError>,
    /// After recovery.
    pub after_recovery: Vec<LayerError>,
    /// Seconds of the whole.
    pub seconds: f64,
    /// Commit of the program.
    pub commit: String,
    /// The machine.
    pub machine: String,
    /// Where the page is.
    pub report: String,
}

/// Accuracy of a linear classifier of embeddings, on texts that it was not trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// The texts' file.
    pub name: String,
    /// Texts it is measured on.
    pub texts: usize,
    /// Share of the commonest class among them.
    pub commonest: f64,
    /// With the original's embeddings.
    pub original: f64,
    /// With those after transfer.
    pub after_transfer: f64,
    /// With those after recovery.
    pub after_recovery: f64,
    /// With those of the original without attention, recovered where asked for.
    pub no_attention: f64,
}

/// Converts, trains, measures and reports.
pub(super) fn run(
    config: &SwapConfig,
    source: EmbeddingModel,
    place: &Conversion,
    device: &Device,
) -> Result<EncoderReport> {
    let (started, folder) = (Instant::now(), place.place.folder());
    let EmbeddingModel { model: original, tokenizer, mut notes } = source;
    let model = config.model.display();
    let Some(tokenizer) = tokenizer else { bail!("{model}: the model has no tokenizer beside it") };
    let Some(corpus) = &config.corpus else { bail!("{model}: an encoder samples no text; give a --corpus") };
    let most = original.config().positions;
    if config.context > most {
        bail!("context {} is more than the model's {most} positions; ask for fewer", config.context);
    }
    let layers = config.layers.of(original.blocks.len())?;
    let (asked, preset) = attention_for(config, &original.blocks[layers[0]].attention, true)?;
    let texts = Texts { tokenizer: tokenizer.clone().cut_to(config.context)?, device: device.clone() };
    let (training, held_out) = sentences(corpus, config, &mut notes)?;
    let (training, held_out) = (texts.encode(&training)?, texts.encode(&held_out)?);
    let labelled: Vec<Labelled> = config.probes.iter().map(|path| labelled(path, &mut notes)).collect::<Result<_>>()?;

    let swap = |attention: &AttentionConfig| super::swap(&original, &layers, attention, config.seed, device);
    let inputs = |step| {
        let rows = of_step(training.len(), step, config.batch, config.seed);
        texts.inputs(rows.into_iter().map(|row| &training[row][..]))
    };
    let recover = |model: TextEncoder, name: &str| {
        let loss = |model: &TextEncoder, step: u64| recover::of_embeddings(&original, model, &inputs(step));
        recover::run(model, &layers, config.adapters, &config.recovery, &folder.join(name), loss)
    };
    let converted = swap(&asked)?;
    let mut text = Sha256::new();
    for row in training.iter().chain(&held_out) {
        text.update((row.len() as u64).to_le_bytes());
        row.iter().for_each(|token| text.update(token.to_le_bytes()));
    }
    let _alone = place.begin(config, text)?;
    let expected = texts.embed(&original, &held_out);
    let cosine = |model: &TextEncoder| {
        f64::from(cosines(texts.embed(model, &held_out), expected.clone()).mean().into_scalar::<f32>())
    };
    let some = texts.inputs(held_out.iter().take(BATCH).map(Vec::as_slice));
    let errors = |model: &TextEncoder| measure::layers(&original, model, &layers, &some);

    let (converted_cosine, converted_errors) = (cosine(&converted), errors(&converted));
    eprintln!("converted: cosine {converted_cosine:.4}");
    let place = folder.join("swapped");
    let transferred = transfer::run(&original, converted, &layers, inputs, config.matched, &config.transfer, &place)?;
    let (after_transfer_cosine, after_transfer) = (cosine(&transferred), errors(&transferred));
    eprintln!("after transfer: cosine {after_transfer_cosine:.4}");
    let recovered = recover(transferred.clone(), "swapped")?;
    let (after_recovery_cosine, after_recovery) = (cosine(&recovered), errors(&recovered));
    eprintln!("after recovery: cosine {after_recovery_cosine:.4}");
    tokenizer.save(&folder.join("tokenizer.json"))?;
    recovered.save(folder)?;

    let mut without = swap(&AttentionConfig::Off)?;
    let no_attention_cosine = cosine(&without);
    let mut no_attention_recovered_cosine = None;
    if config.controls && config.recovery.steps > 0 {
        without = recover(without, "no-attention")?;
        no_attention_recovered_cosine = Some(cosine(&without));
    }
    let probes = labelled.iter().map(|labelled| {
        let rows = texts.encode(&labelled.texts)?;
        let accuracy = |model| probe(&texts.embed(model, &rows), labelled, config.seed);
        let (original, after_transfer) = (accuracy(&original)?, accuracy(&transferred)?);
        let (after_recovery, no_attention) = (accuracy(&recovered)?, accuracy(&without)?);
        let test = &labelled.classes[labelled.train..];
        let commonest = (0..labelled.count).map(|class| test.iter().filter(|&&c| c == class as i32).count()).max();
        eprintln!("{}: {original:.4}, after recovery {after_recovery:.4}", labelled.name);
        Ok(Probe {
            name: labelled.name.clone(),
            texts: test.len(),
            commonest: commonest.unwrap_or(0) as f64 / test.len() as f64,
            original,
            after_transfer,
            after_recovery,
            no_attention,
        })
    });
    let mut report = EncoderReport {
        config: config.clone(),
        preset,
        layers: layers.clone(),
        model_layers: original.blocks.len(),
        parameters: [original.num_params(), recovered.num_params()],
        converted_cosine,
        after_transfer_cosine,
        after_recovery_cosine,
        no_attention_cosine,
        no_attention_recovered_cosine,
        pooling: original.pooling().to_string(),
        notes,
        probes: probes.collect::<Result<_>>()?,
        converted: converted_errors,
        after_transfer,
        after_recovery,
        seconds: started.elapsed().as_secs_f64(),
        commit: machine::commit().into(),
        machine: machine::describe(),
        report: "report.html".into(),
    };
    save_report(&report, folder)?;
    let longest = held_out.iter().take(BATCH).max_by_key(|row| row.len()).map(Vec::as_slice);
    let row = texts.inputs(longest.into_iter());
    let maps: Vec<_> = layers.iter().map(|&layer| measure::maps(&original, &recovered, layer, &row)).collect();
    write_atomically(&folder.join("report.html"), page::encoder(&report, &maps)?.as_bytes())?;
    report.report = folder.join("report.html").display().to_string();
    Ok(report)
}

/// Sentences to train on and others to measure on, of a corpus's training and test split.
fn sentences(corpus: &str, config: &SwapConfig, notes: &mut Vec<String>) -> Result<(Vec<String>, Vec<String>)> {
    let corpus = Corpus::load(corpus, &Cache::default_folder()?)?;
    note(&corpus.notes, notes);
    let some = |documents: &[astrocytic_data::Document], count: usize, purpose: &str| {
        let pieces = documents.iter().flat_map(|document| document.text.split_inclusive(['.', '!', '?', '\n']));
        let mut pieces: Vec<String> =
            pieces.map(|piece| piece.trim().to_string()).filter(|piece| piece.len() >= SHORTEST).collect();
        pieces.shuffle(&mut ChaCha8Rng::seed_from_u64(derive_seed(config.seed, purpose, 0)));
        if pieces.len() < count {
            bail!("the corpus has {} sentences of that split, {count} were asked for; ask for fewer", pieces.len());
        }
        pieces.truncate(count);
        Ok(pieces)
    };
    Ok((some(&corpus.train, config.rows, "training rows")?, some(&corpus.test, config.held_out, "held-out rows")?))
}

/// Texts as batches of tokens.
struct Texts {
    tokenizer: Tokenizer,
    device: Device,
}

impl Texts {
    fn encode(&self, texts: &[String]) -> Result<Vec<Vec<i32>>> {
        let encode = |text: &String| {
            let tokens = self.tokenizer.encode_with_special(text)?;
            Ok(tokens.into_iter().map(|id| id as i32).collect())
        };
        texts.iter().map(encode).collect()
    }

    /// Rows padded to the longest.
    fn inputs<'a>(&self, rows: impl Iterator<Item = &'a [i32]>) -> Inputs {
        let rows: Vec<&[i32]> = rows.collect();
        let steps = rows.iter().map(|row| row.len()).max().unwrap_or(1).max(1);
        let mut tokens = vec![0; rows.len() * steps];
        let mut padded = vec![true; rows.len() * steps];
        for (i, row) in rows.iter().enumerate() {
            tokens[i * steps..][..row.len()].copy_from_slice(row);
            padded[i * steps..][..row.len()].fill(false);
        }
        let shape = [rows.len(), steps];
        Inputs {
            tokens: Tensor::<2, Int>::from_data(TensorData::new(tokens, shape), &self.device),
            padded: Some(Tensor::<2, Bool>::from_data(TensorData::new(padded, shape), &self.device)),
        }
    }

    /// `[texts, d_model]`, in batches of about the same length.
    fn embed(&self, model: &TextEncoder, rows: &[Vec<i32>]) -> Tensor<2> {
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by_key(|&row| rows[row].len());
        let parts = order.chunks(BATCH).map(|part| {
            let Inputs { tokens, padded } = self.inputs(part.iter().map(|&row| &rows[row][..]));
            model.embed(tokens, &padded.expect("made with its padding"))
        });
        let mut back = vec![0i32; rows.len()];
        order.iter().enumerate().for_each(|(place, &row)| back[row] = place as i32);
        let count = back.len();
        Tensor::cat(parts.collect(), 0).select(0, Tensor::from_data(TensorData::new(back, [count]), &self.device))
    }
}

/// The cosine of each row of `a` with that of `b`: `[texts, d_model]` to `[texts, 1]`.
pub(super) fn cosines(a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
    let length = |x: &Tensor<2>| x.clone().square().sum_dim(1).sqrt().clamp_min(1e-12);
    let lengths = length(&a) * length(&b);
    (a * b).sum_dim(1) / lengths
}

/// Labelled texts, those to train a probe on first.
struct Labelled {
    name: String,
    texts: Vec<String>,
    classes: Vec<i32>,
    count: usize,
    train: usize,
}

/// Reads labelled texts in any form that tasks have them in. A fifth is kept to measure on.
fn labelled(path: &Path, notes: &mut Vec<String>) -> Result<Labelled> {
    let path = LabelledPath::from(&*path.to_string_lossy());
    let LabelledFile { mut texts, labels_from, notes: found } = labelled::read(&path.path)?;
    note(&found, notes);
    texts.shuffle(&mut ChaCha8Rng::seed_from_u64(0));
    let train = texts.len() - texts.len() / 5;
    if train == texts.len() {
        bail!("{}: {} labelled texts are too few", path.path.display(), texts.len());
    }
    let labels = labelled::labels(&path, labels_from, &texts)?;
    let class = |one: &LabelledText| labels.binary_search(&&*one.label).expect("collected from all of them") as i32;
    let (classes, count) = (texts.iter().map(class).collect(), labels.len());
    let name = path.path.file_stem().unwrap_or_default().to_string_lossy();
    let folder = path.path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
    let name = format!("{folder}/{name}");
    Ok(Labelled { name, classes, count, train, texts: texts.into_iter().map(|one| one.text).collect() })
}

/// Accuracy of a linear classifier of standardised embeddings (logistic regression with a little decay).
///
/// # Errors
/// For a loss that is not finite.
fn probe(embeddings: &Tensor<2>, labelled: &Labelled, seed: u64) -> Result<f64> {
    let device = embeddings.device().autodiff();
    device.seed(derive_seed(seed, "probe", 0));
    let [count, d_model] = embeddings.dims();
    let train = embeddings.clone().narrow(0, 0, labelled.train);
    let mean = train.clone().mean_dim(0);
    let deviation = (train - mean.clone()).square().mean_dim(0).sqrt().clamp_min(1e-6);
    let standard = (embeddings.clone() - mean) / deviation;
    let own = Tensor::from_inner(standard.clone().narrow(0, 0, labelled.train));
    let classifier = LinearConfig::new(d_model, labelled.count).init(&device);
    let loss = |classifier: &Linear, _step| {
        cross_entropy(classifier.forward(own.clone()), &labelled.classes[..labelled.train])
    };
    let learner = Learner::with_optimizer(classifier, AdamWConfig::new().with_weight_decay(0.1).init(), PROBE_RATE);
    let length = Length { steps: PROBE_STEPS, evaluate_every: PROBE_STEPS, patience: 0 };
    let outcome = Run::new(learner).finish(length, &mut Loss(loss), None, &mut |_| Ok(()))?;
    if outcome.diverged {
        bail!("{}: the probe's loss is not finite", labelled.name);
    }
    let test = standard.narrow(0, labelled.train, count - labelled.train);
    let found = outcome.model.forward(test).argmax(1).into_data();
    let expected = &labelled.classes[labelled.train..];
    let right = found.iter::<i64>().zip(expected).filter(|(found, class)| *found == i64::from(**class)).count();
    Ok(right as f64 / expected.len() as f64)
}

#[cfg(test)]
mod tests {
    use astrocytic_attention::{Attention, SoftmaxAttentionConfig};
    use astrocytic_data::TokenizerKind;
    use astrocytic_models::TextEncoderConfig;
    use burn::module::Param;

    use super::super::{LayerChoice, Match, Report, StageConfig};
    use super::*;

    /// An encoder whose attention matters: queries and keys large enough to choose.
    fn encoder(folder: &Path) {
        let corpus = Corpus::load("generated", &Cache::new(folder)).unwrap();
        let texts: Vec<&str> = corpus.train.iter().map(|document| document.text.as_str()).collect();
        let tokenizer = Tokenizer::train(TokenizerKind::BytePair { vocabulary: 300 }, &texts).unwrap();
        let attention = AttentionConfig::Softmax(SoftmaxAttentionConfig::new(16, 2));
        let device = Device::flex();
        device.seed(5);
        let mut model = TextEncoderConfig::new(tokenizer.vocabulary_size(), 16, 2, 32, 24, 1, attention).init(&device);
        for block in &mut model.blocks {
            let Attention::Softmax(layer) = &mut block.attention else { unreachable!() };
            for (linear, size) in
                [(&mut layer.query, 4.0), (&mut layer.key, 4.0), (&mut layer.value, 4.0), (&mut layer.output, 40.0)]
            {
                linear.weight = Param::from_tensor(linear.weight.val().mul_scalar(size));
            }
        }
        model.save(folder).unwrap();
        tokenizer.save(&folder.join("tokenizer.json")).unwrap();
    }

    #[test]
    fn an_encoder_keeps_its_embeddings_and_is_saved() {
        let folder = tempfile::tempdir().unwrap();
        let (model, out) = (folder.path().join("model"), folder.path().join("out"));
        std::fs::create_dir(&model).unwrap();
        encoder(&model);
        let probe = folder.path().join("probe.txt");
        let lines = (0..100).map(|i| if i % 2 == 0 { "0 the old fox\n" } else { "1 a bird sings\n" });
        std::fs::write(&probe, lines.collect::<String>()).unwrap();
        let config = SwapConfig {
            model,
            layers: LayerChoice::All,
            preset: None,
            window: 0,
            corpus: Some("generated".into()),
            probes: vec![probe.clone()],
            context: 16,
            rows: 256,
            held_out: 64,
            batch: 16,
            matched: Match::Output,
            transfer: StageConfig { steps: 60, learning_rate: 1e-2 },
            recovery: StageConfig { steps: 60, learning_rate: 2e-3 },
            adapters: 0,
            controls: true,
            seed: 1,
        };
        let device = Device::flex();
        let Report::Encoder(report) = super::super::run(&config, &out, &device).unwrap() else { panic!("an encoder") };
        assert!(report.after_transfer_cosine > report.converted_cosine, "{report:?}");
        assert!(report.after_recovery_cosine > report.no_attention_recovered_cosine.unwrap(), "{report:?}");
        assert!(report.after_recovery_cosine > 0.95, "{report:?}");
        assert_eq!((report.probes[0].texts, report.probes[0].original), (20, 1.0));
        let page = std::fs::read_to_string(out.join("report.html")).unwrap();
        assert!(page.contains("Probes") && !page.contains("NaN"));
        assert_eq!(report.pooling, "mean over tokens, brought to length 1");
        assert!(page.contains(&report.pooling));

        let saved = TextEncoder::load(&out, &device).unwrap();
        assert_eq!(saved.config().swapped.len(), 2);
        // The tokenizer is saved as it came, not cut to the context of this conversion.
        let tokenizer = tokenizers::Tokenizer::from_file(out.join("tokenizer.json")).unwrap();
        assert!(tokenizer.encode("the old fox ".repeat(20), true).unwrap().len() > 16);
        // What tasks read, a probe reads.
        let table = folder.path().join("Probe.CSV");
        let rows = "\"a bird, it\nsings\";no\r\nthe caf\u{e9};yes\r\n".repeat(20);
        let (before, after) = rows.split_once('\u{e9}').unwrap();
        std::fs::write(
            &table,
            [format!("\u{feff}Text; label\r\n{before}").as_bytes(), b"\xe9", after.as_bytes()].concat(),
        )
        .unwrap();
        let mut notes = Vec::new();
        let read = labelled(&table, &mut notes).unwrap();
        assert_eq!((read.count, read.train, read.texts.len()), (2, 32, 40));
        assert!(read.texts.iter().zip(&read.classes).all(|(text, &class)| (text == "the caf\u{e9}") == (class == 1)));
        assert!(notes.len() == 1 && notes[0].contains("1 byte"), "{notes:?}");
        for (lines, part) in [("0 one\n1\n", "line 2"), ("1 a bird\n", "too few"), (&"1 a bird\n".repeat(9), "1 label")]
        {
            std::fs::write(&probe, lines).unwrap();
            let fault = labelled(&probe, &mut notes).err().unwrap().to_string();
            assert!(fault.contains(part), "{fault}");
        }
        let fault = super::super::run(&SwapConfig { corpus: None, ..config }, &folder.path().join("o"), &device);
        assert!(fault.err().unwrap().to_string().contains("--corpus"));
    }
}

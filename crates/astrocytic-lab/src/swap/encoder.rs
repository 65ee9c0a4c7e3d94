//! An encoder's conversion, held to the original's embeddings and to what a probe reads from them.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail};
use astrocytic_attention::AttentionConfig;
use astrocytic_data::write_atomically;
use astrocytic_models::TextEncoder;
use astrocytic_models::conversion::Inputs;
use astrocytic_train::observer::Observer;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use sha2::{Digest, Sha256};

use super::config::SwapConfig;
use super::conversion::{Conversion, attention_for, swap};
use super::measure::{LayerError, cosines};
use super::probe::{Labelled, labelled, probe};
use super::report::{EncoderReport, Probe, save_report};
use super::rows::of_step;
use super::stage::Stage;
use super::texts::{BATCH, Texts, sentences};
use super::{measure, page, recover, transfer};
use crate::provenance::machine;
use crate::source::EmbeddingModel;

/// Converts, trains, measures and reports.
pub(super) fn run(
    config: &SwapConfig,
    source: EmbeddingModel,
    place: &Conversion,
    device: &Device,
) -> Result<EncoderReport> {
    let (started, folder, observer) = (Instant::now(), place.place.folder(), place.observer);
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
    let (training, held_out) = sentences(corpus, config, &mut notes, observer)?;
    let (training, held_out) = (texts.encode(&training)?, texts.encode(&held_out)?);
    let labelled: Vec<Labelled> =
        config.probes.iter().map(|path| labelled(path, &mut notes, observer)).collect::<Result<_>>()?;
    let expected = texts.embed(&original, &held_out);
    let layers = layers.as_slice();
    let work = Work { config, original: &original, layers, texts, training, held_out, expected, folder, observer };

    let converted = swap(&original, layers, &asked, config.seed, device)?;
    let _alone = place.begin(config, work.digest())?;
    let (models, staged) = work.convert(converted)?;
    tokenizer.save(&folder.join("tokenizer.json"))?;
    models.recovered.save(folder)?;

    let mut without = swap(&original, layers, &AttentionConfig::Off, config.seed, device)?;
    let no_attention_cosine = work.cosine(&without);
    let mut no_attention_recovered_cosine = None;
    if config.controls && config.recovery.steps > 0 {
        without = work.recover(without, "no-attention")?;
        no_attention_recovered_cosine = Some(work.cosine(&without));
    }
    let probes = labelled.iter().map(|labelled| work.probe(labelled, &models, &without));
    let mut report = EncoderReport {
        config: config.clone(),
        preset,
        layers: layers.to_vec(),
        model_layers: original.blocks.len(),
        parameters: [original.num_params(), models.recovered.num_params()],
        converted_cosine: staged.converted.0,
        after_transfer_cosine: staged.after_transfer.0,
        after_recovery_cosine: staged.after_recovery.0,
        no_attention_cosine,
        no_attention_recovered_cosine,
        pooling: original.pooling().to_string(),
        notes,
        probes: probes.collect::<Result<_>>()?,
        converted: staged.converted.1,
        after_transfer: staged.after_transfer.1,
        after_recovery: staged.after_recovery.1,
        seconds: started.elapsed().as_secs_f64(),
        commit: machine::commit().into(),
        machine: machine::describe(),
        report: "report.html".into(),
    };
    save_report(&report, folder)?;
    write_atomically(&folder.join("report.html"), page::encoder(&report, &work.maps(&models.recovered))?.as_bytes())?;
    report.report = folder.join("report.html").display().to_string();
    Ok(report)
}

/// A conversion's model and data.
struct Work<'a> {
    config: &'a SwapConfig,
    original: &'a TextEncoder,
    layers: &'a [usize],
    texts: Texts,
    training: Vec<Vec<i32>>,
    held_out: Vec<Vec<i32>>,
    /// The original's embeddings of the held-out texts.
    expected: Tensor<2>,
    folder: &'a Path,
    observer: &'a dyn Observer,
}

/// The converted model after each stage of training.
struct Models {
    transferred: TextEncoder,
    recovered: TextEncoder,
}

/// Cosine with the original's embeddings, and errors of the swapped layers, after each stage.
struct Staged {
    converted: (f64, Vec<LayerError>),
    after_transfer: (f64, Vec<LayerError>),
    after_recovery: (f64, Vec<LayerError>),
}

impl Work<'_> {
    /// Of the tokens that the conversion depends on.
    fn digest(&self) -> Sha256 {
        let mut text = Sha256::new();
        for row in self.training.iter().chain(&self.held_out) {
            text.update((row.len() as u64).to_le_bytes());
            row.iter().for_each(|token| text.update(token.to_le_bytes()));
        }
        text
    }

    /// Transfer and recovery, measured before and after each.
    fn convert(&self, converted: TextEncoder) -> Result<(Models, Staged)> {
        let (config, observer) = (self.config, self.observer);
        let before = self.measure(&converted);
        observer.say(&format!("converted: cosine {:.4}", before.0));
        let stage = Stage { config: &config.transfer, folder: &self.folder.join("swapped"), observer };
        let inputs = |step| self.inputs(step);
        let transferred = transfer::run(self.original, converted, self.layers, inputs, config.matched, stage)?;
        let after_transfer = self.measure(&transferred);
        observer.say(&format!("after transfer: cosine {:.4}", after_transfer.0));
        let recovered = self.recover(transferred.clone(), "swapped")?;
        let after_recovery = self.measure(&recovered);
        observer.say(&format!("after recovery: cosine {:.4}", after_recovery.0));
        Ok((Models { transferred, recovered }, Staged { converted: before, after_transfer, after_recovery }))
    }

    fn recover(&self, model: TextEncoder, name: &str) -> Result<TextEncoder> {
        let loss = |model: &TextEncoder, step: u64| recover::of_embeddings(self.original, model, &self.inputs(step));
        let stage = Stage { config: &self.config.recovery, folder: &self.folder.join(name), observer: self.observer };
        recover::run(model, self.layers, self.config.adapters, stage, loss)
    }

    /// The training texts of a step.
    fn inputs(&self, step: u64) -> Inputs {
        let rows = of_step(self.training.len(), step, self.config.batch, self.config.seed);
        self.texts.inputs(rows.into_iter().map(|row| &self.training[row][..]))
    }

    /// Mean cosine with the original's embeddings of the held-out texts.
    fn cosine(&self, model: &TextEncoder) -> f64 {
        let found = self.texts.embed(model, &self.held_out);
        f64::from(cosines(found, self.expected.clone()).mean().into_scalar::<f32>())
    }

    /// Cosine and errors of the swapped layers.
    fn measure(&self, model: &TextEncoder) -> (f64, Vec<LayerError>) {
        let some = self.texts.inputs(self.held_out.iter().take(BATCH).map(Vec::as_slice));
        (self.cosine(model), measure::layers(self.original, model, self.layers, &some))
    }

    /// What a probe reads from the embeddings of each model.
    fn probe(&self, labelled: &Labelled, models: &Models, without: &TextEncoder) -> Result<Probe> {
        let rows = self.texts.encode(&labelled.texts)?;
        let accuracy = |model| probe(&self.texts.embed(model, &rows), labelled, self.config.seed);
        let (original, after_transfer) = (accuracy(self.original)?, accuracy(&models.transferred)?);
        let (after_recovery, no_attention) = (accuracy(&models.recovered)?, accuracy(without)?);
        let test = &labelled.classes[labelled.train..];
        let commonest = (0..labelled.count).map(|class| test.iter().filter(|&&c| c == class as i32).count()).max();
        self.observer.say(&format!("{}: {original:.4}, after recovery {after_recovery:.4}", labelled.name));
        Ok(Probe {
            name: labelled.name.clone(),
            texts: test.len(),
            commonest: commonest.unwrap_or(0) as f64 / test.len() as f64,
            original,
            after_transfer,
            after_recovery,
            no_attention,
        })
    }

    /// Attention weights of each swapped layer on the longest of some held-out texts, the original's and the model's.
    fn maps(&self, model: &TextEncoder) -> Vec<[Vec<f32>; 2]> {
        let longest = self.held_out.iter().take(BATCH).max_by_key(|row| row.len()).map(Vec::as_slice);
        let row = self.texts.inputs(longest.into_iter());
        self.layers.iter().map(|&layer| measure::maps(self.original, model, layer, &row)).collect()
    }
}

#[cfg(test)]
mod tests {
    use astrocytic_attention::{Attention, SoftmaxAttentionConfig};
    use astrocytic_data::{Cache, Corpus, Tokenizer, TokenizerKind};
    use astrocytic_models::TextEncoderConfig;
    use astrocytic_models::conversion::LayerChoice;
    use burn::module::Param;

    use super::super::{Match, Report, StageConfig};
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
        let Report::Encoder(report) = super::super::run(&config, &out, &device, &()).unwrap() else {
            panic!("an encoder")
        };
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
        let read = labelled(&table, &mut notes, &()).unwrap();
        assert_eq!((read.count, read.train, read.texts.len()), (2, 32, 40));
        assert!(read.texts.iter().zip(&read.classes).all(|(text, &class)| (text == "the caf\u{e9}") == (class == 1)));
        assert!(notes.len() == 1 && notes[0].contains("1 byte"), "{notes:?}");
        for (lines, part) in [("0 one\n1\n", "line 2"), ("1 a bird\n", "too few"), (&"1 a bird\n".repeat(9), "1 label")]
        {
            std::fs::write(&probe, lines).unwrap();
            let fault = labelled(&probe, &mut notes, &()).err().unwrap().to_string();
            assert!(fault.contains(part), "{fault}");
        }
        let fault = super::super::run(&SwapConfig { corpus: None, ..config }, &folder.path().join("o"), &device, &());
        assert!(fault.err().unwrap().to_string().contains("--corpus"));
    }
}

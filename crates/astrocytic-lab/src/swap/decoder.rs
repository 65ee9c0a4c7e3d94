//! A decoder's conversion, held to its loss.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use astrocytic_attention::{Attention, AttentionConfig};
use astrocytic_data::{Cache, Corpus, Document, Tokenizer, write_atomically};
use astrocytic_models::{Decoder, save};
use astrocytic_train::observer::{Observer, Unit};
use astrocytic_train::seed::derive_seed;
use burn::module::Module;
use burn::tensor::Device;
use sha2::{Digest, Sha256};

use super::rows::Rows;
use super::stage::Stage;
use super::{
    Conversion, Speed, SwapConfig, SwapReport, attention_for, measure, note, page, recover, save_report, transfer,
};
use crate::provenance::machine;
use crate::source::LanguageModel;

/// Positions at which generation is timed.
const POSITIONS: [usize; 2] = [256, 4096];
/// Rows that the errors of layers are measured on: their matrices of weights are quadratic.
const LAYER_ROWS: usize = 16;

/// Converts, trains, measures and reports.
pub(super) fn run(
    config: &SwapConfig,
    source: LanguageModel,
    place: &Conversion,
    device: &Device,
) -> Result<SwapReport> {
    let (started, folder, observer) = (Instant::now(), place.place.folder(), place.observer);
    let LanguageModel { model: original, tokenizer, boundaries, mut notes } = source;
    if !config.probes.is_empty() {
        bail!("--probe: {} is a decoder; only an encoder has embeddings to probe", config.model.display());
    }
    if let Some(most) = original.config().positions.filter(|&most| config.context > most) {
        bail!("context {} is more than the model's {most} positions; ask for fewer", config.context);
    }
    let layer_count = original.blocks.len();
    let layers = config.layers.of(layer_count)?;
    let attention = |memory| attention_for(config, &original.blocks[layers[0]].attention, memory);
    let (asked, preset) = attention(true)?;
    if config.window > 0 {
        // That of the control too, before anything begins.
        attention(false)?;
    }

    let (training, held_out) = match &config.corpus {
        None => sampled(&original, boundaries.first(), config, observer)?,
        Some(corpus) => of_corpus(corpus, tokenizer.as_ref(), config, &mut notes, observer)?,
    };
    let swap = |attention: &AttentionConfig| super::swap(&original, &layers, attention, config.seed, device);
    let rows = |step| training.of_step(step, config.batch, config.seed);
    let transfer = |model: Decoder, name: &str| {
        let inputs = |step| training.inputs(&rows(step), device);
        let stage = Stage { config: &config.transfer, folder: &folder.join(name), observer };
        transfer::run(&original, model, &layers, inputs, config.matched, stage)
    };
    let recover = |model: Decoder, name: &str| {
        let text = config.corpus.is_some();
        let loss = |model: &Decoder, step: u64| {
            recover::of_logits(&original, model, training.batch(&rows(step), device), text)
        };
        let stage = Stage { config: &config.recovery, folder: &folder.join(name), observer };
        recover::run(model, &layers, config.adapters, stage, loss)
    };
    let loss = |model: &Decoder| measure::loss(model, &held_out, device);
    let some: Vec<usize> = (0..held_out.count().min(LAYER_ROWS)).collect();
    let errors = |model: &Decoder| measure::layers(&original, model, &layers, &held_out.inputs(&some, device));

    let converted = swap(&asked)?;
    let mut text = Sha256::new();
    [&training, &held_out].into_iter().for_each(|rows| rows.digest(&mut text));
    let _alone = place.begin(config, text)?;
    let original_loss = loss(&original);
    let (converted_loss, converted_errors) = (loss(&converted), errors(&converted));
    observer.say(&format!("original {original_loss:.4}, converted {converted_loss:.4} nats per token"));
    let transferred = transfer(converted, "swapped")?;
    let (after_transfer_loss, after_transfer) = (loss(&transferred), errors(&transferred));
    observer.say(&format!("after transfer {after_transfer_loss:.4}"));
    let recovered = recover(transferred, "swapped")?;
    let (after_recovery_loss, after_recovery) = (loss(&recovered), errors(&recovered));
    observer.say(&format!("after recovery {after_recovery_loss:.4}"));
    if let Some(tokenizer) = &tokenizer {
        tokenizer.save(&folder.join("tokenizer.json"))?;
    }
    save(&recovered, folder)?;

    let without = swap(&AttentionConfig::Off)?;
    let no_attention_loss = loss(&without);
    let controls = config.controls && config.recovery.steps > 0;
    let no_attention_recovered_loss =
        controls.then(|| recover(without, "no-attention").map(|model| loss(&model))).transpose()?;
    let (mut window_only_loss, mut window_only_recovered_loss) = (None, None);
    if config.window > 0 {
        window_only_loss = Some(loss(&without_memories(&recovered)));
        if controls {
            let window_only = transfer(swap(&attention(false)?.0)?, "window-only")?;
            window_only_recovered_loss = Some(loss(&recover(window_only, "window-only")?));
        }
    }

    let positions = positions(original.config().positions);
    let original_speed = measure::speed(&original, &positions, device);
    let speed = measure::speed(&recovered, &positions, device);
    let first = |speed: &[Speed]| speed.first().map(|speed| speed.tokens_per_s);
    let mut report = SwapReport {
        config: config.clone(),
        preset,
        layers: layers.clone(),
        model_layers: layer_count,
        parameters: [original.num_params(), recovered.num_params()],
        original_loss,
        converted_loss,
        after_transfer_loss,
        after_recovery_loss,
        window_only_loss,
        window_only_recovered_loss,
        no_attention_loss,
        no_attention_recovered_loss,
        converted: converted_errors,
        after_transfer,
        after_recovery,
        notes,
        tokens_per_s: first(&speed),
        original_tokens_per_s: first(&original_speed),
        original_speed,
        speed,
        seconds: started.elapsed().as_secs_f64(),
        commit: machine::commit().into(),
        machine: machine::describe(),
        report: "report.html".into(),
    };
    save_report(&report, folder)?;
    let mut row = held_out.inputs(&[0], device);
    row.tokens = row.tokens.narrow(1, 0, page::MAP_STEPS.min(config.context));
    let maps = layers.iter().map(|&layer| measure::maps(&original, &recovered, layer, &row));
    let page = page::decoder(&report, &maps.collect::<Vec<_>>())?;
    write_atomically(&folder.join("report.html"), page.as_bytes())?;
    report.report = folder.join("report.html").display().to_string();
    Ok(report)
}

/// Those at which generation is timed: a model with learned positions ends with them, and what there is of a short one is halved
/// between what is read and what is timed.
fn positions(most: Option<usize>) -> Vec<usize> {
    let most = most.unwrap_or(usize::MAX);
    let fit: Vec<usize> = POSITIONS.into_iter().filter(|position| position + 64 <= most).collect();
    match fit.is_empty() {
        true if most >= measure::FEWEST_POSITIONS => vec![most / 2],
        _ => fit,
    }
}

/// The same model, memories switched off.
fn without_memories(model: &Decoder) -> Decoder {
    let mut model = model.clone();
    for block in &mut model.blocks {
        if let Attention::Astrocytic(layer) = &mut block.attention {
            layer.forget_memory();
        }
    }
    model
}

/// Rows that the model samples: to train on, and others to measure on.
fn sampled(
    original: &Decoder,
    begin: Option<u32>,
    config: &SwapConfig,
    observer: &dyn Observer,
) -> Result<(Rows, Rows)> {
    let Some(begin) = begin else {
        bail!("{}: the model names no token to begin with; give a --corpus", config.model.display());
    };
    observer.begin(Unit::Rows, (config.rows + config.held_out) as u64);
    let sample = |purpose: &str, count| {
        Rows::sample(original, begin, [count, config.context], derive_seed(config.seed, purpose, 0), observer)
    };
    let rows = (sample("training rows", config.rows), sample("held-out rows", config.held_out));
    observer.finish();
    Ok(rows)
}

/// Rows of a corpus: of its training split, and of its test split.
fn of_corpus(
    corpus: &str,
    tokenizer: Option<&Tokenizer>,
    config: &SwapConfig,
    notes: &mut Vec<String>,
    observer: &dyn Observer,
) -> Result<(Rows, Rows)> {
    let Some(tokenizer) = tokenizer else {
        bail!("{}: the model has no tokenizer beside it, which a corpus needs", config.model.display());
    };
    let corpus = Corpus::load(corpus, &Cache::default_folder()?)?;
    note(&corpus.notes, notes, observer);
    let rows = |documents: &[Document], count: usize| -> Result<Rows> {
        let mut tokens = Vec::new();
        for document in documents {
            if tokens.len() > count * config.context {
                break;
            }
            tokens.extend(tokenizer.encode_with_special(&document.text)?);
        }
        Rows::of_text(&tokens, [count, config.context])
    };
    let training = rows(&corpus.train, config.rows).context("the training split")?;
    Ok((training, rows(&corpus.test, config.held_out).context("the test split")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generation_is_timed_at_the_positions_that_there_are() {
        assert_eq!(positions(None), POSITIONS);
        assert_eq!(positions(Some(1_024)), [256]);
        for most in [3, 16, 128, 319] {
            assert_eq!(positions(Some(most)), [most / 2]);
        }
        assert!(positions(Some(2)).is_empty());
    }
}

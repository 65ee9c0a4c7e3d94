//! A saved model comes back the same, and files that are not whole or do not fit are refused by
//! name.

use std::path::Path;

use astrocytic_attention::{
    AstrocyticAttentionConfig, AttentionConfig, DecayConfig, FeatureMapConfig, LstmConfig, SoftmaxAttentionConfig,
};
use astrocytic_models::{DecoderConfig, load, save};
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Int, Tensor};

fn configs() -> Vec<DecoderConfig> {
    let random = FeatureMapConfig::PositiveRandom { features: 8, seed: 9 };
    let attentions = [
        AttentionConfig::Astrocytic(AstrocyticAttentionConfig::tripartite(16, 2)),
        AttentionConfig::Astrocytic(
            AstrocyticAttentionConfig::linear(16, 2).with_causal(true).with_feature_map(random),
        ),
        AttentionConfig::Softmax(SoftmaxAttentionConfig::new(16, 2).with_causal(true).with_rotary_theta(Some(100.0))),
        AttentionConfig::Softmax(SoftmaxAttentionConfig::new(16, 2).with_causal(true).with_decay(DecayConfig::Gated)),
        AttentionConfig::Lstm(LstmConfig::new(16)),
        AttentionConfig::Off,
    ];
    attentions.into_iter().map(|attention| DecoderConfig::new(11, 16, 2, 24, attention)).collect()
}

/// Makes every parameter and buffer another.
struct Shrunk;

impl ModuleMapper for Shrunk {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|x| x.mul_scalar(0.75))
    }
}

#[test]
fn a_model_comes_back_to_the_bit() {
    let device = Device::flex();
    let tokens = Tensor::<2, Int>::from_data([[1, 2, 3, 10, 0]], &device);
    for config in configs() {
        let folder = tempfile::tempdir().unwrap();
        // No number is one that the configuration would draw again, random directions included.
        let model = config.init(&device).map(&mut Shrunk);
        save(&model, folder.path()).unwrap();
        let loaded = load(folder.path(), &device).unwrap();
        assert_eq!(loaded.config(), &config);
        let bits = |logits: Tensor<3>| logits.into_data().iter::<f32>().map(f32::to_bits).collect::<Vec<_>>();
        assert_eq!(bits(loaded.forward(tokens.clone())), bits(model.forward(tokens.clone())));
    }
}

fn refused(folder: &Path, part: &str) {
    let error = load(folder, &Device::flex()).unwrap_err().to_string();
    assert!(error.contains(part) && error.lines().count() == 1, "\"{part}\" is not in \"{error}\"");
}

#[test]
fn what_does_not_fit_is_named() {
    let device = Device::flex();
    let folder = tempfile::tempdir().unwrap();
    refused(folder.path(), "config.json");
    let [small, other] = [configs().remove(0), configs().remove(2)];
    save(&small.init(&device), folder.path()).unwrap();
    let (config, weights) = (folder.path().join("config.json"), folder.path().join("model.safetensors"));
    let bytes = std::fs::read(&weights).unwrap();
    // As older programs saved it: without checksums.
    let mut older: serde_json::Value = serde_json::from_slice(&std::fs::read(&config).unwrap()).unwrap();
    assert!(older.as_object_mut().unwrap().remove("sha256").is_some());
    let text = serde_json::to_string_pretty(&older).unwrap();
    std::fs::write(&config, &text).unwrap();
    load(folder.path(), &device).unwrap();

    for (old, new, part) in [
        ("\"version\": 3", "\"version\": 7", "version 7"),
        ("\"vocabulary\": 11", "\"vocabulary\": 12", "model.safetensors"),
        ("\"layers\": 2", "\"layers\": 3", "model.safetensors"),
        ("\"layers\": 2", "\"layers\": 1", "model.safetensors"),
        ("\"layers\": 2", "\"layers\": 1000000000000", "parameters"),
        ("\"d_model\": 16", "\"d_model\": 15", "config.json"),
        ("\"layers\": 2", "\"layers\": ", "config.json"),
    ] {
        assert!(text.contains(old), "{text}");
        std::fs::write(&config, text.replacen(old, new, 1)).unwrap();
        refused(folder.path(), part);
    }
    std::fs::write(&config, &text).unwrap();
    for length in [0, 7, 100, bytes.len() - 1] {
        std::fs::write(&weights, &bytes[..length]).unwrap();
        refused(folder.path(), "model.safetensors");
    }
    std::fs::write(&weights, b"\xff\xff\xff\xff\xff\xff\xff\x7f{}").unwrap();
    refused(folder.path(), "model.safetensors");

    // Weights of another kind of layer: what is missing and what is left over is an error, not a
    // half-loaded model.
    save(&other.init(&device), folder.path()).unwrap();
    std::fs::write(&config, &text).unwrap();
    refused(folder.path(), "model.safetensors");
}

#[test]
fn what_is_damaged_is_named_and_never_loaded() {
    let device = Device::flex();
    let folder = tempfile::tempdir().unwrap();
    let model = configs().remove(0).init(&device);
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("tokenizer.json"), "{\"a tokenizer\": 1}").unwrap();
    // What a killed save left does no harm, and goes.
    std::fs::create_dir(path(".writing-model")).unwrap();
    std::fs::write(path(".writing-model/model.safetensors.7-0.tmp"), "half").unwrap();
    save(&model, folder.path()).unwrap();
    load(folder.path(), &device).unwrap();
    let mut names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["config.json", "model.safetensors", "tokenizer.json"]);
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
        let whole = std::fs::read(path(name)).unwrap();
        for place in (0..whole.len()).step_by(whole.len() / 400 + 1) {
            let mut flipped = whole.clone();
            flipped[place] ^= 1;
            std::fs::write(path(name), flipped).unwrap();
            refused(folder.path(), "config.json");
        }
        for length in [0, whole.len() / 2, whole.len() - 1] {
            std::fs::write(path(name), &whole[..length]).unwrap();
            refused(folder.path(), name);
        }
        std::fs::remove_file(path(name)).unwrap();
        refused(folder.path(), name);
        std::fs::write(path(name), whole).unwrap();
    }
    load(folder.path(), &device).unwrap();
    // Saved again, the old files are replaced.
    save(&model, folder.path()).unwrap();
    load(folder.path(), &device).unwrap();
}

#[cfg(unix)]
#[test]
fn both_files_are_for_the_same_readers() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    save(&configs().remove(0).init(&Device::flex()), folder.path()).unwrap();
    let modes = ["config.json", "model.safetensors"]
        .map(|name| std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode());
    assert_eq!(modes[0], modes[1]);
}

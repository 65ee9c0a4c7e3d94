//! The arms of a comparison: models that differ in their attention, and in what they read at once.
//! Each is a table, built in or of a file.

mod arm;
mod attention;
mod definitions;
mod depth;
mod design;
mod endings;
mod find;
mod lineage;
mod lookup;
mod matching;
mod model_config;
mod names;
mod pattern;
mod preset;
mod sheet;
mod sizes;
mod table;

pub use arm::Arm;
pub(crate) use definitions::{Defined, as_options, needed};
pub use endings::Beyond;
pub use find::arm;
pub(crate) use find::find;
pub use lookup::current;
pub(crate) use lookup::without_ending;
pub use model_config::{ModelConfig, parameters};
pub use sheet::{ArmSheet, Listed, listed, role_name};
pub use sizes::Sizes;
pub(crate) use sizes::carried_tokens;
pub use table::{Definitions, Table};

#[cfg(test)]
mod tests {
    use astrocytic_attention::AttentionConfig;
    use astrocytic_models::DecoderConfig;
    use astrocytic_models::memory::MemoryKind;
    use burn::module::Module;
    use burn::tensor::Device;
    use sha2::{Digest, Sha256};

    use super::arm::OTHER_SEEDS;
    use super::lookup::BUILT_IN;
    use super::*;
    use crate::learning::Learning;
    use crate::results::Role;

    const SIZES: Sizes =
        Sizes { vocabulary: 512, d_model: 64, layers: 2, heads: 2, dropout: 0.1, context: 128, feed_forward: true };

    /// Names of stored runs are hashes of their models: of these sizes, of others, and without
    /// feed-forward layers.
    #[rustfmt::skip]
    const STORED: [(&str, [&str; 3]); 35] = [
        ("vanilla", ["598aad3c5ca8672c", "28fe5657b4972fd8", "cb38e3d357ef32b0"]),
        ("tripartite", ["f8e00f8afbf434f1", "2c6d409617d98319", "3e2236598b004539"]),
        ("vanilla-convolution-gate", ["23c2603cad353849", "57e5fe36ebe52ba5", "e557daae4e387060"]),
        ("forgetting-softmax", ["cd2f295870b79251", "34e9f849bf2e1610", "4b1b302cea04f699"]),
        ("linear", ["d54031f9b1a9c248", "1ccc3a3715bcd609", "bb76c6c82b89a197"]),
        ("lstm", ["35e5a5f6bf3ef37b", "8f452ff8b097375f", "f3f52cf295c4b775"]),
        ("no-attention", ["c45d4eaa92538995", "ca4252d50e5e4696", "b95d3a69742eb0f4"]),
        ("tripartite-write-dropout", ["6a70f00af61510c5", "1d1673aaa2401df5", "253d082cd0d0ca95"]),
        ("tripartite-negative-eigenvalues", ["3b610ee05e6a78a0", "635ca5749255e65a", "ef833f3f5a4dcb23"]),
        ("tripartite-dpfp", ["c82003fd28f23631", "4128bd1b7600ff16", "dd9708f5a00b075c"]),
        ("tripartite-last-softmax", ["cf4536ac2e45bd90", "3561c1b1df664f70", "e7228d57f758cd28"]),
        ("tripartite-no-decay", ["309c01ba541c78f3", "4b088f29a0ba9b50", "6a9bd2b35c32a491"]),
        ("tripartite-hebbian", ["c9f001797bf1135e", "fd2c24c27d17808d", "3c0c288a003101c8"]),
        ("tripartite-no-convolution", ["9e6199ec7cbc9047", "03af5e7b752791dd", "d75fa3ceb6f675c9"]),
        ("tripartite-no-gate", ["81837ed43f772c63", "f443264a11c68eb8", "46d3347e06bde868"]),
        ("tripartite-no-write-gate", ["54aa96ec40768349", "9e33e5a07b5485d5", "11ad88f0ba4c4e3d"]),
        ("gated-linear", ["61d8cfa58fa922af", "941fcf8a97f5877d", "43c6d8863febf3ef"]),
        ("gated-linear-convolution", ["5354cd810b394b51", "2a48e90522242ab8", "28bd59747c026dcc"]),
        ("gated-linear-hedgehog", ["6ee9bf65c19259b5", "ade4b6ce605b6e30", "1fd50a2da761a977"]),
        ("gated-linear-last-softmax", ["ec900a22e226faa1", "91499cb5fbae809b", "8cbf2947a336e473"]),
        ("linear-write-gate", ["77114e61296f42d7", "a6f19144e7d94df8", "94fd776df99a7e1f"]),
        ("linear-rms-norm", ["94084bbce7f03d43", "d947b1dd540d33cd", "6615f1ca37478c8f"]),
        ("linear-delta", ["f5d0a4346774d0cb", "2712c2e8714536d4", "58e2580ca5a3acaf"]),
        ("linear-convolution", ["6d7eeb66bb4892a4", "a24b301cb8867cbb", "8332da2f828d655c"]),
        ("linear-gate", ["28652fb276b839c6", "141af14cb05a3aaa", "65ff6482d45afe00"]),
        ("vanilla-other-seeds", ["598aad3c5ca8672c", "28fe5657b4972fd8", "cb38e3d357ef32b0"]),
        ("vanilla-more-data", ["598aad3c5ca8672c", "28fe5657b4972fd8", "cb38e3d357ef32b0"]),
        ("retnet", ["174943c61ca2067f", "fa1787c4192cda47", "c121f8ffc1721c8f"]),
        ("kozachkov2023", ["fda41d217e5461db", "a82ca05aaffddfdc", "22b77d02c4bce98c"]),
        ("encoder-vanilla", ["39b4e8210b912541", "f60b2cf53b90c01a", ""]),
        ("encoder-linear", ["5df8df012910c083", "95a7dd7dc10349b5", ""]),
        ("encoder-astromorphic", ["e7ae7c92b9d287db", "9ab08a82b28f9110", ""]),
        ("rmaat", ["be1cbc146516d64c", "11d4ab4762573023", ""]),
        ("rmaat-no-retention", ["3a48b01995cd479f", "0947efbde5653203", ""]),
        ("rmt", ["5e2a45c4fbf5d269", "232c2f6dbdc298f4", ""]),
    ];

    #[test]
    fn models_are_what_stored_runs_were_of() {
        let other =
            Sizes { vocabulary: 300, d_model: 96, layers: 3, heads: 4, dropout: 0.0, context: 64, feed_forward: true };
        for (name, stored) in STORED {
            let arm = arm(name).unwrap();
            let sizes = [SIZES, other, Sizes { feed_forward: false, ..SIZES }];
            // An encoder has feed-forward layers.
            for (sizes, stored) in sizes.into_iter().zip(stored).filter(|(_, stored)| !stored.is_empty()) {
                let text = serde_json::to_string(&arm.model(sizes).unwrap()).unwrap();
                assert_eq!(hex::encode(&Sha256::digest(&text)[..8]), stored, "{name}: {text}");
            }
        }
    }

    #[test]
    fn arms_have_equal_parameters_and_unlike_models() {
        let target = parameters(&arm("vanilla").unwrap().model(SIZES).unwrap()).unwrap() as f64;
        let mut seen = Vec::new();
        for (name, table) in BUILT_IN.iter() {
            let arm = arm(name).unwrap();
            let model = arm.model(SIZES).unwrap();
            let found = parameters(&model).unwrap() as f64;
            assert_eq!(
                (found / target - 1.0).abs() < 0.01,
                !table.contains_key("match"),
                "{name}: {found} to {target}"
            );
            let own = serde_json::to_string(&model).unwrap();
            let is_vanillas = arm.given(100, 0) != (100, 0) || arm.weights_seed(0) != 0;
            assert_eq!(seen.contains(&own), is_vanillas, "{name} is another arm's model");
            assert_eq!(arm.decoder(SIZES).is_err(), arm.is_encoder());
            seen.push(own);
        }
        // 2 layers of 2 maps of 2 heads of 128 directions of size 32 are in the model, but nobody
        // trains them.
        let random = arm("kozachkov2023").unwrap().decoder(SIZES).unwrap();
        let all = random.init(&Device::flex()).num_params() as u64;
        assert_eq!(all - parameters(&ModelConfig::Decoder(random)).unwrap(), 2 * 2 * 2 * 128 * 32);
        let bare = Sizes { feed_forward: false, ..SIZES };
        assert_eq!(arm("vanilla").unwrap().decoder(bare).unwrap().d_hidden, 0);
    }

    /// Every option of a layer is one of an arm, by its own name.
    #[test]
    fn options_of_the_layer_are_options_of_arms() {
        let table = |text: &str| {
            let options: toml::Table = toml::from_str(text).unwrap();
            let table = serde_json::to_value(options).unwrap();
            let own = Definitions::from([("mine".to_string(), table.as_object().unwrap().clone())]);
            find("mine", &own)
        };
        let attention = |text: &str| {
            let arm = table(&format!("base = \"tripartite-negative-eigenvalues\"\n{text}")).unwrap();
            let sizes = Sizes { heads: 4, ..SIZES };
            let (model, vanilla) = (arm.model(sizes).unwrap(), super::arm("vanilla").unwrap().model(sizes).unwrap());
            let ratio = parameters(&model).unwrap() as f64 / parameters(&vanilla).unwrap() as f64;
            assert!((ratio - 1.0).abs() < 0.01, "{text}: {ratio}");
            let ModelConfig::Decoder(DecoderConfig { attention, .. }) = model else { panic!("a decoder") };
            let AttentionConfig::Astrocytic(config) = attention else { panic!("an astrocytic layer") };
            config
        };
        let config = attention("initial_write = [1.9, 1.0]\nundecayed_heads = 1\ninitial_leak = [0.0001, 0.01]");
        assert_eq!((config.initial_write, config.undecayed_heads), (Some([1.9, 1.0]), 1));
        assert_eq!(config.initial_leak, Some([0.0001, 0.01]));
        let config = attention("softmax_heads = \"half\"\nsoftmax_rotary_theta = \"none\"\nwrites_per_step = 2");
        assert_eq!((config.softmax_heads, config.softmax_rotary_theta, config.writes_per_step), (2, None, 2));
        assert_eq!(attention("softmax_heads = 1\nwrites_per_step = 3").softmax_heads, 1);
        assert_eq!(attention("").softmax_rotary_theta, Some(10_000.0));
        for (text, said) in [
            ("base = \"tripartite\"\nsoftmax_heads = \"most\"", "half"),
            ("base = \"tripartite\"\nheads = 1\nsoftmax_heads = \"half\"", "half of one head is none"),
            ("base = \"tripartite\"\nsoftmax_heads = 2\nheads = 2", "softmax_heads"),
            ("base = \"tripartite\"\ninitial_write = [1.0, 1.9]", "initial_write"),
            ("base = \"vanilla\"\nwrites_per_step = 2", "writes_per_step"),
        ] {
            let fault = match table(text) {
                Ok(arm) => arm.model(SIZES).unwrap_err().to_string(),
                Err(fault) => fault.to_string(),
            };
            assert!(fault.contains(said), "{text}: {fault}");
        }
    }

    #[test]
    fn controls_cost_what_they_say() {
        let model = |name: &str| arm(name).unwrap().model(SIZES).unwrap();
        let flops = |name: &str| model(name).flops_per_token(SIZES.context);
        assert!((flops("vanilla-wide") / flops("tripartite") - 1.0).abs() < 0.02);
        assert!((flops("vanilla") / flops("tripartite") - 1.0).abs() > 0.05);
        assert_eq!(arm("vanilla-deep").unwrap().decoder(SIZES).unwrap().layers, 4);
        assert_eq!(arm("untrained").unwrap().given(4_096, 7), (0, 7));
        // The pairing of the data stays, the weights are others; or both are others.
        let seeds = |name: &str| (arm(name).unwrap().given(100, 7).1, arm(name).unwrap().weights_seed(7));
        assert_eq!(seeds("vanilla-other-weights"), (7, 7 + OTHER_SEEDS));
        assert_eq!(seeds("vanilla-other-seeds"), (7 + OTHER_SEEDS, 7 + OTHER_SEEDS));
    }

    #[test]
    fn an_ending_says_what_is_known_beyond_the_window() {
        let of = |name| arm(name).map(|arm| (arm.role, arm.beyond)).unwrap();
        assert_eq!(of("vanilla"), (Role::Baseline, Beyond::Nothing));
        assert_eq!(of("vanilla-cached"), (Role::Control, Beyond::Carried));
        assert_eq!(of("tripartite-carried"), (Role::Astrocytic, Beyond::Carried));
        let through = Learning { learns: MemoryKind::Ngram, through_documents: true };
        assert_eq!(arm("vanilla-more-data-memory").unwrap().given(100, 7), (150, 7));
        assert_eq!(arm("vanilla-other-seeds-dynamic").unwrap().given(100, 7), (100, 7 + OTHER_SEEDS));
        assert_eq!(of("tripartite-memory-through"), (Role::Astrocytic, Beyond::Learned(through)));
        let none = Definitions::new();
        // Names from before, of models, of endings, and of both.
        for (old, new) in [
            ("vanilla-decay", "forgetting-softmax"),
            ("vanilla-memory-through", "vanilla+ngram"),
            ("linear-decay-dynamic", "gated-linear+dynamic"),
            ("linear-decay-carried", "gated-linear-carried"),
            ("linear-decay+ngram", "gated-linear+ngram"),
            ("recurrent-memory", "rmt"),
        ] {
            assert_eq!(current(old, &none), new);
            let [old, new] = [arm(old).unwrap(), arm(new).unwrap()];
            assert!(old.beyond == new.beyond && old.description == new.description && old.name != new.name);
        }
        for (name, said) in [
            ("vanila", "; nearest: vanilla, "),
            ("+ngram", "; nearest: "),
            ("-memory", "; nearest: "),
            ("memory", "; nearest: "),
            ("rmaat-memory", "rmaat is an encoder"),
            ("vanilla+ngrm", "; did you mean \"vanilla+ngram\"?"),
            ("vanila+ngram", "; did you mean \"vanilla+ngram\"?"),
            ("tripartite-caried", "; did you mean \"tripartite-carried\"?"),
            ("vanilla+ngram-cached", "unknown arm"),
            ("vanilla-memory-cached", "unknown arm"),
        ] {
            let error = arm(name).unwrap_err().to_string();
            assert!(error.contains(said), "{name}: {error}");
        }
    }
}

//! Tests of what is refused in a file, and where it is said to stand.

use anyhow::Result;

use crate::experiment::plan::Plan;
use crate::file::Source;

const HEAD: &str = "question = \"q\"\nexpected = \"e\"\n[shared]\nseeds = 2\nd_model = 32\n";

fn parse(text: &str) -> Result<Plan> {
    Plan::of(Source::parse("a.toml".into(), text.into())?)
}

#[test]
fn a_faulty_file_is_refused_with_the_place() {
    for (tail, said) in [
        ("", "a.toml: studies: no [[studies]]"),
        ("[[studies]]\nname = \"a\"\nwidth = 3\n", "a.toml:8:1: study a: width: unknown field"),
        (
            "[[studies]]\nname = \"a\"\nsedes = 3\n",
            "a.toml:8:1: study a: sedes: unknown field; did you mean \"seeds\"?",
        ),
        ("[[studies]]\nname = \"a/b\"\n", "a.toml:7:8: name: \"a/b\" is a folder's name; use a-z"),
        ("[[studies]]\nname = \"a\"\n[[studies]]\nname = \"a\"\n", "a.toml:9:8: name: there are two"),
        ("[[studies]]\nname = \"a\"\nseeds = 0\n", "a.toml:8:9: study a: seeds: at least 1"),
        ("[[studies]]\nname = \"a\"\nsizes = [9000, 100]\n", "a.toml:8:9: study a: sizes: must be ascending"),
        ("[[studies]]\nname = \"a\"\ncorpus = \"scan:left\"\n", "a.toml:8:10: study a: corpus: scan:left"),
        (
            "[[studies]]\nname = \"a\"\nseeds = \"5\"\n",
            "a.toml:8:9: study a: seeds: \"5\", where a whole number of at least 0 is wanted",
        ),
        ("[[studies]]\nname = \"a\"\nheads = 5\n", "a.toml:8:9: study a: heads: arm vanilla: heads = 5 must divide"),
        ("[[studies]]\nname = \"a\"\narms = [\"vanilla\", \"liner\"]\n", "a.toml:8:20: study a: arms.1: unknown arm"),
        (
            "[[studies]]\nname = \"a\"\nd_model = 17\nheads = 1\n",
            "a.toml:8:11: study a: d_model: arm vanilla: rotary_theta needs an even head size, got 17",
        ),
        ("[[studies]]\nname = \"a\"\ndropout = 1.5\n", "a.toml:8:11: study a: dropout = 1.5 must be in [0, 1)"),
        (
            "[[studies]]\nname = \"a\"\nbatch = 100000\ncontext = 100000\n",
            "a.toml:8:9: study a: batch: 100000 sequences of 100000 tokens; at most",
        ),
        (
            "[[studies]]\nname = \"a\"\ncorpus = \"mqar:64x4\"\nsolved_at = 2.0\n",
            "a.toml:9:13: study a: solved_at = 2 must be in (0, 1]",
        ),
        (
            "[[studies]]\nname = \"a\"\nsolved_at = 0.9\n",
            "a.toml:8:13: study a: solved_at = 0.9: a text has no answers",
        ),
        ("[[studies]]\nname = \"a\"\ntuning_trials = 1000000000\n", "a.toml:8:17: study a: tuning_trials: at most"),
        ("[[studies]]\nname = \"a\"\nlayers = 0\n", "a.toml:8:10: study a: layers: must be above 0"),
        ("[[studies]]\nname = \"a\"\ntest_tokens = 0\n", "a.toml:8:15: study a: test_tokens: must be above 0"),
        ("[[studies]]\nname = \"a\"\ntuning_seeds = 0\n", "a.toml:8:16: study a: tuning_seeds: must be above 0"),
        ("[[studies]]\nname = \"a\"\nschedules = []\n", "a.toml:8:13: study a: schedules: at least one"),
        ("[[studies]]\nname = \"a\"\nschedules = [9, 0]\n", "a.toml:8:17: study a: schedules.1: must be above 0"),
        (
            "[[studies]]\nname = \"a\"\ndefinitions = 1\n",
            "a.toml:8:1: study a: definitions: unknown field; known: corpus",
        ),
        (
            "contrasts = [[\"tripartite\", \"vanilla\", \"vanilla\"]]\n[[studies]]\nname = \"a\"\n",
            "a.toml:6:14: study a: contrasts.0: a list of 3, where a list of 2 values is wanted",
        ),
        ("[[studies]\n", "a.toml:6:"),
        ("[sharde]\n", "a.toml:6:2: sharde: unknown field; did you mean \"shared\"?"),
        (
            "primary = { arm = \"a\", baseline = \"vanilla\" }\n[[studies]]\nname = \"a\"\n",
            "a.toml:6:11: study a: primary: it belongs to the whole file",
        ),
        (
            "contrasts = [[\"tripartite\", \"vanila\"]]\n[[studies]]\nname = \"a\"\n",
            "a.toml:6:29: study a: contrasts.0.1: \"vanila\" is none of the study's arms",
        ),
        (
            "[[studies]]\nname = \"a\"\n[arms.b]\nbase = \"tripartite\"\nnormalizer = { calcium = { alpha = 1.0 } }\n",
            "a.toml:10:14: arms.b.normalizer: the delta rule has no calcium",
        ),
        (
            "[[studies]]\nname = \"a\"\narms = [\"vanilla\", \"b\"]\n[arms.b]\nbase = \"linear\"\nfeature_map = \"hedgehg\"\n",
            "a.toml:11:15: study a: arms.b.feature_map: \"hedgehg\" is none of",
        ),
    ] {
        let error = format!("{:#}", parse(&format!("{HEAD}{tail}")).unwrap_err());
        assert!(error.starts_with(said), "{tail}: {error}");
    }
}

/// Of an arm that a study has, or that lends it its attention or its values.
#[test]
fn a_fault_of_an_arm_is_where_its_table_says_it() {
    let study = "[[studies]]\nname = \"a\"\narms = [\"vanilla\", \"b\"]\nd_model = 16\nheads = 2\ncontext = 16\n\
                 sizes = [300]\n[arms.b]\nbase = ";
    for (arm, said) in [
        ("\"linear\"\nheads = 3\n", "15:9: study a: arms.b: heads = 3 must divide d_model = 16"),
        ("\"linear\"\npositions = 3\n", "15:13: study a: arms.b: positions = 3 must be at least the context of 16"),
        (
            "\"linear\"\nblock = { norm_epsilon = 0.0 }\n",
            "15:26: study a: arms.b.block: norm_epsilon = 0 must be above 0",
        ),
        ("\"linear\"\nwindow = 99999999999999\n", "15:10: study a: arms.b: window = 99999999999999 must be at most"),
        (
            "\"linear\"\nfeature_map = { dpfp = { nu = 100000 } }\n",
            "15:15: study a: arms.b.feature_map: dpfp nu = 100000",
        ),
        ("\"linear\"\nlayers = 100000\n", "15:10: study a: arms.b.layers: 100000 layers; it must be 1 to 1024"),
        ("\"linear\"\nmatch = \"nothing\"\nd_hidden = 100000000\n", "16:12: arms.b.d_hidden: at most 65536"),
        (
            "\"vanilla\"\ninitializer = { normal = { mean = 0.0, std = -1.0 } }\n",
            "15:15: study a: arms.b.initializer: its numbers must be finite",
        ),
        ("\"vanilla\"\nattention_dropout = 2\n", "15:21: study a: arms.b: attention_dropout = 2 must be in [0, 1)"),
        ("\"linear\"\ndata = 0.0001\n", "15:8: study a: arms.b.data: it is given 0 of the 300 tokens"),
        ("\"linear\"\ndata = 0.05\n", "15:8: study a: arms.b.data: it is given 15 of the 300 tokens"),
        ("\"linear\"\ndata = 1e9\n", "15:8: study a: arms.b.data: it is given 300000000000 tokens"),
        (
            "\"linear\"\nlayers = { last = \"c\" }\n[arms.c]\nbase = \"linear\"\nheads = 5\n",
            "18:9: study a: arms.c: heads = 5",
        ),
        (
            "\"c\"\n[arms.c]\nbase = \"linear\"\nfeature_map = \"x\"\n",
            "17:15: study a: arms.c.feature_map: \"x\" is none of",
        ),
    ] {
        let error = format!("{:#}", parse(&format!("{HEAD}{study}{arm}")).unwrap_err());
        assert!(error.starts_with(&format!("a.toml:{said}")), "{arm}: {error}");
    }
    let untrained = parse(&format!("{HEAD}{study}\"linear\"\ndata = 0\n"));
    assert!(untrained.is_ok(), "{untrained:?}");
}

#[test]
fn a_pattern_in_a_contrast_is_each_of_its_arms() {
    let text = "contrasts = [[\"b-{window}\", \"vanilla\"], [\"b-{window}\", \"b-4\"]]\n[[studies]]\nname = \"a\"\n\
                arms = [\"vanilla\", \"b-{window}\"]\n[arms.\"b-{window}\"]\nbase = \"gated-linear\"\nwindow = [4, 8]\n";
    let head = "question = \"q\"\nexpected = \"e\"\n";
    let plan = parse(&format!("{head}{text}")).unwrap();
    let pairs = plan.studies[0].config.contrasts.iter().map(|pair| pair.join(" ")).collect::<Vec<_>>();
    assert_eq!(pairs, ["b-4 vanilla", "b-8 vanilla", "b-8 b-4"]);
    let unknown = parse(&format!("{head}{}", text.replace("\"b-{window}\"]\n[arms", "\"b-{windows}\"]\n[arms")));
    let unknown = unknown.unwrap_err().to_string();
    assert!(unknown.contains("\"b-{windows}\" stands for no arms of the file; nearest: b-{window}"), "{unknown}");
}

//! Names that arms had before, which stored results and experiments still have.

/// Models before and now.
const MODELS: [(&str, &str); 10] = [
    ("vanilla-decay", "forgetting-softmax"),
    ("tripartite-release", "tripartite-write-dropout"),
    ("tripartite-negative", "tripartite-negative-eigenvalues"),
    ("tripartite-softmax", "tripartite-last-softmax"),
    ("linear-decay", "gated-linear"),
    ("linear-decay-convolution", "gated-linear-convolution"),
    ("linear-decay-hedgehog", "gated-linear-hedgehog"),
    ("linear-decay-softmax", "gated-linear-last-softmax"),
    ("linear-norm", "linear-rms-norm"),
    ("recurrent-memory", "rmt"),
];

/// Endings before and now.
const ENDINGS: [(&str, &str); 4] = [
    ("-memory-through", "+ngram"),
    ("-memory", "+ngram-per-document"),
    ("-plastic", "+plastic-per-document"),
    ("-dynamic", "+dynamic"),
];

/// What an arm is called now. `endings` are those that names have now.
pub(super) fn current(name: &str, endings: &[&str]) -> String {
    let model = |name: &str| MODELS.iter().find(|(old, _)| *old == name).map(|(_, new)| *new);
    if let Some(now) = model(name) {
        return now.into();
    }
    let endings = ENDINGS.into_iter().chain(endings.iter().map(|ending| (*ending, *ending)));
    for (old, now) in endings {
        if let Some(name) = name.strip_suffix(old) {
            return format!("{}{now}", model(name).unwrap_or(name));
        }
    }
    name.into()
}

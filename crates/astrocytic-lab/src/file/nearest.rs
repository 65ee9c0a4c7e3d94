//! What a misspelt name was meant to be.

/// How alike two names must be, of 1, for one to be meant by the other.
const ALIKE: f64 = 0.8;

/// The three names that are most like this one, the nearest first.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut known: Vec<(f64, &str)> = known.into_iter().map(|known| (likeness(name, known), known)).collect();
    known.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    known.into_iter().take(3).map(|(_, known)| known).collect()
}

/// A question to end an error with, or nothing where no name is near.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let near = nearest(name, known).into_iter().next().filter(|near| likeness(name, near) >= ALIKE);
    near.map_or(String::new(), |near| format!("; did you mean \"{near}\"?"))
}

fn likeness(one: &str, other: &str) -> f64 {
    let plain = |name: &str| name.to_ascii_lowercase().replace('_', "-");
    strsim::jaro_winkler(&plain(one), &plain(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_has_its_neighbours() {
        let known = ["tripartite", "vanilla", "vanilla-wide", "linear"];
        assert_eq!(nearest("vanila", known), ["vanilla", "vanilla-wide", "linear"]);
        assert_eq!(did_you_mean("Tri_partite", known), "; did you mean \"tripartite\"?");
        assert_eq!(did_you_mean("q", known), "");
    }
}

//! The words of the built-in language. Classes share no form, so that a word shows the choice that made it.

/// Numbers in words, from zero.
pub(super) const NUMBERS: &[&str] =
    &["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];

/// Words by class; earlier ones are likelier (Zipf).
pub(super) struct Lexicon {
    pub(super) nouns: Vec<&'static str>,
    pub(super) transitive: Vec<&'static str>,
    pub(super) intransitive: Vec<&'static str>,
    pub(super) adjectives: Vec<&'static str>,
    pub(super) adverbs: Vec<&'static str>,
    pub(super) prepositions: Vec<&'static str>,
    pub(super) roles: Vec<&'static str>,
    pub(super) places: Vec<&'static str>,
    pub(super) women: Vec<&'static str>,
    pub(super) men: Vec<&'static str>,
}

/// Zipf–Mandelbrot weights, 1 / (rank + 2.7).
pub(super) fn zipf(words: usize) -> Vec<f64> {
    (0..words).map(|rank| 1.0 / (rank as f64 + 3.7)).collect()
}

impl Lexicon {
    /// The language itself.
    pub(super) fn english() -> Self {
        let words = |text: &'static str| text.split_whitespace().collect();
        Self {
            nouns: words(
                "dog bird horse tree stone river house boat lamp letter apple garden window bridge tower goat hen cow \
                 book coin ring cup chair table door key hat coat boot bell drum flute rope net hook barrel basket \
                 bottle bowl spoon pot oven candle mirror carpet pillow blanket ladder hammer nail axe shovel wheel \
                 cart wagon sail anchor oar raft shell pearl crab eel whale seal gull crow owl hawk eagle swan duck \
                 frog toad snail spider beetle moth bee ant cricket mouse rabbit badger otter bear tiger lion camel \
                 donkey mule pony lamb ram pig kitten puppy flower rose tulip daisy fern vine root seed acorn onion \
                 carrot turnip melon lemon plum pear grape cake pie cheese egg pebble hill cave cliff island \
                 forest meadow pond lake stream fountain well wall fence gate barn mill church castle palace market \
                 shop inn road path map flag shield sword spear arrow helmet crown jewel ribbon button needle thread \
                 doll kite puzzle trumpet violin painting statue clock compass lantern telescope engine",
            ),
            transitive: words(
                "sees likes follows finds helps hears knows wants loves watches carries pushes pulls paints cures \
                 counts draws fears grabs hates hides holds kicks lifts loses meets misses needs orders picks \
                 praises protects remembers repairs seeks sells shows steals studies touches trusts visits washes \
                 admires buys catches chases covers doubts drops envies feeds greets ignores",
            ),
            intransitive: words(
                "sleeps waits runs sings falls moves shines laughs cries dances jumps rests swims shakes grows \
                 vanishes appears arrives leaves stumbles trembles wanders whistles whispers yawns sneezes snores \
                 smiles sinks rises returns listens hesitates glows floats fades dreams coughs breathes blushes",
            ),
            adjectives: words(
                "old small big red white black good new long young blue green warm cold bright dark heavy light soft \
                 hard quiet loud fast slow sweet bitter dry wet clean dirty rich poor wise foolish brave shy kind \
                 cruel happy sad angry calm proud humble strange plain round flat sharp dull thick thin deep shallow \
                 broken golden silver wooden iron empty full rare common lucky lonely hungry tired famous secret",
            ),
            adverbs: words(
                "often slowly quietly again today soon gladly quickly rarely always never gently loudly early late \
                 bravely sadly calmly suddenly secretly politely proudly eagerly kindly twice alone together",
            ),
            prepositions: words("near behind above under beside before with without"),
            roles: words(
                "farmer baker teacher sailor doctor painter hunter fisher singer writer builder merchant soldier \
                 miller tailor weaver potter guard nurse judge king queen thief clerk cook",
            ),
            places: words(
                "Arlen Borra Cindel Dorvan Eskil Farrow Gildan Harrol Istra Jorvik Kelm Lorne Marrin Norrel Ostia \
                 Perrin",
            ),
            women: words(
                "Anna Mary Clara Ruth Emma Alice Nora Julia Helen Laura Vera Ada Rosa Edith Irene Olga Martha Stella \
                 Agnes Bertha Celia Dora Flora Greta Hilda Ida Kate Lena Mabel Paula",
            ),
            men: words(
                "John Peter Tom Paul Henry Jack Max Oscar Simon Victor Adam Ben Carl David Eric Frank George Hugo Ivan \
                 Karl Leo Mark Noah Otto Philip Ralph Samuel Theo Walter Arthur",
            ),
        }
    }

    /// Weights of nouns in a place: the same Zipf weights, dealt in another order in each, so that a place has things of
    /// its own.
    pub(super) fn noun_weights(&self, place: usize) -> Vec<f64> {
        let count = self.nouns.len();
        let shared = zipf(count);
        // A step without a common divisor visits every noun once.
        let step = (2 * place + 7..).find(|step| gcd(*step, count) == 1).unwrap_or(1);
        (0..count).map(|noun| 0.3 * shared[noun] + 0.7 * shared[(noun * step + 11 * place) % count]).collect()
    }

    /// A verb for a subject: "sees" for one, "see" for many.
    pub(super) fn verb(form: &str, plural: bool) -> String {
        if !plural {
            return form.to_string();
        }
        let base = ["ches", "shes", "sses", "xes"].iter().find(|end| form.ends_with(**end));
        match (form.strip_suffix("ies"), base) {
            (Some(stem), _) => format!("{stem}y"),
            (_, Some(_)) => form[..form.len() - 2].to_string(),
            _ => form[..form.len() - 1].to_string(),
        }
    }

    /// A noun: "dog" for one, "dogs" for many.
    pub(super) fn noun(word: &str, plural: bool) -> String {
        let hisses = ["s", "x", "ch", "sh"].iter().any(|end| word.ends_with(end));
        let vowel_y = ["ay", "ey", "oy"].iter().any(|end| word.ends_with(end));
        match (plural, word.strip_suffix('y')) {
            (false, _) => word.to_string(),
            (true, Some(stem)) if !vowel_y => format!("{stem}ies"),
            (true, _) if hisses => format!("{word}es"),
            (true, _) => format!("{word}s"),
        }
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
impl Lexicon {
    /// One word a class, and two of those that a story needs two of.
    pub(super) fn tiny() -> Self {
        Self {
            nouns: vec!["dog", "cow"],
            transitive: vec!["sees"],
            intransitive: vec!["sleeps"],
            adjectives: vec!["old"],
            adverbs: vec!["often"],
            prepositions: vec!["near"],
            roles: vec!["baker"],
            places: vec!["Arlen"],
            women: vec!["Anna", "Mary"],
            men: vec!["John", "Peter"],
        }
    }

    /// Every form, with its class.
    pub(super) fn forms(&self) -> Vec<(&'static str, String)> {
        let plain = |class, words: &[&str]| words.iter().map(|w| (class, w.to_string())).collect::<Vec<_>>();
        let both = |class, words: &[&str], form: fn(&str, bool) -> String| {
            words.iter().flat_map(|w| [(class, form(w, false)), (class, form(w, true))]).collect::<Vec<_>>()
        };
        [
            both("noun", &self.nouns, Self::noun),
            both("transitive", &self.transitive, Self::verb),
            both("intransitive", &self.intransitive, Self::verb),
            both("reserved", &["gives", "says", "has", "owns"], Self::verb),
            plain("adjective", &self.adjectives),
            plain("adverb", &self.adverbs),
            plain("preposition", &self.prepositions),
            plain("role", &self.roles),
            plain("place", &self.places),
            plain("woman", &self.women),
            plain("man", &self.men),
            plain(
                "reserved",
                &["the", "that", "and", "to", "of", "in", "live", "is", "are", "she", "he", "now", "all"],
            ),
            plain("reserved", NUMBERS),
        ]
        .concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_verbs_and_nouns() {
        assert_eq!(Lexicon::verb("watches", true), "watch");
        assert_eq!(Lexicon::verb("carries", true), "carry");
        assert_eq!(Lexicon::verb("loses", true), "lose");
        assert_eq!(Lexicon::verb("misses", true), "miss");
        assert_eq!(Lexicon::noun("daisy", true), "daisies");
        assert_eq!(Lexicon::noun("donkey", true), "donkeys");
        assert_eq!(Lexicon::noun("church", true), "churches");
    }
}

//! How a story is told: who there is, what they own, and what happens to it.

use super::Choices;
use super::lexicon::{Lexicon, zipf};

/// Numbers in words, from zero.
pub(super) const NUMBERS: &[&str] =
    &["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
/// How rich stories are; the tests enumerate smaller ones.
pub(super) struct Shape {
    /// Most things that a person can own at the beginning.
    pub(super) most: usize,
    /// Sentences after the introduction: at least these,
    pub(super) fewest: usize,
    /// at most these,
    pub(super) longest: usize,
    /// and one more with this probability.
    pub(super) goes_on: f64,
    /// Clauses inside clauses at most.
    pub(super) depth: usize,
}

impl Shape {
    /// The language itself.
    pub(super) const FULL: Self = Self { most: 6, fewest: 4, longest: usize::MAX, goes_on: 0.85, depth: 2 };
}

struct Person {
    name: &'static str,
    woman: bool,
    noun: usize,
    adjective: usize,
    /// How many of their own kind of thing, and of the other person's.
    own: usize,
    others: usize,
}

/// A whole story.
pub(super) fn story(lexicon: &Lexicon, shape: &Shape, choices: &mut impl Choices) -> String {
    let place = choices.choose(&zipf(lexicon.places.len()));
    let nouns = lexicon.noun_weights(place);
    let mut sentences = Vec::new();
    let mut people: Vec<Person> = Vec::new();
    let mut introductions = Vec::new();
    for _ in 0..2 {
        // The second has another name than the first, and owns another kind of thing.
        let woman = choices.flip(0.5);
        let names = if woman { &lexicon.women } else { &lexicon.men };
        let taken = |name: &str| people.iter().any(|person| person.name == name);
        let weights: Vec<f64> =
            zipf(names.len()).into_iter().zip(names).map(|(w, name)| if taken(name) { 0.0 } else { w }).collect();
        let name = names[choices.choose(&weights)];
        let role = lexicon.roles[choices.choose(&zipf(lexicon.roles.len()))];
        introductions.push(format!("{name} the {role}"));
        people.push(Person { name, woman, noun: 0, adjective: 0, own: 0, others: 0 });
    }
    sentences.push(format!("{} live in {} .", introductions.join(" and "), lexicon.places[place]));
    for i in 0..2 {
        let own = 1 + choices.choose(&vec![1.0; shape.most]);
        let adjective = choices.choose(&zipf(lexicon.adjectives.len()));
        let mut weights = nouns.clone();
        if i == 1 {
            weights[people[0].noun] = 0.0;
        }
        let noun = choices.choose(&weights);
        let person = &mut people[i];
        (person.noun, person.adjective, person.own) = (noun, adjective, own);
        let look = lexicon.adjectives[adjective];
        sentences.push(format!("{} owns {} {look} {} .", person.name, NUMBERS[own], things(lexicon, noun, own)));
    }

    // Who was spoken of last: a pronoun means that person.
    let mut last = 1;
    let mut told = 0;
    while told < shape.fewest || told < shape.longest && choices.flip(shape.goes_on) {
        told += 1;
        let kind = choices.choose(&[0.3, 0.28, 0.14, 0.14, 0.14]);
        if kind == 0 {
            sentences.push(format!("{} .", capital(&statement(lexicon, place, shape.depth, choices))));
            continue;
        }
        let same = choices.flip(0.6);
        let who = if same { last } else { 1 - last };
        last = who;
        let person = &people[who];
        let name = match (same, person.woman) {
            (false, _) => person.name,
            (true, true) => "She",
            (true, false) => "He",
        };
        sentences.push(match kind {
            1 => {
                let verb = lexicon.transitive[choices.choose(&zipf(lexicon.transitive.len()))];
                let object = noun_phrase(lexicon, &nouns, shape.depth.min(1), choices).0;
                format!("{name} {verb} {object}{} .", adverb(lexicon, choices))
            }
            2 => format!("{name} says : {} .", statement(lexicon, place, shape.depth.min(1), choices)),
            3 => give(lexicon, &mut people, who, name, choices),
            _ => {
                // Everything here was said before but the kind of sentence and whom it is about.
                let (look, be) = (lexicon.adjectives[person.adjective], if person.own == 1 { "is" } else { "are" });
                let count = NUMBERS[person.own];
                let noun = things(lexicon, person.noun, person.own);
                format!("{name} has {count} {noun} and {} {be} {look} .", if person.own == 1 { "it" } else { "they" })
            }
        });
    }
    sentences.join(" ")
}

/// "Anna gives two apples to John . Now Anna has three apples and John has two ."
fn give(lexicon: &Lexicon, people: &mut [Person], who: usize, name: &str, choices: &mut impl Choices) -> String {
    let giver = &people[who];
    if giver.own == 0 {
        return format!("{name} has no {} .", Lexicon::noun(lexicon.nouns[giver.noun], true));
    }
    let given = 1 + choices.choose(&vec![1.0; giver.own]);
    let noun = giver.noun;
    people[who].own -= given;
    people[1 - who].others += given;
    let (giver, taker) = (&people[who], &people[1 - who]);
    format!(
        "{name} gives {} {} to {} . Now {} has {} {} and {} has {} .",
        NUMBERS[given],
        things(lexicon, noun, given),
        taker.name,
        giver.name,
        NUMBERS[giver.own],
        things(lexicon, noun, giver.own),
        taker.name,
        NUMBERS[taker.others],
    )
}

fn things(lexicon: &Lexicon, noun: usize, count: usize) -> String {
    Lexicon::noun(lexicon.nouns[noun], count != 1)
}

/// "the old dogs that the cat near the river sees sleep often": subject and verb agree over what stands between.
pub(super) fn statement(lexicon: &Lexicon, place: usize, depth: usize, choices: &mut impl Choices) -> String {
    let nouns = lexicon.noun_weights(place);
    let (subject, plural) = noun_phrase(lexicon, &nouns, depth, choices);
    let predicate = predicate(lexicon, &nouns, depth.saturating_sub(1), plural, choices);
    format!("{subject} {predicate}{}", adverb(lexicon, choices))
}

fn adverb(lexicon: &Lexicon, choices: &mut impl Choices) -> String {
    if choices.flip(0.3) {
        format!(" {}", lexicon.adverbs[choices.choose(&zipf(lexicon.adverbs.len()))])
    } else {
        String::new()
    }
}

fn predicate(lexicon: &Lexicon, nouns: &[f64], depth: usize, plural: bool, choices: &mut impl Choices) -> String {
    if choices.flip(0.5) {
        let verb = lexicon.intransitive[choices.choose(&zipf(lexicon.intransitive.len()))];
        return Lexicon::verb(verb, plural);
    }
    let verb = lexicon.transitive[choices.choose(&zipf(lexicon.transitive.len()))];
    format!("{} {}", Lexicon::verb(verb, plural), noun_phrase(lexicon, nouns, depth, choices).0)
}

/// A noun with at most one modifier, right behind it; returns whether it is plural.
fn noun_phrase(lexicon: &Lexicon, nouns: &[f64], depth: usize, choices: &mut impl Choices) -> (String, bool) {
    let mut phrase = "the ".to_string();
    if choices.flip(0.3) {
        phrase += lexicon.adjectives[choices.choose(&zipf(lexicon.adjectives.len()))];
        phrase.push(' ');
    }
    let noun = lexicon.nouns[choices.choose(nouns)];
    let plural = choices.flip(0.4);
    phrase += &Lexicon::noun(noun, plural);
    if depth == 0 {
        return (phrase, plural);
    }
    match choices.choose(&[0.5, 0.22, 0.14, 0.14]) {
        0 => {}
        1 => {
            let preposition = lexicon.prepositions[choices.choose(&zipf(lexicon.prepositions.len()))];
            let inner = noun_phrase(lexicon, nouns, depth - 1, choices).0;
            phrase += &format!(" {preposition} {inner}");
        }
        2 => phrase += &format!(" that {}", predicate(lexicon, nouns, depth - 1, plural, choices)),
        _ => {
            let (subject, inner_plural) = noun_phrase(lexicon, nouns, depth - 1, choices);
            let verb = lexicon.transitive[choices.choose(&zipf(lexicon.transitive.len()))];
            phrase += &format!(" that {subject} {}", Lexicon::verb(verb, inner_plural));
        }
    }
    (phrase, plural)
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::super::generate;
    use super::*;

    #[test]
    fn numbers_add_up_and_pronouns_agree() {
        let lexicon = Lexicon::english();
        let mut checked = [0; 2];
        for story in generate(5, 0, 60_000) {
            let mut owned: HashMap<(String, String), usize> = HashMap::new();
            let number = |word: &str| NUMBERS.iter().position(|n| *n == word);
            let singular = |word: &str| {
                let noun =
                    lexicon.nouns.iter().find(|n| Lexicon::noun(n, false) == word || Lexicon::noun(n, true) == word);
                noun.unwrap().to_string()
            };
            let mut last = String::new();
            for sentence in story.text.split(" . ") {
                let words: Vec<&str> = sentence.trim_end_matches(" .").split_whitespace().collect();
                let subject = match words[0] {
                    "She" | "He" => {
                        let women = lexicon.women.iter().any(|n| *n == last);
                        assert_eq!(words[0] == "She", women, "{}", story.text);
                        checked[0] += 1;
                        last.clone()
                    }
                    name => name.to_string(),
                };
                if lexicon.women.iter().chain(&lexicon.men).any(|n| *n == subject) && words[1] != "the" {
                    last = subject.clone();
                } else if words.get(4) == Some(&"and") || words.get(3) == Some(&"and") {
                    last = words
                        .iter()
                        .skip(1)
                        .find(|w| lexicon.women.contains(w) || lexicon.men.contains(w))
                        .map_or(last, |w| w.to_string());
                }
                match words.get(1).copied() {
                    Some("owns") => {
                        let noun = singular(words[4]);
                        owned.insert((subject, noun), number(words[2]).unwrap());
                    }
                    Some("gives") => {
                        let (count, noun) = (number(words[2]).unwrap(), singular(words[3]));
                        *owned.get_mut(&(subject, noun.clone())).unwrap() -= count;
                        *owned.entry((words[5].to_string(), noun)).or_default() += count;
                    }
                    _ if words[0] == "Now" => {
                        let noun = singular(words[4]);
                        assert_eq!(
                            owned[&(words[1].to_string(), noun.clone())],
                            number(words[3]).unwrap(),
                            "{}",
                            story.text
                        );
                        assert_eq!(owned[&(words[6].to_string(), noun)], number(words[8]).unwrap(), "{}", story.text);
                        last = words[1].to_string();
                        checked[1] += 1;
                    }
                    _ => {}
                }
            }
        }
        assert!(checked[0] > 500 && checked[1] > 100, "{checked:?}");
    }

    /// Reads a statement back by the grammar's rules and holds each verb to its subject.
    struct Reader<'a> {
        lexicon: &'a Lexicon,
        words: std::iter::Peekable<std::str::SplitWhitespace<'a>>,
        verbs: usize,
    }

    impl Reader<'_> {
        fn statement(mut self) -> usize {
            let plural = self.noun_phrase();
            self.predicate(plural);
            self.words.next_if(|word| self.lexicon.adverbs.contains(word));
            assert_eq!(self.words.next(), None);
            self.verbs
        }

        fn noun_phrase(&mut self) -> bool {
            assert_eq!(self.words.next(), Some("the"));
            self.words.next_if(|word| self.lexicon.adjectives.contains(word));
            let noun = self.words.next().unwrap();
            let plural = self.lexicon.nouns.iter().any(|n| Lexicon::noun(n, true) == noun);
            assert!(plural || self.lexicon.nouns.contains(&noun), "{noun}");
            if self.words.next_if(|word| self.lexicon.prepositions.contains(word)).is_some() {
                self.noun_phrase();
            } else if self.words.next_if_eq(&"that").is_some() {
                if self.words.peek() == Some(&"the") {
                    let inner = self.noun_phrase();
                    assert!(self.verb(inner), "a transitive verb");
                } else {
                    self.predicate(plural);
                }
            }
            plural
        }

        fn predicate(&mut self, plural: bool) {
            if self.verb(plural) {
                self.noun_phrase();
            }
        }

        /// Whether it is transitive.
        fn verb(&mut self, plural: bool) -> bool {
            let verb = self.words.next().unwrap();
            let among = |verbs: &[&str]| verbs.iter().any(|v| Lexicon::verb(v, plural) == verb);
            self.verbs += 1;
            assert!(among(&self.lexicon.transitive) || among(&self.lexicon.intransitive), "{verb} after {plural}");
            among(&self.lexicon.transitive)
        }
    }

    #[test]
    fn verbs_agree_over_any_distance() {
        let lexicon = Lexicon::english();
        let mut counts = [0; 8];
        for story in generate(6, 0, 40_000) {
            for sentence in story.text.trim_end_matches(" .").split(" . ") {
                let quoted = sentence.split_once(" says : ").map(|(_, statement)| statement.to_string());
                let plain = sentence.strip_prefix("The ").map(|rest| format!("the {rest}"));
                if let Some(statement) = quoted.or(plain) {
                    let words = statement.split_whitespace().peekable();
                    counts[Reader { lexicon: &lexicon, words, verbs: 0 }.statement().min(7)] += 1;
                }
            }
        }
        assert!(counts[1] > 500 && counts[2] > 200 && counts[3] > 50, "{counts:?}");
    }

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

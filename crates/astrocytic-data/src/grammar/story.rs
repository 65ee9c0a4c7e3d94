//! How a story is told: who there is, what they own, and what happens to it.

use super::choices::Choices;
use super::lexicon::{Lexicon, NUMBERS, zipf};

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

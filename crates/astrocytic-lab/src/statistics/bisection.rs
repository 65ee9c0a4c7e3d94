//! Which sizes of data are visited to find the one that half of the seeds solve: bisection with a
//! few seeds, then all seeds on both sides of the answer.
//!
//! What is visited next follows from what was found alone, so that a search that was interrupted
//! goes on as it would have, on whatever machine.

use super::isotonic::isotonic;

/// Seeds that a size is tried with while the sizes on both sides of the answer are looked for.
const SCOUTS: u64 = 3;
/// How many places further down the next size is where a large one is not solved.
const DOWN: usize = 3;
/// A share this far from 0 or 1 may be that of a size that half of the seeds solve.
const CLEAR: f64 = 0.2;

/// A size, by its place among all, and how many seeds are run there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Visit {
    pub(crate) size: usize,
    pub(crate) seeds: u64,
}

/// The visits to `sizes` sizes, ascending, in the order in which they are made. `solved` says how
/// many of the first so many seeds solve a size, once all of these were run; visits whose outcome
/// it does not know yet are the last.
///
/// First the largest size; for as long as most of three seeds do not solve one, another three places
/// down: in as many steps, more examples can be harder to learn than fewer that come again
/// (experiments/LOG.md, 2026-11-28). From the first that they solve, bisection for the smallest. Then
/// all seeds at that size and at the one below, and at the next one up or down for as long as all of
/// these lie on one side of one half. At an end of the sizes, all seeds run there,
/// and at the next one too where the share is not clearly on its side.
pub(crate) fn visits(sizes: usize, seeds: u64, solved: impl Fn(usize, u64) -> Option<u64>) -> Vec<Visit> {
    let mut visits = Vec::new();
    let Some((below, above)) = bracket(sizes, SCOUTS.min(seeds), &solved, &mut visits) else { return visits };
    let last = sizes - 1;
    let (mut from, mut to) = (below.unwrap_or(above), above.min(last));
    let mut all: Vec<usize> = Vec::new();
    loop {
        for size in (from..=to).filter(|size| !all.contains(size)).collect::<Vec<_>>() {
            all.push(size);
            visits.push(Visit { size, seeds });
        }
        let found: Option<Vec<u64>> = (from..=to).map(|size| solved(size, seeds)).collect();
        let Some(found) = found else { return visits };
        let shares = isotonic(&found.iter().map(|&found| (found as f64 / seeds as f64, 1.0)).collect::<Vec<_>>());
        let (lowest, highest) = (shares[0], shares[shares.len() - 1]);
        let alone = from == to;
        if from > 0 && (lowest >= 0.5 || alone && lowest > CLEAR) {
            from -= 1;
        } else if to < last && (highest < 0.5 || alone && highest < 1.0 - CLEAR) {
            to += 1;
        } else {
            return visits;
        }
    }
}

/// The largest size that most of a few seeds do not solve below the smallest that they solve, if there
/// is one, and that size; where they solve none, the largest size and the number of sizes. `None` where
/// it is not known yet.
fn bracket(
    sizes: usize,
    seeds: u64,
    solved: &impl Fn(usize, u64) -> Option<u64>,
    visits: &mut Vec<Visit>,
) -> Option<(Option<usize>, usize)> {
    let last = sizes.checked_sub(1)?;
    let mut try_at = |size: usize| {
        visits.push(Visit { size, seeds });
        Some(2 * solved(size, seeds)? > seeds)
    };
    let (mut below, mut above) = (None, last);
    while !try_at(above)? {
        if above <= DOWN {
            return Some((Some(last), sizes));
        }
        above -= DOWN;
    }
    let mut first = 0;
    while first < above {
        let size = (first + above - 1) / 2;
        if try_at(size)? {
            above = size;
        } else {
            (below, first) = (Some(size), size + 1);
        }
    }
    Some((below, above))
}

/// Sizes that are visited, and runs there, where every seed solves exactly the sizes from some size
/// on, whichever makes most of both: the most that there are unless seeds disagree.
pub(crate) fn most_visits(sizes: usize, seeds: u64) -> [usize; 2] {
    let of = |smallest: usize| {
        let mut most = vec![0; sizes];
        for visit in visits(sizes, seeds, |size, seeds| Some(if size >= smallest { seeds } else { 0 })) {
            most[visit.size] = most[visit.size].max(visit.seeds as usize);
        }
        [most.iter().filter(|&&runs| runs > 0).count(), most.iter().sum()]
    };
    (0..=sizes).map(of).fold([0, 0], |most, found| [most[0].max(found[0]), most[1].max(found[1])])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seeds 0 to 9 solve from these sizes on.
    fn outcome(from: [usize; 10]) -> impl Fn(usize, u64) -> Option<u64> {
        move |size, seeds| Some(from[..seeds as usize].iter().filter(|&&from| size >= from).count() as u64)
    }

    fn pairs(visits: &[Visit]) -> Vec<(usize, u64)> {
        visits.iter().map(|visit| (visit.size, visit.seeds)).collect()
    }

    #[test]
    fn the_largest_size_comes_first_and_then_the_halves() {
        assert_eq!(pairs(&visits(9, 10, outcome([5; 10]))), [(8, 3), (3, 3), (5, 3), (4, 3), (4, 10), (5, 10)]);
        // Beyond, and below: all seeds at the end alone.
        assert_eq!(pairs(&visits(9, 10, outcome([9; 10]))), [(8, 3), (5, 3), (2, 3), (8, 10)]);
        assert_eq!(pairs(&visits(9, 10, outcome([0; 10]))), [(8, 3), (3, 3), (1, 3), (0, 3), (0, 10)]);
        assert_eq!(pairs(&visits(1, 2, outcome([0; 10]))), [(0, 2), (0, 2)]);
        assert!(visits(0, 2, outcome([0; 10])).is_empty());
    }

    #[test]
    fn what_too_many_examples_hide_is_found_below() {
        let hidden = |size: usize, seeds: u64| Some(if (3..=6).contains(&size) { seeds } else { 0 });
        assert_eq!(pairs(&visits(9, 10, hidden)), [(8, 3), (5, 3), (2, 3), (3, 3), (2, 10), (3, 10)]);
    }

    #[test]
    fn a_bracket_moves_until_its_shares_lie_on_both_sides() {
        // Three seeds solve size 4 that most do not.
        let early = outcome([4, 4, 4, 6, 6, 6, 6, 6, 7, 7]);
        let found = visits(9, 10, early);
        assert_eq!(pairs(&found)[4..], [(3, 10), (4, 10), (5, 10), (6, 10)]);
        // Of seven that do not solve the largest size, four are right by chance: the next one down is
        // looked at too.
        let late = outcome([9, 9, 9, 8, 8, 8, 8, 9, 9, 9]);
        assert_eq!(pairs(&visits(9, 10, late)), [(8, 3), (5, 3), (2, 3), (8, 10), (7, 10)]);
        // All at the end in the end.
        let never = outcome([8, 8, 8, 9, 9, 9, 9, 9, 9, 9]);
        assert_eq!(pairs(&visits(9, 10, never)).last(), Some(&(8, 10)));
    }

    #[test]
    fn what_is_not_known_yet_is_what_is_visited_next() {
        let known = outcome([5; 10]);
        let whole = visits(9, 10, &known);
        for made in 0..whole.len() {
            // A visit with fewer seeds at a size is known from one with more.
            let done = |size: usize, seeds: u64| whole[..made].iter().any(|v| v.size == size && v.seeds >= seeds);
            let found = visits(9, 10, |size, seeds| known(size, seeds).filter(|_| done(size, seeds)));
            assert!(found.len() > made && whole.starts_with(&found), "{made}: {found:?}");
        }
        assert_eq!(most_visits(9, 10), [5, 29]);
        assert_eq!(most_visits(1, 3), [1, 3]);
    }
}

//! Lists that come in pages.

use std::collections::HashSet;
use std::future::Future;

/// How many names one page is asked to hold: the most that registries commonly give.
pub(crate) const PAGE: usize = 1000;
/// No registry gives pages as short as this: one that is shorter is the last. Saves most repositories a second question.
const SHORT: usize = 50;

/// Everything that a list holds, up to `most` names, and whether that is all. `page` gives the names behind one, or the first.
///
/// A registry may give fewer names than it was asked for, or all of them again and again (Distribution 2 does so with tags):
/// only a short page, or one that brings nothing new, is the end.
pub(crate) async fn all<E, Fut>(most: usize, page: impl Fn(Option<String>) -> Fut) -> Result<(Vec<String>, bool), E>
where
    Fut: Future<Output = Result<Vec<String>, E>>,
{
    let mut names: Vec<String> = Vec::new();
    let mut seen = HashSet::new();
    loop {
        let got = page(names.last().cloned()).await?;
        let (before, short) = (names.len(), got.len() < SHORT);
        names.extend(got.into_iter().filter(|name| seen.insert(name.clone())));
        if names.len() > most {
            names.truncate(most);
            return Ok((names, false));
        }
        if short || names.len() == before {
            return Ok((names, true));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::ready;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn now<T>(future: impl Future<Output = T>) -> T {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(done) => done,
            Poll::Pending => panic!("it waits for something"),
        }
    }

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("{number:04}")).collect()
    }

    /// Of a registry that gives at most `size` a page, and minds what came last or does not.
    fn listed(all_names: &[String], size: usize, minds: bool, most: usize) -> (Vec<String>, bool) {
        let page = |last: Option<String>| {
            let behind = all_names.iter().filter(|name| !minds || last.as_ref().is_none_or(|last| *name > last));
            ready(Ok::<_, Infallible>(behind.take(size).cloned().collect()))
        };
        now(all(most, page)).unwrap()
    }

    #[test]
    fn every_name_once() {
        for count in [0, 1, 99, 100, 101, 1000] {
            let expected = (names(count), true);
            assert_eq!(listed(&names(count), 100, true, 5000), expected, "{count}");
            assert_eq!(listed(&names(count), 1000, false, 5000), expected, "{count}, all at once");
        }
    }

    #[test]
    fn no_more_than_wanted() {
        assert_eq!(listed(&names(1000), 100, true, 250), (names(250), false));
        assert_eq!(listed(&names(250), 100, true, 250), (names(250), true));
    }
}

//! Who goes on next. So much is worked on at once; of what is beyond that, each caller's waits in a line of its own, and those
//! who wait are let in by turns: whoever asks for much waits behind their own, and nobody behind theirs.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::oneshot;

/// A line with more in it is looked through for those who left.
const LONG: usize = 512;

/// Lines of callers.
pub(super) struct Turns<C: Eq + Hash + Clone> {
    /// Worked on at once.
    most: usize,
    /// Of these, whoever has fewer never waits.
    few: usize,
    here: Mutex<Here<C>>,
}

struct Here<C: Eq + Hash + Clone> {
    at_work: usize,
    lines: HashMap<C, Own<C>>,
    /// Those who wait, each once: the first is let in next.
    round: VecDeque<C>,
}

struct Own<C: Eq + Hash + Clone> {
    at_work: usize,
    waiting: VecDeque<oneshot::Sender<InTurn<C>>>,
}

/// The right to go on; given to the next one when dropped.
pub(super) struct InTurn<C: Eq + Hash + Clone> {
    turns: Arc<Turns<C>>,
    caller: C,
}

impl<C: Eq + Hash + Clone> Turns<C> {
    /// So many at work at once; and so `few` of each caller whatever others do.
    pub fn new(most: usize, few: usize) -> Arc<Self> {
        let here = Here { at_work: 0, lines: HashMap::new(), round: VecDeque::new() };
        Arc::new(Self { most, few, here: Mutex::new(here) })
    }

    fn lock(&self) -> MutexGuard<'_, Here<C>> {
        self.here.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Waits until it is `caller`'s turn.
    pub async fn take(self: &Arc<Self>, caller: C) -> InTurn<C> {
        let waiting = {
            let mut here = self.lock();
            let is_room = here.at_work < self.most;
            let own = here.lines.entry(caller.clone()).or_insert_with(Own::none);
            if is_room || own.at_work < self.few {
                own.at_work += 1;
                here.at_work += 1;
                drop(here);
                return InTurn { turns: self.clone(), caller };
            }
            if own.waiting.len() >= LONG {
                own.waiting.retain(|one| !one.is_closed());
            }
            let is_first = own.waiting.is_empty();
            let (sender, waiting) = oneshot::channel();
            own.waiting.push_back(sender);
            if is_first && !here.round.contains(&caller) {
                here.round.push_back(caller.clone());
            }
            waiting
        };
        match waiting.await {
            Ok(turn) => turn,
            // Lines are only ever shortened by letting somebody in.
            Err(_) => std::future::pending().await,
        }
    }
}

impl<C: Eq + Hash + Clone> Own<C> {
    fn none() -> Self {
        Self { at_work: 0, waiting: VecDeque::new() }
    }

    /// The next one; those who left are passed over.
    fn next(&mut self) -> Option<oneshot::Sender<InTurn<C>>> {
        let next = std::iter::from_fn(|| self.waiting.pop_front()).find(|one| !one.is_closed());
        self.at_work += usize::from(next.is_some());
        next
    }
}

impl<C: Eq + Hash + Clone> Here<C> {
    /// Whoever is let in next, and in whose name.
    fn next(&mut self) -> Option<(oneshot::Sender<InTurn<C>>, C)> {
        while let Some(caller) = self.round.pop_front() {
            let Some(own) = self.lines.get_mut(&caller) else { continue };
            let next = own.next();
            if !own.waiting.is_empty() {
                self.round.push_back(caller.clone());
            }
            if let Some(next) = next {
                self.at_work += 1;
                return Some((next, caller));
            }
            self.forget(&caller);
        }
        None
    }

    /// The next one of this caller, who has fewer at work than `few`.
    fn next_of(&mut self, caller: &C, few: usize) -> Option<(oneshot::Sender<InTurn<C>>, C)> {
        let next = self.lines.get_mut(caller).filter(|own| own.at_work < few)?.next()?;
        self.at_work += 1;
        Some((next, caller.clone()))
    }

    fn forget(&mut self, caller: &C) {
        if self.lines.get(caller).is_some_and(|own| own.at_work == 0 && own.waiting.is_empty()) {
            self.lines.remove(caller);
        }
    }
}

impl<C: Eq + Hash + Clone> Drop for InTurn<C> {
    fn drop(&mut self) {
        let mut here = self.turns.lock();
        here.at_work -= 1;
        if let Some(own) = here.lines.get_mut(&self.caller) {
            own.at_work -= 1;
        }
        here.forget(&self.caller);
        let next = match here.at_work < self.turns.most {
            true => here.next(),
            false => here.next_of(&self.caller, self.turns.few),
        };
        drop(here);
        if let Some((one, caller)) = next {
            // Whoever left meanwhile drops the turn, and with that gives it to the next.
            drop(one.send(InTurn { turns: self.turns.clone(), caller }));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn who_asks_for_much_waits_behind_their_own() {
        let turns = Turns::new(4, 1);
        let ask = |who: &'static str| Box::pin(turns.take(who));
        let mut held: Vec<_> = (0..4).map(|_| ask("much").now_or_never().unwrap()).collect();
        let mut waiting: Vec<_> = (0..6).map(|_| ask("much")).collect();
        assert!(waiting.iter_mut().all(|one| one.now_or_never().is_none()));
        let little = ask("little").now_or_never();
        assert!(little.is_some(), "one of somebody who has none never waits");
        let mut second = ask("little");
        assert!((&mut second).now_or_never().is_none());
        let mut third = ask("other two");
        let other = (&mut third).now_or_never().unwrap();
        let mut third = ask("other two");
        assert!((&mut third).now_or_never().is_none());
        // Six are at work where four may be: two must go before anybody comes.
        held.truncate(2);
        assert!((&mut waiting[0]).now_or_never().is_none());
        held.pop();
        held.push((&mut waiting[0]).now_or_never().unwrap());
        held.remove(0);
        let second = (&mut second).now_or_never();
        assert!(second.is_some(), "by turns: not those who have waited for longest");
        held.remove(0);
        assert!((&mut third).now_or_never().is_some());
        drop((held, little, second, other));
    }

    #[tokio::test]
    async fn a_few_of_each_go_on_whatever_others_do() {
        let turns = Turns::new(1, 2);
        let ask = |who: &'static str| Box::pin(turns.take(who));
        let _others = ["b", "c"].map(|who| [0, 1].map(|_| ask(who).now_or_never().unwrap()));
        let mut own: Vec<_> = (0..2).map(|_| ask("a").now_or_never().unwrap()).collect();
        let mut third = ask("a");
        assert!((&mut third).now_or_never().is_none());
        own.pop();
        assert!((&mut third).now_or_never().is_some(), "in the place of their own");
    }

    #[tokio::test]
    async fn who_leaves_is_passed_over_and_nobody_is_remembered() {
        let turns = Turns::new(1, 1);
        let ask = |who: &'static str| Box::pin(turns.take(who));
        let first = ask("a").now_or_never().unwrap();
        let (mut second, mut third, mut fourth) = (ask("a"), ask("a"), ask("a"));
        assert!(
            [&mut second, &mut third, &mut fourth].map(|one| one.now_or_never()).iter().all(Option::is_none)
        );
        drop(second);
        drop(first);
        // Let in, and gone before it knows.
        drop(third);
        drop(fourth.await);
        let many: Vec<_> = (0..5_000)
            .map(|_| {
                let mut one = ask("b");
                one.as_mut().now_or_never()
            })
            .collect();
        assert!(turns.lock().lines.get("b").is_none_or(|own| own.waiting.len() <= LONG));
        drop(many);
        let here = turns.lock();
        assert_eq!((here.at_work, here.round.len()), (0, 0));
    }
}

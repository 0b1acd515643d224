//! One person's connections on this node, and how far they have been served.

use std::sync::Arc;

use super::Connection;
use crate::domain::Position;

/// Where a notification comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// From a commit, here or on another node: something earlier may still be under way.
    Live,
    /// From the database, in order: what is not there does not come any more.
    Stored,
}

/// Whether a position may be handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// It is the next.
    Next,
    /// It was handed out before.
    Before,
    /// Something earlier comes first.
    Later,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Served {
    /// One writer gives out positions, with gaps, and they come in their order.
    InOrder,
    /// Where the inbox stands is being asked; meanwhile this was the earliest that came.
    Asked(Option<Position>),
    /// Up to here all was there before, or was handed out.
    UpTo(Position),
}

/// One person's connections.
pub struct Room {
    /// Those that are open.
    pub connections: Vec<Arc<Connection>>,
    served: Served,
}

impl Room {
    /// For somebody whose first connection comes.
    pub fn new(gapless: bool) -> Self {
        let served = if gapless { Served::Asked(None) } else { Served::InOrder };
        Self { connections: Vec::with_capacity(1), served }
    }

    /// Whether `position` may be handed out now; if so, it counts as handed out.
    pub fn pass(&mut self, position: Position, source: Source) -> Pass {
        match self.served {
            Served::InOrder => Pass::Next,
            Served::Asked(earliest) => {
                let earliest = earliest.map_or(position, |earliest| earliest.min(position));
                self.served = Served::Asked(Some(earliest));
                Pass::Later
            }
            Served::UpTo(last) if position <= last => Pass::Before,
            Served::UpTo(last) if position > last + 1 && source == Source::Live => Pass::Later,
            Served::UpTo(_) => {
                self.served = Served::UpTo(position);
                Pass::Next
            }
        }
    }

    /// The inbox stood at `position`. `true` if something came meanwhile.
    pub fn settle(&mut self, position: Position) -> bool {
        let Served::Asked(earliest) = self.served else { return false };
        let upto = earliest.map_or(position, |earliest| position.min(earliest - 1));
        self.served = Served::UpTo(upto);
        earliest.is_some()
    }

    /// Up to where all has been served; [`Position::MAX`] where that is not counted.
    pub fn served(&self) -> Option<Position> {
        match self.served {
            Served::InOrder => Some(Position::MAX),
            Served::Asked(_) => None,
            Served::UpTo(position) => Some(position),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_pass_once_and_in_order() {
        let mut room = Room::new(true);
        assert_eq!(room.pass(9, Source::Live), Pass::Later);
        assert_eq!(room.pass(8, Source::Live), Pass::Later);
        assert_eq!(room.served(), None);
        assert!(room.settle(12), "the inbox had moved on before it was asked");
        assert_eq!(room.served(), Some(7));
        assert_eq!(room.pass(9, Source::Live), Pass::Later);
        assert_eq!(room.pass(8, Source::Live), Pass::Next);
        assert_eq!(room.pass(8, Source::Live), Pass::Before);
        assert_eq!(room.pass(11, Source::Stored), Pass::Next, "9 and 10 are gone");
        assert_eq!(room.pass(10, Source::Live), Pass::Before);
        assert!(!room.settle(99));
        assert_eq!(room.served(), Some(11));
    }

    #[test]
    fn a_single_writer_needs_no_counting() {
        let mut room = Room::new(false);
        assert_eq!(room.pass(5, Source::Live), Pass::Next);
        assert_eq!(room.pass(9, Source::Live), Pass::Next);
        assert_eq!(room.served(), Some(Position::MAX));
    }
}

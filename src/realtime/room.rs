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
    /// Where the inbox stands is being asked. What comes live meanwhile is handed out at once: all that lies
    /// before it is in the database by then, where the list finds it.
    Asked,
    /// Up to here all was there before, or was handed out.
    UpTo(Position),
}

/// One person's connections.
pub struct Room {
    /// Those that are open.
    pub connections: Vec<Arc<Connection>>,
    /// Whether messages of other nodes arrive: before that, nobody can say where the inbox stands.
    pub is_joined: bool,
    served: Served,
}

impl Room {
    /// For somebody whose first connection comes.
    pub fn new(gapless: bool) -> Self {
        let served = if gapless { Served::Asked } else { Served::InOrder };
        Self { connections: Vec::with_capacity(1), is_joined: false, served }
    }

    /// Whether `position` may be handed out now; if so, it counts as handed out.
    pub fn pass(&mut self, position: Position, source: Source) -> Pass {
        match self.served {
            Served::InOrder => Pass::Next,
            Served::UpTo(last) if position <= last => Pass::Before,
            Served::UpTo(last) if position > last + 1 && source == Source::Live => Pass::Later,
            Served::Asked | Served::UpTo(_) => {
                self.served = Served::UpTo(position);
                Pass::Next
            }
        }
    }

    /// The inbox stood at `position`. `true` if not all of it has been served.
    pub fn settle(&mut self, position: Position) -> bool {
        if !self.is_joined {
            // The answer belongs to an earlier room of the same person; this one's comes.
            return false;
        }
        match self.served {
            Served::InOrder => false,
            Served::Asked => {
                self.served = Served::UpTo(position);
                false
            }
            Served::UpTo(last) => last < position,
        }
    }

    /// The inbox ends at `position`.
    pub fn rewind(&mut self, position: Position) {
        if let Served::UpTo(last) = &mut self.served {
            *last = position.min(*last);
            self.connections.iter().for_each(|connection| connection.flow.rewind(position));
        }
    }

    /// Up to where all has been served; [`Position::MAX`] where that is not counted.
    pub fn served(&self) -> Option<Position> {
        match self.served {
            Served::InOrder => Some(Position::MAX),
            Served::Asked => None,
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
        assert_eq!(room.served(), None);
        assert!(!room.settle(7), "messages do not arrive yet");
        assert_eq!(room.served(), None);
        room.is_joined = true;
        assert!(!room.settle(7));
        assert_eq!(room.served(), Some(7));
        assert_eq!(room.pass(9, Source::Live), Pass::Later);
        assert_eq!(room.pass(8, Source::Live), Pass::Next);
        assert_eq!(room.pass(8, Source::Live), Pass::Before);
        assert_eq!(room.pass(11, Source::Stored), Pass::Next, "9 and 10 are gone");
        assert_eq!(room.pass(10, Source::Live), Pass::Before);
        assert!(room.settle(12), "something came before messages did");
        assert_eq!(room.served(), Some(11));
    }

    #[test]
    fn what_comes_first_shows_where_the_inbox_stands() {
        let mut room = Room::new(true);
        assert_eq!(room.pass(9, Source::Live), Pass::Next);
        assert_eq!(room.pass(8, Source::Live), Pass::Before, "the list has it");
        assert_eq!(room.served(), Some(9));
        room.is_joined = true;
        assert!(!room.settle(9));
    }

    #[test]
    fn a_single_writer_needs_no_counting() {
        let mut room = Room::new(false);
        assert_eq!(room.pass(5, Source::Live), Pass::Next);
        assert_eq!(room.pass(9, Source::Live), Pass::Next);
        assert_eq!(room.served(), Some(Position::MAX));
    }
}

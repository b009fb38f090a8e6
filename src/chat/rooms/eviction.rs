//! Eviction: which room forgets its history first when all archives together are too large, and which empty room closes
//! when there are too many rooms.

use super::Rooms;

impl Rooms {
    /// Bytes that all archives take.
    pub fn archived(&self) -> usize {
        self.archives.total()
    }

    /// How often a room's archive was cut or an empty room closed because all archives together were too large.
    pub fn archives_cut(&self) -> u64 {
        self.archives_cut
    }

    /// Keeps all archives together within their limit: closes the empty rooms first, then halves the largest archive.
    pub(super) fn evict_archives(&mut self) {
        while self.archives.total() > self.limits.history_size_total {
            self.archives_cut += 1;
            if self.close_longest_vacant() {
                continue;
            }
            let Some(key) = self.archives.largest() else {
                return;
            };
            if let Some(room) = self.rooms.get_mut(key.0 as usize) {
                room.log.forget_half();
                self.archives.set(key, room.archived());
            }
        }
    }

    /// Closes the room that has been empty for longest. Returns whether there was one.
    pub(super) fn close_longest_vacant(&mut self) -> bool {
        let Some((_, key)) = self.vacant.first() else {
            return false;
        };
        self.close(key);
        true
    }
}

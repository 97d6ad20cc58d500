//! What a client saw, in cells of 20 ms: who answered, or that nobody did. Pure.
//!
//! A cell belongs to who answered in its time, whenever the request was sent. Where requests were sent and no answer came
//! in that time, nobody did. Where none was sent, the cell says nothing.

use std::collections::VecDeque;
use std::time::Duration;

use super::caption::ClientSaw;

/// The time of a cell.
pub(super) const CELL: Duration = Duration::from_millis(20);
/// So long after its end a cell is shown: what the client writes down takes its time.
const SETTLE: Duration = Duration::from_millis(10);
/// Cells that are kept: 40 s.
const KEPT: usize = 2000;
/// Shorter than this no client waits: the next answer is just under way.
const WAITS: Duration = Duration::from_millis(100);

/// What a cell shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// No request was sent.
    Idle,
    /// Nobody answered.
    Nobody,
    /// This node answered last.
    By(usize),
}

/// The cells, and what there is to say of a fault.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Strip {
    cells: VecDeque<Cell>,
    /// Number of the first one kept: its time since the clock's zero in [`CELL`]s.
    first: u64,
    fault: Option<Duration>,
    newest_answer: Option<Duration>,
    newest_request: Option<Duration>,
    saw: ClientSaw,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Cell {
    asked: bool,
    by: Option<usize>,
}

fn number(at: Duration) -> u64 {
    u64::try_from(at.as_millis() / CELL.as_millis()).unwrap_or(u64::MAX)
}

impl Strip {
    /// A request was sent.
    pub(super) fn asked(&mut self, at: Duration) {
        self.newest_request = self.newest_request.max(Some(at));
        if let Some(cell) = self.cell(at) {
            cell.asked = true;
        }
    }

    /// A node answered.
    pub(super) fn answered(&mut self, at: Duration, node: usize) {
        if let Some(cell) = self.cell(at) {
            cell.by = Some(node);
        }
        if self.fault.is_some_and(|fault| at >= fault)
            && let Some(before) = self.newest_answer
        {
            self.saw.longest = self.saw.longest.max(at.saturating_sub(before));
        }
        self.newest_answer = self.newest_answer.max(Some(at));
    }

    /// A request came to nothing.
    pub(super) fn failed(&mut self, at: Duration) {
        if self.fault.is_some_and(|fault| at >= fault) {
            self.saw.failed += 1;
        }
    }

    /// Something goes wrong from now on: what the client sees is counted anew.
    pub(super) fn fault(&mut self, at: Duration) {
        self.fault = Some(at);
        self.saw = ClientSaw::default();
    }

    /// The fault that was counted before still counts.
    pub(super) fn resume(&mut self, before: &Self) {
        (self.fault, self.saw) = (before.fault, before.saw);
    }

    /// What the client saw since the fault; `None`: no request was ever sent.
    pub(super) fn saw(&self, now: Duration) -> Option<ClientSaw> {
        self.newest_request?;
        let since = self.newest_answer.or(self.fault)?;
        let waiting = Some(now.saturating_sub(since)).filter(|waits| *waits >= WAITS);
        Some(ClientSaw { waiting, ..self.saw })
    }

    /// Number of the newest cell that is over.
    pub(super) fn newest(&self, now: Duration) -> Option<u64> {
        number(now.checked_sub(SETTLE)?).checked_sub(1)
    }

    /// What a cell shows; `None`: it is from before the first request, or too old.
    pub(super) fn mark(&self, number: u64) -> Option<Mark> {
        let place = usize::try_from(number.checked_sub(self.first)?).ok()?;
        let started = !self.cells.is_empty();
        match self.cells.get(place) {
            Some(Cell { by: Some(node), .. }) => Some(Mark::By(*node)),
            Some(Cell { asked: true, .. }) => Some(Mark::Nobody),
            Some(Cell { asked: false, .. }) => Some(Mark::Idle),
            None => started.then_some(Mark::Idle),
        }
    }

    /// The cell of a moment; `None`: that is too long ago.
    fn cell(&mut self, at: Duration) -> Option<&mut Cell> {
        let number = number(at);
        if self.cells.is_empty() {
            self.first = number;
        }
        let last = self.first + self.cells.len() as u64;
        // A client that was away for longer than is kept begins anew.
        if number > last + KEPT as u64 {
            self.cells.clear();
            self.first = number;
        }
        let place = usize::try_from(number.checked_sub(self.first)?).ok()?;
        while self.cells.len() <= place {
            self.cells.push_back(Cell::default());
        }
        let surplus = self.cells.len().saturating_sub(KEPT);
        self.cells.drain(..surplus);
        self.first += surplus as u64;
        self.cells.get_mut(place.checked_sub(surplus)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn shown(strip: &Strip, cells: std::ops::Range<u64>) -> String {
        let sign = |number| match strip.mark(number) {
            None => ' ',
            Some(Mark::Idle) => '.',
            Some(Mark::Nobody) => 'x',
            Some(Mark::By(0)) => 'a',
            Some(Mark::By(_)) => 'b',
        };
        cells.map(sign).collect()
    }

    #[test]
    fn a_cell_belongs_to_who_answered_in_its_time() {
        let mut strip = Strip::default();
        for at in (1000..1100).step_by(2) {
            strip.asked(ms(at));
        }
        // 1100 to 1120: the client stood still.
        for at in (1120..1200).step_by(2) {
            strip.asked(ms(at));
        }
        strip.answered(ms(1001), 0);
        strip.answered(ms(1039), 0);
        strip.failed(ms(1060));
        strip.answered(ms(1130), 1);
        assert_eq!(shown(&strip, 48..61), "  aaxxx.bxxx.");
        assert_eq!(strip.newest(ms(1100)), Some(53), "1080 to 1100 is still settling");
        assert_eq!(strip.newest(ms(1110)), Some(54));
    }

    #[test]
    fn the_longest_gap_counts_from_the_answer_before_the_fault() {
        let mut strip = Strip::default();
        assert_eq!(strip.saw(ms(0)), None);
        strip.asked(ms(1000));
        strip.answered(ms(1000), 0);
        strip.answered(ms(1400), 0);
        strip.fault(ms(1410));
        strip.failed(ms(1405));
        strip.failed(ms(1500));
        let saw = strip.saw(ms(1600)).unwrap();
        assert_eq!((saw.failed, saw.longest, saw.waiting), (1, ms(0), Some(ms(200))));
        strip.answered(ms(1900), 1);
        let saw = strip.saw(ms(1901)).unwrap();
        assert_eq!((saw.failed, saw.longest, saw.waiting), (1, ms(500), None));
    }

    #[test]
    fn old_cells_go() {
        let mut strip = Strip::default();
        for at in (0..100_000).step_by(20) {
            strip.asked(ms(at));
        }
        assert_eq!(strip.cells.len(), KEPT);
        assert_eq!((strip.mark(0), strip.mark(4999)), (None, Some(Mark::Nobody)));
        strip.asked(ms(10_000_000));
        assert_eq!(strip.cells.len(), 1);
        strip.answered(ms(0), 0);
        assert_eq!(strip.mark(0), None, "so old an answer has no cell");
    }
}

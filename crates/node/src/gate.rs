//! A fixed number of places; whoever finds none waits for one.

use std::{cell::Cell, rc::Rc};

use crate::notify::Notify;

/// See the module's head. Clones are the same gate.
#[derive(Debug, Clone)]
pub struct Gate {
    free: Rc<Cell<usize>>,
    freed: Notify,
}

/// A taken place; dropping it frees it.
#[derive(Debug)]
pub struct Place {
    gate: Gate,
    weight: usize,
}

impl Gate {
    /// A gate with this many places.
    pub fn new(places: usize) -> Self {
        Self { free: Rc::new(Cell::new(places)), freed: Notify::default() }
    }

    /// Waits for a place.
    pub async fn enter(&self) -> Place {
        self.enter_with(1).await
    }

    /// Waits for `weight` places at once; no more than the gate has.
    pub async fn enter_with(&self, weight: usize) -> Place {
        loop {
            let freed = self.freed.changed();
            if self.free.get() >= weight {
                self.free.set(self.free.get() - weight);
                return Place { gate: self.clone(), weight };
            }
            freed.await;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gate.free.set(self.gate.free.get() + self.weight);
        self.gate.freed.notify();
    }
}

//! What the daemon was asked, and which containers were touched by it.

use std::collections::VecDeque;

use super::Model;
use crate::engine::sim::faults::CallKind;
use crate::engine::sim::{Call, Outcome, Touched};

/// The newest calls.
#[derive(Debug)]
pub(crate) struct Journal {
    calls: VecDeque<Call>,
    most: usize,
    next_number: u64,
}

impl Journal {
    pub(super) fn new(most: usize) -> Self {
        Self {
            calls: VecDeque::new(),
            most,
            next_number: 0,
        }
    }

    /// The calls that are kept, in order.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.iter().cloned().collect()
    }

    /// The calls that are kept, in order, which are forgotten here.
    pub(crate) fn take(&mut self) -> Vec<Call> {
        std::mem::take(&mut self.calls).into()
    }

    fn push(&mut self, call: Call) {
        if self.most == 0 {
            return;
        }
        if self.calls.len() >= self.most {
            self.calls.pop_front();
        }
        self.calls.push_back(call);
    }
}

impl Model {
    /// What a call of that subject would touch, where calls are remembered at all.
    pub(crate) fn touched(&self, subject: &str) -> Option<Touched> {
        if self.journal.most == 0 {
            return None;
        }
        self.find(subject).map(|container| Touched {
            id: container.id().to_owned(),
            name: container.name().to_owned(),
            labels: container.labels().clone(),
        })
    }

    /// Writes down a call.
    pub(crate) fn record(
        &mut self,
        kind: CallKind,
        subject: &str,
        container: Option<Touched>,
        outcome: Outcome,
    ) {
        let number = self.journal.next_number;
        self.journal.next_number += 1;
        self.journal.push(Call {
            number,
            at: self.now,
            kind,
            subject: subject.to_owned(),
            container,
            outcome,
        });
    }
}

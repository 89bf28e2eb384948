//! Worker threads that check batches while the trail is being read; results come back in order.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, spawn};

use sealtrail_core::body::{BodyKey, Decompressor};

use crate::content::{Checked, Job};

/// Batches under way at once for each thread: enough that none waits, few enough that memory stays flat.
const WINDOW_PER_THREAD: usize = 3;

type Task = (Job, SyncSender<Checked>);

/// A pool with a bounded number of batches under way. `T` is what the caller keeps with each.
pub(crate) struct Workers<T> {
    tasks: Option<SyncSender<Task>>,
    threads: Vec<JoinHandle<()>>,
    pending: VecDeque<(T, Receiver<Checked>)>,
    window: usize,
}

impl<T> Workers<T> {
    pub(crate) fn start(threads: usize, keys: Arc<Vec<BodyKey>>) -> Self {
        let (tasks, queue) = sync_channel::<Task>(threads * WINDOW_PER_THREAD);
        let queue = Arc::new(Mutex::new(queue));
        let threads: Vec<_> = (0..threads)
            .map(|_| {
                let (queue, keys) = (Arc::clone(&queue), Arc::clone(&keys));
                spawn(move || work(&queue, &keys))
            })
            .collect();
        let window = threads.len() * WINDOW_PER_THREAD;
        Self { tasks: Some(tasks), threads, pending: VecDeque::new(), window }
    }

    /// Hands in a job. Call [`Workers::ready`] until it gives nothing before handing in the next.
    pub(crate) fn submit(&mut self, kept: T, job: Job) {
        let (done, result) = sync_channel(1);
        if let Some(tasks) = &self.tasks {
            // A send fails only when every thread has panicked; `take` then reports the missing result.
            let _ = tasks.send((job, done));
        }
        self.pending.push_back((kept, result));
    }

    /// The oldest result once the window is full, so that reading and checking overlap.
    pub(crate) fn ready(&mut self) -> Option<(T, Option<Checked>)> {
        if self.pending.len() < self.window { None } else { self.take() }
    }

    /// The oldest result, waiting for it. The inner `None` stands for a worker that died.
    pub(crate) fn take(&mut self) -> Option<(T, Option<Checked>)> {
        let (kept, result) = self.pending.pop_front()?;
        Some((kept, result.recv().ok()))
    }
}

impl<T> Drop for Workers<T> {
    fn drop(&mut self) {
        self.tasks = None;
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

fn work(queue: &Mutex<Receiver<Task>>, keys: &[BodyKey]) {
    let Ok(mut decompressor) = Decompressor::new() else { return };
    loop {
        let task = match queue.lock() {
            Ok(queue) => queue.recv(),
            Err(_) => return,
        };
        let Ok((job, done)) = task else { return };
        // The caller may have given up on the result.
        let _ = done.send(job.run(&mut decompressor, keys));
    }
}

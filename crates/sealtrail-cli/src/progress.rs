//! How far a verification is, on a terminal.

use std::io::{IsTerminal as _, stderr};
use std::sync::Mutex;

use indicatif::{ProgressBar, ProgressStyle};
use sealtrail_core::name::TrailId;
use sealtrail_verify::Progress;

/// A bar for the trail being read; silent where standard error is no terminal.
pub(crate) struct Bar(Mutex<Option<(TrailId, ProgressBar)>>, bool);

impl Bar {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(None), stderr().is_terminal())
    }

    pub(crate) fn finish(&self) {
        if let Ok(mut bar) = self.0.lock()
            && let Some((_, bar)) = bar.take()
        {
            bar.finish_and_clear();
        }
    }
}

impl Progress for Bar {
    fn entries(&self, trail: TrailId, done: u64, size: u64) {
        if !self.1 {
            return;
        }
        let Ok(mut current) = self.0.lock() else { return };
        if current.as_ref().is_none_or(|(shown, _)| *shown != trail) {
            let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} entries, {eta} left");
            let bar =
                ProgressBar::new(size).with_prefix(trail.to_string().chars().take(8).collect::<String>());
            *current =
                Some((trail, style.map_or_else(|_| bar.clone(), |style| bar.clone().with_style(style))));
        }
        if let Some((_, bar)) = current.as_ref() {
            bar.set_position(done);
        }
    }
}

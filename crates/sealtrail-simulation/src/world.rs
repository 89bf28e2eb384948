//! One world: its parts, their turns, its faults.

use std::time::Duration;

use sealtrail_ledger::Config;
use sealtrail_testkit::disk::{Op, Random};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::agent::{AgentSide, Shape, config};
use crate::apps::Client;
use crate::base::Base;
use crate::faults::{Fault, Kind, Side, Tally};
use crate::ledger::LedgerSide;
use crate::machine::Machine;
use crate::model::Model;
use crate::relay::{Delivery, Relay};

/// Operations on names and lengths of files.
const OF_NAMES: [Op; 6] = [Op::SyncDir, Op::Create, Op::Rename, Op::SetSize, Op::Preallocate, Op::Remove];

/// A jump of the clock beyond which an agent may forget what requests it knows.
const FORGET_NS: i64 = 300_000_000_000;

/// A process's number: agents from 0 on, then the ledger.
type Number = usize;

/// A world.
pub(crate) struct World<'a> {
    pub(crate) base: &'a Base,
    pub(crate) random: Random,
    pub(crate) ledger: LedgerSide,
    pub(crate) agents: Vec<AgentSide>,
    pub(crate) clients: Vec<Client>,
    pub(crate) relay: Relay,
    pub(crate) model: Model,
    pub(crate) tally: Tally,
    /// What happened, for whoever has to understand a failure.
    pub(crate) story: Vec<String>,
    /// Per mille of ticks with a fault.
    trouble: u64,
    kinds: Vec<Fault>,
    arriving: mpsc::UnboundedReceiver<Delivery>,
    began: Instant,
    /// When each process starts again, in ms of the world.
    restarts: Vec<Option<u64>>,
    /// When each machine's disk has room again.
    room_again: Vec<Option<u64>>,
    /// Processes that are to be killed at an operation: the machine stays on.
    only_killed: Vec<bool>,
}

impl<'a> World<'a> {
    /// The world of a seed.
    pub(crate) fn new(base: &'a Base, seed: u64) -> Self {
        let mut random = Random(seed);
        random.next();
        let began = Instant::now();
        // Each seed has half of the kinds, so that rare ones are not always overtaken by frequent ones.
        let kinds: Vec<Fault> = Fault::all().into_iter().filter(|_| random.below(2) == 0).collect();
        let on_the_way = kinds.iter().filter(|fault| fault.0 == Side::Relay).map(|fault| fault.1).collect();
        let (relay, arriving) = Relay::new(random.next(), [5, 15, 40][random.below(3) as usize], on_the_way);
        let machine = Machine::new(Side::Ledger, base.disk(), Some(began));
        let ledger = LedgerSide::new(machine, base.directory(), ledger_config(&mut random));
        let mut agents = Vec::new();
        let mut clients = Vec::new();
        for number in 0..1 + random.below(2) as u8 {
            let shape = Shape {
                committed: random.below(3) == 0,
                heartbeat_ms: 500 + random.below(8_000),
                age_max_ms: 3_000 + random.below(60_000),
                records_max: 1 + random.below(12),
                delay_ms: random.below(300),
                outbox_bytes_max: (64 << 10) << random.below(3),
            };
            let machine = Machine::new(Side::Agent, Default::default(), Some(began));
            agents.push(AgentSide::new(
                machine,
                config(base, number, &shape),
                std::sync::Arc::new(relay.clone()),
            ));
            for client in 0..1 + random.below(3) as u8 {
                clients.push(Client::new(number, client, 5 + random.below(25) as u32, random.next()));
            }
        }
        let processes = agents.len() + 1;
        let kinds = kinds.into_iter().filter(|fault| fault.0 != Side::Relay).collect();
        let trouble = [5, 15, 40][random.below(3) as usize];
        Self {
            base,
            random,
            ledger,
            agents,
            clients,
            relay,
            model: Model::default(),
            tally: Tally::default(),
            story: Vec::new(),
            trouble,
            kinds,
            arriving,
            began,
            restarts: vec![Some(0); processes],
            room_again: vec![None; processes],
            only_killed: vec![false; processes],
        }
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    /// Notes something for the story.
    pub(crate) fn tell(&mut self, text: String) {
        self.story.push(format!("{:>8} ms  {text}", self.now_ms()));
    }

    fn name(&self, number: Number) -> String {
        if number == self.agents.len() { "ledger".to_owned() } else { format!("agent {number}") }
    }

    fn machine(&mut self, number: Number) -> &mut Machine {
        match self.agents.get_mut(number) {
            Some(agent) => &mut agent.machine,
            None => &mut self.ledger.machine,
        }
    }

    fn runs(&self, number: Number) -> bool {
        match self.agents.get(number) {
            Some(agent) => agent.process.is_some(),
            None => self.ledger.process.is_some(),
        }
    }

    /// A while passes, in which everybody gets some turns. `calm`: no new faults.
    pub(crate) async fn tick(&mut self, calm: bool) -> Result<(), String> {
        let pause = if calm { 20 } else { 1 + self.random.below(30) };
        tokio::time::sleep(Duration::from_millis(pause)).await;
        self.restart()?;
        if !calm && self.random.below(1_000) < self.trouble {
            self.strike();
        }
        while let Ok(delivery) = self.arriving.try_recv() {
            self.ledger.answer(delivery);
        }
        let parts = 2 + 3 * self.agents.len() as u64;
        for _ in 0..parts + self.random.below(parts) {
            self.turn(calm);
            tokio::task::yield_now().await;
        }
        let now = self.now_ms();
        for client in &mut self.clients {
            let agent = self.agents[usize::from(client.agent)].process.as_ref();
            client.step(now, agent, calm, &mut self.model).await?;
        }
        self.look_after()
    }

    /// Gives one part its turn.
    fn turn(&mut self, _calm: bool) {
        let part = self.random.below(2 + 3 * self.agents.len() as u64) as usize;
        match (part.checked_sub(2), &mut self.ledger.process) {
            (None, None) => {}
            (None, Some(ledger)) if part == 0 => ledger.step_trails(),
            (None, Some(ledger)) => ledger.step_control(),
            (Some(part), _) => {
                let Some(agent) = &mut self.agents[part / 3].process else { return };
                match part % 3 {
                    0 => agent.step_mapper(),
                    1 => agent.step_sealer(),
                    _ => agent.step_writer(),
                }
            }
        }
    }

    /// Starts what is due.
    fn restart(&mut self) -> Result<(), String> {
        let now = self.now_ms();
        for number in 0..self.restarts.len() {
            if self.restarts[number].is_none_or(|at| at > now) {
                continue;
            }
            self.restarts[number] = None;
            let seed = self.random.next();
            let started = match self.agents.get_mut(number) {
                Some(agent) => agent.start(self.base, seed),
                None => self.ledger.start(seed),
            };
            let name = self.name(number);
            let off = self.machine(number).disk.is_off();
            match started {
                Ok(()) => self.tell(format!("{name} starts")),
                Err(why) if off => self.tell(format!("{name} dies while it starts: {why}")),
                Err(why) => {
                    self.tell(format!("{name} does not start: {why}"));
                    if self.machine(number).is_healthy() {
                        return Err(format!("{name} does not start although nothing is wrong: {why}"));
                    }
                    let disk = self.machine(number).disk.killed();
                    self.machine(number).plug(disk);
                    self.restarts[number] = Some(now + 200);
                }
            }
            if number == self.agents.len() && self.runs(number) {
                let (size, given) = (self.ledger.size(&self.base.trail.to_string()), self.relay.size());
                if size < given {
                    return Err(format!("the ledger starts with {size} entries after a receipt at {given}"));
                }
            }
        }
        Ok(())
    }

    /// Buries the dead, stops what has failed, hears what landed.
    fn look_after(&mut self) -> Result<(), String> {
        let now = self.now_ms();
        for number in 0..self.restarts.len() {
            let mut tally = std::mem::take(&mut self.tally);
            let broken = self.machine(number).account(&mut tally);
            self.tally = tally;
            let name = self.name(number);
            for landed in broken.map_err(|broken| format!("{name}: {broken}"))? {
                self.tell(format!("{name}: {landed}"));
            }
            if self.room_again[number].is_some_and(|at| at <= now) {
                self.room_again[number] = None;
                self.machine(number).disk.set_capacity(None);
                let text = format!("{} has room again", self.name(number));
                self.tell(text);
            }
            if self.machine(number).disk.is_off() && self.restarts[number].is_none() {
                if self.only_killed[number] {
                    self.is_killed(number)
                } else {
                    self.power_fails(number)
                }
                continue;
            }
            let failed = match self.agents.get(number) {
                Some(agent) => agent.process.as_ref().is_some_and(|process| process.has_failed()),
                None => self.ledger.has_failed(),
            };
            if failed && self.restarts[number].is_none() && self.random.below(20) == 0 {
                let text = format!("{} has failed and is ended", self.name(number));
                self.tell(text);
                // What the kernel did not write it may have dropped.
                self.power_fails(number);
            }
        }
        Ok(())
    }

    /// The process ends without a word; its next one starts after a while.
    fn kill(&mut self, number: Number) {
        match self.agents.get_mut(number) {
            Some(agent) => agent.kill(),
            None => self.ledger.kill(),
        }
        let now = self.now_ms();
        for client in self.clients.iter_mut().filter(|client| usize::from(client.agent) == number) {
            client.disconnect(now);
        }
        self.restarts[number] = Some(now + 10 + self.random.below(3_000));
        self.room_again[number] = None;
        self.only_killed[number] = false;
    }

    fn is_killed(&mut self, number: Number) {
        let side = self.machine(number).side;
        self.tally.land(Fault(side, Kind::Kill));
        self.kill(number);
        let disk = self.machine(number).disk.killed();
        self.machine(number).plug(disk);
        let text = format!("{} is killed", self.name(number));
        self.tell(text);
    }

    fn power_fails(&mut self, number: Number) {
        self.kill(number);
        let (seed, reorder) = (self.random.next(), self.random.below(2) == 0);
        let (disk, damage) = self.machine(number).disk.crashed_with(seed, reorder);
        let side = self.machine(number).side;
        self.machine(number).plug(disk);
        for (kind, landed) in [
            (Kind::UnsyncedLost, damage.lost + damage.names_lost),
            (Kind::TornWrite, damage.torn),
            (Kind::NamesReordered, damage.names_reordered),
        ] {
            self.tally.inject(Fault(side, kind));
            if landed > 0 {
                self.tally.land(Fault(side, kind));
            }
        }
        let text = format!("{}: the power failed, {damage:?}", self.name(number));
        self.tell(text);
    }

    /// Does one of this seed's kinds of fault to somebody.
    fn strike(&mut self) {
        if self.kinds.is_empty() {
            return;
        }
        let Fault(side, kind) = self.kinds[self.random.below(self.kinds.len() as u64) as usize];
        let number = match side {
            Side::Agent => self.random.below(self.agents.len() as u64) as usize,
            _ => self.agents.len(),
        };
        if !self.runs(number) || self.machine(number).disk.is_off() {
            return;
        }
        let name = self.name(number);
        self.tell(format!("{name} shall meet {kind:?}"));
        match kind {
            Kind::Kill => {
                self.tally.inject(Fault(side, kind));
                self.only_killed[number] = true;
                let after = 1 + self.random.below(40);
                let disk = &self.machine(number).disk;
                disk.die_at(disk.operations() + after);
            }
            // At one of the next operations, so that it comes in the middle of something.
            Kind::UnsyncedLost | Kind::TornWrite | Kind::NamesReordered => {
                let after = 1 + self.random.below(40);
                self.only_killed[number] = false;
                let disk = &self.machine(number).disk;
                disk.die_at(disk.operations() + after);
            }
            Kind::SyncFails | Kind::SyncFull | Kind::WriteFails | Kind::NameFails => {
                self.tally.inject(Fault(side, kind));
                let (op, most) = match kind {
                    Kind::SyncFails | Kind::SyncFull => (Op::Sync, 12),
                    Kind::WriteFails => (Op::Write, 12),
                    _ => (OF_NAMES[self.random.below(OF_NAMES.len() as u64) as usize], 3),
                };
                let after = self.random.below(most);
                self.machine(number).arm(kind, op, after);
            }
            Kind::DiskFull => {
                self.tally.inject(Fault(side, kind));
                let room = self.random.below(6_000);
                let machine = self.machine(number);
                machine.disk.set_capacity(Some(machine.disk.used() + room));
                machine.count_full();
                self.room_again[number] = Some(self.now_ms() + 500 + self.random.below(20_000));
            }
            Kind::ClockJump => {
                self.tally.inject(Fault(side, kind));
                let most = [2_000_000_000, FORGET_NS, 3 * 86_400_000_000_000][self.random.below(3) as usize];
                let by = self.random.below(2 * most as u64) as i64 - most;
                // It is set right again in the end.
                if by.abs() >= FORGET_NS / 2 && side == Side::Agent {
                    self.model.forgive_twice(number as u8);
                }
                self.machine(number).clock.jump(by);
                self.tell(format!("{name}: the clock is set by {} ms", by / 1_000_000));
            }
            Kind::SecondWriter => {
                // One that has failed has let go of its directory, or is about to.
                if self.agents.get(number).and_then(|a| a.process.as_ref()).is_some_and(|p| p.has_failed()) {
                    return;
                }
                self.tally.inject(Fault(side, kind));
                let seed = self.random.next();
                let refused = match self.agents.get_mut(number) {
                    Some(agent) => agent.try_start(self.base, seed).is_err(),
                    None => self.ledger.second_is_refused(seed),
                };
                if refused {
                    self.tally.land(Fault(side, kind));
                }
            }
            Kind::RequestLost | Kind::AnswerLost | Kind::Duplicate | Kind::Late => {}
        }
    }

    /// All faults end: disks are sound and have room, clocks are set right, the relay relays.
    pub(crate) fn heal(&mut self) {
        self.relay.heal();
        for number in 0..self.restarts.len() {
            self.room_again[number] = None;
            self.machine(number).heal();
            self.machine(number).disk.die_at(u64::MAX);
        }
        self.tell("all faults end".to_owned());
    }
}

fn ledger_config(random: &mut Random) -> Config {
    let mut config = Config {
        publish_interval_ms: 50 + random.below(1_500),
        heartbeat_ms: 1_000 + random.below(20_000),
        epoch_age_ms: 2_000 + random.below(60_000),
        refusal_interval_ms: 100 + random.below(5_000),
        note_interval_ms: 100 + random.below(5_000),
        ..Config::default()
    };
    config.storage.segment_bytes = (64 << 10) << random.below(2);
    // Bodies of the control trail hold digests of statements, which compress to some bytes more or less, so that a seed would
    // not come out the same again if segments ended by their size.
    config.storage.control_segment_bytes = 1 << 20;
    config.storage.segment_window_ms = 1_000 + random.below(60_000);
    config
}

//! A link between a site and the internet, in user space: packets are read from a TUN device at one end, pass through a [`Link`], and are written
//! to the device at the other end. (This kernel, like many, is built without `netem`.)

use std::{
    io::ErrorKind,
    os::fd::AsFd,
    sync::mpsc::{Receiver, Sender, TryRecvError, channel},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
};
use shoal_network::{
    link::{Link, Time},
    profile::Profile,
};
use tun_rs::{DeviceBuilder, SyncDevice};

use crate::problem::Problem;

/// The longest packet: TUN devices have an MTU of 1,500.
const LONGEST: usize = 1_500;
/// Packets that are read from one end before the other end has its turn.
const AT_ONCE: usize = 64;
/// How long an order may wait.
const ATTENTION: Duration = Duration::from_millis(20);

/// What may be asked of a running shaper.
#[derive(Debug)]
enum Order {
    Reshape(Box<Profile>),
    Cut(bool),
}

/// A running one; it ends with its orders.
#[derive(Debug)]
pub(crate) struct Shaper {
    names: [String; 2],
    orders: Sender<Order>,
}

impl Shaper {
    /// Makes both devices, here; they carry packets wherever they are moved.
    pub(crate) fn start(number: usize, profile: Profile) -> Result<Self, Problem> {
        let names = [format!("shaped{number}"), format!("wire{number}")];
        let [site, internet] = [open(&names[0])?, open(&names[1])?];
        let (orders, received) = channel();
        let seed = number as u64;
        let work = move || {
            if let Err(problem) = carry(&[site, internet], &profile, seed, &received) {
                eprintln!("the link of site {number} has ended: {problem}");
            }
        };
        thread::Builder::new().name(names[0].clone()).spawn(work).map_err(Problem::system("starting a thread"))?;
        Ok(Self { names, orders })
    }

    /// The device of the site's end.
    pub(crate) fn site(&self) -> &str {
        &self.names[0]
    }

    /// That of the internet's.
    pub(crate) fn internet(&self) -> &str {
        &self.names[1]
    }

    pub(crate) fn reshape(&self, profile: Profile) {
        self.order(Order::Reshape(Box::new(profile)));
    }

    pub(crate) fn cut(&self, down: bool) {
        self.order(Order::Cut(down));
    }

    fn order(&self, order: Order) {
        // Its end was told on the terminal; what is measured then fails.
        if self.orders.send(order).is_ok() {
            thread::sleep(ATTENTION);
        }
    }
}

fn open(name: &str) -> Result<SyncDevice, Problem> {
    let doing = format!("making the device {name}");
    let device = DeviceBuilder::new().name(name).enable(false).build_sync().map_err(Problem::system(doing.clone()))?;
    let flags = fcntl_getfl(&device).map_err(Problem::system(doing.clone()))?;
    fcntl_setfl(&device, flags | OFlags::NONBLOCK).map_err(Problem::system(doing))?;
    Ok(device)
}

/// Carries packets between the site's end (0) and the internet's (1) until nobody gives orders any more.
fn carry(ends: &[SyncDevice; 2], profile: &Profile, seed: u64, orders: &Receiver<Order>) -> Result<(), Problem> {
    let began = Instant::now();
    // By the end at which they begin.
    let mut links = [Link::new(profile.up.clone(), seed), Link::new(profile.down.clone(), !seed)];
    let mut buffer = vec![0; LONGEST];
    loop {
        match orders.try_recv() {
            Ok(Order::Reshape(profile)) => {
                links[0].reshape(profile.up);
                links[1].reshape(profile.down);
            }
            Ok(Order::Cut(down)) => links.iter_mut().for_each(|link| link.cut(down)),
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return Ok(()),
        }
        wait(ends, &links, began.elapsed())?;
        for (end, link) in ends.iter().zip(&mut links) {
            take_in(end, link, &mut buffer, began)?;
        }
        let now = began.elapsed();
        for (link, end) in links.iter_mut().zip(ends.iter().rev()) {
            while let Some(packet) = link.take(now) {
                // A device that is not up yet takes nothing, as a cable that is not plugged in.
                let _refused = end.send(&packet);
            }
        }
    }
}

/// Until a packet comes to either end, or one arrives.
fn wait(ends: &[SyncDevice; 2], links: &[Link<Vec<u8>>; 2], now: Time) -> Result<(), Problem> {
    let next = links.iter().filter_map(Link::due).min();
    let longest = next.map_or(ATTENTION, |due| due.saturating_sub(now).min(ATTENTION));
    let timeout = Timespec { tv_sec: 0, tv_nsec: longest.subsec_nanos().into() };
    let mut polled = [PollFd::from_borrowed_fd(ends[0].as_fd(), PollFlags::IN), PollFd::from_borrowed_fd(ends[1].as_fd(), PollFlags::IN)];
    match poll(&mut polled, Some(&timeout)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(Problem::system("waiting for packets")(error)),
    }
}

/// Reads what has come to one end.
fn take_in(end: &SyncDevice, link: &mut Link<Vec<u8>>, buffer: &mut [u8], began: Instant) -> Result<(), Problem> {
    for _ in 0..AT_ONCE {
        match end.recv(buffer) {
            Ok(length) => {
                link.offer(began.elapsed(), length, buffer[..length].to_vec());
            }
            // Not up yet.
            Err(error)
                if error.kind() == ErrorKind::WouldBlock || error.raw_os_error() == Some(rustix::io::Errno::BADFD.raw_os_error()) =>
            {
                break;
            }
            Err(error) => return Err(Problem::system("reading packets")(error)),
        }
    }
    Ok(())
}

//! The kernel's network, by way of mio: the only place that knows it.

use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::mem;
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant, SystemTime};

use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook_mio::v1_0::Signals;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::{Accepted, Moment, Network, Readiness, Ready, Received, Signal, Transport, Written};
use crate::http::ListenerId;
use crate::ids::ConnectionKey;

/// Events of one wait, as many as a turn may read members. Fewer would spoil the gathering of messages; more
/// would make the lists of what is unfinished long.
const EVENTS: usize = 256;

/// Connections that the kernel keeps for us until they are accepted, as far as the system allows.
const BACKLOG: i32 = 4_096;

/// The token of the signals. Those of the listeners are counted down from here, those of connections up from 0.
const SIGNALS: usize = usize::MAX;

/// Opens a listener whose connections inherit what it sets here: no delay, and a send buffer of
/// `send_buffer` bytes (0: as the kernel likes).
///
/// # Errors
/// The address cannot be listened on.
pub fn listen(address: SocketAddr, send_buffer: usize) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_tcp_nodelay(true)?;
    if send_buffer > 0 {
        socket.set_send_buffer_size(send_buffer)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

/// Opens a listener, as [`listen`] does, at each address of one name. Those that this host does not have, such as
/// `::1` where IPv6 is off, are passed over if there is another.
///
/// # Errors
/// The error of an address that cannot be listened on, and that address.
pub fn listen_at(
    addresses: &[SocketAddr],
    send_buffer: usize,
) -> Result<Vec<TcpListener>, (SocketAddr, io::Error)> {
    let (mut listeners, mut missing) = (Vec::new(), None);
    for &address in addresses {
        match listen(address, send_buffer) {
            Ok(listener) => listeners.push(listener),
            Err(error) if is_not_here(&error) => {
                log::debug!("this host does not have {address}: {error}");
                missing = Some((address, error));
            }
            Err(error) => return Err((address, error)),
        }
    }
    match missing {
        Some(missing) if listeners.is_empty() => Err(missing),
        _ => Ok(listeners),
    }
}

/// Whether it is the host that lacks an address, or all of its kind.
fn is_not_here(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT))
}

/// A listening socket.
struct Listener {
    socket: TcpListener,
    /// Whether an event has announced connections, and `accept` has not been called since.
    is_ready: bool,
}

impl Listener {
    /// Whether a connection may be waiting. An `accept` that finds none costs as much as one that does, because
    /// the kernel makes the socket first and then looks for the connection: to look first costs a tenth of it.
    fn has_pending(&mut self) -> bool {
        let mut look = [PollFd::new(&self.socket, PollFlags::IN)];
        mem::take(&mut self.is_ready) || poll(&mut look, Some(&Timespec::default())) != Ok(0)
    }
}

/// The kernel's network.
pub struct Kernel {
    poll: Poll,
    events: Events,
    listeners: Vec<Listener>,
    /// The listener that is asked first for the next connection.
    turn: usize,
    signals: Signals,
    began: Instant,
    /// A descriptor in reserve, to refuse connections when there is none left.
    reserve: Option<File>,
}

impl Kernel {
    /// A network that accepts from these listeners, and reports SIGINT, SIGTERM and SIGUSR1.
    ///
    /// # Errors
    /// The kernel has no poll or no descriptor for us.
    pub fn new(listeners: Vec<TcpListener>) -> io::Result<Kernel> {
        let poll = Poll::new()?;
        let mut opened = Vec::new();
        for mut listener in listeners {
            let token = Token(SIGNALS - 1 - opened.len());
            poll.registry()
                .register(&mut listener, token, Interest::READABLE)?;
            opened.push(Listener {
                socket: listener,
                is_ready: false,
            });
        }
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGUSR1])?;
        poll.registry()
            .register(&mut signals, Token(SIGNALS), Interest::READABLE)?;
        Ok(Kernel {
            poll,
            events: Events::with_capacity(EVENTS),
            listeners: opened,
            turn: 0,
            signals,
            began: Instant::now(),
            reserve: Some(File::open("/dev/null")?),
        })
    }
}

impl Network for Kernel {
    type Socket = TcpStream;

    fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<bool> {
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(false),
            polled => polled?,
        }
        let mut events = 0;
        for event in &self.events {
            events += 1;
            let Token(number) = event.token();
            match SIGNALS - number {
                0 => ready.extend(self.signals.pending().map(|signal| match signal {
                    SIGUSR1 => Ready::Signal(Signal::Report),
                    _ => Ready::Signal(Signal::End),
                })),
                nth if nth <= self.listeners.len() => {
                    self.listeners[nth - 1].is_ready = true;
                    ready.push(Ready::Newcomers);
                }
                _ => ready.push(Ready::Connection(
                    ConnectionKey(number as u32),
                    readiness(event),
                )),
            }
        }
        Ok(events == EVENTS)
    }

    fn now(&mut self) -> Moment {
        Moment::default() + self.began.elapsed()
    }

    fn unix_millis(&mut self) -> u64 {
        let since = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn accept(&mut self) -> io::Result<Accepted<TcpStream>> {
        for _ in 0..self.listeners.len() {
            // The next is asked next, so that a crowd at one listener does not keep the others shut.
            let turn = self.turn;
            self.turn = (turn + 1) % self.listeners.len();
            let listener = &mut self.listeners[turn];
            if !listener.has_pending() {
                continue;
            }
            match listener.socket.accept() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
                Ok((socket, address)) => {
                    return Ok(Accepted {
                        socket,
                        address: address.ip(),
                        listener: ListenerId(turn),
                    });
                }
            }
        }
        Err(ErrorKind::WouldBlock.into())
    }

    fn register(&mut self, socket: &mut TcpStream, key: ConnectionKey) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll
            .registry()
            .register(socket, Token(key.0 as usize), both)
    }

    fn shed(&mut self, response: &[u8]) -> io::Result<()> {
        // Where the reserve could not be had again, there is none to give up: the next one may be luckier.
        let reserve = self.reserve.take();
        let had_one = reserve.is_some();
        drop(reserve);
        let shed = if had_one {
            self.accept().map(|Accepted { mut socket, .. }| {
                // Best effort: the buffer of a new socket is empty, and the peer may be gone.
                let _ = socket.write(response);
                let _ = socket.shutdown(Shutdown::Both);
            })
        } else {
            Err(Errno::MFILE.into())
        };
        self.reserve = File::open("/dev/null").ok();
        shed
    }

    fn stop_listening(&mut self) {
        self.listeners.clear();
    }
}

fn readiness(event: &Event) -> Readiness {
    Readiness {
        readable: event.is_readable(),
        writable: event.is_writable(),
        half_closed: event.is_read_closed(),
        broken: event.is_error() || event.is_write_closed(),
    }
}

impl Transport for TcpStream {
    fn receive(&mut self, into: &mut [u8]) -> io::Result<Received> {
        match retried(|| self.read(into))? {
            None => Ok(Received::default()),
            Some(bytes) => Ok(Received {
                bytes,
                more: bytes == into.len(),
                end: bytes == 0,
            }),
        }
    }

    fn send(&mut self, parts: &[IoSlice<'_>]) -> io::Result<Written> {
        let offered: usize = parts.iter().map(|part| part.len()).sum();
        let written = match parts {
            [part] => retried(|| self.write(part))?,
            parts => retried(|| self.write_vectored(parts))?,
        };
        let bytes = written.unwrap_or(0);
        Ok(Written {
            bytes,
            full: bytes < offered,
        })
    }

    fn half_close(&mut self) {
        // It fails where the peer has gone already, which the next read will tell.
        let _ = self.shutdown(Shutdown::Write);
    }

    fn abandon(&mut self) {
        // It fails where there is nothing left to abandon.
        let _ = SockRef::from(&*self).set_linger(Some(Duration::ZERO));
    }
}

/// One system call, again if a signal interrupted it; `None` where it would block.
fn retried(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<Option<usize>> {
    loop {
        match call() {
            Ok(bytes) => return Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Accepts `count` connections, some of which may still be on their way, and sees that there are no more.
    /// Returns how many came by each of two listeners.
    fn come_in(kernel: &mut Kernel, count: usize) -> [usize; 2] {
        let mut came = [0; 2];
        while came[0] + came[1] < count {
            match kernel.accept() {
                Ok(accepted) => came[accepted.listener.0] += 1,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        let none = kernel.accept().map(|_| ()).map_err(|error| error.kind());
        assert_eq!(none, Err(ErrorKind::WouldBlock));
        came
    }

    #[test]
    fn of_a_names_addresses_one_that_is_here_is_enough() {
        let here = SocketAddr::from(([127, 0, 0, 1], 0));
        // An address for documentation (RFC 5737), which no host has.
        let elsewhere = SocketAddr::from(([192, 0, 2, 1], 0));
        assert_eq!(listen_at(&[elsewhere, here], 0).unwrap().len(), 1);
        assert_eq!(listen_at(&[here, here], 0).unwrap().len(), 2);
        let (address, error) = listen_at(&[elsewhere], 0).unwrap_err();
        assert_eq!(
            (address, error.kind()),
            (elsewhere, ErrorKind::AddrNotAvailable)
        );
        let taken = listen(here, 0).unwrap();
        let taken = taken.local_addr().unwrap();
        let (address, error) = listen_at(&[here, taken], 0).unwrap_err();
        assert_eq!((address, error.kind()), (taken, ErrorKind::AddrInUse));
    }

    #[test]
    fn whoever_is_at_any_door_comes_in() {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let listeners = vec![listen(loopback, 0).unwrap(), listen(loopback, 0).unwrap()];
        let addresses: Vec<SocketAddr> = listeners
            .iter()
            .map(|listener| listener.local_addr().unwrap())
            .collect();
        let mut kernel = Kernel::new(listeners).unwrap();
        come_in(&mut kernel, 0);

        let connect = |nth: usize| std::net::TcpStream::connect(addresses[nth]).unwrap();
        let _first: Vec<_> = [0, 1, 1, 0, 1].map(connect).into();
        let mut ready = Vec::new();
        kernel.wait(None, &mut ready).unwrap();
        assert!(ready.contains(&Ready::Newcomers));
        assert_eq!(come_in(&mut kernel, 5), [2, 3]);

        // More are seen whether their event has been taken or not.
        let _second = [1, 1].map(connect);
        assert_eq!(come_in(&mut kernel, 2), [0, 2]);
        ready.clear();
        kernel.wait(Some(Duration::ZERO), &mut ready).unwrap();
        come_in(&mut kernel, 0);

        kernel.stop_listening();
        come_in(&mut kernel, 0);
    }
}

//! The datagram socket to the service manager.
//!
//! Owns: sending without ever blocking, and a short list of messages that the manager had no room for. Never does:
//! deciding what to say.

use std::collections::VecDeque;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Messages kept for later. Only READY, RELOADING and STOPPING are, so more means that nobody listens; the newest say how it
/// is, and the oldest go.
const OWED: usize = 8;

#[derive(Debug)]
pub(super) struct Socket {
    socket: UnixDatagram,
    owed: Mutex<VecDeque<String>>,
}

impl Socket {
    /// Opens the line. `address` is a path, or `@name` for a socket without one (Linux).
    pub(super) fn open(address: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        match address.to_str().and_then(|text| text.strip_prefix('@')) {
            Some(name) => connect_abstract(&socket, name)?,
            None if address.is_absolute() => socket.connect(address)?,
            // Virtual machines get "vsock:…".
            None => return Err(io::Error::new(io::ErrorKind::Unsupported, "it names no Unix socket")),
        }
        Ok(Self { socket, owed: Mutex::default() })
    }

    /// Sends, or keeps the message for later when it `must_arrive` and there is no room now. Whether nothing is left to do
    /// about it: `false` when it is lost.
    pub(super) fn send(&self, text: &str, must_arrive: bool) -> bool {
        let mut owed = self.owed();
        self.pay(&mut owed);
        if owed.is_empty() && self.try_send(text) {
            return true;
        }
        if must_arrive {
            if owed.len() == OWED {
                owed.pop_front();
            }
            owed.push_back(text.to_owned());
        }
        must_arrive
    }

    /// Tries again to send what is owed.
    pub(super) fn flush(&self) {
        self.pay(&mut self.owed());
    }

    /// Whether messages wait to be sent again.
    pub(super) fn owes(&self) -> bool {
        !self.owed().is_empty()
    }

    /// In order: READY after STOPPING would say the opposite.
    fn pay(&self, owed: &mut VecDeque<String>) {
        while let Some(text) = owed.front() {
            if !self.try_send(text) {
                return;
            }
            owed.pop_front();
        }
    }

    /// Whether the message is dealt with. Only a full queue is worth another try: a manager that is gone does not return to
    /// this socket.
    fn try_send(&self, text: &str) -> bool {
        match self.socket.send(text.as_bytes()) {
            Ok(_) => true,
            Err(error) => {
                let full = error.kind() == io::ErrorKind::WouldBlock;
                if !full {
                    tracing::debug!(%error, "the service manager could not be told");
                }
                !full
            }
        }
    }

    fn owed(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(target_os = "linux")]
fn connect_abstract(socket: &UnixDatagram, name: &str) -> io::Result<()> {
    use std::os::linux::net::SocketAddrExt as _;
    socket.connect_addr(&std::os::unix::net::SocketAddr::from_abstract_name(name)?)
}

#[cfg(not(target_os = "linux"))]
fn connect_abstract(_: &UnixDatagram, _: &str) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "sockets without a path are known on Linux only"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_arrive_outlives_a_full_queue_and_the_newest_goes_last() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        manager.set_nonblocking(true).unwrap();
        let line = Socket::open(&path).unwrap();
        // More than a socket's queue holds.
        let sent = (0..5000).filter(|_| line.send("STATUS=busy", false)).count();
        assert!((1..5000).contains(&sent), "{sent}");
        assert!(!line.owes(), "a status line is not kept");
        for number in 0..=OWED {
            line.send(&format!("READY={number}"), true);
        }
        let hear = || {
            let mut buffer = [0; 64];
            let length = manager.recv(&mut buffer).ok()?;
            Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
        };
        while let Some(message) = hear() {
            assert_eq!(message, "STATUS=busy");
        }
        line.flush();
        let heard: Vec<String> = std::iter::from_fn(hear).collect();
        let expected: Vec<String> = (1..=OWED).map(|number| format!("READY={number}")).collect();
        assert_eq!(heard, expected);
    }
}

//! A file system of the tests' own, behind the kernel's FUSE: it numbers its files anew whenever it is asked to, as sshfs does
//! after dropped caches, takes upper and lower case for the same where it is told to, and counts what is read of it.
//!
//! Where nothing may be mounted it says so, and the test ends.
#![allow(dead_code, reason = "each suite uses a part of it")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

#[derive(Default)]
struct Store {
    /// Content and mtime in seconds, which is the ctime as well: SFTP tells no other.
    files: BTreeMap<String, (Vec<u8>, u64)>,
    /// All numbers are of this round.
    round: u64,
    /// A file answers to its name in any case.
    ignores_case: bool,
    /// Names whose bytes were asked for.
    read: Vec<String>,
}

/// See the module; unmounted when it goes.
pub struct Disk {
    store: Arc<Mutex<Store>>,
    point: PathBuf,
}

const ROOT: u64 = 1;
const A_ROUND: u64 = 1000;
const ENOENT: i32 = -2;
const ENOSYS: i32 = -38;

impl Disk {
    /// Mounts it; nothing where that is not allowed.
    pub fn mount(point: &Path) -> Option<Self> {
        let device = File::options().read(true).write(true).open("/dev/fuse");
        let mounted = device.and_then(|device| {
            let options = "fd=0,rootmode=40000,user_id=0,group_id=0,allow_other,ro";
            let mut command = Command::new("mount");
            command.args(["-i", "-t", "fuse.numbers", "-o", options, "numbers"]).arg(point);
            let done = command.stdin(Stdio::from(device.try_clone()?)).stderr(Stdio::null()).status()?;
            if done.success() { Ok(device) } else { Err(std::io::Error::other("mount refuses")) }
        });
        let Ok(device) = mounted else {
            #[expect(clippy::print_stderr, reason = "a skipped test says so")]
            {
                eprintln!("skipped: no FUSE file system can be mounted here");
            }
            return None;
        };
        let store = Arc::new(Mutex::new(Store { round: 1, ..Store::default() }));
        let served = store.clone();
        thread::spawn(move || serve(device, &served));
        Some(Self { store, point: point.to_owned() })
    }

    pub fn put(&self, name: &str, content: &str, mtime: u64) {
        self.store.lock().unwrap().files.insert(name.into(), (content.into(), mtime));
    }

    /// Files answer to their names in any case from now on.
    pub fn ignore_case(&self) {
        self.store.lock().unwrap().ignores_case = true;
    }

    /// Gives a file another name; its time stays.
    pub fn rename(&self, from: &str, to: &str) {
        let mut store = self.store.lock().unwrap();
        let file = store.files.remove(from).unwrap();
        store.files.insert(to.into(), file);
    }

    /// Every file has another number from now on.
    pub fn renumber(&self) {
        let mut store = self.store.lock().unwrap();
        store.round += 1;
        store.read.clear();
    }

    pub fn read(&self) -> Vec<String> {
        let mut read = self.store.lock().unwrap().read.clone();
        read.dedup();
        read
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = Command::new("umount").arg("-l").arg(&self.point).status();
    }
}

fn serve(mut device: File, store: &Mutex<Store>) {
    let mut request = vec![0; 256 * 1024];
    loop {
        let length = match device.read(&mut request) {
            Ok(length) => length,
            Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::NotFound) => continue,
            // It was unmounted.
            Err(_) => return,
        };
        let (head, body) = request[..length].split_at(40);
        let number = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().unwrap());
        let operation = u32::from_le_bytes(head[4..8].try_into().unwrap());
        let Some(answer) = store.lock().unwrap().answer(operation, number(16), body) else { continue };
        let (error, answer) = answer.map_or_else(|error| (error, Vec::new()), |answer| (0, answer));
        let mut told = u32::try_from(16 + answer.len()).unwrap().to_le_bytes().to_vec();
        told.extend(error.to_le_bytes());
        told.extend(&head[8..16]);
        told.extend(answer);
        // Whoever asked may have gone.
        let _ = device.write(&told);
    }
}

impl Store {
    /// The answer to one request of the kernel; `None` where it wants none.
    fn answer(&mut self, operation: u32, node: u64, body: &[u8]) -> Option<Result<Vec<u8>, i32>> {
        let at = |at: usize| u64::from_le_bytes(body[at..at + 8].try_into().unwrap());
        Some(match operation {
            // FORGET, INTERRUPT, BATCH_FORGET
            2 | 36 | 42 => return None,
            // LOOKUP
            1 => {
                let name = String::from_utf8_lossy(body.strip_suffix(b"\0").unwrap_or(body)).into_owned();
                self.node(&name).map_or(Err(ENOENT), |node| {
                    // Neither names nor attributes may be remembered: every look is a look.
                    Ok([words(&[node, 0, 0, 0, 0]), self.attributes(node)].concat())
                })
            }
            // GETATTR
            3 => Ok([words(&[0, 0]), self.attributes(node)].concat()),
            // OPEN, OPENDIR
            14 | 27 => Ok(words(&[0, 0])),
            // READ
            15 => {
                let Some(name) = self.name(node) else { return Some(Err(ENOENT)) };
                self.read.push(name.clone());
                let (from, size) = (at(8) as usize, u32::from_le_bytes(body[16..20].try_into().unwrap()) as usize);
                let content = &self.files[&name].0;
                Ok(content.iter().skip(from).take(size).copied().collect())
            }
            // READDIR
            28 => Ok(self.entries(at(8))),
            // STATFS
            17 => Ok([vec![0; 40], [4096_u32.to_le_bytes(), 255_u32.to_le_bytes()].concat(), vec![0; 32]].concat()),
            // RELEASE, FLUSH, RELEASEDIR, DESTROY
            18 | 25 | 29 | 38 => Ok(Vec::new()),
            // INIT: version 7.31, and nothing special.
            26 => {
                let mut init = [7_u32.to_le_bytes(), 31_u32.to_le_bytes()].concat();
                init.resize(64, 0);
                init[20..24].copy_from_slice(&65_536_u32.to_le_bytes());
                init[24..28].copy_from_slice(&1_u32.to_le_bytes());
                Ok(init)
            }
            _ => Err(ENOSYS),
        })
    }

    fn node(&self, name: &str) -> Option<u64> {
        let is_it = |key: &String| key == name || self.ignores_case && key.eq_ignore_ascii_case(name);
        let place = self.files.keys().position(is_it)?;
        Some(self.round * A_ROUND + place as u64)
    }

    /// Also by a number of an earlier round: what is open stays so.
    fn name(&self, node: u64) -> Option<String> {
        self.files.keys().nth((node % A_ROUND) as usize).filter(|_| node >= A_ROUND).cloned()
    }

    fn attributes(&self, node: u64) -> Vec<u8> {
        let (content, mtime) = self.name(node).map_or((0, 1_600_000_000), |name| {
            let (content, mtime) = &self.files[&name];
            (content.len() as u64, *mtime)
        });
        let mode = if node == ROOT { 0o040_755_u32 } else { 0o100_644 };
        let numbers = words(&[node, content, 1, mtime, mtime, mtime]);
        let rest = [0, 0, 0, mode, 1, 0, 0, 0, 4096, 0].map(u32::to_le_bytes).concat();
        [numbers, rest].concat()
    }

    fn entries(&self, from: u64) -> Vec<u8> {
        let mut told = Vec::new();
        for (place, name) in self.files.keys().enumerate().skip(from as usize) {
            told.extend(words(&[self.node(name).unwrap_or(ROOT), place as u64 + 1]));
            told.extend(u32::try_from(name.len()).unwrap().to_le_bytes());
            told.extend(8_u32.to_le_bytes());
            told.extend(name.as_bytes());
            told.resize(told.len().next_multiple_of(8), 0);
        }
        told
    }
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

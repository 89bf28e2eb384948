//! The disk: the few operations that are needed, behind a trait so that faults can be put in their way.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Read as _};
use std::os::unix::fs::{FileExt, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use rustix::fs::{FallocateFlags, FlockOperation, fallocate, flock};

/// Most slices in one `pwritev` call: Linux's IOV_MAX.
const SLICES_MAX: usize = 1024;

/// Zeros written at a time where the file system cannot preallocate.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// A file system.
pub trait Disk: Send + Sync {
    /// Makes a directory and those above it; one that exists is left alone.
    ///
    /// # Errors
    /// Disk trouble.
    fn create_dirs(&self, path: &Path) -> io::Result<()>;

    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    /// Disk trouble; `NotFound` where there is none.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens an existing file for reading.
    ///
    /// # Errors
    /// Disk trouble; `NotFound` where there is none.
    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Makes a file, empty where it existed, and opens it for reading and writing.
    ///
    /// # Errors
    /// Disk trouble.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// As [`Self::create`], for what only the owner may read.
    ///
    /// # Errors
    /// Disk trouble.
    fn create_private(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Takes the lock on a file, made where it is missing; `None` where somebody else has it. Dropping the file lets go
    /// of it, and so does the system when the process ends, however it ends.
    ///
    /// # Errors
    /// Disk trouble.
    fn lock(&self, path: &Path) -> io::Result<Option<Arc<dyn DiskFile>>>;

    /// Gives a file another name, replacing what had it.
    ///
    /// # Errors
    /// Disk trouble.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// Disk trouble.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes a directory with everything in it.
    ///
    /// # Errors
    /// Disk trouble.
    fn remove_dirs(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// Disk trouble.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// The names in a directory with the sizes in bytes of what they name, in no order.
    ///
    /// # Errors
    /// Disk trouble.
    fn list(&self, path: &Path) -> io::Result<Vec<(String, u64)>>;

    /// When a file's content last changed, ns since 1970.
    ///
    /// # Errors
    /// Disk trouble; `NotFound` where there is none.
    fn modified_ns(&self, path: &Path) -> io::Result<u64>;

    /// Reads a whole file of at most `max` bytes.
    ///
    /// # Errors
    /// Disk trouble; `FileTooLarge` beyond `max`.
    fn read(&self, path: &Path, max: usize) -> io::Result<Vec<u8>>;
}

/// An open file. All access is by offset.
pub trait DiskFile: Send + Sync {
    /// Fills `bytes` from `offset`.
    ///
    /// # Errors
    /// Disk trouble; `UnexpectedEof` where the file ends before.
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all slices one after the other from `offset`.
    ///
    /// # Errors
    /// Disk trouble; what was written is then unknown.
    fn write_all_at(&self, slices: &mut [IoSlice<'_>], offset: u64) -> io::Result<()>;

    /// Makes content durable, and as much of the metadata as is needed to read it back.
    ///
    /// # Errors
    /// Disk trouble. Never to be tried again: what the kernel dropped it will not say.
    fn sync_data(&self) -> io::Result<()>;

    /// The length in bytes.
    ///
    /// # Errors
    /// Disk trouble.
    fn size(&self) -> io::Result<u64>;

    /// Cuts the file off or extends it with zeros.
    ///
    /// # Errors
    /// Disk trouble.
    fn set_size(&self, size: u64) -> io::Result<()>;

    /// Makes sure that the file has `size` bytes and that writing within them cannot fail for want of space. What the
    /// file holds already stays; what is new reads as zeros.
    ///
    /// # Errors
    /// `StorageFull` and other disk trouble.
    fn preallocate(&self, size: u64) -> io::Result<()>;
}

/// The operating system's files.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create_dirs(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(OpenOptions::new().read(true).write(true).open(path)?))
    }

    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(File::open(path)?))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        Ok(Arc::new(options.read(true).write(true).create(true).truncate(true).open(path)?))
    }

    fn create_private(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).mode(0o600);
        Ok(Arc::new(options.open(path)?))
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Arc<dyn DiskFile>>> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Arc::new(file))),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn remove_dirs(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn list(&self, path: &Path) -> io::Result<Vec<(String, u64)>> {
        std::fs::read_dir(path)?
            .map(|entry| {
                let entry = entry?;
                // A name that is not UTF-8 is none of ours; its lossy form equals none either.
                Ok((entry.file_name().to_string_lossy().into_owned(), entry.metadata()?.len()))
            })
            .collect()
    }

    fn modified_ns(&self, path: &Path) -> io::Result<u64> {
        let since = std::fs::metadata(path)?.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }

    fn read(&self, path: &Path, max: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(max as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > max { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
    }
}

impl DiskFile for File {
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, bytes, offset)
    }

    fn write_all_at(&self, mut slices: &mut [IoSlice<'_>], mut offset: u64) -> io::Result<()> {
        // Drops slices without bytes, of which the system would say that it wrote none.
        IoSlice::advance_slices(&mut slices, 0);
        while !slices.is_empty() {
            let batch = slices.get(..SLICES_MAX).unwrap_or(slices);
            let written = match rustix::io::pwritev(self, batch, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => written,
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            offset += written as u64;
            IoSlice::advance_slices(&mut slices, written);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.set_len(size)
    }

    fn preallocate(&self, size: u64) -> io::Result<()> {
        match fallocate(self, FallocateFlags::empty(), 0, size) {
            Ok(()) => Ok(()),
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => write_zeros(self, size),
            Err(error) => Err(error.into()),
        }
    }
}

/// Preallocates the slow way: zeros from the end of the file up to `size`.
fn write_zeros(file: &File, size: u64) -> io::Result<()> {
    let mut at = file.metadata()?.len();
    while at < size {
        let count = usize::try_from(size - at).unwrap_or(usize::MAX).min(ZEROS.len());
        FileExt::write_all_at(file, ZEROS.get(..count).unwrap_or_default(), at)?;
        at += count as u64;
    }
    Ok(())
}

/// Makes a directory and those above it, with durable names. A process that was killed may have left one whose name is not
/// durable, so that of `path` itself is synced in any case.
///
/// # Errors
/// Disk trouble.
pub fn create_dirs_durably(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    let missing = |dir: &&Path| disk.list(dir).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    let made = path.ancestors().take_while(missing).count().max(1);
    disk.create_dirs(path)?;
    for above in path.ancestors().skip(1).take(made) {
        // A relative path begins in the working directory.
        disk.sync_dir(if above.as_os_str().is_empty() { Path::new(".") } else { above })?;
    }
    Ok(())
}

/// Writes one slice of bytes at an offset.
///
/// # Errors
/// As [`DiskFile::write_all_at`].
pub fn write_at(file: &dyn DiskFile, bytes: &[u8], offset: u64) -> io::Result<()> {
    file.write_all_at(&mut [IoSlice::new(bytes)], offset)
}

/// Whether an error says that the disk (or a quota on it) is full.
#[must_use]
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
